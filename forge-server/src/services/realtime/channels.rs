//! Connections and the channels that they are in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use forge_core::{Auth, Caller};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::live::queue::Shared;
use crate::protocol;

/// Sends events to one socket. It must not wait.
pub(crate) trait Sink: Send + Sync + 'static {
    fn send(&self, message: &Message);
}

/// An event on its way to sockets: written once for all of them.
pub(crate) struct Message {
    pub(crate) path: Arc<str>,
    pub(crate) event: Arc<str>,
    pub(crate) data: Box<RawValue>,
    frame: OnceLock<Arc<Shared>>,
}

impl Message {
    pub(crate) fn new(path: Arc<str>, event: Arc<str>, data: Box<RawValue>) -> Self {
        Self { path, event, data, frame: OnceLock::new() }
    }

    /// As a frame of Forge's own protocol.
    pub(crate) fn frame(&self) -> Arc<Shared> {
        let write = || Arc::new(protocol::event(&self.path, &self.event, self.data.get()).into());
        self.frame.get_or_init(write).clone()
    }
}

/// An open socket that hears of events. Cheap to clone; it may outlive its socket, and is in no channel then.
#[derive(Clone)]
pub struct Connection(Arc<Open>);

struct Open {
    number: u64,
    caller: RwLock<Caller>,
    sink: Box<dyn Sink>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.0.number).finish()
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Connection {}

impl Connection {
    /// Who is behind it, and the headers of the request that opened it.
    pub fn caller(&self) -> Caller {
        self.0.caller.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The identity of who is behind it, where that is known.
    pub fn auth(&self) -> Option<Arc<Auth>> {
        self.0.caller.read().unwrap_or_else(PoisonError::into_inner).auth.clone()
    }

    /// Whether its caller means the database `name`; one who names none means `usual`.
    pub(super) fn is_about(&self, name: &str, usual: &str) -> bool {
        let caller = self.0.caller.read().unwrap_or_else(PoisonError::into_inner);
        caller.database.as_deref().unwrap_or(usual) == name
    }

    pub(super) fn identify(&self, caller: Caller) {
        *self.0.caller.write().unwrap_or_else(PoisonError::into_inner) = caller;
    }

    pub(super) fn send(&self, message: &Message) {
        self.0.sink.send(message);
    }
}

/// The channels of a program, by their names. Cheap to clone.
///
/// ```ignore
/// App::new().on_connection(|connection, channels| channels.channel("everybody").join(connection))
/// ```
#[derive(Clone, Default)]
pub struct Channels(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last: u64,
    /// Open connections, and the channels that each is in.
    open: HashMap<u64, (Connection, BTreeSet<Arc<str>>)>,
    /// Who is in each channel, in the order in which they connected.
    members: HashMap<Arc<str>, BTreeMap<u64, Connection>>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channels").field(&self.names()).finish()
    }
}

impl Channels {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel with this name. It is there while somebody is in it.
    pub fn channel(&self, name: impl Into<Arc<str>>) -> Channel {
        Channel { channels: self.clone(), name: name.into() }
    }

    /// The names of the channels that somebody is in, in order.
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.state().members.keys().cloned().collect();
        names.sort();
        names
    }

    /// How many connections are open, in channels or not.
    pub fn connections(&self) -> usize {
        self.state().open.len()
    }

    pub(super) fn open(&self, caller: Caller, sink: Box<dyn Sink>) -> Connection {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        let connection = Connection(Arc::new(Open { number, caller: RwLock::new(caller), sink }));
        state.open.insert(number, (connection.clone(), BTreeSet::new()));
        connection
    }

    /// Takes a connection out of every channel.
    pub fn leave_all(&self, connection: &Connection) {
        let mut state = self.state();
        let Some((_, names)) = state.open.get_mut(&connection.0.number) else { return };
        for name in std::mem::take(names) {
            state.remove(&name, connection);
        }
    }

    pub(super) fn close(&self, connection: &Connection) {
        self.leave_all(connection);
        self.state().open.remove(&connection.0.number);
    }
}

impl State {
    fn remove(&mut self, name: &Arc<str>, connection: &Connection) {
        let Some(members) = self.members.get_mut(name) else { return };
        members.remove(&connection.0.number);
        if members.is_empty() {
            self.members.remove(name);
        }
    }
}

/// A set of connections with a name.
#[derive(Debug, Clone)]
pub struct Channel {
    channels: Channels,
    name: Arc<str>,
}

impl Channel {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a connection into the channel. One that is closed stays out.
    pub fn join(&self, connection: &Connection) {
        let (mut state, number) = (self.channels.state(), connection.0.number);
        let Some((_, names)) = state.open.get_mut(&number) else { return };
        names.insert(self.name.clone());
        state.members.entry(self.name.clone()).or_default().insert(number, connection.clone());
    }

    /// Takes a connection out of the channel.
    pub fn leave(&self, connection: &Connection) {
        let mut state = self.channels.state();
        if let Some((_, names)) = state.open.get_mut(&connection.0.number) {
            names.remove(&self.name);
        }
        state.remove(&self.name, connection);
    }

