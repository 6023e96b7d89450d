//! What handlers are promised over HTTP: once under a key, in time, so many at a time, effects after the commit, each
//! tenant in a database of its own.

use std::time::{Duration, Instant};

use forge_tests::app::{CANARY, begun, told};
use forge_tests::http::Answer;
use forge_tests::server::TestServer;
use forge_tests::socket::Socket;
use serde_json::{Value, json};

async fn count(server: &TestServer, board: &str) -> Value {
    server.http().query("note_count", json!({ "board": board })).await
}

#[tokio::test]
async fn an_answer_under_a_key_outlives_its_process() {
    let server = TestServer::start().await;
    let args = json!({ "board": "kept" });
    let first = server.http().keyed("add_slowly", "k", &args).await;
    assert_eq!(first.status, 200, "{first:?}");
    let next = server.beside(forge::server::Limits::default()).await;
    let second = next.http().keyed("add_slowly", "k", &args).await;
    assert_eq!((second.status, second.json()), (200, first.json()), "the first answer again");
    assert_eq!(count(&next, "kept").await, json!(1));
    let other = next.http().keyed("add_slowly", "k", &json!({ "board": "other" })).await;
    assert_eq!((other.status, other.code().as_str()), (409, "conflict"));
    // The same without a transaction.
    let first = server.http().keyed("count_runs", "plain", &json!({ "label": "kept" })).await;
    let second = next.http().keyed("count_runs", "plain", &json!({ "label": "kept" })).await;
    assert_eq!((second.status, second.json()), (200, first.json()));
}

#[tokio::test]
async fn equal_requests_to_two_processes_run_once() {
    let server = TestServer::start().await;
    let next = server.beside(forge::server::Limits::default()).await;
    for (name, args) in
        [("add_slowly", json!({ "board": "race" })), ("count_runs", json!({ "label": "race" }))]
    {
        let clients = [&server, &next, &server, &next].map(TestServer::http);
        let calls = clients.iter().map(|client| client.keyed(name, "k", &args));
        let answers = futures_util::future::join_all(calls).await;
        let first = answers[0].json();
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.json() == first), "{answers:?}");
    }
    assert_eq!(count(&server, "race").await, json!(1));
}

#[tokio::test]
async fn a_mutation_that_may_take_long_is_not_begun_again_while_it_runs() {
    let mut limits = forge::server::Limits::default();
    limits.mutation_deadline = Duration::from_millis(200);
    let server = TestServer::with(limits.clone()).await;
    let next = server.beside(limits).await;
    let args = json!({ "label": "long" });
    let (http, next) = (server.http(), next.http());
    let (first, second) = tokio::join!(http.keyed("count_long_runs", "k", &args), async {
        while !begun("long") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        next.keyed("count_long_runs", "k", &args).await
    });
    assert_eq!((first.status, second.status), (200, 200), "{first:?} {second:?}");
    assert_eq!(second.json(), first.json());
}

#[tokio::test]
async fn a_kept_answer_expires() {
    let mut limits = forge::server::Limits::default();
    limits.idempotency_age = Duration::from_millis(300);
    let server = TestServer::with(limits).await;
    let args = json!({ "board": "brief" });
    let first = server.http().keyed("add_slowly", "k", &args).await.json();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_ne!(server.http().keyed("add_slowly", "k", &args).await.json(), first);
    assert_eq!(count(&server, "brief").await, json!(2));
}

#[tokio::test]
async fn a_refused_mutation_keeps_no_answer_that_would_stand_for_another() {
    let server = TestServer::start().await;
    let args = json!({ "board": "b" });
    let first = server.http().keyed("add_and_fail", "k", &args).await;
    let second = server.http().keyed("add_and_fail", "k", &args).await;
    assert_eq!((first.status, second.anonymous()), (409, first.anonymous()));
    assert_eq!(count(&server, "b").await, json!(0));
}

#[tokio::test]
async fn handlers_end_at_their_own_deadline() {
    let server = TestServer::start().await;
    let begun = Instant::now();
    let query = server.http().call("query", "dawdle", &json!({})).await;
    assert_eq!((query.status, query.code().as_str()), (504, "timeout"), "{query:?}");
    let mutation = server.http().call("mutation", "add_too_late", &json!({ "board": "late" })).await;
    assert_eq!((mutation.status, mutation.code().as_str()), (504, "timeout"), "{mutation:?}");
    assert!(mutation.json()["message"].as_str().unwrap().contains("undone"), "{mutation:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(count(&server, "late").await, json!(0));
}

#[tokio::test]
async fn so_many_calls_of_a_handler_run_at_a_time() {
    let server = TestServer::start().await;
    let http = server.http();
    let none = json!({});
    let calls = (0..8).map(|_| http.call("query", "crowd", &none));
    let most = futures_util::future::join_all(calls)
        .await
        .into_iter()
        .map(|answer| answer.json())
        .max_by_key(Value::as_u64);
    assert_eq!(most, Some(json!(2)));
    let (first, second) = tokio::join!(http.call("mutation", "hog", &none), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        http.call("mutation", "hog", &none).await
    });
    assert_eq!((first.status, first.code().as_str()), (504, "timeout"), "{first:?}");
    assert_eq!((second.status, second.code().as_str()), (503, "unavailable"), "it never ran: {second:?}");
}

