//! Not a check: figures for whoever asks (`cargo test --release -p forge-embedded --test engine speed -- --ignored --nocapture`).

use std::time::Instant;

use bson::doc;
use forge_embedded::EmbeddedDriver;
use forge_mongo::Driver;

use crate::support::*;

async fn measure(name: &str, driver: &EmbeddedDriver, singles: i32) {
    let report = |what: &str, count: i32, start: Instant| {
        let each = start.elapsed().as_secs_f64() / f64::from(count);
        println!("{name}: {what}: {:.2} µs each, {:.0}/s", each * 1e6, 1.0 / each);
    };
    driver.create_index("db", "c", &doc! { "key": { "n": 1 }, "name": "n" }).await.unwrap();
    let row = |i: i32| doc! { "_id": i, "n": i % 1_000, "name": format!("document {i}"), "city": "Springfield", "flag": true };
    let commands: Vec<_> = (0..10)
        .map(|batch| {
            artifact("c", insert_command(&(0..10_000).map(|i| row(batch * 10_000 + i)).collect::<Vec<_>>()))
        })
        .collect();
    let start = Instant::now();
    for command in commands {
        driver.run("db", command, None).await.unwrap();
    }
    report("insert in batches of 10,000", 100_000, start);
    let commands: Vec<_> =
        (0..singles).map(|i| artifact("c", insert_command(&[row(1_000_000 + i)]))).collect();
    let start = Instant::now();
    for command in commands {
        driver.run("db", command, None).await.unwrap();
    }
    report("insert one", singles, start);
    let commands: Vec<_> =
        (0..100_000).map(|i| artifact("c", find_command(doc! { "_id": i * 7_919 % 100_000 }))).collect();
    let start = Instant::now();
    for command in commands {
        driver.run("db", command, None).await.unwrap();
    }
    report("find by id", 100_000, start);
    let commands: Vec<_> = (0..1_000).map(|i| artifact("c", find_command(doc! { "n": i }))).collect();
    let start = Instant::now();
    for command in commands {
        driver.run("db", command, None).await.unwrap();
    }
    report("find 100 by index", 1_000, start);
    let start = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let driver = driver.clone();
            tokio::spawn(async move {
                for i in 0..singles / 16 {
                    let command =
                        artifact("c", insert_command(&[doc! { "_id": format!("{task}-{i}"), "n": i }]));
                    driver.run("db", command.clone(), None).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    report("insert one, 16 at a time", singles, start);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "figures, not a check"]
async fn speed() {
    measure("memory", &memory(), 20_000).await;
    let folder = tempfile::tempdir().unwrap();
    let file = EmbeddedDriver::open(&folder.path().join("store"), env()).unwrap();
    measure("file", &file, 2_000).await;
}
