//! Conditions that somebody else evaluates.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bson::RawDocument;

use crate::error::{Error, Result};

type Test = dyn Fn(&RawDocument) -> Result<bool> + Send + Sync;

/// A condition that an engine evaluates: what a [`Filter::Expr`](crate::ir::Filter::Expr) asks.
///
/// A document for which it fails does not match; the first failure is kept for [`failure`](Computed::failure).
#[derive(Clone)]
pub struct Computed {
    test: Arc<Test>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Computed {
    /// A condition.
    pub fn new(test: impl Fn(&RawDocument) -> Result<bool> + Send + Sync + 'static) -> Self {
        Self { test: Arc::new(test), failure: Arc::default() }
    }

    pub(super) fn holds(&self, document: &RawDocument) -> bool {
        (self.test)(document).unwrap_or_else(|error| {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            false
        })
    }

    /// Takes the first failure.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Computed")
    }
}
