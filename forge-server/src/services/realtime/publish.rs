//! Events: which there are, who hears of them, and what they carry.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use forge_core::Db;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::super::context::HookContext;
use super::super::options::Options;
use super::super::registry::{Bound, Services};
use super::channels::{Audience, Channels, Connection, Message};
use super::policy::Subject;

/// Something that happened in a service.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event {
    /// The path of the service.
    pub path: Arc<str>,
    /// What happened: `created`, `updated`, `patched`, `removed`, or an event of the service's own.
    pub name: Arc<str>,
    /// What it is about: the result of the call; each item by itself, where there are several.
    pub data: Value,
    /// The call, where it was one.
    pub call: Option<Arc<HookContext>>,
}

type Publisher = Arc<dyn Fn(&Event, &Channels) -> Audience + Send + Sync>;

/// Who hears of events.
#[derive(Clone, Default)]
pub(crate) struct Publishers {
    any: Option<Publisher>,
    by_event: BTreeMap<Arc<str>, Publisher>,
}

impl fmt::Debug for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishers")
            .field("any", &self.any.is_some())
            .field("events", &self.by_event.keys())
            .finish()
    }
}

impl Publishers {
    /// Adds one for an event, or for all that have none of their own.
    pub(crate) fn add<A: Into<Audience>>(
        &mut self,
        event: Option<&str>,
        publisher: impl Fn(&Event, &Channels) -> A + Send + Sync + 'static,
    ) {
        let publisher: Publisher = Arc::new(move |event, channels| publisher(event, channels).into());
        match event {
            Some(event) => drop(self.by_event.insert(event.into(), publisher)),
            None => self.any = Some(publisher),
        }
    }

    fn find(&self, event: &str) -> Option<&Publisher> {
        self.by_event.get(event).or(self.any.as_ref())
    }

    fn is_empty(&self) -> bool {
        self.any.is_none() && self.by_event.is_empty()
    }
}

impl Services {
    /// Whether somebody hears of a call.
    pub(in super::super) fn tells_of(&self, service: &Bound, call: &HookContext) -> bool {
        call.event.is_some() && self.is_heard(service)
    }

    /// Tells of a call that succeeded, once what it did on `db` is committed.
    pub(in super::super) fn tell_of_call(&self, service: &Arc<Bound>, db: &Db, call: &HookContext) {
        let Some(name) = call.event.clone().filter(|_| self.tells_of(service, call)) else { return };
        let name: Arc<str> = name.into();
        let call = Arc::new(call.clone());
        let (services, service) = (self.clone(), service.clone());
        // Where it was done, which a hook may have chosen.
        let place = Place::of(&call.db);
        self.once_committed(db, move || {
            for (data, shown) in items(&call) {
                let subject = Subject::Written(written(&service, &call, &data));
                let (path, name, call) = (call.path.clone(), name.clone(), Some(call.clone()));
                let event = Event { path, name, data, call };
                services.publish(&service, &place, &event, subject, shown.as_ref());
            }
        });
    }

    /// Tells of an event of the program's own.
    pub(in super::super) fn tell(&self, service: &Arc<Bound>, db: &Db, name: &str, data: Value) {
        let event = Event { path: service.path.clone(), name: name.into(), data, call: None };
        let (services, service, place) = (self.clone(), service.clone(), Place::of(db));
        self.once_committed(db, move || services.publish(&service, &place, &event, Subject::Told, None));
    }

    fn once_committed(&self, db: &Db, effect: impl FnOnce() + Send + 'static) {
        if !db.in_transaction() {
            return effect();
        }
        let waits = db.after_commit(move || {
            effect();
            std::future::ready(Ok(()))
        });
        if let Err(error) = waits {
            tracing::error!(%error, "an event has no commit to wait for, and is not sent");
        }
    }

    fn is_heard(&self, service: &Bound) -> bool {
        let realtime = self.realtime();
        let silent = service.publishers.is_empty() && realtime.publishers.is_empty();
        !silent && realtime.channels.connections() > 0
    }

    fn publish(
        &self,
        service: &Bound,
        place: &Place,
        event: &Event,
        subject: Subject<'_>,
        shown: Option<&Value>,
    ) {
        let realtime = self.realtime();
        let publisher =
            service.publishers.find(&event.name).or_else(|| realtime.publishers.find(&event.name));
        let Some(publisher) = publisher else { return };
        let audience = guarded("a publisher", || publisher(event, &realtime.channels));
        let audience = audience.unwrap_or_default().filter(|connection| place.is_of(connection));
        let audience = subject.narrow(service, audience);
        for (own, connections) in audience.groups() {
            let data = own.as_deref().or(shown).unwrap_or(&event.data);
            let Ok(data) = to_raw_value(data) else { continue };
            let message = Message::new(event.path.clone(), event.name.clone(), data);
            connections.iter().for_each(|connection| connection.send(&message));
        }
    }
}

/// The database of an event. Connections of others do not hear of it, whatever a publisher says.
struct Place {
    database: String,
    /// That of connections which name none.
    usual: String,
}

impl Place {
    fn of(db: &Db) -> Self {
        Self { database: db.name().to_owned(), usual: db.adapter().default_database().to_owned() }
    }

    fn is_of(&self, connection: &Connection) -> bool {
        connection.is_about(&self.database, &self.usual)
    }
}

/// The results of a call one by one, each with what clients get in its place.
fn items(call: &HookContext) -> Vec<(Value, Option<Value>)> {
    match (call.result.clone().unwrap_or(Value::Null), call.dispatch.clone()) {
        (Value::Array(results), Some(Value::Array(shown))) if results.len() == shown.len() => {
            results.into_iter().zip(shown.into_iter().map(Some)).collect()
        }
        // Nothing says which part of it an item is: nothing of the items may get out.
        (Value::Array(results), Some(shown)) => {
            results.into_iter().map(|result| (result, Some(shown.clone()))).collect()
        }
        (Value::Array(results), None) => results.into_iter().map(|result| (result, None)).collect(),
        (result, shown) => vec![(result, shown)],
    }
}

/// The document of the call that `item` of its results shows, where documents are kept: hooks may have made anything of
/// a list.
fn written<'a>(service: &Bound, call: &'a HookContext, item: &Value) -> Option<&'a RawDocument> {
    if let [document] = call.written.as_slice()
        && !matches!(call.result, Some(Value::Array(_)))
    {
        return Some(document);
    }
    let Options { documents, key, .. } = &service.options;
    let id = item.get(&key.client)?;
    let is_it = |document: &&RawDocumentBuf| {
        documents.show(document).is_ok_and(|shown| shown.get(&key.client) == Some(id))
    };
    call.written.iter().find(is_it).map(|document| &**document)
}

/// Runs the program's code, which may panic.
pub(super) fn guarded<T>(what: &str, run: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(run));
    if done.is_err() {
        tracing::error!("what the program does for {what} panicked");
    }
    done.ok()
}
