//! Stages that close gaps: `$fill` in documents, `$densify` between them.

use std::collections::BTreeMap;

use bson::{Bson, DateTime, Document, doc};
use forge_core::{Error, Result};

use super::Rows;
use super::context::Context;
use super::expr::{TimeUnit, shift_utc, widening};
use super::{stages, window};
use crate::collation;
use crate::keys;
use crate::update::{Arithmetic, is_number, set_path};

/// The most documents that one `$densify` adds, as on a server.
const MAX_ADDED: usize = 500_000;

/// `$fill`: values for fields that are null or missing.
pub(super) fn fill(cx: &Context<'_, '_>, rows: Rows, form: &Document) -> Result<Rows> {
    let wrong = |what: &str| Error::bad_request(format!("`$fill` {what}"));
    let output = form.get_document("output").map_err(|_| wrong("needs `output`, a document"))?;
    let (mut values, mut methods) = (Document::new(), Document::new());
    for (path, how) in output {
        let how = how.as_document().filter(|how| how.len() == 1);
        let (name, operand) = how
            .and_then(|how| how.iter().next())
            .ok_or_else(|| wrong(&format!("takes {{value: …}} or {{method: …}} for `{path}`")))?;
        let field = Bson::String(format!("${path}"));
        match (name.as_str(), operand.as_str()) {
            ("value", _) => values.insert(path.clone(), doc! { "$ifNull": [field, operand.clone()] }),
            ("method", Some("linear")) => methods.insert(path.clone(), doc! { "$linearFill": field }),
            ("method", Some("locf")) => methods.insert(path.clone(), doc! { "$locf": field }),
            _ => {
                return Err(wrong(&format!(
                    "has the methods \"linear\" and \"locf\", not {name}: {operand}"
                )));
            }
        };
    }
    let partition = partition(form)?;
    let mut rows = rows;
    if !methods.is_empty() {
        let order = form.get_document("sortBy").map_err(|_| wrong("needs `sortBy` for a method"))?;
        let mut windows = doc! { "sortBy": order.clone(), "output": methods };
        windows.extend(partition.map(|partition| ("partitionBy".to_owned(), partition)));
        rows = window::set_window_fields(cx, rows, &windows)?;
    }
    if values.is_empty() { Ok(rows) } else { stages::extended(cx, rows, &values) }
}

/// The expression that tells the partitions of a `$fill` apart.
fn partition(form: &Document) -> Result<Option<Bson>> {
    match (form.get("partitionBy"), form.get("partitionByFields")) {
        (None, None) => Ok(None),
        (Some(expression), None) => Ok(Some(expression.clone())),
        (None, Some(_)) => {
            let fields = names("$fill", form)?;
            let path = |(at, path)| (format!("k{at}"), Bson::String(format!("${path}")));
            Ok(Some(Bson::Document(fields.into_iter().enumerate().map(path).collect())))
        }
        _ => Err(Error::bad_request("`$fill` takes `partitionBy` or `partitionByFields`, not both")),
    }
}

