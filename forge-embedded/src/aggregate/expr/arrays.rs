//! Operators on arrays.

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::{
    Apply, Named, Nulls, Operator, Value, argument, array, compare, comparing, is_nothing, length, number,
    operator, whole,
};
use crate::aggregate::accumulate;
use crate::collation::{self, Strings};
use crate::keys;
use crate::query::sort_keys;

pub(super) static OPERATORS: [Operator; 18] = [
    operator("$size", (1, 1), Nulls::Asked, |values| Ok(Some(length(array(argument(values, 0))?.len())))),
    operator("$arrayElemAt", (2, 2), Nulls::Null, element_at),
    operator("$first", (1, 1), Nulls::Null, |values| Ok(array(argument(values, 0))?.first().cloned())),
    operator("$last", (1, 1), Nulls::Null, |values| Ok(array(argument(values, 0))?.last().cloned())),
    operator("$slice", (2, 3), Nulls::Null, slice),
    operator("$concatArrays", (0, usize::MAX), Nulls::Null, |values| {
        let parts = values.iter().flatten().map(|value| array(value).map(<[Bson]>::to_vec));
        Ok(Some(Bson::Array(parts.collect::<Result<Vec<_>>>()?.concat())))
    }),
    operator("$reverseArray", (1, 1), Nulls::Null, |values| {
        Ok(Some(Bson::Array(array(argument(values, 0))?.iter().rev().cloned().collect())))
    }),
    comparing("$indexOfArray", (2, 4), Nulls::Asked, index_of),
    operator("$range", (2, 3), Nulls::Asked, range),
    operator("$arrayToObject", (1, 1), Nulls::Null, |values| to_object(argument(values, 0))),
    operator("$sum", (0, usize::MAX), Nulls::Asked, |values| accumulated("$sum", values, None)),
    operator("$avg", (0, usize::MAX), Nulls::Asked, |values| accumulated("$avg", values, None)),
    comparing("$min", (0, usize::MAX), Nulls::Asked, |values, strings| accumulated("$min", values, strings)),
    comparing("$max", (0, usize::MAX), Nulls::Asked, |values, strings| accumulated("$max", values, strings)),
    operator("$stdDevPop", (0, usize::MAX), Nulls::Asked, |values| accumulated("$stdDevPop", values, None)),
    operator("$stdDevSamp", (0, usize::MAX), Nulls::Asked, |values| accumulated("$stdDevSamp", values, None)),
    operator("$allElementsTrue", (1, 1), Nulls::Asked, |values| {
        let all = array(argument(values, 0))?.iter().all(|item| super::truthy(Some(item)));
        Ok(Some(all.into()))
    }),
    operator("$anyElementTrue", (1, 1), Nulls::Asked, |values| {
        let any = array(argument(values, 0))?.iter().any(|item| super::truthy(Some(item)));
        Ok(Some(any.into()))
    }),
];

pub(super) static NAMED: [Named; 7] = [
    Named {
        name: "$firstN",
        parameters: &["input", "n"],
        apply: Apply::Alone(|values| some(values, |items, n| items[..n].to_vec())),
    },
    Named {
        name: "$lastN",
        parameters: &["input", "n"],
        apply: Apply::Alone(|values| some(values, |items, n| items[items.len() - n..].to_vec())),
    },
    Named {
        name: "$minN",
        parameters: &["input", "n"],
        apply: Apply::Comparing(|values, strings| extreme(values, false, strings)),
    },
    Named {
        name: "$maxN",
        parameters: &["input", "n"],
        apply: Apply::Comparing(|values, strings| extreme(values, true, strings)),
    },
    Named { name: "$sortArray", parameters: &["input", "sortBy"], apply: Apply::Comparing(sorted) },
    Named {
        name: "$percentile",
        parameters: &["input", "p", "method?"],
        apply: Apply::Alone(|values| {
            let wanted = percentiles(argument(values, 1))?;
            let numbers = doubles(argument(values, 0));
            Ok(Some(Bson::Array(wanted.into_iter().map(|p| percentile_of(&numbers, p)).collect())))
        }),
    },
    Named {
        name: "$median",
        parameters: &["input", "method?"],
        apply: Apply::Alone(|values| Ok(Some(percentile_of(&doubles(argument(values, 0)), 0.5)))),
    },
];

fn element_at(values: &[Value]) -> Result<Value> {
    let items = array(argument(values, 0))?;
    let position = whole(argument(values, 1))?;
    let position = if position < 0 { position + items.len() as i64 } else { position };
    Ok(usize::try_from(position).ok().and_then(|position| items.get(position)).cloned())
}

fn slice(values: &[Value]) -> Result<Value> {
    let items = array(argument(values, 0))?;
    let first = whole(argument(values, 1))?;
    let from_start = |position: i64| {
        let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        if position < 0 { items.len().saturating_sub(distance) } else { distance.min(items.len()) }
    };
    let (start, end) = match values.get(2) {
        None if first < 0 => (from_start(first), items.len()),
        None => (0, from_start(first)),
        Some(_) => {
            let amount = whole(argument(values, 2))?;
            if amount <= 0 {
                return Err(Error::bad_request("the third argument is a number from 1"));
            }
            let start = from_start(first);
            (start, start.saturating_add(usize::try_from(amount).unwrap_or(usize::MAX)).min(items.len()))
        }
    };
    Ok(Some(Bson::Array(items[start..end].to_vec())))
}

