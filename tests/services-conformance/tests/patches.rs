//! What patches may hold: the operators that services do without, and those that hooks allow for a call.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use forge::App;
use forge::prelude::*;
use forge::server::axum::body::{Body, to_bytes};
use forge::server::axum::http::Request;
use forge::services::{Hooks, Kind, Method, Multi, QueryFields, Service};
use serde_json::{Value, json};
use support::send;
use tower::ServiceExt as _;

#[derive(Debug, Clone, Model)]
#[model(
    collection = "bins",
    service(multi = [create, patch], disabled_operators = [inc, "$unset"])
)]
pub struct Bin {
    #[model(id)]
    pub id: String,
    #[model(default)]
    pub count: i32,
    pub label: Option<String>,
}

#[derive(Debug, Clone, Model)]
#[model(collection = "bids", service(multi = [patch]))]
pub struct Bid {
    #[model(id)]
    pub id: String,
    pub seen: DateTime,
    pub price: Decimal,
    pub cents: Int64,
}

#[tokio::test]
async fn models_add_to_decimals_and_take_the_later_of_two_dates() {
    let server = App::new().model_services().database("memory:").build().await.unwrap();
    let bid =
        json!({ "id": "a", "seen": "2026-01-01T00:00:00Z", "price": "0.1", "cents": "9007199254740993" });
    assert_eq!(send(&server, "POST", "bids", bid).await.0, 201);
    let patch = json!({
        "$max": { "seen": "2026-02-01T00:00:00+02:00" }, "$inc": { "price": "0.2", "cents": 1 },
    });
    let made =
        json!({ "id": "a", "seen": "2026-01-31T22:00:00.000Z", "price": "0.3", "cents": "9007199254740994" });
    assert_eq!(send(&server, "PATCH", "bids/a", patch).await, (200, made.clone()));
    let least =
        json!({ "$max": { "seen": "2020-01-01T00:00:00Z", "price": "0.25" }, "$min": { "cents": "9e3" } });
    assert_eq!(send(&server, "PATCH", "bids/a", least).await.0, 400);
    let most = json!({ "$max": { "seen": "2020-01-01T00:00:00Z", "price": "0.25" } });
    assert_eq!(send(&server, "PATCH", "bids?price[$gt]=0.29", most).await, (200, json!([made])));
}

#[tokio::test]
async fn disabled_operators_are_passed_over() {
    let app = App::new()
        .model_services()
        .service(Service::raw("usual"))
        .service(Service::raw("open").disabled_operators::<&str>([]))
        .service(Service::raw("shut").disabled_operators(["$rename", "$inc"]));
    let server = app.database("memory:").build().await.unwrap();
    let patch = json!({ "$inc": { "n": 1 }, "$rename": { "old": "new" }, "$set": { "x": 1 } });
    for (path, expected) in [
        ("usual", json!({ "_id": "a", "n": 2, "old": "o", "x": 1 })),
        ("open", json!({ "_id": "a", "n": 2, "new": "o", "x": 1 })),
        ("shut", json!({ "_id": "a", "n": 1, "old": "o", "x": 1 })),
    ] {
        assert_eq!(send(&server, "POST", path, json!({ "_id": "a", "n": 1, "old": "o" })).await.0, 201);
        assert_eq!(
            send(&server, "PATCH", &format!("{path}/a"), patch.clone()).await,
            (200, expected),
            "{path}"
        );
    }
    assert_eq!(send(&server, "POST", "bins", json!({ "id": "a", "count": 1, "label": "l" })).await.0, 201);
    let bin = json!({ "id": "a", "count": 1, "label": "l" });
    for alone in
        [json!({ "$inc": { "count": 5 } }), json!({ "$inc": { "count": 5 }, "$unset": { "label": "" } })]
    {
        assert_eq!(send(&server, "PATCH", "bins/a", alone.clone()).await, (200, bin.clone()), "{alone}");
        assert_eq!(send(&server, "PATCH", "bins?count=1", alone).await, (200, json!([bin])));
    }
    let (_, patched) =
        send(&server, "PATCH", "bins/a", json!({ "$inc": { "count": 5 }, "$mul": { "count": 3 } })).await;
    assert_eq!(patched["count"], 3);
    // What is not disabled has to be known: models have no `$rename`.
    let (status, refused) =
        send(&server, "PATCH", "bins/a", json!({ "$rename": { "count": "label" } })).await;
    assert_eq!((status, refused["errors"].get("$rename").is_some()), (400, true), "{refused}");
}

