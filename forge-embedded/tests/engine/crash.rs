//! What was acknowledged survives the end of the process at any moment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use bson::doc;
use forge_embedded::EmbeddedDriver;
use forge_mongo::{Command, Driver, Reply};

use crate::support::*;

const STORE: &str = "FORGE_EMBEDDED_CRASH_STORE";
const START: &str = "FORGE_EMBEDDED_CRASH_START";

/// The process that dies: it writes, and prints each id as soon as its write is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crash_child() {
    let Ok(path) = std::env::var(STORE) else { return };
    let start: i32 = std::env::var(START).unwrap().parse().unwrap();
    let driver = EmbeddedDriver::open(Path::new(&path), env()).unwrap();
    let unique = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
    driver.create_index("db", "c", &unique).await.unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let driver = driver.clone();
            tokio::spawn(async move {
                for i in 0.. {
                    let id = start + i * 4 + task;
                    let row = doc! { "_id": id, "u": format!("u{id}"), "n": 1 };
                    if i % 5 == 4 {
                        let transaction = driver.begin("db").await.unwrap();
                        let command = artifact("c", insert_command(&[row]));
                        driver.run("db", command.clone(), Some(&*transaction)).await.unwrap();
                        let bump =
                            artifact("c", update_command(doc! { "_id": id }, doc! { "$inc": { "n": 1 } }));
                        driver.run("db", bump.clone(), Some(&*transaction)).await.unwrap();
                        transaction.commit().await.unwrap();
                    } else {
                        insert(&driver, &[row]).await;
                    }
                    println!("acknowledged {id}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn run_until_killed(path: &Path, start: i32, after: Duration) -> Vec<i32> {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["crash::crash_child", "--exact", "--nocapture"])
        .env(STORE, path)
        .env(START, start.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        // A line that the kill cut short was not acknowledged.
        let ids =
            lines.map_while(Result::ok).filter_map(|line| line.split_once("acknowledged ")?.1.parse().ok());
        ids.collect::<Vec<i32>>()
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let ids = run_until_killed(&path, round * 1_000_000, Duration::from_millis(400 + 150 * round as u64));
        acknowledged.extend(ids);
        let driver = EmbeddedDriver::open(&path, env()).unwrap();
        let stored: std::collections::HashSet<i32> = ids_of(&driver).await;
        let lost: Vec<_> = acknowledged.iter().filter(|id| !stored.contains(id)).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?} of {}", acknowledged.len());
        check_index(&driver, &stored).await;
        check_feed(&driver, stored.len()).await;
    }
    assert!(acknowledged.len() > 50, "only {} writes were acknowledged", acknowledged.len());
}

async fn ids_of(driver: &EmbeddedDriver) -> std::collections::HashSet<i32> {
    ids(driver, doc! {}).await.into_iter().collect()
}

/// The unique index has exactly the entries of the documents.
async fn check_index(driver: &EmbeddedDriver, stored: &std::collections::HashSet<i32>) {
    let count = Command::Count { filter: doc! { "u": { "$gte": "" } }, limit: None, estimated: false };
    assert_eq!(
        driver.explain("db", &artifact("c", count.clone())).await.unwrap().index.as_deref(),
        Some("u_1")
    );
    assert_eq!(run(driver, count).await.unwrap(), Reply::Count(stored.len() as u64));
    for id in stored.iter().take(50) {
        assert_eq!(ids(driver, doc! { "u": format!("u{id}") }).await, [*id]);
    }
}

/// The feed has a commit for every document, and no gap.
async fn check_feed(driver: &EmbeddedDriver, documents: usize) {
    let transaction = driver.begin("db").await.unwrap();
    let touch = artifact("other", insert_command(&[doc! {}]));
    driver.run("db", touch.clone(), Some(&*transaction)).await.unwrap();
    let version = transaction.commit().await.unwrap().unwrap();
    let others = driver
        .run("db", artifact("other", Command::Count { filter: doc! {}, limit: None, estimated: false }), None)
        .await;
    let Reply::Count(others) = others.unwrap().0 else { panic!() };
    assert_eq!(version, documents as u64 + others);
}
