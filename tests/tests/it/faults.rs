//! A real server killed in the middle of writes, and started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forge::Db;
use forge_tests::app::kept_slugs;
use forge_tests::app::new_note;
use forge_tests::http::Client;
use forge_tests::program::Program;
use forge_tests::proxy::{Proxy, host_of};
use forge_tests::secantus::Secantus;
use forge_tests::socket::Socket;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

const PROBE: &str = env!("CARGO_BIN_EXE_probe");
const NAME: &str = "faults";
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than the driver waits for a server before an operation fails.
const OUTAGE: Duration = Duration::from_secs(4);

/// Adds notes until it is told to stop, and tells which were acknowledged. Answers with how many were sent.
async fn write(http: Client, writer: u32, stop: Arc<AtomicBool>, acknowledged: UnboundedSender<String>) {
    for n in 0_u32.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let slug = format!("w{writer}-{n}");
        let args = json!({ "note": { "board": "b", "title": "t", "slug": slug } }).to_string();
        let json = [("content-type", "application/json")];
        match http.send("POST", "/api/mutation/add_note", &json, args.as_bytes()).await {
            Ok(answer) if answer.status == 200 => drop(acknowledged.send(slug)),
            Ok(answer) if answer.status >= 500 => sleep(Duration::from_millis(20)).await,
            other => panic!("{other:?}"),
        }
    }
}

/// The database past the program, by a connection of its own.
async fn direct(database: &Secantus) -> Db {
    let (catalog, env) = (forge_tests::engine::catalog(), forge::system_env());
    let adapter = forge::connect(&database.url(NAME), catalog.clone(), &env).await.unwrap();
    Db::new(adapter, catalog, env).database(NAME)
}

/// Waits until `/readyz` answers with `status`; answers with what it says.
async fn readiness(http: Client, status: u16) -> String {
    let asking = async {
        loop {
            let answer = http.get("/readyz").await;
            if answer.status == status {
                return answer.body;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("/readyz never answers {status}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_killed_during_writes_loses_nothing_acknowledged_and_live_queries_converge() {
    let Some(mut database) = Secantus::start().await else { return };
    let url = database.url(NAME);
    let proxy = Proxy::to(&host_of(&url)).await;
    let program = Program::start(PROBE, &proxy.through(&url)).await;
    let http = program.http();
    let mut socket = Socket::open(program.address).await;
    assert_eq!(socket.follow(1, "note_count", json!({ "board": "b" })).await, json!(0));
    let mut quiet = Socket::open(program.address).await;
    assert_eq!(quiet.follow(1, "note_count", json!({ "board": "quiet" })).await, json!(0));
    let (sender, mut receiver) = unbounded_channel();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|writer| tokio::spawn(write(http, writer, stop.clone(), sender.clone()))).collect();
    drop(sender);
    let mut acknowledged = Vec::new();
    for _ in 0..2 {
        for _ in 0..15 {
            let slug = timeout(PATIENCE, receiver.recv()).await.expect("writes should go on");
            acknowledged.push(slug.expect("the writers should live"));
        }
        database.kill().await;
        proxy.shut();
        let said = readiness(http, 503).await;
        assert!(said.contains("database") || said.contains("feed"), "{said}");
        database.restart().await;
        // Nothing else is written to this board, and that before the program finds the database again.
        direct(&database).await.insert(new_note("quiet", "t")).await.unwrap();
        sleep(OUTAGE).await;
        proxy.open();
        let said = readiness(http, 200).await;
        assert!(said.contains(r#""feed":"open""#), "{said}");
        let all = http.query("note_count", json!({ "board": "quiet" })).await;
        quiet.until(1, |count| *count == all).await;
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        timeout(PATIENCE, writer).await.expect("a writer hangs").unwrap();
    }
    while let Some(slug) = receiver.recv().await {
        acknowledged.push(slug);
    }
    let notes = http.query("notes", json!({ "board": "b" })).await;
    let stored = kept_slugs(&notes, &acknowledged);
    let all = json!(stored.len());
    let converges = socket.until(1, |count| *count == all);
    timeout(PATIENCE, converges).await.expect("the live query should come to what there is");
}
