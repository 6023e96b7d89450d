//! The WebSocket endpoint: one task for a socket, which reads it and waits where it takes no more, and one for each call
//! under way.

mod extension;
mod frames;
pub(crate) mod handshake;
mod identity;
mod incoming;
pub(crate) mod wire;

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
use crate::live::outbox::Outbox;
use crate::live::queue::Closing;
use crate::protocol::{self, Malformed, Request};
use crate::services::{Message as Event, Services, Sink, SocketCall};
use frames::{Frames, Message};
use handshake::Connection;
use identity::Known;
use incoming::Incoming;
use wire::Wire;

/// For how long a client may go on sending after the server said that it is the end.
const LINGER: Duration = Duration::from_secs(1);

/// Serves a socket until it closes.
pub(crate) async fn serve(connection: Connection, calls: Calls, services: Services, caller: Caller) {
    let Connection { read, write, early, deflate } = connection;
    let compress_from = if deflate { calls.limits.compress_from } else { usize::MAX };
    let mut wire = Wire::new(write, compress_from);
    let subscriber = match calls.hub.open().await {
        Ok(subscriber) => Arc::new(subscriber),
        Err(error) => {
            let _ = timeout(calls.limits.send, wire.refuse(CloseCode::Again, error.message())).await;
            return wire.end().await;
        }
    };
    let session: Arc<str> = calls.runtime.db().env().uuid().to_string().into();
    let outbox = subscriber.outbox.clone();
    outbox.text(protocol::ready(&session, calls.hub.version(&calls.hub.database_of(&caller))));
    outbox.attach(wire);
    let frames = Frames::new(&early, deflate, calls.limits.frame_bytes);
    let mut incoming = Incoming::new(read, frames, outbox.clone());
    // These bytes keep all of what the request was read into.
    drop(early);
    let limits = calls.limits.clone();
    let joined = services.connect(caller.clone(), Events(outbox.clone()));
    let identity = Known::new(&calls, caller, session, subscriber.clone(), joined);
    let slots = Arc::new(Semaphore::new(calls.limits.calls));
    let mut writing = pin!(send(&outbox, calls.clone()));
    let reader = Reader { calls, services, identity, subscriber, slots };
    let ended = tokio::select! {
        ended = reader.read(&mut incoming) => ended,
        () = &mut writing => return linger(incoming).await,
    };
    if let Some(reason) = ended {
        outbox.close(reason);
        if timeout(limits.send + LINGER, writing).await.is_ok() {
            return linger(incoming).await;
        }
    }
    drop(outbox.detach());
}

/// Lets the client see the end.
async fn linger(incoming: Incoming) {
    let _ = timeout(LINGER, incoming.drain()).await;
}

/// Events of services, on their way to a socket.
struct Events(Arc<Outbox>);

impl Sink for Events {
    fn send(&self, event: &Event) {
        self.0.shared(event.frame());
    }
}

/// Sends what `outbox` cannot send by itself, and pings, until the end.
async fn send(outbox: &Outbox, calls: Calls) {
    let heartbeat = calls.limits.heartbeat;
    let mut pings = interval_at(Instant::now() + heartbeat, heartbeat);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = outbox.stuck() => {}
            _ = pings.tick() => {
                outbox.ping(wire::ping());
                continue;
            }
        }
        // In boxes of their own: a socket is idle most of the time.
        if let Err(reason) = carry_on(outbox, calls.limits.send).boxed().await {
            let _ = timeout(calls.limits.send, farewell(outbox, reason, &calls).boxed()).await;
            return;
        }
    }
}

/// Sends until nothing waits, each frame within `time`. Otherwise the socket ends: because the client is too slow, where it
/// takes the frame at last, and without a word where it is gone.
async fn carry_on(outbox: &Outbox, time: Duration) -> Result<(), Option<Closing>> {
    loop {
        let mut sending = pin!(outbox.send_next());
        let sent = match timeout(time, sending.as_mut()).await {
            Ok(sent) => sent?,
            // Half a frame would make what comes behind it unreadable.
            Err(_) => match timeout(time, sending).await {
                Ok(Ok(_)) => return Err(Some(Closing::TooSlow)),
                _ => return Err(None),
            },
        };
        if !sent {
            return Ok(());
        }
    }
}

/// Says why this is the end, where there is a reason, and ends.
async fn farewell(outbox: &Outbox, reason: Option<Closing>, calls: &Calls) {
    let Some(mut wire) = outbox.detach() else { return };
    if reason == Some(Closing::GoingAway) {
        let _ = wire.text(protocol::closing(pause(calls)).into()).await;
    }
    if let Some(reason) = reason {
        let _ = wire.close(reason).await;
    }
    wire.end().await;
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
                // What is no hash is none of ours.
                let hash = hash.and_then(|hash| json::ShortHash::parse(&hash));
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

    async fn subscribe(&self, query: &str, args: &Map<String, Value>, start: Start) -> Result<()> {
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
