//! Identities and windows of sockets, over real ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use forge_core::{Auth, Error};
use serde_json::{Value, json};

use crate::Limits;
use crate::auth::{AuthResolver, Credentials};
use crate::testing::{FakeAdapter, names};
use crate::ws_tests::{Client, Running, start_server, start_with};

async fn start(limits: Limits, auth: Option<Arc<dyn AuthResolver>>) -> Running {
    start_with(Arc::new(FakeAdapter::default()), limits, auth).await
}

async fn start_named() -> Running {
    start(Limits::default(), Some(names())).await
}

async fn sign_in(client: &mut Client, token: impl Into<Value>) {
    client.send(json!({ "op": "auth", "token": token.into() })).await;
}

async fn subscribe(client: &mut Client, id: u64, query: &str) {
    client.send(json!({ "op": "subscribe", "id": id, "query": query })).await;
}

fn result(frame: &Value) -> (u64, &Value) {
    assert_eq!(frame["op"], "update", "{frame}");
    (frame["results"][0]["id"].as_u64().unwrap(), &frame["results"][0]["data"])
}

fn code(frame: &Value) -> &str {
    assert_eq!(frame["op"], "error", "{frame}");
    frame["error"]["code"].as_str().unwrap()
}

#[tokio::test]
async fn without_a_resolver_a_token_is_refused_and_none_is_fine() {
    let running = start(Limits::default(), None).await;
    let mut client = Client::connect(&running).await;
    sign_in(&mut client, "ann").await;
    let refused = client.next().await;
    assert_eq!(code(&refused), "unauthorized");
    assert!(refused["error"]["message"].as_str().unwrap().contains("App::auth"), "{refused}");
    sign_in(&mut client, Value::Null).await;
    assert_eq!(client.next().await["op"], "ready");
    sign_in(&mut client, 7).await;
    assert_eq!(code(&client.next().await), "bad_request");
}

#[tokio::test]
async fn a_live_query_follows_who_is_signed_in() {
    let running = start_named().await;
    let mut client = Client::connect(&running).await;
    subscribe(&mut client, 1, "whoami").await;
    assert_eq!(result(&client.next().await), (1, &Value::Null));
    for name in ["ann", "bob"] {
        sign_in(&mut client, name).await;
        assert_eq!(client.next().await["op"], "ready");
        assert_eq!(result(&client.next().await), (1, &json!(name)));
    }
    client.send(json!({ "op": "query", "id": 2, "query": "whoami" })).await;
    assert_eq!(client.next().await["data"], "bob");
    sign_in(&mut client, Value::Null).await;
    assert_eq!(client.next().await["op"], "ready");
    assert_eq!(result(&client.next().await), (1, &Value::Null));
}

#[tokio::test]
async fn results_of_one_caller_are_never_anothers() {
    let running = start_named().await;
    let mut clients = Vec::new();
    for name in ["ann", "bob", "ann", "cat"] {
        let mut client = Client::connect(&running).await;
        sign_in(&mut client, name).await;
        client.until("ready").await;
        subscribe(&mut client, 1, "whoami").await;
        clients.push((name, client));
    }
    for (name, client) in &mut clients {
        assert_eq!(result(&client.next().await), (1, &json!(name)));
    }
}

#[tokio::test]
async fn callers_who_look_the_same_share_a_run() {
    let running = start_named().await;
    let mut clients = Vec::new();
    for name in ["admin-1", "admin-2", "admin-3"] {
        let mut client = Client::connect(&running).await;
        sign_in(&mut client, name).await;
        client.until("ready").await;
        subscribe(&mut client, 1, "secrets").await;
        assert_eq!(result(&client.next().await), (1, &json!(0)));
        clients.push(client);
    }
    assert_eq!(running.adapter.reads.load(Ordering::SeqCst), 1, "only the role was looked at");
}

