//! `$bucket` and `$bucketAuto`: groups by ranges of values.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use super::Rows;
use super::accumulate::{Accumulator, State};
use super::context::Context;
use super::expr::{Expr, compare};
use super::granularity::Granularity;
use super::stages::amount;
use crate::collation;
use crate::keys;

/// What is computed of each bucket: `{count: {$sum: 1}}` where nothing is asked for.
fn outputs(form: &Document) -> Result<Vec<(String, Accumulator)>> {
    let count = doc! { "count": { "$sum": 1 } };
    let output = form.get_document("output").unwrap_or(&count);
    output.iter().map(|(name, form)| Ok((name.clone(), Accumulator::parse(name, form)?))).collect()
}

fn key(stage: &str, form: &Document) -> Result<Expr> {
    let by = form.get("groupBy").ok_or_else(|| Error::bad_request(format!("`{stage}` needs `groupBy`")))?;
    Expr::parse(by)
}

fn finish(id: Bson, fields: &[(String, Accumulator)], states: &[State]) -> Result<Document> {
    let mut out = doc! { "_id": id };
    for ((name, accumulator), state) in fields.iter().zip(states) {
        out.insert(name.clone(), accumulator.finish(state)?);
    }
    Ok(out)
}

/// Buckets between given bounds.
pub(super) fn bucket(cx: &Context<'_, '_>, rows: &Rows, form: &Document) -> Result<Rows> {
    let wrong = |what: &str| Error::bad_request(format!("the `boundaries` of `$bucket` {what}"));
    let bounds = form.get("boundaries").map(Expr::parse).transpose()?.and_then(|expr| expr.constant());
    let Some(Bson::Array(bounds)) = bounds else { return Err(wrong("are a list of constants")) };
    if bounds.len() < 2
        || !bounds.windows(2).all(|pair| compare(Some(&pair[0]), Some(&pair[1]), cx.strings()).is_lt())
    {
        return Err(wrong("are at least two values in ascending order"));
    }
    let default = form.get("default").map(Expr::parse).transpose()?.and_then(|expr| expr.constant());
    let (by, fields) = (key("$bucket", form)?, outputs(form)?);
    let mut buckets: BTreeMap<Vec<u8>, (Bson, Vec<State>)> = BTreeMap::new();
    for row in rows {
        cx.tick()?;
        let value = by.value(&cx.scope(row))?;
        let above = bounds.partition_point(|bound| compare(Some(bound), Some(&value), cx.strings()).is_le());
        let id = match (above, &default) {
            (above, _) if above > 0 && above < bounds.len() => bounds[above - 1].clone(),
            (_, Some(default)) => default.clone(),
            _ => {
                return Err(Error::bad_request(format!(
                    "{value} is in no bucket, and `$bucket` has no `default`"
                )));
            }
        };
        let empty = || (id.clone(), vec![State::default(); fields.len()]);
        let (_, states) = buckets.entry(collation::encoded(&id, cx.strings())).or_insert_with(empty);
        for ((_, accumulator), state) in fields.iter().zip(states) {
            accumulator.add(cx, state, &cx.scope(row))?;
        }
    }
    buckets.into_values().map(|(id, states)| finish(id, &fields, &states)).collect()
}

/// So many buckets of about the same number of documents.
pub(super) fn bucket_auto(cx: &Context<'_, '_>, rows: &Rows, form: &Document) -> Result<Rows> {
    let granularity = form.get("granularity").map(Granularity::named).transpose()?;
    let count = form.get("buckets").ok_or_else(|| Error::bad_request("`$bucketAuto` needs `buckets`"))?;
    let count = amount("$bucketAuto", count, 1)?;
    let (by, fields) = (key("$bucketAuto", form)?, outputs(form)?);
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        cx.tick()?;
        let value = by.value(&cx.scope(row))?;
        keyed.push((collation::encoded(&value, cx.strings()), value, row));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    let size = ((keyed.len() as f64 / count as f64).round() as usize).max(1);
    let (mut out, mut start, mut last_max) = (Vec::new(), 0, None);
    while start < keyed.len() {
        let last = out.len() + 1 == count;
        let end = if last { keyed.len() } else { (start + size).min(keyed.len()) };
        let (end, min, max) = match &granularity {
            None => whole_values(&keyed, start, end),
            Some(series) => round_values(&keyed, series, start, end, last_max.take())?,
        };
        let mut states = vec![State::default(); fields.len()];
        for (_, _, row) in &keyed[start..end] {
            for ((_, accumulator), state) in fields.iter().zip(&mut states) {
                accumulator.add(cx, state, &cx.scope(row))?;
            }
        }
        last_max = Some(max.clone());
        out.push(finish(doc! { "min": min, "max": max }.into(), &fields, &states)?);
        start = end;
    }
    Ok(out)
}

/// A row with its value, and what the value sorts by.
type Keyed<'r> = (Vec<u8>, Bson, &'r Document);

/// Where a bucket ends, and its bounds. Equal values are never divided.
fn whole_values(keyed: &[Keyed<'_>], start: usize, mut end: usize) -> (usize, Bson, Bson) {
    while end < keyed.len() && keyed[end].0 == keyed[end - 1].0 {
        end += 1;
    }
    let max = keyed.get(end).unwrap_or(&keyed[end - 1]).1.clone();
    (end, keyed[start].1.clone(), max)
}

/// As [`whole_values`], between round numbers: everything below the upper one is in the bucket.
fn round_values(
    keyed: &[Keyed<'_>],
    series: &Granularity,
    start: usize,
    mut end: usize,
    last_max: Option<Bson>,
) -> Result<(usize, Bson, Bson)> {
    let min = last_max.map_or_else(|| series.below(&keyed[start].1), Ok)?;
    let above = series.above(&keyed[end - 1].1)?;
    let bound = keys::encoded(&above);
    while keyed.get(end).is_some_and(|(key, ..)| *key < bound) {
        end += 1;
    }
    // Nothing is round below 0: a bucket of zeros ends where the next one begins.
    let max = match keyed.get(end) {
        Some((_, next, _)) if number(&above) == Some(0.0) => series.below(next)?,
        _ => above,
    };
    Ok((end, min, max))
}

fn number(value: &Bson) -> Option<f64> {
    keys::with_raw(value, forge_core::order::as_f64)
}
