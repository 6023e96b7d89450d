//! Databases of several clusters in one program.

use forge_tests::app::{Note, new_note};
use forge_tests::program::{Program, run};
use forge_tests::server::TestServer;
use serde_json::json;

const PROBE: &str = env!("CARGO_BIN_EXE_probe");

fn board() -> serde_json::Value {
    json!({ "board": "b" })
}

#[tokio::test]
async fn live_queries_follow_what_they_read_of_another_cluster_and_not_its_namesake_here() {
    let server = TestServer::with_archive(|app| app).await;
    let (mut here, mut there) = (server.socket().await, server.socket().await);
    assert_eq!(here.follow(1, "note_count", board()).await, json!(0));
    assert_eq!(there.follow(1, "archived_count", board()).await, json!(0));
    for n in 1..=3 {
        server.db.insert(new_note("b", &format!("t{n}"))).await.unwrap();
        here.until(1, |count| *count == json!(n)).await;
    }
    there.quiet().await;
    assert_eq!(server.http().mutate("archive_board", board()).await, json!(3));
    here.until(1, |count| *count == json!(0)).await;
    there.until(1, |count| *count == json!(3)).await;
    assert_eq!(server.http().query("archived_count", board()).await, json!(3));
    assert_eq!(server.db.find::<Note>().count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_cluster_that_nobody_named_is_an_error_that_says_which_there_are() {
    let server = TestServer::start().await;
    let answer = server.http().call("query", "archived_count", &board()).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{answer:?}");
    assert!(answer.body.contains("archive") && answer.body.contains("App::cluster"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_names_clusters() {
    let named = [("FORGE_DATABASE_URL_ARCHIVE", "memory:")];
    let program = Program::with(PROBE, "memory:", &named).await;
    program.http().mutate("add_note", json!({ "note": { "board": "b", "title": "t" } })).await;
    assert_eq!(program.http().mutate("archive_board", board()).await, json!(1));
    assert_eq!(program.http().query("archived_count", board()).await, json!(1));

    let wrong = [("FORGE_DATABASE_URL", "memory:"), ("FORGE_DATABASE_URL_ARCHIVE", "http://archive")];
    let output = run(PROBE, &wrong).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("FORGE_DATABASE_URL_ARCHIVE is no database URL"), "{said}");
}
