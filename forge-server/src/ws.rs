//! The WebSocket endpoint: one task that reads a socket, one that writes it, one for each call under way.

mod extension;
mod frames;
pub(crate) mod handshake;
mod identity;
mod wire;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use forge_core::context::More;
use forge_core::handler::HandlerKind;
use forge_core::{Caller, Error, Result};
use futures_util::FutureExt as _;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::calls::Calls;
use crate::json;
use crate::live::event::SubId;
use crate::live::hub::{Start, Subscriber};
use crate::live::outbox::{Closing, Outbox, Outgoing as Waiting};
use crate::protocol::{self, Malformed, Request};
use crate::services::{Message as Event, Services, Sink, SocketCall};
use frames::{Frames, Message};
use handshake::Connection;
use identity::Known;
use wire::{Incoming, Outgoing};

/// For how long a client may go on sending after the server said that it is the end.
const LINGER: Duration = Duration::from_secs(1);

/// Serves a socket until it closes.
pub(crate) async fn serve(connection: Connection, calls: Calls, services: Services, caller: Caller) {
    let Connection { read, write, early, deflate } = connection;
    let compress_from = if deflate { calls.limits.compress_from } else { usize::MAX };
    let mut outgoing = Outgoing::new(write, compress_from);
    let subscriber = match calls.hub.open().await {
        Ok(subscriber) => Arc::new(subscriber),
        Err(error) => {
            let _ = timeout(calls.limits.send, outgoing.refuse(CloseCode::Again, error.message())).await;
            return outgoing.end().await;
        }
    };
    let session: Arc<str> = calls.runtime.db().env().uuid().to_string().into();
    let outbox = subscriber.outbox.clone();
    outbox.text(protocol::ready(&session, calls.hub.version()));
    let frames = Frames::new(&early, deflate, calls.limits.frame_bytes);
    let mut incoming = Incoming::new(read, frames, outbox.clone());
    // These bytes keep all of what the request was read into.
    drop(early);
    let mut writer = tokio::spawn(send(outgoing, outbox.clone(), calls.clone()));
    let limits = calls.limits.clone();
    let joined = services.connect(caller.clone(), Events(outbox.clone()));
    let identity = Known::new(&calls, caller, session, subscriber.clone(), joined);
    let slots = Arc::new(Semaphore::new(calls.limits.calls));
    let reader = Reader { calls, services, identity, subscriber, slots };
    let ended = tokio::select! {
        ended = reader.read(&mut incoming) => ended,
        _ = &mut writer => return linger(incoming).await,
    };
    match ended {
        Some(reason) => {
            outbox.close(reason);
            if timeout(limits.send + LINGER, &mut writer).await.is_ok() {
                return linger(incoming).await;
            }
            writer.abort();
        }
        None => writer.abort(),
    }
}

/// Lets the client see the end.
async fn linger(incoming: Incoming) {
    let _ = timeout(LINGER, incoming.drain()).await;
}

/// Events of services, on their way to a socket.
struct Events(Arc<Outbox>);

impl Sink for Events {
    fn send(&self, event: &Event) {
        self.0.text(event.frame());
    }
}

/// Sends what waits, and pings, until the end.
async fn send(mut outgoing: Outgoing, outbox: Arc<Outbox>, calls: Calls) {
    let limits = &calls.limits;
    let mut pings = interval_at(Instant::now() + limits.heartbeat, limits.heartbeat);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let waiting = tokio::select! {
            waiting = outbox.next() => Some(waiting),
            _ = pings.tick() => None,
        };
        let sent = match waiting {
            Some(Waiting::Text(text)) => in_time(limits.send, outgoing.text(&text)).await,
            Some(Waiting::Reply(bytes)) => in_time(limits.send, outgoing.reply(&bytes)).await,
            None => in_time(limits.send, outgoing.ping()).await,
            Some(Waiting::Close(reason)) => Err(Some(reason)),
        };
        let Err(reason) = sent else { continue };
        let farewell = async {
            if reason == Some(Closing::GoingAway) {
                let _ = outgoing.text(&protocol::closing(pause(&calls)).into()).await;
            }
            if let Some(reason) = reason {
                let _ = outgoing.close(reason).await;
            }
            outgoing.end().await;
        };
        let _ = timeout(limits.send, farewell).await;
        return;
    }
}

