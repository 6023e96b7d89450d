//! Explicit transactions: the writer and an open write transaction, until commit, abort or drop.

use std::any::Any;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use forge_core::adapter::Transaction;
use forge_core::{Error, Result};
use forge_mongo::{MongoArtifact, Reply};

use crate::engine::{Engine, Writer, lock};
use crate::store::WriteTransaction;
use crate::write::{Pending, Writing};

/// A transaction of the embedded engine.
pub(crate) struct EmbeddedTransaction {
    engine: Arc<Engine>,
    open: Mutex<Option<Open>>,
}

/// The order of the fields matters: the transaction ends before the writer is free.
struct Open {
    txn: WriteTransaction,
    pending: Pending,
    writer: Writer,
}

impl EmbeddedTransaction {
    /// Waits for the writer and starts.
    pub(crate) async fn begin(engine: Arc<Engine>, database: &str) -> Result<Self> {
        let writer = engine.acquire().await?;
        let txn = engine.begin()?;
        engine.set_holder(Some(format!("a transaction on database {database} since {}", engine.env.now())));
        let pending = Pending::new(writer.catalog.clone());
        Ok(Self { engine, open: Mutex::new(Some(Open { txn, pending, writer })) })
    }

    /// Whether this is a transaction of `engine`.
    pub(crate) fn belongs_to(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }

    /// Whether it holds the writer of `engine`.
    pub(crate) fn is_open_on(&self, engine: &Engine) -> bool {
        std::ptr::eq(&*self.engine, engine) && lock(&self.open).is_some()
    }

    /// Runs a command inside. One that fails changes nothing, and the transaction goes on.
    pub(crate) fn run(&self, database: &str, artifact: &MongoArtifact) -> Result<Reply> {
        let mut slot = lock(&self.open);
        let Some(open) = slot.as_mut() else { return Err(ended()) };
        let result = Writing::open(&mut open.txn, &mut open.pending, &self.engine.env)
            .and_then(|mut writing| writing.run(database, artifact));
        if open.pending.broken {
            slot.take();
            self.engine.set_holder(None);
        }
        result
    }

    fn take(&self) -> Option<Open> {
        let open = lock(&self.open).take();
        if open.is_some() {
            self.engine.set_holder(None);
        }
        open
    }
}

fn ended() -> Error {
    Error::bad_request("the transaction has already ended")
}

#[async_trait]
impl Transaction for EmbeddedTransaction {
    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn commit(&self) -> Result<Option<u64>> {
        let Open { txn, mut pending, writer } = self.take().ok_or_else(ended)?;
        let changes = std::mem::take(&mut pending.changes);
        if changes.is_empty() && !pending.catalog_changed {
            return Ok(None);
        }
        let (prepared, versions) = writer.prepare(txn, &[changes], pending, self.engine.env.now())?;
        let version = versions.first().copied().flatten();
        self.engine.commit(writer, prepared, move |committed| committed.map(|()| version)).await
    }

    async fn abort(&self) -> Result<()> {
        // Dropping it is what undoes it.
        self.take();
        Ok(())
    }
}

impl Drop for EmbeddedTransaction {
    fn drop(&mut self) {
        self.take();
    }
}
