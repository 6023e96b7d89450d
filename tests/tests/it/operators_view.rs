//! What operators see of live queries, and others do not.

use forge_tests::program::{Program, run_command};
use forge_tests::server::TestServer;
use forge_tests::socket::Socket;
use serde_json::{Value, json};

const PROBE: &str = env!("CARGO_BIN_EXE_probe");
const TOKEN: &str = "0123456789abcdef-token";

#[tokio::test]
async fn without_a_token_there_is_nothing_to_see() {
    let server = TestServer::start().await;
    for path in ["/doctor/live", "/doctor/jobs"] {
        let answer = server.http().get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn operators_see_how_the_jobs_of_each_database_stand() {
    let program = Program::with(PROBE, "memory:", &[("FORGE_OPERATOR_TOKEN", TOKEN)]).await;
    let http = program.http();
    let refused = http.send("GET", "/doctor/jobs", &[("authorization", "Bearer wrong")], b"").await.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"));
    let later = json!({ "board": "b", "title": "t", "millis": 600_000 }).to_string();
    let never = json!({ "board": "b", "title": "", "millis": 0 }).to_string();
    let of_tenant = [("content-type", "application/json"), ("x-tenant", "a")];
    for body in [&later, &later, &never] {
        let answer = http.send("POST", "/api/mutation/add_later", &of_tenant, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let bearer = format!("Bearer {TOKEN}");
    let begin = std::time::Instant::now();
    let jobs = loop {
        let answer = http.send("GET", "/doctor/jobs", &[("authorization", &bearer)], b"").await.unwrap();
        let report = answer.json();
        assert_eq!((answer.status, &report["left_out"]), (200, &json!(0)), "{report}");
        assert_eq!(report["databases"][0]["handlers"][0]["handler"], "celebrate", "{report}");
        assert_eq!(report["databases"][1]["database"], "tenant_a", "{report}");
        let jobs = report["databases"][1]["handlers"][0].clone();
        if jobs["failed"] == 1 {
            break jobs;
        }
        assert!(begin.elapsed().as_secs() < 20, "{report}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let counts = ["waiting", "due", "late_ms", "running", "failed"].map(|name| jobs[name].as_i64().unwrap());
    assert_eq!(counts, [2, 0, 0, 0, 1], "{jobs}");
    assert_eq!((&jobs["handler"], &jobs["known"]), (&json!("add_late"), &json!(true)));
    assert!(jobs["next_due"].is_string() && jobs.get("oldest_due").is_none(), "{jobs}");
}

#[tokio::test]
async fn operators_see_the_most_expensive_and_the_least_selective_live_queries() {
    let program = Program::with(PROBE, "memory:", &[("FORGE_OPERATOR_TOKEN", TOKEN)]).await;
    let http = program.http();
    let mut socket = Socket::open(program.address).await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    // So many values that the index of live queries does not file it under them.
    let tags: Vec<_> = (0..1_001).map(|n| format!("x{n}")).collect();
    socket.follow(2, "tagged", json!({ "tags": tags })).await;
    socket.follow(3, "votes_by_board", json!({})).await;
    for n in 0..5_u64 {
        http.mutate("add_note", json!({ "note": { "board": "b", "title": format!("t{n}") } })).await;
        socket.until(1, |count| count.as_u64() > Some(n)).await;
    }
    let refused = http.send("GET", "/doctor/live", &[("authorization", "Bearer wrong")], b"").await.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (401, "unauthorized"));

    let port = program.address.port().to_string();
    let variables = [("FORGE_OPERATOR_TOKEN", TOKEN), ("FORGE_PORT", port.as_str())];
    let output = run_command(PROBE, &["doctor", "--live", "--json"], &variables).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["live_queries"], 3);
    let tested = |query: &str| {
        let list = report["unselective"].as_array().unwrap();
        list.iter().find(|cost| cost["query"] == query).cloned().unwrap_or_default()
    };
    let vain = tested("tagged");
    assert_eq!(
        (&vain["tested"], &vain["affected"], &vain["broad"]),
        (&json!(5), &json!(0), &json!(true)),
        "{report}"
    );
    assert_eq!(vain["args"].as_str().map(str::len), Some(200));
    assert_eq!(tested("note_count"), Value::Null, "each commit that it was tested for mattered");
    let text = run_command(PROBE, &["doctor", "--live"], &variables).await;
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("3 distinct live queries") && text.contains("reads notes by"), "{text}");

    let other = [("FORGE_OPERATOR_TOKEN", "another-token-of-16"), ("FORGE_PORT", port.as_str())];
    let output = run_command(PROBE, &["doctor", "--live"], &other).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("FORGE_OPERATOR_TOKEN"), "{output:?}");
}
