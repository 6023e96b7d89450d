//! Subscriptions that come and go leave nothing behind: no task, no live query, no queue, no memory.

use std::collections::BTreeSet;
use std::time::Duration;

use forge_tests::server::TestServer;
use serde_json::json;
use tokio::runtime::Handle;

/// Subscriptions of one socket.
const BATCH: usize = 100;
/// What the allocator may keep, in bytes.
const SLACK: u64 = 24 << 20;

/// What a server holds on to.
#[derive(Debug)]
struct Held {
    tasks: usize,
    gauges: Vec<(&'static str, String)>,
}

/// What `server` holds on to. This program's own tasks count as well: there are none between two batches.
async fn held(server: &TestServer) -> Held {
    const GAUGES: [&str; 5] = ["sockets", "subscriptions", "live_queries", "live_running", "queue_bytes"];
    let text = server.http().get("/metrics").await.body;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("forge_{name} ")));
    let gauges =
        GAUGES.map(|name| (name, value(name).unwrap_or_else(|| panic!("{name}: {text}")).to_owned()));
    Held { tasks: Handle::current().metrics().num_alive_tasks(), gauges: gauges.to_vec() }
}

/// Waits until `server` holds no more than it held before.
async fn settle(server: &TestServer, before: &Held) {
    let mut now = held(server).await;
    for _ in 0..200 {
        if now.tasks <= before.tasks && now.gauges == before.gauges {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        now = held(server).await;
    }
    panic!("the server holds on to something: {now:?}, before it was {before:?}");
}

/// Resident memory of this process, where the system tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Subscribes `times` times, to ever other queries, and ends the subscriptions in every way there is.
async fn churn(server: &TestServer, times: usize) {
    for batch in 0..times.div_ceil(BATCH) {
        let mut socket = server.socket().await;
        for id in 0..BATCH as u64 {
            socket
                .subscribe(id, "note_count", json!({ "board": format!("{}", batch as u64 * 50 + id) }))
                .await;
        }
        match batch % 3 {
            // Served, and ended one by one.
            0 => {
                let mut waiting: BTreeSet<u64> = (0..BATCH as u64).collect();
                while !waiting.is_empty() {
                    // One frame may hold the results of many.
                    let frame = socket.expect("update").await;
                    for result in frame["results"].as_array().unwrap() {
                        waiting.remove(&result["id"].as_u64().unwrap());
                    }
                }
                for id in 0..BATCH as u64 {
                    socket.send(json!({ "op": "unsubscribe", "id": id })).await;
                }
                for _ in 0..BATCH {
                    socket.expect("unsubscribed").await;
                }
            }
            // Ended while they run.
            1 => {
                for id in 0..BATCH as u64 {
                    socket.send(json!({ "op": "unsubscribe", "id": id })).await;
                }
                for _ in 0..BATCH {
                    socket.expect("unsubscribed").await;
                }
            }
            // Left to the end of the socket.
            _ => {}
        }
    }
}

async fn soak(times: usize) {
    let server = TestServer::with_metrics().await;
    server.http().mutate("add_note", json!({ "note": { "board": "1", "title": "t" } })).await;
    // What starts with the server has started, and the connection above is closed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = held(&server).await;
    churn(&server, 3_000).await;
    settle(&server, &start).await;
    server.driver.take();
    let warm = resident();
    for _ in 0..times.div_ceil(3_000) {
        churn(&server, times.min(3_000)).await;
        // The driver under test remembers its commands.
        server.driver.take();
    }
    settle(&server, &start).await;
    // Beside other tests, their memory would count as well.
    if times > 3_000
        && let (Some(warm), Some(now)) = (warm, resident())
    {
        let more = now.saturating_sub(warm);
        assert!(more < SLACK, "{more} bytes more than before {times} subscriptions");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_leave_nothing_behind() {
    soak(3_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo xtask soak"]
async fn two_hundred_thousand_subscriptions_leave_nothing_behind() {
    soak(200_000).await;
}
