//! The WebSocket protocol, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::auth::AuthResolver;
use crate::testing::{FakeAdapter, server_with};
use crate::{Limits, Server};

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) adapter: Arc<FakeAdapter>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<forge_core::Result<()>>,
}

pub(crate) async fn start(limits: Limits) -> Running {
    start_on(Arc::new(FakeAdapter::default()), limits).await
}

async fn start_on(adapter: Arc<FakeAdapter>, limits: Limits) -> Running {
    start_with(adapter, limits, None).await
}

pub(crate) async fn start_with(
    adapter: Arc<FakeAdapter>,
    limits: Limits,
    auth: Option<Arc<dyn AuthResolver>>,
) -> Running {
    Running { adapter: adapter.clone(), ..start_server(server_with(adapter, limits, auth)).await }
}

/// Serves on a port of its own.
pub(crate) async fn start_server(server: Server) -> Running {
    let adapter = Arc::new(FakeAdapter::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.serve(listener, async move { drop(stopped.await) }));
    Running { address, adapter, stop, task }
}

pub(crate) struct Client(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn connect(running: &Running) -> Self {
        Self::connect_with(running, &[]).await.unwrap()
    }

    /// Connects with headers; the HTTP status where that is refused.
    pub(crate) async fn connect_with(
        running: &Running,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut client = Self::open(running, headers).await?;
        assert_eq!(client.next().await["op"], "ready");
        Ok(client)
    }

    /// The first frame of a connection with headers.
    pub(crate) async fn greeting(running: &Running, headers: &[(&'static str, &str)]) -> Value {
        Self::open(running, headers).await.unwrap().next().await
    }

    async fn open(running: &Running, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}/ws", running.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let socket = match connect_async(request).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(response)) => return Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        };
        Ok(Self(socket))
    }

    /// Connects with the smallest buffer for what comes, which the system does not make larger.
    async fn with_little_room(running: &Running) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(running.address).await.unwrap());
        let (socket, _) = client_async(format!("ws://{}/ws", running.address), stream).await.unwrap();
        let mut client = Self(socket);
        assert_eq!(client.next().await["op"], "ready");
        client
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        timeout(Duration::from_secs(30), self.0.next()).await.expect("a frame").unwrap().unwrap()
    }

    pub(crate) async fn next(&mut self) -> Value {
        let text = async {
            loop {
                match self.0.next().await.expect("a frame").unwrap() {
                    Message::Text(text) => return text,
                    // They come for ever.
                    Message::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        serde_json::from_str(&timeout(Duration::from_secs(30), text).await.expect("a frame")).unwrap()
    }

    /// The next frame with this `op`, and those before it.
    pub(crate) async fn until(&mut self, op: &str) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            let frame = self.next().await;
            if frame["op"] == op {
                return (frame, before);
            }
            before.push(frame);
        }
    }

    async fn closing_code(&mut self) -> u16 {
        let code = async {
            loop {
                if let Message::Close(Some(frame)) = self.message().await {
                    return frame.code.into();
                }
            }
        };
        timeout(Duration::from_secs(60), code).await.expect("an end")
    }
}

fn subscribe(id: u64, counter: i32) -> Value {
    json!({ "op": "subscribe", "id": id, "query": "counter", "args": { "id": counter } })
}

#[tokio::test]
async fn a_subscription_follows_the_changes_of_what_it_read() {
    let running = start(Limits::default()).await;
    let mut client = Client::connect(&running).await;
    client.send(subscribe(1, 7)).await;
    let first = client.next().await;
    assert_eq!((&first["op"], &first["results"][0]["data"]), (&json!("update"), &json!(0)));
    client.send(json!({ "op": "mutate", "id": 2, "mutation": "add", "args": { "id": 7, "by": 3 } })).await;
    let frames = [client.next().await, client.next().await];
    let result = frames.iter().find(|frame| frame["op"] == "result").unwrap();
    let update = frames.iter().find(|frame| frame["op"] == "update").unwrap();
    assert_eq!(update["results"][0]["data"], 3);
    assert!(update["version"].as_u64() >= result["version"].as_u64() && result["version"] == 1, "{frames:?}");
    client.send(json!({ "op": "unsubscribe", "id": 1 })).await;
    assert_eq!(client.next().await, json!({ "op": "unsubscribed", "id": 1 }));
}

#[tokio::test]
async fn a_mutation_that_changes_no_result_is_still_followed_by_its_version() {
    let running = start(Limits::default()).await;
    let mut client = Client::connect(&running).await;
    client.send(subscribe(1, 7)).await;
    client.next().await;
    client.send(json!({ "op": "mutate", "id": 2, "mutation": "add", "args": { "id": 8, "by": 3 } })).await;
    let (update, _) = client.until("update").await;
    assert_eq!((&update["version"], &update["results"]), (&json!(1), &json!([])));
}