fn index_of(values: &[Value], strings: Strings<'_>) -> Result<Value> {
    if is_nothing(&values[0]) {
        return Ok(Some(Bson::Null));
    }
    let items = array(argument(values, 0))?;
    let bound = |at: usize, otherwise: usize| match values.get(at) {
        None => Ok(otherwise),
        Some(_) => usize::try_from(whole(argument(values, at))?)
            .map_err(|_| Error::bad_request("the bounds are whole numbers from 0")),
    };
    let (start, end) = (bound(2, 0)?, bound(3, usize::MAX)?.min(items.len()));
    let found = items
        .iter()
        .enumerate()
        .take(end)
        .skip(start)
        .find(|(_, item)| compare(Some(item), values[1].as_ref(), strings).is_eq());
    Ok(Some(found.map_or(Bson::Int32(-1), |(at, _)| length(at))))
}

/// The most numbers that `$range` makes.
const MAX_RANGE: u128 = 1_000_000;

fn range(values: &[Value]) -> Result<Value> {
    let (start, end) = (whole(argument(values, 0))?, whole(argument(values, 1))?);
    let step = if values.len() > 2 { whole(argument(values, 2))? } else { 1 };
    if step == 0 {
        return Err(Error::bad_request("the step is not 0"));
    }
    let span = i128::from(end) - i128::from(start);
    let count =
        if (span > 0) == (step > 0) { span.unsigned_abs().div_ceil(step.unsigned_abs().into()) } else { 0 };
    if count > MAX_RANGE {
        return Err(Error::too_large(format!("a range has at most {MAX_RANGE} numbers")));
    }
    let numbers = (0..count as i64).map(|at| super::integer(start + at * step));
    Ok(Some(Bson::Array(numbers.collect())))
}

fn to_object(value: &Bson) -> Result<Value> {
    let wrong = |item: &Bson| {
        Error::bad_request(format!("each element is {{k: name, v: value}} or [name, value], not {item}"))
    };
    let mut out = Document::new();
    for item in array(value)? {
        let (name, value) = match item {
            Bson::Document(pair) => (pair.get("k"), pair.get("v")),
            Bson::Array(pair) if pair.len() == 2 => (pair.first(), pair.get(1)),
            other => return Err(wrong(other)),
        };
        match (name, value) {
            (Some(Bson::String(name)), Some(value)) if !name.contains('\0') => {
                out.insert(name.clone(), value.clone())
            }
            _ => return Err(wrong(item)),
        };
    }
    Ok(Some(Bson::Document(out)))
}

/// An accumulator over the elements of the only argument, or over the arguments.
fn accumulated(name: &str, values: &[Value], strings: Strings<'_>) -> Result<Value> {
    match values {
        [Some(Bson::Array(items))] => {
            accumulate::over(name, items.iter().cloned().map(Some), strings).map(Some)
        }
        values => accumulate::over(name, values.iter().cloned(), strings).map(Some),
    }
}

fn count_of(value: &Bson) -> Result<usize> {
    let count = whole(value)?;
    usize::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| Error::bad_request(format!("`n` is a whole number from 1, not {count}")))
}

fn some(values: &[Value], take: fn(&[Bson], usize) -> Vec<Bson>) -> Result<Value> {
    let items = array(argument(values, 0))?;
    Ok(Some(Bson::Array(take(items, count_of(argument(values, 1))?.min(items.len())))))
}

fn extreme(values: &[Value], largest: bool, strings: Strings<'_>) -> Result<Value> {
    let items =
        array(argument(values, 0))?.iter().filter(|item| !matches!(item, Bson::Null | Bson::Undefined));
    let mut keyed: Vec<_> = items.map(|item| (collation::encoded(item, strings), item)).collect();
    keyed.sort_by(|a, b| if largest { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
    let count = count_of(argument(values, 1))?;
    Ok(Some(Bson::Array(keyed.into_iter().take(count).map(|(_, item)| item.clone()).collect())))
}

fn sorted(values: &[Value], strings: Strings<'_>) -> Result<Value> {
    if is_nothing(&values[0]) {
        return Ok(Some(Bson::Null));
    }
    let items = array(argument(values, 0))?;
    let mut keyed = Vec::with_capacity(items.len());
    match argument(values, 1) {
        Bson::Document(order) => {
            let order = sort_keys(Some(order))?;
            for item in items {
                let document = item.as_document().cloned().unwrap_or_default();
                keyed.push((keys::sort_key(&keys::to_raw(&document)?, &order, strings), item));
            }
        }
        direction => {
            let descending = match whole(direction)? {
                1 => false,
                -1 => true,
                other => {
                    return Err(Error::bad_request(format!("`sortBy` is 1, -1 or a document, not {other}")));
                }
            };
            for item in items {
                let mut key = collation::encoded(item, strings);
                if descending {
                    keys::invert(&mut key);
                }
                keyed.push((key, item));
            }
        }
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Some(Bson::Array(keyed.into_iter().map(|(_, item)| item.clone()).collect())))
}

/// The percentiles that are asked for: numbers within 0 and 1.
pub(in crate::aggregate) fn percentiles(value: &Bson) -> Result<Vec<f64>> {
    let wrong =
        || Error::bad_request(format!("percentiles are a list of numbers within 0 and 1, not {value}"));
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    list.iter().map(|p| number(p).ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(wrong)).collect()
}

/// The numbers of an array, sorted; a number alone is an array of one.
fn doubles(value: &Bson) -> Vec<f64> {
    let items = match value {
        Bson::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut numbers: Vec<f64> = items.iter().filter_map(|item| number(item).ok()).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// The smallest of the sorted numbers that `p` of them do not exceed; null of none.
pub(in crate::aggregate) fn percentile_of(numbers: &[f64], p: f64) -> Bson {
    let rank = (p * numbers.len() as f64).ceil() as usize;
    numbers.get(rank.saturating_sub(1)).map_or(Bson::Null, |number| Bson::Double(*number))
}
