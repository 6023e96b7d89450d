//! A MongoDB-compatible server of a test's own, to be killed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::engine::{random, skip, temporary_folder};

/// The longest that a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a folder and a port of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Secantus {
    program: PathBuf,
    folder: tempfile::TempDir,
    /// Where it listens.
    pub port: u16,
    child: Option<Child>,
}

impl Secantus {
    /// Starts one; none, and a line in the report, where it is not installed: `cargo xtask servers` does that.
    pub async fn start() -> Option<Self> {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/servers/secantus/bin/secantusd-py");
        if !program.exists() {
            skip("SecantusDB is not installed: cargo xtask servers");
            return None;
        }
        let mut server = Self { program, folder: temporary_folder(), port: free_port(), child: None };
        std::fs::write(server.folder.path().join("empty.toml"), "").unwrap();
        server.restart().await;
        Some(server)
    }

    /// Its URL.
    pub fn url(&self, database: &str) -> String {
        format!(
            "mongodb://127.0.0.1:{}/{database}?directConnection=true&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000",
            self.port
        )
    }

    /// Ends it in the middle of whatever it does.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Starts it again, with the data that it has written.
    pub async fn restart(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--log-level", "ERROR"]);
        command.arg("--sync-on-commit").arg("--storage-path").arg(self.folder.path().join("data"));
        command.arg("--config").arg(self.folder.path().join("empty.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.child = Some(command.spawn().unwrap());
        listens(self.port).await;
    }
}

/// A port that nobody listens on, and that no connection is given while its server is down: those are 32768 and above on
/// Linux, where a client that looks for the server could even meet itself.
pub fn free_port() -> u16 {
    let any = std::iter::repeat_with(|| 20_000 + u16::try_from(random() % 12_000).unwrap());
    any.take(1_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port should be free")
}

/// Waits until somebody listens on the port.
///
/// # Panics
/// Where nobody does.
pub async fn listens(port: u16) {
    let listening = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("the server should listen");
}