#[tokio::test]
async fn many_sockets_on_one_query_cost_one_read_a_change() {
    let running = start(Limits::default()).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(&running).await;
        client.send(subscribe(1, 7)).await;
        client.next().await;
        clients.push(client);
    }
    assert_eq!(running.adapter.reads.load(Ordering::SeqCst), 1);
    let mut writer = Client::connect(&running).await;
    writer.send(json!({ "op": "mutate", "id": 1, "mutation": "add", "args": { "id": 7, "by": 1 } })).await;
    for client in &mut clients {
        assert_eq!(client.next().await["results"][0]["data"], 1);
    }
    assert_eq!(running.adapter.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_client_that_comes_back_with_its_hash_is_told_unchanged() {
    let running = start(Limits::default()).await;
    let mut client = Client::connect(&running).await;
    client.send(subscribe(1, 7)).await;
    let hash = client.next().await["results"][0]["hash"].clone();
    let mut again = Client::connect(&running).await;
    let mut frame = subscribe(1, 7);
    frame["hash"] = hash;
    again.send(frame).await;
    let update = again.next().await;
    assert_eq!(update["results"][0]["unchanged"], true);
    assert!(update["results"][0].get("data").is_none());
}

#[tokio::test]
async fn whatever_is_wrong_is_answered_and_the_socket_stays() {
    let running = start(Limits { subscriptions: 2, ..Limits::default() }).await;
    let mut client = Client::connect(&running).await;
    for text in ["null", "{", "[]", "{\"op\":\"nothing\"}", "{\"op\":\"subscribe\"}"] {
        client.0.send(Message::text(text)).await.unwrap();
        let frame = client.next().await;
        assert_eq!(
            (&frame["op"], &frame["error"]["code"]),
            (&json!("error"), &json!("bad_request")),
            "{text}"
        );
    }
    client.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.next().await["op"], "error");
    let cases = [
        (json!({ "op": "subscribe", "id": 1, "query": "hidden" }), "not_found"),
        (json!({ "op": "query", "id": 1, "query": "counter", "args": { "id": "x" } }), "bad_request"),
        (json!({ "op": "query", "id": 1, "query": "panics" }), "internal"),
        (json!({ "op": "subscribe", "id": 1, "query": "counter", "args": { "idd": 1 } }), "bad_request"),
        (json!({ "op": "mutate", "id": 1, "mutation": "counter", "args": { "id": 1 } }), "not_found"),
        (
            json!({ "op": "subscribe", "id": 1, "query": "language", "args": { "x": "y".repeat(40_000) } }),
            "too_large",
        ),
        (json!({ "op": "page", "id": 1, "more": 5 }), "bad_request"),
    ];
    for (frame, code) in cases {
        client.send(frame.clone()).await;
        let answer = client.next().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(code)), "{frame}");
        assert!(!answer.to_string().contains("secret"));
    }
    client.send(subscribe(2, 1)).await;
    assert_eq!(client.next().await["op"], "update");
    client.send(subscribe(2, 1)).await;
    assert_eq!(client.next().await["error"]["code"], "bad_request");
    client.send(subscribe(3, 1)).await;
    assert_eq!(client.next().await["error"]["code"], "too_large");
    client.send(json!({ "op": "query", "id": 9, "query": "counter", "args": { "id": 1 } })).await;
    assert_eq!(client.next().await, json!({ "op": "result", "id": 9, "data": 0 }));
}

#[tokio::test]
async fn a_keyed_mutation_over_two_sockets_happens_once() {
    let running = start(Limits::default()).await;
    let frame =
        json!({ "op": "mutate", "id": 1, "mutation": "add", "args": { "id": 1, "by": 2 }, "key": "k" });
    for _ in 0..2 {
        let mut client = Client::connect(&running).await;
        client.send(frame.clone()).await;
        assert_eq!(client.next().await["version"], 1);
    }
    let mut client = Client::connect(&running).await;
    client.send(json!({ "op": "query", "id": 1, "query": "counter", "args": { "id": 1 } })).await;
    assert_eq!(client.next().await["data"], 2);
}

