//! What hooks say of the answer over HTTP.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use forge_core::{Error, Result};

/// Headers that say how the body travels: those are the server's.
const OWN: [HeaderName; 4] =
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::CONTENT_ENCODING];

/// What hooks say of the answer over HTTP. Sockets have no use for it.
///
/// ```
/// use forge_server::services::{Hooks, Method};
///
/// let hooks = Hooks::new().after([Method::Create], |mut call| async move {
///     call.http.status = Some(202);
///     call.http.headers.insert("x-queue".to_owned(), "slow".to_owned());
///     Ok(call)
/// });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http {
    /// The status, in place of the usual one.
    pub status: Option<u16>,
    /// Where the client is to go: the header `Location`. Without a status the answer is 303.
    pub location: Option<String>,
    /// Headers of the answer, by their names; one that the answer has by itself is replaced. How the body travels
    /// (`Content-Length`, `Transfer-Encoding`, …) is the server's to say: these are passed over.
    pub headers: BTreeMap<String, String>,
}

impl Http {
    /// The status of an answer whose usual one is `usual`.
    ///
    /// # Errors
    /// `internal` for one that is none.
    pub(super) fn status_or(&self, usual: StatusCode) -> Result<StatusCode> {
        match (self.status, &self.location) {
            (Some(status), _) => StatusCode::from_u16(status)
                .map_err(|_| Error::internal(format!("a hook set the status {status}, which is none"))),
            (None, Some(_)) => Ok(StatusCode::SEE_OTHER),
            (None, None) => Ok(usual),
        }
    }

    /// Adds the headers to an answer.
    ///
    /// # Errors
    /// `internal` for names and values that no header has.
    pub(super) fn write(&self, answer: &mut Response) -> Result<()> {
        let location = self.location.iter().map(|place| (header::LOCATION.as_str(), place));
        for (name, value) in self.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(location) {
            let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            let (name, value) = header.ok_or_else(|| {
                Error::internal(format!("a hook set the header {name:?}, whose name or value is none"))
            })?;
            if !OWN.contains(&name) {
                answer.headers_mut().insert(name, value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn a_place_to_go_is_303_unless_a_status_is_said() {
        let mut http = Http { location: Some("/a".to_owned()), ..Http::default() };
        assert_eq!(http.status_or(StatusCode::OK).unwrap(), StatusCode::SEE_OTHER);
        http.status = Some(201);
        assert_eq!(http.status_or(StatusCode::OK).unwrap(), StatusCode::CREATED);
        http.status = Some(7);
        assert_eq!(http.status_or(StatusCode::OK).unwrap_err().code(), forge_core::ErrorCode::Internal);
    }

    #[test]
    fn headers_that_are_none_fail_and_those_of_the_server_stay() {
        let mut answer = "text".into_response();
        let headers = |name: &str, value: &str| Http {
            headers: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..Http::default()
        };
        headers("Content-Type", "text/csv").write(&mut answer).unwrap();
        headers("content-length", "900").write(&mut answer).unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/csv");
        assert_eq!(answer.headers().get(header::CONTENT_LENGTH), None);
        for (name, value) in [("a b", "x"), ("x-a", "a\nb")] {
            assert!(headers(name, value).write(&mut answer).is_err(), "{name}");
        }
    }
}
