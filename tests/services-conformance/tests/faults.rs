//! What is wrong with bodies and queries, as clients of services read it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use forge::prelude::*;
use forge::services::{ErrorKind, Method, Multi, Params, Service, ServiceError};
use forge::{App, server::Server};
use serde_json::{Value, json};
use support::ask;

#[derive(Debug, Clone, Model)]
#[model(collection = "guests")]
pub struct Guest {
    #[model(id)]
    pub id: String,
    #[validate(length(min = 1))]
    pub name: String,
    pub age: Option<i32>,
    #[model(default)]
    pub tags: Vec<String>,
    #[model(embed)]
    pub home: Option<House>,
    #[model(private, default)]
    pub secret: String,
    #[model(readonly, default)]
    pub karma: i32,
}

#[derive(Debug, Clone, Embed)]
pub struct House {
    pub city: String,
    #[validate(range(min = 1))]
    pub floors: u8,
    #[model(private)]
    pub door: Option<String>,
}

async fn guests() -> Server {
    let app = App::new()
        .service(
            Service::<Guest>::new()
                .multi(Multi::ALL)
                .operators(["$regex", "$options", "$elemMatch"])
                .filter("$own", |_| Err(ServiceError::new(ErrorKind::BadRequest, "must be a star"))),
        )
        .service(Service::raw("any").multi(Multi::ALL));
    app.database("memory:").build().await.unwrap()
}

async fn failure(server: &Server, method: &str, path: &str, body: Value) -> Value {
    let (status, text) = ask(server, method, path, body).await;
    assert_eq!(status, 400, "{method} {path}: {text}");
    let failure: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&failure["name"], &failure["className"]), (&json!("BadRequest"), &json!("bad-request")));
    failure
}

#[tokio::test]
async fn bodies_that_do_not_fit_name_the_field_and_what_it_must_be() {
    let server = guests().await;
    let ann = json!({ "id": "ann", "name": "Ann" });
    assert_eq!(ask(&server, "POST", "guests", ann).await.0, 201);
    for (method, path, data, field, keyword, message) in [
        ("POST", "guests", json!({ "id": "b" }), "name", "required", "is missing"),
        ("POST", "guests", json!({ "id": "b", "name": 7 }), "name", "type", "must be a string"),
        (
            "POST",
            "guests",
            json!({ "id": "b", "name": "B", "age": "x" }),
            "age",
            "type",
            "must be a whole number from -2147483648 to 2147483647",
        ),
        (
            "POST",
            "guests",
            json!({ "id": "b", "name": "" }),
            "name",
            "validate",
            "must have a length of at least 1",
        ),
        ("PATCH", "guests/ann", json!({ "tags": "x" }), "tags", "type", "must be a list"),
        (
            "PATCH",
            "guests/ann",
            json!({ "home": { "city": "Rome" } }),
            "home.floors",
            "required",
            "is missing",
        ),
        (
            "PATCH",
            "guests/ann",
            json!({ "home": { "city": "Rome", "floors": 300 } }),
            "home.floors",
            "type",
            "must be a whole number from 0 to 255",
        ),
        (
            "PATCH",
            "guests/ann",
            json!({ "home": { "city": "Rome", "floors": 1, "door": "x" } }),
            "home.door",
            "additionalProperties",
            "is not known: House takes `city`, `floors`",
        ),
        (
            "PATCH",
            "guests/ann",
            json!({ "home": { "city": "R", "floors": 0 } }),
            "home.floors",
            "validate",
            "must be at least 1",
        ),
        ("PUT", "guests/ann", json!({ "name": null }), "name", "type", "must be a string"),
        ("PATCH", "any/x", json!({ "$inc": { "n": "1" } }), "n", "type", "$inc takes a number"),
        ("PATCH", "any/x", json!({ "$inc": 1 }), "$inc", "type", "$inc takes an object of fields"),
        (
            "PATCH",
            "any/x",
            json!({ "$where": { "a": 1 } }),
            "$where",
            "type",
            "Invalid update operator $where",
        ),
    ] {
        let wrong = failure(&server, method, path, data.clone()).await;
        assert_eq!(wrong["errors"], json!({ field: message }), "{data}");
        let item = &wrong["data"][0];
        let at = format!("/{}", field.replace('.', "/"));
        assert_eq!(
            (&item["instancePath"], &item["keyword"], &item["message"]),
            (&json!(at), &json!(keyword), &json!(message)),
            "{data}"
        );
        if path.starts_with("guests") {
            assert_eq!(wrong["message"], "validation failed");
        }
    }
}

