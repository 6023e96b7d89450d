//! The HTTP interface over a real socket.

use forge::ErrorCode;
use forge_tests::app::CANARY;
use forge_tests::server::TestServer;
use serde_json::json;

async fn add(server: &TestServer, board: &str, title: &str) -> serde_json::Value {
    server.http().mutate("add_note", json!({ "note": { "board": board, "title": title } })).await
}

#[tokio::test]
async fn a_mutation_writes_and_a_query_reads() {
    let server = TestServer::start().await;
    let note = add(&server, "b", "first").await;
    let expected = json!({
        "id": note["id"], "board": "b", "title": "first", "votes": 0, "slug": null, "tags": [], "frame": null, "pinned": false,
    });
    assert_eq!(note, expected);
    let voted = server.http().mutate("vote", json!({ "id": note["id"], "by": 3 })).await;
    assert_eq!(voted["votes"], 3);
    assert_eq!(server.http().query("notes", json!({ "board": "b" })).await, json!([voted]));
    assert_eq!(server.http().query("note_count", json!({ "board": "b" })).await, json!(1));
    assert_eq!(server.http().query("note", json!({ "id": note["id"] })).await, voted);
    assert_eq!(server.http().query("votes_by_board", json!({})).await, json!([["b", 3]]));
    assert_eq!(server.http().mutate("remove_note", json!({ "id": note["id"] })).await, voted);
    assert_eq!(server.http().query("note", json!({ "id": note["id"] })).await, json!(null));
}

#[tokio::test]
async fn a_mutation_tells_its_version() {
    let server = TestServer::start().await;
    let version = async |title: &str| {
        let answer = server
            .http()
            .call("mutation", "add_note", &json!({ "note": { "board": "b", "title": title } }))
            .await;
        answer.header("x-forge-version").unwrap().parse::<u64>().unwrap()
    };
    let first = version("a").await;
    assert!(version("b").await > first && first > 0);
}

#[tokio::test]
async fn a_query_by_get_has_an_etag_that_holds_until_the_answer_changes() {
    let server = TestServer::start().await;
    add(&server, "b", "first").await;
    let path = "/api/query/notes?args=%7B%22board%22%3A%22b%22%7D";
    let answer = server.http().get(path).await;
    assert_eq!((answer.status, answer.json().as_array().unwrap().len()), (200, 1));
    let tag = answer.header("etag").unwrap().to_owned();
    let again = server.http().send("GET", path, &[("if-none-match", &tag)], b"").await.unwrap();
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    add(&server, "other", "elsewhere").await;
    assert_eq!(server.http().send("GET", path, &[("if-none-match", &tag)], b"").await.unwrap().status, 304);
    add(&server, "b", "second").await;
    let changed = server.http().send("GET", path, &[("if-none-match", &tag)], b"").await.unwrap();
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag").unwrap(), tag);
    let without = server.http().get("/api/query/votes_by_board").await;
    assert_eq!(without.status, 200, "no arguments are no `args`");
}

#[tokio::test]
async fn answers_that_depend_on_a_header_say_so() {
    let server = TestServer::start().await;
    let path = "/api/query/language";
    let german = server.http().send("GET", path, &[("accept-language", "de")], b"").await.unwrap();
    assert_eq!(german.json(), json!("de"));
    assert!(german.header("vary").unwrap().to_ascii_lowercase().contains("accept-language"), "{german:?}");
    assert_eq!(server.http().get(path).await.json(), json!("none"));
}

#[tokio::test]
async fn the_manifest_describes_what_clients_may_use() {
    let server = TestServer::start().await;
    let answer = server.http().get("/api/manifest").await;
    assert_eq!(answer.status, 200);
    let text = &answer.body;
    for known in ["notes", "add_note", "Note", "title", "Frame"] {
        assert!(text.contains(known), "{known} is not in the manifest");
    }
    for hidden in ["whisper", "wipe", "hidden", CANARY] {
        assert!(!text.contains(hidden), "{hidden} is in the manifest");
    }
    let manifest = answer.json();
    let note = manifest["models"].as_array().unwrap().iter().find(|model| model["name"] == "Note").unwrap();
    assert!(!note.to_string().contains("secret"), "{note}");
}

