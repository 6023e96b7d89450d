//! Calls that are made later: what handlers ask for, and the seam to whoever keeps and makes them.

use async_trait::async_trait;
use serde_json::value::RawValue;

use crate::db::Db;
use crate::error::Result;
use crate::types::DateTime;

/// A call of a mutation that is to be made later.
#[derive(Debug, Clone)]
pub struct Later {
    /// The name of the mutation; internal ones can be scheduled.
    pub handler: &'static str,
    /// Its arguments, as a JSON object.
    pub args: Box<RawValue>,
    /// When. A time that is over means at once.
    pub due: DateTime,
}

/// Keeps calls and makes them when they are due.
///
/// `forge_server::App` brings one that keeps them in the database.
#[async_trait]
pub trait Scheduler: Send + Sync + 'static {
    /// Keeps a call; inside `db`'s transaction, where it is in one: then it is made only if that commits.
    ///
    /// # Errors
    /// What the database answers.
    async fn schedule(&self, db: &Db, later: Later) -> Result<String>;

    /// Forgets a call that was not begun; `false` where it was begun, is over, or never was.
    ///
    /// # Errors
    /// What the database answers; `bad_request` where `id` is not what [`schedule`](Scheduler::schedule) answered.
    async fn cancel(&self, db: &Db, id: &str) -> Result<bool>;
}
