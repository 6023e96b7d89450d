//! Patches that make the document that they do not find.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use forge::services::{Hooks, Method, Multi, Service};
use forge::{App, server::Server};
use serde_json::{Value, json};
use support::ask;

fn upserting() -> Hooks {
    Hooks::new().before([Method::Patch, Method::Update], |mut call| async move {
        call.params.mongodb.upsert = true;
        Ok(call)
    })
}

async fn serve(app: App) -> Server {
    app.database("memory:").build().await.unwrap()
}

async fn send(server: &Server, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, text) = ask(server, method, path, body).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn operators_and_dotted_keys_make_the_document_as_they_change_it() {
    let counts = || Service::raw("counts").multi(Multi::ALL);
    let app = App::new()
        .service(counts().hooks(upserting()))
        .service(counts().path("slugs").id("slug").hooks(upserting()))
        .service(counts().path("strict"));
    let server = serve(app).await;
    let patch = json!({
        "home.city": "Rome", "kind": "a", "$set": { "by": "x", "_id": "no" }, "$inc": { "n": 2 },
        "$push": { "seen": { "$each": [1, 2] } }, "$setOnInsert": { "made.at": 5, "kind": "b", "_id": "no" },
    });
    let made = send(&server, "PATCH", "counts/a?team=red", patch.clone()).await;
    let mut expected = json!({
        "_id": "a", "team": "red", "home": { "city": "Rome" }, "kind": "a", "by": "x", "n": 2, "seen": [1, 2],
        "made": { "at": 5 },
    });
    assert_eq!(made, (200, expected.clone()));
    (expected["n"], expected["seen"]) = (json!(4), json!([1, 2, 1, 2]));
    let mut again = patch.clone();
    again["$setOnInsert"]["made.at"] = json!(9);
    assert_eq!(
        send(&server, "PATCH", "counts/a?$select[]=n&$select[]=seen&$select[]=made", again).await.1["n"],
        4
    );
    assert_eq!(send(&server, "GET", "counts/a", Value::Null).await.1, expected);
    let (status, slug) =
        send(&server, "PATCH", "slugs/one", json!({ "$inc": { "n": 1 }, "$setOnInsert": { "slug": "two" } }))
            .await;
    assert_eq!((status, &slug["slug"], &slug["n"]), (200, &json!("one"), &json!(1)));
    assert_eq!(slug["_id"].as_str().unwrap().len(), 24);
    assert_eq!(send(&server, "PATCH", "counts/empty", json!({})).await, (200, json!({ "_id": "empty" })));
    assert_eq!(send(&server, "PATCH", "strict/none", patch).await.0, 404, "only where a hook says so");
    assert_eq!(
        send(&server, "PATCH", "counts?n=77", json!({ "n": 1 })).await,
        (200, json!([])),
        "many make none"
    );
}

#[tokio::test]
async fn what_is_no_change_makes_no_document() {
    let server = serve(App::new().service(Service::raw("counts").hooks(upserting()))).await;
    for (patch, field) in [
        (json!({ "$setOnInsert": 1 }), "$setOnInsert"),
        (json!({ "$setOnInsert": { "$where": 1 } }), "$where"),
        (json!({ "$setOnInsert": { "a": { "$gt": 1 } } }), "a"),
        (json!({ "$inc": { "n": "x" } }), "n"),
        (json!({ "$what": { "n": 1 } }), "$what"),
    ] {
        let (status, wrong) = send(&server, "PATCH", "counts/a", patch.clone()).await;
        assert_eq!(status, 400, "{patch}");
        assert!(wrong["errors"].get(field).is_some(), "{patch}: {wrong}");
    }
    assert_eq!(send(&server, "GET", "counts/a", Value::Null).await.0, 404);
}
