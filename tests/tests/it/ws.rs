//! The WebSocket protocol over a real socket.

use forge::server::Limits;
use forge_tests::app::{CANARY, begun};
use forge_tests::server::TestServer;
use forge_tests::socket::Socket;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn a_subscription_follows_mutations_made_elsewhere() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    assert_eq!(socket.follow(1, "notes", json!({ "board": "b" })).await, json!([]));
    let made =
        server.http().call("mutation", "add_note", &json!({ "note": { "board": "b", "title": "t" } })).await;
    let version: u64 = made.header("x-forge-version").unwrap().parse().unwrap();
    let update = socket.result(1).await;
    assert_eq!(update["data"], json!([made.json()]));
    assert!(update["version"].as_u64().unwrap() >= version, "{update} after {version}");
    assert!(update["hash"].is_string());
}

#[tokio::test]
async fn calls_are_answered_by_their_number() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    let made = socket.mutate(7, "add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    assert!(made["version"].as_u64().unwrap() > 0 && made["data"]["title"] == "t", "{made}");
    socket.send(json!({ "op": "query", "id": 8, "query": "note_count", "args": { "board": "b" } })).await;
    let counted = socket.find(|frame| frame["id"] == 8).await;
    assert_eq!((counted["op"].as_str(), &counted["data"]), (Some("result"), &json!(1)));
    socket.send(json!({ "op": "mutate", "id": 9, "mutation": "add_note", "args": { "note": { "board": "b", "title": "" } } })).await;
    let refused = socket.expect("error").await;
    assert_eq!((refused["id"].as_u64(), refused["error"]["code"].as_str()), (Some(9), Some("validation")));
    for (op, name) in [("query", "whisper"), ("mutate", "wipe"), ("subscribe", "nowhere")] {
        let key = if op == "mutate" { "mutation" } else { "query" };
        socket.send(json!({ "op": op, "id": 10, key: name, "args": {} })).await;
        assert_eq!(socket.expect("error").await["error"]["code"], "not_found", "{op} {name}");
    }
}

#[tokio::test]
async fn a_key_makes_a_mutation_idempotent_across_transports() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    let args = json!({ "note": { "board": "b", "title": "t" } });
    let mut answers = Vec::new();
    for id in [1, 2] {
        socket
            .send(json!({ "op": "mutate", "id": id, "mutation": "add_note", "args": args, "key": "k" }))
            .await;
        answers.push(socket.find(|frame| frame["id"] == id && frame["op"] == "result").await);
    }
    assert_eq!(answers[0]["data"], answers[1]["data"]);
    assert_eq!(server.http().keyed("add_note", "k", &args).await.json(), answers[0]["data"]);
    assert_eq!(server.http().query("note_count", json!({ "board": "b" })).await, json!(1));
}

#[tokio::test]
async fn own_mutations_show_in_own_subscriptions_at_their_version() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    let answer = socket.mutate(2, "add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    let update = socket.until(1, |data| *data == json!(1)).await;
    assert!(update["version"].as_u64() >= answer["version"].as_u64(), "{update} {answer}");
}

#[tokio::test]
async fn unsubscribing_ends_the_updates() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "notes", json!({ "board": "b" })).await;
    socket.send(json!({ "op": "unsubscribe", "id": 1 })).await;
    assert_eq!(socket.expect("unsubscribed").await["id"], 1);
    server.http().mutate("add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    socket.quiet().await;
    assert_eq!(
        socket.follow(1, "note_count", json!({ "board": "b" })).await,
        json!(1),
        "the number is free again"
    );
}

