//! `$out` and `$merge`.

use bson::{Document, doc};
use forge_core::ErrorCode;
use forge_core::adapter::{ChangeKind, Commit};
use forge_embedded::EmbeddedDriver;
use forge_mongo::{Command, Driver, Reply};
use futures_util::{FutureExt, StreamExt};

use crate::support::*;

async fn aggregate(driver: &EmbeddedDriver, pipeline: Vec<Document>) -> forge_core::Result<()> {
    match run(driver, Command::Aggregate { pipeline }).await? {
        Reply::Documents(rows) => assert!(rows.is_empty(), "what is written is not answered"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

async fn merge(driver: &EmbeddedDriver, stage: Document) -> forge_core::Result<()> {
    aggregate(driver, vec![doc! { "$sort": { "_id": 1 } }, doc! { "$merge": stage }]).await
}

async fn of(driver: &EmbeddedDriver, database: &str, collection: &str) -> Vec<Document> {
    documents(driver.run(database, artifact(collection, find_command(doc! {})), None).await.unwrap().0)
}

/// `c` holds 1 and 2; `t` holds 2 and 3.
async fn filled() -> EmbeddedDriver {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2, "new": true }]).await;
    let there = insert_command(&[doc! { "_id": 2, "n": 20, "old": true }, doc! { "_id": 3, "n": 30 }]);
    driver.run("db", artifact("t", there), None).await.unwrap();
    driver
}

#[tokio::test]
async fn documents_meet_as_merge_says() {
    let (one, two) = (doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 20, "old": true });
    let three = doc! { "_id": 3, "n": 30 };
    let merged = doc! { "_id": 2, "n": 2, "old": true, "new": true };
    let summed = doc! { "_id": 2, "n": 22, "old": true, "by": 5 };
    let sum = vec![
        doc! { "$set": { "n": { "$add": ["$n", "$$new.n"] } } },
        doc! { "$set": { "by": { "$ifNull": ["$$by", 5] } } },
    ];
    for (stage, expected) in [
        (doc! {}, vec![one.clone(), merged.clone(), three.clone()]),
        (doc! { "on": "_id", "whenMatched": "merge" }, vec![one.clone(), merged, three.clone()]),
        (
            doc! { "whenMatched": "replace" },
            vec![one.clone(), doc! { "_id": 2, "n": 2, "new": true }, three.clone()],
        ),
        (doc! { "whenMatched": "keepExisting" }, vec![one.clone(), two.clone(), three.clone()]),
        (
            doc! { "whenMatched": "keepExisting", "whenNotMatched": "discard" },
            vec![two.clone(), three.clone()],
        ),
        (
            doc! { "let": { "by": "$missing" }, "whenMatched": sum, "whenNotMatched": "insert" },
            vec![one, summed, three.clone()],
        ),
    ] {
        let driver = filled().await;
        let mut whole = doc! { "into": "t" };
        whole.extend(stage.clone());
        merge(&driver, whole).await.unwrap();
        assert_eq!(of(&driver, "db", "t").await, expected, "{stage}");
    }
}

#[tokio::test]
async fn a_result_that_fails_leaves_everything_as_it_was() {
    for (stage, code) in [
        (doc! { "into": "t", "whenMatched": "fail" }, ErrorCode::UniqueViolation),
        (doc! { "into": "t", "whenNotMatched": "fail" }, ErrorCode::NotFound),
        (doc! { "into": "t", "on": "n" }, ErrorCode::BadRequest),
        (doc! { "into": "t", "whenMatched": [{ "$set": { "_id": 9 } }] }, ErrorCode::BadRequest),
        (doc! { "into": { "db": "other", "coll": "x" }, "whenNotMatched": "fail" }, ErrorCode::NotFound),
        (doc! { "into": "t", "let": { "x": 1 } }, ErrorCode::BadRequest),
        (doc! { "into": "t", "whenMatched": "sometimes" }, ErrorCode::BadRequest),
        (doc! { "into": "t", "whenNotMatched": 1 }, ErrorCode::BadRequest),
        (doc! { "into": "t", "else": 1 }, ErrorCode::Unsupported),
        (doc! { "whenMatched": "fail" }, ErrorCode::BadRequest),
    ] {
        let driver = filled().await;
        let before = of(&driver, "db", "t").await;
        let mut feed = driver.watch("db", None).await.unwrap();
        assert_eq!(merge(&driver, stage.clone()).await.unwrap_err().code(), code, "{stage}");
        assert_eq!(of(&driver, "db", "t").await, before, "{stage}");
        assert!(feed.next().now_or_never().is_none(), "{stage}");
    }
}

#[tokio::test]
async fn a_failure_in_another_database_is_undone_there() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }]).await;
    let spec = doc! { "key": { "n": 1 }, "name": "n", "unique": true };
    driver.create_index("other", "t", &spec).await.unwrap();
    let error = merge(&driver, doc! { "into": { "db": "other", "coll": "t" } }).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UniqueViolation);
    assert_eq!(of(&driver, "other", "t").await, Vec::<Document>::new());
    let out = vec![doc! { "$match": { "_id": 1 } }, doc! { "$out": { "db": "other", "coll": "t" } }];
    aggregate(&driver, out).await.unwrap();
    assert_eq!(of(&driver, "other", "t").await, [doc! { "_id": 1, "n": 1 }]);
}

