//! The planner: which keys to read for a filter and an order.
//!
//! An index is used up to its first field without an equality; a range on that field is used as well. Spans are read in
//! key order, so that what is left of the index, with `_id` at its end, is the order of the result.

use std::sync::Arc;

use bson::Bson;
use forge_core::ir::{Filter, Predicate, SortKey};
use forge_core::{Error, Result};

use crate::bounds::{Bounds, Bytes, bounds_of, span};
use crate::catalog::Collection;
use crate::collation::{Collator, Strings};
use crate::filter::conjuncts;
use crate::gaps;
use crate::index::{Index, IndexKey, KeyKind, Wildcard};
use crate::store::{Span, doc_key};

/// Equalities on several fields multiply; an index is used no further than this many spans.
const MAX_SPANS: usize = 20_000;

/// How a command reads a collection.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The keys to read.
    pub(crate) access: Access,
    /// In which order the keys are read, and how much of the sort that settles.
    pub(crate) order: Order,
    /// Whether every document that is read matches.
    pub(crate) exact: bool,
}

/// The order in which keys are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// How many of the sort keys it settles.
    pub(crate) settled: usize,
    /// From the last key to the first.
    pub(crate) reverse: bool,
    /// Among entries of an index with the same values, the other way round: `{age: -1, _id: 1}` by an index on `age`.
    pub(crate) flipped: bool,
}

/// Where documents come from.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    /// These documents, by their full keys.
    Ids(Vec<Vec<u8>>),
    /// A part of the collection, or all of it; `bounded`: by a range of ids.
    Documents { span: Span, bounded: bool },
    /// Through an index.
    Index { index: Arc<Index>, spans: Vec<Span> },
    /// Every document that one of these reads.
    Any(Vec<Access>),
}

impl Access {
    /// The name of the index for `explain`.
    pub(crate) fn index_name(&self) -> Option<String> {
        match self {
            Access::Ids(_) | Access::Documents { bounded: true, .. } => Some("_id_".to_owned()),
            Access::Documents { bounded: false, .. } => None,
            Access::Index { index, .. } => Some(index.name.clone()),
            Access::Any(branches) => {
                let mut names = branches.iter().map(Access::index_name).collect::<Option<Vec<_>>>()?;
                names.dedup();
                Some(names.join(" or "))
            }
        }
    }

    /// Whether it leaves anything of the collection out.
    pub(crate) fn is_bounded(&self) -> bool {
        !matches!(self, Access::Documents { bounded: false, .. })
    }
}

/// Chooses how to read `collection`.
pub(crate) fn plan(collection: &Collection, filter: &Filter, sort: &[SortKey]) -> Plan {
    let conditions = conjuncts(filter);
    let (mut best, mut best_score) = by_id(collection, conditions, sort);
    for index in collection.indexes.iter().filter(|index| !index.hidden && index.collation.is_none()) {
        if let Some((plan, score)) = by_index(index, conditions, sort)
            && score > best_score
        {
            (best, best_score) = (plan, score);
        }
    }
    if best_score <= ORDER_ALONE
        && let Some(access) = by_branches(collection, conditions)
    {
        return Plan { access, order: Order::default(), exact: false };
    }
    best
}

/// Chooses how to read `collection` where strings compare as `collator` says.
///
/// An index of the same collation serves as any index does. The others serve the conditions without strings.
pub(crate) fn plan_collated(
    collection: &Collection,
    filter: &Filter,
    sort: &[SortKey],
    collator: &Collator,
) -> Plan {
    let conditions = conjuncts(filter);
    let plain = without_strings(conditions);
    let (mut best, mut best_score) = by_id(collection, &plain, &[]);
    for index in collection.indexes.iter().filter(|index| !index.hidden && partial_holds(index, &plain)) {
        let found = match &index.collation {
            Some(collation) if collation.collator == *collator => {
                by_collated(index, conditions, sort, collator)
            }
            Some(_) => None,
            None => by_index(index, &plain, &[]).map(|(plan, score)| (Plan { exact: false, ..plan }, score)),
        };
        if let Some((plan, score)) = found
            && score > best_score
        {
            (best, best_score) = (plan, score);
        }
    }
    if let Access::Ids(_) | Access::Documents { .. } = best.access {
        // What has no strings finds by id what it says; what has some is not looked at yet.
        best.exact &= plain.len() == conditions.len();
    }
    best
}

