//! Where SecantusDB, the server that stands in for MongoDB in tests, is known to differ from MongoDB. In each case the
//! embedded engine does what MongoDB's documentation says. On MongoDB itself nothing is allowed to differ.

use bson::{Bson, Document};
use forge::ir::{Aggregate, Change, Filter, Operand, Predicate, PushSort};

use super::by_value;
use super::strategy::{Case, Step};

/// Whether the answers `ours` and `theirs` to a `step` of `case` may differ.
pub(super) fn differs(case: &Case, step: &Step, ours: &[Bson], theirs: &[Bson]) -> bool {
    conditions(step).any(is_unreliable) || looks_for_truth(case, step) || works_otherwise(step, ours, theirs)
}

/// Whether elements of lists are looked for by values, some of which SecantusDB takes for true or false, where those are
/// somewhere in the case.
fn looks_for_truth(case: &Case, step: &Step) -> bool {
    let Step::Update { changes, .. } = step else { return false };
    let looks = changes.iter().any(|change| match change {
        Change::Pull(_, values) | Change::AddToSet(_, values) => {
            values.iter().any(|value| mentions(value, is_like_truth))
        }
        _ => false,
    });
    looks && format!("{case:?}").contains("Boolean(")
}

fn works_otherwise(step: &Step, ours: &[Bson], theirs: &[Bson]) -> bool {
    match step {
        // An expression over `a.b` where `a` is an array gives the array of its members' values, empty for an empty
        // one; SecantusDB gives null.
        Step::Group { keys, aggregates, .. } if keys.iter().any(|path| is_dotted(path)) => true,
        Step::Group { aggregates, .. } if aggregates.iter().filter_map(path).any(is_dotted) => true,
        // An empty list is no empty document; SecantusDB puts them into one group.
        Step::Group { .. } if ours.iter().any(|row| has_key(row, &Bson::Array(Vec::new()))) => true,
        // A member without the path sorts as null; SecantusDB passes over it.
        Step::Find { sort, .. } if sort.iter().any(|key| is_dotted(&key.path)) => true,
        // `distinct` reaches into arrays of documents; SecantusDB does not.
        Step::Distinct(path, _) if is_dotted(path) => true,
        // true is not 1; SecantusDB takes them for equal.
        Step::Distinct(..) if truth_as_number(ours) == truth_as_number(theirs) => true,
        // `{x: true}` is not `{x: 1}`; SecantusDB takes them for equal.
        Step::Pipeline(stages) => {
            stages.iter().flat_map(Document::values).any(compares)
                && ours.iter().chain(theirs).any(holds_truth_inside)
        }
        // What is no document has no key to sort by, and keeps its place; SecantusDB sorts it by its value.
        Step::Update { changes, .. } if changes.iter().any(sorts_by_a_path) => true,
        // Bits take the operand's type, which is a change by itself; SecantusDB keeps 32 of them.
        Step::Update { changes, .. } if changes.iter().any(|change| matches!(change, Change::Bit(..))) => {
            let values = |documents: &[Bson]| documents.iter().cloned().map(by_value).collect::<Vec<_>>();
            match (ours, theirs) {
                ([Bson::Int64(matched), Bson::Int64(_)], [Bson::Int64(found), Bson::Int64(_)]) => {
                    matched == found
                }
                _ => values(ours) == values(theirs),
            }
        }
        _ => false,
    }
}

/// Whether there is a comparison for equality somewhere in an expression.
fn compares(value: &Bson) -> bool {
    match value {
        Bson::Document(fields) => fields.iter().any(|(name, value)| {
            matches!(name.as_str(), "$eq" | "$ne" | "$cmp" | "$lte" | "$gte" | "$in" | "$indexOfArray")
                || compares(value)
        }),
        Bson::Array(list) => list.iter().any(compares),
        _ => false,
    }
}

/// Whether a field of a document holds true or false inside of another document or a list.
fn holds_truth_inside(document: &Bson) -> bool {
    let Bson::Document(fields) = document else { return false };
    fields.values().any(|value| !is_truth(value) && mentions(value, is_truth))
}

/// Whether a value is one of these, or has one inside.
fn mentions(value: &Bson, wanted: fn(&Bson) -> bool) -> bool {
    let inner = |value: &Bson| mentions(value, wanted);
    wanted(value)
        || match value {
            Bson::Document(fields) => fields.values().any(inner),
            Bson::Array(list) => list.iter().any(inner),
            _ => false,
        }
}

