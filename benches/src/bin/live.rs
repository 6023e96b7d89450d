//! One mutation, many sockets on the same query: reads of the database, and time to the last socket.
//!
//! Server and clients share this process and its processors; what clients cost is part of the time.

use std::time::{Duration, Instant};

use clap::Parser;
use forge_benches::{Bar, Options, Report, Span, median};
use forge_tests::server::TestServer;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const SOCKETS: usize = 1000;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let mut report =
        Report::new(&options, "Live: one mutation, 1,000 sockets on the same query (memory engine)");
    let server = TestServer::start().await;
    let first = server.http().mutate("add_note", note(0)).await;
    for n in 1..20 {
        server.http().mutate("add_note", note(n)).await;
    }

    let span = Span::start();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    for _ in 0..SOCKETS {
        subscribe(&server, arrived.clone()).await?;
    }
    receive(&mut arrivals, SOCKETS).await?;
    report.figure("connections with a subscription, one by one", span.rate(SOCKETS), "a second", None);

    let (mut reads, mut last, mut median_socket, mut cpu) = (vec![], vec![], vec![], vec![]);
    for _ in 0..options.rounds {
        // Far enough apart that no two changes share a refresh.
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.driver.take();
        let (start, span) = (Instant::now(), Span::start());
        server.http().mutate("vote", json!({ "id": first["id"], "by": 1 })).await;
        let mut times = receive(&mut arrivals, SOCKETS).await?;
        cpu.push(span.cpu_micros_each(SOCKETS));
        times.sort();
        reads.push(server.driver.reads("notes") as f64);
        last.push((times[SOCKETS - 1] - start).as_secs_f64() * 1e3);
        median_socket.push((times[SOCKETS / 2] - start).as_secs_f64() * 1e3);
    }
    report.figure("database reads a mutation", median(&reads), "", Some(Bar::AtMost(1.0)));
    report.figure("mutation sent to the last socket served", median(&last), "ms", None);
    report.figure("mutation sent to the median socket served", median(&median_socket), "ms", None);
    report.figure("processor time a socket, clients included", median(&cpu), "us", None);
    report.finish();
    Ok(())
}

fn note(n: usize) -> serde_json::Value {
    json!({ "note": { "board": "b", "title": format!("Note number {n}"), "votes": n } })
}

/// Opens a socket and reports every `update` that it receives.
async fn subscribe(server: &TestServer, arrived: mpsc::UnboundedSender<Instant>) -> Result<(), Failure> {
    let (mut socket, _) = connect_async(format!("ws://{}/ws", server.address)).await?;
    let frame = json!({ "op": "subscribe", "id": 1, "query": "notes", "args": { "board": "b" } });
    socket.send(Message::text(frame.to_string())).await?;
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let is_update = matches!(&message, Message::Text(text) if text.contains("\"data\""));
            if is_update && arrived.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    Ok(())
}

async fn receive(arrivals: &mut mpsc::UnboundedReceiver<Instant>, n: usize) -> Result<Vec<Instant>, Failure> {
    let mut times = Vec::with_capacity(n);
    while times.len() < n {
        let next = tokio::time::timeout(Duration::from_secs(30), arrivals.recv()).await;
        times.push(
            next.map_err(|_| format!("only {} of {n} updates came", times.len()))?.ok_or("sockets closed")?,
        );
    }
    Ok(times)
}
