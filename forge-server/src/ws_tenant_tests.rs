//! Sockets of databases other than the default one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Limits;
use crate::testing::{FakeAdapter, server};
use crate::ws_tests::{Client, Running, start_server};

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

/// A server whose default database has a commit that its feed has told of, and whose tenants' have none.
async fn with_a_commit() -> Running {
    let running = start_server(server(Arc::default(), Limits::default())).await;
    let mut own = Client::connect(&running).await;
    own.send(subscribe(4)).await;
    own.next().await;
    add(&mut own, 4).await;
    own.until("update").await;
    running
}

#[tokio::test]
async fn ready_tells_the_version_of_the_sockets_own_database() {
    let running = with_a_commit().await;
    for (headers, version) in [(&[][..], 1), (TENANT, 0)] {
        let ready = Client::greeting(&running, headers).await;
        assert_eq!(ready["version"], version, "{ready}");
    }
}

#[tokio::test]
async fn ready_tells_the_same_version_to_who_signs_in_as_to_who_connects() {
    let running = with_a_commit().await;
    for (headers, version) in [(&[][..], 1), (TENANT, 0)] {
        let mut fresh = Client::connect_with(&running, headers).await.unwrap();
        fresh.send(json!({ "op": "auth", "token": null })).await;
        let ready = fresh.until("ready").await.0;
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

/// Waits until this is all that the metrics tell of open feeds.
async fn until_open(router: &axum::Router, databases: &[&str]) {
    let mut open = Vec::new();
    for _ in 0..250 {
        let metrics = text(router, "/metrics").await;
        let lines = metrics.lines().filter_map(|line| line.strip_prefix("forge_feed_up{database=\""));
        open = lines.map(|line| line.split('"').next().unwrap_or_default().to_owned()).collect();
        open.sort_unstable();
        if open == databases {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the feeds of {open:?} are open");
}

#[tokio::test]
async fn databases_that_nobody_reads_any_more_are_not_followed() {
    let limits = Limits { feeds: 4, feed_idle: Duration::from_millis(50), ..Limits::default() };
    let adapter = Arc::new(FakeAdapter::default());
    let server = server(adapter.clone(), limits);
    let probe = server.router();
    let running = start_server(server).await;
    for round in 0..3 {
        for n in 0..20 {
            let name = format!("tenant{n}");
            let mut client = Client::connect_with(&running, &[("x-database", &name)]).await.unwrap();
            client.send(subscribe(4)).await;
            let first = client.next().await;
            assert_eq!(first["results"][0]["data"], round, "{first}");
            // The feed tells of changes however often it was closed.
            client
                .send(json!({ "op": "mutate", "id": 2, "mutation": "add", "args": { "id": 4, "by": 1 } }))
                .await;
            assert_eq!(client.until("update").await.0["results"][0]["data"], round + 1);
        }
    }
    until_open(&probe, &["db"]).await;
    // Streams end with the task that reads them.
    for _ in 0..250 {
        if adapter.watched() == ["db"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?} are watched", adapter.watched());
}

#[tokio::test]
async fn a_socket_whose_database_is_one_too_many_is_told_and_served_when_there_is_room() {
    let limits = Limits { feeds: 1, ..Limits::default() };
    let running = start_server(server(Arc::default(), limits)).await;
    let mut first = Client::connect_with(&running, TENANT).await.unwrap();
    first.send(subscribe(4)).await;
    first.next().await;
    let mut second = Client::connect_with(&running, &[("x-database", "another")]).await.unwrap();
    second.send(subscribe(4)).await;
    let refused = second.next().await;
    assert_eq!(
        (&refused["op"], &refused["error"]["code"]),
        (&json!("error"), &json!("unavailable")),
        "{refused}"
    );
    first.send(json!({ "op": "unsubscribe", "id": 1 })).await;
    assert_eq!(second.next().await["results"][0]["data"], 0);
}