fn names<'f>(stage: &str, form: &'f Document) -> Result<Vec<&'f str>> {
    let wrong = || Error::bad_request(format!("the `partitionByFields` of `{stage}` are paths"));
    match form.get("partitionByFields") {
        None => Ok(Vec::new()),
        Some(Bson::Array(names)) => names
            .iter()
            .map(|name| name.as_str().filter(|name| !name.starts_with('$')).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// How far it is from one value to the next.
enum Step {
    Number(Bson),
    Time(TimeUnit, i64),
}

/// From where to where documents are added.
enum Bounds {
    /// From the first value of all partitions to the last.
    Full,
    /// From the first value of each partition to its last.
    Partition,
    /// From a value up to, and without, another.
    Between(Box<(Bson, Bson)>),
}

/// The fields by which rows belong together, and the rows with their values.
type Partition = (Document, Vec<(Bson, Document)>);

/// What a `$densify` asks for.
struct Densify<'f> {
    field: &'f str,
    partition: Vec<&'f str>,
    step: Step,
    bounds: Bounds,
}

/// `$densify`: documents for the values of a field that no document has, in the order of the partitions and values.
pub(super) fn densify(cx: &Context<'_, '_>, rows: Rows, form: &Document) -> Result<Rows> {
    let densify = Densify::parse(form)?;
    let mut out = Rows::new();
    let mut partitions: BTreeMap<Vec<u8>, Partition> = BTreeMap::new();
    for row in rows {
        cx.tick()?;
        let value = match at(&row, densify.field) {
            // What has no place is left as it is, in front.
            None | Some(Bson::Null | Bson::Undefined) => {
                out.push(row);
                continue;
            }
            Some(value) => densify.checked(value)?.clone(),
        };
        let mut own = Document::new();
        for path in &densify.partition {
            if let Some(value) = at(&row, path) {
                set_path(&mut own, path, value.clone())?;
            }
        }
        let key = collation::encoded(&Bson::Document(own.clone()), cx.strings());
        partitions.entry(key).or_insert_with(|| (own, Vec::new())).1.push((value, row));
    }
    if let (true, Bounds::Between(..)) =
        (partitions.is_empty() && densify.partition.is_empty(), &densify.bounds)
    {
        partitions.insert(Vec::new(), (Document::new(), Vec::new()));
    }
    for (_, rows) in partitions.values_mut() {
        rows.sort_by_cached_key(|(value, _)| keys::encoded(value));
    }
    let whole = extent(partitions.values().flat_map(|(_, rows)| rows.first().into_iter().chain(rows.last())));
    let mut added = 0;
    for partition in partitions.into_values() {
        densify.close(cx, partition, whole.as_ref(), &mut added, &mut out)?;
    }
    Ok(out)
}

/// The least and the largest value.
fn extent<'r>(rows: impl Iterator<Item = &'r (Bson, Document)>) -> Option<(Bson, Bson)> {
    let mut values: Vec<&Bson> = rows.map(|(value, _)| value).collect();
    values.sort_by_cached_key(|value| keys::encoded(value));
    Some(((*values.first()?).clone(), (*values.last()?).clone()))
}

/// The value at a path through documents.
fn at<'d>(document: &'d Document, path: &str) -> Option<&'d Bson> {
    match path.split_once('.') {
        None => document.get(path),
        Some((head, rest)) => at(document.get_document(head).ok()?, rest),
    }
}

impl<'f> Densify<'f> {
    fn parse(form: &'f Document) -> Result<Self> {
        let wrong = |what: &str| Error::bad_request(format!("`$densify` {what}"));
        let field = form.get_str("field").ok().filter(|field| !field.is_empty() && !field.starts_with('$'));
        let field = field.ok_or_else(|| wrong("needs `field`, a path"))?;
        let range = form.get_document("range").map_err(|_| wrong("needs `range`, a document"))?;
        let step = range.get("step").filter(|step| is_number(step) && is_positive(step));
        let step = step.ok_or_else(|| wrong("needs a `step` above 0"))?;
        let step = match range.get("unit") {
            None => Step::Number(step.clone()),
            Some(unit) => {
                let whole = crate::index::integer(step);
                Step::Time(
                    TimeUnit::parse(unit)?,
                    whole.ok_or_else(|| wrong("steps over times by whole numbers"))?,
                )
            }
        };
        let partition = names("$densify", form)?;
        let bounds = match range.get("bounds") {
            Some(Bson::String(name)) if name == "full" => Bounds::Full,
            Some(Bson::String(name)) if name == "partition" && !partition.is_empty() => Bounds::Partition,
            Some(Bson::Array(pair)) if pair.len() == 2 => {
                Bounds::Between(Box::new((pair[0].clone(), pair[1].clone())))
            }
            _ => {
                return Err(wrong(
                    "has the `bounds` \"full\", \"partition\" (of `partitionByFields`) or [from, to]",
                ));
            }
        };
        let densify = Self { field, partition, step, bounds };
        if let Bounds::Between(ends) = &densify.bounds {
            let pair = (keys::encoded(densify.checked(&ends.0)?), keys::encoded(densify.checked(&ends.1)?));
            if pair.0 > pair.1 {
                return Err(wrong("has its lower bound first"));
            }
        }
        Ok(densify)
    }

