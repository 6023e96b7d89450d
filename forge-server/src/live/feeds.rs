//! What the machine knows of change feeds, and the commits that runs in flight may have missed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use forge_core::Error;
use forge_core::adapter::Commit;

/// Changes kept for runs in flight; beyond it their results count as stale unseen.
const MAX_CHANGES: usize = 10_000;

/// The change feed of one database.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Where it stands.
    pub(crate) state: FeedState,
    /// The newest version it brought.
    pub(crate) version: u64,
    /// How many live queries read the database.
    pub(crate) readers: usize,
    /// When it is closed, in milliseconds, where nobody reads the database.
    pub(crate) idle: Option<u64>,
    /// When it opened, as a number between those of the runs before and after.
    pub(crate) opened: u64,
}

impl Feed {
    /// Whether it was asked for, and not closed since.
    pub(crate) fn is_followed(&self) -> bool {
        !matches!(self.state, FeedState::Closed)
    }

    /// Takes note that it is open, at `next`.
    pub(crate) fn open(&mut self, next: u64) {
        if !matches!(self.state, FeedState::Up) {
            (self.state, self.opened) = (FeedState::Up, next);
        }
    }
}

/// Where a change feed stands.
#[derive(Debug, Default)]
pub(crate) enum FeedState {
    /// Nobody asked for it, or nobody reads it any more.
    #[default]
    Closed,
    /// Asked for.
    Opening,
    /// Open. It stays so while it reconnects: a resumed feed brings what was missed, and one that cannot be resumed
    /// reports its lost history.
    Up,
    /// It cannot be had.
    Failed(Arc<Error>),
}

/// The feeds of all databases.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    feeds: HashMap<Arc<str>, Feed>,
    log: VecDeque<(Arc<str>, Arc<Commit>)>,
    /// The sequence number of the first commit in `log`.
    first: u64,
    changes: usize,
    /// The sequence numbers at which the runs in flight started, each with the run's own number.
    flights: BTreeSet<(u64, u64)>,
}

impl Feeds {
    /// The feed of `database`, if somebody reads it or it is known where it stood.
    pub(crate) fn get(&self, database: &str) -> Option<&Feed> {
        self.feeds.get(database)
    }

    /// Whether the feed of `database` is followed.
    pub(crate) fn is_followed(&self, database: &str) -> bool {
        self.feeds.get(database).is_some_and(Feed::is_followed)
    }

    /// All feeds that are followed.
    pub(crate) fn followed(&self) -> impl Iterator<Item = (&Arc<str>, &Feed)> {
        self.feeds.iter().filter(|(_, feed)| feed.is_followed())
    }

    /// Forgets where closed feeds stood whose databases nobody reads, but for those of `known`.
    pub(crate) fn forget(&mut self, known: impl Fn(&str) -> bool) {
        self.feeds.retain(|database, feed| feed.is_followed() || feed.readers > 0 || known(database));
    }

    /// The feed of `database`.
    pub(crate) fn entry(&mut self, database: &Arc<str>) -> &mut Feed {
        self.feeds.entry(database.clone()).or_default()
    }

    /// Forgets the feed of `database`.
    pub(crate) fn remove(&mut self, database: &str) {
        self.feeds.remove(database);
    }

    /// The newest version that the feed of `database` brought; 0 before any.
    pub(crate) fn version(&self, database: &str) -> u64 {
        self.feeds.get(database).map_or(0, |feed| feed.version)
    }

    /// A run starts: commits from now on are kept for it.
    pub(crate) fn take_off(&mut self, run: u64) -> u64 {
        let seq = self.first + self.log.len() as u64;
        self.flights.insert((seq, run));
        seq
    }

    /// A run that started at `seq` is over: what nobody else needs is forgotten.
    pub(crate) fn land(&mut self, seq: u64, run: u64) {
        self.flights.remove(&(seq, run));
        let needed = self.flights.first().map_or(u64::MAX, |(seq, _)| *seq);
        while self.first < needed && self.drop_oldest() {}
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, commit)) = self.log.pop_front() else { return false };
        self.first += 1;
        self.changes -= commit.changes.len();
        true
    }

    /// Takes note of a commit.
    pub(crate) fn commit(&mut self, database: &Arc<str>, commit: &Arc<Commit>) {
        let feed = self.entry(database);
        feed.version = feed.version.max(commit.version);
        if self.flights.is_empty() {
            return;
        }
        self.log.push_back((database.clone(), commit.clone()));
        self.changes += commit.changes.len();
        while self.changes > MAX_CHANGES && self.drop_oldest() {}
    }

    /// The commits since `seq`, oldest first; none where some of them were too many to keep.
    pub(crate) fn since(&self, seq: u64) -> Option<impl Iterator<Item = &(Arc<str>, Arc<Commit>)>> {
        let skip = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        Some(self.log.iter().skip(skip))
    }
}
