//! Work that is asked for is bounded, by every door alike.

use forge::server::Limits;
use forge_tests::socket::Socket;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::app::{Caller, server, server_with};

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn what_nests_too_deep_is_refused_by_every_door() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    for depth in [70, 100_000] {
        let args = format!(r#"{{"word":{}}}"#, nested(depth));
        let answer = server.http().post("/api/query/by_handle", args.as_bytes()).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"), "{depth}: {answer:?}");
        let document = format!(r#"{{"a":{}}}"#, nested(depth));
        let answer = server.http().post("/services/loose_notes", document.as_bytes()).await;
        assert!((400..=413).contains(&answer.status), "{depth}: {answer:?}");
        let mut socket = ann.socket().await;
        let frame = format!(r#"{{"op":"subscribe","id":1,"query":"by_handle","args":{args}}}"#);
        socket.raw(Message::text(frame)).await;
        let refused = socket.expect("error").await;
        assert!(matches!(refused["error"]["code"].as_str(), Some("too_large" | "bad_request")), "{refused}");
        assert_eq!(
            socket.follow(2, "accounts", json!({ "least": 0 })).await,
            json!([]),
            "the socket goes on"
        );
    }
    let deep = format!("a{}=1", "[b]".repeat(1_000));
    let answer = ann.ask("GET", &format!("accounts?{deep}"), Value::Null).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let alternatives = format!("{}handle=x", "$or[0]".repeat(40));
    assert_eq!(ann.ask("GET", &format!("accounts?{alternatives}"), Value::Null).await.status, 400);
}

#[tokio::test]
async fn bodies_frames_and_query_strings_are_bounded() {
    let mut limits = Limits::default();
    (limits.body_bytes, limits.frame_bytes, limits.subscription_bytes) = (4_000, 4_000, 1_000);
    (limits.subscriptions, limits.calls) = (3, 2);
    let server = server_with(limits).await;
    let ann = Caller::new(&server, "acme");
    let long = "x".repeat(5_000);
    assert_eq!(ann.call("query", "by_handle", json!({ "word": long })).await.status, 413);
    assert_eq!(ann.ask("POST", "loose_notes", json!({ "label": long })).await.status, 413);
    let many: Vec<_> = (0..2_000).map(|n| format!("handle[$in][]={n}")).collect();
    let answer = ann.ask("GET", &format!("accounts?{}", many.join("&")), Value::Null).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let mut socket = ann.socket().await;
    socket.subscribe(9, "by_handle", json!({ "word": "x".repeat(2_000) })).await;
    let refused = socket.expect("error").await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(9), &json!("too_large")), "{refused}");
    for id in 1..=3 {
        socket.follow(id, "accounts", json!({ "least": id })).await;
    }
    socket.subscribe(4, "accounts", json!({ "least": 4 })).await;
    assert_eq!(socket.expect("error").await["id"], 4);
    let mut other = ann.socket().await;
    other.raw(Message::text(json!({ "op": "subscribe", "id": 1, "query": long }).to_string())).await;
    assert_eq!(other.closed().await, Some(CloseCode::Size));
    // Nobody else notices.
    ann.open("ann").await;
    assert_eq!(
        socket.until(1, |data| !data.as_array().unwrap().is_empty()).await["data"][0]["handle"],
        "ann"
    );
}

#[tokio::test]
async fn answers_and_writes_of_many_have_an_end() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    for n in 0..60 {
        ann.open(&format!("ann {n}")).await;
    }
    let page = ann.done("query", "account_page", json!({ "page": { "size": 1_000_000 } })).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(50), "as many as the handler says");
    for size in [json!(-1), json!(1e300), json!("5")] {
        let answer = ann.call("query", "account_page", json!({ "page": { "size": size } })).await;
        assert_eq!(answer.status, 400, "{size}: {answer:?}");
    }
}

#[tokio::test]
async fn nobody_subscribes_before_signing_in() {
    let server = server().await;
    let mut socket = Socket::open(server.address).await;
    for (id, name) in [(1, "accounts"), (2, "account_page")] {
        socket.subscribe(id, name, json!({ "least": 0 })).await;
        let refused = socket.expect("error").await;
        assert_eq!(refused["error"]["code"], "unauthorized", "arguments are not looked at first: {refused}");
    }
    let answer = server.http().get("/services/accounts").await;
    assert_eq!(answer.status, 401, "{answer:?}");
}
