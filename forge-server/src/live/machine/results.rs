//! Who is sent what, and when.

use super::{Machine, Timer};
use crate::live::entry::Sub;
use crate::live::event::{Action, Frame, SocketId, SubId};
use crate::live::index::EntryId;

impl Machine {
    /// Hands the entry's result to its subscribers.
    pub(super) fn deliver(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let mut subs = std::mem::take(&mut entry.subs);
        for (place, sub) in &mut subs {
            self.deliver_to(id, *place, sub);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.subs = subs;
        }
    }

    /// Hands the entry's result to one subscriber: what that costs does not depend on how many others there are.
    pub(super) fn deliver_one(&mut self, id: EntryId, place: (SocketId, SubId)) {
        let sub = self.entries.get_mut(&id).and_then(|entry| entry.subs.remove(&place));
        let Some(mut sub) = sub else { return };
        self.deliver_to(id, place, &mut sub);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.subs.insert(place, sub);
        }
    }

    fn deliver_to(&mut self, id: EntryId, (socket, sub_id): (SocketId, SubId), sub: &mut Sub) {
        let Some(entry) = self.entries.get(&id) else { return };
        let (Some(result), Some(state)) = (&entry.result, self.sockets.get_mut(&socket)) else { return };
        if entry.stale_from.is_some_and(|from| state.sent >= from) {
            return;
        }
        match result {
            Ok(data) => {
                if let Some(item) = sub.take(sub_id, data) {
                    let version = self.feeds.version(&entry.key.wanted.database);
                    // A fresh one has what came of other databases since: that counts with the next version.
                    let complete = entry.stale_from.map_or(version + 1, |from| from.saturating_sub(1));
                    state.pending.add(item);
                    state.pending_version = state.pending_version.max(complete);
                }
            }
            Err(failure) => {
                if sub.tell(&failure.error) {
                    state.pending.remove(sub_id);
                    let frame = Frame::Error { id: sub_id, error: failure.error.clone() };
                    self.actions.push(Action::Send { socket, frame });
                }
            }
        }
        self.touched.push(socket);
    }

    /// Sends what is pending, once nothing that belongs to the same commits is still on its way.
    pub(super) fn flush(&mut self, id: SocketId) {
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
        let results = std::mem::take(&mut socket.pending);
        (socket.sent, socket.deadline, socket.pending_version) = (version, None, 0);
        if socket.awaits.is_some_and(|awaited| awaited <= version) {
            socket.awaits = None;
            self.awaiting.remove(&id);
        }
        self.send(id, Frame::Update { version, results });
    }
}
