//! Under which values or ranges a filter can be filed.

use std::cmp::Ordering;

use bson::Bson;
use forge_core::ir::{Filter, Path, Predicate};

use super::ranges::Span;
use super::scalar::{Point, Scalar};

/// Reads with more keys than this are filed as broad.
const MAX_KEYS: usize = 1_000;

/// What a document that meets the filter has: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A value with this hash at the path.
    Value(Path, u64),
    /// A value in the span at the path.
    Range(Path, Span),
}

/// The keys of which every document that meets `filter` has one; none where there are no such keys. Of several ways
/// the one that is likely to be met by the fewest documents.
pub(super) fn keys(filter: &Filter) -> Option<Vec<Key>> {
    match filter {
        Filter::Nothing => Some(Vec::new()),
        Filter::And(list) => {
            let single = list.iter().filter_map(keys);
            single.chain(spans(list)).min_by(|a, b| cost(a).cmp(&cost(b)))
        }
        Filter::Or(list) if !list.is_empty() => {
            let mut all = Vec::new();
            for branch in list {
                all.extend(keys(branch)?);
                if all.len() > MAX_KEYS {
                    return None;
                }
            }
            Some(all)
        }
        Filter::Field(path, _) if has_position(path) => None,
        Filter::Field(path, Predicate::Eq(value)) => Some(vec![value_key(path, value)?]),
        Filter::Field(path, Predicate::In(values)) if values.len() <= MAX_KEYS => {
            values.iter().map(|value| value_key(path, value)).collect()
        }
        Filter::Field(path, predicate) => {
            let (low, high) = bounds(predicate)?;
            Some(vec![Key::Range(path.clone(), Span::new(low, high)?)])
        }
        _ => None,
    }
}

/// Values are narrower than ranges, and ranges with two bounds than others.
fn cost(keys: &[Key]) -> (usize, usize) {
    let kind = |key: &Key| match key {
        Key::Value(..) => 0,
        Key::Range(_, Span::Between(..)) => 1,
        Key::Range(..) => 2,
    };
    (keys.iter().map(kind).max().unwrap_or(0), keys.len())
}

fn value_key(path: &Path, value: &Bson) -> Option<Key> {
    Some(Key::Value(path.clone(), Scalar::of_operand(value)?.hash()))
}

/// The bounds that a predicate sets.
fn bounds(predicate: &Predicate) -> Option<(Option<Point>, Option<Point>)> {
    let point = |value| Scalar::of_operand(value).and_then(|scalar| scalar.point());
    match predicate {
        Predicate::Gt(low) | Predicate::Gte(low) => Some((Some(point(low)?), None)),
        Predicate::Lt(high) | Predicate::Lte(high) => Some((None, Some(point(high)?))),
        _ => None,
    }
}

/// The spans between a lower and an upper bound of the same path.
fn spans(conditions: &[Filter]) -> impl Iterator<Item = Vec<Key>> {
    let bounded = |condition: &Filter| match condition {
        Filter::Field(path, predicate) if !has_position(path) => Some((path.clone(), bounds(predicate)?)),
        _ => None,
    };
    let all: Vec<_> = conditions.iter().filter_map(bounded).collect();
    let uppers = all.clone();
    all.into_iter().filter_map(move |(path, (low, _))| {
        let low = low?;
        let high =
            uppers.iter().filter(|(other, _)| *other == path).find_map(|(_, (_, high))| high.clone())?;
        match low.cmp(&high) {
            // Nothing is between them; arrays aside, which the single bounds find.
            Ordering::Greater => None,
            _ => Some(vec![Key::Range(path, Span::new(Some(low), Some(high))?)]),
        }
    })
}

/// Whether a segment of the path may mean the position in an array.
fn has_position(path: &str) -> bool {
    path.split('.').any(super::is_position)
}
