//! `cargo xtask servers`: the server of the tests, kept in the background for development.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::Recipe;
use crate::process::{self, Context as _, Result};

const STOP_LIMIT: Duration = Duration::from_secs(15);

/// What the pid file says about the server in the background.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    pid: u32,
    port: u16,
    uri: String,
    program: String,
    scratch: PathBuf,
}

impl Record {
    fn of(recipe: &Recipe, pid: u32) -> Self {
        let program = recipe.program.to_string_lossy().into_owned();
        Self { pid, port: recipe.port, uri: recipe.uri.clone(), program, scratch: recipe.scratch.clone() }
    }

    fn to_text(&self) -> String {
        let Self { pid, port, uri, program, scratch } = self;
        format!("{pid}\n{port}\n{uri}\n{program}\n{}\n", scratch.display())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        Some(Self {
            pid: lines.next()?.parse().ok()?,
            port: lines.next()?.parse().ok()?,
            uri: lines.next()?.to_owned(),
            program: lines.next()?.to_owned(),
            scratch: lines.next()?.into(),
        })
    }

    /// Whether a command line is that of the server which this record is about, and not of a later process with its id.
    fn matches(&self, command_line: &str) -> bool {
        let port = self.port.to_string();
        command_line.contains(&self.program) && command_line.split_whitespace().any(|word| word == port)
    }

    fn is_running(&self) -> bool {
        command_line(self.pid).is_some_and(|line| self.matches(&line))
    }
}

/// Starts a server on `port` and prints how to use it.
pub(crate) fn start(port: u16) -> Result<()> {
    if let Some(record) = running()? {
        println!("already running (pid {})", record.pid);
        return print_uri(&record);
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .context(format_args!("port {port} cannot be used, choose another with --port"))?;
    let recipe = super::find(Some(port))?;
    let mut server = recipe.command(&[])?.spawn().context(format_args!("starting {}", recipe.name))?;
    let record = Record::of(&recipe, server.id());
    let ready = recipe.wait_ready(|| !matches!(server.try_wait(), Ok(None)));
    let written = ready.and_then(|()| {
        let file = pid_file()?;
        fs::write(&file, record.to_text()).context(format_args!("writing {}", file.display()))
    });
    if let Err(reason) = written {
        let _ = server.kill();
        let _ = server.wait();
        let _ = fs::remove_dir_all(&recipe.scratch);
        return Err(reason);
    }
    println!("{} is running (pid {}); `cargo xtask servers stop` ends it", recipe.name, record.pid);
    print_uri(&record)
}

/// Ends the server that [`start`] started, and nothing else.
pub(crate) fn stop() -> Result<()> {
    let Some(record) = running()? else {
        println!("not running");
        return Ok(());
    };
    signal(record.pid, "TERM")?;
    let deadline = Instant::now() + STOP_LIMIT;
    while record.is_running() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    if record.is_running() {
        signal(record.pid, "KILL")?;
    }
    forget(&pid_file()?, &record)?;
    println!("stopped (pid {})", record.pid);
    Ok(())
}

/// Prints whether the server runs, and where.
pub(crate) fn status() -> Result<()> {
    match running()? {
        Some(record) => {
            println!("running (pid {})", record.pid);
            print_uri(&record)
        }
        None => {
            println!("not running");
            Ok(())
        }
    }
}

/// The server of the pid file, when its process is still there; a stale file is removed.
fn running() -> Result<Option<Record>> {
    let file = pid_file()?;
    let Some(record) = fs::read_to_string(&file).ok().as_deref().and_then(Record::parse) else {
        return Ok(None);
    };
    if record.is_running() {
        return Ok(Some(record));
    }
    forget(&file, &record)?;
    Ok(None)
}

fn forget(file: &Path, record: &Record) -> Result<()> {
    let _ = fs::remove_dir_all(&record.scratch);
    fs::remove_file(file).context(format_args!("removing {}", file.display()))
}

fn pid_file() -> Result<PathBuf> {
    Ok(process::target_dir("servers")?.join("server.pid"))
}

fn print_uri(record: &Record) -> Result<()> {
    println!("export MONGODB_URI='{}'", record.uri);
    Ok(())
}

/// The command line of a process; `None` when there is no such process, or only its remains.
fn command_line(pid: u32) -> Option<String> {
    let line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\0', " "),
        Err(_) => process::output(Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]))?,
    };
    Some(line).filter(|line| !line.trim().is_empty())
}

fn signal(pid: u32, name: &str) -> Result<()> {
    // The shell's own `kill`: small systems have no program of that name.
    let script = format!("kill -{name} {pid}");
    let status = Command::new("/bin/sh").args(["-c", &script]).status().context("kill")?;
    if status.success() { Ok(()) } else { Err(format!("process {pid} could not be ended ({status})")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            pid: 42,
            port: 27017,
            uri: "mongodb://127.0.0.1:27017/".into(),
            program: "/t/servers/secantus/bin/secantusd-py".into(),
            scratch: "/t/servers/secantus-27017".into(),
        }
    }

    #[test]
    fn the_pid_file_is_read_as_it_was_written() {
        assert_eq!(Record::parse(&record().to_text()), Some(record()));
        assert_eq!(Record::parse("not a pid\n"), None);
        assert_eq!(Record::parse(""), None);
    }

    #[test]
    fn only_the_server_that_was_started_is_ours() {
        let cases = [
            ("/t/servers/secantus/bin/python3 /t/servers/secantus/bin/secantusd-py --port 27017", true),
            ("/t/servers/secantus/bin/python3 /t/servers/secantus/bin/secantusd-py --port 27018", false),
            ("/usr/bin/vim /etc/hosts", false),
            ("mongod --port 27017", false),
        ];
        for (line, expected) in cases {
            assert_eq!(record().matches(line), expected, "{line}");
        }
    }

    #[test]
    fn this_process_has_a_command_line_and_an_impossible_one_has_none() {
        assert!(command_line(std::process::id()).is_some());
        assert_eq!(command_line(u32::MAX), None);
    }
}
