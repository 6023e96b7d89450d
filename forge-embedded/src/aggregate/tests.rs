use bson::{Bson, Document, bson, doc};
use forge_core::env::Source;
use forge_core::{Env, ErrorCode, Result};
use forge_mongo::{Command, MongoArtifact};

use super::*;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::store::{Database, Tables};
use crate::write::{Pending, Writing};

struct Fixed;

impl Source for Fixed {
    fn now(&self) -> forge_core::DateTime {
        forge_core::DateTime::from_millis(1_000)
    }
    fn random(&self) -> [u8; 16] {
        [1; 16]
    }
}

/// Runs a pipeline over `flights` next to a collection `airports`.
fn aggregate(pipeline: &[Document]) -> Result<Vec<Document>> {
    let database = Database::memory();
    let env = Env::new(Fixed);
    let mut pending = Pending::new(std::sync::Arc::new(Catalog::default()));
    let mut txn = database.begin_write().unwrap();
    {
        let mut writing = Writing::open(&mut txn, &mut pending, &env).unwrap();
        let mut insert = |collection: &str, documents: Vec<Document>| {
            let documents = documents.iter().map(|document| keys::to_raw(document).unwrap()).collect();
            let command = Command::Insert { documents, ordered: true };
            writing.run("t", &MongoArtifact::new(collection, command)).unwrap();
        };
        insert(
            "flights",
            vec![
                doc! { "_id": 1, "from": "JFK", "delay": 10, "legs": [{ "km": 5 }, { "km": 7 }] },
                doc! { "_id": 2, "from": "LAX", "delay": 30, "legs": [] },
                doc! { "_id": 3, "from": "JFK", "delay": 20, "tags": ["a", "b"] },
                doc! { "_id": 4, "delay": Bson::Null },
            ],
        );
        insert(
            "airports",
            vec![doc! { "_id": "JFK", "city": "New York" }, doc! { "_id": "LAX", "city": "Los Angeles" }],
        );
    }
    txn.commit().unwrap();
    let snapshot = database.begin_read().unwrap();
    let tables = Tables::read(&snapshot).unwrap();
    let clock = Clock::without_end(&env);
    let view = View { tables: &tables, catalog: &pending.catalog, database: "t", clock: &clock };
    run(&view, "flights", pipeline, None, None)?.iter().map(|raw| Ok(Document::try_from(raw)?)).collect()
}

