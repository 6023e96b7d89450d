//! What those who run the server see and clients do not.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use forge_core::{Error, Result};
use sha2::{Digest as _, Sha256};
use tracing::Span;

use crate::trace::SpanHook;

/// The variable that holds it.
pub(crate) const VARIABLE: &str = "FORGE_OPERATOR_TOKEN";
/// The shortest token, in bytes.
const SHORTEST: usize = 16;

/// What a server has for its operators.
#[derive(Clone, Default)]
pub(crate) struct Operators {
    /// Without one, operators have no door.
    pub(crate) token: Option<OperatorToken>,
    /// Called with the span of each request.
    pub(crate) span_hook: Option<SpanHook>,
}

impl Operators {
    /// Whether the request is an operator's.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        self.token.as_ref().is_some_and(|token| token.admits(headers))
    }

    /// Hands the span of a request to the program, where somebody listens to it.
    pub(crate) fn begin(&self, span: &Span, headers: &HeaderMap) {
        if let Some(hook) = &self.span_hook
            && !span.is_none()
        {
            hook(span, headers);
        }
    }
}

/// What an operator shows as `Authorization: Bearer …`. It is never printed.
#[derive(Clone)]
pub(crate) struct OperatorToken(Arc<str>);

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken")
    }
}

impl OperatorToken {
    /// # Errors
    /// `bad_request` naming the variable, where the token is too short to be secret.
    pub(crate) fn new(token: &str) -> Result<Self> {
        let token = token.trim();
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::bad_request(format!(
                "{VARIABLE} must be at least {SHORTEST} letters, digits and signs, as `openssl rand -hex 16` makes them"
            )));
        }
        Ok(Self(token.into()))
    }

    /// The value of the header that shows it.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether the request shows it.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        // How long it takes to compare digests tells nothing of the token.
        Sha256::digest(shown) == Sha256::digest(self.header().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = OperatorToken::new(" 0123456789abcdef ").unwrap();
        let admits = |value: &str| {
            token.admits(&[(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect())
        };
        assert!(admits("Bearer 0123456789abcdef"));
        assert!(!admits("Bearer 0123456789abcde") && !admits("0123456789abcdef") && !admits(""));
        assert!(!token.admits(&HeaderMap::new()));
        assert!(!format!("{token:?}").contains("0123"));
        assert!(OperatorToken::new("short").unwrap_err().message().contains(VARIABLE));
    }
}
