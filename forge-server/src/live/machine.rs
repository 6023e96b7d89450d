//! The live-query engine as a state machine: events in, actions out, time passed in. It does no IO.
//!
//! What holds after every event:
//! - Equal subscriptions share one entry, with at most one run in flight and one planned.
//! - A run starts only when the change feeds of what it reads are open. Commits that arrive while it is in flight are
//!   kept and held against what it read when it ends; what it may have missed is run again.
//! - The version of a frame is what *everything* on the socket has reached, and never goes back. A result is only
//!   sent to a socket that was not told of a version which the result may lack.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use forge_core::adapter::{Commit, Read};
use forge_core::context::Seen;
use forge_core::{Caller, Error};

use super::affects::Affects;
use super::entry::{Entry, Key, Run, Sub};
use super::event::{Action, Data, Event, Failure, Frame, Outcome, RunId, SocketId, SubId, Wanted};
use super::feeds::{FeedState, Feeds};
use super::index::{EntryId, ReadIndex};
use super::socket::Socket;
use super::view::{covers, extend, view};

/// The wait before a transient failure is tried again, in milliseconds; doubled for each in a row.
const RETRY_FIRST: u64 = 1_000;
/// The longest such wait.
const RETRY_MAX: u64 = 30_000;

/// The times and bounds of a [`Machine`], in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The shortest time between two refreshes of one entry.
    pub(crate) refresh_min: u64,
    /// The longest that throttling may put off a refresh.
    pub(crate) refresh_max: u64,
    /// The longest that a result waits for others of the same commit.
    pub(crate) hold: u64,
    /// Subscriptions of one socket.
    pub(crate) subscriptions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Entry(EntryId),
    Socket(SocketId),
}

enum Readiness {
    Open,
    Waiting,
    Failed(Arc<Error>),
}

/// The state of all live queries.
#[derive(Debug)]
pub(crate) struct Machine {
    config: Config,
    now: u64,
    next: u64,
    feeds: Feeds,
    index: ReadIndex,
    entries: HashMap<EntryId, Entry>,
    keys: HashMap<Key, EntryId>,
    runs: HashMap<RunId, EntryId>,
    sockets: HashMap<SocketId, Socket>,
    /// What each query ever looked at of a caller.
    seen: HashMap<Arc<str>, Seen>,
    timers: BTreeSet<(u64, Timer)>,
    touched: BTreeSet<SocketId>,
    awaiting: BTreeSet<SocketId>,
    actions: Vec<Action>,
}

impl Machine {
    /// A machine without subscribers.
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            now: 0,
            next: 0,
            feeds: Feeds::default(),
            index: ReadIndex::default(),
            entries: HashMap::new(),
            keys: HashMap::new(),
            runs: HashMap::new(),
            sockets: HashMap::new(),
            seen: HashMap::new(),
            timers: BTreeSet::new(),
            touched: BTreeSet::new(),
            awaiting: BTreeSet::new(),
            actions: Vec::new(),
        }
    }

    /// Takes note of `event` at `now` (milliseconds, never going back) and says what to do.
    pub(crate) fn handle(&mut self, now: u64, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        self.fire_timers();
        match event {
            Event::Subscribe { socket, id, wanted, caller, hash } => {
                let sub = Sub { caller, has: hash, answered: false, told: None };
                self.subscribe(socket, id, wanted, sub);
            }
            Event::Unsubscribe { socket, id } => {
                self.detach(socket, id);
                self.send(socket, Frame::Unsubscribed { id });
            }
            Event::SocketClosed { socket } => self.close(socket),
            Event::Wrote { socket, version } => self.wrote(socket, version),
            Event::FeedUp { database } => self.feed_up(&database),
            Event::FeedFailed { database, error } => self.feed_failed(&database, &error),
            Event::Commit { database, commit } => self.commit(&database, &commit),
            Event::HistoryLost { database } => self.history_lost(&database),
            Event::RunFinished { run, outcome } => self.finish(run, outcome),
            Event::Tick => {}
        }
        for socket in std::mem::take(&mut self.touched) {
            self.flush(socket);
        }
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due, in milliseconds.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// How many distinct live queries there are.
    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The newest version that the feed of `database` brought.
    pub(crate) fn version(&self, database: &str) -> u64 {
        self.feeds.version(database)
    }

    fn fire_timers(&mut self) {
        while let Some((at, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Entry(id) if self.entries.get(&id).is_some_and(|entry| entry.due == Some(at)) => {
                    self.start(id)
                }
                Timer::Socket(id) => drop(self.touched.insert(id)),
                Timer::Entry(_) => {}
            }
        }
    }

    fn send(&mut self, socket: SocketId, frame: Frame) {
        self.actions.push(Action::Send { socket, frame });
    }
}

