//! When queries run, and what their results are good for.

use std::sync::Arc;

use forge_core::adapter::Read;
use forge_core::context::Seen;
use forge_core::feed::Affects;
use forge_core::{Caller, Error};

use super::{Machine, Timer};
use crate::live::entry::{Key, Run, Sub};
use crate::live::event::{Action, Data, Failure, Outcome, RunId};
use crate::live::feeds::FeedState;
use crate::live::index::EntryId;
use crate::live::view::{covers, extend, view};

/// The wait before a transient failure is tried again, in milliseconds; doubled for each in a row.
const RETRY_FIRST: u64 = 1_000;
/// The longest such wait.
const RETRY_MAX: u64 = 30_000;

/// Whether the feeds of what a query reads are open.
enum Readiness {
    Open,
    Waiting,
    Failed(Arc<Error>),
}

impl Machine {
    /// Plans the next refresh: at once when the entry was quiet, else after its interval.
    pub(super) fn plan(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get(&id) else { return };
        let interval = (2 * entry.duration).clamp(self.config.refresh_min, self.config.refresh_max);
        let at = entry.last_start.map_or(self.now, |last| self.now.max(last + interval));
        self.plan_at(id, at);
    }

    pub(super) fn plan_at(&mut self, id: EntryId, at: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.run.is_some() || entry.blocked || entry.due.is_some_and(|due| due <= at) {
            return;
        }
        if at <= self.now {
            return self.start(id);
        }
        if let Some(old) = entry.due.replace(at) {
            self.timers.remove(&(old, Timer::Entry(id)));
        }
        self.timers.insert((at, Timer::Entry(id)));
    }

