//! The default database of the simulation and its feed, which is always wanted.

use std::sync::Arc;

use bson::Bson;
use forge_core::Error;
use forge_core::adapter::{ChangeEvent, ChangeKind, Commit, ResumeToken};

use super::queries::document;
use super::{DOWN, Happening, World};
use crate::live::event::{Event, SocketId};

impl World {
    pub(super) fn write(&mut self, socket: Option<u64>, changes: &[(usize, i32, i32)], pre_images: bool) {
        let mut docs = self.docs().clone();
        let mut events = Vec::new();
        for &(id, group, value) in changes {
            let before = std::mem::replace(&mut docs.items[id], (group, value));
            let touched = [(before.0 != group, "group"), (before.1 != value, "value")];
            events.push(ChangeEvent {
                collection: "items".into(),
                kind: ChangeKind::Update,
                id: Bson::Int32(id as i32),
                before: pre_images.then(|| document(id, before)),
                after: Some(document(id, docs.items[id])),
                touched: Some(
                    touched.iter().filter(|(yes, _)| *yes).map(|(_, name)| (*name).to_owned()).collect(),
                ),
                updated: None,
            });
        }
        self.history.push(docs);
        let version = self.version();
        let commit = Commit { version, token: ResumeToken(Bson::Null), changes: events };
        self.delivered_until = self.delivered_until.max(self.now + self.below(30));
        self.at(self.delivered_until, Happening::Deliver(Arc::new(commit)));
        if let Some(client) = socket.and_then(|socket| self.clients.get_mut(&socket))
            && !client.subs.is_empty()
        {
            client.awaits = version;
            self.feed(Event::Wrote { socket: SocketId(socket.unwrap()), version });
        }
    }

    /// The feed loses what it has not told.
    pub(super) fn lose_history(&mut self) {
        self.queue.retain(|_, what| !matches!(what, Happening::Deliver(_)));
        let time = self.now + self.below(40);
        self.delivered_until = self.delivered_until.max(time);
        self.at(self.delivered_until, Happening::HistoryLost);
    }

    /// The feed breaks off; when it is back, it tells what it did not tell meanwhile.
    pub(super) fn fail_feed(&mut self, lasts: u64) {
        let (database, error) = ("db".into(), Arc::new(Error::unavailable(DOWN)));
        self.feed(Event::FeedFailed { database, error });
        let back = self.now + lasts;
        self.delivered_until = self.delivered_until.max(back);
        self.at(back, Happening::Back);
        let is_told = |what: &mut Happening| matches!(what, Happening::Deliver(_) | Happening::HistoryLost);
        let late: Vec<_> = self.queue.extract_if(..(back + 1, 0), |_, what| is_told(what)).collect();
        for (_, what) in late {
            self.at(back, what);
        }
    }
}
