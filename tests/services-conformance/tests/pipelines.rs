//! Stages that hooks add to calls: what clients see of the rows that they make.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use std::collections::BTreeMap;

use bson::{Document, doc};
use forge::prelude::*;
use forge::services::{Hooks, Method, Service};
use forge::{App, server::Server};
use serde_json::{Value, json};
use support::ask;

const CANARY: &str = "canary-44c0";
const DAY: &str = "2026-03-01";

#[derive(Debug, Clone, Model)]
#[model(collection = "trips")]
pub struct Trip {
    #[model(id)]
    pub id: Id<Trip>,
    pub name: String,
    pub miles: Int64,
    pub day: Date,
    pub at: Time,
    pub price: Decimal,
    /// Embeds that no attribute names.
    pub homes: BTreeMap<String, Home>,
    pub stops: Vec<Home>,
    pub last: Option<Home>,
    #[model(embed)]
    pub start: Home,
    pub counts: BTreeMap<String, i32>,
    #[model(private, default = CANARY)]
    pub secret: String,
}

#[derive(Debug, Clone, Embed)]
pub struct Home {
    pub city: String,
    #[model(private)]
    pub door: Option<String>,
}

async fn served(stages: Vec<Document>) -> Server {
    let staged = Hooks::new().before([Method::Find], move |mut call| {
        call.params.pipeline = Some(stages.clone());
        async move { Ok(call) }
    });
    let app = App::new()
        .service(Service::<Trip>::new().hooks(staged.clone()))
        .service(Service::<Trip>::new().path("plain"))
        .service(Service::raw("notes").hooks(staged));
    let server = app.database("memory:").build().await.unwrap();
    let home = || Home { city: "Rome".to_owned(), door: Some(CANARY.to_owned()) };
    let trip = json!({
        "name": "a", "miles": "9007199254740993", "day": DAY, "at": "08:30:00", "price": "1.50", "homes": {}, "stops": [],
        "last": null, "start": { "city": "Ulm" }, "counts": { "x": 2 },
    });
    let made = send(&server, "POST", "plain", trip).await;
    let id = made["id"].as_str().unwrap().parse::<Id<Trip>>().unwrap();
    let update =
        server.db().update::<Trip>(id).set(|t| t.homes, BTreeMap::from([("rome".to_owned(), home())]));
    update
        .set(|t| t.stops, vec![home()])
        .set(|t| t.last, Some(home()))
        .set(|t| t.start, home())
        .await
        .unwrap();
    send(&server, "POST", "notes", json!({ "name": "a", "door": "mine" })).await;
    server
}

async fn send(server: &Server, method: &str, path: &str, body: Value) -> Value {
    let (status, text) = ask(server, method, path, body).await;
    assert!(status < 300, "{method} {path}: {text}");
    assert!(!text.contains(CANARY), "a private field in {method} {path}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn first(stages: Vec<Document>, path: &str) -> Value {
    let server = served(stages).await;
    send(&server, "GET", path, Value::Null).await[0].clone()
}

#[tokio::test]
async fn whole_documents_look_as_they_do_without_stages() {
    let server = served(vec![doc! { "$addFields": { "more": 1 } }]).await;
    let plain = send(&server, "GET", "plain", Value::Null).await[0].clone();
    assert_eq!((&plain["miles"], &plain["day"]), (&json!("9007199254740993"), &json!(DAY)));
    let mut staged = send(&server, "GET", "trips", Value::Null).await[0].clone();
    assert_eq!(staged.as_object_mut().unwrap().remove("more"), Some(json!(1)));
    assert_eq!(staged, plain);
}

#[tokio::test]
async fn parts_of_documents_show_what_their_types_show() {
    let stages = vec![doc! { "$unset": ["name", "start"] }, doc! { "$unwind": "$stops" }];
    let plain = send(&served(Vec::new()).await, "GET", "plain", Value::Null).await[0].clone();
    let row = first(stages, "trips").await;
    for name in ["miles", "day", "at", "price", "homes", "last", "counts"] {
        assert_eq!(row[name], plain[name], "{name}");
    }
    assert_eq!(row["stops"], json!({ "city": "Rome" }));
    assert_eq!(row.get("secret"), None);
}

#[tokio::test]
async fn joined_and_moved_documents_show_what_their_models_show() {
    let pick = || doc! { "$match": {} };
    let join = doc! { "$lookup": { "from": "trips", "pipeline": [pick()], "as": "trips" } };
    let row = first(vec![join.clone()], "notes").await;
    assert_eq!((&row["door"], &row["trips"][0]["name"]), (&json!("mine"), &json!("a")));
    assert_eq!(row["trips"][0]["homes"], json!({ "rome": { "city": "Rome" } }));
    assert_eq!(row["trips"][0]["miles"], "9007199254740993");
    for (path, stages) in [
        ("notes", vec![doc! { "$unionWith": "trips" }, doc! { "$sort": { "homes": -1 } }]),
        (
            "notes",
            vec![
                join.clone(),
                doc! { "$unwind": "$trips" },
                doc! { "$replaceRoot": { "newRoot": "$trips" } },
            ],
        ),
        ("notes", vec![join.clone(), doc! { "$addFields": { "one": { "$first": "$trips" } } }]),
        ("trips", vec![doc! { "$addFields": { "copy": "$$ROOT", "begin": "$start" } }]),
        ("trips", vec![doc! { "$group": { "_id": "$name", "all": { "$push": "$$ROOT" } } }]),
        ("trips", vec![doc! { "$facet": { "one": [pick()], "two": [{ "$project": { "start": 1 } }] } }]),
        ("trips", vec![doc! { "$replaceRoot": { "newRoot": "$start" } }]),
    ] {
        let server = served(stages.clone()).await;
        let rows = send(&server, "GET", path, Value::Null).await;
        assert!(!rows[0].as_object().unwrap().is_empty(), "{path} {stages:?}: {rows}");
    }
}
