//! What the machine knows of one socket: its subscriptions and the results that wait for one another.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::event::SubId;
use super::index::EntryId;
use super::results::Results;

/// One socket.
#[derive(Debug)]
pub(crate) struct Socket {
    /// The database whose versions its frames carry.
    pub(crate) database: Arc<str>,
    /// Its subscriptions.
    pub(crate) subs: HashMap<SubId, EntryId>,
    /// Its subscriptions' entries that do not include some commit, by the first such.
    pub(crate) stale: BTreeSet<(u64, EntryId)>,
    /// Results to send.
    pub(crate) pending: Results,
    /// The version up to which `pending` is complete but for `stale`.
    pub(crate) pending_version: u64,
    /// When `pending` is sent at the latest, in milliseconds.
    pub(crate) deadline: Option<u64>,
    /// The largest version that the socket was told.
    pub(crate) sent: u64,
    /// The version of its own mutation that it waits for.
    pub(crate) awaits: Option<u64>,
}

impl Socket {
    /// A socket without subscriptions.
    pub(crate) fn new(database: Arc<str>) -> Self {
        Self {
            database,
            subs: HashMap::new(),
            stale: BTreeSet::new(),
            pending: Results::default(),
            pending_version: 0,
            deadline: None,
            sent: 0,
            awaits: None,
        }
    }

    /// The version that everything on the socket has reached, where its feed stands at `now`. Never goes back.
    pub(crate) fn reached(&self, now: u64) -> u64 {
        let fresh = self.stale.first().map_or(now, |(from, _)| now.min(from.saturating_sub(1)));
        fresh.max(self.sent)
    }
}
