//! Services over socket.io, as `@feathersjs/socketio-client` speaks it: methods are events whose acknowledgement is
//! `(error, result)`, and events of services are events named `people created`.

mod arguments;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use forge_core::Error;
use serde::Deserialize;
use serde_json::Value;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::service::SocketIoService;
use socketioxide::socket::Sid;
use socketioxide::{SendError, SocketIo};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

use crate::auth::identity::{Identity, Verdict};
use crate::calls::Calls;
use crate::http::request;
use crate::services::{ErrorKind, Joined, Login, Message, ServiceError, Services, Sink};
use arguments::Arguments;

/// Where socket.io's clients look.
pub(crate) const PATH: &str = "/socket.io/";
/// Packets that may wait for one socket.
const QUEUED: usize = 4_096;
/// How long a socket that does not take its packets is asked to go.
const PATIENCE: Duration = Duration::from_millis(250);

/// What answers at [`PATH`]. Its sockets end with the live queries.
pub(crate) fn service(calls: &Calls, services: &Services) -> SocketIoService<Router> {
    let limits = &calls.limits;
    let patience = limits.dead.saturating_sub(limits.heartbeat).max(Duration::from_secs(1));
    let (routes, io) = SocketIo::builder()
        .ping_interval(limits.heartbeat)
        .ping_timeout(patience)
        .max_payload(limits.body_bytes as u64)
        .ws_max_message_size(limits.frame_bytes)
        .ws_max_frame_size(limits.frame_bytes)
        .max_buffer_size(QUEUED)
        .build_with_inner_svc(Router::new());
    let mut stops = calls.hub.stops();
    let (calls, services) = (calls.clone(), services.clone());
    let admit = move |io: SocketIo, socket: SocketRef, TryData(login): TryData<Option<Handshake>>| {
        let (calls, services) = (calls.clone(), services.clone());
        let login = login.ok().flatten().unwrap_or_default();
        async move { admit(calls, services, (io, socket), login).await }
    };
    io.ns("/", (async || {}).with(admit));
    tokio::spawn(async move {
        // Without a sender the server is gone, too.
        let _ = stops.wait_for(|stops| *stops).await;
        io.close().await;
    });
    routes
}

/// What a client may send when it connects: `io(url, { auth: { token } })`.
#[derive(Debug, Default, Deserialize)]
struct Handshake {
    #[serde(alias = "accessToken")]
    token: Option<String>,
}

/// Why a socket is not let in: the client reads it as the message of its `connect_error`.
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error.public_message().to_string())
    }
}

/// Lets a socket in. Its handlers are there before the client learns that it is connected.
async fn admit(
    calls: Calls,
    services: Services,
    (io, socket): (SocketIo, SocketRef),
    login: Handshake,
) -> Result<(), Refused> {
    if calls.is_draining() {
        return Err(Error::unavailable("the server is stopping").into());
    }
    if services.channels().connections() >= calls.limits.sockets {
        return Err(Error::unavailable("there are too many sockets").into());
    }
    let caller = calls.caller(request::texts(&socket.req_parts().headers)).await?;
    let mut identity = Identity::new(&calls, caller);
    if let Some(token) = login.token
        && let Verdict::Lost(error) = identity.authenticate(Some(token)).await
    {
        return Err(error.into());
    }
    let sink = Emitter { io, id: socket.id, full: Arc::default() };
    let joined = services.connect(identity.caller.clone(), sink);
    let joined = joined.ok_or_else(|| Error::not_found("there are no services"))?;
    let slots = Semaphore::new(calls.limits.calls);
    let session = Arc::new(Session { calls, services, joined, slots, identity: Mutex::new(identity) });
    tokio::spawn(look_again(Arc::downgrade(&session)));
    socket.on_fallback(
        async move |Event(method): Event, TryData(arguments): TryData<Arguments>, ack: AckSender| {
            let answer = match arguments {
                Ok(arguments) => session.call(method, arguments).await,
                Err(_) => Err(ServiceError::bad_request("the arguments are not understood")),
            };
            let sent = match answer {
                Ok(shown) => ack.send(&(Value::Null, shown)),
                Err(error) => {
                    error.log();
                    ack.send(&error.to_json())
                }
            };
            if let Err(error) = sent {
                tracing::debug!(%error, "an answer could not be sent");
            }
        },
    );
    Ok(())
}

/// One socket.
struct Session {
    calls: Calls,
    services: Services,
    joined: Joined,
    slots: Semaphore,
    identity: Mutex<Identity>,
}

impl Session {
    async fn call(&self, method: String, arguments: Arguments) -> Result<Value, ServiceError> {
        let Ok(_slot) = self.slots.try_acquire() else {
            let max = self.calls.limits.calls;
            return Err(ServiceError::new(
                ErrorKind::TooManyRequests,
                format!("{max} calls of this socket are under way, which is the limit"),
            ));
        };
        let _busy = self.calls.busy();
        // Not even in the moment before it is noticed does an identity that expired count.
        self.check().await;
        let caller = self.identity.lock().await.caller.clone();
        let call = arguments.call(method, self.calls.limits.depth)?;
        let connection = Some(self.joined.connection.clone());
        let (shown, login) = self.services.call_by_socket(&self.calls, caller, connection, call).await?;
        if let Some(login) = login {
            self.become_caller(login).await;
        }
        Ok(shown)
    }

    async fn become_caller(&self, login: Login) {
        let mut identity = self.identity.lock().await;
        identity.take_over(match login {
            Login::In(token, auth) => Some((token, auth)),
            Login::Out => None,
        });
        self.joined.identify(identity.caller.clone());
    }

    /// Ends an identity that has expired or was revoked.
    async fn check(&self) {
        let mut identity = self.identity.lock().await;
        if identity.due() > Instant::now() {
            return;
        }
        match identity.check().await {
            Verdict::Same => {}
            Verdict::Changed | Verdict::Lost(_) => self.joined.identify(identity.caller.clone()),
        }
    }
}

/// Looks at the identity of a socket whenever that is due, until the socket is closed.
async fn look_again(session: Weak<Session>) {
    while let Some(open) = session.upgrade() {
        let due = open.identity.lock().await.due();
        drop(open);
        sleep_until(due).await;
        if let Some(open) = session.upgrade() {
            open.check().await;
        }
    }
}

/// Sends events to a socket. One that takes them too slowly is closed, so that it knows that it missed some.
struct Emitter {
    io: SocketIo,
    id: Sid,
    full: Arc<AtomicBool>,
}

impl Sink for Emitter {
    fn send(&self, message: &Message) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        let Some(socket) = self.io.get_socket(self.id) else { return };
        let event = format!("{} {}", message.path, message.event);
        let Err(SendError::Socket(error)) = socket.emit(event, &message.data) else { return };
        if !socket.connected() || self.full.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::debug!(%error, "a socket takes its events too slowly");
        tokio::spawn(async move {
            while socket.connected() && socket.clone().disconnect().is_err() {
                sleep(PATIENCE).await;
            }
        });
    }
}
