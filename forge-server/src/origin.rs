//! Which web pages may talk to the server.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, header};
use forge_core::{Error, Result};

/// The pages that may call: those of the server itself, and those listed. Programs that are no browsers send no `Origin`
/// and may always call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    listed: Vec<String>,
    /// The server's own, where that is known.
    own: Option<String>,
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// No page, or one of the server's own.
    Same,
    /// A page from this listed origin.
    Listed(String),
}

impl Origins {
    /// The origins in `list`, separated by commas: `https://app.example.com, http://localhost:5173`; and the server's own
    /// at `url`.
    ///
    /// # Errors
    /// `bad_request` naming the variable, and the entry that is no origin.
    pub(crate) fn parse(list: &str, url: Option<&str>) -> Result<Self> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let listed = entries.map(|entry| normal("FORGE_ALLOWED_ORIGINS", entry)).collect::<Result<_>>()?;
        let own = url.map(|url| normal("FORGE_PUBLIC_URL", url.trim().trim_end_matches('/'))).transpose()?;
        Ok(Self { listed, own })
    }

    /// Decides by the `Origin` header.
    ///
    /// Without a public URL, a page is the server's own where its host is that of the `Host` header, and is an address or
    /// `localhost`: a name could be anybody's, who lets it point here (DNS rebinding).
    ///
    /// # Errors
    /// `forbidden` for a page of another origin, also for the opaque origin `null`.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<From> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(From::Same) };
        let origin = origin.to_str().unwrap_or("").to_ascii_lowercase();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let is_own = match &self.own {
            Some(own) => *own == origin,
            None => page_of(&origin).is_some_and(|page| page.eq_ignore_ascii_case(host) && is_safe(page)),
        };
        if is_own {
            return Ok(From::Same);
        }
        if self.listed.contains(&origin) {
            return Ok(From::Listed(origin));
        }
        Err(Error::forbidden(
            "pages of this origin may not call the server: FORGE_PUBLIC_URL says which are its own, and \
             FORGE_ALLOWED_ORIGINS which others may",
        ))
    }
}

/// Host and port of an origin.
fn page_of(origin: &str) -> Option<&str> {
    let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    page.filter(|page| !page.is_empty())
}

/// Whether nobody else can make a name like this point here: addresses and `localhost`.
fn is_safe(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => return rest.split(']').next().is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()),
        None => authority.split(':').next().unwrap_or(""),
    };
    host == "localhost" || host.ends_with(".localhost") || host.parse::<Ipv4Addr>().is_ok()
}

/// An origin in the spelling of browsers: lower case, nothing after the authority.
fn normal(variable: &str, entry: &str) -> Result<String> {
    let lower = entry.to_ascii_lowercase();
    let authority = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://"));
    match authority {
        Some(authority) if !authority.is_empty() && !authority.contains(['/', '?', '#', '*', '@', ' ']) => {
            Ok(lower)
        }
        _ => Err(Error::bad_request(format!(
            "{variable}: {entry:?} is not an origin; write scheme and host, as in https://app.example.com"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(origin: Option<&str>, host: &str) -> Result<From> {
        check_of(
            &Origins::parse("https://app.example.com, http://localhost:5173", None).unwrap(),
            origin,
            host,
        )
    }

    fn check_of(origins: &Origins, origin: Option<&str>, host: &str) -> Result<From> {
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
    fn addresses_and_localhost_are_the_servers_own_and_names_are_not() {
        for host in ["127.0.0.1:4000", "[::1]:4000", "192.168.1.5", "app.localhost:4000"] {
            assert_eq!(check(Some(&format!("http://{host}")), host).unwrap(), From::Same, "{host}");
        }
        // A name of somebody else that was made to point here.
        for host in ["evil.example:4000", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]"] {
            assert!(check(Some(&format!("http://{host}")), host).is_err(), "{host}");
        }
    }

    #[test]
    fn with_a_public_url_only_that_is_the_servers_own() {
        let origins = Origins::parse("", Some("https://App.example.com/")).unwrap();
        assert_eq!(check_of(&origins, Some("https://app.example.com"), "10.0.0.7:4000").unwrap(), From::Same);
        for origin in ["http://app.example.com", "http://10.0.0.7:4000", "https://app.example.com:444"] {
            assert!(check_of(&origins, Some(origin), "10.0.0.7:4000").is_err(), "{origin}");
        }
        assert!(
            Origins::parse("", Some("app.example.com")).unwrap_err().to_string().contains("FORGE_PUBLIC_URL")
        );
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
                Origins::parse(list, None).unwrap_err().to_string().contains("FORGE_ALLOWED_ORIGINS"),
                "{list}"
            );
        }
    }
}
