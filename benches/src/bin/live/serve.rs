//! The server, in a process of its own, and how the load generator asks it about itself: a line in, a line out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cpu_time::ProcessTime;
use forge::App;
use forge::Db;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Failure;

/// The argument under which this program is the server.
pub(crate) const SERVE: &str = "--serve";

/// The collection whose reads are counted.
const ITEMS: &str = "items";

/// What the server says of itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Look {
    /// Processor time so far, in nanoseconds.
    cpu: u64,
    /// Resident memory, in bytes.
    resident: u64,
    /// Database reads since they are counted.
    pub(crate) reads: u64,
}

impl Look {
    /// Microseconds of processor time from `before` until now, for each of `n` units of work.
    pub(crate) fn cpu_micros_each(self, before: Self, n: usize) -> f64 {
        self.cpu.saturating_sub(before.cpu) as f64 / 1e3 / n as f64
    }

    /// Bytes of memory that came since `before`, for each of `n`.
    pub(crate) fn bytes_each(self, before: Self, n: usize) -> f64 {
        self.resident.saturating_sub(before.resident) as f64 / n as f64
    }
}

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
        let look = Look {
            cpu: u64::try_from(ProcessTime::now().as_duration().as_nanos()).unwrap_or(u64::MAX),
            resident: resident(),
            reads: reads.load(Ordering::Relaxed),
        };
        if answer(&look).is_err() {
            return;
        }
    }
}

fn answer(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(value)?)?;
    Ok(out.flush()?)
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A server that was started. It ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program once more, as the server.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no output")?);
        let stdin = child.stdin.take();
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = serde_json::from_str(&line)?;
        Ok(Self { child, stdin, stdout, address })
    }

    /// Asks what it used so far, once what it is at is likely to be over.
    pub(crate) fn look(&mut self) -> Result<Look, Failure> {
        std::thread::sleep(Duration::from_millis(30));
        self.ask("look")
    }

    /// From now on it counts reads.
    pub(crate) fn count_reads(&mut self) -> Result<(), Failure> {
        self.ask("count").map(drop)
    }

    fn ask(&mut self, question: &str) -> Result<Look, Failure> {
        writeln!(self.stdin.as_mut().ok_or("the server ended")?, "{question}")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
