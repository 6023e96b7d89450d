//! The routes, called without a network.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use forge_core::Error;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::testing::{FakeAdapter, names, server, server_with};
use crate::{Limits, Server};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Checks an error body, and gives its message.
    fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let body = self.json();
        assert_eq!(body["code"], code, "{}", self.text);
        assert_eq!(body["requestId"].as_str(), self.headers["x-request-id"].to_str().ok());
        body["message"].as_str().unwrap().to_owned()
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, headers, text: String::from_utf8(body.into()).unwrap() }
}

fn request(method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path).header("host", "localhost:4000");
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        builder = builder.header("content-type", "application/json");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::from(body.to_owned())).unwrap()
}

async fn post(router: &Router, path: &str, body: &str) -> Answer {
    send(router, request("POST", path, body, &[])).await
}

async fn get(router: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(router, request("GET", path, "", headers)).await
}

fn start(limits: Limits) -> (Server, Router, Arc<FakeAdapter>) {
    let adapter = Arc::new(FakeAdapter::default());
    let server = server(adapter.clone(), limits);
    let router = server.router();
    (server, router, adapter)
}

#[tokio::test]
async fn handlers_answer_with_their_result_as_it_is() {
    let (_server, router, _) = start(Limits::default());
    let added = post(&router, "/api/mutation/add", r#"{"id":1,"by":5}"#).await;
    assert_eq!((added.status, added.text.as_str()), (StatusCode::OK, "5"));
    assert_eq!(added.headers["x-forge-version"], "1");
    assert_eq!(post(&router, "/api/query/counter", r#"{"id":1}"#).await.text, "5");
    assert_eq!(post(&router, "/api/query/language", "").await.text, "null");
}

#[tokio::test]
async fn bodies_that_are_no_arguments_are_refused() {
    let (_server, router, _) = start(Limits { body_bytes: 1_000, ..Limits::default() });
    let path = "/api/query/counter";
    for body in ["null", "[]", "7", "\"x\"", "{", "{\"id\":1}}"] {
        post(&router, path, body).await.refused(400, "bad_request");
    }
    let message = post(&router, path, "{\n  \"id\": x}").await.refused(400, "bad_request");
    assert!(message.contains("line 2 column"), "{message}");
    let message = post(&router, path, r#"{"id":1,"idd":2}"#).await.refused(400, "bad_request");
    assert!(message.contains("idd"), "{message}");
    post(&router, path, r#"{"id":{"$gt":0}}"#).await.refused(400, "bad_request");
    post(&router, path, "").await.refused(400, "bad_request");
    post(&router, path, &format!("{{\"id\":{}1{}}}", "[".repeat(90), "]".repeat(90)))
        .await
        .refused(413, "too_large");
    post(&router, path, &" ".repeat(1_001)).await.refused(413, "too_large");
    let form = request("POST", path, "id=1", &[("content-type", "application/x-www-form-urlencoded")]);
    send(&router, form).await.refused(415, "bad_request");
    let streamed =
        Body::from_stream(futures_util::stream::iter((0..20).map(|_| Ok::<_, String>(" ".repeat(100)))));
    let chunked = Request::post(path).header("content-type", "application/json").body(streamed).unwrap();
    send(&router, chunked).await.refused(413, "too_large");
}

#[tokio::test]
async fn internal_missing_and_wrong_kinds_of_handlers_look_the_same() {
    let (_server, router, _) = start(Limits::default());
    let shape = |message: String, name: &str| message.replace(name, "NAME");
    let missing = shape(post(&router, "/api/query/nothing", "{}").await.refused(404, "not_found"), "nothing");
    for name in ["hidden", "add"] {
        let message = post(&router, &format!("/api/query/{name}"), "{}").await.refused(404, "not_found");
        assert_eq!(shape(message, name), missing);
    }
    assert!(!get(&router, "/api/manifest", &[]).await.text.contains("hidden"));
    assert!(!get(&router, "/", &[]).await.text.contains("hidden"));
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let (_server, router, _) = start(Limits::default());
    get(&router, "/api/nothing", &[]).await.refused(404, "not_found");
    get(&router, "/nothing", &[]).await.refused(404, "not_found");
    get(&router, "/api/mutation/add", &[]).await.refused(405, "bad_request");
    get(&router, "/api/query/%ff", &[]).await.refused(404, "not_found");
    get(&router, "/ws", &[]).await.refused(400, "bad_request");
}

#[tokio::test]
async fn a_panic_and_a_defect_stay_in_the_log() {
    let (_server, router, _) = start(Limits::default());
    let answer = post(&router, "/api/query/panics", "").await;
    answer.refused(500, "internal");
    assert!(!answer.text.contains("secret"));
    assert_eq!(post(&router, "/api/query/language", "").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_cut_off() {
    let (_server, router, _) = start(Limits::default());
    post(&router, "/api/query/slow", "").await.refused(504, "timeout");
}

#[tokio::test]
async fn a_query_that_did_not_change_is_304() {
    let (_server, router, _) = start(Limits::default());
    let path = "/api/query/counter?args=%7B%22id%22%3A1%7D";
    let first = get(&router, path, &[]).await;
    assert_eq!(first.text, "0");
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let second = get(&router, path, &[("if-none-match", &format!("\"other\", W/{tag}"))]).await;
    assert_eq!((second.status, second.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    post(&router, "/api/mutation/add", r#"{"id":1,"by":1}"#).await;
    assert_eq!(get(&router, path, &[("if-none-match", &tag)]).await.text, "1");
    get(&router, "/api/query/counter?arg=%7B%7D", &[]).await.refused(400, "bad_request");
    let spoken = get(&router, "/api/query/language", &[("accept-language", "de")]).await;
    assert_eq!(
        (spoken.text.as_str(), spoken.headers["vary"].to_str().unwrap()),
        ("\"de\"", "accept-language")
    );
}

#[tokio::test]
async fn a_key_makes_a_mutation_happen_once() {
    let (_server, router, _) = start(Limits::default());
    let keyed = |body: &str, who: &str| {
        request("POST", "/api/mutation/add", body, &[("idempotency-key", "k-1"), ("authorization", who)])
    };
    let (first, second) = tokio::join!(
        send(&router, keyed(r#"{"id":1,"by":2}"#, "a")),
        send(&router, keyed(r#"{ "by":2, "id":1 }"#, "a")),
    );
    assert_eq!((first.text.as_str(), second.text.as_str()), ("2", "2"));
    assert_eq!(first.headers["x-forge-version"], second.headers["x-forge-version"]);
    assert_eq!(post(&router, "/api/query/counter", r#"{"id":1}"#).await.text, "2");
    send(&router, keyed(r#"{"id":1,"by":3}"#, "a")).await.refused(409, "conflict");
    assert_eq!(
        send(&router, keyed(r#"{"id":1,"by":3}"#, "b")).await.text,
        "3",
        "another caller has other keys"
    );
    let wrong = request("POST", "/api/mutation/add", r#"{"id":1,"by":1}"#, &[("idempotency-key", "a b")]);
    send(&router, wrong).await.refused(400, "bad_request");
}

#[tokio::test]
async fn pages_of_other_origins_may_not_call() {
    let (_server, router, _) = start(Limits::default());
    let call = |origin: &str| request("POST", "/api/query/counter", r#"{"id":1}"#, &[("origin", origin)]);
    send(&router, call("https://evil.example")).await.refused(403, "forbidden");
    assert_eq!(send(&router, call("http://localhost:4000")).await.status, StatusCode::OK);
    let listed = send(&router, call("https://app.example")).await;
    assert_eq!(listed.headers["access-control-allow-origin"], "https://app.example");
    let asks = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "idempotency-key,x-tenant"),
    ];
    let preflight = send(&router, request("OPTIONS", "/api/mutation/add", "", &asks)).await;
    assert_eq!(preflight.status, StatusCode::NO_CONTENT);
    assert_eq!(
        preflight.headers["access-control-allow-headers"], "idempotency-key,x-tenant",
        "whatever the program looks at"
    );
    let evil = [("origin", "null"), ("access-control-request-method", "POST")];
    send(&router, request("OPTIONS", "/api/mutation/add", "", &evil)).await.refused(403, "forbidden");
}

#[tokio::test]
async fn request_ids_are_echoed_only_where_they_are_plain() {
    let (_server, router, _) = start(Limits::default());
    let id = |answer: Answer| answer.headers["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(id(get(&router, "/healthz", &[("x-request-id", "abc-1")]).await), "abc-1");
    let made = id(get(&router, "/healthz", &[("x-request-id", "\"},{\"")]).await);
    assert_eq!(made.len(), 24);
}

#[tokio::test]
async fn readiness_needs_the_database_and_ends_with_a_drain() {
    let (server, router, adapter) = start(Limits::default());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(get(&router, "/readyz", &[]).await.status, StatusCode::OK);
    adapter.unreachable.store(true, Ordering::SeqCst);
    get(&router, "/readyz", &[]).await.refused(503, "unavailable");
    adapter.unreachable.store(false, Ordering::SeqCst);
    server.shut_down().await;
    get(&router, "/readyz", &[]).await.refused(503, "unavailable");
    post(&router, "/api/mutation/add", r#"{"id":1,"by":1}"#).await.refused(503, "unavailable");
    assert_eq!(get(&router, "/healthz", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn readiness_needs_the_change_feed_unless_the_engine_has_none() {
    let state = async |error: Error| {
        let adapter = Arc::new(FakeAdapter::default());
        adapter.fail_watch(error);
        let server = server(adapter, Limits::default());
        tokio::time::sleep(Duration::from_millis(20)).await;
        let early = get(&server.router(), "/readyz", &[]).await.status.as_u16();
        tokio::time::sleep(Duration::from_millis(300)).await;
        (early, get(&server.router(), "/readyz", &[]).await.status.as_u16())
    };
    assert_eq!(state(Error::unavailable("no primary")).await, (503, 200));
    assert_eq!(state(Error::unsupported("a standalone server has no change streams")).await, (200, 200));
}

#[tokio::test]
async fn the_manifest_tells_what_clients_may_know() {
    let (_server, router, _) = start(Limits::default());
    let answer = get(&router, "/api/manifest", &[]).await;
    let manifest = answer.json();
    let add =
        manifest["handlers"].as_array().unwrap().iter().find(|handler| handler["name"] == "add").unwrap();
    assert_eq!(add["kind"], "mutation");
    assert_eq!(add["args"]["required"], serde_json::json!(["id", "by"]));
    let models = manifest["models"].as_array().unwrap();
    let model = models.iter().find(|model| model["name"] == "Counter").unwrap();
    assert_eq!((&model["name"], model["fields"].as_array().unwrap().len()), (&"Counter".into(), 2));
    assert!(!answer.text.contains("canary"), "{}", answer.text);
}

#[tokio::test]
async fn the_default_page_lists_handlers_and_escapes_their_docs() {
    let (_server, router, _) = start(Limits::default());
    let page = get(&router, "/", &[]).await.text;
    assert!(page.contains("POST /api/query/counter") && page.contains("&lt;live&gt;"), "{page}");
}

fn start_named() -> (Server, Router) {
    let server = server_with(Arc::new(FakeAdapter::default()), Limits::default(), Some(names()));
    let router = server.router();
    (server, router)
}

#[tokio::test]
async fn without_a_resolver_a_token_is_refused_and_other_schemes_are_the_programs() {
    let (_server, router, _) = start(Limits::default());
    let refused = get(&router, "/api/query/whoami", &[("authorization", "Bearer x")]).await;
    assert!(refused.refused(401, "unauthorized").contains("App::auth"));
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    assert_eq!(get(&router, "/api/query/whoami", &[("authorization", "Basic dTpw")]).await.text, "null");
}

#[tokio::test]
async fn callers_are_known_by_their_token_or_cookie() {
    let (_server, router) = start_named();
    let who = async |headers: &[(&str, &str)]| get(&router, "/api/query/whoami", headers).await;
    let ann = who(&[("authorization", "Bearer ann")]).await;
    assert_eq!(ann.text, "\"ann\"");
    let vary: Vec<_> = ann.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["authorization", "cookie"]);
    assert_eq!(who(&[("cookie", "user=bob")]).await.text, "\"bob\"");
    assert_eq!(who(&[]).await.text, "null");
    for token in ["Bearer gone", "Bearer old", "Bearer"] {
        who(&[("authorization", token)]).await.refused(401, "unauthorized");
    }
    who(&[("authorization", "Bearer broken")]).await.refused(500, "internal");
}

#[tokio::test]
async fn guards_let_only_those_pass_who_may() {
    let (_server, router) = start_named();
    let path = "/api/query/secrets";
    get(&router, path, &[]).await.refused(401, "unauthorized");
    get(&router, path, &[("authorization", "Bearer ann")]).await.refused(403, "forbidden");
    assert_eq!(get(&router, path, &[("authorization", "Bearer admin")]).await.text, "0");
    let sign = |token: &str| {
        let headers = [("authorization", token)];
        request(
            "POST",
            "/api/mutation/sign",
            r#"{"text":"x"}"#,
            if token.is_empty() { &[] } else { &headers },
        )
    };
    send(&router, sign("")).await.refused(401, "unauthorized");
    assert_eq!(send(&router, sign("Bearer ann")).await.text, "\"x ann\"");
}

/// Waits until the metrics show `line`.
async fn until(router: &Router, line: &str) {
    while !get(router, "/metrics", &[]).await.text.lines().any(|known| known == line) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_feed_that_is_down_says_since_when() {
    let adapter = Arc::new(FakeAdapter::default());
    for _ in 0..6 {
        adapter.fail_watch(Error::unavailable("no primary"));
    }
    let server = server(adapter, Limits::default());
    let router = server.router();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let message = get(&router, "/readyz", &[]).await.refused(503, "unavailable");
    assert!(message.contains("change feed") && message.contains("for 2.0 s"), "{message}");
    let value = async |metric: &str| {
        let text = get(&router, "/metrics", &[]).await.text;
        let name = format!("forge_{metric}{{database=\"db\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok())
    };
    assert_eq!((value("feed_up").await, value("feed_down_seconds").await), (Some(0.0), Some(2.0)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((value("feed_up").await, value("feed_down_seconds").await), (Some(1.0), Some(0.0)));
    post(&router, "/api/mutation/add", r#"{"id":1,"by":5}"#).await;
    until(&router, "forge_feed_commits_total{database=\"db\"} 1").await;
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let (_server, router, adapter) = start(Limits::default());
    post(&router, "/api/mutation/add", r#"{"id":1,"by":5}"#).await;
    post(&router, "/api/query/counter", r#"{"id":1}"#).await;
    post(&router, "/api/query/counter", r#"{"id":"x"}"#).await;
    post(&router, "/api/query/nothing", "{}").await;
    // The feed is opened by a task of its own.
    until(&router, "forge_feed_up{database=\"db\"} 1").await;
    let metrics = get(&router, "/metrics", &[]).await;
    assert!(metrics.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "forge_calls_total{kind=\"mutation\",handler=\"add\",code=\"ok\"} 1",
        "forge_calls_total{kind=\"query\",handler=\"counter\",code=\"ok\"} 1",
        "forge_calls_total{kind=\"query\",handler=\"counter\",code=\"bad_request\"} 1",
        "forge_call_seconds_count{kind=\"query\",handler=\"counter\"} 2",
        "forge_http_requests_total{status=\"404\"} 1",
        "forge_feed_up{database=\"db\"} 1",
        "forge_sockets 0",
    ] {
        assert!(metrics.text.lines().any(|known| known == line), "{line} is not in\n{}", metrics.text);
    }
    assert!(!metrics.text.contains("nothing"), "names that clients make up are no labels");
    drop(adapter);
}
