use forge_core::{DateTime, Id};
use forge_macros::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A mutation that runs later, as it is kept in the database of the request that scheduled it.
#[derive(Debug, Clone, Model)]
#[model(crate = "forge_core", collection = "forge_jobs")]
#[model(client(id, handler, state, due, attempts, max_attempts, error, scheduled, ended))]
#[model(index([state, due]), index([state, lease]))]
pub struct Job {
    /// Its id, which [`schedule_at`](forge_core::MutationCtx::schedule_at) answered.
    #[model(id)]
    pub id: Id<Job>,
    /// The mutation.
    pub handler: String,
    /// Its arguments, as JSON.
    pub args: String,
    /// How far it is.
    pub state: JobState,
    /// When it is to run, or run again.
    pub due: DateTime,
    /// How often it was begun.
    #[model(default)]
    pub attempts: i32,
    /// After how many attempts it has failed for good.
    pub max_attempts: i32,
    /// The process that runs it.
    pub owner: Option<String>,
    /// Until when that process holds it.
    pub lease: Option<DateTime>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What makes it one of its kind: the handler and the moment of a `cron` job.
    #[model(unique)]
    pub key: Option<String>,
    /// When it was scheduled.
    pub scheduled: DateTime,
    /// When it ended.
    #[model(index(ttl = "7d"))]
    pub ended: Option<DateTime>,
}

/// How far a [`Job`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits until it is due.
    Waiting,
    /// A process runs it, or did and died: then it is taken over when the lease ends.
    Running,
    /// It succeeded.
    Done,
    /// It failed for good.
    Failed,
}
