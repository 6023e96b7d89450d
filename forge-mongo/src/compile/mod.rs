//! From the IR to [`MongoArtifact`]s: pure functions, no IO.
//!
//! Relation filters must have been resolved to conditions on keys before: meeting one is an `internal` error, never a
//! condition that matches everything.

mod element;
mod filter;
mod geo;
mod group;
mod join;
mod mapped;
mod pipeline;
mod scores;
mod search;
mod update;
mod window;

#[cfg(test)]
mod tests;

use bson::{Bson, Document, doc};
use forge_core::ir::{
    Count, Distinct, Filter, Path, Predicate, Projection, ReadOptions, SCORE, Select, SortKey,
};
use forge_core::model::{DELETED_AT, DELETED_WITH, ModelDef, UPDATED_AT};
use forge_core::{Error, Result};

pub use filter::{Place, filter};
pub use group::group;
pub use join::{
    COUNTED, Joined, Lookup, after, count_joined, distinct_joined, distinct_stages, group_joined, ids_joined,
    keys_joined, select_joined,
};
pub use pipeline::{begins_pipeline, pipeline, view};
pub(crate) use search::filter_paths;
pub use search::{can_join, search_index_name, search_joined, vector_index_name};
pub use update::{replace, update, upsert_fixes_id};
pub use window::{PerParent, count_per_parent, select_per_parent};

use crate::artifact::{Command, MongoArtifact};

/// The condition that no document meets. Executors answer it without a command.
pub fn nothing() -> Document {
    doc! { "_id": { "$in": [] } }
}

/// Whether `condition` is [`nothing`].
#[inline]
pub fn is_nothing(condition: &Document) -> bool {
    let finds_nothing =
        |id: &Document| id.len() == 1 && matches!(id.get("$in"), Some(Bson::Array(list)) if list.is_empty());
    condition.len() == 1 && matches!(condition.get("_id"), Some(Bson::Document(id)) if finds_nothing(id))
}

/// A `find`. `limit: Some(0)` finds [`nothing`]; sorts get `_id` as the last key where a page could end between ties.
///
/// # Errors
/// As [`filter`].
pub fn select(op: &Select) -> Result<MongoArtifact> {
    search::check_score(op)?;
    if let Some(search) = &op.search {
        return search::select(op, search);
    }
    let condition = if op.limit == Some(0) { nothing() } else { filter(&op.filter, Place::Find)? };
    let paged = op.limit.is_some() || op.skip.is_some();
    let mut fields = projection(&op.projection)?;
    if op.score {
        fields.get_or_insert_default().insert(SCORE, search::text_score());
    }
    let command = Command::Find {
        projection: fields,
        sort: sort(&op.sort, paged && !has_near(&op.filter))?,
        skip: op.skip.filter(|skip| *skip > 0),
        limit: op.limit.filter(|limit| *limit > 0),
        filter: condition,
    };
    Ok(artifact(&op.model, command).with(&op.options))
}

/// A `count`.
///
/// # Errors
/// As [`filter`].
pub fn count(op: &Count) -> Result<MongoArtifact> {
    let condition = if op.limit == Some(0) { nothing() } else { filter(&op.filter, Place::Elsewhere)? };
    let limit = op.limit.filter(|limit| *limit > 0);
    Ok(artifact(&op.model, Command::Count { filter: condition, limit, estimated: op.estimated })
        .with(&op.options))
}

/// A `distinct`. Which part of the values is wanted is the executor's: servers give all of them.
///
/// # Errors
/// As [`filter`].
pub fn distinct(op: &Distinct) -> Result<MongoArtifact> {
    let key = checked_path(&op.path)?.to_owned();
    let filter = if op.limit == Some(0) { nothing() } else { filter(&op.filter, Place::Elsewhere)? };
    Ok(artifact(&op.model, Command::Distinct { key, filter }).with(&op.options))
}

/// The removal of documents; `returning` is for one document.
///
/// # Errors
/// As [`filter`].
pub fn delete(model: &ModelDef, condition: &Filter, many: bool, returning: bool) -> Result<MongoArtifact> {
    let filter = filter(condition, Place::Elsewhere)?;
    let command = if returning && !many {
        Command::FindOneAndDelete { filter }
    } else {
        Command::Delete { filter, many }
    };
    Ok(artifact(model, command))
}

