use bson::{Bson, Document, bson, doc};
use forge_core::ErrorCode;
use forge_mongo::{Command, Driver, Reply};

use crate::support::*;

#[tokio::test]
async fn finds_filter_sort_page_and_project() {
    let driver = memory();
    let rows: Vec<_> = (0..20).map(|i| doc! { "_id": i, "n": i % 5, "s": format!("s{i}") }).collect();
    assert!(insert(&driver, &rows).await.is_empty());
    let command = Command::Find {
        filter: doc! { "n": { "$gte": 2 } },
        projection: Some(doc! { "n": 1 }),
        sort: Some(doc! { "n": -1, "_id": 1 }),
        skip: Some(2),
        limit: Some(3),
    };
    let found = documents(run(&driver, command).await.unwrap());
    assert_eq!(found, [doc! { "_id": 14, "n": 4 }, doc! { "_id": 19, "n": 4 }, doc! { "_id": 3, "n": 3 }]);
    assert_eq!(find(&driver, doc! { "_id": 7.0 }).await.len(), 1, "numbers are equal whatever their type");
    assert!(find(&driver, doc! { "_id": { "$in": [] } }).await.is_empty());
    assert!(
        documents(driver.run("db", artifact("none", find_command(doc! {})), None).await.unwrap().0)
            .is_empty()
    );
}

#[tokio::test]
async fn inserts_report_each_failure_and_keep_the_rest() {
    let driver = memory();
    driver
        .create_index("db", "c", &doc! { "key": { "email": 1 }, "name": "email_1", "unique": true })
        .await
        .unwrap();
    let rows = [
        doc! { "_id": 1, "email": "a" },
        doc! { "_id": 1, "email": "b" },
        doc! { "_id": 2, "email": "a" },
        doc! { "_id": [1], "email": "c" },
        doc! { "_id": 3, "email": "d" },
    ];
    let failures = insert(&driver, &rows).await;
    let summary: Vec<_> = failures.iter().map(|(at, f)| (*at, f.code, f.key_paths.join(","))).collect();
    assert_eq!(
        summary,
        [(1, 11000, "_id".to_owned()), (2, 11000, "email".to_owned()), (3, 2, String::new())]
    );
    assert_eq!(ids(&driver, doc! {}).await, [1, 3]);

    let ordered =
        Command::Insert { documents: vec![raw(&doc! { "_id": 3 }), raw(&doc! { "_id": 4 })], ordered: true };
    run(&driver, ordered).await.unwrap();
    assert_eq!(ids(&driver, doc! {}).await, [1, 3], "an ordered insert stops at the first failure");
}

#[tokio::test]
async fn many_documents_are_checked_against_each_other_and_against_what_is_there() {
    let driver = memory();
    for key in
        [doc! { "name": "n", "key": { "n": 1 }, "unique": true }, doc! { "name": "t", "key": { "t": 1 } }]
    {
        driver.create_index("db", "c", &key).await.unwrap();
    }
    let row = |i: i32| doc! { "_id": i, "n": i * 7 % 1000, "t": [i % 10, "x"] };
    // The even ones first, so that the others fall between them; behind them all at once.
    assert!(insert(&driver, &(0..200).filter(|i| i % 2 == 0).map(row).collect::<Vec<_>>()).await.is_empty());
    let mut rest: Vec<_> = (0..400).rev().map(row).collect();
    rest.push(row(350));
    rest.push(doc! { "_id": 1_000, "n": 399 * 7 % 1000 });
    let failures = insert(&driver, &rest).await;
    let twice: Vec<_> = failures.iter().map(|(at, failure)| (*at, failure.key_paths.join(","))).collect();
    let even = (200..400).filter(|at| (399 - at) % 2 == 0).map(|at| (at, "_id".to_owned()));
    let expected: Vec<_> = even.chain([(400, "_id".to_owned()), (401, "n".to_owned())]).collect();
    assert_eq!(twice, expected);
    assert_eq!(ids(&driver, doc! {}).await, (0..400).collect::<Vec<_>>());
    for (filter, count) in [
        (doc! { "n": 350 * 7 % 1000 }, 1),
        (doc! { "t": 3 }, 40),
        (doc! { "t": "x", "_id": { "$gte": 100 } }, 300),
    ] {
        assert_eq!(ids(&driver, filter.clone()).await.len(), count, "{filter}");
    }
}

#[tokio::test]
async fn an_ordered_insert_keeps_what_came_before_the_failure() {
    let driver = memory();
    let documents = [1, 2, 1, 3].map(|i| raw(&doc! { "_id": i })).to_vec();
    let reply = run(&driver, Command::Insert { documents, ordered: true }).await.unwrap();
    let Reply::Inserted { failures } = reply else { panic!("{reply:?}") };
    assert_eq!(failures.iter().map(|(at, failure)| (*at, failure.code)).collect::<Vec<_>>(), [(2, 11000)]);
    assert_eq!(ids(&driver, doc! {}).await, [1, 2]);
}

