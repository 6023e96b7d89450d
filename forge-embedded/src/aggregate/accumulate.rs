//! Accumulators: of `$group`, of window functions, and of the expressions with the same names.

use std::cmp::Ordering;
use std::collections::HashSet;

use bson::{Bson, Document, RawBsonRef};
use forge_core::ir::SortKey;
use forge_core::{Decimal, Error, Result};

use super::context::Context;
use super::expr::{Expr, Scope, Value, percentile_of, percentiles, widening};
use crate::collation::{self, Strings, compare};
use crate::index::integer;
use crate::keys;
use crate::query::sort_keys;
use crate::update::{Arithmetic, is_number};

/// What is computed of a group.
#[derive(Debug, Clone)]
pub(super) struct Accumulator {
    kind: Kind,
    expr: Expr,
}

#[derive(Debug, Clone)]
enum Kind {
    Sum,
    Avg,
    /// The first value in the order of values, or the last.
    Extreme(Ordering),
    First,
    Last,
    Push,
    AddToSet,
    MergeObjects,
    StdDev {
        sample: bool,
    },
    FirstN(usize),
    LastN(usize),
    /// The first ones in the order of values, or the last ones.
    ExtremeN(Ordering, usize),
    /// The first ones in an order, or the last ones; `single`: as a value, not a list.
    Ranked {
        order: Vec<SortKey>,
        count: usize,
        single: bool,
        last: bool,
    },
    Percentile {
        wanted: Vec<f64>,
        single: bool,
    },
}

/// What an accumulator has seen of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    value: Option<Bson>,
    count: u64,
    list: Vec<Bson>,
    seen: HashSet<Vec<u8>>,
    ordered: Vec<(Vec<u8>, Bson)>,
    numbers: Vec<f64>,
    /// The mean so far, and the sum of the squares of the distances from it.
    spread: (f64, f64),
}

impl Accumulator {
    /// Reads `{$sum: expression}`.
    ///
    /// # Errors
    /// `unsupported` names an accumulator that the engine lacks.
    pub(super) fn parse(field: &str, form: &Bson) -> Result<Self> {
        let entry = form.as_document().filter(|form| form.len() == 1).and_then(|form| form.iter().next());
        let (operator, operand) = entry
            .ok_or_else(|| Error::bad_request(format!("`{field}` takes one accumulator, not {form}")))?;
        Self::named(operator, operand)
    }

    /// The accumulator of that name.
    pub(super) fn named(operator: &str, operand: &Bson) -> Result<Self> {
        let kind = match operator {
            "$count" => return Ok(Self { kind: Kind::Sum, expr: Expr::Value(Bson::Int32(1)) }),
            "$firstN" | "$lastN" | "$minN" | "$maxN" => return several(operator, operand),
            "$top" | "$bottom" | "$topN" | "$bottomN" => return ranked(operator, operand),
            "$percentile" | "$median" => return percentile(operator, operand),
            operator => simple(operator).ok_or_else(|| {
                Error::unsupported(format!("the embedded engine has no accumulator `{operator}`"))
            })?,
        };
        Ok(Self { kind, expr: Expr::parse(operand)? })
    }

    /// Takes a document into the account.
    pub(super) fn add(&self, cx: &Context<'_, '_>, state: &mut State, scope: &Scope<'_>) -> Result<()> {
        match &self.kind {
            Kind::Sum | Kind::Avg => self.expr.lend(scope, |value| state.sum(value)),
            Kind::Extreme(wanted) => {
                self.expr.lend(scope, |value| state.keep(value, *wanted, scope.strings()))
            }
            Kind::Push | Kind::AddToSet | Kind::Percentile { .. } => {
                let value = self.expr.eval(scope)?;
                cx.charge(value.as_ref().map_or(0, weight))?;
                self.take(state, value, scope.strings())
            }
            Kind::Ranked { order, count, last, .. } => {
                let key = keys::sort_key(&scope.root().raw()?, order, scope.strings());
                state.rank(key, self.expr.value(scope)?, *count, *last);
                Ok(())
            }
            _ => {
                let value = self.expr.eval(scope)?;
                self.take(state, value, scope.strings())
            }
        }
    }