/// The soft delete of documents that are not deleted yet; `returning` is for one document, as it is then.
///
/// # Errors
/// As [`filter`].
pub fn soft_delete(
    model: &ModelDef,
    condition: &Filter,
    (now, mark): (bson::DateTime, Option<bson::oid::ObjectId>),
    many: bool,
    returning: bool,
) -> Result<MongoArtifact> {
    let condition = condition.clone().and(not_deleted());
    let filter = filter(&condition, Place::Elsewhere)?;
    let mut set = doc! { DELETED_AT: now };
    set.extend(mark.map(|mark| (DELETED_WITH.to_owned(), mark.into())));
    if model.timestamps {
        set.insert(UPDATED_AT, now);
    }
    let mut update = doc! { "$set": set };
    if let Some(version) = model.version {
        update.insert("$inc", doc! { version: 1_i64 });
    }
    let update = update.into();
    let command = if returning && !many {
        Command::FindOneAndUpdate { filter, update, upsert: false, return_after: true, sort: None }
    } else {
        Command::Update { filter, update, many, upsert: false }
    };
    Ok(artifact(model, command))
}

/// The condition that a document is not soft-deleted.
pub fn not_deleted() -> Filter {
    Filter::eq(DELETED_AT, Bson::Null)
}

/// Whether the order of the documents is that of their distance.
pub(crate) fn has_near(filter: &Filter) -> bool {
    match filter {
        Filter::And(list) => list.iter().any(has_near),
        Filter::Field(_, Predicate::Near { .. } | Predicate::NearOnPlane { .. }) => true,
        _ => false,
    }
}

pub(crate) fn artifact(model: &ModelDef, command: Command) -> MongoArtifact {
    MongoArtifact::new(model.collection, command)
}

impl MongoArtifact {
    /// The same with these options.
    #[must_use]
    pub(crate) fn with(mut self, options: &ReadOptions) -> Self {
        // As a rule there are none, and the copy of nothing is the most of what would be done.
        if !options.is_default() {
            self.options.clone_from(options);
        }
        self
    }
}

/// `path`, where the server cannot take it for an operator.
fn checked_path(path: &str) -> Result<&str> {
    if path.is_empty() || path.starts_with('$') || path.contains('\0') {
        return Err(Error::bad_request(format!("{path:?} is not the path of a field")));
    }
    Ok(path)
}

fn sort(keys: &[SortKey], break_ties: bool) -> Result<Option<Document>> {
    if keys.is_empty() {
        return Ok(None);
    }
    let mut sort = Document::new();
    for key in keys {
        let path = checked_path(&key.path)?;
        // The first mention of a path decides; a second would silently replace its direction.
        if path == SCORE {
            sort.insert(path, search::text_score());
        } else if !sort.contains_key(path) {
            sort.insert(path, if key.descending { -1 } else { 1 });
        }
    }
    if break_ties && !sort.contains_key("_id") {
        sort.insert("_id", 1);
    }
    Ok(Some(sort))
}

fn projection(projection: &Projection) -> Result<Option<Document>> {
    let (paths, wanted) = match projection {
        Projection::All => return Ok(None),
        Projection::Except(paths) if paths.is_empty() => return Ok(None),
        Projection::Except(paths) => (paths, 0),
        Projection::Only(paths) => (paths, 1),
    };
    let mut fields = Document::new();
    for path in outermost(paths) {
        fields.insert(checked_path(path)?, wanted);
    }
    if fields.is_empty() {
        fields.insert("_id", 1);
    }
    Ok(Some(fields))
}

/// The paths that no other path contains: MongoDB refuses `{a: 1, "a.b": 1}`.
fn outermost(paths: &[Path]) -> impl Iterator<Item = &Path> {
    paths.iter().filter(|path| !paths.iter().any(|other| is_inside(path, other)))
}

/// Whether `path` is a part of `outer`: `a.b` is inside of `a`.
pub(crate) fn is_inside(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}