/// The plan that reads by an index of sort keys.
fn by_collated(
    index: &Arc<Index>,
    conditions: &[Filter],
    sort: &[SortKey],
    collator: &Collator,
) -> Option<(Plan, i64)> {
    let compared = collator.for_index(conditions);
    let (plan, score) = by_index(index, &compared, sort)?;
    // What looks into strings is checked on the documents.
    Some((Plan { exact: plan.exact && compared.len() == conditions.len(), ..plan }, score))
}

fn without_strings(conditions: &[Filter]) -> Vec<Filter> {
    conditions.iter().filter(|condition| !has_strings(condition)).cloned().collect()
}

/// Whether strings take part in a condition: then only an index of the same collation may serve it.
fn has_strings(condition: &Filter) -> bool {
    let text = |value: &Bson| {
        matches!(value, Bson::String(_) | Bson::Symbol(_) | Bson::RegularExpression(_))
            || matches!(value, Bson::Document(_) | Bson::Array(_))
    };
    match condition {
        Filter::Field(_, predicate) => match predicate {
            Predicate::Eq(value) | Predicate::Ne(value) | Predicate::Gt(value) => text(value),
            Predicate::Gte(value) | Predicate::Lt(value) | Predicate::Lte(value) => text(value),
            Predicate::In(values) | Predicate::NotIn(values) | Predicate::HasEvery(values) => {
                values.iter().any(text)
            }
            Predicate::Exists(_) => false,
            _ => true,
        },
        Filter::All => false,
        _ => true,
    }
}

/// What an index scores that only has the order.
const ORDER_ALONE: i64 = 30;

/// The most branches of an `$or` that are read one by one.
const MAX_BRANCHES: usize = 100;

/// The alternatives of a condition, where each of them has an index of its own.
fn by_branches(collection: &Collection, conditions: &[Filter]) -> Option<Access> {
    let alternatives = conditions.iter().filter_map(|condition| match condition {
        Filter::Or(branches) if (1..=MAX_BRANCHES).contains(&branches.len()) => Some(branches),
        _ => None,
    });
    let mut plans = alternatives.filter_map(|branches| {
        let accesses = branches.iter().map(|branch| {
            let access = match branch {
                Filter::Nothing => Access::Ids(Vec::new()),
                branch => plan(collection, branch, &[]).access,
            };
            access.is_bounded().then_some(access)
        });
        accesses.collect::<Option<Vec<_>>>()
    });
    plans.next().map(Access::Any)
}

fn all_fulfilled(conditions: &[Filter]) -> u64 {
    match conditions.len() {
        0 => 0,
        n if n < 64 => (1 << n) - 1,
        _ => u64::MAX,
    }
}

fn is_exact(conditions: &[Filter], fulfilled: u64) -> bool {
    matches!(conditions, [Filter::All]) || (conditions.len() < 64 && fulfilled == all_fulfilled(conditions))
}

fn by_id(collection: &Collection, conditions: &[Filter], sort: &[SortKey]) -> (Plan, i64) {
    let key = IndexKey { path: "_id".to_owned(), kind: KeyKind::Ascending, multikey: false };
    let bounds = bounds_of(&key, conditions);
    let single = bounds.as_ref().is_some_and(Bounds::single);
    let order = provided(&[], &[single], &[], sort);
    let fulfilled = bounds.as_ref().map_or(0, |bounds| bounds.fulfilled);
    let exact = is_exact(conditions, fulfilled);
    let prefix = collection.id.to_be_bytes();
    let (access, score) = match bounds {
        Some(bounds) if bounds.points => {
            let ids = bounds.ranges.iter().map(|range| doc_key(collection.id, &range.low)).collect();
            (Access::Ids(ids), 100_000)
        }
        Some(bounds) => {
            let range =
                bounds.ranges.first().map_or_else(|| Span::prefix(&prefix), |range| span(&prefix, range));
            (Access::Documents { span: range, bounded: true }, 45)
        }
        None => (whole(&prefix, conditions, sort), 0),
    };
    let score = score + if order.settled == sort.len() && !sort.is_empty() { 30 } else { 0 };
    (Plan { access, order, exact }, score)
}