#[tokio::test]
async fn guards_hold_for_live_queries_and_calls() {
    let running = start_named().await;
    let mut client = Client::connect(&running).await;
    subscribe(&mut client, 1, "secrets").await;
    assert_eq!(code(&client.next().await), "unauthorized");
    sign_in(&mut client, "ann").await;
    client.until("ready").await;
    assert_eq!(code(&client.next().await), "forbidden");
    sign_in(&mut client, "admin").await;
    client.until("ready").await;
    assert_eq!(result(&client.next().await), (1, &json!(0)));
    sign_in(&mut client, "ann").await;
    client.until("ready").await;
    assert_eq!(code(&client.next().await), "forbidden");
    client.send(json!({ "op": "mutate", "id": 2, "mutation": "sign", "args": { "text": "by" } })).await;
    let (signed, _) = client.until("result").await;
    assert_eq!(signed["data"], "by ann");
    sign_in(&mut client, Value::Null).await;
    client.until("ready").await;
    client.send(json!({ "op": "mutate", "id": 3, "mutation": "sign", "args": { "text": "by" } })).await;
    loop {
        let frame = client.next().await;
        if frame["id"] == 3 {
            break assert_eq!(code(&frame), "unauthorized");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_refused_leaves_nobody_signed_in() {
    let running = start_named().await;
    let mut client = Client::connect(&running).await;
    for token in ["gone", "old", "broken"] {
        sign_in(&mut client, "ann").await;
        client.until("ready").await;
        sign_in(&mut client, token).await;
        let (refused, _) = client.until("error").await;
        assert!(["unauthorized", "internal"].contains(&code(&refused)), "{refused}");
        assert!(!refused.to_string().contains("secret"));
        client.send(json!({ "op": "query", "id": 2, "query": "whoami" })).await;
        assert_eq!(client.next().await["data"], Value::Null, "{token}");
    }
}

#[tokio::test]
async fn the_request_that_opens_a_socket_signs_in_as_well() {
    let running = start_named().await;
    for headers in [[("authorization", "Bearer ann")], [("cookie", "user=ann")]] {
        let mut client = Client::connect_with(&running, &headers).await.unwrap();
        client.send(json!({ "op": "query", "id": 2, "query": "whoami" })).await;
        assert_eq!(client.next().await["data"], "ann");
    }
    assert_eq!(Client::connect_with(&running, &[("authorization", "Bearer gone")]).await.err(), Some(401));
}

#[tokio::test]
async fn a_revoked_token_and_a_changed_role_are_noticed() {
    static REVOKED: AtomicBool = AtomicBool::new(false);
    static ADMIN: AtomicBool = AtomicBool::new(true);
    static DOWN: AtomicU32 = AtomicU32::new(0);
    let resolver = async |credentials: Credentials| {
        if credentials.token.is_none() {
            return Ok(None);
        }
        if DOWN.load(Ordering::SeqCst) > 0 {
            DOWN.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::unavailable("no answer"));
        }
        let auth = Auth::new("ann");
        match (REVOKED.load(Ordering::SeqCst), ADMIN.load(Ordering::SeqCst)) {
            (true, _) => Err(Error::unauthorized("the token was revoked")),
            (false, true) => Ok(Some(auth.role("admin"))),
            (false, false) => Ok(Some(auth)),
        }
    };
    let limits = Limits { auth_recheck: Duration::from_millis(30), ..Limits::default() };
    let running = start(limits, Some(Arc::new(resolver))).await;
    let mut client = Client::connect(&running).await;
    sign_in(&mut client, "t").await;
    client.until("ready").await;
    subscribe(&mut client, 1, "secrets").await;
    assert_eq!(result(&client.next().await), (1, &json!(0)));
    ADMIN.store(false, Ordering::SeqCst);
    let lost = client.next().await;
    assert_eq!((code(&lost), &lost["id"]), ("forbidden", &json!(1)));
    // A resolver that cannot tell changes nothing.
    DOWN.store(2, Ordering::SeqCst);
    ADMIN.store(true, Ordering::SeqCst);
    assert_eq!(result(&client.next().await), (1, &json!(0)));
    REVOKED.store(true, Ordering::SeqCst);
    let frames = [client.next().await, client.next().await];
    let of = |id: Value| frames.iter().find(|frame| frame["id"] == id).map(code);
    assert_eq!((of(Value::Null), of(json!(1))), (Some("unauthorized"), Some("unauthorized")), "{frames:?}");
}

#[tokio::test]
async fn one_callers_key_is_not_anothers_and_outlives_a_token() {
    let running = start_named().await;
    let sign = async |token: &str| {
        let mut client = Client::connect(&running).await;
        sign_in(&mut client, token).await;
        client.until("ready").await;
        let call =
            json!({ "op": "mutate", "id": 1, "mutation": "sign", "args": { "text": "x" }, "key": "k" });
        client.send(call).await;
        client.until("result").await.0
    };
    let first = sign("ann").await;
    assert_eq!(first["data"], "x ann");
    let again = sign("ann+").await;
    assert_eq!((&again["data"], &again["version"]), (&first["data"], &first["version"]), "a renewed token");
    let other = sign("bob").await;
    assert_eq!(other["data"], "x bob");
    assert!(other["version"].as_u64() > first["version"].as_u64());
}

#[tokio::test]
async fn pages_make_the_window_of_a_live_query_longer() {
    let running = start(Limits { window: 20, ..Limits::default() }, None).await;
    let mut client = Client::connect(&running).await;
    subscribe(&mut client, 1, "numbers").await;
    assert_eq!(result(&client.next().await), (1, &json!([0, 1])));
    let page = async |client: &mut Client, id: u64, more: u64| {
        client.send(json!({ "op": "page", "id": id, "more": more })).await;
        client.next().await
    };
    assert_eq!(result(&page(&mut client, 1, 2).await), (1, &json!([0, 1, 2, 3])));
    assert_eq!(result(&page(&mut client, 1, 2).await), (1, &json!([0, 1, 2, 3, 4])));
    let end = page(&mut client, 1, 2).await;
    assert_eq!(end["results"][0]["unchanged"], true, "there is no more, and that is an answer: {end}");
    assert_eq!(code(&page(&mut client, 1, 15).await), "too_large");
    assert_eq!(code(&page(&mut client, 1, 0).await), "bad_request");
    assert_eq!(code(&page(&mut client, 7, 1).await), "bad_request");
    subscribe(&mut client, 2, "whoami").await;
    client.next().await;
    let refused = page(&mut client, 2, 1).await;
    assert_eq!((code(&refused), &refused["id"]), ("bad_request", &json!(2)));
    let mut again = Client::connect(&running).await;
    again.send(json!({ "op": "subscribe", "id": 1, "query": "numbers", "more": 2 })).await;
    assert_eq!(result(&again.next().await), (1, &json!([0, 1, 2, 3])), "a client that comes back goes on");
    again.send(json!({ "op": "subscribe", "id": 2, "query": "numbers", "more": 21 })).await;
    assert_eq!(code(&again.next().await), "too_large");
}

#[tokio::test]
async fn a_window_grows_in_both_directions_and_each_is_a_part_of_what_is_shared() {
    let running = start(Limits { window: 20, ..Limits::default() }, None).await;
    let mut client = Client::connect(&running).await;
    subscribe(&mut client, 1, "around").await;
    assert_eq!(result(&client.next().await), (1, &json!([49, 50])));
    let page = async |client: &mut Client, page: Value| {
        client.send(page).await;
        client.next().await
    };
    let older = page(&mut client, json!({ "op": "page", "id": 1, "before": 2 })).await;
    assert_eq!(result(&older), (1, &json!([47, 48, 49, 50])));
    let newer = page(&mut client, json!({ "op": "page", "id": 1, "more": 1 })).await;
    assert_eq!(result(&newer), (1, &json!([47, 48, 49, 50, 51])));
    let both = page(&mut client, json!({ "op": "page", "id": 1, "more": 1, "before": 1 })).await;
    assert_eq!(result(&both), (1, &json!([46, 47, 48, 49, 50, 51, 52])));
    let refused = page(&mut client, json!({ "op": "page", "id": 1, "more": 10, "before": 10 })).await;
    assert_eq!(code(&refused), "too_large");
    assert_eq!(code(&page(&mut client, json!({ "op": "page", "id": 1 })).await), "bad_request");

    let mut again = Client::connect(&running).await;
    again.send(json!({ "op": "subscribe", "id": 1, "query": "around", "more": 1, "before": 3 })).await;
    assert_eq!(result(&again.next().await), (1, &json!([46, 47, 48, 49, 50, 51])));
    subscribe(&mut again, 2, "numbers").await;
    again.next().await;
    let refused = page(&mut again, json!({ "op": "page", "id": 2, "before": 1 })).await;
    assert!(
        refused["error"]["message"].as_str().is_some_and(|text| text.contains("window_before")),
        "{refused}"
    );
}

#[tokio::test]
async fn metrics_tell_what_live_queries_share_and_what_changes_them() {
    let server = crate::testing::server(Arc::new(FakeAdapter::default()), Limits::default());
    let metrics = server.router();
    let running = start_server(server).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&running).await;
        client.send(json!({ "op": "subscribe", "id": 1, "query": "counter", "args": { "id": 4 } })).await;
        client.next().await;
        clients.push(client);
    }
    clients[0]
        .send(json!({ "op": "mutate", "id": 2, "mutation": "add", "args": { "id": 4, "by": 1 } }))
        .await;
    for client in &mut clients {
        client.until("update").await;
    }
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(metrics, request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(body.into()).unwrap();
    for line in [
        "forge_live_shared_total{query=\"counter\"} 2",
        "forge_live_affected_total{query=\"counter\"} 1",
        "forge_live_run_seconds_count{query=\"counter\"} 2",
        "forge_sockets 3",
        "forge_subscriptions 3",
        "forge_live_queries 1",
        "forge_queue_bytes 0",
        "forge_feed_lag_seconds 0.0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
}
