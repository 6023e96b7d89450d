use bson::doc;
use forge_core::ErrorCode;
use forge_mongo::{Driver, Reply};

use crate::support::*;

#[tokio::test]
async fn a_commit_shows_everything_at_once() {
    let driver = memory();
    let transaction = driver.begin("db").await.unwrap();
    let inside = |command| {
        let (driver, transaction) = (driver.clone(), transaction.clone());
        async move { driver.run("db", artifact("c", command), Some(&*transaction)).await }
    };
    inside(insert_command(&[doc! { "_id": 1, "n": 1 }])).await.unwrap();
    inside(update_command(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } })).await.unwrap();
    let (seen, version) = inside(find_command(doc! { "n": 2 })).await.unwrap();
    assert_eq!((documents(seen).len(), version), (1, None), "a transaction sees its own writes");
    assert!(ids(&driver, doc! {}).await.is_empty(), "nobody else does");
    assert_eq!(transaction.commit().await.unwrap(), Some(1));
    assert_eq!(find(&driver, doc! {}).await, [doc! { "_id": 1, "n": 2 }]);
    assert_eq!(transaction.commit().await.unwrap_err().code(), ErrorCode::BadRequest);
}

#[tokio::test]
async fn an_abort_or_a_drop_forgets_everything() {
    let driver = memory();
    for drop_it in [false, true] {
        let transaction = driver.begin("db").await.unwrap();
        driver
            .run("db", artifact("new", insert_command(&[doc! { "_id": 1 }])), Some(&*transaction))
            .await
            .unwrap();
        if drop_it {
            drop(transaction);
        } else {
            transaction.abort().await.unwrap();
        }
        let all = artifact("new", find_command(doc! {}));
        assert!(documents(driver.run("db", all.clone(), None).await.unwrap().0).is_empty());
    }
    insert(&driver, &[doc! { "_id": 1 }]).await;
    assert_eq!(ids(&driver, doc! {}).await, [1], "the writer is free again");
}

#[tokio::test]
async fn a_failed_command_leaves_no_trace_and_the_transaction_goes_on() {
    let driver = memory();
    driver.create_index("db", "c", &doc! { "key": { "u": 1 }, "name": "u_1", "unique": true }).await.unwrap();
    insert(&driver, &[doc! { "_id": 1, "u": 1 }, doc! { "_id": 2, "u": 2 }, doc! { "_id": 3, "u": 3 }]).await;
    let transaction = driver.begin("db").await.unwrap();
    let session = Some(&*transaction);
    // The first document gets the value, the second one cannot have it.
    let update = artifact("c", update_command(doc! { "_id": { "$gte": 2 } }, doc! { "$set": { "u": 9 } }));
    let error = driver.run("db", update.clone(), session).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UniqueViolation);
    assert!(error.message().contains('u'));
    let all = artifact("c", find_command(doc! { "u": 9 }));
    assert!(documents(driver.run("db", all.clone(), session).await.unwrap().0).is_empty());
    driver.run("db", artifact("c", insert_command(&[doc! { "_id": 4, "u": 9 }])), session).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(ids(&driver, doc! { "u": { "$in": [2, 3, 9] } }).await, [2, 3, 4]);
}

#[tokio::test]
async fn transactions_of_another_engine_are_refused() {
    let (one, two) = (memory(), memory());
    let transaction = one.begin("db").await.unwrap();
    let error = two.run("db", artifact("c", find_command(doc! {})), Some(&*transaction)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_write_that_waits_too_long_names_who_holds_the_store() {
    let driver = memory();
    let _held = driver.begin("ledger").await.unwrap();
    let write = run(&driver, insert_command(&[doc! { "_id": 1 }]));
    let (write, begin) = futures_util::future::join(write, driver.begin("db")).await;
    let error = write.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Timeout);
    assert!(error.message().contains("a transaction on database ledger"), "{error}");
    assert_eq!(begin.err().unwrap().code(), ErrorCode::Timeout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queued_writes_are_all_answered_each_for_itself() {
    let driver = memory();
    driver.create_index("db", "c", &doc! { "key": { "u": 1 }, "name": "u_1", "unique": true }).await.unwrap();
    let held = driver.begin("db").await.unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let driver = driver.clone();
            tokio::spawn(async move {
                let command = artifact("c", insert_command(&[doc! { "_id": i, "u": i % 100 }]));
                driver.run("db", command.clone(), None).await.unwrap()
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    held.commit().await.unwrap();
    let (mut inserted, mut versions) = (0, Vec::new());
    for task in tasks {
        let (reply, version) = task.await.unwrap();
        match reply {
            Reply::Inserted { failures } if failures.is_empty() => {
                inserted += 1;
                versions.push(version.unwrap());
            }
            Reply::Inserted { failures } => {
                assert_eq!(failures[0].1.key_paths, ["u"]);
                assert_eq!(version, None);
            }
            other => panic!("{other:?}"),
        }
    }
    versions.sort_unstable();
    assert_eq!(inserted, 100);
    assert_eq!(versions, (1..=100).collect::<Vec<_>>(), "every write is a commit of its own");
}
