//! Materialized views: their pipelines, stored.

use bson::{Document, doc};
use forge_core::model::{ModelRef, Refresh};
use forge_core::{Error, Result};

use super::run::Run;
use crate::compile;

/// Makes the collection of `view` hold what its pipeline finds.
pub(super) async fn refresh(run: &Run<'_>, view: ModelRef) -> Result<()> {
    let not_stored = || Error::bad_request(format!("{} is not a materialized view", view.name));
    let definition = view.view.as_ref().ok_or_else(not_stored)?;
    let mut pipeline = compile::view(definition)?;
    pipeline.push(match definition.refresh.ok_or_else(not_stored)? {
        Refresh::Replace => doc! { "$out": view.collection },
        Refresh::Merge => doc! {
            "$merge": { "into": view.collection, "whenMatched": "replace", "whenNotMatched": "insert" }
        },
    });
    let command = doc! { "aggregate": (definition.source)().collection, "pipeline": pipeline, "cursor": Document::new() };
    run.driver.admin(run.database(), &command).await.map(|_| ()).map_err(|error| error.context(view.name))
}