    pub(super) fn start(&mut self, id: EntryId) {
        let readiness = self.readiness(id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.run.is_some() {
            return;
        }
        if let Some(due) = entry.due.take() {
            self.timers.remove(&(due, Timer::Entry(id)));
        }
        entry.blocked = !matches!(readiness, Readiness::Open);
        entry.refused = matches!(readiness, Readiness::Failed(_));
        match readiness {
            Readiness::Waiting => return,
            Readiness::Failed(error) => return self.fail(id, error),
            Readiness::Open => {}
        }
        let Some((&(first, _), sub)) = entry.subs.first_key_value() else { return };
        let last = entry.subs.last_key_value().map(|(&(socket, _), _)| socket);
        let alone = last.filter(|last| *last == first);
        if entry.result.is_some() {
            entry.last_start = Some(self.now);
        }
        self.next += 1;
        let run = RunId(self.next);
        let (seq, caller) = (self.feeds.take_off(run.0), sub.caller.clone());
        let version = self.feeds.version(&entry.key.wanted.database);
        entry.run =
            Some(Run { id: run, started: self.now, version, seq, caller: caller.clone(), tainted: false });
        self.runs.insert(run, id);
        let (wanted, before) = (entry.key.wanted.clone(), entry.before());
        self.actions.push(Action::Run { run, alone, wanted, caller, before });
    }

    /// Whether the feeds of everything that the entry reads are open; asks for those that nobody asked for.
    fn readiness(&mut self, id: EntryId) -> Readiness {
        let Some(entry) = self.entries.get(&id) else { return Readiness::Waiting };
        let unasked: Vec<_> =
            entry.databases().filter(|database| !self.feeds.is_followed(database)).cloned().collect();
        for database in unasked {
            if let Err(error) = self.ask_for(&database) {
                self.crowded.insert(id);
                return Readiness::Failed(error);
            }
        }
        let Some(entry) = self.entries.get(&id) else { return Readiness::Waiting };
        let mut readiness = Readiness::Open;
        for database in entry.databases() {
            match self.feeds.get(database).map(|feed| &feed.state) {
                Some(FeedState::Up) => {}
                Some(FeedState::Failed(error)) => return Readiness::Failed(error.clone()),
                _ => readiness = Readiness::Waiting,
            }
        }
        readiness
    }

    fn fail(&mut self, id: EntryId, error: Arc<Error>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.result = Some(Err(Failure { error, transient: false }));
        self.set_stale(id, None);
        self.deliver(id);
    }

    pub(super) fn finish(&mut self, run: RunId, outcome: Outcome) {
        // A run whose entry is gone was cancelled.
        let Some(id) = self.runs.remove(&run) else { return };
        let Some(run) = self.entries.get_mut(&id).and_then(|entry| entry.run.take()) else { return };
        self.file(id, outcome.reads, self.now - run.started);
        let missed = self.missed(id, &run);
        self.feeds.land(run.seq, run.id.0);
        self.split(id, &run.caller, &outcome.seen);
        if !self.entries.contains_key(&id) {
            return;
        }
        match self.readiness(id) {
            Readiness::Open if self.followed(id, &run) => self.conclude(id, &run, outcome.result, missed),
            // It read a database whose changes were not followed all the time: it runs again once they are.
            _ => self.start(id),
        }
    }

    /// Whether everything that the entry reads was followed since the run began.
    fn followed(&self, id: EntryId, run: &Run) -> bool {
        let opened = |database: &Arc<str>| self.feeds.get(database).map_or(u64::MAX, |feed| feed.opened);
        self.entries.get(&id).is_some_and(|entry| entry.databases().all(|name| opened(name) < run.id.0))
    }

    /// Takes note of what a run read.
    fn file(&mut self, id: EntryId, reads: Vec<Read>, duration: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.duration = duration;
        entry.cost.runs += 1;
        entry.cost.millis += duration;
        let before = entry.others();
        self.index.remove(id, &entry.postings);
        entry.postings = self.index.insert(id, &reads);
        entry.reads = reads
            .into_iter()
            .map(|read| {
                let affects = Affects::new(&read);
                (read, affects)
            })
            .collect();
        let others = entry.others();
        others.iter().for_each(|database| self.gain(database));
        before.iter().for_each(|database| self.lose(database));
    }

    /// The version of the first commit that the run may have missed.
    fn missed(&self, id: EntryId, run: &Run) -> Option<u64> {
        let entry = self.entries.get(&id)?;
        let commits = self.feeds.since(run.seq).filter(|_| !run.tainted);
        let Some(commits) = commits else { return Some(run.version + 1) };
        let own = &entry.key.wanted.database;
        let mut version = run.version;
        for (database, commit) in commits {
            let is_own = database == own;
            if is_own {
                version = version.max(commit.version);
            }
            if commit.changes.iter().any(|change| entry.is_affected_by(database, change)) {
                // As when it was heard of: what came later may be missed as well.
                return Some(if is_own { commit.version } else { version + 1 });
            }
        }
        None
    }

    /// Takes note of what the handler saw of its caller: whoever shares the entry and differs in that moves to another.
    fn split(&mut self, id: EntryId, caller: &Caller, seen: &Seen) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if covers(&entry.seen, seen) {
            return;
        }
        let all = self.seen.entry(entry.key.wanted.query.clone()).or_default();
        extend(all, seen);
        let key = Key { view: view(caller, all), ..entry.key.clone() };
        let everybody = self.keys.contains_key(&key);
        let leaves = |sub: &Sub| everybody || view(&sub.caller, all) != key.view;
        let leaving: Vec<_> =
            entry.subs.iter().filter(|(_, sub)| leaves(sub)).map(|(place, _)| *place).collect();
        let wanted = key.wanted.clone();
        if !everybody {
            self.keys.remove(&entry.key);
            self.keys.insert(key.clone(), id);
            (entry.key, entry.seen) = (key, all.clone());
        }
        for (socket, sub_id) in leaving {
            let lacks = self.lacks(socket, sub_id);
            if let Some(sub) = self.detach(socket, sub_id) {
                self.join(socket, sub_id, wanted.clone(), sub, None, lacks);
            }
        }
    }

    /// Decides what becomes of a result: sent; sent and run again; or withheld in favour of the next run.
    fn conclude(&mut self, id: EntryId, run: &Run, result: Result<Data, Failure>, missed: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let since = if entry.stale_from.is_some() { entry.stale_since } else { run.started };
        let in_time = self.now - since + entry.duration <= self.config.refresh_max;
        if let Some(from) = missed
            && in_time
            && !entry.withheld
        {
            entry.withheld = true;
            entry.stale_since = since;
            let from = entry.stale_from.unwrap_or(from);
            self.set_stale(id, Some(from));
            return self.start(id);
        }
        let transient = matches!(&result, Err(failure) if failure.transient);
        entry.failures = if transient { entry.failures + 1 } else { 0 };
        let retry = (RETRY_FIRST << (entry.failures.saturating_sub(1)).min(5)).min(RETRY_MAX);
        entry.withheld = false;
        entry.stale_since = self.now;
        entry.result = Some(result);
        entry.base = None;
        self.set_stale(id, missed);
        self.deliver(id);
        if missed.is_some() {
            self.plan(id);
        } else if transient {
            self.plan_at(id, self.now + retry);
        }
    }
}