#[tokio::test]
async fn the_openapi_document_describes_the_handlers() {
    let server = TestServer::start().await;
    let answer = server.http().get("/openapi.json").await;
    assert!(!answer.body.contains("$defs"), "{}", answer.body);
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{document}");
    let add = &document["paths"]["/api/mutation/add_note"]["post"];
    let note = add["requestBody"]["content"]["application/json"]["schema"]["properties"]["note"].to_string();
    assert!(note.contains("NewNote"), "{note}");
    for hidden in ["whisper", "wipe", "secret", "hidden", CANARY] {
        assert!(!answer.body.contains(hidden), "{hidden} is in the document");
    }
    let tag = answer.header("etag").unwrap().to_owned();
    let again = server.http().send("GET", "/openapi.json", &[("if-none-match", &tag)], b"").await.unwrap();
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn metrics_are_told_only_where_they_are_switched_on() {
    assert_eq!(TestServer::start().await.http().get("/metrics").await.status, 404);
    let server = TestServer::with_metrics().await;
    server.http().mutate("add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    let mut socket = server.socket().await;
    socket.follow(1, "notes", json!({ "board": "b" })).await;
    let text = server.http().get("/metrics").await.body;
    for line in [
        "forge_calls_total{kind=\"mutation\",handler=\"add_note\",code=\"ok\"} 1",
        "forge_live_run_seconds_count{query=\"notes\"} 1",
        "forge_sockets 1",
        "forge_feed_up{database=\"forge\"} 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn health_and_readiness() {
    let server = TestServer::start().await;
    assert_eq!(server.http().get("/readyz").await.json()["feed"], "open");
    assert_eq!(server.http().get("/healthz").await.status, 200);
    assert_eq!(server.http().get("/readyz").await.status, 200);
    assert_eq!(server.http().get("/").await.status, 200);
    assert_eq!(server.http().get("/nothing").await.code(), "not_found");
}

#[tokio::test]
async fn an_idempotency_key_gives_the_first_answer_again() {
    let server = TestServer::start().await;
    let http = server.http();
    let args = json!({ "note": { "board": "b", "title": "once" } });
    let first = http.keyed("add_note", "k1", &args).await;
    let again = http.keyed("add_note", "k1", &args).await;
    assert_eq!((first.status, first.json()), (200, again.json()));
    assert_eq!(first.header("x-forge-version"), again.header("x-forge-version"));
    let reordered = r#"{ "note": { "title": "once", "board": "b" } }"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k1")];
    let same = http.send("POST", "/api/mutation/add_note", &headers, reordered.as_bytes()).await.unwrap();
    assert_eq!(same.json(), first.json(), "the same arguments in another order");
    let other = http.keyed("add_note", "k1", &json!({ "note": { "board": "b", "title": "twice" } })).await;
    assert_eq!((other.status, other.code().as_str()), (409, "conflict"));
    let elsewhere = http.keyed("vote", "k1", &json!({ "id": first.json()["id"], "by": 1 })).await;
    assert_eq!(elsewhere.json()["votes"], 1, "a key of another mutation is another key");
    assert_eq!(http.query("note_count", json!({ "board": "b" })).await, json!(1));
    assert_eq!(http.keyed("add_note", "k2", &args).await.status, 200);
    assert_eq!(http.query("note_count", json!({ "board": "b" })).await, json!(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_calls_with_one_key_at_once_run_once() {
    let server = TestServer::start().await;
    let http = server.http();
    let args = json!({ "label": "both" });
    let (a, b) = tokio::join!(http.keyed("count_runs", "k", &args), http.keyed("count_runs", "k", &args));
    assert_eq!((a.status, b.status), (200, 200), "{a:?} {b:?}");
    assert_eq!(a.json(), b.json(), "it ran twice");
    assert_ne!(http.mutate("count_runs", args).await, a.json());
}

#[tokio::test]
async fn refusals_are_remembered_under_a_key_as_well() {
    let server = TestServer::start().await;
    let http = server.http();
    let args = json!({ "note": { "board": "b", "title": "a", "slug": "s" } });
    assert_eq!(http.mutate("add_note", args.clone()).await["slug"], "s");
    let refused = http.keyed("add_note", "k", &args).await;
    let again = http.keyed("add_note", "k", &args).await;
    assert_eq!((refused.status, again.status), (409, 409));
    assert_eq!(refused.anonymous(), again.anonymous());
    assert_eq!(http.query("note_count", json!({ "board": "b" })).await, json!(1));
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing() {
    let server = TestServer::start().await;
    let answer = server.http().call("mutation", "add_and_fail", &json!({ "board": "b" })).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "conflict"));
    assert_eq!(server.http().query("note_count", json!({ "board": "b" })).await, json!(0));
    server.http().mutate("add_to_both", json!({ "first": "b", "second": "c", "title": "t" })).await;
    assert_eq!(server.http().query("note_count", json!({ "board": "c" })).await, json!(1));
}

#[tokio::test]
async fn every_code_has_its_status_and_a_request_id() {
    let server = TestServer::start().await;
    for code in ErrorCode::ALL {
        let answer = server.http().call("query", "fails", &json!({ "code": code.as_str() })).await;
        let body = answer.json();
        assert_eq!((answer.status, body["code"].as_str()), (code.http_status(), Some(code.as_str())));
        assert!(body["requestId"].as_str().is_some_and(|id| !id.is_empty()), "{body}");
        assert!(
            body["message"].as_str().is_some_and(|text| !text.is_empty()) && !answer.body.contains(CANARY),
            "{body}"
        );
    }
}

#[tokio::test]
async fn errors_carry_their_details() {
    let server = TestServer::start().await;
    let http = server.http();
    let note = |title: &str| json!({ "note": { "board": "b", "title": title, "slug": "s" } });
    let made = http.mutate("add_note", note("a")).await;
    let unique = http.call("mutation", "add_note", &note("b")).await;
    assert_eq!(
        (unique.status, unique.json()["model"].as_str(), &unique.json()["fields"]),
        (409, Some("Note"), &json!(["slug"]))
    );
    let invalid = http
        .call("mutation", "add_note", &json!({ "note": { "board": "b", "title": "", "votes": -1 } }))
        .await;
    assert_eq!(invalid.status, 422);
    assert_eq!(invalid.json()["errors"].as_object().unwrap().len(), 2, "{invalid:?}");
    http.mutate("pin", json!({ "id": 1, "note_id": made["id"] })).await;
    let restricted = http.call("mutation", "remove_note", &json!({ "id": made["id"] })).await;
    let body = restricted.json();
    assert_eq!((restricted.status, body["code"].as_str()), (409, Some("restricted")));
    assert_eq!((body["relation"].as_str(), body["count"].as_u64()), (Some("Pin.note"), Some(1)));
    let missing = http.call("mutation", "vote", &json!({ "id": "ffffffffffffffffffffffff", "by": 1 })).await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "not_found"));
    let bounds = http.call("query", "top", &json!({ "board": "b", "limit": 0 })).await;
    assert_eq!((bounds.status, bounds.json()["errors"]["limit"].is_array()), (422, true), "{bounds:?}");
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_server_lives() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        let answer = server.http().call("query", "panics", &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
        assert!(!answer.body.contains(CANARY), "{answer:?}");
    }
    assert_eq!(server.http().get("/readyz").await.status, 200);
    assert_eq!(server.http().query("votes_by_board", json!({})).await, json!([]));
}

#[tokio::test]
async fn a_client_that_goes_away_harms_nobody() {
    use tokio::io::AsyncWriteExt as _;
    let server = TestServer::start().await;
    for bytes in [
        &b"POST /api/query/notes HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"[..],
        b"\x00\xff\xfe",
        b"GET",
        b"",
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        drop(stream);
    }
    assert_eq!(server.http().get("/healthz").await.status, 200);
}
