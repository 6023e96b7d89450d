//! Conditions on the elements of lists of plain values. `$elemMatch` takes operators there, and no `$or`: alternatives
//! become several `$elemMatch`.

use bson::{Document, doc};
use forge_core::ir::{Filter, Path, Predicate};
use forge_core::{Error, Result};

/// More alternatives than this want another query.
const MAX_BRANCHES: usize = 64;

/// Whether a condition is on elements themselves, whose path is empty.
pub(super) fn is_on_value(filter: &Filter) -> bool {
    match filter {
        Filter::And(list) | Filter::Or(list) => list.iter().any(is_on_value),
        Filter::Not(inner) => is_on_value(inner),
        Filter::Field(path, _) => path.is_empty(),
        _ => false,
    }
}

/// The condition as alternatives, each a list of operators; none where it is one already.
pub(super) fn spread(path: &Path, filter: &Filter) -> Result<Option<Filter>> {
    if is_flat(filter) {
        return Ok(None);
    }
    let element = |conditions: Vec<Filter>| {
        let inner = match conditions.len() {
            // Every element: `$elemMatch: {}` would leave out plain values.
            0 => Filter::Field(Path::Borrowed(""), Predicate::Exists(true)),
            _ => Filter::And(conditions),
        };
        Filter::Field(path.clone(), Predicate::Element(Box::new(inner)))
    };
    Ok(Some(Filter::Or(branches(filter, false)?.into_iter().map(element).collect())))
}

fn is_flat(filter: &Filter) -> bool {
    let single = |filter: &Filter| match filter {
        Filter::Field(..) => true,
        Filter::Not(inner) => matches!(**inner, Filter::Field(..)),
        _ => false,
    };
    match filter {
        Filter::And(list) => !list.is_empty() && list.iter().all(single),
        filter => single(filter),
    }
}

/// The operators of all of these. An operator that is there twice stands, the second time, behind a double negation:
/// there is no `$and` for plain values.
pub(super) fn joined(first: Document, mut rest: Vec<Document>) -> Result<Document> {
    let Some(next) = rest.pop() else { return Ok(first) };
    let next = joined(next, rest)?;
    let (mut one, other) = if first.contains_key("$not") { (next, first) } else { (first, next) };
    if !other.keys().any(|operator| one.contains_key(operator)) {
        one.extend(other);
        return Ok(one);
    }
    if one.contains_key("$not") {
        return Err(Error::unsupported(
            "this condition on the elements of a list negates too many things at once: MongoDB has no $and in $elemMatch",
        ));
    }
    one.insert("$not", doc! { "$not": other });
    Ok(one)
}

/// The disjunctive normal form.
fn branches(filter: &Filter, negated: bool) -> Result<Vec<Vec<Filter>>> {
    let found = match (filter, negated) {
        (Filter::All, false) | (Filter::Nothing, true) => vec![Vec::new()],
        (Filter::Nothing, false) | (Filter::All, true) => Vec::new(),
        (Filter::And(list), false) | (Filter::Or(list), true) => {
            let mut all = vec![Vec::new()];
            for part in list {
                let parts = branches(part, negated)?;
                if all.len() * parts.len() > MAX_BRANCHES {
                    return Err(too_many());
                }
                let joined =
                    all.iter().flat_map(|head| parts.iter().map(move |tail| [&head[..], tail].concat()));
                all = joined.collect();
            }
            all
        }
        (Filter::Or(list), false) | (Filter::And(list), true) => {
            let parts = list.iter().map(|part| branches(part, negated)).collect::<Result<Vec<_>>>()?;
            parts.into_iter().flatten().collect()
        }
        (Filter::Not(inner), negated) => branches(inner, !negated)?,
        (Filter::Field(path, _), false) if path.is_empty() => vec![vec![filter.clone()]],
        (Filter::Field(path, _), true) if path.is_empty() => {
            vec![vec![Filter::Not(Box::new(filter.clone()))]]
        }
        (other, _) => {
            return Err(Error::bad_request(format!(
                "a condition on the elements of a list of values cannot hold {other:?}"
            )));
        }
    };
    if found.len() > MAX_BRANCHES { Err(too_many()) } else { Ok(found) }
}

fn too_many() -> Error {
    Error::too_large(format!(
        "a condition on the elements of a list has more than {MAX_BRANCHES} alternatives"
    ))
}