/// Sends within `time`. Otherwise the socket ends: because the client is too slow, where it takes the frame at last, and
/// without a word where it is gone.
async fn in_time(time: Duration, send: impl Future<Output = io::Result<()>>) -> Result<(), Option<Closing>> {
    let mut send = pin!(send);
    match timeout(time, send.as_mut()).await {
        Ok(sent) => sent.map_err(|_| None),
        // Half a frame would make what comes behind it unreadable.
        Err(_) => match timeout(time, send).await {
            Ok(Ok(())) => Err(Some(Closing::TooSlow)),
            _ => Err(None),
        },
    }
}

/// After how long a client may connect again, so that those of a server that stops do not come all at once.
fn pause(calls: &Calls) -> Duration {
    let sockets = u32::try_from(calls.hub.open_sockets()).unwrap_or(u32::MAX);
    let spread = Duration::from_millis(1).saturating_mul(sockets).min(calls.limits.reconnect);
    let [low, high, ..] = calls.runtime.db().env().uuid().bytes();
    spread.mul_f64(f64::from(u16::from_le_bytes([low, high])) / f64::from(u16::MAX))
}

struct Reader {
    calls: Calls,
    services: Services,
    identity: Known,
    subscriber: Arc<Subscriber>,
    slots: Arc<Semaphore>,
}

impl Reader {
    /// Obeys the client until the end, and tells how that is said; none where there is nobody to tell.
    async fn read(mut self, incoming: &mut Incoming) -> Option<Closing> {
        // Dropping the set ends the queries of a client that went away.
        let mut tasks = JoinSet::new();
        let mut heard = Instant::now();
        loop {
            while tasks.try_join_next().is_some() {}
            let message = tokio::select! {
                message = timeout_at(heard + self.calls.limits.dead, incoming.next()) => message,
                () = sleep_until(self.identity.due()) => {
                    self.identity.check().boxed().await;
                    continue;
                }
            };
            heard = Instant::now();
            // Silent for too long.
            let Ok(message) = message else { return None };
            match message {
                // In a box of its own while it is done: a socket is idle most of the time.
                Ok(Message::Text(text)) => self.take(&text, &mut tasks).boxed().await,
                Ok(Message::Binary) => {
                    let error = Error::bad_request("binary frames are not understood; send JSON as text");
                    self.subscriber.outbox.text(protocol::error(None, &error));
                }
                Ok(Message::Close(_)) => return Some(Closing::ByClient),
                Ok(Message::Ping(_) | Message::Pong) => {}
                Err(ending) => return ending,
            }
        }
    }

    async fn take(&mut self, text: &str, tasks: &mut JoinSet<()>) {
        match protocol::parse(text, self.calls.limits.depth) {
            Ok(request) => self.obey(request, text, tasks).await,
            Err(Malformed { id, error }) => self.subscriber.outbox.text(protocol::error(id, &error)),
        }
    }

    async fn obey(&mut self, request: Request, text: &str, tasks: &mut JoinSet<()>) {
        // Not even in the moment before it is noticed does an identity that expired count.
        if self.identity.due() <= Instant::now() {
            self.identity.check().await;
        }
        match request {
            Request::Auth { token } => self.identity.authenticate(token).await,
            Request::Subscribe { id, query, args, hash, delta, more, before } => {
                let start = Start { id, hash, delta, more: More { after: more, before } };
                if let Err(error) = self.subscribe(&query, &args, start).await {
                    self.subscriber.outbox.text(protocol::error(Some(id), &error));
                }
            }
            Request::Unsubscribe { id } => self.subscriber.unsubscribe(id).await,
            Request::Query { id, query, args } => self.query(id, query, args, tasks),
            Request::Mutate { id, mutation, args, key } => self.mutate(id, mutation, args, key, tasks),
            Request::Call { id, service, method, document, data, query } => {
                let call = SocketCall::new(service, method).with(document, data, query).written(text);
                self.call(id, call, tasks);
            }
            Request::Page { id, more: 0, before: 0 } => {
                let error = Error::bad_request("a page has `more` or `before`, a number of items from 1 on");
                self.subscriber.outbox.text(protocol::error(Some(id), &error));
            }
            Request::Page { id, more, before } => {
                self.subscriber.page(id, More { after: more, before }).await;
            }
        }
    }

