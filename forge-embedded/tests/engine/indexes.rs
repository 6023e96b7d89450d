use bson::{Bson, Document, doc};
use forge_core::ErrorCode;
use forge_core::ir::Collation;
use forge_embedded::EmbeddedDriver;
use forge_mongo::{Command, Driver, Reply};
use proptest::prelude::*;

use crate::support::*;

async fn index(driver: &EmbeddedDriver, spec: Document) {
    driver.create_index("db", "c", &spec).await.unwrap();
}

/// The index that a find uses, and how many documents it looks at.
async fn explained(driver: &EmbeddedDriver, command: Command) -> (Option<String>, u64, bool) {
    let step = driver.explain("db", &artifact("c", command)).await.unwrap();
    (step.index, step.documents_examined.unwrap(), step.sorts_in_memory)
}

fn sorted(filter: Document, sort: Document, limit: u64) -> Command {
    Command::Find { filter, projection: None, sort: Some(sort), skip: None, limit: Some(limit) }
}

async fn flights() -> EmbeddedDriver {
    let driver = memory();
    let rows: Vec<_> = (0..1_000)
        .map(|i| doc! { "_id": i, "origin": format!("A{}", i % 10), "delay": i % 100, "date": 1_000 - i })
        .collect();
    insert(&driver, &rows).await;
    index(&driver, doc! { "key": { "origin": 1, "date": -1 }, "name": "origin_date" }).await;
    index(&driver, doc! { "key": { "delay": 1 }, "name": "delay" }).await;
    driver
}

fn skipping(command: Command, first: u64) -> Command {
    match command {
        Command::Find { filter, projection, sort, limit, .. } => {
            Command::Find { filter, projection, sort, skip: Some(first), limit }
        }
        other => other,
    }
}

#[tokio::test]
async fn plans_use_equality_then_range_then_order() {
    let driver = flights().await;
    let cases = [
        (find_command(doc! { "_id": 5 }), Some("_id_"), 1, false),
        (find_command(doc! { "_id": { "$in": [1, 2, 9_999] } }), Some("_id_"), 2, false),
        (find_command(doc! { "origin": "A1" }), Some("origin_date"), 100, false),
        (find_command(doc! { "origin": { "$in": ["A1", "A2"] } }), Some("origin_date"), 200, false),
        (find_command(doc! { "origin": "A1", "date": { "$gt": 900 } }), Some("origin_date"), 10, false),
        (find_command(doc! { "delay": { "$gte": 95, "$lt": 97 } }), Some("delay"), 20, false),
        (find_command(doc! { "date": 5 }), None, 1_000, false),
        (find_command(doc! { "$or": [{ "delay": 1 }, { "delay": 2 }] }), Some("delay"), 20, false),
        (sorted(doc! { "origin": "A1" }, doc! { "date": -1 }, 3), Some("origin_date"), 3, false),
        (sorted(doc! { "origin": "A1" }, doc! { "date": 1 }, 3), Some("origin_date"), 3, false),
        (sorted(doc! {}, doc! { "delay": -1, "_id": -1 }, 5), Some("delay"), 5, false),
        (sorted(doc! {}, doc! { "_id": -1 }, 5), None, 5, false),
        // Ten documents tie on the first key; `_id` decides among them, the other way round.
        (sorted(doc! {}, doc! { "delay": -1, "_id": 1 }, 5), Some("delay"), 5, false),
        (sorted(doc! {}, doc! { "delay": 1, "_id": -1 }, 5), Some("delay"), 5, false),
        (sorted(doc! { "origin": "A1" }, doc! { "date": -1, "_id": -1 }, 3), Some("origin_date"), 3, false),
        // What is skipped need not be read.
        (skipping(sorted(doc! {}, doc! { "delay": -1, "_id": 1 }, 5), 25), Some("delay"), 5, false),
        (skipping(sorted(doc! { "date": { "$gt": 5 } }, doc! { "_id": 1 }, 5), 25), None, 30, false),
        (sorted(doc! {}, doc! { "date": 1 }, 5), None, 1_000, true),
    ];
    for (command, name, examined, sorts) in cases {
        let found = explained(&driver, command.clone()).await;
        assert_eq!(found, (name.map(str::to_owned), examined, sorts), "{command:?}");
    }
}

