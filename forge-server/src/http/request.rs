//! What requests bring: arguments, headers, the caller.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use forge_core::{Error, RequestHeaders};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::answer::ApiError;
use crate::{Limits, json};

/// The arguments in the body: a JSON object, or nothing for `{}`.
///
/// # Errors
/// 415 `bad_request` for another content type (which also keeps HTML forms of other sites out), `too_large`, and those
/// of [`json::parse_object`].
pub(crate) async fn arguments(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<Map<String, Value>, ApiError> {
    let body = self::body(headers, body, limits).await?;
    if !body.is_empty() && !is_json(headers) {
        let error =
            Error::bad_request("the body must be JSON: send it with `Content-Type: application/json`");
        return Err(ApiError::with_status(error, StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Ok(json::parse_object(&body, "the body", limits.depth)?)
}

/// The whole body.
///
/// # Errors
/// `timeout`, `too_large`, and `bad_request` where it breaks off.
pub(crate) async fn body(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, Error> {
    match timeout(limits.deadline, read(headers, body, limits.body_bytes)).await {
        Ok(body) => body,
        Err(_) => Err(Error::timeout("the body took too long to arrive")),
    }
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Error> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_large = || Error::too_large(format!("the body is larger than {limit} bytes"));
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    to_bytes(body, limit).await.map_err(|error| {
        let is_limit =
            std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
        if is_limit { too_large() } else { Error::bad_request("the body did not arrive in full") }
    })
}

/// Whether the body is said to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The arguments in `?args=`.
///
/// # Errors
/// `bad_request` for other parameters, and those of [`json::parse_object`].
pub(crate) fn query_arguments(
    query: &[(String, String)],
    limits: &Limits,
) -> Result<Map<String, Value>, Error> {
    match query {
        [] => Ok(Map::new()),
        [(name, args)] if name == "args" => json::parse_object(args.as_bytes(), "args", limits.depth),
        _ => Err(Error::bad_request("a query takes one parameter, args: a JSON object, percent-encoded")),
    }
}

/// The headers as text. Values that are not text are left out.
pub(crate) fn texts(headers: &HeaderMap) -> RequestHeaders {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_types_are_told_from_others() {
        let check = |kind: &'static str| {
            is_json(&[(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect())
        };
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"] {
            assert!(check(kind), "{kind}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonx"] {
            assert!(!check(kind), "{kind}");
        }
    }

    #[test]
    fn a_misspelt_parameter_is_refused() {
        let limits = Limits::default();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(query_arguments(&[pair("arg", "{}")], &limits).is_err());
        assert!(query_arguments(&[pair("args", "{}"), pair("args", "{}")], &limits).is_err());
        assert_eq!(query_arguments(&[pair("args", "{\"a\":1}")], &limits).unwrap()["a"], 1);
    }
}