#[tokio::test]
async fn effects_run_once_after_the_commit_and_never_without_one() {
    let server = TestServer::start().await;
    for fail in [false, true] {
        let title = if fail { "undone" } else { "done" };
        let args = json!({ "title": title, "fail": fail });
        let answer = server.http().keyed("add_and_tell", title, &args).await;
        assert_eq!(answer.status, if fail { 409 } else { 200 }, "{answer:?}");
        server.http().keyed("add_and_tell", title, &args).await;
        assert_eq!(told(title), usize::from(!fail));
    }
    assert_eq!(count(&server, "told").await, json!(1));
}

async fn of_tenant(server: &TestServer, tenant: &str, kind: &str, name: &str, args: &Value) -> Answer {
    let headers =
        [("content-type", "application/json"), ("x-tenant", tenant), ("idempotency-key", "the-same-for-all")];
    let headers = if kind == "mutation" { &headers[..] } else { &headers[..2] };
    let path = format!("/api/{kind}/{name}");
    server.http().send("POST", &path, headers, args.to_string().as_bytes()).await.unwrap()
}

#[tokio::test]
async fn tenants_in_databases_of_their_own_never_meet() {
    let server = TestServer::with_tenants().await;
    let board = json!({ "board": "b" });
    let mut sockets = Vec::new();
    for tenant in ["a", "b"] {
        let mut socket = Socket::open_with(server.address, "x-tenant", tenant).await;
        assert_eq!(socket.follow(1, "notes", board.clone()).await, json!([]));
        sockets.push(socket);
    }
    for n in 0..10 {
        let writes = [("a", "plain"), ("b", CANARY)].map(|(tenant, mark)| {
            let note = json!({ "note": { "board": "b", "title": format!("{mark} {n}") } });
            let server = &server;
            async move {
                let path = "/api/mutation/add_note";
                let headers = [("content-type", "application/json"), ("x-tenant", tenant)];
                server.http().send("POST", path, &headers, note.to_string().as_bytes()).await.unwrap()
            }
        });
        assert!(futures_util::future::join_all(writes).await.iter().all(|answer| answer.status == 200));
        let seen = of_tenant(&server, "a", "query", "notes", &board).await.body;
        assert!(!seen.contains(CANARY), "{seen}");
    }
    for (socket, mark) in sockets.iter_mut().zip(["plain", CANARY]) {
        let last = socket.until(1, |data| {
            let titles: Vec<_> =
                data.as_array().unwrap().iter().map(|note| note["title"].as_str().unwrap()).collect();
            assert!(titles.iter().all(|title| title.starts_with(mark)), "{titles:?}");
            titles.len() == 10
        });
        last.await;
    }
    assert_eq!(count(&server, "b").await, json!(0), "the default database is another one");
}

#[tokio::test]
async fn a_tenants_mutation_answers_the_version_of_its_own_database() {
    let server = TestServer::with_tenants().await;
    let note = json!({ "note": { "board": "b", "title": "one" } });
    for _ in 0..5 {
        assert_eq!(server.http().call("mutation", "add_note", &note).await.status, 200);
    }
    let mut socket = Socket::open_with(server.address, "x-tenant", "small").await;
    socket.follow(1, "notes", json!({ "board": "b" })).await;
    socket.send(json!({ "op": "mutate", "id": 2, "mutation": "add_note", "args": note })).await;
    let (mut answered, mut reached) = (0, 0);
    while answered == 0 || reached == 0 {
        let frame = socket.find(|frame| frame["version"].is_u64()).await;
        let place = if frame["op"] == "result" { &mut answered } else { &mut reached };
        *place = frame["version"].as_u64().unwrap();
    }
    assert!(answered <= reached && reached < 5, "{answered} is answered, {reached} is reached");
}

#[tokio::test]
async fn keys_and_jobs_belong_to_their_database() {
    let server = TestServer::with_tenants().await;
    let later = json!({ "board": "jobs", "title": "later", "millis": 1 });
    for tenant in ["a", "b"] {
        let slowly = of_tenant(&server, tenant, "mutation", "add_slowly", &json!({ "board": "b" })).await;
        assert_eq!(slowly.status, 200, "{slowly:?}");
        let notes = of_tenant(&server, tenant, "query", "note_count", &json!({ "board": "b" })).await;
        assert_eq!(notes.json(), json!(1), "the key of one tenant is not that of another");
    }
    assert_eq!(of_tenant(&server, "a", "mutation", "add_later", &later).await.status, 200);
    let jobs = json!({ "board": "jobs" });
    for _ in 0..200 {
        if of_tenant(&server, "a", "query", "note_count", &jobs).await.json() == json!(1) {
            assert_eq!(of_tenant(&server, "b", "query", "note_count", &jobs).await.json(), json!(0));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the job did not run");
}

#[tokio::test]
async fn a_request_cannot_name_a_database_that_servers_keep() {
    let server = TestServer::with_tenants().await;
    for tenant in ["../x", "a.b", "$cmd"] {
        let answer = of_tenant(&server, tenant, "query", "note_count", &json!({ "board": "b" })).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{tenant}");
    }
}
