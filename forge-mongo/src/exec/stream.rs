//! Reads batch by batch: a cursor, and the includes of each batch.

use std::sync::Arc;

use bson::RawDocumentBuf;
use forge_core::adapter::Exec;
use forge_core::ir::{Outcome, Pipeline, Rows, Select};
use forge_core::{Catalog, Error, Result};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::run::Run;
use super::tenant;
use crate::artifact::MongoArtifact;
use crate::driver::Driver;

/// What outlives the call that opens a stream.
pub(super) struct Opening {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) exec: Exec,
    pub(super) few_keys: usize,
}

type Batches<T> = BoxStream<'static, Result<T>>;

impl Opening {
    fn run(&self) -> Run<'_> {
        Run::new(&*self.driver, &self.catalog, &self.exec).joining_above(self.few_keys)
    }

    /// Opens a cursor on what `select` asks for.
    pub(super) async fn select(self, mut select: Select, batch: u32) -> Result<Batches<Rows>> {
        if self.exec.transaction.is_some() {
            return Ok(at_once(self.run().rows(select).await?));
        }
        let (artifact, _) = self.run().prepared(&mut select).await?;
        let batches = self.cursor(artifact, batch).await?;
        let opened = Arc::new((self, select));
        let hydrated = batches.and_then(move |documents| {
            let opened = opened.clone();
            async move {
                let (opening, select) = &*opened;
                let included = opening.run().hydrate(select.model, &documents, &select.include).await?;
                Ok(Rows { documents, included })
            }
        });
        Ok(hydrated.boxed())
    }

    /// Opens a cursor on what a pipeline makes.
    pub(super) async fn pipeline(self, mut pipeline: Pipeline, batch: u32) -> Result<Batches<Rows>> {
        if self.exec.transaction.is_some() {
            return match self.run().pipeline(pipeline).await? {
                Outcome::Rows(rows) => Ok(at_once(rows)),
                _ => Err(Error::internal("a pipeline was answered with something else")),
            };
        }
        let artifact = self.run().prepared_pipeline(&mut pipeline).await?;
        let batches = self.cursor(artifact, batch).await?;
        Ok(batches.map_ok(|documents| Rows { documents, included: Vec::new() }).boxed())
    }

    /// The documents of a reading command, narrowed to what may be read.
    async fn cursor(&self, artifact: MongoArtifact, batch: u32) -> Result<Batches<Vec<RawDocumentBuf>>> {
        let run = self.run();
        let artifact = tenant::scoped(&self.catalog, &self.exec.tenant, artifact)?;
        let artifact = if run.asks_policies() { run.readable(artifact).await? } else { artifact };
        if run.nothing_to_ask(&artifact) {
            return Ok(stream::empty().boxed());
        }
        run.opening(&artifact, self.driver.stream(run.database(), &artifact, batch)).await
    }
}

/// The cursor of a transaction would hold on to it.
fn at_once(rows: Rows) -> Batches<Rows> {
    stream::once(std::future::ready(Ok(rows))).boxed()
}
