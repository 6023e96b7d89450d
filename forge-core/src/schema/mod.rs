//! What a database keeps about a collection beside documents and indexes: validators, views, shard keys.

mod check;
mod json;
mod refresh;
mod rules;
mod search;
mod validator;
mod vector;
mod views;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::ir::{Operation, Source};
use crate::model::{IndexKey, ModelDef, ModelRef};

pub(crate) use check::{check_indexes, check_shard_key, check_view};
pub use json::bson_of;
pub(crate) use rules::apply;
pub use search::{SearchDef, SearchKind};
pub use validator::json_schema;
pub(crate) use validator::stored_as;
pub use vector::{Similarity, VectorDef};
pub(crate) use views::from_json;
pub use views::{Stages, stages_of};

/// A rule of `#[validate(…)]` that schemas can say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// The fewest characters of a text, or elements of a list.
    MinLength(u64),
    /// The most characters of a text, or elements of a list.
    MaxLength(u64),
    /// The smallest number.
    Minimum(f64),
    /// The largest number.
    Maximum(f64),
    /// A number that all values are above.
    Above(f64),
    /// A number that all values are below.
    Below(f64),
    /// One of JSON Schema's formats: `"email"`, `"uri"`.
    Format(&'static str),
    /// A text that is part of every value.
    Contains(&'static str),
}

/// How a collection checks the documents that are written to it, whoever writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ValidatorDef {
    /// Whether updates of documents that break the rules already are checked as well (`strict`), or not (`moderate`).
    pub strict: bool,
    /// Whether what breaks the rules is refused (`error`), or only logged by the server (`warn`).
    pub refuse: bool,
}

impl ValidatorDef {
    /// MongoDB's `validationLevel`.
    pub const fn level(&self) -> &'static str {
        if self.strict { "strict" } else { "moderate" }
    }

    /// MongoDB's `validationAction`.
    pub const fn action(&self) -> &'static str {
        if self.refuse { "error" } else { "warn" }
    }
}

/// Where the documents of a view come from.
#[derive(Debug, Clone, Copy)]
pub struct ViewDef {
    /// The model that the pipeline reads.
    pub source: fn() -> &'static ModelDef,
    /// What it makes of the documents of the source.
    pub pipeline: fn(ModelRef) -> Result<Source>,
    /// How the collection of a materialized view is brought up to date; none for a view that is computed by each read.
    pub refresh: Option<Refresh>,
}

impl ViewDef {
    /// The documents of the source, and the stages that they go through.
    ///
    /// # Errors
    /// What the function of the model finds wrong.
    pub fn contents(&self) -> Result<Source> {
        (self.pipeline)(ModelRef((self.source)()))
    }
}

/// What [`Db::refresh`](crate::Db::refresh) does with the documents that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// The result takes their place (`$out`).
    Replace,
    /// The result is merged into them by id; documents that it does not name stay (`$merge`).
    Merge,
}

/// The fields by which a sharded cluster divides a collection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShardKeyDef {
    /// Stored paths, ascending or hashed.
    pub keys: &'static [(&'static str, IndexKey)],
    /// No two documents may hold the same values.
    pub unique: bool,
}

/// Refuses operations that would write a view.
#[inline]
pub(crate) fn not_into_a_view(operation: &Operation) -> Result<()> {
    let model = operation.model();
    if model.view.is_none() || operation.is_read() { Ok(()) } else { not_a_view(&model, operation.name()) }
}

/// Refuses what would write a view.
pub(crate) fn not_a_view(model: &ModelDef, operation: &str) -> Result<()> {
    if model.view.is_none() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "{} is a view and cannot be written ({operation}); write the models that it reads",
        model.name
    )))
}