    /// Takes a value into the account.
    fn take(&self, state: &mut State, value: Value, strings: Strings<'_>) -> Result<()> {
        if let Kind::Sum | Kind::Avg = self.kind {
            return lent(value.as_ref(), |value| state.sum(value));
        }
        state.count += 1;
        match &self.kind {
            Kind::Sum | Kind::Avg => {}
            Kind::Extreme(wanted) => lent(value.as_ref(), |value| state.keep(value, *wanted, strings))?,
            Kind::First => {
                if state.count == 1 {
                    state.value = value;
                }
            }
            Kind::Last => state.value = value,
            Kind::Push => state.list.extend(value),
            Kind::AddToSet => {
                if let Some(value) =
                    value.filter(|value| state.seen.insert(collation::encoded(value, strings)))
                {
                    state.list.push(value);
                }
            }
            Kind::MergeObjects => match value {
                None | Some(Bson::Null | Bson::Undefined) => {}
                Some(Bson::Document(more)) => match &mut state.value {
                    Some(Bson::Document(document)) => document.extend(more),
                    value => *value = Some(Bson::Document(more)),
                },
                Some(other) => {
                    return Err(Error::bad_request(format!("only documents are merged, not {other}")));
                }
            },
            Kind::StdDev { .. } => match value.as_ref().filter(|value| is_number(value)).and_then(double) {
                None => state.count -= 1,
                Some(number) => {
                    let (mean, squares) = state.spread;
                    let next = mean + (number - mean) / state.count as f64;
                    state.spread = (next, squares + (number - mean) * (number - next));
                }
            },
            Kind::FirstN(count) => {
                if state.list.len() < *count {
                    state.list.push(value.unwrap_or(Bson::Null));
                }
            }
            Kind::LastN(count) => {
                state.list.push(value.unwrap_or(Bson::Null));
                if state.list.len() > *count {
                    state.list.remove(0);
                }
            }
            Kind::ExtremeN(wanted, count) => {
                if let Some(value) = value.filter(|value| !matches!(value, Bson::Null | Bson::Undefined)) {
                    let mut key = collation::encoded(&value, strings);
                    if wanted.is_gt() {
                        keys::invert(&mut key);
                    }
                    state.rank(key, value, *count, false);
                }
            }
            Kind::Percentile { .. } => state.numbers.extend(value.as_ref().and_then(double)),
            Kind::Ranked { .. } => return Err(Error::bad_request("an order takes documents, not values")),
        }
        Ok(())
    }

    /// The value for the group.
    pub(super) fn finish(&self, state: &State) -> Result<Bson> {
        let value = || state.value.clone();
        let ranked = || state.ordered.iter().map(|(_, value)| value.clone());
        Ok(match &self.kind {
            Kind::Sum => value().unwrap_or(Bson::Int32(0)),
            Kind::Avg => mean(state)?,
            Kind::Extreme(_) | Kind::First | Kind::Last => value().unwrap_or(Bson::Null),
            Kind::MergeObjects => value().unwrap_or_else(|| Document::new().into()),
            Kind::Push | Kind::AddToSet | Kind::FirstN(_) | Kind::LastN(_) => Bson::Array(state.list.clone()),
            Kind::ExtremeN(..) => Bson::Array(ranked().collect()),
            Kind::Ranked { single: true, .. } => ranked().next().unwrap_or(Bson::Null),
            Kind::Ranked { .. } => Bson::Array(ranked().collect()),
            Kind::StdDev { sample } => match state.count.saturating_sub(u64::from(*sample)) {
                0 => Bson::Null,
                count => Bson::Double((state.spread.1 / count as f64).sqrt()),
            },
            Kind::Percentile { wanted, single } => {
                let mut numbers = state.numbers.clone();
                numbers.sort_by(f64::total_cmp);
                let mut values = wanted.iter().map(|p| percentile_of(&numbers, *p));
                if *single { values.next().unwrap_or(Bson::Null) } else { Bson::Array(values.collect()) }
            }
        })
    }
}