    /// A value that can be stepped from.
    fn checked<'v>(&self, value: &'v Bson) -> Result<&'v Bson> {
        let (fits, what) = match self.step {
            Step::Number(_) => (is_number(value), "a number; a `unit` steps over dates"),
            Step::Time(..) => (matches!(value, Bson::DateTime(_)), "a date, as its `unit` says"),
        };
        if fits {
            return Ok(value);
        }
        Err(Error::bad_request(format!(
            "`$densify` over `{}` finds {value}, which is not {what}",
            self.field
        )))
    }

    /// Sends the rows of a partition on, with new ones between them.
    fn close(
        &self,
        cx: &Context<'_, '_>,
        (own, rows): Partition,
        whole: Option<&(Bson, Bson)>,
        added: &mut usize,
        out: &mut Rows,
    ) -> Result<()> {
        let (low, high, closed) = match (&self.bounds, rows.first(), rows.last()) {
            (Bounds::Between(ends), ..) => (ends.0.clone(), ends.1.clone(), false),
            (Bounds::Partition, Some((low, _)), Some((high, _))) => (low.clone(), high.clone(), true),
            _ => match whole {
                Some((low, high)) => (low.clone(), high.clone(), true),
                None => return Ok(()),
            },
        };
        let high = keys::encoded(&high);
        let is_inside = |value: &[u8]| value < high.as_slice() || (closed && value == high);
        let mut next = low;
        let mut count = 0;
        let first = next.clone();
        let mut rows = rows.into_iter().map(|(value, row)| (keys::encoded(&value), row)).peekable();
        loop {
            let key = keys::encoded(&next);
            while let Some((_, row)) = rows.next_if(|(value, _)| *value < key) {
                out.push(row);
            }
            if !is_inside(&key) {
                break;
            }
            if rows.peek().is_none_or(|(value, _)| *value != key) {
                *added += 1;
                if *added > MAX_ADDED {
                    return Err(Error::too_large(format!(
                        "`$densify` would add more than {MAX_ADDED} documents"
                    )));
                }
                let mut row = own.clone();
                set_path(&mut row, self.field, next.clone())?;
                cx.charge(64)?;
                out.push(row);
            }
            count += 1;
            next = self.step_from(&first, &next, count)?;
        }
        out.extend(rows.map(|(_, row)| row));
        Ok(())
    }

    /// The value behind `value`: `count` steps behind `first`, so that months do not grow shorter on the way.
    fn step_from(&self, first: &Bson, value: &Bson, count: i64) -> Result<Bson> {
        match (&self.step, first) {
            (Step::Time(unit, by), Bson::DateTime(first)) => {
                let far = || Error::bad_request("`$densify` steps out of the range of dates");
                let by = by.checked_mul(count).ok_or_else(far)?;
                Ok(Bson::DateTime(DateTime::from_millis(shift_utc(first.timestamp_millis(), *unit, by)?)))
            }
            (Step::Number(by), _) => widening(Arithmetic::Add, value, by),
            _ => Ok(value.clone()),
        }
    }
}

