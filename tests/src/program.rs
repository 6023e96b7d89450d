//! The program `probe`, as a process of its own: [`app`](crate::app) behind `forge::App`.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::http::Client;

/// Variables that a developer may have set and that would change what a program does.
const OWN_VARIABLES: [&str; 12] = [
    "FORGE_DATABASE_URL_ARCHIVE",
    "FORGE_OPERATOR_TOKEN",
    "FORGE_FANOUT_URL",
    "FORGE_FANOUT_PREFIX",
    "FORGE_DATABASE_URL",
    "MONGODB_URI",
    "MONGO_URI",
    "FORGE_PORT",
    "FORGE_HOST",
    "FORGE_ALLOWED_ORIGINS",
    "FORGE_LOG",
    "RUST_LOG",
];

/// The longest that a program may take to start or to fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running probe. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Program {
    /// Starts `executable` on a free port and waits until it listens.
    pub async fn start(executable: &str, database: &str) -> Self {
        Self::with(executable, database, &[]).await
    }

    /// Starts it with more variables.
    pub async fn with(executable: &str, database: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = command(executable, variables);
        command.env("FORGE_DATABASE_URL", database).env("FORGE_PORT", "0");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it should listen").unwrap();
        let line = line.expect("it ended before it listened");
        let address = line.rsplit("http://").next().and_then(|a| a.trim().parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }

    /// A client.
    pub fn http(&self) -> Client {
        Client(self.address)
    }

    /// Ends it in the middle of whatever it does, as `kill -9` does.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// What `executable` says when it is run with `variables` to its end.
pub async fn run(executable: &str, variables: &[(&str, &str)]) -> Output {
    run_command(executable, &[], variables).await
}

/// What `executable` says to these arguments.
pub async fn run_command(executable: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command(executable, variables);
    let output = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    tokio::time::timeout(PATIENCE, output).await.expect("it should end").unwrap()
}

fn command(executable: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(executable);
    for variable in OWN_VARIABLES {
        command.env_remove(variable);
    }
    // Whoever listens on the usual port of this machine is none of a test's business.
    command.env("FORGE_LOG", "error").env("FORGE_PORT", "0").envs(variables.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
