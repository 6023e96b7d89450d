//! The traces of callers go on in the server, as OpenTelemetry sees them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashMap;

use forge_tests::server::TestServer;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanId, SpanKind, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::json;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

#[tokio::test]
async fn a_request_is_part_of_its_callers_trace_down_to_the_commands() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("forge"));
    let only = tracing_subscriber::filter::Targets::new().with_target("forge", tracing::Level::DEBUG);
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(only).with(layer));

    let server = TestServer::configured(|app| {
        app.on_request_span(|span, headers| {
            let texts: HashMap<String, String> = headers
                .iter()
                .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
                .collect();
            let _ = span.set_parent(TraceContextPropagator::new().extract(&texts));
        })
    })
    .await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("content-type", "application/json"), ("traceparent", parent.as_str())];
    let body = json!({ "board": "b" }).to_string();
    let answer =
        server.http().send("POST", "/api/query/note_count", &headers, body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200);
    let mutation = json!({ "note": { "board": "b", "title": "t" } }).to_string();
    let answer =
        server.http().send("POST", "/api/mutation/add_note", &headers, mutation.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200);

    let spans = exporter.get_finished_spans().unwrap();
    let of_trace: Vec<_> =
        spans.iter().filter(|span| span.span_context.trace_id().to_string() == trace).collect();
    let child = |parent: SpanId, name: &str| {
        let is_it = |span: &&&SpanData| span.parent_span_id == parent && span.name == name;
        of_trace.iter().find(is_it).unwrap_or_else(|| {
            let known: Vec<_> = spans.iter().map(|span| (&span.name, span.parent_span_id)).collect();
            panic!("{name} is not below {parent} in {known:?}")
        })
    };
    let caller = SpanId::from_hex("00f067aa0ba902b7").unwrap();
    let request = child(caller, "POST /api/query/{name}");
    assert_eq!(request.span_kind, SpanKind::Server);
    let has = |key: &str, value: &str| {
        request.attributes.iter().any(|kv| kv.key.as_str() == key && kv.value.to_string() == value)
    };
    assert!(has("http.request.method", "POST") && has("http.response.status_code", "200"), "{request:?}");
    let (route, path) = ("/api/query/{name}", "/api/query/note_count");
    assert!(has("http.route", route) && has("url.path", path), "{request:?}");
    let commands = |request: &SpanData, call: &str, operation: &str| {
        let call = child(request.span_context.span_id(), call);
        let operation = child(call.span_context.span_id(), operation).span_context.span_id();
        let below = of_trace.iter().filter(|span| span.parent_span_id == operation);
        below.filter(|span| span.span_kind == SpanKind::Client).count()
    };
    assert_eq!(commands(request, "query note_count", "count notes"), 1);
    let request = child(caller, "POST /api/mutation/{name}");
    assert_eq!(commands(request, "mutation add_note", "insert notes"), 1);
}
