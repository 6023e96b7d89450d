//! `$setWindowFields`.

use std::ops::Range;

use bson::{Bson, Document};
use forge_core::ir::SortKey;
use forge_core::{Error, Result};

use super::Rows;
use super::accumulate::{Accumulator, State};
use super::context::Context;
use super::expr::{Expr, TimeUnit, shift_utc};
use crate::collation;
use crate::index::integer;
use crate::keys;
use crate::query::sort_keys;
use crate::update::{is_number, set_path};

/// What is computed of each row.
enum Function {
    DocumentNumber,
    Rank,
    DenseRank,
    Shift {
        output: Expr,
        by: i64,
        default: Bson,
    },
    Derivative {
        input: Expr,
        unit: Option<i64>,
    },
    Integral {
        input: Expr,
        unit: Option<i64>,
    },
    ExpMovingAvg {
        input: Expr,
        alpha: f64,
    },
    /// The last value that is not null.
    Locf(Expr),
    /// What lies on the line between the values on both sides.
    LinearFill(Expr),
    Accumulator(Box<Accumulator>),
}

/// One end of a window, as a distance from the row; none: the end of the partition.
type Bound = Option<Bson>;

/// The rows that a function sees.
enum Window {
    All,
    Documents(Option<i64>, Option<i64>),
    Range(Box<Reach>),
}

/// A window by the values of the order.
struct Reach {
    lower: Bound,
    upper: Bound,
    unit: Option<TimeUnit>,
}

struct Output {
    path: String,
    function: Function,
    window: Window,
}

/// The rows of one partition in their order.
struct Partition<'r> {
    rows: &'r [Document],
    /// The sort keys of the rows: equal ones are peers.
    keys: &'r [Vec<u8>],
    order: &'r [SortKey],
}

/// Computes fields of the rows from the rows around them.
pub(super) fn set_window_fields(cx: &Context<'_, '_>, rows: Rows, form: &Document) -> Result<Rows> {
    let partition = form.get("partitionBy").map(Expr::parse).transpose()?;
    let order = sort_keys(form.get_document("sortBy").ok())?;
    let outputs = outputs(form, &order)?;
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        cx.tick()?;
        let group = match &partition {
            Some(expr) => collation::encoded(&expr.value(&cx.scope(&row))?, cx.strings()),
            None => Vec::new(),
        };
        let key = match order.is_empty() {
            true => Vec::new(),
            false => keys::sort_key(&keys::to_raw(&row)?, &order, cx.strings()),
        };
        keyed.push((group, key, row));
    }
    keyed.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let mut out = Vec::with_capacity(keyed.len());
    let (mut rows, mut row_keys, mut current) = (Vec::new(), Vec::new(), None);
    let mut flush = |rows: &mut Vec<Document>, keys: &mut Vec<Vec<u8>>| {
        let partition = Partition { rows, keys, order: &order };
        let columns =
            outputs.iter().map(|output| output.column(cx, &partition)).collect::<Result<Vec<_>>>()?;
        for (at, row) in rows.iter_mut().enumerate() {
            for (output, column) in outputs.iter().zip(&columns) {
                set_path(row, &output.path, column[at].clone())?;
            }
        }
        keys.clear();
        out.append(rows);
        Ok::<_, Error>(())
    };
    for (group, key, row) in keyed {
        if current.as_ref() != Some(&group) {
            flush(&mut rows, &mut row_keys)?;
            current = Some(group);
        }
        rows.push(row);
        row_keys.push(key);
    }
    flush(&mut rows, &mut row_keys)?;
    Ok(out)
}

fn outputs(form: &Document, order: &[SortKey]) -> Result<Vec<Output>> {
    let output = form
        .get_document("output")
        .map_err(|_| Error::bad_request("`$setWindowFields` needs an `output` document"))?;
    output.iter().map(|(path, form)| Output::parse(path, form, order)).collect()
}

impl Output {
    fn parse(path: &str, form: &Bson, order: &[SortKey]) -> Result<Self> {
        let wrong = |what: &str| Error::bad_request(format!("`{path}` of `$setWindowFields` {what}"));
        let form = form.as_document().ok_or_else(|| wrong("takes a window function"))?;
        let mut functions = form.iter().filter(|(name, _)| *name != "window");
        let (Some((name, operand)), None) = (functions.next(), functions.next()) else {
            return Err(wrong("takes one window function"));
        };
        let function = Function::parse(name, operand)?;
        if order.is_empty() && function.needs_order() {
            return Err(Error::bad_request(format!("`{name}` needs a `sortBy` in `$setWindowFields`")));
        }
        let window = match form.get("window") {
            None => Window::All,
            Some(Bson::Document(window)) => {
                Window::parse(window, order).map_err(|error| error.context(path))?
            }
            Some(_) => return Err(wrong("has a `window` that is no document")),
        };
        if matches!(window, Window::All)
            && matches!(function, Function::Derivative { .. } | Function::Integral { .. })
        {
            return Err(Error::bad_request(format!("`{name}` needs a `window`")));
        }
        Ok(Self { path: path.to_owned(), function, window })
    }

