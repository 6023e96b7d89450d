//! `$jsonSchema` in conditions.

use bson::{Bson, Document, doc};
use forge::ir::Filter;
use forge::{ErrorCode, Model};
use forge_mongo::{Command, Driver as _, Reply};
use forge_tests::engine::skip;
use forge_tests::models::Item;
use forge_tests::{Fixture, Result, conformance};

async fn fill(t: &Fixture) -> Result<()> {
    let items = [
        doc! { "_id": 1, "a": "text", "b": 5 },
        doc! { "_id": 2, "a": "t", "b": 50_i64 },
        doc! { "_id": 3, "a": ["x", "y", "x"], "c": { "x": 1 } },
        doc! { "_id": 4, "c": { "x": "1" } },
    ];
    t.seed("items", items).await
}

async fn ids(t: &Fixture, schema: Document) -> Result<Vec<i32>> {
    found(t, Filter::Schema(schema)).await
}

async fn found(t: &Fixture, filter: Filter) -> Result<Vec<i32>> {
    Ok(t.ids(Item::def(), filter).await?.iter().filter_map(Bson::as_i32).collect())
}

conformance! {
    async fn documents_are_found_by_how_they_look(t) {
        fill(t).await?;
        assert_eq!(ids(t, doc! {}).await?, [1, 2, 3, 4]);
        assert_eq!(ids(t, doc! { "required": ["a"], "properties": { "a": { "bsonType": "string" } } }).await?, [1, 2]);
        assert_eq!(ids(t, doc! { "properties": { "a": { "minLength": 2 }, "b": { "maximum": 5 } } }).await?, [1, 3, 4]);
        assert_eq!(ids(t, doc! { "properties": { "c": { "properties": { "x": { "type": "number" } } } } }).await?, [1, 2, 3]);
        assert_eq!(ids(t, doc! { "properties": { "a": { "uniqueItems": true } } }).await?, [1, 2, 4]);
        assert_eq!(ids(t, doc! { "dependencies": { "a": ["b"] } }).await?, [1, 2, 4]);
        assert_eq!(ids(t, doc! { "properties": { "_id": {}, "a": {} }, "additionalProperties": { "bsonType": "object" } }).await?, [3, 4]);
        assert_eq!(ids(t, doc! { "patternProperties": { "^[bc]$": { "not": { "bsonType": "long" } } } }).await?, [1, 3, 4]);
    }

    async fn schemas_stand_beside_other_conditions(t) {
        fill(t).await?;
        let schema = || Filter::Schema(doc! { "required": ["b"] });
        assert_eq!(found(t, schema().and(Filter::eq("_id", 2))).await?, [2]);
        assert_eq!(found(t, schema().or(Filter::eq("_id", 4))).await?, [1, 2, 4]);
        assert_eq!(found(t, schema().negate()).await?, [3, 4]);
        let both = schema().and(Filter::Schema(doc! { "properties": { "b": { "bsonType": "int" } } }));
        assert_eq!(found(t, both).await?, [1]);
    }

    async fn writes_and_pipelines_take_them(t) {
        fill(t).await?;
        let schema = |name: &str| doc! { "$jsonSchema": { "required": [name] } };
        let pipeline = vec![doc! { "$match": { "b": { "$gt": 5 } } }, doc! { "$match": schema("a") }, doc! { "$project": { "_id": 1 } }];
        let Reply::Documents(rows) = t.send("items", Command::Aggregate { pipeline }).await? else { panic!() };
        assert_eq!(rows, [bson::rawdoc! { "_id": 2 }]);
        let update = doc! { "$set": { "seen": true } }.into();
        t.send("items", Command::Update { filter: schema("c"), update, many: true, upsert: false }).await?;
        t.send("items", Command::Delete { filter: doc! { "$nor": [schema("seen")] }, many: true }).await?;
        let left: Vec<_> = t.stored("items").await?.iter().map(|item| item.get_i32("_id").unwrap()).collect();
        assert_eq!(left, [3, 4]);
    }

    async fn wrong_schemas_are_refused_as_servers_refuse_them(t) {
        fill(t).await?;
        for (schema, code, server_code) in [
            (doc! { "const": 1 }, ErrorCode::Unsupported, 9),
            (doc! { "required": [] }, ErrorCode::BadRequest, 9),
            (doc! { "properties": { "a": 1 } }, ErrorCode::BadRequest, 14),
            (doc! { "type": "int" }, ErrorCode::Unsupported, 2),
        ] {
            let Err(error) = ids(t, schema.clone()).await else {
                assert!(t.stand_in, "{schema} is taken");
                skip(&format!("the stand-in server takes the schema {schema}"));
                continue;
            };
            assert_eq!((error.code(), error.server_code()), (code, Some(server_code)), "{schema}: {error}");
        }
        let partial = doc! { "$jsonSchema": { "required": ["a"] } };
        let index = doc! { "key": { "b": 1 }, "name": "b_1", "partialFilterExpression": partial };
        let refused = t.driver.create_index(t.name(), "items", &index).await;
        assert!(refused.is_err() || t.stand_in, "{refused:?}");
    }
}
