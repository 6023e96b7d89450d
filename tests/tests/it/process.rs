//! The program as a process: bad starts, and a crash in the middle of writes.

use std::path::Path;

use forge_tests::app::kept_slugs;
use forge_tests::engine::temporary_folder;
use forge_tests::program::{Program, run};
use serde_json::json;

const PROBE: &str = env!("CARGO_BIN_EXE_probe");

/// It cannot start: exit code 2, nothing on standard output, one line on standard error that says what and where.
async fn check(variables: &[(&str, &str)], said: &[&str]) {
    let output = run(PROBE, variables).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{variables:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{variables:?}: {error}");
    assert!(
        error.ends_with('\n') && !error.contains("panicked") && !error.contains("Error {"),
        "{variables:?}: {error}"
    );
    for part in said {
        assert!(error.contains(part), "{variables:?}: {error} does not say {part}");
    }
    assert!(output.stdout.is_empty(), "{variables:?}");
}

fn embedded(folder: &Path) -> String {
    format!("embedded:{}", folder.display())
}

#[tokio::test]
async fn wrong_settings_are_named() {
    check(&[("FORGE_DATABASE_URL", "postgres://localhost")], &["FORGE_DATABASE_URL", "mongodb://"]).await;
    check(&[("MONGODB_URI", "")], &["MONGODB_URI"]).await;
    check(&[("MONGODB_URI", "mongodb://")], &["MONGODB_URI"]).await;
    check(&[("FORGE_DATABASE_URL", "memory:"), ("FORGE_PORT", "abc")], &["FORGE_PORT", "abc"]).await;
    check(&[("FORGE_DATABASE_URL", "memory:"), ("FORGE_PORT", "70000")], &["FORGE_PORT", "65535"]).await;
    check(&[("FORGE_DATABASE_URL", "memory:"), ("FORGE_HOST", "not an address")], &["FORGE_HOST"]).await;
}

#[tokio::test]
async fn a_password_is_not_repeated() {
    let output = run(
        PROBE,
        &[
            ("MONGODB_URI", "mongodb://user:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=300"),
            ("FORGE_PORT", "0"),
        ],
    )
    .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[tokio::test]
async fn an_unreachable_database_is_named() {
    let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500";
    check(&[("MONGODB_URI", uri), ("FORGE_PORT", "0")], &["MONGODB_URI", "127.0.0.1:1"]).await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(&[("FORGE_DATABASE_URL", "memory:"), ("FORGE_PORT", &port)], &["FORGE_PORT", &port]).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = temporary_folder();
    let first = Program::start(PROBE, &embedded(folder.path())).await;
    first.kill().await;
    let file = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|path| path.is_file())
        .unwrap();
    let garbage = vec![b'x'; 10_000];
    std::fs::write(&file, &garbage).unwrap();
    let url = embedded(folder.path());
    check(
        &[("FORGE_DATABASE_URL", &url), ("FORGE_PORT", "0")],
        &["FORGE_DATABASE_URL", &folder.path().display().to_string()],
    )
    .await;
    assert_eq!(std::fs::read(&file).unwrap(), garbage);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_refused() {
    let folder = temporary_folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let url = embedded(&file.join("below"));
    check(&[("FORGE_DATABASE_URL", &url), ("FORGE_PORT", "0")], &["FORGE_DATABASE_URL"]).await;
}

#[tokio::test]
async fn a_second_process_on_the_same_file_is_refused_and_the_first_lives() {
    let folder = temporary_folder();
    let url = embedded(folder.path());
    let first = Program::start(PROBE, &url).await;
    check(&[("FORGE_DATABASE_URL", &url), ("FORGE_PORT", "0")], &["FORGE_DATABASE_URL", "another process"])
        .await;
    assert_eq!(first.http().get("/readyz").await.status, 200);
    first.kill().await;
    Program::start(PROBE, &url).await;
}

/// What holds of an `Idempotency-Key` over a crash: keys are kept in memory, so that a retry after a restart is a call of
/// its own. Before it nothing runs twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = temporary_folder();
    let url = embedded(folder.path());
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        let program = Program::start(PROBE, &url).await;
        let http = program.http();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for n in 0..10_000 {
                        let slug = format!("r{round}-w{writer}-{n}");
                        let args =
                            json!({ "note": { "board": "crash", "title": "t", "slug": slug } }).to_string();
                        let headers =
                            [("content-type", "application/json"), ("idempotency-key", slug.as_str())];
                        match http.send("POST", "/api/mutation/add_note", &headers, args.as_bytes()).await {
                            Ok(answer) if answer.status == 200 => drop(sender.send(slug)),
                            Ok(answer) => panic!("{answer:?}"),
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        for _ in 0..60 {
            acknowledged.push(receiver.recv().await.expect("the server stopped by itself"));
        }
        program.kill().await;
        for writer in writers {
            writer.await.unwrap();
        }
        while let Some(slug) = receiver.recv().await {
            acknowledged.push(slug);
        }
    }
    let program = Program::start(PROBE, &url).await;
    let notes = program.http().query("notes", json!({ "board": "crash" })).await;
    let mut stored = kept_slugs(&notes, &acknowledged);
    let all = stored.len();
    stored.dedup();
    assert_eq!(stored.len(), all, "something is there twice");
    assert!(all - acknowledged.len() <= 12, "at most what was under way is there without an answer");
    let again = json!({ "note": { "board": "crash", "title": "t", "slug": acknowledged[0] } });
    let retried = program.http().keyed("add_note", &acknowledged[0], &again).await;
    assert_eq!(retried.status, 200, "an answer outlives the process that gave it: {retried:?}");
    let anew = program.http().keyed("add_note", "another-key", &again).await;
    assert_eq!((anew.status, anew.code().as_str()), (409, "unique_violation"));
    let notes = program.http().query("notes", json!({ "board": "crash" })).await;
    assert_eq!(notes.as_array().unwrap().len(), all, "neither of the two wrote anything");
}
