//! Ids: of every type, by every method, and whatever a collation takes for equal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use forge::ir::Collation;
use forge::prelude::*;
use forge::services::{Hooks, Kind, Method, Multi, QueryFields, Service};
use forge::{App, server::Server};
use serde_json::{Value, json};
use support::{send, serve};

#[derive(Debug, Clone, Model)]
#[model(collection = "rooms", service(multi = [create, patch, remove]))]
pub struct Room {
    #[model(id)]
    pub id: i64,
    pub label: String,
}

#[derive(Debug, Clone, Model)]
#[model(collection = "seats", service(id = "number"))]
pub struct Seat {
    #[model(id)]
    pub id: Id<Seat>,
    #[model(unique)]
    pub number: i32,
    pub label: String,
}

fn upserting() -> Hooks {
    Hooks::new().before([Method::Update, Method::Patch], |mut call| async move {
        call.params.mongodb.upsert = call.params.query.remove("make").is_some();
        Ok(call)
    })
}

async fn served() -> Server {
    let numbers = QueryFields::new().field("number", Kind::Number).field("label", Kind::String);
    let keys = QueryFields::new().field("key", Kind::ObjectId);
    let app = App::new()
        .service(Service::<Room>::declared().hooks(upserting()))
        .service(Service::<Seat>::declared().hooks(upserting()))
        .service(Service::raw("desks").id("number").query_fields(numbers).hooks(upserting()))
        .service(Service::raw("locks").id("key").query_fields(keys).hooks(upserting()));
    serve(app).await
}

#[tokio::test]
async fn ids_that_are_numbers_stay_numbers_in_every_method() {
    let server = served().await;
    for (path, key) in [("rooms", "id"), ("seats", "number"), ("desks", "number")] {
        let made = send(&server, "POST", path, json!({ key: 7, "label": "a" })).await;
        assert_eq!((made.0, &made.1[key]), (201, &json!(7)), "{path}");
        for (method, place, body) in [
            ("GET", "7", Value::Null),
            ("PUT", "7", json!({ "label": "b" })),
            ("PATCH", "7", json!({ "label": "c" })),
            ("PUT", "8?make=1", json!({ "label": "d" })),
            ("PATCH", "9?make=1", json!({ "label": "e" })),
            ("PATCH", "10?make=1", json!({ "$set": { "label": "f" } })),
        ] {
            let answer = send(&server, method, &format!("{path}/{place}"), body).await;
            let id: i32 = place.split('?').next().unwrap().parse().unwrap();
            assert_eq!(
                (answer.0, &answer.1[key]),
                (200, &json!(id)),
                "{method} {path}/{place}: {}",
                answer.1
            );
            let found = send(&server, "GET", &format!("{path}/{id}"), Value::Null).await;
            assert_eq!((found.0, &found.1), (200, &answer.1), "{method} {path}/{place}");
        }
        for id in [7, 8, 9, 10] {
            assert_eq!(
                send(&server, "DELETE", &format!("{path}/{id}"), Value::Null).await.0,
                200,
                "{path}/{id}"
            );
        }
    }
}

#[tokio::test]
async fn ids_of_collections_are_stored_as_their_fields_say() {
    let server = served().await;
    let id = "0123456789abcdef01234567";
    assert_eq!(send(&server, "POST", "locks", json!({ "key": id })).await.0, 201);
    let state = send(&server, "PUT", &format!("locks/{id}"), json!({ "open": true })).await;
    assert_eq!((state.0, &state.1["key"]), (200, &json!(id)));
    let made = send(&server, "POST", "locks", json!({})).await.1["key"].as_str().unwrap().to_owned();
    for key in [id, &made] {
        assert_eq!(send(&server, "GET", &format!("locks/{key}"), Value::Null).await.0, 200, "{key}");
    }
    assert_eq!(send(&server, "POST", "desks", json!({ "number": "12" })).await.1["number"], 12);
    assert_eq!(send(&server, "GET", "desks/12", Value::Null).await.0, 200);
    let (status, answer) = send(&server, "POST", "desks", json!({ "label": "x" })).await;
    assert_eq!((status, &answer["errors"]["number"]), (400, &json!("is missing: it must be number")));
}

#[tokio::test]
async fn an_id_names_one_document_whatever_a_collation_takes_for_equal() {
    let hooks = Hooks::new().before([], |mut call| async move {
        call.params.mongodb.collation = Some(Collation::letters("en"));
        Ok(call)
    });
    let server = serve(App::new().service(Service::raw("words").multi(Multi::ALL).hooks(hooks))).await;
    let words = json!([{ "_id": "ANN.", "name": "x" }, { "_id": "ann.", "name": "X" }, { "_id": "annx", "name": "y" }]);
    assert_eq!(send(&server, "POST", "words", words).await.0, 201);
    for (method, body) in [
        ("GET", Value::Null),
        ("PATCH", json!({ "age": 1 })),
        ("PUT", json!({ "name": "new" })),
        ("DELETE", Value::Null),
    ] {
        let (status, answer) = send(&server, method, "words/ann.", body).await;
        assert_eq!((status, &answer["_id"]), (200, &json!("ann.")), "{method}");
    }
    assert_eq!(send(&server, "GET", "words/ann.", Value::Null).await.0, 404);
    // Of many, the answer has those that were changed.
    send(&server, "POST", "words", json!({ "_id": "ann.", "name": "other" })).await;
    let (_, patched) = send(&server, "PATCH", "words?name=X", json!({ "age": 2 })).await;
    assert_eq!(patched, json!([{ "_id": "ANN.", "age": 2, "name": "x" }]));
}
