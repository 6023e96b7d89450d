//! What is written to logs, whoever calls and whatever fails.

use std::io::Write;
use std::sync::{Arc, Mutex, Once, OnceLock};

use serde_json::{Value, json};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::app::{CANARY, Caller, INNER, server};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(Written::default)
}

/// Keeps everything that Forge logs in this process, from the first call on.
pub(crate) fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_span_events(FmtSpan::FULL)
            .with_writer(|| written().clone());
        let only = Targets::new().with_target("forge", tracing::Level::TRACE);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(only).with(layer))
            .unwrap();
    });
}

#[tokio::test]
async fn logs_hold_neither_private_values_nor_tokens_nor_arguments() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    let made = ann.open("argument-of-a-call").await;
    ann.done("mutation", "hide", json!({ "id": made["id"] })).await;
    ann.done("query", "accounts", json!({ "least": 0 })).await;
    ann.call("mutation", "open_account", json!({ "account": { "handle": "argument-of-a-call" } })).await;
    ann.ask("GET", "accounts?handle=argument-of-a-call", Value::Null).await;
    ann.ask("GET", "accounts?secret=argument-of-a-call", Value::Null).await;
    let mut socket = ann.socket().await;
    socket.follow(1, "accounts", json!({ "least": 0 })).await;
    socket.send(json!({ "op": "auth", "token": "a-token-that-does-not-hold" })).await;
    socket.expect("error").await;
    for path in ["/api/query/accounts", "/services/accounts", "/ws"] {
        let answer = server.http().get(&format!("{path}?token={0}&access_token={0}", ann.token)).await;
        assert!((400..500).contains(&answer.status), "a token in a URL signs nobody in: {answer:?}");
    }

    // Of this test, and of whatever others have tried until now.
    let text = String::from_utf8_lossy(&written().0.lock().unwrap()).into_owned();
    assert!(text.contains("open_account"), "there is a log to look at: {text}");
    for secret in [CANARY, &ann.token, "argument-of-a-call", "a-token-that-does-not-hold"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
}

#[tokio::test]
async fn a_failure_of_the_server_is_told_to_its_log_and_to_no_client() {
    let server = server().await;
    for name in ["account_breaks", "account_panics"] {
        let answer = server.http().call("query", name, &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
        assert!(!answer.body.contains(INNER) && answer.json()["requestId"].is_string(), "{answer:?}");
        let mut socket = server.socket().await;
        socket.subscribe(1, name, json!({})).await;
        let error = socket.expect("error").await;
        assert!(!error.to_string().contains(INNER), "{error}");
    }
    assert!(
        String::from_utf8_lossy(&written().0.lock().unwrap()).contains(INNER),
        "the log says what failed"
    );
}