    async fn subscribe(&self, query: &str, args: &Map<String, Value>, mut start: Start) -> Result<()> {
        self.calls.runtime.registry().public(HandlerKind::Query, query)?;
        let (args, max) = (json::canonical(args), self.calls.limits.subscription_bytes);
        if args.len() > max {
            return Err(Error::too_large(format!(
                "the arguments of a subscription have at most {max} bytes"
            )));
        }
        let longest = self.calls.limits.window;
        if start.more.total() > longest {
            return Err(Error::too_large(format!("a window can be made longer by {longest} in all")));
        }
        // A hash of another length is none of ours: not kept.
        start.hash = start.hash.filter(|hash| hash.len() == json::HASH_LENGTH);
        self.subscriber.subscribe(query, args, self.identity.caller.clone(), start).await;
        Ok(())
    }

    fn query(&self, id: SubId, query: String, args: Map<String, Value>, tasks: &mut JoinSet<()>) {
        let (calls, caller, outbox) =
            (self.calls.clone(), self.identity.caller.clone(), self.subscriber.outbox.clone());
        self.start(id, tasks, async move {
            match calls.query(&query, &args, caller).await {
                Ok(answer) => outbox.text(protocol::result(id, &answer.json)),
                Err(error) => {
                    outbox.text(protocol::error_body(Some(id), &crate::calls::refusal(&error).body));
                }
            }
        });
    }

    fn mutate(
        &self,
        id: SubId,
        name: String,
        args: Map<String, Value>,
        key: Option<String>,
        tasks: &mut JoinSet<()>,
    ) {
        let (calls, caller, subscriber) =
            (self.calls.clone(), self.identity.caller.clone(), self.subscriber.clone());
        self.start(id, tasks, async move {
            // A drain waits until the answer is queued, so that it goes out before the socket is closed.
            let _busy = calls.busy();
            let answer = calls.mutation(&name, args, caller, key.as_deref()).await;
            if !answer.is_ok() {
                return subscriber.outbox.text(protocol::error_body(Some(id), &answer.body));
            }
            subscriber.outbox.text(protocol::mutated(id, answer.version, &answer.body));
            if answer.version > 0 {
                subscriber.wrote(answer.version).await;
            }
        });
    }

    fn call(&self, id: SubId, call: SocketCall, tasks: &mut JoinSet<()>) {
        let (calls, services, outbox) =
            (self.calls.clone(), self.services.clone(), self.subscriber.outbox.clone());
        let caller = self.identity.caller.clone();
        let connection = self.identity.joined.as_ref().map(|joined| joined.connection.clone());
        self.start(id, tasks, async move {
            // A drain waits until the answer is queued.
            let _busy = calls.busy();
            match services.call_by_socket(&calls, caller, connection, call).await {
                // Who calls is the matter of `auth` frames here.
                Ok((shown, _)) => outbox.text(protocol::result(id, &shown.to_string())),
                Err(error) => {
                    error.log();
                    outbox.text(protocol::error_body(Some(id), &error.to_json().to_string()));
                }
            }
        });
    }

    fn start(&self, id: SubId, tasks: &mut JoinSet<()>, call: impl Future<Output = ()> + Send + 'static) {
        match self.slots.clone().try_acquire_owned() {
            Ok(slot) => drop(tasks.spawn(async move {
                let _slot = slot;
                call.await;
            })),
            Err(_) => {
                let max = self.calls.limits.calls;
                let error =
                    Error::too_large(format!("{max} calls of this socket are under way, which is the limit"));
                self.subscriber.outbox.text(protocol::error(Some(id), &error));
            }
        }
    }
}