#[test]
fn stages_answer_as_mongodb_does() {
    let cases = [
        (
            vec![
                doc! { "$group": { "_id": "$from", "n": { "$sum": 1 }, "total": { "$sum": "$delay" }, "mean": { "$avg": "$delay" },
                "low": { "$min": "$delay" }, "high": { "$max": "$delay" }, "ids": { "$push": "$_id" } } },
                doc! { "$sort": { "n": -1, "_id": 1 } },
            ],
            vec![
                doc! { "_id": "JFK", "n": 2, "total": 30, "mean": 15.0, "low": 10, "high": 20, "ids": [1, 3] },
                doc! { "_id": Bson::Null, "n": 1, "total": 0, "mean": Bson::Null, "low": Bson::Null, "high": Bson::Null, "ids": [4] },
                doc! { "_id": "LAX", "n": 1, "total": 30, "mean": 30.0, "low": 30, "high": 30, "ids": [2] },
            ],
        ),
        (
            vec![
                doc! { "$match": { "delay": { "$gte": 10 } } },
                doc! { "$setWindowFields": { "partitionBy": "$from", "sortBy": { "delay": -1 },
                "output": { "n": { "$documentNumber": {} } } } },
                doc! { "$match": { "n": { "$lte": 1 } } },
                doc! { "$sort": { "n": 1 } },
                doc! { "$project": { "n": 1 } },
            ],
            vec![doc! { "_id": 3, "n": 1 }, doc! { "_id": 2, "n": 1 }],
        ),
        (
            vec![
                doc! { "$sort": { "delay": -1 } },
                doc! { "$group": { "_id": "$from", "all": { "$push": "$$ROOT" } } },
                doc! { "$match": { "_id": "JFK" } },
                doc! { "$project": { "_id": 0, "top": { "$slice": ["$all._id", 1] } } },
            ],
            vec![doc! { "top": [3] }],
        ),
        (
            vec![
                doc! { "$group": { "_id": Bson::Null, "best": { "$topN": { "n": 2, "sortBy": { "delay": -1 }, "output": "$_id" } } } },
            ],
            vec![doc! { "_id": Bson::Null, "best": [2, 3] }],
        ),
        (
            vec![
                doc! { "$match": { "_id": { "$in": [1, 4] } } },
                doc! { "$lookup": { "from": "airports", "localField": "from", "foreignField": "_id", "as": "origin" } },
                doc! { "$project": { "origin": 1 } },
            ],
            vec![
                doc! { "_id": 1, "origin": [{ "_id": "JFK", "city": "New York" }] },
                doc! { "_id": 4, "origin": [] },
            ],
        ),
        (
            vec![doc! { "$unwind": "$legs" }, doc! { "$project": { "_id": 0, "km": "$legs.km" } }],
            vec![doc! { "km": 5 }, doc! { "km": 7 }],
        ),
        (
            vec![
                doc! { "$unwind": { "path": "$tags", "preserveNullAndEmptyArrays": true, "includeArrayIndex": "at" } },
                doc! { "$match": { "_id": { "$gte": 3 } } },
                doc! { "$project": { "tags": 1, "at": 1 } },
            ],
            vec![
                doc! { "_id": 3, "tags": "a", "at": 0_i64 },
                doc! { "_id": 3, "tags": "b", "at": 1_i64 },
                doc! { "_id": 4, "at": Bson::Null },
            ],
        ),
        (vec![doc! { "$match": { "delay": { "$gt": 10 } } }, doc! { "$count": "n" }], vec![doc! { "n": 2 }]),
        (vec![doc! { "$match": { "delay": 999 } }, doc! { "$count": "n" }], vec![]),
        (
            vec![doc! { "$sortByCount": "$from" }, doc! { "$limit": 1 }],
            vec![doc! { "_id": "JFK", "count": 2 }],
        ),
        (
            vec![
                doc! { "$facet": { "all": [{ "$count": "n" }], "one": [{ "$limit": 1 }, { "$project": { "_id": 1 } }] } },
            ],
            vec![doc! { "all": [{ "n": 4 }], "one": [{ "_id": 1 }] }],
        ),
        (
            vec![doc! { "$match": { "_id": 1 } }, doc! { "$unset": ["legs.km", "delay"] }],
            vec![doc! { "_id": 1, "from": "JFK", "legs": [{}, {}] }],
        ),
        (
            vec![
                doc! { "$match": { "_id": 1 } },
                doc! { "$set": { "a.b": { "$add": ["$delay", 5] }, "delay": "$nothing" } },
                doc! { "$replaceRoot": { "newRoot": { "$mergeObjects": ["$a", { "from": "$from" }] } } },
            ],
            vec![doc! { "b": 15, "from": "JFK" }],
        ),
        (
            vec![
                doc! { "$sort": { "_id": -1 } },
                doc! { "$skip": 1 },
                doc! { "$limit": 1 },
                doc! { "$project": { "_id": 1 } },
            ],
            vec![doc! { "_id": 3 }],
        ),
    ];
    for (pipeline, expected) in cases {
        assert_eq!(aggregate(&pipeline).unwrap(), expected, "{pipeline:?}");
    }
}

#[test]
fn expressions_evaluate_as_in_mongodb() {
    let cases = [
        (bson!({ "$add": ["$delay", 2.5] }), bson!(12.5)),
        (bson!({ "$subtract": ["$delay", 3] }), bson!(7)),
        (bson!({ "$multiply": ["$delay", 3_i64] }), bson!(30_i64)),
        (bson!({ "$divide": ["$delay", 4] }), bson!(2.5)),
        (bson!({ "$add": ["$delay", "$nothing"] }), Bson::Null),
        (bson!({ "$cond": [{ "$gt": ["$delay", 5] }, "late", "fine"] }), bson!("late")),
        (bson!({ "$cond": { "if": "$nothing", "then": 1, "else": 2 } }), bson!(2)),
        (bson!({ "$ifNull": ["$nothing", "x"] }), bson!("x")),
        (bson!({ "$and": ["$delay", { "$not": ["$nothing"] }] }), bson!(true)),
        (bson!({ "$or": [0, Bson::Null] }), bson!(false)),
        (bson!({ "$in": ["$from", ["JFK", "LAX"]] }), bson!(true)),
        (bson!({ "$size": "$legs" }), bson!(2)),
        (bson!({ "$arrayElemAt": ["$legs.km", -1] }), bson!(7)),
        (bson!({ "$first": "$legs.km" }), bson!(5)),
        (bson!({ "$slice": ["$legs.km", -1] }), bson!([7])),
        (bson!({ "$slice": ["$legs.km", 1, 5] }), bson!([7])),
        (
            bson!({ "$filter": { "input": "$legs", "as": "l", "cond": { "$gt": ["$$l.km", 5] } } }),
            bson!([{ "km": 7 }]),
        ),
        (bson!({ "$map": { "input": "$legs.km", "in": { "$add": ["$$this", "$delay"] } } }), bson!([15, 17])),
        (bson!({ "$concat": [{ "$toLower": "$from" }, "-", { "$toString": "$delay" }] }), bson!("jfk-10")),
        (bson!({ "$literal": "$from" }), bson!("$from")),
        (bson!(["$from", "$nothing"]), bson!(["JFK", Bson::Null])),
        (bson!("$$ROOT.from"), bson!("JFK")),
        (bson!({ "$cmp": [1, 1.0] }), bson!(0)),
    ];
    for (expression, expected) in cases {
        let pipeline =
            vec![doc! { "$match": { "_id": 1 } }, doc! { "$project": { "_id": 0, "v": expression.clone() } }];
        assert_eq!(aggregate(&pipeline).unwrap(), [doc! { "v": expected }], "{expression}");
    }
}

