//! Clients that cost next to nothing: WebSockets that look at the first bytes of a frame, HTTP that looks at its length.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use crate::process::Failure;

/// The longest that anything may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
/// What an update begins with.
const UPDATE: &[u8] = br#"{"op":"update""#;
/// What an event of a service begins with.
const EVENT: &[u8] = br#"{"op":"event""#;
/// What every result of an update has once.
const RESULT: &[u8] = br#","hash":""#;

/// The head of a block without compression (RFC 1951, 3.2.4), which the first words of a compressed update are.
const BLOCK: usize = 5;

/// When results arrived, on all sockets together.
#[derive(Debug, Default)]
pub struct Arrivals {
    times: RefCell<Vec<Instant>>,
    wanted: Cell<usize>,
    bytes: Cell<usize>,
    complete: Notify,
}

impl Arrivals {
    /// Forgets what arrived, and waits for `n` results from now on.
    pub fn expect(&self, n: usize) {
        self.times.borrow_mut().clear();
        self.wanted.set(n);
        self.bytes.set(0);
    }

    fn arrived(&self, results: usize) {
        let mut times = self.times.borrow_mut();
        let (before, now) = (times.len(), Instant::now());
        times.extend(std::iter::repeat_n(now, results));
        if before < self.wanted.get() && times.len() >= self.wanted.get() {
            self.complete.notify_one();
        }
    }

    /// When each result arrived, once all that are expected did.
    ///
    /// # Errors
    /// Where they do not all come in time.
    pub async fn all(&self) -> Result<Vec<Instant>, Failure> {
        let waited = tokio::time::timeout(PATIENCE, self.complete.notified()).await;
        let times = self.times.borrow().clone();
        match waited {
            Ok(()) => Ok(times),
            Err(_) => Err(format!("only {} of {} results came", times.len(), self.wanted.get()).into()),
        }
    }

    /// How many bytes of frames came since results were last expected.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// When results arrived so far.
    pub fn so_far(&self) -> Vec<Instant> {
        self.times.borrow().clone()
    }
}

/// What counts as one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Every update: for sockets with one subscription.
    Frames,
    /// Every result in an update, which takes a look through all of it.
    Results,
    /// Every event of a service.
    Events,
}

impl Count {
    /// How many results a frame with this payload holds.
    fn of(self, frame: &[u8]) -> usize {
        match self {
            Count::Events => usize::from(frame.starts_with(EVENT)),
            _ if !frame.starts_with(UPDATE) => 0,
            Count::Frames => 1,
            Count::Results => frame.windows(RESULT.len()).filter(|window| *window == RESULT).count(),
        }
    }
}

/// A WebSocket whose results are counted.
#[derive(Debug)]
pub struct Socket(OwnedWriteHalf);

impl Socket {
    /// Opens one; its results are reported to `arrivals`.
    ///
    /// # Errors
    /// What keeps it from being opened.
    pub async fn open(address: SocketAddr, arrivals: &Rc<Arrivals>, count: Count) -> Result<Self, Failure> {
        Self::open_with(address, arrivals, count, "").await
    }

    /// Opens one that is sent long texts compressed. Results are then told by the first words of a frame alone, which the
    /// server leaves as they are.
    ///
    /// # Errors
    /// What keeps it from being opened.
    pub async fn open_compressed(address: SocketAddr, arrivals: &Rc<Arrivals>) -> Result<Self, Failure> {
        let offer = "sec-websocket-extensions: permessage-deflate\r\n";
        Self::open_with(address, arrivals, Count::Frames, offer).await
    }

    async fn open_with(
        address: SocketAddr,
        arrivals: &Rc<Arrivals>,
        count: Count,
        headers: &str,
    ) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n{headers}\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(String::from_utf8_lossy(&head).into_owned().into());
        }
        Ok(Self::over(stream, arrivals, count))
    }

    /// Opens one to a server that sends updates without a handshake.
    ///
    /// # Errors
    /// What keeps it from being opened.
    pub async fn open_bare(address: SocketAddr, arrivals: &Rc<Arrivals>) -> Result<Self, Failure> {
        Ok(Self::over(TcpStream::connect(address).await?, arrivals, Count::Frames))
    }

    fn over(stream: TcpStream, arrivals: &Rc<Arrivals>, count: Count) -> Self {
        let (read, write) = stream.into_split();
        tokio::task::spawn_local(receive(read, arrivals.clone(), count));
        Self(write)
    }

    /// Subscribes to the items of `boards`, one subscription each.
    ///
    /// # Errors
    /// Where the socket is closed.
    pub async fn subscribe(&mut self, boards: impl Iterator<Item = usize>) -> Result<(), Failure> {
        let mut frames = Vec::new();
        for (id, board) in boards.enumerate() {
            let frame = json!({ "op": "subscribe", "id": id, "query": "items", "args": { "board": board } })
                .to_string();
            // A final text frame, masked by zeros.
            frames.push(0x81);
            match u8::try_from(frame.len()) {
                Ok(length @ ..=125) => frames.push(0x80 | length),
                _ => {
                    frames.push(0x80 | 126);
                    frames.extend(u16::try_from(frame.len())?.to_be_bytes());
                }
            }
            frames.extend([0; 4]);
            frames.extend(frame.as_bytes());
        }
        Ok(self.0.write_all(&frames).await?)
    }
}

