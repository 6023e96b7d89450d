//! One live query: who wants it, what it read, and when it runs next.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use forge_core::adapter::{ChangeEvent, Read};
use forge_core::context::Seen;
use forge_core::feed::Affects;
use forge_core::{Caller, Error};
use serde::Serialize;

use super::event::{Content, Data, Failure, Item, RunId, SocketId, SubId, Wanted};
use super::index::Posting;
use crate::json::ShortHash;

/// The key under which equal subscriptions share one entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Database, query and arguments.
    pub(crate) wanted: Wanted,
    /// What the handler sees of the caller; none while every caller gets the same.
    pub(crate) view: Option<Arc<str>>,
}

/// One subscriber of an entry.
#[derive(Debug)]
pub(crate) struct Sub {
    /// Its caller.
    pub(crate) caller: Caller,
    /// Whether it takes differences.
    pub(crate) delta: bool,
    /// The result that it holds, or that is on its way.
    pub(crate) has: Option<ShortHash>,
    /// Whether it was told anything since it subscribed, or asked for more.
    pub(crate) answered: bool,
    /// Whether it was ever told anything.
    pub(crate) holds: bool,
    /// The message of the error that it was told last.
    pub(crate) told: Option<Arc<str>>,
}

impl Sub {
    /// What to send so that the subscriber has `data`; nothing if it has it.
    pub(crate) fn take(&mut self, id: SubId, data: &Data) -> Option<Item> {
        let unchanged = self.has == Some(data.hash);
        if unchanged && self.answered {
            return None;
        }
        let content = match &data.delta {
            _ if unchanged => Content::Unchanged,
            Some(delta) if self.delta && self.has == Some(delta.from) => {
                Content::Patched(vec![delta.clone()])
            }
            _ => Content::Whole,
        };
        (self.has, self.answered, self.holds, self.told) = (Some(data.hash), true, true, None);
        Some(Item::new(id, data, content))
    }

    /// Makes the next result a full answer, as if nothing had been sent so far.
    pub(crate) fn forget(&mut self) {
        (self.has, self.answered, self.told) = (None, false, None);
    }

    /// Whether the subscriber must be told of `error`, having not been told the same before.
    pub(crate) fn tell(&mut self, error: &Error) -> bool {
        let repeated = self.told.as_deref() == Some(error.message());
        (self.has, self.answered, self.holds) = (None, true, true);
        self.told = Some(error.message().into());
        !repeated
    }
}

/// A run in flight.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its name.
    pub(crate) id: RunId,
    /// When it started, in milliseconds.
    pub(crate) started: u64,
    /// The newest version that the feed had brought by then.
    pub(crate) version: u64,
    /// The first commit that it may not have seen.
    pub(crate) seq: u64,
    /// As whom it runs.
    pub(crate) caller: Caller,
    /// Its result is stale, whatever it reads.
    pub(crate) tainted: bool,
}

/// A live query.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) key: Key,
    /// The facts about the caller that `key` holds.
    pub(crate) seen: Seen,
    /// Who wants it.
    pub(crate) subs: BTreeMap<(SocketId, SubId), Sub>,
    /// A result that the first one is likely to be near: that of the same query with a shorter window.
    pub(crate) base: Option<Data>,
    /// The last result.
    pub(crate) result: Option<Result<Data, Failure>>,
    /// What the last run read.
    pub(crate) reads: Vec<(Read, Affects)>,
    /// Where `reads` are filed.
    pub(crate) postings: HashSet<Posting>,
    /// The run in flight.
    pub(crate) run: Option<Run>,
    /// The version of the first commit that `result` does not include; none while it is fresh.
    pub(crate) stale_from: Option<u64>,
    /// Since when `stale_from` is set, in milliseconds.
    pub(crate) stale_since: u64,
    /// When the next run starts, in milliseconds.
    pub(crate) due: Option<u64>,
    /// It waits for a change feed to open.
    pub(crate) blocked: bool,
    /// It has an error in place of a result, since a change feed cannot be had.
    pub(crate) refused: bool,
    /// The last run's result was withheld.
    pub(crate) withheld: bool,
    /// When the last run started, in milliseconds.
    pub(crate) last_start: Option<u64>,
    /// How long the last run took, in milliseconds.
    pub(crate) duration: u64,
    /// Transient failures in a row.
    pub(crate) failures: u32,
    /// What it has cost so far.
    pub(crate) cost: Cost,
}

/// What a live query has cost since somebody first wanted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cost {
    /// Runs that ended.
    pub(crate) runs: u64,
    /// How long they took, in milliseconds, with what they waited for others.
    pub(crate) millis: u64,
    /// Commits that were held against what it read.
    pub(crate) tested: u64,
    /// Those of them that made its result stale.
    pub(crate) affected: u64,
}

impl Entry {
    /// An entry that nobody wants yet.
    pub(crate) fn new(key: Key, seen: Seen) -> Self {
        Self {
            key,
            seen,
            subs: BTreeMap::new(),
            base: None,
            result: None,
            reads: Vec::new(),
            postings: HashSet::new(),
            run: None,
            stale_from: None,
            stale_since: 0,
            due: None,
            blocked: false,
            refused: false,
            withheld: false,
            last_start: None,
            duration: 0,
            failures: 0,
            cost: Cost::default(),
        }
    }

    /// The result that the next one can be told from, where a subscriber wants that.
    pub(crate) fn before(&self) -> Option<Data> {
        let data = match &self.result {
            Some(result) => result.as_ref().ok()?,
            None => self.base.as_ref()?,
        };
        self.subs.values().any(|sub| sub.delta).then(|| data.clone())
    }

    /// Whether its result can be given to a new subscriber as it is.
    pub(crate) fn is_fresh(&self) -> bool {
        self.result.is_some() && self.stale_from.is_none()
    }

    /// Whether `change` in `database` may change the result.
    pub(crate) fn is_affected_by(&self, database: &str, change: &ChangeEvent) -> bool {
        self.reads.iter().any(|(read, affects)| {
            *read.database == *database && *read.collection == *change.collection && affects.by(change)
        })
    }

    /// The databases that it reads beside its own.
    pub(crate) fn others(&self) -> BTreeSet<Arc<str>> {
        let own = &self.key.wanted.database;
        let others = self.reads.iter().map(|(read, _)| &read.database).filter(|database| *database != own);
        others.cloned().collect()
    }

    /// Every database whose changes matter.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &Arc<str>> {
        std::iter::once(&self.key.wanted.database).chain(self.reads.iter().map(|(read, _)| &read.database))
    }
}
