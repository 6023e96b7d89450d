use serde::{Deserialize, Serialize};

use super::{Filter, Path, ReadOptions, Search};
use crate::model::ModelRef;

/// One sort key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    /// The stored path.
    pub path: Path,
    /// From large to small.
    pub descending: bool,
}

/// Which fields of the documents are wanted. Executors add what they need to join, and never more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// Whole documents.
    #[default]
    All,
    /// These stored paths (and `_id`).
    Only(Vec<Path>),
    /// All but these stored paths.
    Except(Vec<Path>),
}

/// Documents of one model, with related ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Select {
    /// The model to read.
    pub model: ModelRef,
    /// Which documents.
    pub filter: Filter,
    /// In which order. An executor adds `_id` where ties would make pages unstable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<SortKey>,
    /// How many to pass over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u64>,
    /// At most how many; `Some(0)` is none at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Which fields.
    #[serde(default)]
    pub projection: Projection,
    /// Which related documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Include>,
    /// Whether soft-deleted documents are read as well, at this level.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
    /// How it is run.
    #[serde(default, skip_serializing_if = "ReadOptions::is_default")]
    pub options: ReadOptions,
    /// What finds and ranks the documents, beside the filter. Without a sort the best come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Box<Search>>,
    /// Whether each row carries its score, in the field [`SCORE`](super::SCORE).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub score: bool,
}

impl Select {
    /// All documents of `model`.
    pub fn new(model: ModelRef) -> Self {
        Self {
            model,
            filter: Filter::All,
            sort: Vec::new(),
            skip: None,
            limit: None,
            projection: Projection::All,
            include: Vec::new(),
            with_deleted: false,
            options: ReadOptions::default(),
            search: None,
            score: false,
        }
    }
}

/// Related documents to read along with their parents: one command for all parents, whatever the options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Include {
    /// The position in the relations of the parent's model.
    pub relation: usize,
    /// What to read of the target. `sort`, `skip` and `limit` count per parent.
    pub select: Select,
    /// Only how many related documents each parent has: those that match the filter, whatever the limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub count: bool,
}

impl Include {
    /// All documents of the relation at `relation`, which leads to `target`.
    pub fn new(relation: usize, target: ModelRef) -> Self {
        Self { relation, select: Select::new(target), count: false }
    }
}

/// How many documents match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// The model to count.
    pub model: ModelRef,
    /// Which documents.
    pub filter: Filter,
    /// Count no further than this: `Some(1)` asks whether there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Whether soft-deleted documents count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
    /// Whether the number may be what the database keeps of the whole collection, where nothing narrows the count: at
    /// once, and a little off after a crash or among shards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// How it is run.
    #[serde(default, skip_serializing_if = "ReadOptions::is_default")]
    pub options: ReadOptions,
}

impl Count {
    /// All documents of `model` that match.
    pub fn new(model: ModelRef, filter: Filter) -> Self {
        Self {
            model,
            filter,
            limit: None,
            with_deleted: false,
            estimated: false,
            options: ReadOptions::default(),
        }
    }
}

/// The distinct values of one path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distinct {
    /// The model to read.
    pub model: ModelRef,
    /// The stored path. The elements of arrays count one by one.
    pub path: Path,
    /// Which documents.
    pub filter: Filter,
    /// From the largest value to the smallest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descending: bool,
    /// How many values to pass over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u64>,
    /// At most how many values: of the distinct ones, not of the documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How many values there are, in place of them: the answer is a count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counted: bool,
    /// Whether soft-deleted documents are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
    /// How it is run.
    #[serde(default, skip_serializing_if = "ReadOptions::is_default")]
    pub options: ReadOptions,
}

impl Distinct {
    /// The distinct values of `path` in all documents of `model`.
    pub fn new(model: ModelRef, path: impl Into<Path>) -> Self {
        Self {
            model,
            path: path.into(),
            filter: Filter::All,
            descending: false,
            skip: None,
            limit: None,
            counted: false,
            with_deleted: false,
            options: ReadOptions::default(),
        }
    }
}
