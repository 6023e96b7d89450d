//! A key set that the issuer publishes.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT, CACHE_CONTROL};
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use forge_core::{Error, Result};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use tokio::time::timeout;

/// The longest that an issuer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest key set, in bytes.
const LARGEST: usize = 1024 * 1024;
/// For how long keys are fresh where the issuer does not say, and the limits of what it may say.
const FRESH: Duration = Duration::from_secs(60 * 60);
const FRESH_MIN: Duration = Duration::from_secs(5 * 60);
const FRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a key set is published.
pub(super) struct Remote {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What an issuer answered.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The key set.
    pub(super) text: String,
    /// For how long it need not be fetched again.
    pub(super) fresh_for: Duration,
}

impl Remote {
    /// # Errors
    /// `bad_request` for an address that is not `https`, or `http` on this machine.
    pub(super) fn new(url: &str) -> Result<Self> {
        let refuse = |why: &str| Error::bad_request(format!("the address of a key set {why}"));
        let url: Uri = url.parse().map_err(|error| refuse(&format!("is no URL: {error}")))?;
        let local = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match (url.scheme_str(), url.host()) {
            (Some("https"), Some(_)) => {}
            (Some("http"), Some(_)) if local => {}
            (Some("http"), Some(_)) => {
                return Err(refuse("must be https: whoever is on the way could replace the keys"));
            }
            _ => return Err(refuse("must be https://…")),
        }
        Ok(Self { url, client: client()? })
    }

    /// # Errors
    /// `unavailable` where the issuer does not answer with 200 and a text in time.
    pub(super) async fn fetch(&self) -> Result<Fetched> {
        let failed = |why: String| Error::unavailable(format!("{}: {why}", self.url));
        match timeout(PATIENCE, self.ask()).await {
            Ok(fetched) => fetched.map_err(failed),
            Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn ask(&self) -> Result<Fetched, String> {
        let request = Request::get(self.url.clone()).header(ACCEPT, "application/json").body(Body::empty());
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await.map_err(|error| causes(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answered {}", answer.status()));
        }
        let fresh_for = fresh_for(answer.headers());
        let body = to_bytes(Body::new(answer.into_body()), LARGEST).await.map_err(|error| causes(&error))?;
        let text = String::from_utf8(body.into()).map_err(|_| "answered with what is no text".to_owned())?;
        Ok(Fetched { text, fresh_for })
    }
}

/// A client that trusts whom the machine trusts, or, where the machine has no list of its own, whom browsers trust.
fn client() -> Result<Client<HttpsConnector<HttpConnector>, Body>> {
    let builder = match HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider())
    {
        Ok(builder) => builder,
        Err(_) => HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(ring::default_provider())
            .map_err(|error| Error::internal(error.to_string()))?,
    };
    Ok(Client::builder(TokioExecutor::new()).build(builder.https_or_http().enable_http1().build()))
}

/// What `Cache-Control` says (RFC 9111, 5.2.2.1), within limits.
fn fresh_for(headers: &HeaderMap) -> Duration {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    let mut ages = values.flat_map(|list| list.split(',')).filter_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let seconds = name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"'))?;
        seconds.parse().ok().map(Duration::from_secs)
    });
    ages.next().map_or(FRESH, |age| age.clamp(FRESH_MIN, FRESH_MAX))
}

/// An error with what is behind it: alone, that of the client says no more than that it failed.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_addresses_that_nobody_can_change_on_the_way_are_taken() {
        for right in ["https://issuer.example/keys", "http://127.0.0.1:8080/keys", "http://localhost/keys"] {
            assert!(Remote::new(right).is_ok(), "{right}");
        }
        for wrong in ["http://issuer.example/keys", "ftp://issuer.example", "/keys", "https://", "", "a b"] {
            assert!(Remote::new(wrong).unwrap_err().to_string().contains("key set"), "{wrong}");
        }
    }

    #[test]
    fn the_issuer_says_for_how_long_keys_are_fresh_within_limits() {
        let of = |value: &'static str| {
            fresh_for(&[(CACHE_CONTROL, HeaderValue::from_static(value))].into_iter().collect()).as_secs()
        };
        assert_eq!(of("public, Max-Age=7200"), 7_200);
        assert_eq!((of("max-age=1"), of("max-age=999999999")), (300, 86_400));
        assert_eq!((of("no-store"), of("max-age=x")), (3_600, 3_600));
    }
}
