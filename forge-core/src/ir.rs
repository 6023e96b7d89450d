//! The intermediate representation: what a builder asks for, as plain data, the same for every engine.
//!
//! Paths are stored names (`_id`, `createdAt`, `legs.distance`). Values are BSON. Everything serializes, so that
//! operations can be printed, compared and kept as snapshots.

use std::borrow::Cow;
use std::time::Duration;

use bson::{Bson, RawDocumentBuf};
use serde::{Deserialize, Serialize};

use crate::model::ModelRef;

/// A stored path, dotted for embedded fields.
pub type Path = Cow<'static, str>;

/// A condition on documents.
///
/// The meaning of every operator is MongoDB's: comparisons reach into arrays, only compare values of the same type
/// bracket, and `Eq(Null)` also finds documents without the field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Filter {
    /// Every document.
    All,
    /// No document.
    Nothing,
    /// All of these hold. An empty list is [`Filter::All`].
    And(Vec<Filter>),
    /// At least one of these holds. An empty list is [`Filter::Nothing`].
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// A condition on one path.
    Field(Path, Predicate),
    /// A condition on the documents on the other side of a relation. Executors resolve it; it never means "all".
    Relation(RelationFilter),
}

/// A condition on the value at one path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Predicate {
    /// Equal, or an array that holds an equal element.
    Eq(Bson),
    /// The negation of `Eq`.
    Ne(Bson),
    /// Greater, within the same type bracket.
    Gt(Bson),
    /// Greater or equal, within the same type bracket.
    Gte(Bson),
    /// Less, within the same type bracket.
    Lt(Bson),
    /// Less or equal, within the same type bracket.
    Lte(Bson),
    /// Equal to one of these.
    In(Vec<Bson>),
    /// Equal to none of these.
    NotIn(Vec<Bson>),
    /// Whether the path exists, be it null.
    Exists(bool),
    /// A string that the pattern finds.
    Regex {
        /// The pattern: PCRE on servers, linear-time on the embedded engine.
        pattern: String,
        /// Of `i`, `m`, `s`, `x`.
        options: String,
    },
    /// An array with exactly this many elements.
    Size(i64),
    /// An array that holds all of these.
    HasEvery(Vec<Bson>),
    /// An array with an element (a sub-document) that matches; paths are relative to the element.
    Element(Box<Filter>),
    /// Within `max_metres` (and beyond `min_metres`) of a point, nearest first.
    Near {
        /// Degrees: longitude, latitude.
        point: [f64; 2],
        /// The largest distance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_metres: Option<f64>,
        /// The smallest distance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_metres: Option<f64>,
    },
    /// Within a circle on the sphere, in no order.
    WithinCircle {
        /// Degrees: longitude, latitude.
        centre: [f64; 2],
        /// The radius in metres.
        metres: f64,
    },
}

/// A condition on related documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelationFilter {
    /// The model that has the relation.
    pub model: ModelRef,
    /// The Rust name of the relation.
    pub relation: Path,
    /// How many related documents must match.
    pub quantifier: Quantifier,
    /// The condition on each.
    pub filter: Box<Filter>,
}

/// How many related documents must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantifier {
    /// At least one (`is` on a to-one relation).
    Some,
    /// None of them; documents without related ones are found too (`is_not`).
    None,
    /// All of them; documents without related ones are found too.
    Every,
}

