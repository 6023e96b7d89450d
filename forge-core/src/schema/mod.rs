//! What a database keeps about a collection beside documents and indexes: validators, views, shard keys.

mod check;
mod json;
mod refresh;
mod rules;
mod validator;
mod vector;

use bson::Document;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::ir::Operation;
use crate::model::{IndexKey, ModelDef};

pub(crate) use check::{check_indexes, check_shard_key, check_view};
pub use json::bson_of;
pub(crate) use rules::apply;
pub use validator::json_schema;
pub(crate) use validator::stored_as;
pub use vector::{Similarity, VectorDef};

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
    /// The stages.
    pub pipeline: fn() -> Result<Vec<Document>>,
    /// How the collection of a materialized view is brought up to date; none for a view that is computed by each read.
    pub refresh: Option<Refresh>,
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
pub(crate) fn not_into_a_view(operation: &Operation) -> Result<()> {
    if operation.is_read() || operation.model().view.is_none() {
        return Ok(());
    }
    not_a_view(&operation.model(), operation.name())
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

/// What a function of `#[model(view(pipeline = …))]` may answer with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pipeline",
    label = "not a pipeline",
    note = "answer with a typed pipeline, a `Vec` of BSON documents, or a JSON array of stages"
)]
pub trait Stages {
    /// The stages, in order.
    ///
    /// # Errors
    /// `bad_request` for something that is no list of stages.
    fn stages(self) -> Result<Vec<Document>>;
}

impl Stages for Vec<Document> {
    fn stages(self) -> Result<Vec<Document>> {
        Ok(self)
    }
}

impl<const N: usize> Stages for [Document; N] {
    fn stages(self) -> Result<Vec<Document>> {
        Ok(self.into())
    }
}

impl Stages for &str {
    fn stages(self) -> Result<Vec<Document>> {
        serde_json::from_str::<serde_json::Value>(self)
            .map_err(|error| Error::bad_request(format!("a pipeline in JSON cannot be read: {error}")))?
            .stages()
    }
}

impl Stages for serde_json::Value {
    fn stages(self) -> Result<Vec<Document>> {
        let wrong = || Error::bad_request("a pipeline in JSON is an array of objects, each a stage");
        let serde_json::Value::Array(stages) = self else { return Err(wrong()) };
        stages
            .into_iter()
            .map(|stage| match bson_of(stage) {
                bson::Bson::Document(stage) => Ok(stage),
                _ => Err(wrong()),
            })
            .collect()
    }
}

impl<S: Stages> Stages for Result<S> {
    fn stages(self) -> Result<Vec<Document>> {
        self?.stages()
    }
}

/// The stages that `pipeline` makes: what the derive of a view writes.
#[doc(hidden)]
pub fn stages_of<S: Stages>(pipeline: fn() -> S) -> Result<Vec<Document>> {
    pipeline().stages()
}
