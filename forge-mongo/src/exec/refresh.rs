//! Materialized views: their pipelines, stored.

use bson::{Document, doc};
use forge_core::model::{ModelRef, Refresh, ViewDef};
use forge_core::{Error, Result};

use super::run::Run;
use super::tenant;
use crate::artifact::{Command, MongoArtifact};
use crate::compile;

/// Makes the collection of `view` hold what its pipeline finds: of one tenant, where the handle is for one.
pub(super) async fn refresh(run: &Run<'_>, view: ModelRef) -> Result<()> {
    let not_stored = || Error::bad_request(format!("{} is not a materialized view", view.name));
    let definition = view.view.as_ref().ok_or_else(not_stored)?;
    let manner = definition.refresh.ok_or_else(not_stored)?;
    let key = run.exec.tenant.key(&view)?;
    let mut pipeline = stages(run, definition)?;
    match (manner, key) {
        (Refresh::Replace, Some(_)) => {
            return Err(Error::bad_request(format!(
                "a refresh of {0} replaces the documents of every tenant: refresh it by db.across_tenants(), or declare \
                 `materialized = merge`, which a tenant can refresh for itself",
                view.name
            )));
        }
        (Refresh::Replace, None) => pipeline.push(doc! { "$out": view.collection }),
        (Refresh::Merge, key) => {
            pipeline.extend(key.map(|(path, tenant)| doc! { "$match": { path: { "$eq": tenant.clone() } } }));
            pipeline.push(doc! {
                "$merge": { "into": view.collection, "whenMatched": "replace", "whenNotMatched": "insert" }
            });
        }
    }
    let command = doc! { "aggregate": (definition.source)().collection, "pipeline": pipeline, "cursor": Document::new() };
    run.driver.admin(run.database(), &command).await.map(|_| ()).map_err(|error| error.context(view.name))
}

/// The stages of the view, every collection of tenants that they read narrowed.
fn stages(run: &Run<'_>, view: &ViewDef) -> Result<Vec<Document>> {
    let pipeline = compile::view(view)?;
    let artifact = MongoArtifact::new((view.source)().collection, Command::Aggregate { pipeline });
    match tenant::scoped(run.catalog, &run.exec.tenant, artifact)?.command {
        Command::Aggregate { pipeline } => Ok(pipeline),
        other => Err(Error::internal(format!("{} is no pipeline", other.name()))),
    }
}
