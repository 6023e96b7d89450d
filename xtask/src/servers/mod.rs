//! Finding and starting a server that speaks MongoDB's protocol, for tests, benches and development.
//!
//! In this order: the server of `MONGODB_URI`; `mongod` on `PATH`, started as a replica set of one; SecantusDB, installed
//! once into the build folder. Where none can be had, the caller is told why.

pub(crate) mod background;
mod fast;
mod secantus;
mod supervised;
mod wire;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{self, Context as _, Result};
use supervised::Supervised;

/// The variables by which an application finds its database; tests must not see the developer's own.
pub(crate) const APPLICATION_VARIABLES: [&str; 3] = ["FORGE_DATABASE_URL", "MONGODB_URI", "MONGO_URI"];

const READY_LIMIT: Duration = Duration::from_secs(60);
const REPLICA_SET: &str = "forge";

/// The server that a run uses.
pub(crate) enum Database {
    /// Somebody else's, by its URI.
    Given(String),
    /// Our own, ended when this is dropped.
    Started(Supervised),
    /// None, and why.
    Missing(String),
}

impl Database {
    /// Finds or starts one.
    pub(crate) fn obtain() -> Self {
        if let Some(uri) = std::env::var("MONGODB_URI").ok().filter(|uri| !uri.is_empty()) {
            return Self::Given(uri);
        }
        match find(None).and_then(Supervised::start) {
            Ok(server) => Self::Started(server),
            Err(reason) => Self::Missing(reason),
        }
    }

    /// Starts the one that answers fastest, and can do the least.
    pub(crate) fn fast() -> Self {
        let recipe = || fast::recipe(free_port()?, &process::target_dir("servers")?);
        match recipe().and_then(Supervised::start) {
            Ok(server) => Self::Started(server),
            Err(reason) => Self::Missing(reason),
        }
    }

    /// Where it listens.
    pub(crate) fn uri(&self) -> Option<&str> {
        match self {
            Self::Given(uri) => Some(uri),
            Self::Started(server) => Some(&server.recipe().uri),
            Self::Missing(_) => None,
        }
    }

    /// What it is, in a few words. The given URI is not repeated: it may hold a password.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Given(_) => "the server of MONGODB_URI".into(),
            Self::Started(server) => server.recipe().name.into(),
            Self::Missing(reason) => reason.clone(),
        }
    }
}

/// How to start one server, once.
pub(crate) struct Recipe {
    /// What a person calls it.
    name: &'static str,
    /// What to run.
    program: PathBuf,
    /// Its arguments.
    arguments: Vec<OsString>,
    /// Where it listens on 127.0.0.1.
    port: u16,
    /// What a client connects to.
    uri: String,
    /// Whether it must be told that it is a replica set.
    initiate: bool,
    /// Its own files: emptied before it starts, removed after it ends.
    scratch: PathBuf,
    /// What it prints.
    log: PathBuf,
}

impl Recipe {
    fn mongod(program: PathBuf, port: u16, folder: &Path) -> Self {
        let scratch = folder.join(format!("mongod-{port}"));
        let mut arguments = words(&["--bind_ip", "127.0.0.1", "--replSet", REPLICA_SET, "--port"]);
        arguments.extend([port.to_string().into(), "--dbpath".into(), scratch.clone().into()]);
        let log = folder.join("mongod.log");
        Self { name: "mongod", program, arguments, port, uri: uri(port), initiate: true, scratch, log }
    }

    fn secantus(program: PathBuf, port: u16, folder: &Path, config: &Path) -> Self {
        let mut arguments =
            words(&["--host", "127.0.0.1", "--storage-path", ":memory:", "--log-level", "WARNING"]);
        arguments.extend(["--port".into(), port.to_string().into(), "--config".into(), config.into()]);
        let scratch = folder.join(format!("secantus-{port}"));
        let log = folder.join("secantus.log");
        Self { name: "SecantusDB", program, arguments, port, uri: uri(port), initiate: false, scratch, log }
    }