fn is_truth(value: &Bson) -> bool {
    matches!(value, Bson::Boolean(_))
}

/// Whether it is true, false, or one of the numbers that SecantusDB takes for them.
fn is_like_truth(value: &Bson) -> bool {
    is_truth(value)
        || matches!(by_value(value.clone()), Bson::Double(number) if number == 0.0 || number == 1.0)
}

/// Whether a schema lists values, and true or false, or what looks like them, is among these.
fn lists_truth(schema: &Bson) -> bool {
    match schema {
        Bson::Document(fields) => fields.iter().any(|(name, value)| {
            if name == "enum" { mentions(value, is_like_truth) } else { lists_truth(value) }
        }),
        Bson::Array(list) => list.iter().any(lists_truth),
        _ => false,
    }
}

fn sorts_by_a_path(change: &Change) -> bool {
    matches!(change, Change::PushWith(_, _, options) if matches!(options.sort, Some(PushSort::Paths(_))))
}

/// Whether a group has this key.
fn has_key(row: &Bson, key: &Bson) -> bool {
    row.as_document().is_some_and(|row| row.iter().any(|(name, value)| name.starts_with('k') && value == key))
}

/// Whether the server may fail where the embedded engine does not.
pub(super) fn fails(step: &Step) -> bool {
    conditions(step).any(is_unreliable)
}

/// Whether the server may run what MongoDB refuses, and the embedded engine with it.
pub(super) fn takes_more(step: &Step) -> bool {
    let Step::Update { changes, .. } = step else { return false };
    // `$[]` and `$[name]` need an array, and `$` an element that met the condition; SecantusDB passes over what has none.
    // Nor does it notice that two changes are about the same element.
    changes.iter().any(|change| change.path().contains(".$"))
}

fn conditions(step: &Step) -> impl Iterator<Item = &Filter> {
    let filter = match step {
        Step::Find { filter, .. }
        | Step::Count(filter)
        | Step::Distinct(_, filter)
        | Step::Group { filter, .. }
        | Step::Update { filter, .. }
        | Step::Delete(filter) => Some(filter),
        Step::Pipeline(_) => None,
    };
    filter.into_iter()
}

fn is_unreliable(filter: &Filter) -> bool {
    match filter {
        Filter::And(list) | Filter::Or(list) => list.iter().any(is_unreliable),
        Filter::Not(inner) => is_unreliable(inner),
        // `{"a.0": null}` does not find `{a: []}`; SecantusDB finds it.
        Filter::Field(path, predicate) => has_position(path) || is_unreliable_all(path, predicate),
        // An expression over a path through an array gives an array; SecantusDB gives null.
        // In a schema, too, true is not 1.
        Filter::Schema(schema) => lists_truth(&Bson::Document(schema.clone())),
        Filter::Compare(left, _, right) => is_dotted(left) || is_dotted(right),
        _ => false,
    }
}

/// `$all: [null]` finds documents without the field, as `$eq: null` does, and `$all` of several values finds them in
/// several documents of a list; SecantusDB does neither.
fn is_unreliable_all(path: &str, predicate: &Predicate) -> bool {
    let Predicate::HasEvery(values) = predicate else { return false };
    values.contains(&Bson::Null) || (is_dotted(path) && values.len() > 1)
}

fn has_position(path: &str) -> bool {
    path.split('.').any(|part| part.parse::<u32>().is_ok())
}

fn is_dotted(path: &str) -> bool {
    path.contains('.')
}

/// The values with true as 1 and false as 0, each once, in no order.
fn truth_as_number(values: &[Bson]) -> Vec<String> {
    fn number(value: &Bson) -> Bson {
        match value {
            Bson::Boolean(truth) => Bson::Double(f64::from(u8::from(*truth))),
            Bson::Array(list) => Bson::Array(list.iter().map(number).collect()),
            Bson::Document(fields) => {
                Bson::Document(fields.iter().map(|(name, value)| (name.clone(), number(value))).collect())
            }
            other => other.clone(),
        }
    }
    let texts = values.iter().map(|value| number(value).to_string());
    let mut texts: Vec<String> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn path(aggregate: &Aggregate) -> Option<&str> {
    match aggregate {
        Aggregate::Sum(Operand::Path(path))
        | Aggregate::Avg(Operand::Path(path))
        | Aggregate::Min(Operand::Path(path))
        | Aggregate::Max(Operand::Path(path)) => Some(path),
        _ => None,
    }
}
