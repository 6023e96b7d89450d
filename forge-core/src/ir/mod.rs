//! The intermediate representation: what a builder asks for, as plain data, the same for every engine.
//!
//! Paths are stored names (`_id`, `createdAt`, `legs.distance`). Values are BSON. Everything serializes, so that
//! operations can be printed, compared and kept as snapshots.

mod filter;
mod group;
mod options;
pub mod pipeline;
mod read;
mod search;
mod write;

pub use filter::{Area, Bits, Comparison, Filter, Geometry, Predicate, Quantifier, RelationFilter};
pub use group::{Aggregate, Group, Operand};
pub use options::{Collation, ReadConcern, ReadOptions};
pub use pipeline::{Bounds, Graph, Lookup, Pipeline, Source, Stage, WindowFunction};
pub use read::{Count, Distinct, Include, Projection, Select, SortKey};
pub use search::{
    Compound, IndexSearch, RangeEnd, RankedBy, Ranking, SCORE, Search, SearchOperator, TextQuery,
    VectorSearch, asks_for_score,
};
pub use write::{
    Affected, BitOp, Change, Delete, ElementFilter, End, Fate, Forecast, Insert, PushOptions, PushSort,
    Replace, Returning, Update,
};

use std::borrow::Cow;

use bson::{Bson, RawDocumentBuf};
use serde::{Deserialize, Serialize};

use crate::model::ModelRef;

/// A stored path, dotted for embedded fields.
pub type Path = Cow<'static, str>;

/// Everything that an adapter can be asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Answered by [`Outcome::Rows`].
    Select(Select),
    /// Answered by [`Outcome::Count`].
    Count(Count),
    /// Answered by [`Outcome::Values`].
    Distinct(Distinct),
    /// Answered by [`Outcome::Rows`], documents of `k0`… and `a0`….
    Group(Group),
    /// Answered by [`Outcome::Rows`], documents of any shape.
    Pipeline(Pipeline),
    /// Answered by [`Outcome::Inserted`].
    Insert(Insert),
    /// Answered by [`Outcome::Written`].
    Update(Update),
    /// Answered by [`Outcome::Written`].
    Replace(Replace),
    /// Answered by [`Outcome::Written`], or by [`Outcome::Forecast`] where it is a dry run.
    Delete(Delete),
}

impl Operation {
    /// The model that the operation is about.
    pub fn model(&self) -> ModelRef {
        match self {
            Operation::Select(op) => op.model,
            Operation::Count(op) => op.model,
            Operation::Distinct(op) => op.model,
            Operation::Group(op) => op.model,
            Operation::Pipeline(op) => op.source.model,
            Operation::Insert(op) => op.model,
            Operation::Update(op) => op.model,
            Operation::Replace(op) => op.model,
            Operation::Delete(op) => op.model,
        }
    }

    /// Whether the operation changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Operation::Select(_)
                | Operation::Count(_)
                | Operation::Distinct(_)
                | Operation::Group(_)
                | Operation::Pipeline(Pipeline { writes: false, .. })
        )
    }

    /// The name in messages and spans: `"find"`, `"insert"`, ….
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Select(_) => "find",
            Operation::Count(_) => "count",
            Operation::Distinct(_) => "distinct",
            Operation::Group(_) => "group_by",
            Operation::Pipeline(_) => "pipeline",
            Operation::Insert(_) => "insert",
            Operation::Update(_) => "update",
            Operation::Replace(_) => "replace",
            Operation::Delete(_) => "delete",
        }
    }
}

/// The answer to an [`Operation`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// Documents.
    Rows(Rows),
    /// How many.
    Count(u64),
    /// Distinct values, in BSON order.
    Values(Vec<Bson>),
    /// Which of the documents of an [`Insert`] went in.
    Inserted {
        /// Those that were left out as duplicates, in order.
        skipped: Vec<Skipped>,
    },
    /// What an [`Update`] or [`Delete`] did.
    Written {
        /// How many documents matched.
        matched: u64,
        /// How many of them changed.
        changed: u64,
        /// Whether one was inserted.
        upserted: bool,
        /// The state that was asked for.
        document: Option<RawDocumentBuf>,
    },
    /// What a [`Delete`] would do.
    Forecast(Forecast),
}

/// A document of an insert that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its position in the insert.
    pub position: usize,
    /// The stored paths of the unique index that it hit.
    pub fields: Vec<String>,
}

/// Documents with the related ones that were included.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The documents, in the order asked for.
    pub documents: Vec<RawDocumentBuf>,
    /// One entry for each include, in the order asked for.
    pub included: Vec<Included>,
}

/// The related documents of all parents of one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Included {
    /// The position in the relations of the parents' model.
    pub relation: usize,
    /// The related documents.
    pub rows: Rows,
    /// For each parent: the positions of its own in `rows.documents`.
    pub groups: Vec<Vec<u32>>,
    /// For each parent: how many it has, where only that was asked for. `rows` and `groups` are empty then.
    pub counts: Option<Vec<u64>>,
}