impl State {
    /// Adds a number to the total; what is no number does not count.
    fn sum(&mut self, value: Option<RawBsonRef<'_>>) -> Result<()> {
        let Some(value) = value.filter(|value| keys::class_of(*value) == keys::class::NUMBER) else {
            return Ok(());
        };
        self.count += 1;
        let total = self.value.take().unwrap_or(Bson::Int32(0));
        // Whole numbers that stay whole, and doubles, which are most sums; the rest changes its type on the way.
        let plain = match (&total, value) {
            (Bson::Int32(total), RawBsonRef::Int32(value)) => total.checked_add(value).map(Bson::Int32),
            (Bson::Int64(total), RawBsonRef::Int64(value)) => total.checked_add(value).map(Bson::Int64),
            (Bson::Double(total), RawBsonRef::Double(value)) => Some(Bson::Double(total + value)),
            _ => None,
        };
        self.value = Some(match plain {
            Some(sum) => sum,
            None => widening(Arithmetic::Add, &total, &Bson::try_from(value)?)?,
        });
        Ok(())
    }

    /// Keeps the value where it is `wanted` against the present one; null and missing never count.
    fn keep(&mut self, value: Option<RawBsonRef<'_>>, wanted: Ordering, strings: Strings<'_>) -> Result<()> {
        let Some(value) = value.filter(|value| !matches!(value, RawBsonRef::Null | RawBsonRef::Undefined))
        else {
            return Ok(());
        };
        let better =
            |present: &Bson| keys::with_raw(present, |present| compare(value, present, strings) == wanted);
        if self.value.as_ref().is_none_or(better) {
            self.value = Some(Bson::try_from(value)?);
        }
        Ok(())
    }

    /// Puts a value into its place, behind equal ones, and keeps `count` of them from the front or the back.
    fn rank(&mut self, key: Vec<u8>, value: Bson, count: usize, last: bool) {
        let position = self.ordered.partition_point(|(other, _)| *other <= key);
        if !last && position >= count {
            return;
        }
        self.ordered.insert(position, (key, value));
        if self.ordered.len() > count {
            let surplus = if last { 0 } else { count };
            self.ordered.remove(surplus);
        }
    }
}

/// An accumulator over values that are there already.
///
/// # Errors
/// As [`Accumulator::named`].
pub(super) fn over(
    operator: &str,
    values: impl Iterator<Item = Value>,
    strings: Strings<'_>,
) -> Result<Bson> {
    let kind = simple(operator).ok_or_else(|| Error::internal("an expression without its accumulator"))?;
    let accumulator = Accumulator { kind, expr: Expr::Value(Bson::Null) };
    let mut state = State::default();
    for value in values {
        accumulator.take(&mut state, value, strings)?;
    }
    accumulator.finish(&state)
}

fn simple(operator: &str) -> Option<Kind> {
    Some(match operator {
        "$sum" => Kind::Sum,
        "$avg" => Kind::Avg,
        "$min" => Kind::Extreme(Ordering::Less),
        "$max" => Kind::Extreme(Ordering::Greater),
        "$first" => Kind::First,
        "$last" => Kind::Last,
        "$push" => Kind::Push,
        "$addToSet" => Kind::AddToSet,
        "$mergeObjects" => Kind::MergeObjects,
        "$stdDevPop" => Kind::StdDev { sample: false },
        "$stdDevSamp" => Kind::StdDev { sample: true },
        _ => return None,
    })
}