/// Subscriptions.
impl Machine {
    fn subscribe(&mut self, socket: SocketId, id: SubId, wanted: Wanted, sub: Sub) {
        let state = self.sockets.entry(socket).or_insert_with(|| Socket::new(wanted.database.clone()));
        let max = self.config.subscriptions;
        let refusal = if state.subs.contains_key(&id) {
            Error::bad_request(format!("subscription {id} is open on this socket already; use another id"))
        } else if state.subs.len() >= max {
            Error::too_large(format!("this socket has {max} subscriptions, which is the limit"))
        } else {
            return self.attach(socket, id, wanted, sub);
        };
        self.send(socket, Frame::Error { id, error: Arc::new(refusal) });
    }

    /// Joins the entry that serves `sub`, or makes one.
    fn attach(&mut self, socket: SocketId, id: SubId, wanted: Wanted, sub: Sub) {
        let seen = self.seen.get(&wanted.query).cloned().unwrap_or_default();
        let key = Key { wanted, view: view(&sub.caller, &seen) };
        let entry_id = match self.keys.get(&key) {
            Some(id) => *id,
            None => self.create(key, seen),
        };
        let Some(entry) = self.entries.get_mut(&entry_id) else { return };
        entry.subs.insert((socket, id), sub);
        if let Some(state) = self.sockets.get_mut(&socket) {
            state.subs.insert(id, entry_id);
            state.stale.extend(entry.stale_from.map(|from| (from, entry_id)));
        }
        if entry.is_fresh() {
            self.deliver(entry_id, Some((socket, id)));
        } else if entry.due.is_none() {
            self.start(entry_id);
        }
    }

    fn create(&mut self, key: Key, seen: Seen) -> EntryId {
        self.next += 1;
        let id = EntryId(self.next);
        self.keys.insert(key.clone(), id);
        self.entries.insert(id, Entry::new(key, seen));
        id
    }

    /// Ends a subscription; the entry goes with its last one.
    fn detach(&mut self, socket: SocketId, id: SubId) -> Option<Sub> {
        let state = self.sockets.get_mut(&socket)?;
        let entry_id = state.subs.remove(&id)?;
        state.pending.remove(&id);
        self.touched.insert(socket);
        let entry = self.entries.get_mut(&entry_id)?;
        let sub = entry.subs.remove(&(socket, id));
        if let Some(from) = entry.stale_from
            && entry.subs.range((socket, SubId::MIN)..=(socket, SubId::MAX)).next().is_none()
        {
            state.stale.remove(&(from, entry_id));
        }
        if entry.subs.is_empty() {
            self.drop_entry(entry_id);
        }
        sub
    }

    fn drop_entry(&mut self, id: EntryId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.keys.remove(&entry.key);
        self.index.remove(id, &entry.postings);
        if let Some(due) = entry.due {
            self.timers.remove(&(due, Timer::Entry(id)));
        }
        if let Some(run) = entry.run {
            self.runs.remove(&run.id);
            self.feeds.land(run.seq, run.id.0);
            self.actions.push(Action::Cancel { run: run.id });
        }
    }

    fn close(&mut self, socket: SocketId) {
        let ids: Vec<_> =
            self.sockets.get(&socket).map(|s| s.subs.keys().copied().collect()).unwrap_or_default();
        for id in ids {
            self.detach(socket, id);
        }
        self.sockets.remove(&socket);
        self.awaiting.remove(&socket);
    }

    fn wrote(&mut self, socket: SocketId, version: u64) {
        if let Some(state) = self.sockets.get_mut(&socket) {
            state.awaits = state.awaits.max(Some(version));
            self.awaiting.insert(socket);
            self.touched.insert(socket);
        }
    }
}

/// Changes.
impl Machine {
    fn feed_up(&mut self, database: &Arc<str>) {
        self.feeds.entry(database).state = FeedState::Up;
        for id in self.reading(database, |entry| entry.blocked) {
            self.start(id);
        }
    }

