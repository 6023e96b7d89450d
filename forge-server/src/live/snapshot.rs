//! What there is at one moment, for metrics.

use std::sync::Arc;
use std::time::Duration;

use super::machine::Counts;

/// The state of the live queries at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// What happened so far, by query.
    pub(crate) counts: Vec<(Arc<str>, Counts)>,
    /// Open sockets.
    pub(crate) sockets: usize,
    /// Their subscriptions.
    pub(crate) subscriptions: usize,
    /// Distinct live queries.
    pub(crate) entries: usize,
    /// Runs under way.
    pub(crate) running: usize,
    /// Bytes that wait for sockets.
    pub(crate) queued_bytes: usize,
    /// Mutations under way.
    pub(crate) mutations: usize,
    /// For how long a feed owes a write of this process.
    pub(crate) feed_lag: Duration,
    /// The change feeds.
    pub(crate) feeds: Vec<FeedSnapshot>,
}

/// A change feed at one moment.
#[derive(Debug, Clone)]
pub(crate) struct FeedSnapshot {
    /// Its database.
    pub(crate) database: Arc<str>,
    /// Whether it is open.
    pub(crate) up: bool,
    /// The newest version it brought.
    pub(crate) version: u64,
    /// Commits that it brought.
    pub(crate) commits: u64,
    /// How often what it missed was lost.
    pub(crate) lost: u64,
    /// Since when it is down; zero while it is open.
    pub(crate) down: Duration,
}