#[tokio::test]
async fn pages_of_other_origins_get_no_socket() {
    let running = start(Limits::default()).await;
    let connect = async |origin: &'static str| {
        let mut request = format!("ws://{}/ws", running.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        connect_async(request).await
    };
    assert!(connect("https://evil.example").await.is_err());
    assert!(connect("null").await.is_err());
    assert!(connect("https://app.example").await.is_ok());
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_with_1009() {
    let running = start(Limits { frame_bytes: 1_000, ..Limits::default() }).await;
    let mut client = Client::connect(&running).await;
    client.0.send(Message::text(" ".repeat(2_000))).await.unwrap();
    assert_eq!(client.closing_code().await, 1009);
}

#[tokio::test]
async fn without_change_feeds_a_subscription_says_so() {
    let adapter = Arc::new(FakeAdapter::default());
    adapter.fail_watch(forge_core::Error::unsupported("a standalone server has no change streams"));
    let running = start_on(adapter, Limits::default()).await;
    let mut client = Client::connect(&running).await;
    client.send(subscribe(1, 7)).await;
    let frame = client.next().await;
    assert_eq!((&frame["id"], &frame["error"]["code"]), (&json!(1), &json!("unsupported")));
}

#[tokio::test]
async fn a_socket_that_is_not_read_is_closed_with_1013_and_delays_nobody() {
    let running = start(Limits { queued_bytes: 100_000, ..Limits::default() }).await;
    let mut slow = Client::with_little_room(&running).await;
    // Every frame is answered; the answers fill the buffers of the connection and then the queue.
    for _ in 0..80_000 {
        slow.0.feed(Message::text("x")).await.unwrap();
    }
    slow.0.flush().await.unwrap();
    let mut other = Client::connect(&running).await;
    other.send(json!({ "op": "query", "id": 1, "query": "counter", "args": { "id": 1 } })).await;
    assert_eq!(other.next().await["op"], "result");
    assert_eq!(slow.closing_code().await, 1013);
}

#[tokio::test]
async fn a_mutation_under_way_is_answered_before_a_drain_closes_the_socket() {
    let running = start(Limits::default()).await;
    let mut client = Client::connect(&running).await;
    client
        .send(json!({ "op": "mutate", "id": 1, "mutation": "add_slowly", "args": { "id": 1, "by": 2 } }))
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.stop.send(()).unwrap();
    assert_eq!(client.next().await["data"], 2);
    assert_eq!(client.closing_code().await, 1001);
}

#[tokio::test]
async fn calls_of_one_socket_are_bounded() {
    let running = start(Limits { calls: 2, ..Limits::default() }).await;
    let mut client = Client::connect(&running).await;
    for id in 1..=3 {
        client.send(json!({ "op": "query", "id": id, "query": "slow" })).await;
    }
    let frame = client.next().await;
    assert_eq!((&frame["id"], &frame["error"]["code"]), (&json!(3), &json!("too_large")));
}

#[tokio::test]
async fn a_silent_socket_is_dropped_and_a_quiet_one_pinged() {
    let (heartbeat, dead) = (Duration::from_millis(50), Duration::from_millis(300));
    let running = start(Limits { heartbeat, dead, ..Limits::default() }).await;
    let mut client = Client::connect(&running).await;
    assert!(matches!(client.message().await, Message::Ping(_)));
    // Reading answers pings; without it nothing leaves the client.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let end =
        timeout(Duration::from_secs(20), async { while let Some(Ok(_)) = client.0.next().await {} }).await;
    assert!(end.is_ok());
}

#[tokio::test]
async fn a_drain_closes_sockets_with_1001() {
    let running = start(Limits::default()).await;
    let mut client = Client::connect(&running).await;
    client.send(subscribe(1, 7)).await;
    client.next().await;
    running.stop.send(()).unwrap();
    let hint = client.next().await;
    assert_eq!(hint["op"], "closing");
    assert!(
        hint["reconnectAfter"].as_u64().is_some_and(|millis| millis <= 1),
        "one socket has no need to wait: {hint}"
    );
    assert_eq!(client.closing_code().await, 1001);
    timeout(Duration::from_secs(30), running.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_slow_queries_of_one_socket_keep_nobody_elses_waiting() {
    let running =
        start(Limits { live_runs: 4, deadline: Duration::from_secs(3_600), ..Limits::default() }).await;
    let mut greedy = Client::connect(&running).await;
    for id in 0..20 {
        greedy.send(json!({ "op": "subscribe", "id": id, "query": "slow_one", "args": { "id": id } })).await;
    }
    greedy.send(json!({ "op": "query", "id": 99, "query": "counter", "args": { "id": 1 } })).await;
    greedy.until("result").await;
    let mut other = Client::connect(&running).await;
    other.send(json!({ "op": "subscribe", "id": 1, "query": "counter", "args": { "id": 1 } })).await;
    assert_eq!(other.next().await["op"], "update");
}
