//! The server, in a process of its own.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forge::{App, Db};
use forge_benches::process::{Look, answer};
use tokio::net::TcpListener;

use crate::Failure;

/// The collection whose reads are counted.
const ITEMS: &str = "items";

/// Serves in memory until standard input ends.
pub(crate) async fn run() -> Result<(), Failure> {
    let server = App::new().database("memory:").build().await?;
    let db = server.db().clone();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    answer(&listener.local_addr()?)?;
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        control(&db);
        drop(ended);
    });
    server.serve(listener, async { drop(end.await) }).await?;
    Ok(())
}

/// Answers the load generator's questions.
fn control(db: &Db) {
    let reads = Arc::new(AtomicU64::new(0));
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        if line == "count" {
            // Counted only where it is asked for: being told about every command costs time.
            let reads = reads.clone();
            db.on_command(move |event| {
                // The server looks for jobs that are due as well.
                let is_read = matches!(event.command, "find" | "aggregate" | "count" | "distinct");
                let counts = is_read && event.collection == ITEMS;
                reads.fetch_add(u64::from(counts), Ordering::Relaxed);
            });
        }
        let look = Look::now(reads.load(Ordering::Relaxed));
        if answer(&look).is_err() {
            return;
        }
    }
}
