//! Sockets of databases other than the default one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Limits;
use crate::testing::{FakeAdapter, server};
use crate::ws_tests::{Client, start_server};

const TENANT: &[(&str, &str)] = &[("x-database", "tenant")];

async fn text(router: &axum::Router, path: &str) -> String {
    let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.into()).unwrap()
}

fn subscribe(counter: i32) -> Value {
    json!({ "op": "subscribe", "id": 1, "query": "counter", "args": { "id": counter } })
}

/// Adds to a counter; the version of the answer.
async fn add(client: &mut Client, counter: i32) -> u64 {
    let args = json!({ "id": counter, "by": 1 });
    client.send(json!({ "op": "mutate", "id": 2, "mutation": "add", "args": args })).await;
    client.until("result").await.0["version"].as_u64().unwrap()
}

#[tokio::test]
async fn a_database_that_is_ahead_of_the_default_one_owes_nothing() {
    let server = server(Arc::default(), Limits::default());
    let probe = server.router();
    let running = start_server(server).await;
    let mut unfollowed = Client::connect_with(&running, TENANT).await.unwrap();
    assert_eq!(add(&mut unfollowed, 4).await, 1);
    let mut client = Client::connect_with(&running, TENANT).await.unwrap();
    client.send(subscribe(4)).await;
    client.next().await;
    for version in 2..6 {
        assert_eq!(add(&mut client, 4).await, version);
    }
    while client.next().await["version"].as_u64().unwrap() < 5 {}
    assert!(text(&probe, "/metrics").await.contains("forge_feed_lag_seconds 0.0\n"));
    let ready = text(&probe, "/readyz").await;
    assert!(ready.contains(r#""version":0,"lag":0.000"#), "{ready}");
}

#[tokio::test]
async fn ready_tells_the_version_of_the_sockets_own_database() {
    let running = start_server(server(Arc::default(), Limits::default())).await;
    let mut own = Client::connect(&running).await;
    own.send(subscribe(4)).await;
    own.next().await;
    add(&mut own, 4).await;
    own.until("update").await;
    for (headers, version) in [(&[][..], 1), (TENANT, 0)] {
        let ready = Client::greeting(&running, headers).await;
        assert_eq!(ready["version"], version, "{ready}");
    }
}

#[tokio::test]
async fn a_mutation_waits_for_the_feed_of_its_own_database_alone() {
    let adapter = Arc::new(FakeAdapter::default());
    adapter.silent.store(true, Ordering::SeqCst);
    let limits = Limits { version_wait: Duration::from_secs(20), ..Limits::default() };
    let running = start_server(server(adapter, limits)).await;
    let mut client = Client::connect_with(&running, TENANT).await.unwrap();
    let started = Instant::now();
    assert_eq!(add(&mut client, 4).await, 0, "nobody follows it");
    client.send(subscribe(4)).await;
    client.next().await;
    assert_eq!(add(&mut client, 4).await, 2);
    assert!(started.elapsed() < Duration::from_secs(10));
}
