use bson::{Bson, Document, RawDocumentBuf};
use serde::{Deserialize, Serialize};

use super::{Collation, Filter, Path, SortKey};
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
    /// What to change. Without any, and without a `pipeline`, the documents are only found.
    pub changes: Vec<Change>,
    /// The conditions of the `$[name]` in the paths of `changes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<ElementFilter>,
    /// The stages that compute the new state, in place of `changes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipeline: Vec<Document>,
    /// Which one is meant, where several match; only without `many`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<SortKey>,
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
    /// How strings compare, in the condition, the order and the changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<Collation>,
}

impl Update {
    /// An update of one document that changes nothing yet.
    pub fn new(model: ModelRef, filter: Filter) -> Self {
        Self {
            model,
            filter,
            changes: Vec::new(),
            elements: Vec::new(),
            pipeline: Vec::new(),
            sort: Vec::new(),
            many: false,
            upsert: None,
            returning: Returning::Nothing,
            with_deleted: false,
            collation: None,
        }
    }

    /// Whether it changes documents that exist already.
    pub fn changes_anything(&self) -> bool {
        !self.changes.is_empty() || !self.pipeline.is_empty()
    }
}

/// Which elements of an array `$[name]` stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ElementFilter {
    /// The name: a small letter, then letters and digits.
    pub name: String,
    /// The condition; its paths start at the element, the empty path is the element itself.
    pub filter: Filter,
}

/// A whole new state of one document, in place of what it was. The answer holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replace {
    /// The model.
    pub model: ModelRef,
    /// Which document.
    pub filter: Filter,
    /// Every field but the id. The time of creation and the version are those of the stored document.
    pub document: RawDocumentBuf,
    /// Whether a soft-deleted document is replaced too.
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
    /// `$push` with `$each` and options
    PushWith(Path, Vec<Bson>, PushOptions),
    /// `$addToSet` with `$each`
    AddToSet(Path, Vec<Bson>),
    /// `$pullAll`
    Pull(Path, Vec<Bson>),
    /// `$pull`: the elements that match; paths start at the element, the empty path is the element itself.
    PullWhere(Path, Filter),
    /// `$pop`: the last element, or the first.
    Pop(Path, End),
    /// `$rename` to the second path
    Rename(Path, Path),
    /// `$currentDate`
    CurrentDate(Path),
    /// `$bit`
    Bit(Path, BitOp, Bson),
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
            | Change::PushWith(path, ..)
            | Change::Pull(path, _)
            | Change::PullWhere(path, _)
            | Change::Pop(path, _)
            | Change::Rename(path, _)
            | Change::CurrentDate(path)
            | Change::Bit(path, ..) => path,
        }
    }

    /// The second path that changes, of the changes that have one.
    pub fn other_path(&self) -> Option<&Path> {
        match self {
            Change::Rename(_, to) => Some(to),
            _ => None,
        }
    }

    /// The same change of the paths that `place` makes of its own.
    #[must_use]
    pub fn moved(mut self, place: impl Fn(&str) -> String) -> Self {
        if let Change::Rename(_, to) = &mut self {
            *to = place(to).into();
        }
        let path = self.path_mut();
        *path = place(path).into();
        self
    }

    fn path_mut(&mut self) -> &mut Path {
        match self {
            Change::Set(path, _)
            | Change::Unset(path)
            | Change::Inc(path, _)
            | Change::Mul(path, _)
            | Change::Min(path, _)
            | Change::Max(path, _)
            | Change::Push(path, _)
            | Change::AddToSet(path, _)
            | Change::PushWith(path, ..)
            | Change::Pull(path, _)
            | Change::PullWhere(path, _)
            | Change::Pop(path, _)
            | Change::Rename(path, _)
            | Change::CurrentDate(path)
            | Change::Bit(path, ..) => path,
        }
    }
}

/// What becomes of the array after elements were added, in this order: place, order, length.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PushOptions {
    /// Where the first new element goes; counted from the end where negative. None: at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// The order of all elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<PushSort>,
    /// How many elements stay: the first ones, or the last ones where negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<i64>,
}

/// The order of the elements of an array.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushSort {
    /// By the elements themselves.
    Values {
        /// From large to small.
        descending: bool,
    },
    /// By fields of the elements.
    Paths(Vec<SortKey>),
}

/// An operation on the bits of a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BitOp {
    /// Bits that both have.
    And,
    /// Bits that one of them has.
    Or,
    /// Bits that only one of them has.
    Xor,
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
    /// Tell what would go, and delete nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The moment that soft deletes carry.
    pub now: bson::DateTime,
    /// What soft deletes carry that take others along, so that a restore finds exactly those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<bson::oid::ObjectId>,
    /// How strings compare in the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<Collation>,
}

impl Delete {
    /// The end of one document, without an answer and without a mark.
    pub fn new(model: ModelRef, filter: Filter, now: bson::DateTime) -> Self {
        Self {
            model,
            filter,
            many: false,
            returning: false,
            purge: false,
            dry_run: false,
            now,
            mark: None,
            collation: None,
        }
    }
}

/// What a delete would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// What would become of the documents of each model: children before their parents.
    pub models: Vec<Affected>,
    /// The relations that keep the delete from happening, where there are any.
    pub restricted: Vec<Affected>,
    /// Whether everything was looked at. More than a million documents are not.
    pub complete: bool,
}

/// What a delete does to documents of one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Affected {
    /// The model.
    pub model: ModelRef,
    /// The relation that makes it so; none for the documents that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<&'static str>,
    /// What becomes of them.
    pub fate: Fate,
    /// How many documents there are.
    pub count: u64,
    /// The ids of some of them.
    pub sample: Vec<Bson>,
}

/// What a delete does to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It is removed.
    Removed,
    /// It is marked as deleted.
    SoftDeleted,
    /// Its key is cleared.
    Cleared,
    /// It stays, and so does what it refers to.
    Restricts,
}