#[test]
fn buckets_end_at_round_numbers_where_asked_to() {
    let numbers = doc! { "$set": { "n": { "$range": [0, 100] } } };
    let buckets = |count: i32, granularity: &str| {
        let auto = doc! { "groupBy": "$n", "buckets": count, "granularity": granularity };
        let pipeline = [
            doc! { "$match": { "_id": 1 } },
            numbers.clone(),
            doc! { "$unwind": "$n" },
            doc! { "$bucketAuto": auto },
        ];
        let rows = aggregate(&pipeline).unwrap();
        let number = |id: &Document, name: &str| {
            keys::with_raw(id.get(name).unwrap(), forge_core::order::as_f64).unwrap()
        };
        rows.iter()
            .map(|row| {
                let id = row.get_document("_id").unwrap();
                (number(id, "min"), number(id, "max"), row.get_i32("count").unwrap())
            })
            .collect::<Vec<_>>()
    };
    // The examples of MongoDB's manual.
    let r20 = [(0., 20., 20), (20., 40., 20), (40., 63., 23), (63., 90., 27), (90., 100., 10)];
    assert_eq!(buckets(5, "R20"), r20);
    let e24 = [(0., 20., 20), (20., 43., 23), (43., 68., 25), (68., 91., 23), (91., 100., 9)];
    assert_eq!(buckets(5, "E24"), e24);
    assert_eq!(buckets(5, "1-2-5"), [(0., 20., 20), (20., 50., 30), (50., 100., 50)]);
    assert_eq!(buckets(5, "POWERSOF2"), [(0., 32., 32), (32., 64., 32), (64., 128., 36)]);
    assert_eq!(buckets(100, "R5")[0], (0., 0.63, 1), "zeros have a bucket of their own");
}

#[test]
fn random_numbers_differ_and_are_below_one() {
    let roll = doc! { "$set": { "a": { "$rand": {} }, "b": { "$rand": {} } } };
    let rows = aggregate(&[roll]).unwrap();
    let mut seen: Vec<f64> =
        rows.iter().flat_map(|row| ["a", "b"].map(|name| row.get_f64(name).unwrap())).collect();
    assert!(seen.iter().all(|number| (0.0..1.0).contains(number)), "{seen:?}");
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert_eq!(seen.len(), 8, "each document and each place has its own");
    let none = doc! { "$match": { "$expr": { "$lt": [{ "$rand": {} }, 0] } } };
    assert_eq!(aggregate(&[none]).unwrap(), Vec::<Document>::new());
    let all = doc! { "$match": { "$expr": { "$lt": [{ "$rand": {} }, 1] } } };
    assert_eq!(aggregate(&[all]).unwrap().len(), 4);
    let sampled = |rate: f64| aggregate(&[doc! { "$match": { "$sampleRate": rate } }]).unwrap().len();
    assert_eq!((sampled(0.0), sampled(1.0)), (0, 4));
}

#[test]
fn what_is_missing_is_named() {
    for (stage, what) in [
        (doc! { "$collStats": {} }, "pipeline stage `$collStats`"),
        (doc! { "$project": { "a": { "$function": {} } } }, "expression operator `$function`"),
        (doc! { "$group": { "_id": 1, "a": { "$accumulator": {} } } }, "accumulator `$accumulator`"),
    ] {
        let error = aggregate(&[stage]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        assert!(error.message().ends_with(&format!("the embedded engine has no {what}")), "{error}");
    }
}

#[test]
fn malformed_stages_are_refused() {
    for stage in [
        doc! {},
        doc! { "$limit": 0 },
        doc! { "$limit": 1, "$skip": 1 },
        doc! { "$project": {} },
        doc! { "$group": { "a": { "$sum": 1 } } },
        doc! { "$unwind": "legs" },
        doc! { "$set": { "a": { "$divide": [1, 0] } } },
        doc! { "$set": { "a": "$$nobody" } },
    ] {
        assert_eq!(
            aggregate(std::slice::from_ref(&stage)).unwrap_err().code(),
            ErrorCode::BadRequest,
            "{stage}"
        );
    }
}
