//! Reads batch by batch: a cursor, and the includes of each batch.

use std::sync::Arc;

use bson::RawDocumentBuf;
use forge_core::adapter::Exec;
use forge_core::ir::{Rows, Select};
use forge_core::{Catalog, Result};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::run::Run;
use super::tenant;
use crate::driver::Driver;

/// What outlives the call that opened a stream.
struct Opened {
    driver: Arc<dyn Driver>,
    catalog: Arc<Catalog>,
    exec: Exec,
    few_keys: usize,
    select: Select,
}

/// Opens a cursor on what `select` asks for.
pub(super) async fn open(
    driver: Arc<dyn Driver>,
    catalog: Arc<Catalog>,
    exec: Exec,
    few_keys: usize,
    mut select: Select,
    batch: u32,
) -> Result<BoxStream<'static, Result<Rows>>> {
    let run = Run::new(&*driver, &catalog, &exec).joining_above(few_keys);
    if exec.transaction.is_some() || select.search.is_some() {
        // The cursor of a transaction would hold on to it.
        let rows = run.rows(select).await?;
        return Ok(stream::once(std::future::ready(Ok(rows))).boxed());
    }
    let (artifact, _) = run.prepared(&mut select).await?;
    let artifact = tenant::scoped(&catalog, &exec.tenant, artifact)?;
    let artifact = if run.asks_policies() { run.readable(artifact).await? } else { artifact };
    if run.nothing_to_ask(&artifact) {
        return Ok(stream::empty().boxed());
    }
    let batches = run.opening(&artifact, driver.stream(run.database(), &artifact, batch)).await?;
    let opened = Arc::new(Opened { driver, catalog, exec, few_keys, select });
    let hydrated = batches.and_then(move |documents| {
        let opened = opened.clone();
        async move { opened.rows(documents).await }
    });
    Ok(hydrated.boxed())
}

impl Opened {
    async fn rows(&self, documents: Vec<RawDocumentBuf>) -> Result<Rows> {
        let run = Run::new(&*self.driver, &self.catalog, &self.exec).joining_above(self.few_keys);
        let included = run.hydrate(self.select.model, &documents, &self.select.include).await?;
        Ok(Rows { documents, included })
    }
}