/// A first `$group` reads documents where they lie, a later one reads rows.
#[tokio::test]
async fn groups_of_stored_documents_are_those_of_rows() {
    let driver = memory();
    let rows = [
        doc! { "_id": 1, "k": "a", "n": 1, "d": { "x": 2, "l": [{ "y": 1 }, { "y": 2 }] } },
        doc! { "_id": 2, "k": "a", "n": 2.5, "d": { "x": i64::MAX } },
        doc! { "_id": 3, "k": Bson::Null, "n": i32::MAX, "d": { "x": 1_i64 } },
        doc! { "_id": 4, "n": "text", "d": [{ "x": 5 }, { "x": 6 }] },
        doc! { "_id": 5, "k": 1, "n": 1, "d": { "x": 2 } },
        doc! { "_id": 6, "k": 1.0, "n": i32::MAX, "d": 7 },
        doc! { "_id": 7, "k": ["a"], "n": Bson::Undefined, "d": { "l": [] } },
    ];
    insert(&driver, &rows).await;
    let ids = [
        bson!("$k"),
        bson!({ "k": { "$ifNull": ["$k", null] }, "x": "$d.x" }),
        bson!("$d.l.y"),
        bson!({ "$toString": { "$type": "$n" } }),
        Bson::Null,
    ];
    for id in ids {
        let group = doc! {
            "_id": id, "n": { "$sum": 1 }, "sum": { "$sum": "$n" }, "deep": { "$sum": "$d.x" }, "avg": { "$avg": "$n" },
            "least": { "$min": "$n" }, "most": { "$max": "$d.x" }, "first": { "$first": "$k" }, "last": { "$last": "$d" },
            "all": { "$push": "$d.l.y" }, "set": { "$addToSet": "$k" }, "roots": { "$push": "$$ROOT" },
            "top": { "$topN": { "n": 2, "sortBy": { "n": -1 }, "output": "$_id" } },
        };
        let run_pipeline = async |pipeline: Vec<Document>| {
            documents(run(&driver, Command::Aggregate { pipeline }).await.unwrap())
        };
        let stored = run_pipeline(vec![doc! { "$group": group.clone() }]).await;
        let of_rows = run_pipeline(vec![doc! { "$skip": 0 }, doc! { "$group": group.clone() }]).await;
        assert_eq!(format!("{stored:?}"), format!("{of_rows:?}"), "{group}");
    }
    let count = vec![doc! { "$match": { "_id": { "$gt": 2 } } }, doc! { "$count": "n" }];
    let counted = documents(run(&driver, Command::Aggregate { pipeline: count }).await.unwrap());
    assert_eq!(counted, [doc! { "n": 5 }]);
}

#[tokio::test]
async fn documents_without_an_id_get_one_in_front() {
    let driver = memory();
    insert(&driver, &[doc! { "a": 1 }, doc! { "b": 1, "_id": 5 }]).await;
    for document in find(&driver, doc! {}).await {
        assert_eq!(document.keys().next().unwrap(), "_id");
    }
}

#[tokio::test]
async fn updates_count_what_matched_and_what_changed() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2 }]).await;
    let reply = run(&driver, update_command(doc! {}, doc! { "$set": { "n": 2 } })).await.unwrap();
    assert_eq!(reply, Reply::Updated { matched: 2, modified: 1, upserted: None });
    let one = Command::Update {
        filter: doc! {},
        update: doc! { "$inc": { "n": 1 } }.into(),
        many: false,
        upsert: false,
    };
    assert_eq!(run(&driver, one).await.unwrap(), Reply::Updated { matched: 1, modified: 1, upserted: None });
}

#[tokio::test]
async fn upserts_begin_with_what_the_filter_says() {
    let driver = memory();
    let command = |filter: Document, update: Document| Command::Update {
        filter,
        update: update.into(),
        many: false,
        upsert: true,
    };
    let filter = doc! { "_id": 7, "a.b": 1, "n": { "$gt": 5 } };
    let reply =
        run(&driver, command(filter, doc! { "$set": { "x": 1 }, "$setOnInsert": { "y": 2 } })).await.unwrap();
    assert_eq!(reply, Reply::Updated { matched: 0, modified: 0, upserted: Some(Bson::Int32(7)) });
    assert_eq!(find(&driver, doc! {}).await, [doc! { "_id": 7, "a": { "b": 1 }, "x": 1, "y": 2 }]);
    let again = command(doc! { "_id": 7 }, doc! { "$setOnInsert": { "y": 9 }, "$inc": { "x": 1 } });
    assert_eq!(
        run(&driver, again).await.unwrap(),
        Reply::Updated { matched: 1, modified: 1, upserted: None }
    );
    let clash =
        run(&driver, command(doc! { "_id": 7, "x": 99 }, doc! { "$set": { "z": 1 } })).await.unwrap_err();
    assert_eq!(clash.code(), ErrorCode::UniqueViolation);
}