impl Filter {
    /// `self` and `other`, flat.
    pub fn and(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::All, filter) | (filter, Filter::All) => filter,
            (Filter::Nothing, _) | (_, Filter::Nothing) => Filter::Nothing,
            (Filter::And(mut a), Filter::And(b)) => {
                a.extend(b);
                Filter::And(a)
            }
            (Filter::And(mut a), b) => {
                a.push(b);
                Filter::And(a)
            }
            (a, Filter::And(mut b)) => {
                b.insert(0, a);
                Filter::And(b)
            }
            (a, b) => Filter::And(vec![a, b]),
        }
    }

    /// Makes `self` match only what `other` matches as well.
    pub fn narrow(&mut self, other: Filter) {
        *self = std::mem::replace(self, Filter::All).and(other);
    }

    /// `self` or `other`, flat.
    pub fn or(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::Nothing, filter) | (filter, Filter::Nothing) => filter,
            (Filter::All, _) | (_, Filter::All) => Filter::All,
            (Filter::Or(mut a), Filter::Or(b)) => {
                a.extend(b);
                Filter::Or(a)
            }
            (Filter::Or(mut a), b) => {
                a.push(b);
                Filter::Or(a)
            }
            (a, Filter::Or(mut b)) => {
                b.insert(0, a);
                Filter::Or(b)
            }
            (a, b) => Filter::Or(vec![a, b]),
        }
    }

    /// Everything that `self` does not match.
    pub fn negate(self) -> Filter {
        match self {
            Filter::All => Filter::Nothing,
            Filter::Nothing => Filter::All,
            Filter::Not(inner) => *inner,
            filter => Filter::Not(Box::new(filter)),
        }
    }

    /// `path` equals `value`.
    pub fn eq(path: impl Into<Path>, value: impl Into<Bson>) -> Filter {
        Filter::Field(path.into(), Predicate::Eq(value.into()))
    }

    /// Whether a relation filter is anywhere inside.
    pub fn has_relations(&self) -> bool {
        match self {
            Filter::And(list) | Filter::Or(list) => list.iter().any(Filter::has_relations),
            Filter::Not(inner) => inner.has_relations(),
            Filter::Relation(_) => true,
            Filter::All | Filter::Nothing | Filter::Field(..) => false,
        }
    }
}

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
    /// The longest that the server may work on one command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time: Option<Duration>,
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
            max_time: None,
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
    /// Whether soft-deleted documents are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
}

/// Groups of documents, each with computed values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The model to read.
    pub model: ModelRef,
    /// Which documents.
    pub filter: Filter,
    /// The stored paths whose values make a group: `k0`, `k1`, … in the answer. Empty: one group of everything.
    pub keys: Vec<Path>,
    /// What to compute of each group: `a0`, `a1`, … in the answer.
    pub aggregates: Vec<Aggregate>,
    /// Which groups, by `k0`… and `a0`….
    pub having: Filter,
    /// In which order, by `k0`… and `a0`….
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<SortKey>,
    /// How many groups to pass over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u64>,
    /// At most how many groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Whether soft-deleted documents are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
}

/// One computed value of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregate {
    /// How many documents.
    Count,
    /// The sum of the numbers at the path; 0 without any.
    Sum(Path),
    /// Their mean; null without any.
    Avg(Path),
    /// The smallest value in BSON order; null without any.
    Min(Path),
    /// The largest value in BSON order; null without any.
    Max(Path),
}

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
    /// Answered by [`Outcome::Inserted`].
    Insert(Insert),
    /// Answered by [`Outcome::Written`].
    Update(Update),
    /// Answered by [`Outcome::Written`].
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
            Operation::Insert(op) => op.model,
            Operation::Update(op) => op.model,
            Operation::Delete(op) => op.model,
        }
    }

    /// Whether the operation changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Operation::Select(_) | Operation::Count(_) | Operation::Distinct(_) | Operation::Group(_)
        )
    }

    /// The name in messages and spans: `"find"`, `"insert"`, ….
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Select(_) => "find",
            Operation::Count(_) => "count",
            Operation::Distinct(_) => "distinct",
            Operation::Group(_) => "group_by",
            Operation::Insert(_) => "insert",
            Operation::Update(_) => "update",
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
        /// The positions of those that were left out as duplicates.
        skipped: Vec<usize>,
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
}

/// Documents with the related ones that were included.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The documents, in the order asked for.
    pub documents: Vec<RawDocumentBuf>,
    /// One entry for each include, in the order asked for.
    pub included: Vec<Included>,
}

/// The related documents of all parents of one level.
#[derive(Debug, Clone)]
pub struct Included {
    /// The position in the relations of the parents' model.
    pub relation: usize,
    /// The related documents.
    pub rows: Rows,
    /// For each parent: the positions of its own in `rows.documents`.
    pub groups: Vec<Vec<u32>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_combine_flat() {
        let (a, b, c) = (Filter::eq("a", 1), Filter::eq("b", 2), Filter::eq("c", 3));
        let all = a.clone().and(b.clone()).and(c.clone());
        assert_eq!(all, Filter::And(vec![a.clone(), b.clone(), c.clone()]));
        assert_eq!(a.clone().or(b.clone()).or(c.clone()), Filter::Or(vec![a.clone(), b, c]));
        assert_eq!(Filter::All.and(a.clone()), a);
        assert_eq!(Filter::Nothing.or(a.clone()), a);
        assert_eq!(Filter::Nothing.and(a), Filter::Nothing);
    }
}