    /// The values of all rows.
    fn column(&self, cx: &Context<'_, '_>, partition: &Partition<'_>) -> Result<Vec<Bson>> {
        let count = partition.rows.len();
        let each = |input: &Expr| {
            partition.rows.iter().map(|row| input.value(&cx.scope(row))).collect::<Result<Vec<_>>>()
        };
        match &self.function {
            Function::DocumentNumber => Ok((1..=count).map(length).collect()),
            Function::Rank | Function::DenseRank => {
                Ok(ranks(partition, matches!(self.function, Function::DenseRank)))
            }
            Function::Shift { output, by, default } => {
                let values = each(output)?;
                let at = |row: usize| usize::try_from(row as i64 + by).ok().and_then(|at| values.get(at));
                Ok((0..count).map(|row| at(row).unwrap_or(default).clone()).collect())
            }
            Function::ExpMovingAvg { input, alpha } => moving_average(&each(input)?, *alpha),
            Function::Locf(input) => {
                let mut last = Bson::Null;
                Ok(each(input)?
                    .into_iter()
                    .map(|value| {
                        if value != Bson::Null {
                            last = value;
                        }
                        last.clone()
                    })
                    .collect())
            }
            Function::LinearFill(input) => fill(&each(input)?, &partition.places()?),
            Function::Derivative { input, unit } => {
                let (values, places) = (each(input)?, partition.places()?);
                self.windows(partition)?
                    .into_iter()
                    .map(|window| slope(&values, &places, window, *unit))
                    .collect()
            }
            Function::Integral { input, unit } => {
                let (values, places) = (each(input)?, partition.places()?);
                self.windows(partition)?
                    .into_iter()
                    .map(|window| area(&values, &places, window, *unit))
                    .collect()
            }
            Function::Accumulator(accumulator) => self.accumulate(cx, accumulator, partition),
        }
    }

    fn accumulate(
        &self,
        cx: &Context<'_, '_>,
        accumulator: &Accumulator,
        partition: &Partition<'_>,
    ) -> Result<Vec<Bson>> {
        let mut out: Vec<Bson> = Vec::with_capacity(partition.rows.len());
        let (mut state, mut seen) = (State::default(), 0..0);
        for window in self.windows(partition)? {
            cx.tick()?;
            // A window that only grows at its end goes on from the last one.
            if window.start != seen.start || window.end < seen.end {
                (state, seen) = (State::default(), window.start..window.start);
            } else if window == seen && !out.is_empty() {
                out.extend(out.last().cloned());
                continue;
            }
            for row in &partition.rows[seen.end..window.end] {
                accumulator.add(cx, &mut state, &cx.scope(row))?;
            }
            seen = window;
            out.push(accumulator.finish(&state)?);
        }
        Ok(out)
    }

    /// The window of each row, as positions.
    fn windows(&self, partition: &Partition<'_>) -> Result<Vec<Range<usize>>> {
        let count = partition.rows.len();
        match &self.window {
            Window::All => Ok(vec![0..count; count]),
            Window::Documents(lower, upper) => {
                let clamp = |at: i64| usize::try_from(at).unwrap_or(0).min(count);
                let window = |row: usize| {
                    let start = lower.map_or(0, |lower| clamp((row as i64).saturating_add(lower)));
                    let end = upper
                        .map_or(count, |upper| clamp((row as i64).saturating_add(upper).saturating_add(1)));
                    start.min(end)..end
                };
                Ok((0..count).map(window).collect())
            }
            Window::Range(reach) => {
                let Reach { lower, upper, unit } = &**reach;
                let places = partition.places()?;
                let bound =
                    |place: f64, bound: &Bound| bound.as_ref().map(|by| moved(place, by, *unit)).transpose();
                places
                    .iter()
                    .map(|place| {
                        let (lower, upper) = (bound(*place, lower)?, bound(*place, upper)?);
                        let start = lower.map_or(0, |lower| places.partition_point(|other| *other < lower));
                        let end =
                            upper.map_or(count, |upper| places.partition_point(|other| *other <= upper));
                        Ok(start.min(end)..end)
                    })
                    .collect()
            }
        }
    }
}

