//! The handshake and the frames of WebSockets, byte by byte (RFC 6455).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ws_tests::{Running, start};
use crate::{Limits, deflate};

/// A connection that says by itself what goes over it.
struct Bare(TcpStream);

impl Bare {
    /// Shakes hands; `early` is sent with the request.
    async fn connect(running: &Running, early: &[u8]) -> Self {
        let (mut bare, head) = Self::shake_hands(running, "", early).await;
        assert!(!head.contains("extensions"), "{head}");
        assert_eq!(bare.frame().await.0, 0x81, "ready");
        bare
    }

    /// Shakes hands with an offer to compress, which is to be taken.
    async fn connect_compressing(running: &Running) -> Self {
        let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
        let (bare, head) = Self::shake_hands(running, offer, &[]).await;
        let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert!(head.contains(&format!("sec-websocket-extensions: {agreed}\r\n")), "{head}");
        bare
    }

    /// The connection after the handshake, and the answer.
    async fn shake_hands(running: &Running, headers: &str, early: &[u8]) -> (Self, String) {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n{headers}\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(&[request.as_bytes(), early].concat()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        // The example of RFC 6455, 1.3.
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        (Self(stream), head)
    }

    /// The text of a frame that must be compressed.
    async fn inflated(&mut self) -> String {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0xc1);
        String::from_utf8(deflate::inflate(payload, 100_000).unwrap()).unwrap()
    }

    /// The first byte of a frame, and what it holds.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        timeout(Duration::from_secs(30), async {
            let (first, length) = (self.0.read_u8().await.unwrap(), self.0.read_u8().await.unwrap());
            let length =
                if length == 126 { self.0.read_u16().await.unwrap().into() } else { usize::from(length) };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.unwrap();
            (first, payload)
        })
        .await
        .expect("a frame")
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// That the connection ends, with nothing before it.
    async fn ends(mut self) {
        let mut rest = Vec::new();
        timeout(Duration::from_secs(30), self.0.read_to_end(&mut rest)).await.expect("an end").unwrap();
        assert_eq!(rest, b"");
    }
}

/// A frame of a client, masked by a key that is not zero.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    let payload = payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key);
    [first, 0x80 | length].into_iter().chain(KEY).chain(payload).collect()
}

const QUERY: &[u8] = br#"{"op":"query","id":1,"query":"counter","args":{"id":1}}"#;
const RESULT: &[u8] = br#"{"op":"result","id":1,"data":0}"#;

#[tokio::test]
async fn what_is_sent_with_the_handshake_is_obeyed_after_it() {
    let running = start(Limits::default()).await;
    let mut bare = Bare::connect(&running, &masked(0x81, QUERY)).await;
    assert_eq!(bare.frame().await, (0x81, RESULT.to_vec()));
}

#[tokio::test]
async fn a_text_in_fragments_with_a_ping_between_them_is_one_text() {
    let running = start(Limits::default()).await;
    let mut bare = Bare::connect(&running, &[]).await;
    let (start, end) = QUERY.split_at(20);
    for byte in [masked(0x01, start), masked(0x89, b"there?"), masked(0x80, end)].concat() {
        bare.send(&[byte]).await;
    }
    assert_eq!(bare.frame().await, (0x8a, b"there?".to_vec()));
    assert_eq!(bare.frame().await, (0x81, RESULT.to_vec()));
}

#[tokio::test]
async fn a_client_that_ends_the_socket_is_answered_with_its_code() {
    let running = start(Limits::default()).await;
    let mut bare = Bare::connect(&running, &[]).await;
    bare.send(&masked(0x88, &1_000_u16.to_be_bytes())).await;
    let (first, payload) = bare.frame().await;
    assert_eq!((first, &payload[..2]), (0x88, &1_000_u16.to_be_bytes()[..]));
    bare.ends().await;
}

#[tokio::test]
async fn whoever_breaks_the_protocol_of_websocket_is_told_how() {
    let running = start(Limits::default()).await;
    let not_masked = [&[0x81, 2][..], b"{}"].concat();
    let cases = [
        ("a frame that is not masked", not_masked, 1_002),
        ("a reserved bit", masked(0xc1, b"{}"), 1_002),
        ("an opcode that is none", masked(0x83, b"{}"), 1_002),
        ("a ping in fragments", masked(0x09, b"x"), 1_002),
        ("a text that is none", masked(0x81, &[0xff, 0xfe]), 1_007),
    ];
    for (what, bytes, code) in cases {
        let mut bare = Bare::connect(&running, &[]).await;
        bare.send(&bytes).await;
        let (first, payload) = bare.frame().await;
        assert_eq!((first, &payload[..2]), (0x88, &u16::to_be_bytes(code)[..]), "{what}");
        bare.ends().await;
    }
    let mut other = Bare::connect(&running, &[]).await;
    other.send(&masked(0x81, QUERY)).await;
    assert_eq!(other.frame().await, (0x81, RESULT.to_vec()));
}

#[tokio::test]
async fn texts_are_compressed_for_sockets_that_agreed_and_are_the_same_for_all() {
    let running = start(Limits { compress_from: 1, ..Limits::default() }).await;
    let mut plain = Bare::connect(&running, &[]).await;
    let mut compressing =
        [Bare::connect_compressing(&running).await, Bare::connect_compressing(&running).await];
    let subscribe = br#"{"op":"subscribe","id":1,"query":"counter","args":{"id":1}}"#;
    plain.send(&masked(0x81, subscribe)).await;
    let update = plain.frame().await;
    let update = (update.0, String::from_utf8(update.1).unwrap());
    assert!(update.0 == 0x81 && update.1.contains(r#""data":0}]}"#), "{update:?}");
    for bare in &mut compressing {
        assert!(bare.inflated().await.contains("ready"));
        let mut message = deflate::deflate(subscribe).unwrap();
        message.push(deflate::END);
        bare.send(&masked(0xc1, &message)).await;
        assert_eq!(bare.inflated().await, update.1);
        bare.send(&masked(0x81, QUERY)).await;
        assert_eq!(bare.inflated().await.as_bytes(), RESULT);
        bare.send(&masked(0x89, b"there?")).await;
        assert_eq!(bare.frame().await, (0x8a, b"there?".to_vec()), "control frames never are");
    }
}

#[tokio::test]
async fn short_texts_are_not_compressed_and_nothing_is_where_that_is_off() {
    let running = start(Limits::default()).await;
    let mut bare = Bare::connect_compressing(&running).await;
    assert_eq!(bare.frame().await.0, 0x81);
    bare.send(&masked(0x81, QUERY)).await;
    assert_eq!(bare.frame().await, (0x81, RESULT.to_vec()));
    let running = start(Limits { compress_from: usize::MAX, ..Limits::default() }).await;
    let offer = "sec-websocket-extensions: permessage-deflate\r\n";
    let (_, head) = Bare::shake_hands(&running, offer, &[]).await;
    assert!(!head.contains("extensions"), "{head}");
}

#[tokio::test]
async fn a_request_that_is_none_for_a_websocket_is_refused() {
    let running = start(Limits::default()).await;
    for (request, status) in [
        ("GET /ws HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "400"),
        (
            "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\
             sec-websocket-version: 8\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "400",
        ),
        ("POST /ws HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "405"),
    ] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request} → {answer}");
        assert!(answer.contains(r#""code":"bad_request""#), "{answer}");
    }
}
