//! The WebSocket endpoint: one task that reads a socket, one that writes it, one for each call under way.

mod identity;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use forge_core::handler::HandlerKind;
use forge_core::{Caller, Error, Result};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};

use crate::calls::Calls;
use crate::json;
use crate::live::event::SubId;
use crate::live::hub::{Start, Subscriber};
use crate::live::outbox::{Closing, Outbox, Outgoing};
use crate::protocol::{self, Malformed, Request};
use crate::services::{Message as Event, Services, Sink, SocketCall};
use identity::Known;

/// Serves a socket until it closes.
pub(crate) async fn serve(socket: WebSocket, calls: Calls, services: Services, caller: Caller) {
    let (mut sink, stream) = socket.split();
    let subscriber = match calls.hub.open().await {
        Ok(subscriber) => Arc::new(subscriber),
        Err(error) => {
            let _ = sink.send(close(close_code::AGAIN, error.message())).await;
            return;
        }
    };
    let session: Arc<str> = calls.runtime.db().env().uuid().to_string().into();
    let outbox = subscriber.outbox.clone();
    outbox.text(protocol::ready(&session, calls.hub.version()));
    let writer = tokio::spawn(write(sink, outbox.clone(), calls.clone()));
    let abort = writer.abort_handle();
    let joined = services.connect(caller.clone(), Events(outbox));
    let identity = Known::new(&calls, caller, session, subscriber.clone(), joined);
    let slots = Arc::new(Semaphore::new(calls.limits.calls));
    let reader = Reader { calls, services, identity, subscriber, slots };
    tokio::select! {
        () = reader.read(stream) => {}
        _ = writer => {}
    }
    abort.abort();
}

/// Events of services, on their way to a socket.
struct Events(Arc<Outbox>);

impl Sink for Events {
    fn send(&self, event: &Event) {
        self.0.text(event.frame());
    }
}

/// Sends what waits, and pings, until the end.
async fn write(mut sink: SplitSink<WebSocket, Message>, outbox: Arc<Outbox>, calls: Calls) {
    let limits = &calls.limits;
    let mut pings = interval_at(Instant::now() + limits.heartbeat, limits.heartbeat);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            outgoing = outbox.next() => match outgoing {
                Outgoing::Text(text) => Message::Text(text),
                Outgoing::Close(reason) => {
                    if reason == Closing::GoingAway {
                        let hint = Message::Text(protocol::closing(pause(&calls)).into());
                        let _ = timeout(limits.send, sink.send(hint)).await;
                    }
                    let _ = timeout(limits.send, sink.send(farewell(reason))).await;
                    return;
                }
            },
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        match timeout(limits.send, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                // The frame that is stuck comes first on the wire; this reaches clients that wake up in time.
                let _ = timeout(limits.send, sink.send(farewell(Closing::TooSlow))).await;
                return;
            }
        }
    }
}

/// After how long a client may connect again, so that those of a server that stops do not come all at once.
fn pause(calls: &Calls) -> Duration {
    let sockets = u32::try_from(calls.hub.open_sockets()).unwrap_or(u32::MAX);
    let spread = Duration::from_millis(1).saturating_mul(sockets).min(calls.limits.reconnect);
    let [low, high, ..] = calls.runtime.db().env().uuid().bytes();
    spread.mul_f64(f64::from(u16::from_le_bytes([low, high])) / f64::from(u16::MAX))
}

fn farewell(reason: Closing) -> Message {
    match reason {
        Closing::GoingAway => close(close_code::AWAY, "the server is stopping"),
        Closing::TooLarge => close(close_code::SIZE, "the frame is too large"),
        Closing::TooSlow => close(close_code::AGAIN, "frames are taken too slowly"),
    }
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from(reason) }))
}

struct Reader {
    calls: Calls,
    services: Services,
    identity: Known,
    subscriber: Arc<Subscriber>,
    slots: Arc<Semaphore>,
}

impl Reader {
    async fn read(mut self, mut stream: SplitStream<WebSocket>) {
        // Dropping the set ends the queries of a client that went away.
        let mut tasks = JoinSet::new();
        let outbox = self.subscriber.outbox.clone();
        let mut heard = Instant::now();
        loop {
            while tasks.try_join_next().is_some() {}
            let message = tokio::select! {
                message = timeout_at(heard + self.calls.limits.dead, stream.next()) => message,
                () = sleep_until(self.identity.due()) => {
                    self.identity.check().await;
                    continue;
                }
            };
            heard = Instant::now();
            let message = match message {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return refuse_frame(&outbox, error).await,
                // Silent for too long, or gone.
                Ok(None) | Err(_) => return,
            };
            match message {
                Message::Text(text) => self.take(&text, &mut tasks).await,
                Message::Binary(_) => {
                    let error = Error::bad_request("binary frames are not understood; send JSON as text");
                    outbox.text(protocol::error(None, &error));
                }
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) => {}
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
            Request::Subscribe { id, query, args, hash, delta, more } => {
                let start = Start { id, hash, delta, more };
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
            Request::Page { id, more } => self.subscriber.page(id, more.get()).await,
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
        if start.more > longest {
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
                Ok(shown) => outbox.text(protocol::result(id, &shown.to_string())),
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

/// A frame over the limit is told with 1009; after other failures there is nobody to tell.
async fn refuse_frame(outbox: &Outbox, error: axum::Error) {
    if is_too_long(&error) {
        outbox.close(Closing::TooLarge);
        // The writer ends the socket; ending here first would cut it off.
        std::future::pending::<()>().await;
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.to_string().contains("too long") {
            return true;
        }
        source = error.source();
    }
    false
}
