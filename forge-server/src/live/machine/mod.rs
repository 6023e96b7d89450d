//! The live-query engine as a state machine: events in, actions out, time passed in. It does no IO.
//!
//! What holds after every event:
//! - Equal subscriptions share one entry, with at most one run in flight and one planned.
//! - A run starts only when the change feeds of what it reads are open. Commits that arrive while it is in flight are
//!   kept and held against what it read when it ends; what it may have missed is run again.
//! - The version of a frame is what *everything* on the socket has reached, and never goes back. A result is only
//!   sent to a socket that was not told of a version which the result may lack.

mod callers;
mod changes;
mod following;
mod report;
mod results;
mod runs;
mod subscriptions;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use forge_core::context::Seen;
use rustc_hash::FxHashMap;

use super::entry::{Entry, Key, Sub};
use super::event::{Action, Event, Frame, RunId, SocketId};
use super::feeds::{FeedState, Feeds};
use super::index::{EntryId, ReadIndex};
use super::socket::Socket;
pub(crate) use report::{LiveCost, LiveReport};

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
    /// By how many items a window may be longer than the handler made it.
    pub(crate) window: u64,
    /// Feeds that are open at the same time, beside that of the default database.
    pub(crate) feeds: usize,
    /// How long a feed stays open that nobody needs.
    pub(crate) feed_idle: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Entry(EntryId),
    Socket(SocketId),
    Feeds,
}

/// What happened to the live queries of one handler, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Subscriptions that joined a live query that others had already.
    pub(crate) shared: u64,
    /// Results that a commit made stale.
    pub(crate) affected: u64,
}

/// The state of all live queries.
#[derive(Debug)]
pub(crate) struct Machine {
    config: Config,
    /// The default database, which is always followed.
    database: Arc<str>,
    now: u64,
    next: u64,
    feeds: Feeds,
    index: ReadIndex,
    entries: FxHashMap<EntryId, Entry>,
    keys: HashMap<Key, EntryId>,
    runs: FxHashMap<RunId, EntryId>,
    sockets: FxHashMap<SocketId, Socket>,
    /// What each query ever looked at of a caller.
    seen: HashMap<Arc<str>, Seen>,
    /// By query.
    counts: HashMap<Arc<str>, Counts>,
    timers: BTreeSet<(u64, Timer)>,
    /// Live queries that were refused since too many databases are followed.
    crowded: BTreeSet<EntryId>,
    /// Whether one of those may be followed now.
    has_room: bool,
    /// Sockets that may have something to send; not each once.
    touched: Vec<SocketId>,
    awaiting: BTreeSet<SocketId>,
    actions: Vec<Action>,
}

impl Machine {
    /// A machine without subscribers. The feed of the default database is open soon, without having been asked for.
    pub(crate) fn new(config: Config, database: Arc<str>) -> Self {
        let mut feeds = Feeds::default();
        feeds.entry(&database).state = FeedState::Opening;
        Self {
            config,
            database,
            now: 0,
            next: 0,
            feeds,
            index: ReadIndex::default(),
            entries: FxHashMap::default(),
            keys: HashMap::new(),
            runs: FxHashMap::default(),
            sockets: FxHashMap::default(),
            seen: HashMap::new(),
            counts: HashMap::new(),
            timers: BTreeSet::new(),
            crowded: BTreeSet::new(),
            has_room: false,
            touched: Vec::new(),
            awaiting: BTreeSet::new(),
            actions: Vec::new(),
        }
    }

    /// Takes note of `event` at `now` (milliseconds, never going back) and says what to do.
    pub(crate) fn handle(&mut self, now: u64, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        self.fire_timers();
        match event {
            Event::Subscribe { socket, id, wanted, caller, hash, delta } => {
                let sub = Sub { caller, delta, has: hash, answered: false, holds: false, told: None };
                self.subscribe(socket, id, wanted, sub);
            }
            Event::Page { socket, id, more } => self.page(socket, id, more),
            Event::Identify { socket, caller, session } => self.identify(socket, &caller, session),
            Event::Unsubscribe { socket, id } => {
                self.detach(socket, id);
                self.send(socket, Frame::Unsubscribed { id });
            }
            Event::SocketClosed { socket } => self.close(socket),
            Event::Wrote { socket, version } => self.wrote(socket, version),
            // Told in the very step in which it was closed: nobody would follow what it opened.
            Event::FeedUp { database }
            | Event::FeedFailed { database, .. }
            | Event::HistoryLost { database }
                if !self.feeds.is_followed(&database) => {}
            Event::FeedUp { database } => self.feed_up(&database),
            Event::FeedFailed { database, error } => self.feed_failed(&database, &error),
            Event::Commit { database, commit } => self.commit(&database, &commit),
            Event::HistoryLost { database } => self.history_lost(&database),
            Event::RunFinished { run, outcome } => self.finish(run, outcome),
            Event::Tick => {}
        }
        self.admit();
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        self.actions.reserve(touched.len());
        for socket in touched {
            self.flush(socket);
        }
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due, in milliseconds.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What happened so far, by query.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&Arc<str>, Counts)> {
        self.counts.iter().map(|(query, counts)| (query, *counts))
    }

    /// How many subscriptions there are.
    pub(crate) fn subscriptions(&self) -> usize {
        self.sockets.values().map(|state| state.subs.len()).sum()
    }

    /// The change feeds that are followed: database, whether it is open, and the newest version it brought.
    pub(crate) fn feeds(&self) -> impl Iterator<Item = (&Arc<str>, bool, u64)> {
        self.feeds
            .followed()
            .map(|(database, feed)| (database, matches!(feed.state, FeedState::Up), feed.version))
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
                    self.start(id);
                }
                Timer::Socket(id) => self.touched.push(id),
                Timer::Entry(_) => {}
                Timer::Feeds => self.close_idle(),
            }
        }
    }

    fn send(&mut self, socket: SocketId, frame: Frame) {
        self.actions.push(Action::Send { socket, frame });
    }
}