#[tokio::test]
async fn an_operator_that_does_not_exist_cannot_be_disabled() {
    let service = Service::raw("bins-of-all").disabled_operators(["$where"]);
    let error = App::new().database("memory:").service(service).build().await.unwrap_err();
    assert!(error.to_string().contains("cannot disable \"$where\""), "{error}");
}

#[tokio::test]
async fn what_a_service_cannot_allow_is_said_at_the_start() {
    let number = || QueryFields::new().field("n", Kind::Number);
    for (service, said) in [
        (Service::raw("a").operators(["regex"]), "cannot allow \"regex\""),
        (Service::raw("a").query_fields(number().operators("n", ["$wher"])), "cannot allow \"$wher\""),
        (Service::raw("a").query_fields(number().operators("m", ["$regex"])), "operators on \"m\""),
        (Service::raw("a").filters(["nor"]), "the filter \"nor\""),
        (Service::raw("a").filters(["$limit"]), "the filter \"$limit\""),
    ] {
        let error = App::new().database("memory:").service(service).build().await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn hooks_say_which_operators_a_call_takes() {
    let hooks = Hooks::new().before([Method::Find, Method::Patch], |mut call| async move {
        if call.params.query.remove("$trusted").is_some() {
            call.params.operators = Some(["$exists".to_owned()].into());
            call.params.disabled_operators = Some(["$set".to_owned()].into());
            call.params.mongodb.batch_size = Some(1);
        }
        Ok(call)
    });
    let service =
        Service::<Bin>::new().operators(["$size"]).filters(["$trusted"]).multi(Multi::ALL).hooks(hooks);
    let server = App::new().service(service).database("memory:").build().await.unwrap();
    let bins = json!([{ "id": "a" }, { "id": "b", "label": "l" }, { "id": "c", "label": "l" }]);
    assert_eq!(send(&server, "POST", "bins", bins).await.0, 201);
    let find = async |query: &str| send(&server, "GET", &format!("bins?{query}"), Value::Null).await;
    assert_eq!(find("label[$exists]=true").await.0, 400);
    let (status, found) = find("label[$exists]=true&$trusted=1").await;
    assert_eq!((status, found.as_array().map(Vec::len)), (200, Some(2)), "{found}");
    assert_eq!(find("label[$size]=1&$trusted=1").await.0, 400, "they take the place of the service's");
    let patch = json!({ "$set": { "label": "new" }, "$inc": { "count": 1 } });
    let (_, patched) = send(&server, "PATCH", "bins/b?$trusted=1", patch.clone()).await;
    assert_eq!((&patched["label"], &patched["count"]), (&json!("l"), &json!(1)));
    let (_, patched) = send(&server, "PATCH", "bins/b", patch).await;
    assert_eq!((&patched["label"], &patched["count"]), (&json!("new"), &json!(2)));
}

#[tokio::test]
async fn openapi_describes_operators_and_dotted_keys_of_patches() {
    let app = App::new().model_services().service(Service::raw("usual"));
    let server = app.database("memory:").build().await.unwrap();
    let request = Request::get("/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = server.router().oneshot(request).await.unwrap();
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let described: Value = serde_json::from_slice(&text).unwrap();
    let body = |path: &str| {
        let patch = &described["paths"][format!("/services/{path}/{{id}}")]["patch"];
        patch["requestBody"]["content"]["application/json"].clone()
    };
    let bins = body("bins");
    assert_eq!(bins["schema"]["anyOf"][0]["title"], "BinPatch");
    let whole = &bins["schema"]["anyOf"][1];
    let named = |name: &str| whole["properties"].get(name).is_some();
    assert!(named("count") && named("$mul") && named("$push"), "{whole}");
    assert!(!named("id") && !named("$inc") && !named("$unset") && !named("$bit"), "{whole}");
    assert_eq!(whole["patternProperties"], json!({ r"^[^$.][^.]*(\.[^.]+)+$": {} }));
    assert_eq!(whole["additionalProperties"], json!(false));
    assert!(bins["example"]["count"].is_number(), "{bins}");
    let usual = &body("usual")["schema"]["anyOf"][1];
    assert!(usual["properties"]["$bit"].is_object() && usual["properties"].get("$rename").is_none());
    assert_eq!(usual["additionalProperties"], json!(true));
}
