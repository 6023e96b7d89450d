//! Arrays as sets. The elements of results stand in the order of values.

use std::collections::BTreeMap;

use bson::Bson;
use forge_core::Result;

use super::{Nulls, Operator, Value, argument, array, comparing};
use crate::collation::{self, Strings};

type Set = BTreeMap<Vec<u8>, Bson>;

fn set(value: &Bson, strings: Strings<'_>) -> Result<Set> {
    Ok(array(value)?.iter().map(|item| (collation::encoded(item, strings), item.clone())).collect())
}

fn list(set: Set) -> Result<Value> {
    Ok(Some(Bson::Array(set.into_values().collect())))
}

pub(super) static OPERATORS: [Operator; 5] = [
    comparing("$setUnion", (0, usize::MAX), Nulls::Null, |values, strings| {
        let mut union = Set::new();
        for value in values.iter().flatten() {
            for (key, item) in set(value, strings)? {
                union.entry(key).or_insert(item);
            }
        }
        list(union)
    }),
    comparing("$setIntersection", (0, usize::MAX), Nulls::Null, |values, strings| {
        let mut sets = values.iter().flatten().map(|value| set(value, strings));
        let mut common = sets.next().transpose()?.unwrap_or_default();
        for other in sets {
            let other = other?;
            common.retain(|key, _| other.contains_key(key));
        }
        list(common)
    }),
    comparing("$setDifference", (2, 2), Nulls::Null, |values, strings| {
        let without = set(argument(values, 1), strings)?;
        let mut seen = Set::new();
        let mut kept = Vec::new();
        for item in array(argument(values, 0))? {
            let key = collation::encoded(item, strings);
            if !without.contains_key(&key) && seen.insert(key, Bson::Null).is_none() {
                kept.push(item.clone());
            }
        }
        Ok(Some(Bson::Array(kept)))
    }),
    comparing("$setEquals", (2, usize::MAX), Nulls::Asked, |values, strings| {
        let first = set(argument(values, 0), strings)?;
        for position in 1..values.len() {
            if !set(argument(values, position), strings)?.keys().eq(first.keys()) {
                return Ok(Some(false.into()));
            }
        }
        Ok(Some(true.into()))
    }),
    comparing("$setIsSubset", (2, 2), Nulls::Asked, |values, strings| {
        let whole = set(argument(values, 1), strings)?;
        Ok(Some(set(argument(values, 0), strings)?.keys().all(|key| whole.contains_key(key)).into()))
    }),
];
