//! Groups, as a pipeline.

use bson::{Bson, Document, doc};
use forge_core::ir::{Aggregate, Filter, Group, SortKey};
use forge_core::{Error, Result};

use super::{Place, artifact, checked_path, filter, is_nothing, nothing, sort};
use crate::artifact::{Command, MongoArtifact};

/// An `aggregate` that answers with `k0`…, `a0`…. Null and missing keys are one group.
///
/// Where nothing can be found, the pipeline is a single `$match` of [`nothing`].
///
/// # Errors
/// As [`filter`].
pub fn group(op: &Group) -> Result<MongoArtifact> {
    let condition = filter(&op.filter, Place::Elsewhere)?;
    let having = filter(&op.having, Place::Elsewhere)?;
    let pipeline = if op.limit == Some(0) || is_nothing(&condition) || is_nothing(&having) {
        vec![doc! { "$match": nothing() }]
    } else {
        stages(op, condition, having)?
    };
    Ok(artifact(&op.model, Command::Aggregate { pipeline }))
}

fn stages(op: &Group, condition: Document, having: Document) -> Result<Vec<Document>> {
    let mut stages = Vec::with_capacity(7);
    if !condition.is_empty() {
        stages.push(doc! { "$match": condition });
    }
    let (mut group, mut shape) = (doc! { "_id": keys(op)? }, doc! { "_id": 0 });
    for i in 0..op.keys.len() {
        shape.insert(format!("k{i}"), format!("$_id.k{i}"));
    }
    for (i, aggregate) in op.aggregates.iter().enumerate() {
        group.insert(format!("a{i}"), accumulator(aggregate)?);
        shape.insert(format!("a{i}"), 1);
    }
    stages.push(doc! { "$group": group });
    // Without keys and aggregates only `_id: null` is left to answer with, and a shape of nothing is not allowed.
    if shape.len() > 1 {
        stages.push(doc! { "$project": shape });
    }
    if op.having != Filter::All && !having.is_empty() {
        stages.push(doc! { "$match": having });
    }
    stages.extend(order(op)?.map(|order| doc! { "$sort": order }));
    stages.extend(amount("$skip", op.skip.filter(|skip| *skip > 0))?);
    stages.extend(amount("$limit", op.limit)?);
    Ok(stages)
}

fn keys(op: &Group) -> Result<Bson> {
    if op.keys.is_empty() {
        return Ok(Bson::Null);
    }
    let mut keys = Document::new();
    for (i, path) in op.keys.iter().enumerate() {
        let field = format!("${}", checked_path(path)?);
        keys.insert(format!("k{i}"), doc! { "$ifNull": [field, Bson::Null] });
    }
    Ok(keys.into())
}

fn accumulator(aggregate: &Aggregate) -> Result<Document> {
    let over = |name: &str, path: &str| Ok(doc! { name: format!("${}", checked_path(path)?) });
    match aggregate {
        Aggregate::Count => Ok(doc! { "$sum": 1 }),
        Aggregate::Sum(path) => over("$sum", path),
        Aggregate::Avg(path) => over("$avg", path),
        Aggregate::Min(path) => over("$min", path),
        Aggregate::Max(path) => over("$max", path),
        other => Err(Error::internal(format!("this adapter does not know the aggregate {other:?}"))),
    }
}

/// The order, with the keys as the last word where a page could end between equal groups.
fn order(op: &Group) -> Result<Option<Document>> {
    let paged = op.limit.is_some() || op.skip.is_some();
    if op.sort.is_empty() || !paged {
        return sort(&op.sort, false);
    }
    let ties = (0..op.keys.len()).map(|i| SortKey { path: format!("k{i}").into(), descending: false });
    let all: Vec<_> = op.sort.iter().cloned().chain(ties).collect();
    sort(&all, false)
}

/// A `$skip` or `$limit` stage.
pub(super) fn amount(stage: &str, amount: Option<u64>) -> Result<Option<Document>> {
    let Some(amount) = amount else { return Ok(None) };
    let amount = i64::try_from(amount).map_err(|_| {
        Error::bad_request(format!("a {} of {amount} is too large", stage.trim_start_matches('$')))
    })?;
    Ok(Some(doc! { stage: amount }))
}
