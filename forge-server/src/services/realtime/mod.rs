//! What services tell clients by themselves: events of calls, to the connections that a publisher names.
//!
//! A socket becomes a [`Connection`]; the program's `on_connection` and `on_login` put it into channels. After a call a
//! publisher says which channels hear of it (`publish`), those who may not read the document are left out (`policy`), and
//! each connection's transport sends the event. Sockets also call methods (`calls`).

mod calls;
mod channels;
mod policy;
mod publish;

use std::fmt;
use std::sync::Arc;

use forge_core::Caller;

use super::registry::Services;
pub(crate) use calls::SocketCall;
pub use channels::{Audience, Channel, Channels, Connection};
pub(crate) use channels::{Message, Sink};
pub use publish::Event;
pub(crate) use publish::Publishers;

type OnConnection = Arc<dyn Fn(&Connection, &Channels) + Send + Sync>;

/// What a program says about connections and events.
#[derive(Clone, Default)]
pub(crate) struct Realtime {
    /// Who is in which channel.
    pub(crate) channels: Channels,
    /// Who hears of the events of every service.
    pub(crate) publishers: Publishers,
    /// Called for every connection.
    pub(crate) on_connection: Vec<OnConnection>,
    /// Called for those whose caller is known.
    pub(crate) on_login: Vec<OnConnection>,
}

impl fmt::Debug for Realtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realtime").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl Services {
    /// A socket that hears of events, until the guard is dropped. None where there are no services.
    pub(crate) fn connect(&self, caller: Caller, sink: impl Sink) -> Option<Joined> {
        if self.is_empty() {
            return None;
        }
        let connection = self.realtime().channels.open(caller, Box::new(sink));
        let joined = Joined { services: self.clone(), connection };
        joined.admit();
        Some(joined)
    }
}

/// A connection, for as long as its socket is open.
pub(crate) struct Joined {
    services: Services,
    pub(crate) connection: Connection,
}

impl Joined {
    /// Takes another identity. Its channels were chosen for the one before: they are chosen anew.
    pub(crate) fn identify(&self, caller: Caller) {
        self.services.realtime().channels.leave_all(&self.connection);
        self.connection.identify(caller);
        self.admit();
    }

    fn admit(&self) {
        let Realtime { channels, on_connection, on_login, .. } = self.services.realtime();
        let known = self.connection.auth().is_some();
        let login = on_login.iter().filter(|_| known);
        for run in on_connection.iter().chain(login) {
            publish::guarded("a connection", || run(&self.connection, channels));
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.services.realtime().channels.close(&self.connection);
    }
}
