//! The stages that find and rank documents by themselves, and so come first.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use forge_core::{DateTime, Error, Result};

use super::accumulate::weight;
use super::context::Context;
use super::{Rows, nested};
use crate::catalog::Collection;
use crate::index::Uses;
use crate::keys;
use crate::text::SCORE;
use crate::vector;

/// How much the first places of a ranking are ahead of the others: MongoDB's constant of reciprocal rank fusion.
const RANK_CONSTANT: f64 = 60.0;

/// The rows of a search that a pipeline begins with, with their scores, and the stages after it.
pub(super) fn begin<'p>(
    cx: &Context<'_, '_>,
    collection: &str,
    pipeline: &'p [Document],
) -> Result<Option<(Rows, &'p [Document])>> {
    let Some((first, rest)) = pipeline.split_first() else { return Ok(None) };
    let Some((name, operand)) = first.iter().next() else { return Ok(None) };
    let view = cx.view()?;
    if let Some(found) = view.found(collection, first)? {
        let rows = found.into_iter().map(|(score, key)| {
            let row = view.with_score(&key, score)?;
            cx.charge(row.values().map(weight).sum())?;
            Ok(row)
        });
        return Ok(Some((rows.collect::<Result<_>>()?, rest)));
    }
    let rows = match (name.as_str(), operand) {
        ("$rankFusion", Bson::Document(stage)) => fused(cx, collection, stage)?,
        ("$listSearchIndexes", Bson::Document(stage)) => {
            let wanted = stage.get_str("name").ok();
            let found = cx.view()?.collection(collection).map(vector::listed).unwrap_or_default();
            found
                .into_iter()
                .filter(|index| wanted.is_none_or(|name| index.get_str("name").is_ok_and(|own| own == name)))
                .collect()
        }
        ("$indexStats", Bson::Document(stage)) if stage.is_empty() => {
            cx.view()?.collection(collection).map(|found| uses(cx, found)).transpose()?.unwrap_or_default()
        }
        _ => return Ok(None),
    };
    Ok(Some((rows, rest)))
}

/// How often each index was used, as `$indexStats` tells it.
fn uses(cx: &Context<'_, '_>, collection: &Collection) -> Result<Rows> {
    let since = cx.view()?.catalog.opened.unwrap_or(DateTime::UNIX_EPOCH);
    let row = |name: &str, key: Document, uses: &Uses, spec: Document| {
        let ops = i64::try_from(uses.total()).unwrap_or(i64::MAX);
        doc! {
            "name": name, "key": key, "host": "embedded", "accesses": { "ops": ops, "since": since }, "spec": spec
        }
    };
    let id = doc! { "_id": 1 };
    let spec = doc! { "v": 2, "key": id.clone(), "name": "_id_" };
    let mut rows = vec![row("_id_", id, &collection.id_uses, spec)];
    for index in collection.indexes.iter().filter(|index| index.vector.is_none()) {
        let key = index.spec.get_document("key").cloned().unwrap_or_default();
        rows.push(row(&index.name, key, &index.uses, index.spec.clone()));
    }
    Ok(rows)
}

fn fused(cx: &Context<'_, '_>, collection: &str, stage: &Document) -> Result<Rows> {
    let wrong = |what: &str| Error::bad_request(format!("`$rankFusion` {what}"));
    for option in stage.keys() {
        if !["input", "combination"].contains(&option.as_str()) {
            return Err(Error::unsupported(format!(
                "the embedded engine has no `{option}` in `$rankFusion`"
            )));
        }
    }
    let pipelines = stage.get_document("input").and_then(|input| input.get_document("pipelines"));
    let pipelines = pipelines.map_err(|_| wrong("takes input.pipelines"))?;
    let weights =
        stage.get_document("combination").and_then(|combination| combination.get_document("weights")).ok();
    let mut found: BTreeMap<Vec<u8>, (f64, Document)> = BTreeMap::new();
    for (name, stages) in pipelines {
        let weight = match weights.and_then(|weights| weights.get(name)) {
            None => 1.0,
            Some(weight) => keys::with_raw(weight, forge_core::order::as_f64)
                .filter(|weight| *weight >= 0.0)
                .ok_or_else(|| wrong("takes weights from 0"))?,
        };
        let stages = super::stages::stages_of("$rankFusion", stages)?;
        for (place, row) in nested(cx, collection, &stages)?.into_iter().enumerate() {
            let id = row.get("_id").map(keys::encoded).unwrap_or_default();
            let score = weight / (RANK_CONSTANT + 1.0 + place as f64);
            found.entry(id).or_insert((0.0, row)).0 += score;
        }
    }
    let mut rows: Vec<(f64, Document)> = found.into_values().collect();
    // Ties stay in the order of the ids.
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let scored = |(score, mut row): (f64, Document)| {
        row.insert(SCORE, score);
        row
    };
    Ok(rows.into_iter().map(scored).collect())
}
