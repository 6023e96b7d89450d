use bson::doc;
use forge_core::adapter::{ChangeKind, Commit, ResumeToken, is_history_lost};
use forge_embedded::EmbeddedDriver;
use forge_mongo::Driver;
use futures_util::{FutureExt, StreamExt};

use crate::support::*;

async fn next(stream: &mut futures_core::stream::BoxStream<'static, forge_core::Result<Commit>>) -> Commit {
    stream.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn commits_arrive_in_order_with_the_documents_before_and_after() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 0 }]).await;
    let mut feed = driver.watch("db", None).await.unwrap();
    assert!(feed.next().now_or_never().is_none(), "what was before is not in it");
    insert(&driver, &[doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }]).await;
    run(&driver, update_command(doc! { "_id": 1 }, doc! { "$set": { "n": 2 } })).await.unwrap();
    run(&driver, forge_mongo::Command::Delete { filter: doc! { "_id": 2 }, many: false }).await.unwrap();

    let commit = next(&mut feed).await;
    assert_eq!(commit.version, 2);
    let ids: Vec<_> = commit.changes.iter().map(|change| (change.kind, change.id.as_i32())).collect();
    assert_eq!(ids, [(ChangeKind::Insert, Some(1)), (ChangeKind::Insert, Some(2))]);
    let update = next(&mut feed).await.changes.remove(0);
    assert_eq!((update.kind, &*update.collection), (ChangeKind::Update, "c"));
    assert_eq!(update.before, Some(raw(&doc! { "_id": 1, "n": 1 })));
    assert_eq!(update.after, Some(raw(&doc! { "_id": 1, "n": 2 })));
    assert_eq!(update.touched, Some(vec!["n".to_owned()]));
    let delete = next(&mut feed).await.changes.remove(0);
    assert_eq!((delete.kind, delete.after), (ChangeKind::Delete, None));
    assert_eq!(delete.before, Some(raw(&doc! { "_id": 2, "n": 1 })));
}

#[tokio::test]
async fn what_changes_nothing_is_no_commit() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1, "n": 1 }]).await;
    let mut feed = driver.watch("db", None).await.unwrap();
    let same = artifact("c", update_command(doc! {}, doc! { "$set": { "n": 1 } }));
    assert_eq!(driver.run("db", same.clone(), None).await.unwrap().1, None);
    let transaction = driver.begin("db").await.unwrap();
    assert_eq!(transaction.commit().await.unwrap(), None);
    assert!(feed.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_dropped_database_says_so_and_keeps_counting() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1 }]).await;
    let mut feed = driver.watch("db", None).await.unwrap();
    driver.drop_database("db").await.unwrap();
    let commit = next(&mut feed).await;
    assert_eq!((commit.version, commit.changes[0].kind), (2, ChangeKind::Drop));
    insert(&driver, &[doc! { "_id": 1 }]).await;
    assert_eq!(next(&mut feed).await.version, 3);
}

#[tokio::test]
async fn feeds_of_databases_are_apart() {
    let driver = memory();
    let mut feed = driver.watch("other", None).await.unwrap();
    insert(&driver, &[doc! { "_id": 1 }]).await;
    assert!(feed.next().now_or_never().is_none());
    driver.run("other", artifact("c", insert_command(&[doc! { "_id": 1 }])), None).await.unwrap();
    assert_eq!(next(&mut feed).await.version, 1);
}

#[tokio::test]
async fn a_feed_resumes_where_it_was_even_in_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    let mut feed = driver.watch("db", None).await.unwrap();
    for i in 0..5 {
        insert(&driver, &[doc! { "_id": i }]).await;
    }
    let token = next(&mut feed).await.token;
    drop(feed);
    driver.close().await;
    drop(driver);
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    let mut feed = driver.watch("db", Some(token)).await.unwrap();
    for version in 2..=5 {
        assert_eq!(next(&mut feed).await.version, version);
    }
    insert(&driver, &[doc! { "_id": 9 }]).await;
    assert_eq!(next(&mut feed).await.version, 6);
}

#[tokio::test]
async fn a_token_that_leads_nowhere_says_so() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1 }]).await;
    let mut feed = driver.watch("db", None).await.unwrap();
    insert(&driver, &[doc! { "_id": 2 }]).await;
    let good = next(&mut feed).await.token;
    assert!(driver.watch("db", Some(good.clone())).await.is_ok());
    let foreign = memory();
    insert(&foreign, &[doc! { "_id": 1 }, doc! { "_id": 2 }]).await;
    assert!(is_history_lost(&foreign.watch("db", Some(good)).await.err().unwrap()));
    assert!(is_history_lost(&driver.watch("db", Some(ResumeToken("x".into()))).await.err().unwrap()));
}

#[tokio::test]
async fn old_commits_are_dropped_and_slow_subscribers_are_told() {
    let driver = memory();
    let mut slow = driver.watch("db", None).await.unwrap();
    insert(&driver, &[doc! { "_id": 0 }]).await;
    let first = next(&mut slow).await.token;
    let filler = "x".repeat(1_000_000);
    for i in 1..80 {
        insert(&driver, &[doc! { "_id": i, "filler": &filler }]).await;
    }
    assert!(is_history_lost(&driver.watch("db", Some(first)).await.err().unwrap()));
    assert!(is_history_lost(&slow.next().await.unwrap().unwrap_err()));
    assert!(slow.next().await.is_none(), "after an error the stream ends");
}