/// Reads frames until the end, and reports the results in them.
async fn receive(mut stream: OwnedReadHalf, arrivals: Rc<Arrivals>, count: Count) {
    let mut rest = Vec::new();
    while let Some(1..) =
        poll_fn(|context| receive_some(&mut stream, context, &mut rest, &arrivals, count)).await
    {}
}

/// Reads once, and reports the results in the frames that are whole by now. Gives how many bytes came; none where the
/// connection broke.
fn receive_some(
    stream: &mut OwnedReadHalf,
    context: &mut Context<'_>,
    rest: &mut Vec<u8>,
    arrivals: &Arrivals,
    count: Count,
) -> Poll<Option<usize>> {
    // One buffer for all sockets: an idle one costs nothing.
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        if ready!(Pin::new(stream).poll_read(context, &mut buffer)).is_err() {
            return Poll::Ready(None);
        }
        let read = buffer.filled();
        arrivals.bytes.set(arrivals.bytes.get() + read.len());
        if rest.is_empty() {
            rest.extend_from_slice(&read[take_frames(read, arrivals, count)..]);
        } else {
            rest.extend_from_slice(read);
            rest.drain(..take_frames(rest, arrivals, count));
        }
        if rest.is_empty() {
            *rest = Vec::new();
        }
        Poll::Ready(Some(read.len()))
    })
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}

/// Reports the whole frames at the start of `bytes`, and says how many bytes they are.
fn take_frames(bytes: &[u8], arrivals: &Arrivals, count: Count) -> usize {
    let mut used = 0;
    while let Some((head, payload)) = frame(&bytes[used..]) {
        let is_compressed = bytes[used] & 0x40 != 0;
        used += head + payload.len();
        let text = if is_compressed { payload.get(BLOCK..).unwrap_or_default() } else { payload };
        match count.of(text) {
            0 => {}
            results => arrivals.arrived(results),
        }
    }
    used
}

/// The first frame: the length of its head, and its payload.
fn frame(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, length) = match bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(length)),
    };
    Some((head, bytes.get(head..head + length)?))
}

/// A connection for calls by HTTP, one at a time.
#[derive(Debug)]
pub struct Http {
    stream: TcpStream,
    address: SocketAddr,
    answer: Vec<u8>,
}

impl Http {
    /// Opens a connection.
    ///
    /// # Errors
    /// What keeps it from being opened.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, answer: Vec::new() })
    }

    /// Runs a mutation.
    ///
    /// # Errors
    /// What it answers, where that is not 200.
    pub async fn mutate(&mut self, name: &str, args: &Value) -> Result<(), Failure> {
        self.send("POST", &format!("/api/mutation/{name}"), Some(args)).await
    }

    /// Sends a request, and takes the answer.
    ///
    /// # Errors
    /// The answer, where its status is not 2xx.
    pub async fn send(&mut self, verb: &str, path: &str, body: Option<&Value>) -> Result<(), Failure> {
        let body = body.map(Value::to_string);
        let kind = if body.is_some() { "content-type: application/json\r\n" } else { "" };
        let (body, address) = (body.unwrap_or_default(), self.address);
        let length = body.len();
        let request = format!(
            "{verb} {path} HTTP/1.1\r\nhost: {address}\r\n{kind}content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if is_complete(&self.answer) {
                break;
            }
        }
        match self.answer.starts_with(b"HTTP/1.1 2") {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&self.answer).into_owned().into()),
        }
    }

    /// The JSON of the answer that came last; null where it has none.
    pub fn answer(&self) -> Value {
        let body =
            self.answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| &self.answer[at + 4..]);
        body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
    }
}

/// Whether an answer with a `content-length` is there in full.
fn is_complete(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let lines = std::str::from_utf8(&answer[..head]).unwrap_or_default().lines();
    let length = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        })
        .next();
    answer.len() >= head + 4 + length.unwrap_or(0)
}
