//! What a socket asks of the hub.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use forge_core::Caller;
use forge_core::context::More;
use tokio::sync::mpsc;

use super::{Command, Hub};
use crate::json::ShortHash;
use crate::live::event::{Event, SocketId, SubId, Wanted};
use crate::live::outbox::Outbox;
use crate::live::queue::Closing;

/// A registered socket. Its subscriptions end when this is dropped.
pub(crate) struct Subscriber {
    pub(super) hub: Hub,
    pub(super) id: SocketId,
    /// What waits to be sent.
    pub(crate) outbox: Arc<Outbox>,
}

/// How a subscription begins.
#[derive(Debug)]
pub(crate) struct Start {
    /// The client's number for it.
    pub(crate) id: SubId,
    /// The hash of the result that the client has already.
    pub(crate) hash: Option<ShortHash>,
    /// Whether it takes differences.
    pub(crate) delta: bool,
    /// By how much its window is longer than the first page.
    pub(crate) more: More,
}

impl Subscriber {
    /// Starts a live query.
    pub(crate) async fn subscribe(&self, query: &str, args: String, caller: Caller, start: Start) {
        let Start { id, hash, delta, more } = start;
        let caller = Caller { more, ..caller };
        let database = self.hub.database_of(&caller);
        let wanted = Wanted { database, query: query.into(), args: args.into() };
        self.send(Event::Subscribe { socket: self.id, id, wanted, caller, hash, delta }).await;
    }

    /// Makes the window of a live query longer.
    pub(crate) async fn page(&self, id: SubId, more: More) {
        self.send(Event::Page { socket: self.id, id, more }).await;
    }

    /// Goes on with another caller; with a `session`, the socket is told when that is so.
    pub(crate) async fn identify(&self, caller: Caller, session: Option<Arc<str>>) {
        self.send(Event::Identify { socket: self.id, caller, session }).await;
    }

    /// Ends a live query.
    pub(crate) async fn unsubscribe(&self, id: SubId) {
        self.send(Event::Unsubscribe { socket: self.id, id }).await;
    }

    /// Asks to be told when the results include the write with this version.
    pub(crate) async fn wrote(&self, version: u64) {
        self.send(Event::Wrote { socket: self.id, version }).await;
    }

    async fn send(&self, event: Event) {
        if self.hub.0.commands.send(Command::Event(event)).await.is_err() {
            self.outbox.close(Closing::GoingAway);
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.hub.0.open.fetch_sub(1, Ordering::AcqRel);
        let command = Command::Close { socket: self.id };
        if let Err(mpsc::error::TrySendError::Full(command)) = self.hub.0.commands.try_send(command) {
            let commands = self.hub.0.commands.clone();
            tokio::spawn(async move { commands.send(command).await });
        }
    }
}
