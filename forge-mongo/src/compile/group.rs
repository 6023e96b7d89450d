//! Groups, as a pipeline.

use bson::{Bson, Document, doc};
use forge_core::ir::{Aggregate, Filter, Group, Operand, SortKey};
use forge_core::{Error, Result};

use super::{COUNTED, Place, artifact, checked_path, filter, is_nothing, nothing, sort};
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
    Ok(artifact(&op.model, Command::Aggregate { pipeline }).with(&op.options))
}

fn stages(op: &Group, condition: Document, having: Document) -> Result<Vec<Document>> {
    let mut stages = Vec::with_capacity(7);
    if !condition.is_empty() {
        stages.push(doc! { "$match": condition });
    }
    stages.extend(sort(&op.order, false)?.map(|order| doc! { "$sort": order }));
    let (mut group, mut shape) = (doc! { "_id": keys(op)? }, doc! { "_id": 0 });
    for i in 0..op.keys.len() {
        shape.insert(format!("k{i}"), format!("$_id.k{i}"));
    }
    for (i, aggregate) in op.aggregates.iter().enumerate() {
        group.insert(format!("a{i}"), accumulator(aggregate)?);
        shape.insert(format!("a{i}"), finished(aggregate, &format!("a{i}")));
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
    if op.counted {
        stages.push(doc! { "$count": COUNTED });
    }
    Ok(stages)
}

fn keys(op: &Group) -> Result<Bson> {
    if op.keys.is_empty() {
        return Ok(Bson::Null);
    }
    let mut keys = Document::new();
    for (i, key) in op.keys.iter().enumerate() {
        keys.insert(format!("k{i}"), doc! { "$ifNull": [operand(key)?, Bson::Null] });
    }
    Ok(keys.into())
}

/// An operand as an expression.
fn operand(operand: &Operand) -> Result<Bson> {
    match operand {
        Operand::Path(path) => Ok(format!("${}", checked_path(path)?).into()),
        Operand::Expr(expression) => Ok(expression.clone()),
    }
}

/// An aggregate as an accumulator of `$group`.
///
/// # Errors
/// As [`filter`].
pub(super) fn accumulator(aggregate: &Aggregate) -> Result<Document> {
    let over = |name: &str, of: &Operand| Ok(doc! { name: operand(of)? });
    match aggregate {
        Aggregate::Count => Ok(doc! { "$sum": 1 }),
        Aggregate::Sum(of) => over("$sum", of),
        Aggregate::Avg(of) => over("$avg", of),
        Aggregate::Min(of) => over("$min", of),
        Aggregate::Max(of) => over("$max", of),
        Aggregate::First(of) => over("$first", of),
        Aggregate::Last(of) => over("$last", of),
        Aggregate::AddToSet(of) | Aggregate::CountDistinct(of) => over("$addToSet", of),
        Aggregate::Push(of) => over("$push", of),
        Aggregate::StdDevPop(of) => over("$stdDevPop", of),
        Aggregate::StdDevSamp(of) => over("$stdDevSamp", of),
        Aggregate::Percentile(of, p) => percentile(of, p),
        Aggregate::Quantile(of, p) => percentile(of, &[*p]),
        Aggregate::Median(of) => Ok(doc! { "$median": { "input": operand(of)?, "method": "approximate" } }),
        Aggregate::Top { of, sort: keys, count, last } => top(operand(of)?, keys, *count, *last),
        Aggregate::Own(form) => Ok(form.clone()),
        other => Err(Error::internal(format!("this adapter does not know the aggregate {other:?}"))),
    }
}

fn percentile(of: &Operand, p: &[f64]) -> Result<Document> {
    if p.is_empty() || !p.iter().all(|p| (0.0..=1.0).contains(p)) {
        return Err(Error::bad_request(format!("percentiles are numbers within 0 and 1, not {p:?}")));
    }
    Ok(doc! { "$percentile": { "input": operand(of)?, "p": p.to_vec(), "method": "approximate" } })
}

fn top(of: Bson, keys: &[SortKey], count: Option<u32>, last: bool) -> Result<Document> {
    let order = sort(keys, false)?
        .ok_or_else(|| Error::bad_request("the first ones need an order to be first in"))?;
    let mut form = doc! { "sortBy": order, "output": of };
    let name = match (count, last) {
        (None, false) => "$top",
        (None, true) => "$bottom",
        (Some(_), false) => "$topN",
        (Some(_), true) => "$bottomN",
    };
    if let Some(count) = count {
        form.insert("n", i64::from(count));
    }
    Ok(doc! { name: form })
}

/// What the answer of an accumulator at `path` becomes.
pub(super) fn finished(aggregate: &Aggregate, path: &str) -> Bson {
    match aggregate {
        Aggregate::CountDistinct(_) => {
            doc! { "$size": { "$setDifference": [format!("${path}"), [Bson::Null]] } }.into()
        }
        Aggregate::Quantile(..) => doc! { "$first": format!("${path}") }.into(),
        _ => Bson::Int32(1),
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
