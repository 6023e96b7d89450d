//! The documents of many parents with a limit for each parent, in one command.

use bson::{Document, doc};
use forge_core::ir::{Filter, Projection, ReadOptions, Select};
use forge_core::model::ModelDef;
use forge_core::{Error, Result};

use super::{Place, artifact, checked_path, filter, is_nothing, nothing, projection, sort};
use crate::artifact::{Command, MongoArtifact};

/// The name under which documents are numbered inside the pipeline.
const NUMBER: &str = "__forge_n";

/// How many documents each parent gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerParent<'a> {
    /// The stored path that holds the parent's key.
    pub key: &'a str,
    /// How many to pass over.
    pub skip: u64,
    /// At most how many.
    pub limit: Option<u64>,
}

/// An `aggregate` over `select`, whose filter holds the keys of the parents. Its sort counts within a parent (by `_id`
/// without one); the answer holds the documents of all parents mixed, those of one parent in order.
///
/// # Errors
/// As [`filter`].
pub fn select_per_parent(select: &Select, per_parent: PerParent<'_>) -> Result<MongoArtifact> {
    let condition = filter(&select.filter, Place::Elsewhere)?;
    let pipeline = if per_parent.limit == Some(0) || is_nothing(&condition) {
        vec![doc! { "$match": nothing() }]
    } else {
        stages(select, condition, per_parent)?
    };
    Ok(artifact(&select.model, Command::Aggregate { pipeline }).with(&select.options))
}

fn stages(select: &Select, condition: Document, per_parent: PerParent<'_>) -> Result<Vec<Document>> {
    let order = sort(&select.sort, true)?.unwrap_or_else(|| doc! { "_id": 1 });
    let last = match projection(&select.projection)? {
        Some(mut fields) if matches!(select.projection, Projection::Except(_)) => {
            fields.insert(NUMBER, 0);
            doc! { "$project": fields }
        }
        Some(fields) => doc! { "$project": fields },
        None => doc! { "$unset": NUMBER },
    };
    Ok(vec![
        doc! { "$match": condition },
        doc! { "$setWindowFields": {
            "partitionBy": format!("${}", checked_path(per_parent.key)?),
            "sortBy": order,
            "output": { NUMBER: { "$documentNumber": {} } },
        } },
        doc! { "$match": { NUMBER: window(per_parent)? } },
        // `$setWindowFields` promises numbers, not an order.
        doc! { "$sort": { NUMBER: 1 } },
        last,
    ])
}

fn window(per_parent: PerParent<'_>) -> Result<Document> {
    let number = |n: Option<u64>| {
        n.and_then(|n| i64::try_from(n).ok())
            .ok_or_else(|| Error::bad_request("skip and limit of an include are too large"))
    };
    let mut window = Document::new();
    if per_parent.skip > 0 || per_parent.limit.is_none() {
        window.insert("$gt", number(Some(per_parent.skip))?);
    }
    if let Some(limit) = per_parent.limit {
        window.insert("$lte", number(per_parent.skip.checked_add(limit))?);
    }
    Ok(window)
}

/// An `aggregate` that answers with `{_id: key, n: count}` for each key of the documents that match.
///
/// # Errors
/// As [`filter`].
pub fn count_per_parent(
    model: &ModelDef,
    condition: &Filter,
    key: &str,
    options: &ReadOptions,
) -> Result<MongoArtifact> {
    let condition = filter(condition, Place::Elsewhere)?;
    let pipeline = if is_nothing(&condition) {
        vec![doc! { "$match": nothing() }]
    } else {
        let key = format!("${}", checked_path(key)?);
        vec![doc! { "$match": condition }, doc! { "$group": { "_id": key, "n": { "$sum": 1 } } }]
    };
    Ok(artifact(model, Command::Aggregate { pipeline }).with(options))
}