fn is_positive(number: &Bson) -> bool {
    keys::with_raw(number, forge_core::order::as_f64).is_some_and(|number| number > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forge_core::ErrorCode;

    fn run(
        stage: fn(&Context<'_, '_>, Rows, &Document) -> Result<Rows>,
        rows: &[Document],
        form: &Document,
    ) -> Result<Rows> {
        stage(&Context::bare(), rows.to_vec(), form)
    }

    fn range(field: &str, range: Document) -> Document {
        doc! { "field": field, "range": range }
    }

    #[test]
    fn fields_are_filled_by_values_lines_and_the_last_one_seen() {
        let rows = [
            doc! { "t": 1, "k": "a", "v": 10, "w": 1 },
            doc! { "t": 3, "k": "a", "w": Bson::Null },
            doc! { "t": 2, "k": "b" },
            doc! { "t": 5, "k": "a", "v": 30 },
        ];
        let form = doc! {
            "partitionByFields": ["k"], "sortBy": { "t": 1 },
            "output": { "v": { "method": "linear" }, "w": { "method": "locf" }, "x": { "value": { "$add": ["$t", 1] } } },
        };
        let filled = run(fill, &rows, &form).unwrap();
        let expected = [
            doc! { "t": 1, "k": "a", "v": 10, "w": 1, "x": 2 },
            doc! { "t": 3, "k": "a", "w": 1, "v": 20.0, "x": 4 },
            doc! { "t": 5, "k": "a", "v": 30, "w": 1, "x": 6 },
            doc! { "t": 2, "k": "b", "v": Bson::Null, "w": Bson::Null, "x": 3 },
        ];
        assert_eq!(filled, expected);
    }

    #[test]
    fn documents_are_added_where_a_step_has_none() {
        let rows = [
            doc! { "n": 4, "k": "a" },
            doc! { "n": 1, "k": "a" },
            doc! { "k": "none" },
            doc! { "n": 2.5, "k": "b" },
        ];
        let numbers = |form: &Document| -> Vec<String> {
            run(densify, &rows, form).unwrap().iter().map(Document::to_string).collect()
        };
        let full = numbers(&range("n", doc! { "step": 1.5, "bounds": "full" }));
        assert_eq!(
            full,
            [
                "{ \"k\": \"none\" }",
                "{ \"n\": 1, \"k\": \"a\" }",
                "{ \"n\": 2.5, \"k\": \"b\" }",
                "{ \"n\": 4, \"k\": \"a\" }"
            ]
        );
        let mut partitioned = range("n", doc! { "step": 1, "bounds": "partition" });
        partitioned.insert("partitionByFields", vec!["k"]);
        let own = numbers(&partitioned);
        assert_eq!(own[2..4], ["{ \"k\": \"a\", \"n\": 2 }", "{ \"k\": \"a\", \"n\": 3 }"]);
        assert_eq!(own.len(), 6);
        let between = numbers(&range("n", doc! { "step": 2, "bounds": [0, 4] }));
        let values: Vec<_> = between.iter().filter(|row| !row.contains('k')).collect();
        assert_eq!(values, ["{ \"n\": 0 }", "{ \"n\": 2 }"]);
    }

    #[test]
    fn months_are_counted_from_the_first_date() {
        let date = |text: &str| DateTime::parse_rfc3339_str(text).unwrap();
        let rows = [doc! { "d": date("2024-01-31T00:00:00Z") }, doc! { "d": date("2024-04-30T00:00:00Z") }];
        let form = range("d", doc! { "step": 1, "unit": "month", "bounds": "full" });
        let dates: Vec<_> =
            run(densify, &rows, &form).unwrap().iter().map(|row| *row.get_datetime("d").unwrap()).collect();
        let expected = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"];
        assert_eq!(dates, expected.map(|day| date(&format!("{day}T00:00:00Z"))));
    }

    #[test]
    fn malformed_gaps_are_refused() {
        let rows = [doc! { "n": "text" }];
        for form in [
            range("n", doc! { "step": 1, "bounds": "full" }),
            range("n", doc! { "step": 0, "bounds": "full" }),
            range("n", doc! { "step": 1, "bounds": "partition" }),
            range("n", doc! { "step": 1, "bounds": [5, 1] }),
            range("n", doc! { "step": 1.5, "unit": "day", "bounds": "full" }),
            range("$n", doc! { "step": 1, "bounds": "full" }),
            doc! { "field": "n" },
        ] {
            assert_eq!(run(densify, &rows, &form).unwrap_err().code(), ErrorCode::BadRequest, "{form}");
        }
        let huge = range("n", doc! { "step": 1, "bounds": [0, 600_000] });
        assert_eq!(run(densify, &[], &huge).unwrap_err().code(), ErrorCode::TooLarge);
        for form in [
            doc! { "output": { "a": { "method": "guess" } } },
            doc! { "output": { "a": { "method": "locf" } } },
            doc! { "output": { "a": 1 } },
            doc! { "partitionBy": "$k", "partitionByFields": ["k"], "output": { "a": { "value": 1 } } },
        ] {
            assert_eq!(run(fill, &rows, &form).unwrap_err().code(), ErrorCode::BadRequest, "{form}");
        }
    }
}