#[tokio::test]
async fn private_and_read_only_fields_are_not_known() {
    let server = guests().await;
    for field in ["secret", "karma", "other"] {
        let wrong = failure(&server, "POST", "guests", json!({ "id": "b", "name": "B", field: 1 })).await;
        let message = wrong["errors"][field].as_str().unwrap();
        assert!(message.starts_with("is not known: NewGuest takes `id`, `name`"), "{message}");
        assert!(!message.contains("secret") && !message.contains("karma"));
    }
}

#[tokio::test]
async fn data_of_own_methods_names_the_field() {
    let service =
        Service::raw("moves").method("go", |call| async move { Ok(json!(call.data_as::<House>()?.floors)) });
    let server = App::new().service(service).database("memory:").build().await.unwrap();
    let moves = server.services().service("moves", server.db()).unwrap();
    for (data, errors) in [
        (json!({ "floors": 1 }), json!({ "city": "is missing" })),
        (json!({ "city": "a", "floors": "b" }), json!({ "floors": "must be a whole number from 0 to 255" })),
    ] {
        let go = moves.call(Method::named("go"), None, Some(data.clone()), Params::default());
        assert_eq!(go.await.unwrap_err().to_json()["errors"], errors, "{data}");
    }
}

#[tokio::test]
async fn items_of_lists_are_named_by_their_places() {
    let server = guests().await;
    let list = json!([{ "id": "a", "name": "A" }, { "id": "b", "name": "" }]);
    let wrong = failure(&server, "POST", "guests", list).await;
    assert_eq!(wrong["errors"], json!({ "1.name": "must have a length of at least 1" }));
    assert_eq!(wrong["data"][0]["instancePath"], "/1/name");
    let wrong = failure(&server, "POST", "any", json!([{ "a.b": 1 }])).await;
    assert!(wrong["errors"]["0.a.b"].as_str().unwrap().contains("names with `.` are paths"), "{wrong}");
    let wrong = failure(&server, "POST", "any", json!([{}, 3])).await;
    assert_eq!(wrong["errors"], json!({ "1": "the data of create must be a JSON object" }));
    assert_eq!(ask(&server, "GET", "guests", Value::Null).await.1, "[]");
}

#[tokio::test]
async fn queries_that_do_not_fit_name_the_field() {
    let server = guests().await;
    for (path, field) in [
        ("guests?age[$lt]=x", "age"),
        ("guests?$or[0][age]=x", "age"),
        ("guests?age[$in][]=1&age[$in][]=x", "age"),
        ("guests?home.door=x", "home.door"),
        ("guests?secret=x", "secret"),
        ("guests?name[$where]=x", "name"),
        ("guests?name[$regex]=x&name[$options]=q", "name"),
        ("guests?name[$regex]=(x", "name"),
        ("guests?$or[0][age]=1&$or[1][name][$regex]=[x", "name"),
        ("guests?tags[$elemMatch]=x", "tags"),
        ("guests?$sort[name]=up", "name"),
        ("guests?$sort[secret]=1", "secret"),
        ("guests?$limit=x", "$limit"),
        ("guests?$skip=-1", "$skip"),
        ("guests?$select=name", "$select"),
        ("guests?$select[]=secret", "$select"),
        ("guests?$or=x", "$or"),
        ("guests?$own=x", "$own"),
        ("any?$where=x", "$where"),
        ("any?name[$where]=x", "name"),
        ("any?$select[]=$x", "$select"),
        ("any?$sort[name]=up", "name"),
        ("any?$limit=x", "$limit"),
        ("any?a..b=1", "a..b"),
        ("any?home.$where=1", "home.$where"),
        ("any?$sort[a.]=1", "a."),
        ("any?$select[]=.a", "$select"),
        ("guests?home..city=x", "home..city"),
    ] {
        let wrong = failure(&server, "GET", path, Value::Null).await;
        let errors = wrong["errors"].as_object().unwrap_or_else(|| panic!("{path}: {wrong}"));
        assert_eq!(errors.keys().collect::<Vec<_>>(), [field], "{path}: {wrong}");
        assert!(errors[field].as_str().is_some_and(|message| !message.is_empty()), "{path}: {wrong}");
        assert!(!wrong["data"].is_null(), "{path}: {wrong}");
    }
}
