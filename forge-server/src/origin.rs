//! Which web pages may talk to the server.

use axum::http::{HeaderMap, header};
use forge_core::{Error, Result};

/// The pages that may call: those of the server itself, and those listed. Programs that are no browsers send no `Origin`
/// and may always call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(Vec<String>);

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// No page, or one of the server's own.
    Same,
    /// A page from this listed origin.
    Listed(String),
}

impl Origins {
    /// The origins in `list`, separated by commas: `https://app.example.com, http://localhost:5173`.
    ///
    /// # Errors
    /// `bad_request` naming the entry that is no origin.
    pub(crate) fn parse(list: &str) -> Result<Self> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(normal).collect::<Result<_>>().map(Self)
    }

    /// Decides by the `Origin` and `Host` headers.
    ///
    /// # Errors
    /// `forbidden` for a page of another origin, also for the opaque origin `null`.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<From> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(From::Same) };
        let origin = origin.to_str().unwrap_or("").to_ascii_lowercase();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if page.is_some_and(|page| !page.is_empty() && page.eq_ignore_ascii_case(host)) {
            return Ok(From::Same);
        }
        if self.0.contains(&origin) {
            return Ok(From::Listed(origin));
        }
        Err(Error::forbidden(
            "pages of this origin may not call the server; FORGE_ALLOWED_ORIGINS lists those that may",
        ))
    }
}

/// An origin in the spelling of browsers: lower case, nothing after the authority.
fn normal(entry: &str) -> Result<String> {
    let lower = entry.to_ascii_lowercase();
    let authority = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://"));
    match authority {
        Some(authority) if !authority.is_empty() && !authority.contains(['/', '?', '#', '*', '@', ' ']) => {
            Ok(lower)
        }
        _ => Err(Error::bad_request(format!(
            "FORGE_ALLOWED_ORIGINS: {entry:?} is not an origin; write scheme and host, as in https://app.example.com"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(origin: Option<&str>, host: &str) -> Result<From> {
        let origins = Origins::parse("https://app.example.com, http://localhost:5173").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        origins.check(&headers)
    }

    #[test]
    fn own_and_listed_pages_and_programs_may_call() {
        assert_eq!(check(None, "h").unwrap(), From::Same);
        assert_eq!(check(Some("http://localhost:4000"), "localhost:4000").unwrap(), From::Same);
        let listed = check(Some("https://APP.example.com"), "api.example.com").unwrap();
        assert_eq!(listed, From::Listed("https://app.example.com".into()));
    }

    #[test]
    fn other_pages_may_not() {
        for origin in [
            "null",
            "",
            "https://evil.example",
            "https://app.example.com.evil.example",
            "https://app.example.com:444",
            "http://app.example.com",
            "file://",
            "http://localhost:40000",
        ] {
            let error = check(Some(origin), "localhost:4000").unwrap_err();
            assert_eq!(error.code(), forge_core::ErrorCode::Forbidden, "{origin}");
        }
    }

    #[test]
    fn a_wrong_list_is_refused() {
        for list in ["*", "app.example.com", "https://app.example.com/", "https://*.example.com", "http://"] {
            assert!(
                Origins::parse(list).unwrap_err().to_string().contains("FORGE_ALLOWED_ORIGINS"),
                "{list}"
            );
        }
    }
}
