//! What becomes stale, and from which version on.

use std::collections::HashSet;
use std::sync::Arc;

use forge_core::Error;
use forge_core::adapter::Commit;

use super::Machine;
use crate::live::entry::Entry;
use crate::live::feeds::FeedState;
use crate::live::index::EntryId;

impl Machine {
    pub(super) fn feed_up(&mut self, database: &Arc<str>) {
        self.next += 1;
        self.feeds.entry(database).open(self.next);
        for id in self.reading(database, |entry| entry.blocked) {
            self.start(id);
        }
    }

    pub(super) fn feed_failed(&mut self, database: &Arc<str>, error: &Arc<Error>) {
        let feed = self.feeds.entry(database);
        if matches!(feed.state, FeedState::Up) {
            // It is resumed without a gap, or opened afresh; until then queries can be read as before.
            return;
        }
        feed.state = FeedState::Failed(error.clone());
        for id in self.reading(database, |entry| entry.blocked) {
            self.start(id);
        }
    }

    pub(super) fn history_lost(&mut self, database: &Arc<str>) {
        self.next += 1;
        self.feeds.entry(database).open(self.next);
        for id in self.reading(database, |_| true) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match &mut entry.run {
                Some(run) => run.tainted = true,
                None if entry.blocked => self.start(id),
                None => {
                    let version = self.clock(id);
                    self.mark_stale(id, version);
                }
            }
        }
    }

    pub(super) fn commit(&mut self, database: &Arc<str>, commit: &Arc<Commit>) {
        self.feeds.commit(database, commit);
        self.touched.extend(&self.awaiting);
        let mut candidates = HashSet::new();
        for change in &commit.changes {
            self.index.candidates(database, change, &mut candidates);
        }
        let mut candidates: Vec<_> = candidates.into_iter().collect();
        candidates.sort_unstable();
        for id in candidates {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            // What is in flight is held against the commits it may have missed when it ends.
            if entry.run.is_some() || entry.stale_from.is_some() || entry.refused {
                continue;
            }
            entry.cost.tested += 1;
            if commit.changes.iter().any(|change| entry.is_affected_by(database, change)) {
                entry.cost.affected += 1;
                self.counts.entry(entry.key.wanted.query.clone()).or_default().affected += 1;
                let version = self.version_of(id, database, commit);
                self.mark_stale(id, version);
            }
        }
    }

    /// The entries that read `database`, in the order they were made.
    pub(super) fn reading(&self, database: &Arc<str>, which: impl Fn(&Entry) -> bool) -> Vec<EntryId> {
        let reads = |entry: &Entry| which(entry) && entry.databases().any(|name| name == database);
        let mut ids: Vec<_> =
            self.entries.iter().filter(|(_, entry)| reads(entry)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// The newest version of the database whose versions the entry's subscribers see.
    pub(super) fn clock(&self, id: EntryId) -> u64 {
        self.entries.get(&id).map_or(0, |entry| self.feeds.version(&entry.key.wanted.database))
    }

    /// The version of a commit that was just heard of, as the entry's subscribers know it. Those of other databases count
    /// with the next commit of their own: the newest version may have been told already.
    fn version_of(&self, id: EntryId, database: &str, commit: &Commit) -> u64 {
        match self.entries.get(&id) {
            Some(entry) if *entry.key.wanted.database == *database => commit.version,
            _ => self.clock(id) + 1,
        }
    }

    pub(super) fn mark_stale(&mut self, id: EntryId, version: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.stale_from.is_none() {
            entry.stale_since = self.now;
            self.set_stale(id, Some(version));
        }
        self.plan(id);
    }

    /// Notes that the entry lacks the commits from `from` on, here and with its sockets.
    pub(super) fn set_stale(&mut self, id: EntryId, from: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let old = std::mem::replace(&mut entry.stale_from, from);
        for (socket, _) in entry.subs.keys() {
            let Some(state) = self.sockets.get_mut(socket) else { continue };
            if let Some(old) = old {
                state.stale.remove(&(old, id));
            }
            state.stale.extend(from.map(|from| (from, id)));
            self.touched.push(*socket);
        }
    }
}