    /// Who is in it, in the order in which they connected.
    pub fn connections(&self) -> Vec<Connection> {
        self.channels
            .state()
            .members
            .get(&self.name)
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// Those of its connections for which `keep` holds.
    pub fn filter(&self, keep: impl FnMut(&Connection) -> bool) -> Audience {
        Audience::from(self).filter(keep)
    }

    /// Its connections, which receive `data` in place of what the event carries.
    pub fn send(&self, data: Value) -> Audience {
        Audience::from(self).send(data)
    }

    /// Its connections, whatever the policy of the model says: see [`Audience::without_policies`].
    pub fn without_policies(&self) -> Audience {
        Audience::from(self).without_policies()
    }
}

/// Who hears of an event: what publishers answer. A [`Channel`] is one, a list of channels too.
///
/// A connection that is in several channels hears of it once, with the data of the first that has some of its own.
#[derive(Debug, Clone, Default)]
pub struct Audience(Vec<Part>);

#[derive(Debug, Clone)]
struct Part {
    connections: Vec<Connection>,
    data: Option<Arc<Value>>,
    /// Whether they hear of documents that their policy hides.
    trusted: bool,
}

impl Audience {
    /// Nobody.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: impl Into<Audience>) -> Self {
        self.0.extend(others.into().0);
        self
    }

    /// Those of them for which `keep` holds.
    #[must_use]
    pub fn filter(mut self, mut keep: impl FnMut(&Connection) -> bool) -> Self {
        for part in &mut self.0 {
            part.connections.retain(&mut keep);
        }
        self
    }

    /// The same, who receive `data` in place of what the event carries.
    #[must_use]
    pub fn send(mut self, data: Value) -> Self {
        let data = Arc::new(data);
        self.0.iter_mut().for_each(|part| part.data = Some(data.clone()));
        self
    }

    /// The same, who also hear of documents that the policy of the model hides from them: for a publisher that is trusted
    /// with who hears of what.
    #[must_use]
    pub fn without_policies(mut self) -> Self {
        self.0.iter_mut().for_each(|part| part.trusted = true);
        self
    }

    /// Those for whom `sees` holds, and those who need not be asked about.
    pub(super) fn seeing(mut self, mut sees: impl FnMut(&Connection) -> bool) -> Self {
        for part in self.0.iter_mut().filter(|part| !part.trusted) {
            part.connections.retain(&mut sees);
        }
        self
    }

    /// Each connection once, by the data that it receives: none is that of the event.
    pub(super) fn groups(self) -> Vec<(Option<Arc<Value>>, Vec<Connection>)> {
        // A channel has each of its connections once.
        let several = self.0.len() > 1;
        let (own, usual): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|part| part.data.is_some());
        let mut seen = HashSet::new();
        let mut groups = Vec::new();
        for Part { mut connections, data, .. } in own.into_iter().chain(usual) {
            connections.retain(|connection| !several || seen.insert(connection.0.number));
            if !connections.is_empty() {
                groups.push((data, connections));
            }
        }
        groups
    }
}

impl From<&Channel> for Audience {
    fn from(channel: &Channel) -> Self {
        Self(vec![Part { connections: channel.connections(), data: None, trusted: false }])
    }
}

impl From<Channel> for Audience {
    fn from(channel: Channel) -> Self {
        Self::from(&channel)
    }
}

impl From<Option<Channel>> for Audience {
    fn from(channel: Option<Channel>) -> Self {
        channel.iter().collect()
    }
}

impl From<Vec<Channel>> for Audience {
    fn from(channels: Vec<Channel>) -> Self {
        channels.iter().collect()
    }
}

impl<const N: usize> From<[Channel; N]> for Audience {
    fn from(channels: [Channel; N]) -> Self {
        channels.iter().collect()
    }
}

impl<'a> FromIterator<&'a Channel> for Audience {
    fn from_iter<I: IntoIterator<Item = &'a Channel>>(channels: I) -> Self {
        Self(channels.into_iter().flat_map(|channel| Audience::from(channel).0).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Nowhere;

    impl Sink for Nowhere {
        fn send(&self, _: &Message) {}
    }

    fn open(channels: &Channels) -> Connection {
        channels.open(Caller::default(), Box::new(Nowhere))
    }

    #[test]
    fn a_channel_is_there_while_somebody_is_in_it() {
        let channels = Channels::default();
        let (ann, bob) = (open(&channels), open(&channels));
        let room = channels.channel("room");
        room.join(&bob);
        room.join(&ann);
        room.join(&ann);
        assert_eq!(room.connections(), [ann.clone(), bob.clone()]);
        channels.close(&bob);
        room.join(&bob);
        assert_eq!(room.connections().len(), 1, "closed connections stay out");
        room.leave(&ann);
        assert!(channels.names().is_empty());
        assert_eq!(channels.connections(), 1);
    }

    #[test]
    fn a_connection_in_several_channels_is_told_once() {
        let channels = Channels::default();
        let (ann, bob) = (open(&channels), open(&channels));
        let (one, two) = (channels.channel("one"), channels.channel("two"));
        one.join(&ann);
        one.join(&bob);
        two.join(&ann);
        let audience = Audience::from(&one).and(two.send(json!(7)));
        let groups = audience.groups();
        assert_eq!(groups[0], (Some(Arc::new(json!(7))), vec![ann.clone()]));
        assert_eq!(groups[1], (None, vec![bob]));
        assert!(one.filter(|connection| *connection == ann).groups()[0].1 == [ann]);
        assert!(Audience::nobody().groups().is_empty());
    }
}
