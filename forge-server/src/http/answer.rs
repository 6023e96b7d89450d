//! Answers: results as they are, errors with a request id.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use forge_core::Error;

use crate::calls;
use crate::idempotency::StoredAnswer;

/// The body of an error, until the outermost layer adds the request id.
#[derive(Debug, Clone)]
pub(crate) struct Refused(pub(crate) Arc<str>);

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    error: Error,
    status: Option<StatusCode>,
}

impl ApiError {
    /// An error whose status says more than its code does.
    pub(crate) fn with_status(error: Error, status: StatusCode) -> Self {
        Self { error, status: Some(status) }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self { error, status: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let answer = calls::refusal(&self.error);
        let mut response = refused(&answer);
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        response
    }
}

/// A failed answer.
pub(crate) fn refused(answer: &StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status.into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response.extensions_mut().insert(Refused(answer.body.clone()));
    response
}

/// Writes the body of an error, now that the request id is known.
pub(crate) fn complete(response: &mut Response, request_id: &str) {
    let Some(Refused(body)) = response.extensions_mut().remove::<Refused>() else { return };
    // Request ids are made of characters that need no escapes.
    let open = body.strip_suffix('}').unwrap_or(&body);
    *response.body_mut() = Body::from(format!(r#"{open},"requestId":"{request_id}"}}"#));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    // That of the empty body, which inner routers have written already.
    headers.remove(header::CONTENT_LENGTH);
}

/// `application/json`
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A result, as it is.
pub(crate) fn json(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, JSON)], text.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_was_written_before_the_body_does_not_stay() {
        let mut response = ApiError::from(Error::not_found("x")).into_response();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        complete(&mut response, "r");
        assert_eq!(response.headers().get(header::CONTENT_LENGTH), None);
    }
}