/// Lends a value in its raw form.
fn lent<R>(value: Option<&Bson>, with: impl FnOnce(Option<RawBsonRef<'_>>) -> R) -> R {
    match value {
        Some(value) => keys::with_raw(value, |value| with(Some(value))),
        None => with(None),
    }
}

fn double(value: &Bson) -> Option<f64> {
    keys::with_raw(value, forge_core::order::as_f64)
}

fn mean(state: &State) -> Result<Bson> {
    Ok(match &state.value {
        None => Bson::Null,
        Some(Bson::Decimal128(total)) => {
            let count = Decimal::from(i64::try_from(state.count).unwrap_or(i64::MAX));
            (Decimal::from(*total) / count).into()
        }
        Some(total) => Bson::Double(double(total).unwrap_or(f64::NAN) / state.count as f64),
    })
}

/// About how many bytes a value takes.
pub(super) fn weight(value: &Bson) -> usize {
    const OWN: usize = size_of::<Bson>();
    OWN + match value {
        Bson::String(text) => text.len(),
        Bson::Binary(binary) => binary.bytes.len(),
        Bson::Array(items) => items.iter().map(weight).sum(),
        Bson::Document(document) => document.iter().map(|(name, value)| 2 * name.len() + weight(value)).sum(),
        _ => 0,
    }
}

fn lacks(operator: &str, what: &str, operand: &Bson) -> Error {
    Error::bad_request(format!("`{operator}` lacks {what}: {operand}"))
}

/// The document of an accumulator, and the number in its `n`.
fn form<'o>(operator: &str, operand: &'o Bson, single: bool) -> Result<(&'o Document, usize)> {
    let form = operand.as_document().ok_or_else(|| lacks(operator, "its document", operand))?;
    if single {
        return Ok((form, 1));
    }
    if matches!(form.get("n"), Some(Bson::Document(_) | Bson::String(_))) {
        return Err(Error::unsupported(format!(
            "the embedded engine takes a number as the `n` of `{operator}`"
        )));
    }
    let count = form.get("n").and_then(integer).filter(|count| *count > 0);
    let count = count.ok_or_else(|| lacks(operator, "`n`, a number from 1", operand))?;
    Ok((form, usize::try_from(count).unwrap_or(usize::MAX)))
}

fn several(operator: &str, operand: &Bson) -> Result<Accumulator> {
    let (form, count) = form(operator, operand, false)?;
    let expr = Expr::parse(form.get("input").ok_or_else(|| lacks(operator, "`input`", operand))?)?;
    let kind = match operator {
        "$firstN" => Kind::FirstN(count),
        "$lastN" => Kind::LastN(count),
        "$minN" => Kind::ExtremeN(Ordering::Less, count),
        _ => Kind::ExtremeN(Ordering::Greater, count),
    };
    Ok(Accumulator { kind, expr })
}

fn ranked(operator: &str, operand: &Bson) -> Result<Accumulator> {
    let single = matches!(operator, "$top" | "$bottom");
    let (form, count) = form(operator, operand, single)?;
    let expr = Expr::parse(form.get("output").ok_or_else(|| lacks(operator, "`output`", operand))?)?;
    let order = form.get_document("sortBy").map_err(|_| lacks(operator, "`sortBy`", operand))?;
    let last = operator.starts_with("$bottom");
    Ok(Accumulator { kind: Kind::Ranked { order: sort_keys(Some(order))?, count, single, last }, expr })
}

fn percentile(operator: &str, operand: &Bson) -> Result<Accumulator> {
    let form = operand.as_document().ok_or_else(|| lacks(operator, "its document", operand))?;
    let expr = Expr::parse(form.get("input").ok_or_else(|| lacks(operator, "`input`", operand))?)?;
    let single = operator == "$median";
    let wanted = match form.get("p") {
        _ if single => vec![0.5],
        Some(p) => percentiles(&Expr::parse(p)?.constant().unwrap_or(Bson::Null))?,
        None => return Err(lacks(operator, "`p`", operand)),
    };
    Ok(Accumulator { kind: Kind::Percentile { wanted, single }, expr })
}
