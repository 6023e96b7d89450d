//! Places on a plane: pairs of numbers, in the unit of their coordinates.

use bson::{Bson, Document, doc};
use forge::ir::{Area, Filter, Predicate};
use forge::{ErrorCode, Model};
use forge_mongo::{Command, Driver as _, Reply};
use forge_tests::engine::skip;
use forge_tests::models::Item;
use forge_tests::{Engine, Fixture, Result, conformance};

async fn fill(t: &Fixture) -> Result<()> {
    t.driver.create_index(t.name(), "items", &doc! { "key": { "a": "2d" }, "name": "a_2d" }).await?;
    let items = [
        doc! { "_id": 1, "a": [0, 0], "n": 1 },
        doc! { "_id": 2, "a": [3, 4], "n": 2 },
        doc! { "_id": 3, "a": { "x": -6.0, "y": 8.0 }, "n": 1 },
        doc! { "_id": 4, "a": [60, 60], "n": 2 },
        doc! { "_id": 5, "n": 1 },
    ];
    t.seed("items", items).await
}

fn on(predicate: Predicate) -> Filter {
    Filter::Field("a".into(), predicate)
}

fn near(max: Option<f64>, min: Option<f64>) -> Filter {
    on(Predicate::NearOnPlane { point: [0.0, 1.0], max, min })
}

/// The ids that a raw condition finds, in the order of the answer.
async fn found(t: &Fixture, filter: Document) -> Result<Vec<i32>> {
    let find = Command::Find { filter, projection: None, sort: None, skip: None, limit: None };
    let Reply::Documents(documents) = t.send("items", find).await? else { panic!() };
    Ok(documents.iter().map(|document| document.get_i32("_id").unwrap()).collect())
}

/// The ids that a condition finds, by their numbers.
async fn ids(t: &Fixture, filter: Filter) -> Result<Vec<i32>> {
    Ok(t.ids(Item::def(), filter).await?.iter().filter_map(Bson::as_i32).collect())
}

