//! The opening handshake of a WebSocket (RFC 6455, section 4.2), and the connection that is left after it.
//!
//! On a connection of our own listener the TCP stream itself is taken back from the HTTP server, so that its two
//! directions are independent and a frame is written from where it stands. Where a program serves the router by other
//! means, the upgraded connection is used as it comes.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use forge_core::{Error, Result};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use super::extension;

/// A request for a WebSocket, found right.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    accept: HeaderValue,
    /// The answer to an offer to compress, where one is taken.
    deflate: Option<HeaderValue>,
}

/// The two directions of a connection whose handshake is over.
pub(crate) struct Connection {
    pub(super) read: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) write: Box<dyn AsyncWrite + Send + Unpin>,
    /// What the client sent behind its request.
    pub(super) early: Bytes,
    /// Whether texts may be compressed, in both directions.
    pub(super) deflate: bool,
}

impl Handshake {
    /// With `deflate`, an offer to compress texts is taken.
    ///
    /// # Errors
    /// `bad_request` for a request that is none for a WebSocket.
    pub(crate) fn of(request: &mut Request, deflate: bool) -> Result<Self> {
        let headers = request.headers();
        let asks = request.method() == Method::GET
            && lists(headers, CONNECTION, "upgrade")
            && lists(headers, UPGRADE, "websocket");
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks);
        let Some(accept) = key.map(|key| derive_accept_key(key.as_bytes())) else {
            return Err(Error::bad_request("/ws is a WebSocket; connect to it with a WebSocket client"));
        };
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != b"13") {
            return Err(Error::bad_request("the version of WebSocket must be 13 (RFC 6455)"));
        }
        if request.extensions().get::<OnUpgrade>().is_none() {
            return Err(Error::bad_request("this connection cannot become a WebSocket; use HTTP/1.1"));
        }
        let accept = HeaderValue::try_from(accept).map_err(|error| Error::internal(error.to_string()))?;
        let deflate = extension::agreed(headers).filter(|_| deflate);
        Ok(Self { upgrade: hyper::upgrade::on(request), accept, deflate })
    }

    /// The answer, after which `serve` goes on with the connection in a task of its own.
    pub(crate) fn accept<S, F>(self, serve: S) -> Response
    where
        S: FnOnce(Connection) -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let (upgrade, deflate) = (self.upgrade, self.deflate.is_some());
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => serve(Connection::of(upgraded, deflate)).await,
                Err(error) => tracing::debug!(%error, "a connection broke before it was a WebSocket"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(agreed) = self.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, agreed);
        }
        response
    }
}

impl Connection {
    fn of(upgraded: Upgraded, deflate: bool) -> Self {
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => {
                let (read, write) = parts.io.into_inner().into_split();
                Self { read: Box::new(read), write: Box::new(write), early: parts.read_buf, deflate }
            }
            Err(upgraded) => {
                let (read, write) = tokio::io::split(TokioIo::new(upgraded));
                Self { read: Box::new(read), write: Box::new(write), early: Bytes::new(), deflate }
            }
        }
    }
}

/// Whether a header that is a list has this among its values.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).any(|value| value.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(headers: &[(&'static str, &'static str)]) -> String {
        let mut request = Request::new(Body::empty());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        Handshake::of(&mut request, true).err().unwrap().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_handshake_is_said() {
        let right = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        assert!(refusal(&right).contains("HTTP/1.1"), "a request of no connection");
        for missing in 0..3 {
            let headers: Vec<_> =
                right.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, h)| *h).collect();
            assert!(refusal(&headers).contains("WebSocket client"), "{headers:?}");
        }
        let [connection, upgrade, key, _] = right;
        assert!(refusal(&[connection, upgrade, key]).contains("13"));
        assert!(refusal(&[connection, upgrade, key, ("sec-websocket-version", "8")]).contains("13"));
    }
}
