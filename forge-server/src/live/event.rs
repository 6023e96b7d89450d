//! What goes into the live-query machine and what comes out of it.

use std::sync::Arc;

use forge_core::adapter::{Commit, Read};
use forge_core::context::{More, Seen};
use forge_core::{Caller, Error};

use super::delta::{self, Delta};
use super::queue::Shared;
use super::results::Results;
use crate::json::{ShortHash, short_hash};

/// A socket, or an in-process subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketId(pub(crate) u64);

/// A client's own number for a subscription or call.
pub(crate) type SubId = u64;

/// One run of one live query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RunId(pub(crate) u64);

/// What a subscriber asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    /// The database of the caller.
    pub(crate) database: Arc<str>,
    /// The handler.
    pub(crate) query: Arc<str>,
    /// Its arguments, as canonical JSON.
    pub(crate) args: Arc<str>,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client subscribes. `hash` is that of the result that it has from before.
    Subscribe {
        socket: SocketId,
        id: SubId,
        wanted: Wanted,
        caller: Caller,
        hash: Option<ShortHash>,
        /// Whether the client takes differences in place of whole results.
        delta: bool,
    },
    /// A client asks for a window that is longer by `more`.
    Page { socket: SocketId, id: SubId, more: More },
    /// Behind a socket is another caller from now on. Where a `session` is given, the socket is told.
    Identify { socket: SocketId, caller: Caller, session: Option<Arc<str>> },
    /// A client has seen enough.
    Unsubscribe { socket: SocketId, id: SubId },
    /// A socket is gone, with all its subscriptions.
    SocketClosed { socket: SocketId },
    /// A mutation of this socket was answered with `version`: the socket is told once its results include it.
    Wrote { socket: SocketId, version: u64 },
    /// The change feed of a database is open.
    FeedUp { database: Arc<str> },
    /// The change feed of a database cannot be had, now or ever.
    FeedFailed { database: Arc<str>, error: Arc<Error> },
    /// The change feed brought a commit.
    Commit { database: Arc<str>, commit: Arc<Commit> },
    /// The change feed was opened afresh: anything may have changed before.
    HistoryLost { database: Arc<str> },
    /// A run ended.
    RunFinished { run: RunId, outcome: Outcome },
    /// Time passed.
    Tick,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What it read, up to its end.
    pub(crate) reads: Vec<Read>,
    /// What the handler looked at of its caller.
    pub(crate) seen: Seen,
    /// The result.
    pub(crate) result: Result<Data, Failure>,
}

/// A result, serialized once for all who see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data {
    /// A short hash of `json`.
    pub(crate) hash: ShortHash,
    /// The text.
    pub(crate) json: Arc<Shared>,
    /// How to get here from the result before, where somebody wants to know and it is shorter than `json`.
    pub(crate) delta: Option<Arc<Delta>>,
}

impl Data {
    /// The result with this text.
    pub(crate) fn new(json: impl Into<Shared>) -> Self {
        let json = Arc::new(json.into());
        let hash = short_hash(json.as_bytes());
        Self { hash, json, delta: None }
    }

    /// The same result, with how it differs from the one before it.
    pub(crate) fn after(mut self, before: &Data) -> Self {
        let operations = (self.hash != before.hash).then(|| delta::operations(&before.json, &self.json));
        self.delta = operations.flatten().map(|operations| Arc::new(Delta { from: before.hash, operations }));
        self
    }
}

/// Why a run has no result.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The error.
    pub(crate) error: Arc<Error>,
    /// Whether running again may help, without any change to the data.
    pub(crate) transient: bool,
}

/// Something to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Run a query for `caller`, and report [`Event::RunFinished`].
    Run {
        run: RunId,
        /// Who wants it, where nobody else does.
        alone: Option<SocketId>,
        wanted: Wanted,
        caller: Caller,
        /// The result before it, where subscribers want to know the difference.
        before: Option<Data>,
    },
    /// Nobody wants the result any more.
    Cancel { run: RunId },
    /// Open the change feed of a database and report [`Event::FeedUp`] or [`Event::FeedFailed`].
    OpenFeed { database: Arc<str> },
    /// Nobody has read a database for a while: close its change feed. Nothing that it told is reported from here on.
    CloseFeed { database: Arc<str> },
    /// Send a frame.
    Send { socket: SocketId, frame: Frame },
}

/// A frame to a subscriber.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// Results, and the version that everything on the socket has reached.
    Update { version: u64, results: Results },
    /// The subscription has an error in place of a result.
    Error { id: SubId, error: Arc<Error> },
    /// The end of a subscription.
    Unsubscribed { id: SubId },
    /// The socket's caller is the new one.
    Ready { session: Arc<str>, version: u64 },
    /// What waits to be sent of the subscription was meant for the caller before. Nothing is sent.
    Retracted { id: SubId },
}

/// One result of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// The subscription.
    pub(crate) id: SubId,
    /// The short hash of `json`.
    pub(crate) hash: ShortHash,
    /// The result's text.
    pub(crate) json: Arc<Shared>,
    /// What is sent of it.
    pub(crate) content: Content,
}

/// What is sent of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// All of it.
    Whole,
    /// Nothing: the client has it already.
    Unchanged,
    /// The differences from what the client has, one after the other.
    Patched(Vec<Arc<Delta>>),
}

impl Item {
    /// The result `data` of a subscription, sent as `content`.
    pub(crate) fn new(id: SubId, data: &Data, content: Content) -> Self {
        Self { id, hash: data.hash, json: data.json.clone(), content }
    }

    /// This item where `earlier`, of the same subscription, was not sent and is not going to be.
    pub(crate) fn in_place_of(mut self, earlier: Content) -> Self {
        self.content = match (self.content, earlier) {
            (Content::Whole, _) | (Content::Patched(_), Content::Whole) => Content::Whole,
            (Content::Patched(steps), Content::Unchanged) => Content::Patched(steps),
            (Content::Unchanged, content) => content,
            (Content::Patched(steps), Content::Patched(mut all)) => {
                all.extend(steps);
                Content::Patched(all)
            }
        };
        if matches!(self.content, Content::Patched(_)) && self.size() >= self.json.len() {
            self.content = Content::Whole;
        }
        self
    }

    /// About how many bytes are sent.
    pub(crate) fn size(&self) -> usize {
        match &self.content {
            Content::Whole => self.json.len(),
            Content::Unchanged => 0,
            Content::Patched(steps) => steps.iter().map(|delta| delta.operations.len() + 1).sum(),
        }
    }
}