impl Function {
    fn parse(name: &str, operand: &Bson) -> Result<Self> {
        let form = || {
            operand
                .as_document()
                .ok_or_else(|| Error::bad_request(format!("`{name}` takes a document, not {operand}")))
        };
        let part = |part: &str| {
            let value = form()?.get(part);
            Expr::parse(value.ok_or_else(|| Error::bad_request(format!("`{name}` needs `{part}`")))?)
        };
        let unit = || -> Result<Option<i64>> {
            let Some(unit) = form()?.get("unit") else { return Ok(None) };
            let millis = TimeUnit::parse(unit)?.millis();
            millis.map(Some).ok_or_else(|| {
                Error::bad_request(format!("`{name}` has no unit {unit}: it has no fixed length"))
            })
        };
        Ok(match name {
            "$documentNumber" => Self::DocumentNumber,
            "$rank" => Self::Rank,
            "$denseRank" => Self::DenseRank,
            "$shift" => {
                let by = form()?.get("by").and_then(integer);
                let default = form()?.get("default").map(Expr::parse).transpose()?;
                let constant = default.map_or(Some(Bson::Null), |default| default.constant());
                Self::Shift {
                    output: part("output")?,
                    by: by.ok_or_else(|| Error::bad_request("`$shift` needs `by`, a whole number"))?,
                    default: constant
                        .ok_or_else(|| Error::bad_request("the `default` of `$shift` is a constant"))?,
                }
            }
            "$derivative" => Self::Derivative { input: part("input")?, unit: unit()? },
            "$integral" => Self::Integral { input: part("input")?, unit: unit()? },
            "$expMovingAvg" => {
                let number = |name: &str| {
                    form().ok()?.get(name).and_then(|value| keys::with_raw(value, forge_core::order::as_f64))
                };
                let alpha = number("alpha").or_else(|| number("N").map(|n| 2.0 / (n + 1.0)));
                let alpha = alpha.filter(|alpha| (0.0..=1.0).contains(alpha) && *alpha > 0.0);
                let wrong =
                    || Error::bad_request("`$expMovingAvg` needs `N`, from 1, or `alpha`, within 0 and 1");
                Self::ExpMovingAvg { input: part("input")?, alpha: alpha.ok_or_else(wrong)? }
            }
            "$locf" => Self::Locf(Expr::parse(operand)?),
            "$linearFill" => Self::LinearFill(Expr::parse(operand)?),
            name => match Accumulator::named(name, operand) {
                Ok(accumulator) => Self::Accumulator(Box::new(accumulator)),
                Err(error) if error.code() == forge_core::ErrorCode::Unsupported => {
                    return Err(Error::unsupported(format!(
                        "the embedded engine has no window function `{name}`"
                    )));
                }
                Err(error) => return Err(error),
            },
        })
    }

    fn needs_order(&self) -> bool {
        !matches!(self, Self::Accumulator(_))
    }
}

impl Window {
    fn parse(form: &Document, order: &[SortKey]) -> Result<Self> {
        let wrong = || {
            Error::bad_request(
                "a `window` is {documents: [from, to]} or {range: [from, to], unit}; ends are numbers, \"current\" or \"unbounded\"",
            )
        };
        let bounds = |name: &str| -> Result<Option<(Bound, Bound)>> {
            let Some(bounds) = form.get(name) else { return Ok(None) };
            let [lower, upper] = bounds.as_array().ok_or_else(wrong)?.as_slice() else { return Err(wrong()) };
            let bound = |value: &Bson| match value {
                Bson::String(text) if text == "unbounded" => Ok(None),
                Bson::String(text) if text == "current" => Ok(Some(Bson::Int32(0))),
                value if is_number(value) => Ok(Some(value.clone())),
                _ => Err(wrong()),
            };
            Ok(Some((bound(lower)?, bound(upper)?)))
        };
        match (bounds("documents")?, bounds("range")?) {
            (Some((lower, upper)), None) => {
                if order.is_empty() && (lower.is_some() || upper.is_some()) {
                    return Err(Error::bad_request("a window of documents needs a `sortBy`"));
                }
                let whole = |bound: Bound| match bound {
                    None => Ok(None),
                    Some(bound) => integer(&bound).map(Some).ok_or_else(wrong),
                };
                Ok(Self::Documents(whole(lower)?, whole(upper)?))
            }
            (None, Some((lower, upper))) => {
                if !matches!(order, [SortKey { descending: false, .. }]) {
                    return Err(Error::bad_request(
                        "a window of a range needs a `sortBy` of one ascending field",
                    ));
                }
                Ok(Self::Range(Box::new(Reach {
                    lower,
                    upper,
                    unit: form.get("unit").map(TimeUnit::parse).transpose()?,
                })))
            }
            _ => Err(wrong()),
        }
    }
}

