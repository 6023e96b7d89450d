//! What a query read, for whoever runs it again when that changes.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::clusters;
use crate::ir::Filter;
use crate::matcher::Window;

/// One command that a query ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Read {
    /// The database: its name or, of another cluster, `CLUSTER/NAME`; see [`Runtime::database`](crate::Runtime::database).
    pub database: Arc<str>,
    /// The collection.
    pub collection: Cow<'static, str>,
    /// The documents that could have made a difference; never a relation filter.
    pub filter: Filter,
    /// Where the result ended, if it was the first part of a sorted read: what comes after made no difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Arc<Window>>,
}

impl Read {
    /// A read of every document that meets `filter`.
    pub fn new(
        database: impl Into<Arc<str>>,
        collection: impl Into<Cow<'static, str>>,
        filter: Filter,
    ) -> Self {
        Self { database: database.into(), collection: collection.into(), filter, window: None }
    }
}

/// What a query read, in the order it did.
#[derive(Debug, Default)]
pub struct ReadLog {
    reads: Arc<Mutex<Vec<Read>>>,
    /// Of a handle on another cluster: its name.
    cluster: Option<Arc<str>>,
}

impl ReadLog {
    /// The same log, for what is read of another cluster: databases there may have the names of those here.
    #[must_use]
    pub fn of_cluster(&self, name: &str) -> Self {
        Self { reads: self.reads.clone(), cluster: Some(name.into()) }
    }

    fn reads(&self) -> MutexGuard<'_, Vec<Read>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a read, and says its number.
    pub fn push(&self, mut read: Read) -> usize {
        if let Some(cluster) = &self.cluster {
            read.database = clusters::key(cluster, &read.database).into();
        }
        let mut reads = self.reads();
        reads.push(read);
        reads.len() - 1
    }

    /// Notes that the read with this number ended at `window`, now that it was answered.
    pub fn narrow(&self, number: usize, window: Window) {
        if let Some(read) = self.reads().get_mut(number) {
            read.window = Some(Arc::new(window));
        }
    }

    /// Takes everything recorded so far.
    pub fn take(&self) -> Vec<Read> {
        std::mem::take(&mut *self.reads())
    }
}