conformance! {
    async fn the_nearest_come_first(t) {
        fill(t).await?;
        assert_eq!(found(t, doc! { "a": { "$near": [0, 1] } }).await?, [1, 2, 3, 4]);
        // `$near` sorts by distance; SecantusDB keeps the order of the collection.
        if !t.stand_in {
            assert_eq!(found(t, doc! { "a": { "$near": [3, 4] } }).await?, [2, 1, 3, 4]);
            assert_eq!(found(t, doc! { "a": { "$near": [3, 4], "$maxDistance": 5 } }).await?, [2, 1]);
            assert_eq!(found(t, doc! { "a": { "$near": [3, 4], "$maxDistance": 10, "$minDistance": 1 } }).await?, [1, 3]);
            assert_eq!(found(t, doc! { "a": { "$near": [3, 4] }, "n": 1 }).await?, [1, 3]);
            assert_eq!(found(t, doc! { "a": { "$near": { "x": 3, "y": 4 }, "$maxDistance": 5 } }).await?, [2, 1]);
            assert_eq!(found(t, doc! { "a": { "$near": [3, 4, 5] } }).await?, [2, 1], "the largest distance may be the third number");
            let radians = 6.0_f64.to_radians();
            assert_eq!(found(t, doc! { "a": { "$nearSphere": [3, 4], "$maxDistance": radians } }).await?, [2, 1], "radians on the sphere");
        }
    }

    async fn distances_stand_in_counts_and_beside_other_conditions(t) {
        fill(t).await?;
        assert_eq!(ids(t, near(Some(6.0), None)).await?, [1, 2]);
        assert_eq!(ids(t, near(Some(10.0), Some(2.0)).and(Filter::eq("n", 2))).await?, [2]);
        assert_eq!(ids(t, near(Some(2.0), None).or(Filter::eq("_id", 4))).await?, [1, 4]);
        assert_eq!(ids(t, near(Some(6.0), None).negate()).await?, [3, 4, 5]);
        let filter = doc! { "a": { "$geoWithin": { "$center": [[0, 1], 6] } } };
        let Reply::Count(count) = t.send("items", Command::Count { filter, limit: None, estimated: false }).await? else { panic!() };
        assert_eq!(count, 2);
        let unbounded = ids(t, near(None, None).or(Filter::eq("_id", 4))).await.unwrap_err();
        assert_eq!(unbounded.code(), ErrorCode::Unsupported);
    }

    async fn figures_hold_what_is_in_them(t) {
        fill(t).await?;
        let within = async |area| ids(t, on(Predicate::Within(area))).await;
        assert_eq!(within(Area::Circle { centre: [0.0, 0.0], radius: 5.5 }).await?, [1, 2]);
        assert_eq!(within(Area::Rectangle { low: [-7.0, -1.0], high: [1.0, 9.0] }).await?, [1, 3]);
        assert_eq!(within(Area::Outline(vec![[-1.0, -2.0], [70.0, -2.0], [70.0, 80.0], [-1.0, 8.0]])).await?, [1, 2, 4]);
        let outside = Filter::Not(Box::new(on(Predicate::Within(Area::Circle { centre: [0.0, 0.0], radius: 5.5 }))));
        assert_eq!(ids(t, outside).await?, [3, 4, 5]);
        assert_eq!(found(t, doc! { "a": { "$geoWithin": { "$polygon": [[50, 50], [70, 50], [70, 70], [50, 70]] } } }).await?, [4]);
        let sphere = doc! { "a": { "$geoWithin": { "$centerSphere": [[0, 0], 0.1] } } };
        assert_eq!(found(t, sphere).await?, [1, 2], "radians");
    }

    async fn planes_have_no_end(t) {
        if t.engine == Engine::Server {
            // An index of a server says how far its plane goes.
            return Ok(());
        }
        fill(t).await?;
        t.seed("items", [doc! { "_id": 6, "a": [5000, -5000] }, doc! { "_id": 7, "a": [[200, 200], [-200, 1]] }]).await?;
        assert_eq!(found(t, doc! { "a": { "$near": [5000, -5001], "$maxDistance": 3 } }).await?, [6]);
        assert_eq!(found(t, doc! { "a": { "$geoWithin": { "$box": [[199, 199], [201, 201]] } } }).await?, [7]);
        assert_eq!(found(t, doc! { "a": { "$geoWithin": { "$center": [[-200, 0], 1] } } }).await?, [7]);
        let explained = t.driver.explain(t.name(), &forge_mongo::MongoArtifact::new("items", Command::Find {
            filter: doc! { "a": { "$near": [0, 0], "$maxDistance": 1 } }, projection: None, sort: None, skip: None, limit: None,
        })).await?;
        assert_eq!(explained.index.as_deref(), Some("a_2d"), "{explained:?}");
        assert!(explained.documents_examined.is_some_and(|examined| examined < 7), "{explained:?}");
        let pipeline = vec![doc! { "$geoNear": { "near": [0, 0], "distanceField": "far", "maxDistance": 1 } }];
        let near = forge_mongo::MongoArtifact::new("items", Command::Aggregate { pipeline });
        let explained = t.driver.explain(t.name(), &near).await?;
        assert!(explained.documents_examined.is_some_and(|examined| examined < 7), "{explained:?}");
    }

    async fn distances_are_told_by_pipelines(t) {
        fill(t).await?;
        let near = |form: Document| vec![doc! { "$geoNear": form }, doc! { "$project": { "far": 1 } }];
        let told = async |form: Document| {
            let Reply::Documents(rows) = t.send("items", Command::Aggregate { pipeline: near(form) }).await? else { panic!() };
            forge_tests::engine::done(rows.iter().map(|row| (row.get_i32("_id").unwrap(), row.get_f64("far").unwrap())).collect::<Vec<_>>())
        };
        assert_eq!(told(doc! { "near": [3, 4], "distanceField": "far", "key": "a", "maxDistance": 11 }).await?, [(2, 0.0), (1, 5.0), (3, 97_f64.sqrt())]);
        assert_eq!(told(doc! { "near": [3, 4], "distanceField": "far", "query": { "n": 1 }, "minDistance": 6 }).await?, [(3, 97_f64.sqrt())], "the only index says where");
        if t.stand_in {
            skip("the stand-in server has no `$geoNear` in radians");
            return Ok(());
        }
        let radians = told(doc! { "near": [0, 4], "distanceField": "far", "spherical": true, "maxDistance": 0.1 }).await?;
        assert_eq!(radians.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 1]);
        assert!((radians[1].1 - 4_f64.to_radians()).abs() < 1e-9, "{radians:?}");
    }
}