    /// The program and its arguments, after `wrapper`, with its output in the log and its files in the scratch folder.
    fn command(&self, wrapper: &[&str]) -> Result<Command> {
        let _ = fs::remove_dir_all(&self.scratch);
        fs::create_dir_all(&self.scratch).context(format_args!("creating {}", self.scratch.display()))?;
        let log = File::create(&self.log).context(format_args!("creating {}", self.log.display()))?;
        let errors = log.try_clone().context("sharing the log")?;
        let mut line = words(wrapper);
        line.push(self.program.clone().into());
        let mut command = Command::new(line.remove(0));
        command.args(line).args(&self.arguments).env("TMPDIR", &self.scratch);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        own_group(&mut command);
        Ok(command)
    }

    /// Waits until the server takes writes. `ended` tells that its process is gone.
    fn wait_ready(&self, mut ended: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        let mut initiated = !self.initiate;
        while Instant::now() < deadline {
            if ended() {
                return Err(format!("{} ended at once: {}", self.name, self.log_tail()));
            }
            match wire::is_primary(self.port) {
                Ok(true) => return Ok(()),
                Ok(false) if !initiated => initiated = wire::initiate(self.port, REPLICA_SET).is_ok(),
                Ok(false) | Err(_) => {}
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{} was not ready within {} s: {}", self.name, READY_LIMIT.as_secs(), self.log_tail()))
    }

    /// The end of what the server printed, in one line.
    fn log_tail(&self) -> String {
        let mut text = String::new();
        let _ = File::open(&self.log).and_then(|mut log| log.read_to_string(&mut text));
        let lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        match lines.is_empty() {
            true => "it printed nothing".into(),
            false => lines.into_iter().rev().collect::<Vec<_>>().join(" / "),
        }
    }
}

/// The best server that this machine has or can install, to listen on `port` or on a free one.
pub(crate) fn find(port: Option<u16>) -> Result<Recipe> {
    if !cfg!(unix) {
        return Err("servers are started on Unix only; set MONGODB_URI to use a running one".into());
    }
    let port = port.map_or_else(free_port, Ok)?;
    let folder = process::target_dir("servers")?;
    if let Some(program) = process::on_path("mongod") {
        return Ok(Recipe::mongod(program, port, &folder));
    }
    let config = folder.join("empty.toml");
    fs::write(&config, "").context(format_args!("writing {}", config.display()))?;
    let program = secantus::install(&folder)
        .context("no MONGODB_URI, no mongod on PATH, and SecantusDB could not be installed")?;
    Ok(Recipe::secantus(program, port, &folder, &config))
}

/// A port of 127.0.0.1 that nobody listens on now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}

/// A direct connection: discovery has nothing to find in a replica set of one.
fn uri(port: u16) -> String {
    format!("mongodb://127.0.0.1:{port}/?directConnection=true")
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Keeps the terminal's Ctrl-C from the server: it ends when its owner says so.
fn own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mongod_is_a_replica_set_of_one_on_loopback() {
        let recipe = Recipe::mongod("/usr/bin/mongod".into(), 4711, Path::new("/t"));
        let line: Vec<_> = recipe.arguments.iter().map(|word| word.to_string_lossy()).collect();
        assert_eq!(line.join(" "), "--bind_ip 127.0.0.1 --replSet forge --port 4711 --dbpath /t/mongod-4711");
        assert_eq!(recipe.uri, "mongodb://127.0.0.1:4711/?directConnection=true");
        assert!(recipe.initiate);
    }

    #[test]
    fn secantus_keeps_its_data_in_memory_and_reads_no_settings_of_the_user() {
        let recipe = Recipe::secantus("/t/s".into(), 4711, Path::new("/t"), Path::new("/t/empty.toml"));
        let line: Vec<_> = recipe.arguments.iter().map(|word| word.to_string_lossy()).collect();
        let line = line.join(" ");
        assert!(line.contains("--storage-path :memory:"), "{line}");
        assert!(line.ends_with("--port 4711 --config /t/empty.toml"), "{line}");
    }

    #[test]
    fn a_given_uri_is_not_shown() {
        assert!(!Database::Given("mongodb://me:secret@host".into()).describe().contains("secret"));
    }
}