#[tokio::test]
async fn counts_that_an_index_covers_read_no_document() {
    let driver = flights().await;
    let count = |filter| Command::Count { filter, limit: None, estimated: false };
    assert_eq!(explained(&driver, count(doc! { "delay": { "$gte": 95 } })).await.1, 0);
    assert_eq!(run(&driver, count(doc! { "delay": { "$gte": 95 } })).await.unwrap(), Reply::Count(50));
    assert_eq!(run(&driver, count(doc! { "delay": 5, "origin": "A5" })).await.unwrap(), Reply::Count(10));
}

#[tokio::test]
async fn unique_indexes_refuse_and_allow_as_in_mongodb() {
    let driver = memory();
    index(&driver, doc! { "key": { "a": 1, "b": 1 }, "name": "ab", "unique": true }).await;
    index(&driver, doc! { "key": { "s": 1 }, "name": "s", "unique": true, "sparse": true }).await;
    index(
        &driver,
        doc! { "key": { "p": 1 }, "name": "p", "unique": true, "partialFilterExpression": { "live": true } },
    )
    .await;
    let rows = [
        doc! { "_id": 1, "a": 1, "b": [1, 2], "p": 1 },
        doc! { "_id": 2, "a": 1, "b": 3, "p": 1, "live": true },
        doc! { "_id": 3, "a": 1.0, "b": 2 },
        doc! { "_id": 4, "s": 1 },
        doc! { "_id": 5, "a": 2, "s": 1 },
        doc! { "_id": 6, "b": null },
        doc! { "_id": 7, "a": 7, "p": 1, "live": true },
        doc! { "_id": 8, "a": 8, "p": 1, "live": false },
    ];
    let failures: Vec<_> = insert(&driver, &rows)
        .await
        .into_iter()
        .map(|(at, failure)| (at, failure.key_paths.concat()))
        .collect();
    let expected = [(2, "ab"), (4, "s"), (5, "ab"), (6, "p")];
    assert_eq!(failures, expected.map(|(at, paths)| (at, paths.to_owned())));
    run(&driver, Command::Delete { filter: doc! { "_id": 1 }, many: false }).await.unwrap();
    assert!(
        insert(&driver, &[doc! { "_id": 3, "a": 1, "b": 2 }]).await.is_empty(),
        "its values are free again"
    );
}

