//! Who wants what.

use std::sync::Arc;

use forge_core::Error;
use forge_core::context::Seen;

use super::{Machine, Timer};
use crate::live::entry::{Entry, Key, Sub};
use crate::live::event::{Action, Data, Frame, SocketId, SubId, Wanted};
use crate::live::index::EntryId;
use crate::live::socket::Socket;
use crate::live::view::view;

impl Machine {
    pub(super) fn subscribe(&mut self, socket: SocketId, id: SubId, wanted: Wanted, sub: Sub) {
        let state = self.sockets.entry(socket).or_insert_with(|| Socket::new(wanted.database.clone()));
        let max = self.config.subscriptions;
        let refusal = if state.subs.contains_key(&id) {
            Error::bad_request(format!("subscription {id} is open on this socket already; use another id"))
        } else if state.subs.len() >= max {
            Error::too_large(format!("this socket has {max} subscriptions, which is the limit"))
        } else {
            self.attach(socket, id, wanted, sub, None);
            return;
        };
        self.send(socket, Frame::Error { id, error: Arc::new(refusal) });
    }

    /// Joins the entry that serves `sub`, or makes one. `base` is a result that its first one is likely to be near.
    pub(super) fn attach(
        &mut self,
        socket: SocketId,
        id: SubId,
        wanted: Wanted,
        sub: Sub,
        base: Option<Data>,
    ) -> EntryId {
        let seen = self.seen.get(&wanted.query).cloned().unwrap_or_default();
        let key = Key { wanted, view: view(&sub.caller, &seen) };
        let entry_id = match self.keys.get(&key) {
            Some(id) => {
                self.counts.entry(key.wanted.query.clone()).or_default().shared += 1;
                *id
            }
            None => self.create(key, seen),
        };
        let Some(entry) = self.entries.get_mut(&entry_id) else { return entry_id };
        entry.subs.insert((socket, id), sub);
        if entry.result.is_none() {
            entry.base = entry.base.take().or(base);
        }
        if let Some(state) = self.sockets.get_mut(&socket) {
            state.subs.insert(id, entry_id);
            state.stale.extend(entry.stale_from.map(|from| (from, entry_id)));
        }
        if entry.is_fresh() {
            self.deliver_one(entry_id, (socket, id));
        } else if entry.due.is_none() {
            self.start(entry_id);
        }
        entry_id
    }

    pub(super) fn create(&mut self, key: Key, seen: Seen) -> EntryId {
        self.next += 1;
        let id = EntryId(self.next);
        self.keys.insert(key.clone(), id);
        self.gain(&key.wanted.database);
        self.entries.insert(id, Entry::new(key, seen));
        id
    }

    /// Ends a subscription; the entry goes with its last one.
    pub(super) fn detach(&mut self, socket: SocketId, id: SubId) -> Option<Sub> {
        let state = self.sockets.get_mut(&socket)?;
        let entry_id = state.subs.remove(&id)?;
        let unsent = state.pending.remove(id).is_some();
        self.touched.push(socket);
        let entry = self.entries.get_mut(&entry_id)?;
        let mut sub = entry.subs.remove(&(socket, id));
        if let Some(sub) = sub.as_mut().filter(|_| unsent) {
            sub.has = None;
        }
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

    pub(super) fn drop_entry(&mut self, id: EntryId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        entry.others().iter().for_each(|database| self.lose(database));
        self.lose(&entry.key.wanted.database);
        self.crowded.remove(&id);
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

    pub(super) fn close(&mut self, socket: SocketId) {
        let ids: Vec<_> =
            self.sockets.get(&socket).map(|s| s.subs.keys().copied().collect()).unwrap_or_default();
        for id in ids {
            self.detach(socket, id);
        }
        self.sockets.remove(&socket);
        self.awaiting.remove(&socket);
    }

    pub(super) fn wrote(&mut self, socket: SocketId, version: u64) {
        if let Some(state) = self.sockets.get_mut(&socket) {
            state.awaits = state.awaits.max(Some(version));
            self.awaiting.insert(socket);
            self.touched.push(socket);
        }
    }
}
