//! Pages of other origins, and what a browser would send for them without being asked.

use forge_tests::socket::Socket;
use serde_json::json;

use crate::app::{Caller, server};

const FOREIGN: [&str; 4] = ["https://evil.example", "null", "http://127.0.0.1:1", "file://"];

#[tokio::test]
async fn every_door_refuses_pages_of_other_origins() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    let bearer = format!("Bearer {}", ann.token);
    let account = json!({ "account": crate::app::account_of("ann") }).to_string();
    let requests = [
        ("POST", "/api/query/accounts", r#"{"least":0}"#.to_owned()),
        ("GET", "/api/query/accounts?args=%7B%22least%22%3A0%7D", String::new()),
        ("POST", "/api/mutation/open_account", account),
        ("GET", "/services/accounts", String::new()),
        ("POST", "/services/accounts", crate::app::account_of("ann").to_string()),
        ("DELETE", "/services/accounts", String::new()),
    ];
    for origin in FOREIGN {
        for (method, path, body) in &requests {
            let headers = [
                ("content-type", "application/json"),
                ("authorization", bearer.as_str()),
                ("origin", origin),
            ];
            let answer = server.http().send(method, path, &headers, body.as_bytes()).await.unwrap();
            assert_eq!(answer.status, 403, "{origin} {method} {path}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin} {method} {path}");
        }
        assert_eq!(Socket::origin(server.address, origin).await, 403, "{origin}");
    }
    assert_eq!(ann.done("query", "accounts", json!({ "least": 0 })).await, json!([]), "nothing was written");
    let own = format!("http://{}", server.address);
    assert_eq!(Socket::origin(server.address, &own).await, 101);
}

#[tokio::test]
async fn forms_of_other_pages_write_nothing() {
    let server = server().await;
    let post = async |path: &str, kind: &str, origin: Option<&str>| {
        let mut headers = vec![("content-type", kind)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        server.http().send("POST", path, &headers, b"{\"label\":\"x\"}").await.unwrap().status
    };
    // What a form of any page can send without a preflight. Browsers say where each of them comes from.
    const FORM: &str = "application/x-www-form-urlencoded";
    for kind in ["text/plain", FORM, "multipart/form-data; boundary=x"] {
        for path in ["/api/mutation/open_account", "/services/loose_notes"] {
            for origin in FOREIGN {
                assert_eq!(post(path, kind, Some(origin)).await, 403, "{path} as {kind} from {origin}");
            }
            // Feathers' services take forms, of programs and of their own pages.
            if kind != FORM || !path.starts_with("/services") {
                let status = post(path, kind, None).await;
                assert!(matches!(status, 400 | 415), "{path} as {kind}: {status}");
            }
        }
    }
    for path in ["/api/mutation/open_account?args=%7B%7D", "/services/loose_notes?_method=POST&label=x"] {
        let answer = server.http().get(path).await;
        assert!(answer.status == 405 || answer.json() == json!([]), "{path}: {answer:?}");
    }
    let stored = server.http().get("/services/loose_notes").await;
    assert_eq!(stored.json(), json!([]), "nothing was written");
}
