//! Many databases behind one connection: their indexes, made when they are first written to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::lock::Mutex as Turn;

use crate::adapter::{Adapter, PushAction};
use crate::catalog::Catalog;
use crate::db::{Db, Handle};
use crate::error::Result;

/// Which databases have had their indexes made.
#[derive(Debug, Default)]
pub(crate) struct LazyIndexes {
    on: AtomicBool,
    /// Whether each is done. Whoever writes first makes them; others wait for it.
    databases: Mutex<HashMap<Arc<str>, Arc<Turn<bool>>>>,
}

impl LazyIndexes {
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    async fn ensure(&self, adapter: &dyn Adapter, database: &str, catalog: &Catalog) -> Result<()> {
        let turn = {
            let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
            match databases.get(database) {
                Some(turn) => turn.clone(),
                None => databases.entry(database.into()).or_default().clone(),
            }
        };
        let mut done = turn.lock().await;
        if *done {
            return Ok(());
        }
        let plan = adapter
            .push(database, catalog, true)
            .await
            .map_err(|error| error.context(format!("making the indexes of the database {database}")))?;
        for step in plan.steps.iter().filter(|step| step.action == PushAction::Conflict) {
            let (collection, index) = (&step.collection, &step.index);
            tracing::warn!(database, collection, index, "an index differs from its declaration: run push");
        }
        *done = true;
        Ok(())
    }
}

impl Handle {
    /// Makes the indexes of the database, where that is due.
    pub(crate) async fn ready_for_writes(&self) -> Result<()> {
        // A transaction cannot make indexes, and its beginning has done this.
        if !self.shared.indexes.is_on() || self.exec.transaction.is_some() {
            return Ok(());
        }
        let shared = &self.shared;
        shared.indexes.ensure(&*shared.adapter, self.database(), &shared.catalog).await
    }
}

impl<A> Db<A> {
    /// Whether each database gets the indexes of every model before the first write to it, as [`push`](Adapter::push)
    /// makes them: for programs with a database for each customer, where nobody pushes by hand.
    ///
    /// It holds for every handle of this connection, once for each database and process. Indexes that differ from their
    /// declaration are left as they are, with a warning.
    pub fn make_indexes_lazily(&self, on: bool) {
        self.handle.shared.indexes.on.store(on, Ordering::Release);
    }
}
