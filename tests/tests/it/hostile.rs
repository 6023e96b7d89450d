//! What clients must not be able to do, and the clear answer to each attempt.

use forge::server::Limits;
use forge_tests::app::CANARY;
use forge_tests::http::Answer;
use forge_tests::server::TestServer;
use serde_json::{Value, json};

/// The refusal of a call: its status is a client's fault, its body an error.
async fn refused(server: &TestServer, path: &str, body: &str) -> Answer {
    let answer = server.http().post(path, body.as_bytes()).await;
    let shown = &body[..body.len().min(80)];
    assert!((400..500).contains(&answer.status), "{path} {shown}: {answer:?}");
    assert!(
        answer.json()["message"].as_str().is_some_and(|text| !text.is_empty()),
        "{path} {shown}: {answer:?}"
    );
    assert!(!answer.body.contains(CANARY), "{path} {shown}: {answer:?}");
    answer
}

fn nested(depth: usize) -> String {
    format!(r#"{{"tags":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn bodies_that_are_no_arguments_are_refused() {
    let server = TestServer::start().await;
    for body in [
        "{",
        "null",
        "[]",
        "[{}]",
        "5",
        "\"x\"",
        "{\"board\":\"b\"}x",
        "{'board':'b'}",
        "\u{0}",
        "{\"board\":\"b\",}",
        "NaN",
    ] {
        let answer = refused(&server, "/api/query/notes", body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{body}");
    }
    let invalid_utf8 = server.http().post("/api/query/notes", b"{\"board\":\"\xff\"}").await;
    assert_eq!(invalid_utf8.status, 400);
    let huge = refused(&server, "/api/query/tagged", &nested(100_000)).await;
    assert_eq!(huge.code(), "too_large", "deep nesting");
    assert_eq!(server.http().get("/healthz").await.status, 200);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let mut limits = Limits::default();
    limits.body_bytes = 1_000;
    let server = TestServer::with(limits).await;
    let answer =
        refused(&server, "/api/query/notes", &json!({ "board": "x".repeat(2_000) }).to_string()).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    let fits = server.http().call("query", "notes", &json!({ "board": "x".repeat(500) })).await;
    assert_eq!(fits.status, 200);
}

#[tokio::test]
async fn arguments_are_strict() {
    let server = TestServer::start().await;
    for (name, args, named) in [
        ("notes", json!({}), "board"),
        ("notes", json!({ "board": "b", "bord": "c" }), "bord"),
        ("notes", json!({ "Board": "b" }), "Board"),
        ("notes", json!({ "board": null }), "board"),
        ("notes", json!({ "board": 5 }), "board"),
        ("notes", json!({ "board": ["b"] }), "board"),
        ("top", json!({ "board": "b", "limit": "5" }), "limit"),
        ("top", json!({ "board": "b", "limit": 5.5 }), "limit"),
        ("top", json!({ "board": "b", "limit": 4_294_967_296_u64 }), "limit"),
        ("note", json!({ "id": "short" }), "id"),
        ("note", json!({ "id": "zzzzzzzzzzzzzzzzzzzzzzzz" }), "id"),
        ("note", json!({ "id": { "$oid": "ffffffffffffffffffffffff" } }), "id"),
        ("tagged", json!({ "tags": "x" }), "tags"),
        ("tagged", json!({ "tags": [1] }), "tags"),
    ] {
        let answer = refused(&server, &format!("/api/query/{name}"), &args.to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{name} {args}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named) && message.contains(name), "{name} {args}: {message}");
    }
    let twice = refused(&server, "/api/query/notes", r#"{"board":"b","board":"c"}"#).await;
    assert_eq!(twice.code(), "bad_request");
}

#[tokio::test]
async fn operators_are_only_data() {
    let server = TestServer::start().await;
    server.http().mutate("add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    for operator in
        [json!({ "$gt": "" }), json!({ "$ne": null }), json!({ "$regex": ".*" }), json!({ "$where": "1" })]
    {
        for (path, args) in [
            ("query/notes", json!({ "board": operator })),
            ("query/tagged", json!({ "tags": [operator] })),
            ("query/tagged", json!({ "tags": [], "word": operator })),
            ("mutation/add_note", json!({ "note": { "board": "b", "title": operator } })),
            ("mutation/add_note", json!({ "note": { "board": "b", "title": "t", "tags": [operator] } })),
            (
                "mutation/add_note",
                json!({ "note": { "board": "b", "title": "t", "frame": { "colour": operator } } }),
            ),
            ("mutation/vote", json!({ "id": operator, "by": 1 })),
            ("mutation/vote", json!({ "id": "ffffffffffffffffffffffff", "by": operator })),
            (
                "mutation/change_note",
                json!({ "id": "ffffffffffffffffffffffff", "patch": { "title": operator } }),
            ),
        ] {
            assert_eq!(
                refused(&server, &format!("/api/{path}"), &args.to_string()).await.status,
                400,
                "{path} {args}"
            );
        }
    }
    let by_get =
        server.http().get("/api/query/notes?args=%7B%22board%22%3A%7B%22%24gt%22%3A%22%22%7D%7D").await;
    assert_eq!(by_get.status, 400);
    let by_parameter = server.http().get("/api/query/notes?board%5B%24gt%5D=").await;
    assert_eq!(by_parameter.status, 400);
    let text = server.http().query("notes", json!({ "board": "{\"$gt\":\"\"}" })).await;
    assert_eq!(text, json!([]));
    let pattern = server.http().query("tagged", json!({ "tags": ["x"], "word": "(a+)+$" })).await;
    assert_eq!(pattern, json!([]));
}

#[tokio::test]
async fn fields_that_are_not_the_clients_cannot_be_written() {
    let server = TestServer::start().await;
    let made = server.http().mutate("add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    for field in [
        "secret",
        "pinned",
        "_id",
        "createdAt",
        "updatedAt",
        "created_at",
        "title.x",
        "$set",
        "__proto__",
        "frame.hidden",
    ] {
        let mut note = json!({ "board": "b", "title": "t" });
        note[field] = json!(true);
        let insert = refused(&server, "/api/mutation/add_note", &json!({ "note": note }).to_string()).await;
        assert_eq!(insert.status, 400, "{field}");
        let patch = json!({ "id": made["id"], "patch": { field: true } });
        assert_eq!(
            refused(&server, "/api/mutation/change_note", &patch.to_string()).await.status,
            400,
            "{field}"
        );
    }
    let id = json!({ "id": made["id"], "patch": { "id": "ffffffffffffffffffffffff" } });
    refused(&server, "/api/mutation/change_note", &id.to_string()).await;
    let embedded =
        json!({ "note": { "board": "b", "title": "t", "frame": { "colour": "red", "hidden": "x" } } });
    refused(&server, "/api/mutation/add_note", &embedded.to_string()).await;
    assert_eq!(server.http().query("note_count", json!({ "board": "b" })).await, json!(1));
}

#[tokio::test]
async fn internal_handlers_are_as_if_missing() {
    let server = TestServer::start().await;
    let body = async |path: &str, name: &str| {
        let answer = server.http().post(path, b"{}").await;
        (answer.status, answer.anonymous().to_string().replace(name, "NAME"))
    };
    for (kind, internal) in [("query", "whisper"), ("mutation", "wipe")] {
        let missing = body(&format!("/api/{kind}/nowhere"), "nowhere").await;
        assert_eq!(missing.0, 404);
        assert_eq!(body(&format!("/api/{kind}/{internal}"), internal).await, missing);
        let with_arguments = server.http().post(&format!("/api/{kind}/{internal}"), b"{\"x\":1}").await;
        assert_eq!(with_arguments.status, 404, "arguments are not looked at first");
    }
    assert_eq!(
        body("/api/mutation/notes", "notes").await,
        body("/api/mutation/nowhere", "nowhere").await,
        "of the other kind"
    );
    let by_get = server.http().get("/api/query/whisper").await;
    assert_eq!(
        by_get.anonymous().to_string().replace("whisper", "nowhere"),
        server.http().get("/api/query/nowhere").await.anonymous().to_string()
    );
    let strange = server.http().get("/api/query/%00%ff").await;
    assert!((400..500).contains(&strange.status), "{strange:?}");
}

#[tokio::test]
async fn other_methods_and_content_types_are_refused() {
    let server = TestServer::start().await;
    for (method, path) in [
        ("GET", "/api/mutation/add_note"),
        ("PUT", "/api/query/notes"),
        ("DELETE", "/api/manifest"),
        ("POST", "/healthz"),
    ] {
        let answer = server.http().send(method, path, &[], b"").await.unwrap();
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = [("content-type", kind)];
        let answer =
            server.http().send("POST", "/api/query/notes", &headers, b"{\"board\":\"b\"}").await.unwrap();
        assert_eq!(answer.status, 415, "{kind}");
    }
}

#[tokio::test]
async fn a_foreign_origin_is_refused() {
    let server = TestServer::start().await;
    let own = format!("http://{}", server.address);
    let args = json!({ "note": { "board": "b", "title": "t" } }).to_string();
    for (origin, status) in [("https://evil.example", 403), ("null", 403), (own.as_str(), 200)] {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        let answer =
            server.http().send("POST", "/api/mutation/add_note", &headers, args.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{origin}: {answer:?}");
    }
    assert_eq!(server.http().query("note_count", json!({ "board": "b" })).await, json!(1));
}

#[tokio::test]
async fn the_canary_never_leaves() {
    let server = TestServer::start().await;
    let http = server.http();
    let made = http
        .mutate(
            "add_note",
            json!({ "note": { "board": "b", "title": "t", "slug": "s", "frame": { "colour": "red" } } }),
        )
        .await;
    http.mutate("pin", json!({ "id": 1, "note_id": made["id"] })).await;
    assert_eq!(
        server.db.find::<forge_tests::app::Note>().one().await.unwrap().secret,
        CANARY,
        "it is there to be found"
    );
    let id = &made["id"];
    let calls: Vec<(&str, &str, Value)> = vec![
        ("query", "notes", json!({ "board": "b" })),
        ("query", "note", json!({ "id": id })),
        ("query", "top", json!({ "board": "b", "limit": 5 })),
        ("query", "pins", json!({})),
        ("query", "tagged", json!({ "tags": [], "word": CANARY.get(..5) })),
        ("query", "panics", json!({})),
        ("query", "fails", json!({ "code": "internal" })),
        ("query", "whisper", json!({})),
        ("mutation", "add_note", json!({ "note": { "board": "b", "title": "t", "slug": "s" } })),
        ("mutation", "add_note", json!({ "note": { "board": "b", "title": "t", "secret": "x" } })),
        ("mutation", "change_note", json!({ "id": id, "patch": { "title": "u" } })),
        ("mutation", "vote", json!({ "id": id, "by": 1 })),
        ("mutation", "remove_note", json!({ "id": id })),
    ];
    let mut answers = vec![http.get("/api/manifest").await, http.get("/").await];
    for (kind, name, args) in &calls {
        answers.push(http.call(kind, name, args).await);
    }
    for answer in &answers {
        assert!(!answer.body.contains(CANARY), "{answer:?}");
        assert!(answer.headers.iter().all(|(_, value)| !value.contains(CANARY)), "{answer:?}");
    }
    let pins = http.query("pins", json!({})).await;
    assert_eq!(pins[0]["note"]["title"], "u", "the relation was there to leak it");
    let mut socket = server.socket().await;
    let data = socket.follow(1, "notes", json!({ "board": "b" })).await;
    assert_eq!(data[0]["title"], "u");
    assert!(!data.to_string().contains("secret") && !data.to_string().contains(CANARY), "{data}");
}
