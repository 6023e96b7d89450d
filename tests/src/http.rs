//! HTTP/1.1 by hand: one request a connection, so that malformed ones can be sent as well.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names, lower-case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// The code of an error body.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The body of an error without what differs from request to request.
    pub fn anonymous(&self) -> Value {
        let mut body = self.json();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("requestId");
        }
        body
    }
}

/// A client of one server.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub SocketAddr);

impl Client {
    /// Sends a request.
    ///
    /// # Errors
    /// The connection broke before an answer came.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.0);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(method, "GET" | "HEAD") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(self.0).await?;
        stream.write_all(head.as_bytes()).await?;
        // A server that refuses a body early closes its side; its answer is still there to read.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer).await
            && answer.is_empty()
        {
            return Err(error);
        }
        parse(&answer)
            .ok_or_else(|| std::io::Error::other(format!("no answer: {}", String::from_utf8_lossy(&answer))))
    }

    /// Calls a handler: `kind` is `query` or `mutation`.
    pub async fn call(&self, kind: &str, name: &str, args: &Value) -> Answer {
        self.post(&format!("/api/{kind}/{name}"), args.to_string().as_bytes()).await
    }

    /// Posts JSON, or what should be JSON.
    pub async fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body).await.unwrap()
    }

    /// Gets a page.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await.unwrap()
    }

    /// Calls a mutation with an `Idempotency-Key`.
    pub async fn keyed(&self, name: &str, key: &str, args: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.send("POST", &format!("/api/mutation/{name}"), &headers, args.to_string().as_bytes())
            .await
            .unwrap()
    }

    /// Calls a handler with a token.
    pub async fn signed(&self, kind: &str, name: &str, token: &str, args: &Value) -> Answer {
        let token = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", token.as_str())];
        self.send("POST", &format!("/api/{kind}/{name}"), &headers, args.to_string().as_bytes())
            .await
            .unwrap()
    }

    /// The result of a query that has to succeed.
    pub async fn query(&self, name: &str, args: Value) -> Value {
        self.succeed("query", name, &args).await
    }

    /// The result of a mutation that has to succeed.
    pub async fn mutate(&self, name: &str, args: Value) -> Value {
        self.succeed("mutation", name, &args).await
    }

    async fn succeed(&self, kind: &str, name: &str, args: &Value) -> Value {
        let answer = self.call(kind, name, args).await;
        assert_eq!(answer.status, 200, "{name} {args}: {answer:?}");
        answer.json()
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(&bytes[end + 4..])? } else { bytes[end + 4..].to_vec() };
    Some(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(line + 2..line + 2 + size)?);
        bytes = bytes.get(line + 4 + size..)?;
    }
}