#[tokio::test]
async fn a_hash_that_still_holds_saves_the_data() {
    let server = TestServer::start().await;
    server.http().mutate("add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    let mut socket = server.socket().await;
    socket.subscribe(1, "notes", json!({ "board": "b" })).await;
    let first = socket.result(1).await;
    drop(socket);
    let mut socket = server.socket().await;
    let subscribe = |hash: &serde_json::Value| json!({ "op": "subscribe", "id": 1, "query": "notes", "args": { "board": "b" }, "hash": hash });
    socket.send(subscribe(&first["hash"])).await;
    let again = socket.result(1).await;
    assert_eq!((&again["unchanged"], &again["hash"]), (&json!(true), &first["hash"]));
    assert!(again.get("data").is_none(), "{again}");
    let mut other = server.socket().await;
    other.send(subscribe(&json!("stale"))).await;
    assert_eq!(other.result(1).await["data"], first["data"]);
}

#[tokio::test]
async fn malformed_frames_are_answered_and_the_socket_stays() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    let deep = format!(
        r#"{{"op":"query","id":1,"query":"tagged","args":{{"tags":{}{}}}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let frames = [
        "null",
        "[]",
        "5",
        "\"x\"",
        "true",
        "{",
        "",
        "{}",
        "{\"op\":5}",
        "{\"op\":\"dance\",\"id\":1}",
        "[[[[",
        "\u{0}",
        "{\"op\":\"subscribe\"}",
        "{\"op\":\"subscribe\",\"id\":\"1\",\"query\":\"notes\"}",
        "{\"op\":\"subscribe\",\"id\":-1,\"query\":\"notes\"}",
        "{\"op\":\"subscribe\",\"id\":1.5,\"query\":\"notes\"}",
        "{\"op\":\"subscribe\",\"id\":1,\"query\":null}",
        "{\"op\":\"subscribe\",\"id\":1,\"query\":\"notes\",\"args\":[]}",
        "{\"op\":\"query\",\"id\":1,\"query\":\"notes\",\"args\":{\"board\":{\"$gt\":\"\"}}}",
        "{\"op\":\"unsubscribe\"}",
        "{\"op\":\"mutate\",\"id\":1,\"mutation\":{}}",
        "{\"op\":\"page\",\"id\":1,\"more\":-5}",
        deep.as_str(),
    ];
    for text in frames {
        socket.raw(Message::text(text)).await;
        let error = socket.expect("error").await;
        let code = if text.len() > 1_000 { "too_large" } else { "bad_request" };
        assert_eq!(error["error"]["code"], code, "{}: {error}", &text[..text.len().min(80)]);
    }
    socket.raw(Message::binary(vec![1_u8, 2, 3])).await;
    assert_eq!(socket.expect("error").await["error"]["code"], "bad_request");
    assert_eq!(socket.follow(5, "note_count", json!({ "board": "b" })).await, json!(0), "it still works");
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_only_its_socket() {
    let mut limits = Limits::default();
    limits.frame_bytes = 2_000;
    let server = TestServer::with(limits).await;
    let (mut big, mut other) = (server.socket().await, server.socket().await);
    big.raw(Message::text("x".repeat(5_000))).await;
    let code = big.closed().await;
    assert!(code.is_none_or(|code| code == CloseCode::Size), "{code:?}");
    assert_eq!(other.follow(1, "note_count", json!({ "board": "b" })).await, json!(0));
}

#[tokio::test]
async fn subscriptions_are_bounded() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    let most = Limits::default().subscriptions as u64;
    assert_eq!(most, 1_000);
    for id in 0..most {
        socket.subscribe(id, "note_count", json!({ "board": "b" })).await;
    }
    socket.subscribe(most, "note_count", json!({ "board": "b" })).await;
    let error = socket.expect("error").await;
    assert_eq!(error["id"], most, "{error}");
    assert!(
        matches!(error["error"]["code"].as_str(), Some("too_large" | "bad_request" | "conflict")),
        "{error}"
    );
    socket.send(json!({ "op": "unsubscribe", "id": 0 })).await;
    socket.expect("unsubscribed").await;
    assert_eq!(socket.follow(most, "note_count", json!({ "board": "b" })).await, json!(0));
}

#[tokio::test]
async fn a_number_in_use_is_refused_or_replaced_but_never_doubled() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    socket.subscribe(1, "note_count", json!({ "board": "c" })).await;
    let answer = socket.find(|frame| frame["op"] == "error" || frame["op"] == "update").await;
    let replaced = answer["op"] == "update";
    let board = if replaced { "c" } else { "b" };
    server.http().mutate("add_note", json!({ "note": { "board": board, "title": "t" } })).await;
    assert_eq!(socket.result(1).await["data"], json!(1));
    socket.quiet().await;
}

#[tokio::test]
async fn a_query_that_fails_says_so_and_recovers_nobody_else() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    for (query, args, code) in [
        ("panics", json!({}), "internal"),
        ("fails", json!({ "code": "forbidden" }), "forbidden"),
        ("notes", json!({}), "bad_request"),
    ] {
        socket.subscribe(3, query, args).await;
        let error = socket.expect("error").await;
        assert_eq!((error["id"].as_u64(), error["error"]["code"].as_str()), (Some(3), Some(code)), "{error}");
        assert!(!error.to_string().contains(CANARY));
        socket.send(json!({ "op": "unsubscribe", "id": 3 })).await;
    }
    assert_eq!(socket.follow(4, "note_count", json!({ "board": "b" })).await, json!(0));
}

#[tokio::test]
async fn only_the_own_origin_may_open_a_socket() {
    let server = TestServer::start().await;
    let own = format!("http://{}", server.address);
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        (own.as_str(), 101),
    ] {
        assert_eq!(Socket::origin(server.address, origin).await, status, "{origin}");
    }
}

#[tokio::test]
async fn a_plain_request_to_the_socket_is_refused() {
    let server = TestServer::start().await;
    let answer = server.http().get("/ws").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_fails_readiness_first_and_closes_sockets_with_1001() {
    let mut server = TestServer::start().await;
    let http = server.http();
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    let args = json!({ "label": "drained" });
    let slow = tokio::spawn(async move { http.call("mutation", "count_runs", &args).await });
    while !begun("drained") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.stop();
    let readiness = async {
        loop {
            let status = http.get("/readyz").await.status;
            if status != 200 {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert_eq!(readiness.await, 503, "before connections are refused");
    assert_eq!(slow.await.unwrap().status, 200, "a mutation under way finishes");
    assert_eq!(socket.closed().await, Some(CloseCode::Away));
    server.ended().await.unwrap();
    assert!(http.send("GET", "/healthz", &[], b"").await.is_err(), "nobody listens any more");
}
