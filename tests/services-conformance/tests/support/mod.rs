//! What the tests of services by HTTP share.

#![allow(dead_code, reason = "not every test uses all of it")]

use forge::App;
use forge::server::Server;
use forge::server::axum::body::{Body, to_bytes};
use forge::server::axum::http::Request;
use serde_json::Value;
use tower::ServiceExt as _;

/// The status and the text that a service answers.
pub(crate) async fn ask(server: &Server, method: &str, path: &str, body: Value) -> (u16, String) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(method).uri(format!("/services/{path}"));
    let request = request.header("content-type", "application/json").header("host", "localhost");
    let answer = server.router().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

/// As [`ask`], with what is JSON in the answer.
pub(crate) async fn send(server: &Server, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, text) = ask(server, method, path, body).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// The program in memory.
pub(crate) async fn serve(app: App) -> Server {
    app.database("memory:").build().await.unwrap()
}
