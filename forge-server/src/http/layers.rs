//! What surrounds every request: its id, its log line, panics, and which pages may call.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use forge_core::{Error, Id};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tracing::Instrument as _;

use super::Routes;
use super::answer::{ApiError, complete};
use crate::origin::From;
use crate::trace;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 128;

/// As [`surrounded`], around what the router finds.
pub(crate) async fn outermost(State(server): State<Routes>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    surrounded(&server, route, request, |request| next.run(request).boxed()).await
}

/// Gives the request an id, logs it in one line, turns a panic of the future of `answer` into a 500, and keeps browsers
/// from guessing types.
pub(super) fn surrounded(
    server: &Routes,
    route: Option<&str>,
    mut request: Request,
    answer: impl FnOnce(Request) -> BoxFuture<'static, Response>,
) -> BoxFuture<'static, Response> {
    let fresh = || Id::<Request>::from_object_id(server.calls.runtime.db().env().object_id()).to_hex();
    let id = request_id(request.headers()).unwrap_or_else(fresh);
    // An id of this alphabet is always a header value.
    let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static(""));
    request.headers_mut().insert(REQUEST_ID, header.clone());
    let parent = trace::trace_parent(request.headers());
    let span = trace::request(&request, route, parent);
    server.operators.begin(&span, request.headers());
    let trace_id = parent.map(|parent| parent.trace.to_owned());
    let (method, uri, started) = (request.method().clone(), request.uri().clone(), Instant::now());
    let server = server.clone();
    // The request is handed on before the future begins: it would be carried about in it.
    let answered = AssertUnwindSafe(answer(request)).catch_unwind().instrument(span.clone());
    let surrounded = async move {
        let answered = answered.await;
        let path = uri.path();
        let mut response = answered.unwrap_or_else(|_| {
            ApiError::from(Error::internal(format!("{method} {path} panicked"))).into_response()
        });
        complete(&mut response, &id);
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, header);
        headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
        server.calls.metrics.answered(response.status().as_u16());
        trace::answered(&span, response.status().as_u16());
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_millis() as u64);
        if matches!(path, "/healthz" | "/readyz") && status < 400 {
            tracing::debug!(%method, path, status, ms, request_id = id, "request");
        } else {
            tracing::info!(%method, path, status, ms, request_id = id, trace_id, "request");
        }
        response
    };
    surrounded.boxed()
}

/// The id that the client chose, where it is short and plain.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    (plain && (1..=MAX_REQUEST_ID).contains(&id.len())).then(|| id.to_owned())
}

/// Refuses pages of other origins, and tells browsers about the listed ones.
pub(crate) async fn origins(State(server): State<Routes>, request: Request, next: Next) -> Response {
    guarded(&server, request, |request| next.run(request).boxed()).await
}

/// Answers requests whose path names a service.
pub(crate) async fn services(State(server): State<Routes>, request: Request, next: Next) -> Response {
    let Some(target) = server.services.target(request.uri().path()) else {
        return next.run(request).await;
    };
    let answer = |request| server.services.answer(&server.calls, target, request);
    guarded(&server, request, answer).await
}

/// Lets `answer` see requests of this and of the listed origins alone.
pub(super) fn guarded<'a>(
    server: &Routes,
    request: Request,
    answer: impl FnOnce(Request) -> BoxFuture<'a, Response> + Send + 'a,
) -> BoxFuture<'a, Response> {
    match server.origins.check(request.headers()) {
        // Nothing is put around it: most requests are of this kind, and each future around another carries the request.
        Ok(From::Same) => answer(request),
        Ok(From::Listed(origin)) => listed(origin, request, answer).boxed(),
        Err(error) => ready(ApiError::from(error).into_response()).boxed(),
    }
}

/// Answers a request of a page of another origin that is listed, and tells its browser so.
async fn listed<'a>(
    origin: String,
    request: Request,
    answer: impl FnOnce(Request) -> BoxFuture<'a, Response>,
) -> Response {
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    // Those that handlers and resolvers look at are the program's own: the origin is listed, so that it may send any.
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { answer(request).await };
    let headers = response.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(&origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if preflight {
        let fixed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(asked) = asked {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
            headers.append(header::VARY, HeaderValue::from_static("access-control-request-headers"));
        }
    } else {
        let exposed = HeaderValue::from_static("etag, x-request-id, x-forge-version");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_request_ids_are_echoed() {
        let id = |value: &str| {
            request_id(&[(REQUEST_ID, HeaderValue::from_str(value).unwrap())].into_iter().collect())
        };
        assert_eq!(id("a-B_1.2").as_deref(), Some("a-B_1.2"));
        for value in ["", "a b", "\"", "{}", "<x>", &"x".repeat(129)] {
            assert_eq!(id(value), None, "{value}");
        }
    }
}