#[tokio::test]
async fn documents_meet_by_what_a_unique_index_holds() {
    let driver = memory();
    let spec = doc! { "key": { "day": 1, "city": 1 }, "name": "meet", "unique": true };
    driver.create_index("db", "t", &spec).await.unwrap();
    let there = insert_command(&[doc! { "_id": "kept", "city": "A", "day": 1, "n": 1 }]);
    driver.run("db", artifact("t", there), None).await.unwrap();
    insert(
        &driver,
        &[doc! { "_id": 7, "city": "A", "day": 1, "n": 5 }, doc! { "_id": 8, "city": "B", "day": 1 }],
    )
    .await;
    let write =
        |stage: Document| aggregate(&driver, vec![doc! { "$unset": "_id" }, doc! { "$merge": stage }]);
    write(doc! { "into": "t", "on": ["city", "day"], "whenMatched": "replace" }).await.unwrap();
    let stored = of(&driver, "db", "t").await;
    assert!(stored.contains(&doc! { "_id": "kept", "city": "A", "day": 1, "n": 5 }), "{stored:?}");
    assert!(stored.iter().any(|one| one.get_object_id("_id").is_ok() && one.get_str("city").unwrap() == "B"));
    // An `_id` of its own would have to take the place of the one there.
    let error = merge(&driver, doc! { "into": "t", "on": ["day", "city"] }).await.unwrap_err();
    assert!(error.message().contains("`_id`"), "{error}");
    insert(&driver, &[doc! { "_id": 9, "city": ["A"], "day": 1 }]).await;
    let error = write(doc! { "into": "t", "on": ["city", "day"] }).await.unwrap_err();
    assert!(error.message().contains("`city`"), "{error}");
}

#[tokio::test]
async fn out_replaces_what_is_there_and_may_read_it() {
    let driver = filled().await;
    let spec = doc! { "key": { "n": 1 }, "name": "n", "unique": true };
    driver.create_index("db", "c", &spec).await.unwrap();
    // Each value moves on to the other document, and a third one comes in the place of one that goes.
    let shift = vec![
        doc! { "$project": { "n": { "$subtract": [3, "$n"] } } },
        doc! { "$unionWith": { "coll": "t", "pipeline": [{ "$match": { "_id": 3 } }] } },
        doc! { "$out": "c" },
    ];
    let mut feed = driver.watch("db", None).await.unwrap();
    aggregate(&driver, shift).await.unwrap();
    let expected = [doc! { "_id": 1, "n": 2 }, doc! { "_id": 2, "n": 1 }, doc! { "_id": 3, "n": 30 }];
    assert_eq!(of(&driver, "db", "c").await, expected);
    let commit = feed.next().await.unwrap().unwrap();
    let kinds: Vec<_> = commit.changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Replace, ChangeKind::Replace, ChangeKind::Insert], "one commit");
    let same = vec![doc! { "$set": { "n": 1 } }, doc! { "$out": "c" }];
    assert_eq!(aggregate(&driver, same).await.unwrap_err().code(), ErrorCode::UniqueViolation);
    assert_eq!(of(&driver, "db", "c").await, expected);
    aggregate(&driver, vec![doc! { "$match": { "_id": 2 } }, doc! { "$out": "c" }]).await.unwrap();
    assert_eq!(of(&driver, "db", "c").await, expected[1..2]);
}

#[tokio::test]
async fn changes_are_told_as_what_they_are() {
    let kinds = |commit: Commit| {
        commit.changes.into_iter().map(|change| (change.kind, change.touched)).collect::<Vec<_>>()
    };
    let inserted = (ChangeKind::Insert, None);
    for (matched, second) in [
        ("merge", (ChangeKind::Update, Some(vec!["n".to_owned(), "new".to_owned()]))),
        ("replace", (ChangeKind::Replace, None)),
    ] {
        let driver = filled().await;
        let mut feed = driver.watch("db", None).await.unwrap();
        merge(&driver, doc! { "into": "t", "whenMatched": matched }).await.unwrap();
        let commit = feed.next().await.unwrap().unwrap();
        assert_eq!(kinds(commit), [inserted.clone(), second], "{matched}");
    }
}

#[tokio::test]
async fn results_are_stored_last_and_outside_of_transactions() {
    let driver = filled().await;
    for pipeline in [
        vec![doc! { "$out": "t" }, doc! { "$limit": 1 }],
        vec![doc! { "$facet": { "a": [{ "$out": "t" }] } }],
        vec![doc! { "$unionWith": { "coll": "c", "pipeline": [{ "$merge": "t" }] } }],
    ] {
        let error = run(&driver, Command::Aggregate { pipeline: pipeline.clone() }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{pipeline:?}");
    }
    let transaction = driver.begin("db").await.unwrap();
    let write = artifact("c", Command::Aggregate { pipeline: vec![doc! { "$merge": "t" }] });
    let error = driver.run("db", write.clone(), Some(&*transaction)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest);
    transaction.abort().await.unwrap();
    driver.explain("db", &write).await.unwrap();
    assert_eq!(of(&driver, "db", "t").await.len(), 2, "nothing was written");
}