impl Partition<'_> {
    /// The value that each row is sorted by, as a number; dates are milliseconds.
    fn places(&self) -> Result<Vec<f64>> {
        let [key] = self.order else {
            return Err(Error::bad_request("a range, slope or area needs a `sortBy` of one field"));
        };
        let path = Expr::parse(&Bson::String(format!("${}", key.path)))?;
        let cx = Context::bare();
        let place = |row: &Document| match path.value(&cx.scope(row))? {
            Bson::DateTime(at) => Ok(at.timestamp_millis() as f64),
            value => keys::with_raw(&value, forge_core::order::as_f64).ok_or_else(|| {
                Error::bad_request(format!(
                    "a range, slope or area needs numbers or dates in `{}`, not {value}",
                    key.path
                ))
            }),
        };
        self.rows.iter().map(place).collect()
    }
}

fn length(value: usize) -> Bson {
    i32::try_from(value).map_or(Bson::Int64(i64::try_from(value).unwrap_or(i64::MAX)), Bson::Int32)
}

fn ranks(partition: &Partition<'_>, dense: bool) -> Vec<Bson> {
    let mut out = Vec::with_capacity(partition.keys.len());
    let (mut rank, mut groups) = (0, 0);
    for (at, key) in partition.keys.iter().enumerate() {
        if at == 0 || partition.keys[at - 1] != *key {
            (rank, groups) = (at + 1, groups + 1);
        }
        out.push(length(if dense { groups } else { rank }));
    }
    out
}

/// A place so much further on.
fn moved(place: f64, by: &Bson, unit: Option<TimeUnit>) -> Result<f64> {
    let by_number = keys::with_raw(by, forge_core::order::as_f64).unwrap_or(0.0);
    match unit {
        None => Ok(place + by_number),
        Some(unit) => match unit.millis() {
            Some(millis) => Ok(place + by_number * millis as f64),
            None => Ok(shift_utc(place as i64, unit, integer(by).unwrap_or(0))? as f64),
        },
    }
}

fn double(value: &Bson) -> Result<Option<f64>> {
    match value {
        Bson::Null | Bson::Undefined => Ok(None),
        value => match keys::with_raw(value, forge_core::order::as_f64) {
            Some(number) => Ok(Some(number)),
            None => Err(Error::bad_request(format!("a number is due, not {value}"))),
        },
    }
}

fn moving_average(values: &[Bson], alpha: f64) -> Result<Vec<Bson>> {
    let mut average: Option<f64> = None;
    let step = |value: &Bson| {
        let Some(number) = double(value)? else { return Ok(Bson::Null) };
        let next = average.map_or(number, |average| alpha * number + (1.0 - alpha) * average);
        average = Some(next);
        Ok(Bson::Double(next))
    };
    values.iter().map(step).collect()
}

/// How much the value changes from the first to the last row of a window, for each unit between them.
fn slope(values: &[Bson], places: &[f64], window: Range<usize>, unit: Option<i64>) -> Result<Bson> {
    if window.len() < 2 {
        return Ok(Bson::Null);
    }
    let (first, last) = (window.start, window.end - 1);
    let (Some(a), Some(b)) = (double(&values[first])?, double(&values[last])?) else { return Ok(Bson::Null) };
    let distance = (places[last] - places[first]) / unit.unwrap_or(1) as f64;
    Ok(if distance == 0.0 { Bson::Null } else { Bson::Double((b - a) / distance) })
}

/// The area below the values of a window, by trapezoids.
fn area(values: &[Bson], places: &[f64], window: Range<usize>, unit: Option<i64>) -> Result<Bson> {
    let mut total = 0.0;
    for at in window.start + 1..window.end {
        if let (Some(a), Some(b)) = (double(&values[at - 1])?, double(&values[at])?) {
            total += (a + b) / 2.0 * (places[at] - places[at - 1]) / unit.unwrap_or(1) as f64;
        }
    }
    Ok(if window.is_empty() { Bson::Null } else { Bson::Double(total) })
}

fn fill(values: &[Bson], places: &[f64]) -> Result<Vec<Bson>> {
    let numbers = values.iter().map(double).collect::<Result<Vec<_>>>()?;
    let known = |at: &usize| numbers[*at].is_some();
    let between = |at: usize| {
        let before = (0..at).rev().find(known)?;
        let after = (at + 1..values.len()).find(known)?;
        let (a, b) = (numbers[before]?, numbers[after]?);
        let share = (places[at] - places[before]) / (places[after] - places[before]);
        Some(Bson::Double(a + (b - a) * share))
    };
    let value = |at: usize| if known(&at) { values[at].clone() } else { between(at).unwrap_or(Bson::Null) };
    Ok((0..values.len()).map(value).collect())
}
