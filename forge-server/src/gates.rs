//! How many calls of each handler run at a time, and for how long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use forge_core::handler::HandlerDef;
use forge_core::{Error, Registry, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::Limits;

/// A gate for each handler, shared by every transport, the live queries and the jobs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gates {
    gates: Arc<HashMap<&'static str, Arc<Semaphore>>>,
    deadline: Duration,
}

/// A call that runs; the next one may, when it is dropped.
pub(crate) struct Turn(#[allow(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl Gates {
    pub(crate) fn new(registry: &Registry, limits: &Limits) -> Self {
        let gate = |handler: &'static HandlerDef| {
            let own = handler.limits.concurrency.and_then(|calls| usize::try_from(calls).ok());
            let calls = own.unwrap_or(limits.handler_calls).min(Semaphore::MAX_PERMITS);
            (handler.name, Arc::new(Semaphore::new(calls)))
        };
        Self { gates: Arc::new(registry.iter().map(gate).collect()), deadline: limits.deadline }
    }

    /// The longest that a caller of `handler` waits.
    pub(crate) fn deadline(&self, handler: &HandlerDef) -> Duration {
        handler.limits.deadline.unwrap_or(self.deadline)
    }

    /// Waits until one more call of `handler` may run.
    ///
    /// # Errors
    /// `unavailable` where that is not so before `until`: the handler has not run.
    pub(crate) async fn enter(&self, handler: &HandlerDef, until: Instant) -> Result<Turn> {
        let Some(gate) = self.gates.get(handler.name) else { return Ok(Turn(None)) };
        match timeout_at(until, gate.clone().acquire_owned()).await {
            Ok(turn) => Ok(Turn(turn.ok())),
            Err(_) => Err(Error::unavailable(format!(
                "the {} {} has as many calls under way as it takes at a time, and did not run; try again later",
                handler.kind.as_str(),
                handler.name
            ))),
        }
    }

    /// Waits until one more run of a live query, or of a job, may begin, however long that is.
    pub(crate) async fn wait(&self, handler: &str) -> Turn {
        match self.gates.get(handler) {
            Some(gate) => Turn(gate.clone().acquire_owned().await.ok()),
            None => Turn(None),
        }
    }
}
