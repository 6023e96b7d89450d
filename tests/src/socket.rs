//! A WebSocket client that says what it expects.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The longest that a frame is waited for. Generous: these tests ask whether it comes, not when.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing must come to count as "nothing comes".
pub const SILENCE: Duration = Duration::from_millis(400);

/// A socket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames that came while another was waited for.
    waiting: VecDeque<Value>,
}

impl Socket {
    /// Connects, and reads `ready`.
    pub async fn open(address: SocketAddr) -> Self {
        let (stream, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();
        let mut socket = Self { stream, waiting: VecDeque::new() };
        let ready = socket.expect("ready").await;
        assert!(ready["session"].is_string() && ready["version"].is_u64(), "{ready}");
        socket
    }

    /// Connects with a header, and reads `ready`.
    pub async fn open_with(address: SocketAddr, name: &'static str, value: &str) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let (stream, _) = connect_async(request).await.unwrap();
        let mut socket = Self { stream, waiting: VecDeque::new() };
        socket.expect("ready").await;
        socket
    }

    /// Asks for an upgrade with this `Origin`; answers with the HTTP status.
    pub async fn origin(address: SocketAddr, origin: &str) -> u16 {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        match connect_async(request).await {
            Ok((_, response)) => response.status().as_u16(),
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Value) {
        self.raw(Message::text(frame.to_string())).await;
    }

    /// Sends anything.
    pub async fn raw(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Subscribes to a query.
    pub async fn subscribe(&mut self, id: u64, query: &str, args: Value) {
        self.send(json!({ "op": "subscribe", "id": id, "query": query, "args": args })).await;
    }

    /// Subscribes, and waits for the first result.
    pub async fn follow(&mut self, id: u64, query: &str, args: Value) -> Value {
        self.subscribe(id, query, args).await;
        self.result(id).await["data"].clone()
    }

    /// Runs a mutation; answers with its frame.
    pub async fn mutate(&mut self, id: u64, mutation: &str, args: Value) -> Value {
        self.send(json!({ "op": "mutate", "id": id, "mutation": mutation, "args": args })).await;
        let frame = self
            .find(|frame| frame["id"] == id && matches!(frame["op"].as_str(), Some("result" | "error")))
            .await;
        assert_eq!(frame["op"], "result", "{frame}");
        frame
    }

    /// The next frame with this `op`; others stay for later.
    pub async fn expect(&mut self, op: &str) -> Value {
        self.find(|frame| frame["op"] == op).await
    }

    /// The next result of the subscription `id`. What else is in its frame is dropped.
    pub async fn result(&mut self, id: u64) -> Value {
        let has = |frame: &Value| results(frame).iter().any(|result| result["id"] == id);
        let frame = self.find(|frame| frame["op"] == "update" && has(frame)).await;
        let mut result = results(&frame).iter().find(|result| result["id"] == id).unwrap().clone();
        result["version"] = frame["version"].clone();
        result
    }

    /// Results of `id` until one of them is `wanted`.
    pub async fn until(&mut self, id: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let result = self.result(id).await;
            if wanted(&result["data"]) {
                return result;
            }
        }
    }

    /// The next frame that fits.
    pub async fn find(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(at).unwrap();
        }
        // Pings come for ever.
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let frame = match tokio::time::timeout_at(end, self.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => serde_json::from_str(&text).unwrap(),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(other) => panic!("the socket ended with {other:?}; before that came {:?}", self.waiting),
                Err(_) => panic!("no frame came; before that came {:?}", self.waiting),
            };
            if fits(&frame) {
                return frame;
            }
            self.waiting.push_back(frame);
        }
    }

    /// Makes sure that no more `update` comes for a while.
    pub async fn quiet(&mut self) {
        let no_update = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) if text.contains(r#""op":"update""#) => {
                        return text.to_string();
                    }
                    Some(Ok(_)) => {}
                    other => return format!("{other:?}"),
                }
            }
        };
        if let Ok(came) = tokio::time::timeout(SILENCE, no_update).await {
            panic!("nothing should come: {came}");
        }
        let update = self.waiting.iter().find(|frame| frame["op"] == "update");
        assert!(update.is_none(), "nothing should have come: {update:?}");
    }

    /// How many `update` frames come in `time`.
    pub async fn updates_within(&mut self, time: Duration) -> usize {
        let mut count = 0;
        let end = tokio::time::Instant::now() + time;
        while let Ok(Some(Ok(message))) = tokio::time::timeout_at(end, self.stream.next()).await {
            count += usize::from(matches!(message, Message::Text(text) if text.contains(r#""op":"update""#)));
        }
        count
    }

    /// Reads to the end; answers with the close code.
    pub async fn closed(&mut self) -> Option<CloseCode> {
        let end = async {
            while let Some(Ok(message)) = self.stream.next().await {
                if let Message::Close(frame) = message {
                    return frame.map(|frame| frame.code);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, end).await.expect("the socket should have been closed")
    }
}

fn results(frame: &Value) -> &[Value] {
    frame["results"].as_array().map_or(&[], Vec::as_slice)
}
