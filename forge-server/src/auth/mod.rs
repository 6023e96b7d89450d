//! Who calls: from a token and headers to an identity.

pub(crate) mod identity;
#[cfg(feature = "jwt")]
mod jwt;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use forge_core::{Auth, Db, Error, RequestHeaders, Result};
use futures_util::FutureExt as _;
use tokio::time::timeout;

#[cfg(feature = "jwt")]
pub use jwt::Jwt;

/// What a caller sent to say who they are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Credentials {
    /// The token of `Authorization: Bearer …`, or of the WebSocket's `auth` frame.
    pub token: Option<String>,
    /// The headers of the request, or of the one that opened the WebSocket: for sessions in cookies.
    pub headers: RequestHeaders,
    /// The database, for sessions that are kept there.
    pub db: Db,
}

/// Finds out who calls. Set by [`App::auth`](crate::App::auth); every async closure over [`Credentials`] is one.
///
/// ```ignore
/// forge::App::new().auth(async |credentials: Credentials| {
///     let Some(token) = credentials.token else { return Ok(None) };
///     let session = credentials.db.get::<Session>(token).await?;
///     Ok(session.map(|session| Auth::new(session.user).expires_at(session.until)))
/// })
/// ```
#[async_trait]
pub trait AuthResolver: Send + Sync + 'static {
    /// The identity behind `credentials`; none for callers who are not known. A token that leads to none is refused.
    ///
    /// # Errors
    /// `unauthorized` for credentials that do not hold (any more); other errors where nobody can tell now.
    async fn resolve(&self, credentials: Credentials) -> Result<Option<Auth>>;
}

#[async_trait]
impl<F, R> AuthResolver for F
where
    F: Fn(Credentials) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<Auth>>> + Send,
{
    async fn resolve(&self, credentials: Credentials) -> Result<Option<Auth>> {
        self(credentials).await
    }
}

/// The resolver of the program, if it has one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Authenticator(Option<Arc<dyn AuthResolver>>);

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authenticator").field(&self.0.is_some()).finish()
    }
}

impl Authenticator {
    pub(crate) fn new(resolver: Option<Arc<dyn AuthResolver>>) -> Self {
        Self(resolver)
    }

    /// Whether callers can be known at all.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The identity behind a token and headers; none for callers without either.
    ///
    /// # Errors
    /// `unauthorized` for a token that is not known, has expired, or that nobody here can read; `timeout`; what the
    /// resolver answers.
    pub(crate) async fn identify(
        &self,
        token: Option<String>,
        headers: &RequestHeaders,
        db: &Db,
        deadline: Duration,
    ) -> Result<Option<Arc<Auth>>> {
        let has_token = token.is_some();
        let Some(resolver) = &self.0 else {
            return if has_token { Err(no_resolver()) } else { Ok(None) };
        };
        let credentials = Credentials { token, headers: headers.clone(), db: db.clone() };
        let resolved = AssertUnwindSafe(resolver.resolve(credentials)).catch_unwind();
        match timeout(deadline, resolved).await {
            Ok(Ok(Ok(Some(auth)))) if auth.is_valid(db.env().now()) => Ok(Some(Arc::new(auth))),
            Ok(Ok(Ok(Some(_)))) => Err(expired()),
            Ok(Ok(Ok(None))) if has_token => Err(Error::unauthorized("the token is not known")),
            Ok(Ok(Ok(None))) => Ok(None),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(Error::internal("the resolver of tokens panicked")),
            Err(_) => Err(Error::timeout("finding out who calls took too long")),
        }
    }
}

fn no_resolver() -> Error {
    Error::unauthorized(
        "this server cannot tell who a token belongs to: App::auth or FORGE_JWT_… set that up; call it without a token",
    )
}

/// The error of an identity that ended.
pub(crate) fn expired() -> Error {
    Error::unauthorized("the token has expired; send a new one")
}

/// The token of an `Authorization: Bearer …`; none without such a header, and for other schemes.
///
/// # Errors
/// `unauthorized` for a header with that scheme and without one token.
pub(crate) fn bearer(headers: &RequestHeaders) -> Result<Option<String>> {
    let Some(header) = headers.get("authorization") else { return Ok(None) };
    let (scheme, token) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match token.trim() {
        token if token.is_empty() || token.contains([' ', ',']) => {
            Err(Error::unauthorized("the Authorization header has no token; write `Bearer` and the token"))
        }
        token => Ok(Some(token.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_headers_carry_tokens() {
        let token = |value: &str| bearer(&[("authorization", value)].into_iter().collect());
        assert_eq!(bearer(&RequestHeaders::default()).unwrap(), None);
        assert_eq!(token("Bearer abc.def").unwrap().as_deref(), Some("abc.def"));
        assert_eq!(token("bearer  abc ").unwrap().as_deref(), Some("abc"));
        assert_eq!(token("Basic dTpw").unwrap(), None);
        for wrong in ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b"] {
            assert_eq!(token(wrong).unwrap_err().code(), forge_core::ErrorCode::Unauthorized, "{wrong}");
        }
    }
}