/// All documents; read in the order of their ids, those whose ids no condition rules out.
fn whole(prefix: &[u8], conditions: &[Filter], sort: &[SortKey]) -> Access {
    let by_id = sort.first().is_none_or(|key| key.path == "_id");
    let left = if by_id { gaps::left_over("_id", false, conditions) } else { None };
    let Some(left) = left else { return Access::Documents { span: Span::prefix(prefix), bounded: false } };
    let (Some(first), Some(last)) = (left.first(), left.last()) else { return Access::Ids(Vec::new()) };
    let all = Bytes { low: first.low.clone(), above_low: false, high: last.high.clone(), below_high: true };
    let bounded = !all.low.is_empty() || all.high.first() != Some(&u8::MAX);
    Access::Documents { span: span(prefix, &all), bounded }
}

/// The plan that reads by the index of this name.
///
/// # Errors
/// `bad_request`: there is none, or it does not hold every document that matches.
pub(crate) fn hinted(
    collection: &Collection,
    filter: &Filter,
    sort: &[SortKey],
    strings: Strings<'_>,
    name: &str,
) -> Result<Plan> {
    let conditions = conjuncts(filter);
    let plain = || without_strings(conditions);
    if name == "_id_" {
        return Ok(match strings {
            None => by_id(collection, conditions, sort).0,
            Some(_) => Plan { exact: false, ..by_id(collection, &plain(), &[]).0 },
        });
    }
    let Some(index) = collection.indexes.iter().find(|index| index.name == name) else {
        return Err(Error::bad_request(format!(
            "{} has no index {name} to follow as a hint",
            collection.name
        )));
    };
    let compared = strings.map_or_else(|| conditions.to_vec(), |collator| collator.for_index(conditions));
    let usable = !index.keys.is_empty()
        && !index.hidden
        && index.collator() == strings
        && !index.keys.iter().any(|key| key.kind.is_geo())
        && (strings.is_none() || partial_holds(index, &plain()))
        && (index.wildcard.is_none() || by_wildcard(index, &compared).is_some())
        && contains_all(index, &compared);
    if !usable {
        return Err(Error::bad_request(format!(
            "the index {name} of {} cannot be followed as a hint: it does not hold every document that may match",
            collection.name
        )));
    }
    let found = match strings {
        Some(collator) => by_collated(index, conditions, sort, collator),
        None => by_index(index, conditions, sort),
    };
    if let Some((plan, _)) = found {
        return Ok(plan);
    }
    let order = provided(&index.keys, &[], &[], sort);
    let access = Access::Index { index: index.clone(), spans: vec![Span::of_id(index.id)] };
    Ok(Plan { access, order, exact: false })
}