#[tokio::test]
async fn find_and_modify_answers_with_the_state_asked_for() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1, "n": 1 }]).await;
    let modify = |filter, upsert, return_after| Command::FindOneAndUpdate {
        filter,
        update: doc! { "$inc": { "n": 1 } }.into(),
        upsert,
        return_after,
        sort: None,
    };
    let document = |reply| match reply {
        Reply::Document(found) => found.map(|raw| Document::try_from(&raw).unwrap()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        document(run(&driver, modify(doc! { "_id": 1 }, false, false)).await.unwrap()),
        Some(doc! { "_id": 1, "n": 1 })
    );
    assert_eq!(
        document(run(&driver, modify(doc! { "_id": 1 }, false, true)).await.unwrap()),
        Some(doc! { "_id": 1, "n": 3 })
    );
    assert_eq!(document(run(&driver, modify(doc! { "_id": 2 }, false, true)).await.unwrap()), None);
    assert_eq!(
        document(run(&driver, modify(doc! { "_id": 2 }, true, true)).await.unwrap()),
        Some(doc! { "_id": 2, "n": 1 })
    );
    assert_eq!(document(run(&driver, modify(doc! { "_id": 3 }, true, false)).await.unwrap()), None);
    let delete = Command::FindOneAndDelete { filter: doc! { "_id": 2 } };
    assert_eq!(document(run(&driver, delete).await.unwrap()), Some(doc! { "_id": 2, "n": 1 }));
    assert_eq!(ids(&driver, doc! {}).await, [1, 3]);
}

#[tokio::test]
async fn deletes_counts_and_distinct_values() {
    let driver = memory();
    let rows: Vec<_> = (0..10).map(|i| doc! { "_id": i, "n": i % 3, "tags": ["x", i % 2] }).collect();
    insert(&driver, &rows).await;
    let count = |filter, limit| Command::Count { filter, limit, estimated: false };
    assert_eq!(run(&driver, count(doc! { "n": 0 }, None)).await.unwrap(), Reply::Count(4));
    assert_eq!(run(&driver, count(doc! {}, Some(3))).await.unwrap(), Reply::Count(3));
    let distinct = |key: &str| Command::Distinct { key: key.to_owned(), filter: doc! {} };
    assert_eq!(
        run(&driver, distinct("tags")).await.unwrap(),
        Reply::Values(vec![bson!(0), bson!(1), bson!("x")])
    );
    assert_eq!(run(&driver, distinct("nothing")).await.unwrap(), Reply::Values(vec![]));
    let delete = |many| Command::Delete { filter: doc! { "n": 0 }, many };
    assert_eq!(run(&driver, delete(false)).await.unwrap(), Reply::Deleted(1));
    assert_eq!(run(&driver, delete(true)).await.unwrap(), Reply::Deleted(3));
    assert_eq!(run(&driver, count(doc! {}, None)).await.unwrap(), Reply::Count(6));
}

#[tokio::test]
async fn a_failing_update_of_many_changes_none() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": "x" }]).await;
    let error = run(&driver, update_command(doc! {}, doc! { "$inc": { "n": 1 } })).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest);
    assert!(error.message().contains("`n`"), "{error}");
    assert_eq!(find(&driver, doc! {}).await, [doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": "x" }]);
}

#[tokio::test]
async fn databases_are_apart_and_can_be_dropped() {
    let driver = memory();
    for database in ["one", "two"] {
        driver.run(database, artifact("c", insert_command(&[doc! { "_id": 1 }])), None).await.unwrap();
    }
    driver.drop_database("one").await.unwrap();
    let all = artifact("c", find_command(doc! {}));
    assert!(documents(driver.run("one", all.clone(), None).await.unwrap().0).is_empty());
    assert_eq!(documents(driver.run("two", all.clone(), None).await.unwrap().0).len(), 1);
}

#[tokio::test]
async fn a_command_past_its_time_is_stopped() {
    let clock = Clock::default();
    let driver = forge_embedded::EmbeddedDriver::memory(forge_core::Env::new(Advancing(clock))).unwrap();
    let rows: Vec<_> = (0..1_000).map(|i| doc! { "_id": i }).collect();
    insert(&driver, &rows).await;
    let passing_over =
        Command::Find { filter: doc! {}, projection: None, sort: None, skip: Some(1_000), limit: None };
    for command in [find_command(doc! { "x": 1 }), passing_over] {
        let mut command = artifact("c", command);
        command.options.max_time = Some(std::time::Duration::from_millis(1));
        assert_eq!(driver.run("db", command, None).await.unwrap_err().code(), ErrorCode::Timeout);
    }
}

/// A clock that moves on whenever it is looked at.
struct Advancing(Clock);

impl forge_core::env::Source for Advancing {
    fn now(&self) -> forge_core::DateTime {
        self.0.0.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
        self.0.now()
    }
    fn random(&self) -> [u8; 16] {
        self.0.random()
    }
}

#[tokio::test]
async fn a_closed_engine_says_so() {
    let driver = memory();
    driver.close().await;
    assert_eq!(run(&driver, find_command(doc! {})).await.unwrap_err().code(), ErrorCode::Unavailable);
    assert_eq!(run(&driver, insert_command(&[doc! {}])).await.unwrap_err().code(), ErrorCode::Unavailable);
}
