//! What the function of a view may answer with.

use bson::{Bson, Document};

use super::bson_of;
use crate::error::{Error, Result};
use crate::ir::{Source, Stage};
use crate::model::ModelRef;
use crate::plan::live_only;
use crate::query::Pipeline;

/// What a function of `#[model(view(pipeline = …))]` may answer with.
///
/// A typed pipeline leaves soft-deleted documents out, of the source and of what it joins; stages in MongoDB's own form
/// are taken as they are.
///
/// ```ignore
/// use forge::query::pipeline::{self, Stages};
///
/// fn totals() -> impl Stages {
///     pipeline::of::<Sale>().group(|s| [s.region.named("_id")], |s| [s.amount.sum().named("total")])
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pipeline",
    label = "not a pipeline",
    note = "answer with a typed pipeline (`impl Stages`), a `Vec` of BSON documents, or a JSON array of stages"
)]
pub trait Stages {
    /// The stages, over the documents of `source`.
    ///
    /// # Errors
    /// `bad_request` for something that is no list of stages, or reads another model.
    fn over(self, source: ModelRef) -> Result<Source>;
}

impl Stages for Vec<Document> {
    fn over(self, source: ModelRef) -> Result<Source> {
        let stages = self.into_iter().map(Stage::Raw).collect();
        Ok(Source { stages, with_deleted: true, ..Source::new(source) })
    }
}

impl<const N: usize> Stages for [Document; N] {
    fn over(self, source: ModelRef) -> Result<Source> {
        Vec::from(self).over(source)
    }
}

impl Stages for &str {
    fn over(self, source: ModelRef) -> Result<Source> {
        from_json(self)?.over(source)
    }
}

impl Stages for serde_json::Value {
    fn over(self, source: ModelRef) -> Result<Source> {
        from_value(self)?.over(source)
    }
}

impl<R> Stages for Pipeline<R> {
    fn over(self, source: ModelRef) -> Result<Source> {
        let mut contents = self.into_source()?;
        if contents.model != source {
            return Err(Error::bad_request(format!(
                "it reads {}, and the view names {} as its source",
                contents.model.name, source.name
            )));
        }
        contents.narrow(&live_only);
        Ok(contents)
    }
}

impl<S: Stages> Stages for Result<S> {
    fn over(self, source: ModelRef) -> Result<Source> {
        self?.over(source)
    }
}

/// The stages that `pipeline` makes: what the derive of a view writes.
#[doc(hidden)]
pub fn stages_of<S: Stages>(source: ModelRef, pipeline: fn() -> S) -> Result<Source> {
    pipeline().over(source)
}

/// Stages in extended JSON.
pub(crate) fn from_json(stages: &str) -> Result<Vec<Document>> {
    let stages = serde_json::from_str(stages)
        .map_err(|error| Error::bad_request(format!("a pipeline in JSON cannot be read: {error}")))?;
    from_value(stages)
}

fn from_value(stages: serde_json::Value) -> Result<Vec<Document>> {
    let wrong = || Error::bad_request("a pipeline in JSON is an array of objects, each a stage");
    let serde_json::Value::Array(stages) = stages else { return Err(wrong()) };
    let stage = |stage| match bson_of(stage) {
        Bson::Document(stage) => Ok(stage),
        _ => Err(wrong()),
    };
    stages.into_iter().map(stage).collect()
}
