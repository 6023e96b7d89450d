//! Servers in processes of their own, and how the load generator asks them about themselves: a line in, a line out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

/// Why a bench cannot go on.
pub type Failure = Box<dyn std::error::Error>;

/// The argument under which a bench is the server.
pub const SERVE: &str = "--serve";

/// What the server says of itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Look {
    /// Processor time so far, in nanoseconds.
    pub cpu: u64,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Database reads since they are counted.
    pub reads: u64,
}

impl Look {
    /// This process, now.
    pub fn now(reads: u64) -> Self {
        let cpu = u64::try_from(ProcessTime::now().as_duration().as_nanos()).unwrap_or(u64::MAX);
        Self { cpu, resident: resident(), reads }
    }

    /// Microseconds of processor time from `before` until now, for each of `n` units of work.
    pub fn cpu_micros_each(self, before: Self, n: usize) -> f64 {
        self.cpu.saturating_sub(before.cpu) as f64 / 1e3 / n as f64
    }

    /// Bytes of memory that came since `before`, for each of `n`.
    pub fn bytes_each(self, before: Self, n: usize) -> f64 {
        self.resident.saturating_sub(before.resident) as f64 / n as f64
    }
}

/// Tells the load generator something.
///
/// # Errors
/// Where it is gone.
pub fn answer(value: &impl Serialize) -> Result<(), Failure> {
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
#[derive(Debug)]
pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts this program once more, as the server.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start() -> Result<Self, Failure> {
        Self::start_as(Command::new(std::env::current_exe()?).arg(SERVE))
    }

    /// Starts a program that says where it listens, as JSON in a line.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start_as(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no output")?);
        let stdin = child.stdin.take();
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = serde_json::from_str(&line)?;
        Ok(Self { child, stdin, stdout, address })
    }

    /// Asks what it used so far, once what it is at is likely to be over.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn look(&mut self) -> Result<Look, Failure> {
        std::thread::sleep(Duration::from_millis(30));
        self.ask("look")
    }

    /// From now on it counts reads.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn count_reads(&mut self) -> Result<(), Failure> {
        self.ask("count").map(drop)
    }

    /// Tells it something that it does not answer.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn tell(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.stdin.as_mut().ok_or("the server ended")?, "{line}")?)
    }

    fn ask(&mut self, question: &str) -> Result<Look, Failure> {
        self.tell(question)?;
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
