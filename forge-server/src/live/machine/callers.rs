//! Subscriptions whose caller changes: another identity, or a longer window.

use std::sync::Arc;

use forge_core::context::More;
use forge_core::{Caller, Error};

use super::Machine;
use crate::live::entry::Sub;
use crate::live::event::{Data, Frame, SocketId, SubId, Wanted};
use crate::live::view::view;

impl Machine {
    /// Makes the window of a subscription longer. It is answered, even if there is no more to see.
    pub(super) fn page(&mut self, socket: SocketId, id: SubId, more: More) {
        if let Err(refusal) = self.lengthen(socket, id, more) {
            return self.send(socket, Frame::Error { id, error: Arc::new(refusal) });
        }
        self.follow_caller(socket, id, true);
    }

    fn lengthen(&mut self, socket: SocketId, id: SubId, more: More) -> Result<(), Error> {
        let entry_id = self.sockets.get(&socket).and_then(|state| state.subs.get(&id));
        let entry = entry_id.and_then(|entry| self.entries.get_mut(entry));
        let Some(entry) = entry else {
            return Err(Error::bad_request(format!("there is no subscription {id} on this socket")));
        };
        let query = &entry.key.wanted.query;
        // Before the first result it is not known whether the query looks at its window.
        let directions = [
            (more.after, entry.seen.window, "window"),
            (more.before, entry.seen.window_before, "window_before"),
        ];
        let lacking = directions.iter().find(|(by, looks, _)| *by > 0 && !looks);
        if let (Some((.., name)), true) = (lacking, entry.result.is_some()) {
            return Err(Error::bad_request(format!(
                "the query {query} has no such pages; it would have to limit itself by ctx.{name}"
            )));
        }
        let Some(sub) = entry.subs.get_mut(&(socket, id)) else { return Ok(()) };
        let max = self.config.window;
        let total = sub.caller.more + more;
        if total.total() > max {
            return Err(Error::too_large(format!("a window can be made longer by {max} in all")));
        }
        sub.caller.more = total;
        sub.answered = false;
        Ok(())
    }

    /// Gives a socket another caller. Subscriptions whose results depend on what is different are looked up again;
    /// nothing that is meant for the caller before is sent after this.
    pub(super) fn identify(&mut self, socket: SocketId, caller: &Caller, session: Option<Arc<str>>) {
        let subs = self.sockets.get(&socket).map(|state| state.subs.iter()).into_iter().flatten();
        let mut places: Vec<_> = subs.map(|(id, entry)| (*id, *entry)).collect();
        places.sort_unstable();
        for (id, entry) in places {
            let entry = self.entries.get_mut(&entry);
            if let Some(sub) = entry.and_then(|entry| entry.subs.get_mut(&(socket, id))) {
                sub.caller = Caller { more: sub.caller.more, ..caller.clone() };
            }
            self.follow_caller(socket, id, false);
        }
        if let Some(session) = session {
            // Known of the socket before it has subscribed to anything.
            let database = caller.database.as_ref().unwrap_or(&self.database);
            let version = self.feeds.version(database);
            self.send(socket, Frame::Ready { session, version });
        }
    }

    /// Moves a subscription to the entry of its caller, if that is another. `same` says that what the client holds is
    /// still its own.
    fn follow_caller(&mut self, socket: SocketId, id: SubId, same: bool) {
        let Some(entry_id) = self.sockets.get(&socket).and_then(|state| state.subs.get(&id)).copied() else {
            return;
        };
        let Some(entry) = self.entries.get(&entry_id) else { return };
        let Some(sub) = entry.subs.get(&(socket, id)) else { return };
        if view(&sub.caller, &entry.seen) == entry.key.view {
            return;
        }
        let wanted = entry.key.wanted.clone();
        let base = entry.result.as_ref().and_then(|result| result.as_ref().ok()).filter(|_| same).cloned();
        let lacks = self.lacks(socket, id);
        let Some(mut sub) = self.detach(socket, id) else { return };
        if !same {
            sub.forget();
            self.send(socket, Frame::Retracted { id });
        }
        self.join(socket, id, wanted, sub, base, lacks);
    }

    /// The first commit that what the client holds of a subscription may lack.
    pub(super) fn lacks(&self, socket: SocketId, id: SubId) -> u64 {
        let Some(state) = self.sockets.get(&socket) else { return 0 };
        if state.pending.contains(id) {
            // Newer than what it holds, and never to be sent; no version was told since.
            return state.sent + 1;
        }
        let entry = state.subs.get(&id).and_then(|entry| self.entries.get(entry));
        let stale_from = entry.and_then(|entry| entry.stale_from);
        stale_from.unwrap_or(self.feeds.version(&state.database) + 1)
    }

    /// As [`Machine::attach`], for a subscription that was attached elsewhere: what its client holds lacks the commits
    /// from `lacks` on, and the version of the socket does not claim them before it has a result of the new entry.
    pub(super) fn join(
        &mut self,
        socket: SocketId,
        id: SubId,
        wanted: Wanted,
        sub: Sub,
        base: Option<Data>,
        lacks: u64,
    ) {
        let holds = sub.holds;
        let entry_id = self.attach(socket, id, wanted, sub, base);
        let Some(entry) = self.entries.get_mut(&entry_id).filter(|entry| holds && !entry.is_fresh()) else {
            return;
        };
        if entry.stale_from.is_none_or(|from| from > lacks) {
            if entry.stale_from.is_none() {
                entry.stale_since = self.now;
            }
            self.set_stale(entry_id, Some(lacks));
        }
    }
}
