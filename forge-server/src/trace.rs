//! Spans of what the server does, with the names of OpenTelemetry's conventions, and the traces of callers.
//!
//! They are at the level `debug`: where nobody listens, a request costs a load of a flag more than without.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use forge_core::handler::HandlerKind;
use tracing::Span;
use tracing::field::Empty;

/// What programs do with the span of a request, see [`App::on_request_span`](crate::App::on_request_span).
pub(crate) type SpanHook = Arc<dyn Fn(&Span, &HeaderMap) + Send + Sync>;

/// The span of an HTTP request for `route`, in the trace of its caller. Its answer is recorded with [`answered`].
pub(crate) fn request(request: &Request, route: Option<&str>, parent: Option<TraceParent<'_>>) -> Span {
    if !tracing::enabled!(target: "forge::http", tracing::Level::DEBUG) {
        return Span::none();
    }
    let method = request.method().as_str();
    let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    tracing::debug_span!(
        target: "forge::http",
        "request",
        otel.name = name,
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        url.path = request.uri().path(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        trace_id = parent.map(|parent| parent.trace),
        parent_id = parent.map(|parent| parent.span),
    )
}

/// Records the answer to a request.
pub(crate) fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("error.type", status);
    }
}

/// The span of a call of a handler, by whichever transport. How it ended is recorded with [`called`].
pub(crate) fn call(kind: HandlerKind, handler: &str) -> Span {
    if !tracing::enabled!(target: "forge::call", tracing::Level::DEBUG) {
        return Span::none();
    }
    let kind = kind.as_str();
    tracing::debug_span!(
        target: "forge::call",
        "call",
        otel.name = format!("{kind} {handler}"),
        otel.kind = "internal",
        code.function.name = handler,
        forge.handler.kind = kind,
        "error.type" = Empty,
    )
}

/// Records how a call ended: `ok`, or the code of its error.
pub(crate) fn called(span: &Span, code: &str) {
    if code != "ok" {
        span.record("error.type", code);
    }
}

/// The span of one run of a live query: a trace of its own, since a commit caused it and no request.
pub(crate) fn live_run(query: &str) -> Span {
    if !tracing::enabled!(target: "forge::live", tracing::Level::DEBUG) {
        return Span::none();
    }
    tracing::debug_span!(
        target: "forge::live",
        parent: None,
        "run",
        otel.name = format!("live {query}"),
        otel.kind = "internal",
        code.function.name = query,
        "error.type" = Empty,
    )
}

/// The trace that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent<'a> {
    /// Its id: 32 hexadecimal digits.
    pub(crate) trace: &'a str,
    /// The caller's span: 16 hexadecimal digits.
    pub(crate) span: &'a str,
}

/// What the header `traceparent` says (W3C Trace Context), where it is well-formed.
pub(crate) fn trace_parent(headers: &HeaderMap) -> Option<TraceParent<'_>> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    // Later versions may say more at the end; this one does not.
    let ends = version != "00" || parts.next().is_none();
    let well_formed = is_hex(version, 2) && version != "ff" && is_hex(flags, 2) && ends;
    (well_formed && is_id(trace, 32) && is_id(span, 16)).then_some(TraceParent { trace, span })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_traces_are_taken() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const SPAN: &str = "00f067aa0ba902b7";
        let parse = |text: &str| {
            let headers: HeaderMap =
                [("traceparent".parse().unwrap(), text.parse().unwrap())].into_iter().collect();
            trace_parent(&headers).map(|parent| (parent.trace.to_owned(), parent.span.to_owned()))
        };
        let right = Some((TRACE.to_owned(), SPAN.to_owned()));
        assert_eq!(parse(&format!("00-{TRACE}-{SPAN}-01")), right);
        assert_eq!(parse(&format!("cc-{TRACE}-{SPAN}-01-more")), right);
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
    }
}
