//! A Redis of a test's own, to be killed.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::engine::skip;
use crate::secantus::{free_port, listens};

/// A Redis that keeps nothing on disk. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    child: Child,
}

impl Redis {
    /// Starts one; none, and a line in the report, where it is not installed.
    ///
    /// # Panics
    /// In CI, which installs it.
    pub async fn start() -> Option<Self> {
        let port = free_port();
        match Self::spawn(port) {
            Ok(child) => {
                listens(port).await;
                Some(Self { port, child })
            }
            Err(_) => {
                assert!(std::env::var_os("CI").is_none(), "in CI this must run: install redis-server");
                skip("redis-server is not installed");
                None
            }
        }
    }

    fn spawn(port: u16) -> std::io::Result<Child> {
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command, its words separated by spaces; answers with the first line that comes back.
    pub async fn command(&self, words: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("{words}\r\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line
    }

    /// Ends it, with all that it knew.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again, empty.
    pub async fn restart(&mut self) {
        self.child = Self::spawn(self.port).unwrap();
        listens(self.port).await;
    }
}
