use bson::{Bson, RawDocumentBuf};
use serde::{Deserialize, Serialize};

use super::{Filter, Path};
use crate::model::ModelRef;

/// New documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Insert {
    /// Their model.
    pub model: ModelRef,
    /// The documents as stored, ids and timestamps filled in.
    pub documents: Vec<RawDocumentBuf>,
    /// Leave out documents that hit a unique index, in place of failing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_duplicates: bool,
}

/// A change to existing documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The model to change.
    pub model: ModelRef,
    /// Which documents.
    pub filter: Filter,
    /// What to change. Without any the documents are only found.
    pub changes: Vec<Change>,
    /// Every document that matches, or one.
    pub many: bool,
    /// What to insert where none matches: the fields that neither the filter nor the changes give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upsert: Option<RawDocumentBuf>,
    /// Which state to answer with; only without `many`.
    pub returning: Returning,
    /// Whether soft-deleted documents are changed too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
}

/// A change to the value at one path, as MongoDB's update operator of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// `$set`
    Set(Path, Bson),
    /// `$unset`
    Unset(Path),
    /// `$inc`
    Inc(Path, Bson),
    /// `$mul`
    Mul(Path, Bson),
    /// `$min`
    Min(Path, Bson),
    /// `$max`
    Max(Path, Bson),
    /// `$push` with `$each`
    Push(Path, Vec<Bson>),
    /// `$addToSet` with `$each`
    AddToSet(Path, Vec<Bson>),
    /// `$pullAll`
    Pull(Path, Vec<Bson>),
    /// `$pop`: the last element, or the first.
    Pop(Path, End),
}

impl Change {
    /// The stored path that changes.
    pub fn path(&self) -> &Path {
        match self {
            Change::Set(path, _)
            | Change::Unset(path)
            | Change::Inc(path, _)
            | Change::Mul(path, _)
            | Change::Min(path, _)
            | Change::Max(path, _)
            | Change::Push(path, _)
            | Change::AddToSet(path, _)
            | Change::Pull(path, _)
            | Change::Pop(path, _) => path,
        }
    }
}

/// An end of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The first element.
    First,
    /// The last element.
    Last,
}

/// Which state of a changed document is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Returning {
    /// Only how many.
    #[default]
    Nothing,
    /// As it was.
    Before,
    /// As it is now.
    After,
}

/// The end of documents, with what their relations ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delete {
    /// The model to delete from.
    pub model: ModelRef,
    /// Which documents.
    pub filter: Filter,
    /// Every document that matches, or one.
    pub many: bool,
    /// Answer with the document as it was (with soft delete: as it is now); only without `many`.
    pub returning: bool,
    /// Remove documents of models with soft delete for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
    /// The moment that soft deletes carry.
    pub now: bson::DateTime,
}