#[tokio::test]
async fn indexes_are_filled_when_they_are_created_or_not_at_all() {
    let driver = memory();
    insert(&driver, &[doc! { "_id": 1, "u": 1 }, doc! { "_id": 2, "u": 1 }, doc! { "_id": 3, "u": [5, 6] }])
        .await;
    let spec = doc! { "key": { "u": 1 }, "name": "u", "unique": true };
    let error = driver.create_index("db", "c", &spec).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UniqueViolation);
    assert_eq!(driver.list_indexes("db", "c").await.unwrap().len(), 1);
    index(&driver, doc! { "key": { "u": 1 } }).await;
    index(&driver, doc! { "key": { "u": 1 } }).await;
    assert_eq!(ids(&driver, doc! { "u": 6 }).await, [3]);
    assert_eq!(explained(&driver, find_command(doc! { "u": 6 })).await.0.as_deref(), Some("u_1"));
    driver.drop_index("db", "c", "u_1").await.unwrap();
    assert_eq!(explained(&driver, find_command(doc! { "u": 6 })).await.0, None);
    assert_eq!(driver.drop_index("db", "c", "u_1").await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn alternatives_and_beginnings_are_read_through_indexes() {
    let driver = memory();
    let rows: Vec<_> = (0..500).map(|i| doc! { "_id": i, "a": i, "b": format!("x{i:03}"), "c": i }).collect();
    insert(&driver, &rows).await;
    index(&driver, doc! { "key": { "a": 1 } }).await;
    index(&driver, doc! { "key": { "b": -1 } }).await;
    let either = doc! { "$or": [{ "a": 7 }, { "b": "x009" }, { "_id": 7 }] };
    assert_eq!(ids(&driver, either.clone()).await, [7, 9]);
    assert_eq!(explained(&driver, find_command(either)).await.0.as_deref(), Some("a_1 or b_-1 or _id_"));
    let unserved = doc! { "$or": [{ "a": 7 }, { "c": 9 }] };
    assert_eq!(explained(&driver, find_command(unserved)).await.0, None);
    let beginning = doc! { "b": { "$regex": "^x01[0-2]" } };
    assert_eq!(ids(&driver, beginning.clone()).await, [12, 11, 10], "in the order of the index");
    assert_eq!(explained(&driver, find_command(beginning)).await.0.as_deref(), Some("b_-1"));
    let anywhere = doc! { "b": { "$regex": "x01" } };
    assert_eq!(explained(&driver, find_command(anywhere)).await.0, None);
}

#[tokio::test]
async fn index_kinds_that_are_missing_are_named() {
    let driver = memory();
    for (spec, name) in
        [(doc! { "key": { "a": 1, "b": "text" } }, "`a`"), (doc! { "key": { "a": "sounds" } }, "sounds")]
    {
        let error = driver.create_index("db", "c", &spec).await.unwrap_err();
        assert!(error.message().contains(name), "{error}");
    }
    let clash = [doc! { "key": { "a": 1 }, "name": "x" }, doc! { "key": { "b": 1 }, "name": "x" }];
    driver.create_index("db", "c", &clash[0]).await.unwrap();
    assert_eq!(driver.create_index("db", "c", &clash[1]).await.unwrap_err().code(), ErrorCode::Conflict);
}

#[tokio::test]
async fn near_is_sorted_by_distance_and_looks_only_nearby() {
    let driver = memory();
    let point = |lon: f64, lat: f64| doc! { "type": "Point", "coordinates": [lon, lat] };
    let rows: Vec<_> = (0..3_600)
        .map(|i| doc! { "_id": i, "at": point(f64::from(i % 360) - 180.0, f64::from(i / 360) * 15.0 - 70.0) })
        .collect();
    insert(&driver, &rows).await;
    let near = |metres: f64| {
        doc! { "at": { "$nearSphere": { "$geometry": point(179.6, 5.0), "$maxDistance": metres } } }
    };
    let scanned = ids(&driver, near(400_000.0)).await;
    index(&driver, doc! { "key": { "at": "2dsphere" }, "name": "at" }).await;
    let (name, examined, _) = explained(&driver, find_command(near(400_000.0))).await;
    assert_eq!(name.as_deref(), Some("at"));
    assert!(examined < 60, "{examined} documents were looked at");
    assert_eq!(ids(&driver, near(400_000.0)).await, scanned);
    assert_eq!(scanned[..3], [1_800, 2_159, 1_801], "nearest first, across the antimeridian");
    let within =
        doc! { "at": { "$geoWithin": { "$centerSphere": [[179.6, 5.0], 400_000.0 / 6_378_100.0] } } };
    let mut found = ids(&driver, within).await;
    found.sort_unstable();
    let mut scanned = scanned;
    scanned.sort_unstable();
    assert_eq!(found, scanned);
    assert_eq!(
        insert(&driver, &[doc! { "_id": -1 }]).await.len(),
        0,
        "documents without a point are left out"
    );
    let bad = doc! { "_id": -2, "at": { "type": "Point", "coordinates": [999, 0] } };
    let failures = insert(&driver, &[bad, doc! { "_id": -3 }]).await;
    assert_eq!(failures.len(), 1);
    assert!(failures[0].1.message.contains("`at`"), "{failures:?}");
}

#[tokio::test]
async fn an_index_with_a_collation_serves_reads_with_the_same() {
    let driver = memory();
    let rows: Vec<_> = (0..100)
        .map(|i| doc! { "_id": i, "name": format!("{}{}", if i % 2 == 0 { "Ann" } else { "ANN" }, i % 10), "n": i % 5 })
        .collect();
    insert(&driver, &rows).await;
    let collation = |strength: i32| doc! { "locale": "en", "strength": strength };
    index(&driver, doc! { "key": { "name": 1 }, "name": "folded", "collation": collation(2) }).await;
    index(&driver, doc! { "key": { "name": 1 }, "name": "bytes" }).await;
    index(&driver, doc! { "key": { "n": 1 }, "name": "numbers" }).await;
    let read = |filter: Document, sort: Option<Document>, strength: u8| {
        let mut read =
            artifact("c", Command::Find { filter, projection: None, sort, skip: None, limit: Some(3) });
        read.options.collation = Some(Collation { locale: "en".into(), strength });
        read
    };
    for (filter, sort, strength, used, examined, in_memory) in [
        (doc! { "name": "ann3" }, None, 2, Some("folded"), 3, false),
        (doc! { "name": { "$gte": "ann8" } }, Some(doc! { "name": 1 }), 2, Some("folded"), 3, false),
        (doc! { "name": "ann3" }, None, 1, None, 24, false),
        (doc! { "n": 3, "name": "ann3" }, None, 1, Some("numbers"), 5, false),
        (doc! { "_id": 3, "name": "ann3" }, None, 1, Some("_id_"), 1, false),
        (doc! { "n": 3 }, Some(doc! { "name": 1 }), 1, Some("numbers"), 20, true),
    ] {
        let step = driver.explain("db", &read(filter.clone(), sort, strength)).await.unwrap();
        let found = (step.index.as_deref(), step.documents_examined.unwrap(), step.sorts_in_memory);
        assert_eq!(found, (used, examined, in_memory), "{filter} at strength {strength}");
    }
    // Bytes decide where there is no collation.
    assert_eq!(
        explained(&driver, find_command(doc! { "name": "ANN3" })).await,
        (Some("bytes".into()), 10, false)
    );
}

#[tokio::test]
async fn a_wildcard_index_among_fields_serves_the_fields_and_the_paths_behind_them() {
    let driver = memory();
    let spec = doc! { "key": { "tenant": 1, "data.$**": 1 }, "name": "wild" };
    index(&driver, spec).await;
    let rows: Vec<_> = (0..100)
        .map(|i| doc! { "_id": i, "tenant": i % 4, "data": { "a": i % 10, "b": [i % 3, "x"] } })
        .chain([doc! { "_id": 100, "tenant": 1 }])
        .collect();
    insert(&driver, &rows).await;
    for (filter, used, examined) in [
        (doc! { "tenant": 1, "data.a": 5 }, Some("wild"), 5),
        (doc! { "tenant": { "$in": [1, 3] }, "data.a": { "$gte": 9 } }, Some("wild"), 10),
        (doc! { "tenant": 1, "data.b": "x" }, Some("wild"), 25),
        (doc! { "tenant": 1 }, Some("wild"), 26),
        (doc! { "data.a": 5 }, None, 101),
    ] {
        let (index, looked_at, _) = explained(&driver, find_command(filter.clone())).await;
        assert_eq!((index.as_deref(), looked_at), (used, examined), "{filter}");
    }
    assert_eq!(ids(&driver, doc! { "tenant": 1 }).await.len(), 26, "also documents without any of the paths");
    for wrong in [
        doc! { "key": { "$**": 1, "b.$**": 1 }, "name": "w" },
        doc! { "key": { "tenant": 1, "$**": 1 }, "name": "w" },
        doc! { "key": { "at": "2dsphere", "data.$**": 1 }, "name": "w" },
    ] {
        let error = driver.create_index("db", "c", &wrong).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{wrong}");
    }
}

#[tokio::test]
async fn a_2d_index_serves_areas_and_circles() {
    let driver = memory();
    index(&driver, doc! { "key": { "at": "2d" }, "name": "at" }).await;
    let place = |i: i32| (f64::from(i % 60) * 6.0 - 178.0, f64::from(i / 60) * 8.0 - 70.0);
    let rows: Vec<_> = (0..1_000)
        .map(|i| match i % 2 {
            0 => doc! { "_id": i, "at": [place(i).0, place(i).1] },
            _ => doc! { "_id": i, "at": [[place(i).0, place(i).1], [1_000.0, 0.0]] },
        })
        .collect();
    assert_eq!(insert(&driver, &rows[..]).await.len(), 0);
    let plain = memory();
    insert(&plain, &rows).await;
    for filter in [
        doc! { "at": { "$geoWithin": { "$box": [[10.0, 5.0], [40.0, 30.0]] } } },
        doc! { "at": { "$geoWithin": { "$centerSphere": [[20.0, 10.0], 0.2] } } },
    ] {
        let (used, examined, _) = explained(&driver, find_command(filter.clone())).await;
        assert_eq!(used.as_deref(), Some("at"), "{filter}");
        assert!(examined < 700, "{examined} documents were looked at");
        let (mut found, expected) = (ids(&driver, filter.clone()).await, ids(&plain, filter).await);
        found.sort_unstable();
        assert!(!found.is_empty());
        assert_eq!(found, expected);
    }
    assert_eq!(insert(&driver, &[doc! { "_id": -1, "at": "there" }]).await.len(), 1);
}

#[tokio::test]
async fn an_index_counts_the_reads_that_went_through_it() {
    let driver = flights().await;
    let stats = || async {
        let command = Command::Aggregate { pipeline: vec![doc! { "$indexStats": {} }] };
        let rows = documents(run(&driver, command).await.unwrap());
        let uses = |row: &Document| {
            let accesses = row.get_document("accesses").unwrap();
            assert!(accesses.get_datetime("since").is_ok());
            (row.get_str("name").unwrap().to_owned(), accesses.get_i64("ops").unwrap())
        };
        rows.iter().map(uses).collect::<Vec<_>>()
    };
    let counts = |id, origin, delay| {
        vec![("_id_".to_owned(), id), ("origin_date".to_owned(), origin), ("delay".to_owned(), delay)]
    };
    assert_eq!(stats().await, counts(0, 0, 0));
    ids(&driver, doc! { "origin": "A1" }).await;
    ids(&driver, doc! { "origin": "A2" }).await;
    ids(&driver, doc! { "_id": 7 }).await;
    ids(&driver, doc! { "date": 7 }).await;
    assert_eq!(stats().await, counts(1, 2, 0));
}

#[tokio::test]
async fn expired_documents_go_by_themselves_and_on_request() {
    let clock = Clock::default();
    let driver = EmbeddedDriver::memory(forge_core::Env::new(clock.clone())).unwrap();
    index(&driver, doc! { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 10 }).await;
    let at = |millis| Bson::DateTime(bson::DateTime::from_millis(millis));
    insert(
        &driver,
        &[doc! { "_id": 1, "at": at(0) }, doc! { "_id": 2, "at": at(50_000) }, doc! { "_id": 3, "at": "x" }],
    )
    .await;
    assert_eq!(driver.purge_expired(forge_core::DateTime::from_millis(9_999)).await.unwrap(), 0);
    assert_eq!(driver.purge_expired(forge_core::DateTime::from_millis(10_000)).await.unwrap(), 1);
    clock.0.store(70_000, std::sync::atomic::Ordering::Relaxed);
    insert(&driver, &[doc! { "_id": 4 }]).await;
    assert_eq!(ids(&driver, doc! {}).await, [3, 4], "a write purges, once a minute");
}

fn value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        (-3..4_i32).prop_map(Bson::Int32),
        (-2..3_i64).prop_map(Bson::Int64),
        prop_oneof![Just(0.5), Just(1.0), Just(f64::NAN), Just(-0.0)].prop_map(Bson::Double),
        "[abAá]{0,2}".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
        Just(Bson::Null),
        (0..3_i64).prop_map(|at| Bson::DateTime(bson::DateTime::from_millis(at))),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::vec(("[bc]", inner), 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

fn row() -> impl Strategy<Value = Document> {
    let numbers = prop::collection::vec(-3..4_i32, 0..3)
        .prop_map(|list| Bson::Array(list.into_iter().map(Bson::Int32).collect()));
    prop::collection::vec(("[ab]", prop_oneof![3 => value(), 1 => numbers]), 0..3)
        .prop_map(|fields| fields.into_iter().collect())
}

fn condition() -> impl Strategy<Value = Document> {
    let path = prop_oneof![Just("a"), Just("b"), Just("a.b"), Just("b.c")];
    let operator = prop_oneof![
        Just("$eq"),
        Just("$ne"),
        Just("$gt"),
        Just("$gte"),
        Just("$lt"),
        Just("$lte"),
        Just("$in"),
        Just("$nin"),
        Just("$exists"),
        Just("$all"),
    ];
    let single =
        (path, operator, prop::collection::vec(value(), 1..3)).prop_map(|(path, operator, mut values)| {
            let operand = match operator {
                "$in" | "$nin" | "$all" => Bson::Array(values),
                "$exists" => Bson::Boolean(values.len() == 1),
                _ => values.swap_remove(0),
            };
            doc! { path: { operator: operand } }
        });
    // Both ends of a range on one field: arrays may fulfil them with different elements.
    let between = (prop_oneof![Just("a"), Just("b"), Just("a.b")], -3..4_i32, -3..4_i32)
        .prop_map(|(path, low, high)| doc! { path: { "$gte": low, "$lt": high } });
    let kinds = (
        prop_oneof![Just("a"), Just("b"), Just("a.b")],
        prop::sample::select(vec![
            doc! { "$type": "string" },
            doc! { "$type": ["array", "number"] },
            doc! { "$mod": [2, 1] },
            doc! { "$bitsAnySet": 5 },
        ]),
    )
        .prop_map(|(path, kind)| doc! { path: kind });
    prop::collection::vec(prop_oneof![6 => single, 2 => between, 1 => kinds], 0..3).prop_map(
        |list| match list.is_empty() {
            true => doc! {},
            false => doc! { "$and": list },
        },
    )
}

fn order() -> impl Strategy<Value = Option<Document>> {
    let direction = || prop_oneof![Just(1), Just(-1)];
    prop_oneof![
        Just(None),
        (direction(), direction()).prop_map(|(a, id)| Some(doc! { "a": a, "_id": id })),
        (direction(), direction(), direction())
            .prop_map(|(a, b, id)| Some(doc! { "b": b, "a": a, "_id": id })),
    ]
}

/// What a read skips, and how much it takes.
type Window = (Option<u64>, Option<u64>);

fn window() -> impl Strategy<Value = Window> {
    (prop::option::of(0..4_u64), prop::option::of(1..5_u64))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_index_never_changes_an_answer(
        rows in prop::collection::vec(row(), 1..12),
        filters in prop::collection::vec((condition(), order(), window()), 1..6),
        late in any::<bool>(),
        strength in prop::option::of(1..4_u8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(rows, filters, late, strength))?;
    }
}

/// Runs the same reads with and without indexes.
async fn compare(
    rows: Vec<Document>,
    reads: Vec<(Document, Option<Document>, Window)>,
    late: bool,
    strength: Option<u8>,
) -> Result<(), TestCaseError> {
    let (plain, indexed) = (memory(), memory());
    let rows: Vec<_> = rows
        .into_iter()
        .enumerate()
        .map(|(i, row)| {
            let mut whole = doc! { "_id": i as i32 };
            whole.extend(row);
            whole
        })
        .collect();
    insert(&plain, &rows).await;
    if late {
        insert(&indexed, &rows).await;
    }
    for (name, key) in
        [("a", doc! { "a": 1 }), ("ba", doc! { "b": -1, "a": 1 }), ("ab", doc! { "a.b": 1, "b.c": -1 })]
    {
        index(&indexed, doc! { "key": key.clone(), "name": name }).await;
        index(&indexed, doc! { "key": key, "name": format!("{name}_sparse"), "sparse": true }).await;
    }
    index(
        &indexed,
        doc! { "key": { "a": 1, "$**": 1 }, "name": "wild", "wildcardProjection": { "a": 0, "_id": 0 } },
    )
    .await;
    if let Some(strength) = strength {
        let collation = doc! { "locale": "en", "strength": i32::from(strength) };
        for (name, key) in
            [("ca", doc! { "a": 1 }), ("cba", doc! { "b": -1, "a": 1 }), ("cw", doc! { "b.$**": 1 })]
        {
            index(&indexed, doc! { "key": key, "name": name, "collation": collation.clone() }).await;
        }
    }
    let read = |command: Command| {
        let mut read = artifact("c", command);
        read.options.collation = strength.map(|strength| Collation { locale: "en".into(), strength });
        read
    };
    if !late {
        insert(&indexed, &rows).await;
        // Entries follow the documents through updates.
        for driver in [&plain, &indexed] {
            let swap = Command::Update {
                filter: doc! { "_id": 0 },
                update: doc! { "$rename": { "a": "b" } }.into(),
                many: false,
                upsert: false,
            };
            run(driver, swap).await.unwrap();
        }
    }
    for (filter, sort, window) in reads {
        // Without an order only the set is defined.
        let (skip, limit) = if sort.is_some() { window } else { (None, None) };
        let command =
            Command::Find { filter: filter.clone(), projection: None, sort: sort.clone(), skip, limit };
        let answer = |driver: EmbeddedDriver, command: Command, ordered: bool| async move {
            let mut ids: Vec<i32> = documents(driver.run("db", read(command), None).await.unwrap().0)
                .iter()
                .map(|document| document.get_i32("_id").unwrap())
                .collect();
            if !ordered {
                ids.sort_unstable();
            }
            ids
        };
        let expected = answer(plain.clone(), command.clone(), sort.is_some()).await;
        let found = answer(indexed.clone(), command.clone(), sort.is_some()).await;
        let plan = indexed.explain("db", &read(command)).await.unwrap().index;
        prop_assert_eq!(&found, &expected, "{} {:?} by {:?} over {:?}", filter, sort, plan, rows);
        let count = read(Command::Count { filter: filter.clone(), limit: None, estimated: false });
        let (expected, counted) = (
            plain.run("db", count.clone(), None).await.unwrap().0,
            indexed.run("db", count.clone(), None).await.unwrap().0,
        );
        prop_assert_eq!(expected, counted, "{}", filter);
    }
    Ok(())
}
