//! Two organizations at once, by every door: neither ever meets the other.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{Caller, account_of, server};

/// Fails where anything of the other organization is in `text`.
fn assert_own(org: &str, what: &str, text: &str) {
    let other = if org == "acme" { "bolt" } else { "acme" };
    assert!(!text.contains(other), "{what} of {org} tells of {other}: {text}");
}

/// Writes, reads and asks by every door, `rounds` times.
async fn work(caller: &Caller<'_>, org: &str, worker: usize, rounds: usize) {
    for round in 0..rounds {
        let handle = format!("{org} {worker} {round}");
        let made = caller.open(&handle).await;
        let id = made["id"].clone();
        for (kind, name, args) in [
            ("query", "accounts", json!({ "least": 0 })),
            ("query", "account", json!({ "id": id })),
            ("query", "by_handle", json!({ "word": " " })),
            ("query", "account_page", json!({ "page": { "size": 50, "total": true } })),
            ("mutation", "change_account", json!({ "id": id, "patch": { "points": 5 } })),
        ] {
            let answer = caller.call(kind, name, args).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_own(org, name, &answer.body);
        }
        let found = caller.ask("GET", "accounts", Value::Null).await;
        assert_own(org, "a service", &found.body);
        let patched = caller.ask("PATCH", "accounts?points[$gte]=5", json!({ "points": 6 })).await;
        assert_own(org, "a service", &patched.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_organizations_race_and_never_meet() {
    const WORKERS: usize = 4;
    const ROUNDS: usize = 6;
    let server = server().await;
    let over = AtomicBool::new(false);
    let callers = ["acme", "bolt"].map(|org| (org, Caller::new(&server, org)));
    let sockets = callers.iter().flat_map(|(org, caller)| {
        let over = &over;
        (0..2).map(move |_| async move {
            let mut socket = caller.socket().await;
            let first = socket.follow(1, "accounts", json!({ "least": 0 })).await;
            assert_own(org, "a live query", &first.to_string());
            loop {
                let frame = socket.expect("update").await;
                assert_own(org, "a live query", &frame.to_string());
                let rows = &frame["results"][0]["data"];
                let all = rows.as_array().is_some_and(|rows| rows.len() == WORKERS * ROUNDS);
                if all || over.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    });
    let writers = callers
        .iter()
        .flat_map(|(org, caller)| (0..WORKERS).map(move |worker| work(caller, org, worker, ROUNDS)));
    let writers = async {
        join_all(writers).await;
        over.store(true, Ordering::Relaxed);
        // One more change for sockets that have not seen the last one.
        for (org, caller) in &callers {
            caller.open(&format!("{org} last")).await;
        }
    };
    tokio::join!(join_all(sockets), writers);
    for (org, caller) in &callers {
        let rows = caller.done("query", "accounts", json!({ "least": 0 })).await;
        assert_eq!(rows.as_array().map(Vec::len), Some(WORKERS * ROUNDS + 1), "{org}");
    }
}

#[tokio::test]
async fn ids_handles_and_keys_of_others_open_nothing() {
    let server = server().await;
    let (ann, bob) = (Caller::new(&server, "acme"), Caller::new(&server, "bolt"));
    let id = ann.open("acme one").await["id"].clone();
    assert_eq!(bob.done("query", "account", json!({ "id": id })).await, Value::Null);
    for (name, args) in [
        ("change_account", json!({ "id": id, "patch": { "points": 7 } })),
        ("close_account", json!({ "id": id })),
        ("hide", json!({ "id": id })),
    ] {
        let answer = bob.call("mutation", name, args).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{name}: {answer:?}");
        assert_own("bolt", name, &answer.body);
    }
    let path = format!("accounts/{}", id.as_str().unwrap());
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        let body = match method {
            "PATCH" => json!({ "points": 7 }),
            "PUT" => account_of("x"),
            _ => Value::Null,
        };
        let answer = bob.ask(method, &path, body).await;
        assert_eq!(answer.status, 404, "{method}: {answer:?}");
    }
    // Nobody writes into another organization, or moves there.
    for args in [
        json!({ "account": { "handle": "x", "points": 1, "cards": [], "org": "acme" } }),
        json!({ "account": { "handle": "x", "points": 1, "cards": [], "id": id } }),
    ] {
        let answer = bob.call("mutation", "open_account", args.clone()).await;
        assert!((400..500).contains(&answer.status), "{args}: {answer:?}");
    }
    let own = bob.open("bolt one").await["id"].clone();
    let moved =
        bob.call("mutation", "change_account", json!({ "id": own, "patch": { "org": "acme" } })).await;
    assert_eq!(moved.status, 400, "{moved:?}");
    let stored = ann.done("query", "accounts", json!({ "least": 0 })).await;
    assert_eq!((stored.as_array().map(Vec::len), &stored[0]["points"]), (Some(1), &json!(1)), "{stored}");
}

#[tokio::test]
async fn an_answer_under_a_key_is_for_its_caller() {
    let server = server().await;
    let args = json!({ "account": account_of("same") }).to_string();
    let mut ids = Vec::new();
    for org in ["acme", "bolt", "acme"] {
        let bearer = format!("Bearer {}", crate::app::token(org));
        let headers = [
            ("content-type", "application/json"),
            ("authorization", bearer.as_str()),
            ("idempotency-key", "one-key-for-all"),
        ];
        let path = "/api/mutation/open_account";
        let answer = server.http().send("POST", path, &headers, args.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        ids.push(answer.json()["id"].clone());
    }
    assert_eq!(ids[0], ids[2], "the same caller gets the first answer again");
    assert_ne!(ids[0], ids[1], "another caller's key is another key");
}
