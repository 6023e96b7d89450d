//! Accepts connections and serves requests on them: bounded in number, and in how long a client may take to ask.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Limits;

/// How long nothing is accepted after the machine ran out of something, file descriptors for example.
const PAUSE: Duration = Duration::from_secs(1);

/// What answers the requests of connections, one clone for each of these.
pub(crate) trait Serve:
    Service<hyper::Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Serve for S where
    S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Serves `service` until `finish` is true and the connections have answered what they are at. Dropping the future cuts
/// them off.
pub(crate) async fn serve(
    listener: TcpListener,
    service: impl Serve,
    limits: Arc<Limits>,
    mut finish: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, slot) = tokio::select! {
            biased;
            _ = finish.wait_for(|finish| *finish) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (service, finish, head) = (service.clone(), finish.clone(), limits.head);
        connections.spawn(async move {
            connection(stream, service, head, finish).await;
            drop(slot);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let slot = slots.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections are not accepted; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection; one that becomes a WebSocket goes on by itself.
async fn connection(
    stream: TcpStream,
    service: impl Serve,
    head: Duration,
    mut finish: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not set");
    }
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The guard that it answers with must not live on across the next wait.
        () = async { drop(finish.wait_for(|finish| *finish).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    async fn start(
        limits: Limits,
    ) -> (std::net::SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, finish) = (listener.local_addr().unwrap(), watch::Sender::new(false));
        let slow = get(async || {
            sleep(Duration::from_millis(300)).await;
            "done"
        });
        let router = Router::new().route("/", get(async || "hello")).route("/slow", slow);
        let service = TowerToHyperService::new(router);
        let task = tokio::spawn(serve(listener, service, Arc::new(limits), finish.subscribe()));
        (address, finish, task)
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        timeout(Duration::from_secs(5), stream.read_to_end(&mut text)).await.expect("an end").unwrap();
        String::from_utf8(text).unwrap()
    }

    const CLOSE: &str = " HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    async fn ask(stream: &mut TcpStream, path: &str) {
        stream.write_all(format!("GET {path}{CLOSE}").as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_sends_its_request_drop_by_drop_is_cut_off() {
        let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
        let (address, _finish, _) = start(limits).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        let sent = async {
            for byte in format!("GET /{CLOSE}").bytes().cycle() {
                if slow.write_all(&[byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(5), sent).await.expect("the connection ends");
        let mut quick = TcpStream::connect(address).await.unwrap();
        ask(&mut quick, "/").await;
        assert!(read(&mut quick).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_room() {
        let (address, _finish, _) = start(Limits { connections: 1, ..Limits::default() }).await;
        let held = TcpStream::connect(address).await.unwrap();
        sleep(Duration::from_millis(50)).await;
        let mut next = TcpStream::connect(address).await.unwrap();
        ask(&mut next, "/").await;
        let mut byte = [0];
        assert!(timeout(Duration::from_millis(200), next.read(&mut byte)).await.is_err(), "there is no room");
        drop(held);
        assert!(read(&mut next).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn the_end_waits_for_answers_and_not_for_idle_connections() {
        let (address, finish, task) = start(Limits::default()).await;
        let _idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        ask(&mut busy, "/slow").await;
        sleep(Duration::from_millis(100)).await;
        finish.send_replace(true);
        assert!(read(&mut busy).await.ends_with("done"));
        timeout(Duration::from_secs(5), task).await.expect("it ends").unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
