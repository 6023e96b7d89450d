use std::time::{Duration, Instant};

use bson::{Bson, doc};
use forge_core::Result;
use forge_core::adapter::{Adapter, ChangeKind, Commit, Exec, ResumeToken, is_history_lost};
use forge_core::ir::{Change, Delete, Filter, Operation, Update};
use forge_core::model::ModelRef;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::models::{AIRPORT, TICKET};
use crate::{Database, insert};

async fn next(feed: &mut BoxStream<'static, Result<Commit>>) -> Result<Commit> {
    tokio::time::timeout(Duration::from_secs(10), feed.next())
        .await
        .expect("a change arrives")
        .expect("the feed goes on")
}

#[tokio::test]
async fn every_kind_of_change_arrives_in_order_and_the_feed_resumes_after_any() {
    let Some(database) = Database::open("watch").await else { return };
    let mut feed = database.adapter.watch(&database.name, None).await.unwrap();
    database.insert(&AIRPORT, [doc! { "_id": "A", "n": 1, "m": 2 }]).await;
    let update = Update {
        changes: vec![Change::Set("n".into(), 5.into()), Change::Unset("m".into())],
        ..Update::new(ModelRef(&AIRPORT), Filter::eq("_id", "A"))
    };
    database.run(Operation::Update(update)).await.unwrap();
    let filter = Filter::eq("_id", "T");
    database.insert(&TICKET, [doc! { "_id": "T" }]).await;
    let delete = Delete::new(ModelRef(&TICKET), filter, bson::DateTime::from_millis(0));
    database.run(Operation::Delete(delete)).await.unwrap();

    let mut commits = Vec::new();
    for _ in 0..4 {
        commits.push(next(&mut feed).await.unwrap());
    }
    let kinds: Vec<_> =
        commits.iter().map(|commit| (&*commit.changes[0].collection, commit.changes[0].kind)).collect();
    let expected = [
        ("airports", ChangeKind::Insert),
        ("airports", ChangeKind::Update),
        ("tickets", ChangeKind::Insert),
        ("tickets", ChangeKind::Delete),
    ];
    assert_eq!(kinds, expected);
    assert!(commits.windows(2).all(|pair| pair[0].version < pair[1].version));
    let mut touched = commits[1].changes[0].touched.clone().unwrap();
    touched.sort();
    assert_eq!(touched, ["m", "n"]);
    assert_eq!(commits[1].changes[0].after.as_ref().unwrap().get_i32("n").unwrap(), 5);
    assert_eq!(commits[3].changes[0].id, Bson::String("T".into()));

    drop(feed);
    let mut resumed = database.adapter.watch(&database.name, Some(commits[1].token.clone())).await.unwrap();
    let again = next(&mut resumed).await.unwrap();
    assert_eq!((again.version, &again.changes[0].id), (commits[2].version, &Bson::String("T".into())));
    drop(resumed);
    database.close().await;
}

#[tokio::test]
async fn the_writes_of_a_transaction_are_one_commit() {
    let Some(database) = Database::open("watch_transaction").await else { return };
    database.insert(&AIRPORT, [doc! { "_id": "0" }]).await;
    database.insert(&TICKET, [doc! { "_id": "0" }]).await;
    let mut feed = database.adapter.watch(&database.name, None).await.unwrap();
    let transaction = database.adapter.begin(&database.exec).await.unwrap();
    let exec = Exec { transaction: Some(transaction.clone()), ..database.exec.clone() };
    for (model, id) in [(&AIRPORT, "A"), (&TICKET, "T"), (&AIRPORT, "B")] {
        database.adapter.execute(&exec, insert(model, [doc! { "_id": id }])).await.unwrap();
    }
    transaction.commit().await.unwrap();
    database.insert(&AIRPORT, [doc! { "_id": "C" }]).await;
    // SecantusDB may start a little early; a feed has no gap, and may repeat.
    let commit = loop {
        let commit = next(&mut feed).await.unwrap();
        if commit.changes[0].id != Bson::String("0".into()) {
            break commit;
        }
    };
    let ids: Vec<_> = commit.changes.iter().map(|change| change.id.as_str().unwrap()).collect();
    assert_eq!(ids, ["A", "T", "B"]);
    assert_eq!(next(&mut feed).await.unwrap().changes.len(), 1);
    drop(feed);
    database.close().await;
}

#[tokio::test]
async fn a_change_is_passed_on_at_once() {
    let Some(database) = Database::open("watch_prompt").await else { return };
    let mut feed = database.adapter.watch(&database.name, None).await.unwrap();
    database.insert(&AIRPORT, [doc! { "_id": 0 }]).await;
    next(&mut feed).await.unwrap();
    let mut slowest = Duration::ZERO;
    for n in 1..6 {
        let started = Instant::now();
        database.insert(&AIRPORT, [doc! { "_id": n }]).await;
        next(&mut feed).await.unwrap();
        slowest = slowest.max(started.elapsed());
    }
    // A server waits a second for more; the commit must not wait with it.
    assert!(slowest < Duration::from_millis(800), "{slowest:?}");
    drop(feed);
    database.close().await;
}

#[tokio::test]
async fn a_token_that_leads_nowhere_is_lost_history() {
    let Some(database) = Database::open("watch_lost").await else { return };
    let nowhere = ResumeToken(doc! { "_data": "8200000001000000012B0229296E04" }.into());
    let error = match database.adapter.watch(&database.name, Some(nowhere)).await {
        Err(error) => error,
        Ok(mut feed) => next(&mut feed).await.expect_err("the token is from 1970"),
    };
    assert!(is_history_lost(&error), "{error:?}");
    database.close().await;
}

#[tokio::test]
async fn a_dropped_database_ends_the_feed_as_lost_history() {
    let Some(database) = Database::open("watch_drop").await else { return };
    database.insert(&AIRPORT, [doc! { "_id": 0 }]).await;
    let mut feed = database.adapter.watch(&database.name, None).await.unwrap();
    database.adapter.driver().drop_database(&database.name).await.unwrap();
    let error = loop {
        match next(&mut feed).await {
            // Servers differ in where the feed starts, and in whether each collection is said to go.
            Ok(commit) => assert!(commit.changes.iter().all(|change| change.kind != ChangeKind::Delete)),
            Err(error) => break error,
        }
    };
    assert!(is_history_lost(&error), "{error:?}");
    assert!(feed.next().await.is_none());
    database.close().await;
}
