//! Patches that make the document that they do not find.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use forge::App;
use forge::prelude::*;
use forge::services::{Hooks, Method, Multi, Service};
use serde_json::{Value, json};
use support::{send, serve};

#[derive(Debug, Clone, Model)]
#[model(collection = "tickets")]
pub struct Ticket {
    #[model(id)]
    pub id: String,
    #[validate(length(min = 1))]
    pub title: String,
    #[validate(range(max = 50))]
    #[model(default)]
    pub count: i32,
    #[model(default)]
    pub tags: Vec<String>,
    #[model(embed)]
    pub seat: Option<Seat>,
    #[model(embed)]
    pub owner: Option<Owner>,
    #[model(readonly, default)]
    pub level: i32,
    #[model(private, default = "s")]
    pub secret: String,
}

#[derive(Debug, Clone, Embed)]
pub struct Seat {
    #[validate(range(min = 1))]
    pub row: i32,
}

#[derive(Debug, Clone, Embed)]
pub struct Owner {
    pub name: String,
    #[model(private)]
    pub pin: Option<String>,
}

fn upserting() -> Hooks {
    Hooks::new().before([Method::Patch, Method::Update], |mut call| async move {
        call.params.mongodb.upsert = true;
        Ok(call)
    })
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

#[tokio::test]
async fn operators_on_models_are_held_to_the_rules_of_the_model() {
    let app = App::new()
        .service(Service::<Ticket>::new().multi(Multi::ALL))
        .service(Service::<Ticket>::new().path("upserts").hooks(upserting()));
    let server = serve(app).await;
    let ticket = json!({ "id": "a", "title": "one", "seat": { "row": 1 }, "owner": { "name": "Ann" } });
    assert_eq!(send(&server, "POST", "tickets", ticket).await.0, 201);
    let stored = async |id: &str| server.db().get::<Ticket>(id.to_owned()).await.unwrap();
    let patch = json!({ "$inc": { "count": 3 }, "$push": { "tags": "x" }, "seat.row": 5, "$set": { "title": "two" } });
    let (status, shown) = send(&server, "PATCH", "tickets/a", patch.clone()).await;
    let expected = json!({
        "id": "a", "title": "two", "count": 3, "tags": ["x"], "seat": { "row": 5 }, "owner": { "name": "Ann" }, "level": 0,
    });
    assert_eq!((status, shown), (200, expected));
    for (patch, field) in [
        (json!({ "$inc": { "count": 90 } }), "count"),
        (json!({ "$inc": { "count": 0.5 } }), "count"),
        (json!({ "$inc": { "secret": 1 } }), "secret"),
        (json!({ "$set": { "secret": "x" } }), "secret"),
        (json!({ "$inc": { "level": 1 } }), "level"),
        (json!({ "$set": { "title": "" } }), "title"),
        (json!({ "$unset": { "title": "" } }), "title"),
        (json!({ "seat.row": 0 }), "seat.row"),
        (json!({ "seat.other": 1 }), "seat.other"),
        (json!({ "owner.name": "Bob" }), "owner"),
        (json!({ "owner.pin": "1" }), "owner"),
        (json!({ "nothing.at": 1 }), "nothing"),
        (json!({ "$push": { "tags": 7 } }), "tags"),
        (json!({ "$where": { "a": 1 } }), "$where"),
    ] {
        for path in ["tickets/a", "tickets"] {
            let (status, wrong) = send(&server, "PATCH", path, patch.clone()).await;
            assert_eq!((status, wrong["errors"].get(field).is_some()), (400, true), "{patch}: {wrong}");
        }
    }
    let a = stored("a").await.unwrap();
    assert_eq!((a.count, a.level, a.secret.as_str(), a.owner.unwrap().pin.as_deref()), (3, 0, "s", None));
    let (_, many) = send(&server, "PATCH", "tickets", json!({ "$inc": { "count": 1 } })).await;
    assert_eq!(many[0]["count"], 4);
    assert_eq!(send(&server, "PATCH", "tickets/b", patch.clone()).await.0, 404);

    for refused in [
        json!({ "$setOnInsert": { "secret": "x" } }),
        json!({ "$setOnInsert": { "count": 99, "title": "t" } }),
    ] {
        let mut patch = refused.clone();
        patch["$inc"] = json!({ "other": 1 });
        assert_eq!(send(&server, "PATCH", "upserts/b", patch).await.0, 400, "{refused}");
        assert_eq!(send(&server, "PATCH", "upserts/b", refused.clone()).await.0, 400, "{refused}");
    }
    let upsert =
        json!({ "$inc": { "count": 2 }, "$setOnInsert": { "title": "new", "count": 9, "seat.row": 3 } });
    let (status, made) = send(&server, "PATCH", "upserts/b", upsert.clone()).await;
    assert_eq!(
        (status, &made["count"], &made["title"], &made["seat"]),
        (200, &json!(2), &json!("new"), &json!({ "row": 3 }))
    );
    assert_eq!(send(&server, "PATCH", "upserts/b", upsert).await.1["count"], 4);
    assert_eq!(stored("b").await.unwrap().secret, "s", "defaults of the model hold");
}

#[tokio::test]
async fn computed_patches_lose_nothing_to_each_other() {
    let server = serve(App::new().service(Service::<Ticket>::new())).await;
    assert_eq!(send(&server, "POST", "tickets", json!({ "id": "a", "title": "one" })).await.0, 201);
    let add = || send(&server, "PATCH", "tickets/a", json!({ "$inc": { "count": 1 } }));
    let done = futures_util::future::join_all([add(), add(), add(), add()]).await;
    assert!(done.iter().all(|(status, _)| *status == 200), "{done:?}");
    assert_eq!(send(&server, "GET", "tickets/a", Value::Null).await.1["count"], 4);
}

#[tokio::test]
async fn paths_deeper_than_documents_are_refused() {
    let app = App::new()
        .service(Service::<Ticket>::new().hooks(upserting()))
        .service(Service::raw("counts").hooks(upserting()));
    let server = serve(app).await;
    let deep = vec!["seat"; 100_000].join(".");
    for patch in [
        json!({ &deep: 1 }),
        json!({ "$inc": { &deep: 1 } }),
        json!({ "$setOnInsert": { &deep: 1 }, "$inc": { "n": 1 } }),
    ] {
        for path in ["tickets/a", "counts/a"] {
            assert_eq!(send(&server, "PATCH", path, patch.clone()).await.0, 400, "{path}");
        }
    }
}

#[tokio::test]
async fn a_patch_of_many_that_one_document_refuses_changes_none() {
    let server = serve(App::new().service(Service::<Ticket>::new().multi(Multi::ALL))).await;
    let tickets = json!([{ "id": "a", "title": "x", "count": 1 }, { "id": "b", "title": "x", "count": 50 }]);
    assert_eq!(send(&server, "POST", "tickets", tickets).await.0, 201);
    let (status, answer) = send(&server, "PATCH", "tickets", json!({ "$inc": { "count": 1 } })).await;
    assert_eq!((status, answer["errors"].get("count").is_some()), (400, true), "{answer}");
    let (_, found) = send(&server, "GET", "tickets?$sort[id]=1", Value::Null).await;
    assert_eq!((&found[0]["count"], &found[1]["count"]), (&json!(1), &json!(50)));
}
