//! A Redis of a test's own, to be killed.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::engine::{skip, temporary_folder};
use crate::secantus::{free_port, listens};

/// A Redis that keeps nothing on disk. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    child: Child,
    /// What it identifies itself with, where it speaks TLS.
    certificate: Option<TempDir>,
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
                Some(Self { port, child, certificate: None })
            }
            Err(_) => {
                assert!(std::env::var_os("CI").is_none(), "in CI this must run: install redis-server");
                skip("redis-server is not installed");
                None
            }
        }
    }

    /// Starts one that speaks TLS and nothing else; none, and a line in the report, where `openssl` is not installed either.
    ///
    /// # Panics
    /// In CI, which installs both.
    pub async fn encrypted() -> Option<Self> {
        let plain = Self::start().await?;
        let folder = temporary_folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (key, certificate) = (path("key.pem"), path("certificate.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]);
        openssl.args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
        openssl.args(["-keyout", &key, "-out", &certificate]).stdout(Stdio::null()).stderr(Stdio::null());
        if !openssl.status().await.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "in CI this must run: install openssl");
            skip("openssl is not installed");
            return None;
        }
        drop(plain);
        let port = free_port();
        let mut command = Self::server(0);
        command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no", "--tls-key-file", &key]);
        let child =
            command.args(["--tls-cert-file", &certificate, "--tls-ca-cert-file", &certificate]).spawn();
        listens(port).await;
        Some(Self { port, child: child.unwrap(), certificate: Some(folder) })
    }

    /// The file with the certificate of an encrypted one.
    pub fn certificate(&self) -> Option<String> {
        Some(self.certificate.as_ref()?.path().join("certificate.pem").display().to_string())
    }

    fn spawn(port: u16) -> std::io::Result<Child> {
        Self::server(port).spawn()
    }

    fn server(port: u16) -> Command {
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
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Its URL.
    pub fn url(&self) -> String {
        match self.certificate {
            Some(_) => format!("rediss://localhost:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
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
