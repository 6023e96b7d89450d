use bson::Bson;
use serde::{Deserialize, Serialize};

use super::{Filter, Path, ReadOptions, SortKey};
use crate::model::ModelRef;

/// What a group, or a value of a group, is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// The value at a stored path.
    Path(Path),
    /// An expression, in MongoDB's own form.
    Expr(Bson),
}

impl From<&'static str> for Operand {
    fn from(path: &'static str) -> Self {
        Self::Path(path.into())
    }
}
impl From<String> for Operand {
    fn from(path: String) -> Self {
        Self::Path(path.into())
    }
}
impl From<Path> for Operand {
    fn from(path: Path) -> Self {
        Self::Path(path)
    }
}

/// Groups of documents, each with computed values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The model to read.
    pub model: ModelRef,
    /// Which documents.
    pub filter: Filter,
    /// In which order the documents come into their groups; first and last values go by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<SortKey>,
    /// What makes a group: `k0`, `k1`, … in the answer. Empty: one group of everything.
    pub keys: Vec<Operand>,
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
    /// How many groups there are, in place of them: the answer is a count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counted: bool,
    /// Whether soft-deleted documents are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_deleted: bool,
    /// How it is run.
    #[serde(default, skip_serializing_if = "ReadOptions::is_default")]
    pub options: ReadOptions,
}

impl Group {
    /// All documents of `model` in one group, of which nothing is computed.
    pub fn new(model: ModelRef) -> Self {
        Self {
            model,
            filter: Filter::All,
            order: Vec::new(),
            keys: Vec::new(),
            aggregates: Vec::new(),
            having: Filter::All,
            sort: Vec::new(),
            skip: None,
            limit: None,
            counted: false,
            with_deleted: false,
            options: ReadOptions::default(),
        }
    }
}

/// One computed value of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aggregate {
    /// How many documents.
    Count,
    /// The sum of the numbers; 0 without any.
    Sum(Operand),
    /// Their mean; null without any.
    Avg(Operand),
    /// The smallest value in BSON order; null without any.
    Min(Operand),
    /// The largest value in BSON order; null without any.
    Max(Operand),
    /// The value of the first document.
    First(Operand),
    /// The value of the last document.
    Last(Operand),
    /// The distinct values, in no order.
    AddToSet(Operand),
    /// All values.
    Push(Operand),
    /// How many distinct values there are; null and absent do not count.
    CountDistinct(Operand),
    /// The standard deviation, the numbers being all there are; null without any.
    StdDevPop(Operand),
    /// The standard deviation, the numbers being a sample; null with less than two.
    StdDevSamp(Operand),
    /// A list of percentiles of the numbers: each is the smallest number that so many of them do not exceed.
    Percentile(Operand, Vec<f64>),
    /// One percentile, not as a list; null without any numbers.
    Quantile(Operand, f64),
    /// The middle one of the numbers; null without any.
    Median(Operand),
    /// The first documents' values in an order, or the last ones.
    Top {
        /// The value of each document.
        of: Operand,
        /// The order.
        sort: Vec<SortKey>,
        /// How many; none: a single value, not a list.
        count: Option<u32>,
        /// From the end of the order.
        last: bool,
    },
    /// An accumulator in MongoDB's own form.
    Own(bson::Document),
}