fn by_index(index: &Arc<Index>, conditions: &[Filter], sort: &[SortKey]) -> Option<(Plan, i64)> {
    if index.wildcard.is_some() {
        return by_wildcard(index, conditions);
    }
    if index.keys.is_empty() || !contains_all(index, conditions) {
        return None;
    }
    let mut heads = vec![index.id.to_be_bytes().to_vec()];
    let mut singles = Vec::with_capacity(index.keys.len());
    let (mut score, mut fulfilled) = (0, 0);
    let mut spans = None;
    for key in &index.keys {
        let Some(bounds) = bounds_of(key, conditions) else { break };
        if heads.len().saturating_mul(bounds.ranges.len()) > MAX_SPANS && heads.len() > 1 {
            break;
        }
        singles.push(bounds.single());
        fulfilled |= bounds.fulfilled;
        if !bounds.points {
            score += if key.kind.is_geo() { 60 } else { 50 };
            spans = Some(heads.iter().flat_map(|head| bounds.ranges.iter().map(|r| span(head, r))).collect());
            break;
        }
        score += if bounds.single() { 100 } else { 90 };
        heads = heads
            .iter()
            .flat_map(|head| bounds.ranges.iter().map(|r| [head.as_slice(), &r.low].concat()))
            .collect();
    }
    let complete = singles.len() == index.keys.len() && singles.iter().all(|single| *single);
    if index.unique && complete {
        score += 1_000;
    }
    let order = provided(&index.keys, &singles, &singles, sort);
    if order.settled > 0 && order.settled == sort.len() {
        score += 30;
    } else if order.settled > 0 {
        score += 5;
    }
    if score == 0 {
        return None;
    }
    let arrays = index.keys.iter().any(|key| key.multikey || key.kind.is_geo());
    let exact = !arrays && is_exact(conditions, fulfilled);
    let spans = spans.unwrap_or_else(|| rest(&heads, index.keys.get(singles.len()), conditions, sort));
    // Of equally good indexes the narrower one.
    let score = score * 16 - i64::try_from(index.keys.len()).unwrap_or(16).min(15);
    Some((Plan { access: Access::Index { index: index.clone(), spans }, order, exact }, score / 16))
}

/// What is read below `heads`; where the order is that of the next key, only what no condition rules out.
fn rest(heads: &[Vec<u8>], next: Option<&IndexKey>, conditions: &[Filter], sort: &[SortKey]) -> Vec<Span> {
    let left = next
        .filter(|key| sort.iter().any(|wanted| wanted.path == key.path) && !key.kind.is_geo())
        .and_then(|key| Some((key, gaps::left_over(&key.path, key.multikey, conditions)?)));
    let Some((key, mut left)) = left else { return heads.iter().map(|head| Span::prefix(head)).collect() };
    if key.kind == KeyKind::Descending {
        left.iter_mut().for_each(Bytes::invert);
        left.reverse();
    }
    heads.iter().flat_map(|head| left.iter().map(|range| span(head, range))).collect()
}

/// The best single path of an index over all paths, behind values of its fields before. Documents without the path are not
/// in it, and arrays may be anywhere.
fn by_wildcard(index: &Arc<Index>, conditions: &[Filter]) -> Option<(Plan, i64)> {
    let wildcard = index.wildcard.as_ref()?;
    if !partial_holds(index, conditions) {
        return None;
    }
    let (heads, before) = heads_before(index, wildcard, conditions)?;
    let plan = |spans, score| {
        let access = Access::Index { index: index.clone(), spans };
        (Plan { access, order: Order::default(), exact: false }, score)
    };
    let paths = conditions.iter().filter_map(|condition| match condition {
        Filter::Field(path, _) if wildcard.covers(path) && demands_existence(path, conditions) => Some(path),
        _ => None,
    });
    let plans = paths.filter_map(|path| {
        let key = IndexKey { path: path.to_string(), kind: KeyKind::Ascending, multikey: true };
        let bounds = bounds_of(&key, conditions)?;
        let below = |head: &Vec<u8>| {
            let head = wildcard.below(head, path);
            bounds.ranges.iter().map(|range| span(&head, range)).collect::<Vec<_>>()
        };
        Some(plan(heads.iter().flat_map(below).collect(), before + if bounds.points { 80 } else { 40 }))
    });
    let best = plans.max_by_key(|(_, score)| *score);
    // Every document has entries below its fields before, be it that it has no path.
    best.or_else(|| {
        (before > 0 && !index.sparse)
            .then(|| plan(heads.iter().map(|head| Span::prefix(head)).collect(), before - 1))
    })
}