    fn feed_failed(&mut self, database: &Arc<str>, error: &Arc<Error>) {
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

    fn history_lost(&mut self, database: &Arc<str>) {
        self.feeds.entry(database).state = FeedState::Up;
        for id in self.reading(database, |_| true) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            match &mut entry.run {
                Some(run) => run.tainted = true,
                None => {
                    let version = self.clock(id);
                    self.mark_stale(id, version);
                }
            }
        }
    }

    fn commit(&mut self, database: &Arc<str>, commit: &Arc<Commit>) {
        self.feeds.commit(database, commit);
        self.touched.extend(&self.awaiting);
        let mut candidates = HashSet::new();
        for change in &commit.changes {
            self.index.candidates(database, change, &mut candidates);
        }
        let mut candidates: Vec<_> = candidates.into_iter().collect();
        candidates.sort_unstable();
        for id in candidates {
            let Some(entry) = self.entries.get(&id) else { continue };
            // What is in flight is held against the commits it may have missed when it ends.
            let open = entry.run.is_none() && entry.stale_from.is_none();
            if open && commit.changes.iter().any(|change| entry.is_affected_by(database, change)) {
                self.mark_stale(id, self.version_of(id, database, commit));
            }
        }
    }

    /// The entries that read `database`, in the order they were made.
    fn reading(&self, database: &Arc<str>, which: impl Fn(&Entry) -> bool) -> Vec<EntryId> {
        let reads = |entry: &Entry| which(entry) && entry.databases().any(|name| name == database);
        let mut ids: Vec<_> =
            self.entries.iter().filter(|(_, entry)| reads(entry)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// The newest version of the database whose versions the entry's subscribers see.
    fn clock(&self, id: EntryId) -> u64 {
        self.entries.get(&id).map_or(0, |entry| self.feeds.version(&entry.key.wanted.database))
    }

    /// A commit's version as the entry's subscribers know it: other databases count at the moment they are heard of.
    fn version_of(&self, id: EntryId, database: &str, commit: &Commit) -> u64 {
        match self.entries.get(&id) {
            Some(entry) if *entry.key.wanted.database == *database => commit.version,
            _ => self.clock(id),
        }
    }

    fn mark_stale(&mut self, id: EntryId, version: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.stale_from.is_none() {
            entry.stale_since = self.now;
            self.set_stale(id, Some(version));
        }
        self.plan(id);
    }

    /// Notes that the entry lacks the commits from `from` on, here and with its sockets.
    fn set_stale(&mut self, id: EntryId, from: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let old = std::mem::replace(&mut entry.stale_from, from);
        for (socket, _) in entry.subs.keys() {
            let Some(state) = self.sockets.get_mut(socket) else { continue };
            if let Some(old) = old {
                state.stale.remove(&(old, id));
            }
            state.stale.extend(from.map(|from| (from, id)));
            self.touched.insert(*socket);
        }
    }
}

/// Runs.
impl Machine {
    /// Plans the next refresh: at once when the entry was quiet, else after its interval.
    fn plan(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get(&id) else { return };
        let interval = (2 * entry.duration).clamp(self.config.refresh_min, self.config.refresh_max);
        let at = entry.last_start.map_or(self.now, |last| self.now.max(last + interval));
        self.plan_at(id, at);
    }

    fn plan_at(&mut self, id: EntryId, at: u64) {
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

    fn start(&mut self, id: EntryId) {
        let readiness = self.readiness(id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.run.is_some() {
            return;
        }
        if let Some(due) = entry.due.take() {
            self.timers.remove(&(due, Timer::Entry(id)));
        }
        entry.blocked = !matches!(readiness, Readiness::Open);
        match readiness {
            Readiness::Waiting => return,
            Readiness::Failed(error) => return self.fail(id, error),
            Readiness::Open => {}
        }
        let Some((_, sub)) = entry.subs.first_key_value() else { return };
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
        self.actions.push(Action::Run { run, wanted: entry.key.wanted.clone(), caller });
    }

    /// Whether the feeds of everything that the entry reads are open; asks for those that nobody asked for.
    fn readiness(&mut self, id: EntryId) -> Readiness {
        let Some(entry) = self.entries.get(&id) else { return Readiness::Waiting };
        let mut readiness = Readiness::Open;
        for database in entry.databases() {
            if self.feeds.get(database).is_none() {
                self.feeds.entry(database);
                self.actions.push(Action::OpenFeed { database: database.clone() });
            }
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
        self.deliver(id, None);
    }

    fn finish(&mut self, run: RunId, outcome: Outcome) {
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
            Readiness::Open => self.conclude(id, &run, outcome.result, missed),
            // It read a database whose changes were not followed yet: it runs again once they are.
            Readiness::Waiting | Readiness::Failed(_) => self.start(id),
        }
    }

    /// Takes note of what a run read.
    fn file(&mut self, id: EntryId, reads: Vec<Read>, duration: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.duration = duration;
        self.index.remove(id, &entry.postings);
        entry.postings = self.index.insert(id, &reads);
        entry.reads = reads
            .into_iter()
            .map(|read| {
                let affects = Affects::new(&read);
                (read, affects)
            })
            .collect();
    }

    /// The version of the first commit that the run may have missed.
    fn missed(&self, id: EntryId, run: &Run) -> Option<u64> {
        let entry = self.entries.get(&id)?;
        let commits = self.feeds.since(run.seq).filter(|_| !run.tainted);
        let Some(mut commits) = commits else { return Some(run.version + 1) };
        let affecting = |database: &str, commit: &Commit| {
            commit.changes.iter().any(|change| entry.is_affected_by(database, change))
        };
        let (database, commit) = commits.find(|(database, commit)| affecting(database, commit))?;
        Some(self.version_of(id, database, commit))
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
            if let Some(sub) = self.detach(socket, sub_id) {
                self.attach(socket, sub_id, wanted.clone(), sub);
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
        self.set_stale(id, missed);
        self.deliver(id, None);
        if missed.is_some() {
            self.plan(id);
        } else if transient {
            self.plan_at(id, self.now + retry);
        }
    }
}

/// Results.
impl Machine {
    /// Hands the entry's result to its subscribers, or to one of them.
    fn deliver(&mut self, id: EntryId, only: Option<(SocketId, SubId)>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(result) = &entry.result else { return };
        let version = self.feeds.version(&entry.key.wanted.database);
        for (&(socket, sub_id), sub) in
            entry.subs.iter_mut().filter(|(place, _)| only.is_none_or(|p| p == **place))
        {
            let Some(state) = self.sockets.get_mut(&socket) else { continue };
            if entry.stale_from.is_some_and(|from| state.sent >= from) {
                continue;
            }
            let complete = entry.stale_from.map_or(version, |from| from.saturating_sub(1));
            match result {
                Ok(data) => {
                    if let Some(item) = sub.take(sub_id, data) {
                        state.pending.insert(sub_id, item);
                        state.pending_version = state.pending_version.max(complete);
                    }
                }
                Err(failure) => {
                    if sub.tell(&failure.error) {
                        state.pending.remove(&sub_id);
                        let frame = Frame::Error { id: sub_id, error: failure.error.clone() };
                        self.actions.push(Action::Send { socket, frame });
                    }
                }
            }
            self.touched.insert(socket);
        }
    }

    /// Sends what is pending, once nothing that belongs to the same commits is still on its way.
    fn flush(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let version = socket.reached(self.feeds.version(&socket.database));
        if socket.pending.is_empty() {
            socket.deadline = None;
            socket.pending_version = 0;
            if socket.awaits.is_some_and(|awaited| awaited <= socket.sent) {
                socket.awaits = None;
                self.awaiting.remove(&id);
            }
            if socket.awaits.is_none_or(|awaited| awaited > version) {
                return;
            }
        } else {
            let deadline = *socket.deadline.get_or_insert(self.now + self.config.hold);
            let entries = &self.entries;
            let has_result = |entry: &EntryId| entries.get(entry).is_some_and(|entry| entry.result.is_some());
            let mut related = socket.stale.iter().take_while(|(from, _)| *from <= socket.pending_version);
            if self.now < deadline && related.any(|(_, entry)| has_result(entry)) {
                self.timers.insert((deadline, Timer::Socket(id)));
                return;
            }
        }
        let results = std::mem::take(&mut socket.pending).into_values().collect();
        (socket.sent, socket.deadline, socket.pending_version) = (version, None, 0);
        if socket.awaits.is_some_and(|awaited| awaited <= version) {
            socket.awaits = None;
            self.awaiting.remove(&id);
        }
        self.send(id, Frame::Update { version, results });
    }
}