/// What entries start with whose fields before the paths have the wanted values, and what these are worth.
fn heads_before(index: &Index, wildcard: &Wildcard, conditions: &[Filter]) -> Option<(Vec<Vec<u8>>, i64)> {
    let (mut heads, mut score) = (vec![index.id.to_be_bytes().to_vec()], 0);
    for key in &index.keys[..wildcard.position] {
        let bounds = bounds_of(key, conditions).filter(|bounds| bounds.points)?;
        if heads.len().saturating_mul(bounds.ranges.len()) > MAX_SPANS {
            return None;
        }
        score += if bounds.single() { 100 } else { 90 };
        heads = heads
            .iter()
            .flat_map(|head| bounds.ranges.iter().map(|range| [head.as_slice(), &range.low].concat()))
            .collect();
    }
    Some((heads, score))
}

/// In which order the keys must be read, and how many of the sort keys that settles.
fn provided(keys: &[IndexKey], singles: &[bool], index_singles: &[bool], sort: &[SortKey]) -> Order {
    let is_single = |position: usize| index_singles.get(position).copied().unwrap_or(false);
    let id_single = keys.is_empty() && singles.first().copied().unwrap_or(false);
    let (mut position, mut settled, mut reverse) = (0, 0, None);
    for wanted in sort {
        let constant = (id_single && wanted.path == "_id")
            || keys
                .iter()
                .enumerate()
                .any(|(i, key)| key.path == wanted.path && !key.multikey && is_single(i));
        if constant {
            settled += 1;
            continue;
        }
        while position < keys.len() && is_single(position) {
            position += 1;
        }
        let (path, descending) = match keys.get(position) {
            Some(key) if key.multikey || key.kind.is_geo() => break,
            Some(key) => (key.path.as_str(), key.kind == KeyKind::Descending),
            None if position == keys.len() => ("_id", false),
            None => break,
        };
        let backwards = descending != wanted.descending;
        if path != wanted.path {
            break;
        }
        let differs = reverse.is_some_and(|reverse| reverse != backwards);
        if position == keys.len() {
            // Ids are unique: nothing is left to settle.
            let reverse = reverse.unwrap_or(backwards);
            return Order { settled: sort.len(), reverse, flipped: differs };
        }
        if differs {
            break;
        }
        reverse = Some(backwards);
        settled += 1;
        position += 1;
    }
    Order { settled, reverse: reverse.unwrap_or(false), flipped: false }
}

/// Whether every document that the conditions can find is in the index.
fn contains_all(index: &Index, conditions: &[Filter]) -> bool {
    if !partial_holds(index, conditions) {
        return false;
    }
    let sphere = index.keys.iter().any(|key| key.kind.is_geo());
    let gaps = index.sparse || sphere;
    !gaps || index.keys.iter().any(|key| demands_existence(&key.path, conditions))
}

/// Whether every document that the conditions find fulfils the condition of a partial index.
fn partial_holds(index: &Index, conditions: &[Filter]) -> bool {
    let Some(partial) = &index.partial else { return true };
    conjuncts(&partial.filter).iter().all(|wanted| implied(wanted, conditions))
}

fn implied(wanted: &Filter, conditions: &[Filter]) -> bool {
    match wanted {
        Filter::All => true,
        Filter::Field(path, Predicate::Exists(true)) => {
            conditions.contains(wanted) || demands_existence(path, conditions)
        }
        wanted => conditions.contains(wanted),
    }
}

fn demands_existence(path: &str, conditions: &[Filter]) -> bool {
    conditions.iter().any(|condition| match condition {
        Filter::Field(at, predicate) if at == path => match predicate {
            Predicate::Eq(value) | Predicate::Gte(value) | Predicate::Lte(value) => is_definite(value),
            Predicate::Gt(value) | Predicate::Lt(value) => is_definite(value),
            Predicate::In(values) => values.iter().all(is_definite),
            Predicate::Near { .. } | Predicate::NearOnPlane { .. } | Predicate::WithinCircle { .. } => true,
            Predicate::Within(_) | Predicate::Intersects(_) | Predicate::Exists(true) => true,
            _ => false,
        },
        _ => false,
    })
}

fn is_definite(value: &Bson) -> bool {
    !matches!(value, Bson::Null | Bson::Undefined | Bson::MinKey | Bson::MaxKey | Bson::RegularExpression(_))
}
