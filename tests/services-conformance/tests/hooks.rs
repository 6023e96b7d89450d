//! What hooks and resolvers of services make of calls.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use std::sync::{Arc, Mutex};

use forge::App;
use forge::prelude::*;
use forge::server::axum::body::{Body, to_bytes};
use forge::server::axum::http::Request;
use forge::services::{ErrorKind, Hooks, Method, Multi, Paginate, Params, Resolver, Service, ServiceError};
use serde_json::{Value, json};
use support::{send, serve};
use tower::ServiceExt;

#[derive(Debug, Clone, Model)]
#[model(collection = "orders")]
pub struct Order {
    #[model(id)]
    pub id: Id<Order>,
    pub item: String,
    pub price: i32,
    pub count: i32,
    #[model(private, default = "canary-5e1")]
    pub margin: String,
}

#[tokio::test]
async fn hooks_say_the_status_the_place_and_the_headers_of_an_answer() {
    let hooks = Hooks::new()
        .after([Method::Create], |mut call| async move {
            call.http.headers.insert("X-Queue".to_owned(), "slow".to_owned());
            call.http.status = Some(202);
            Ok(call)
        })
        .after([Method::Get], |mut call| async move {
            call.http.location = Some("/elsewhere".to_owned());
            Ok(call)
        })
        .after([Method::Find], |mut call| async move {
            call.http.headers.insert("x-broken".to_owned(), "a\nb".to_owned());
            Ok(call)
        });
    let server = serve(App::new().service(Service::raw("jobs").hooks(hooks))).await;
    let answer = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/json").body(Body::from("{\"_id\":\"a\"}"));
        server.router().oneshot(request.unwrap()).await.unwrap()
    };
    let made = answer("POST", "/services/jobs").await;
    assert_eq!((made.status().as_u16(), &made.headers()["x-queue"]), (202, &"slow".parse().unwrap()));
    let moved = answer("GET", "/services/jobs/a").await;
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (303, &"/elsewhere".parse().unwrap())
    );
    assert!(!to_bytes(moved.into_body(), 1000).await.unwrap().is_empty(), "the result comes along");
    assert_eq!(answer("GET", "/services/jobs").await.status().as_u16(), 500, "a header that is none");
}

#[tokio::test]
async fn error_hooks_get_the_call_as_it_was_when_it_failed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    let hooks = Hooks::new()
        .before([], |mut call| async move {
            call.params.extensions.insert("begun");
            call.data = Some(json!({ "step": 1 }));
            Ok(call)
        })
        .before([Method::Create], |_| async { Err(ServiceError::new(ErrorKind::Gone, "no more")) })
        .around([Method::Find], |call, next| async move {
            next.run(call).await?;
            Err(ServiceError::new(ErrorKind::Timeout, "late"))
        })
        .error([], move |call| {
            let failure = call.error.as_ref().map(|error| error.kind().status());
            let begun = call.params.extensions.get::<&str>().copied();
            notes.lock().unwrap().push((failure, begun, call.data.clone(), call.result.is_some()));
            std::future::ready(Ok(call))
        });
    let server = serve(App::new().service(Service::raw("jobs").hooks(hooks))).await;
    assert_eq!(send(&server, "POST", "jobs", json!({ "x": 1 })).await.0, 410);
    assert_eq!(send(&server, "GET", "jobs", Value::Null).await.0, 408);
    assert_eq!(send(&server, "GET", "jobs/none", Value::Null).await.0, 404);
    let data = || Some(json!({ "step": 1 }));
    let expected = [
        (Some(410), Some("begun"), data(), false),
        (Some(408), Some("begun"), data(), true),
        (Some(404), Some("begun"), data(), false),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn extensions_are_handed_from_hook_to_hook_and_to_methods() {
    struct Plan {
        seats: u32,
    }
    let hooks = Hooks::new().before([], |mut call| async move {
        let seats = call.params.extensions.get::<Plan>().map_or(5, |plan| plan.seats + 1);
        call.params.extensions.insert(Plan { seats });
        Ok(call)
    });
    let service = Service::raw("plans").hooks(hooks).method("seats", |call| async move {
        Ok(json!(call.params.extensions.get::<Plan>().map(|plan| plan.seats)))
    });
    let server = serve(App::new().service(service)).await;
    let plans = server.services().service("plans", server.db()).unwrap();
    let seats = Method::named("seats");
    assert_eq!(plans.call(seats.clone(), None, None, Params::default()).await.unwrap(), 5);
    let mut params = Params::default();
    params.extensions.insert(Plan { seats: 7 });
    assert_eq!(plans.call(seats, None, None, params).await.unwrap(), 8, "the program hands some in");
}

/// Orders with a total that is computed, a label for clients, and a note of which were computed.
fn orders() -> (Service<Order>, Arc<Mutex<Vec<&'static str>>>) {
    let computed = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let computed = computed.clone();
        move || computed.lock().unwrap().push(name)
    };
    let (total, label) = (note("total"), note("label"));
    let result = Resolver::new().field("total", move |_, order, _| {
        total();
        let total = order["price"].as_i64().zip(order["count"].as_i64()).map(|(price, count)| price * count);
        async move { Ok(total.map(Value::from)) }
    });
    let external = Resolver::new()
        .field("label", move |_, order, _| {
            label();
            async move { Ok(Some(json!(format!("{} x {}", order["count"], order["item"].as_str().unwrap())))) }
        })
        .field("price", |_, _, _| async { Ok(None) });
    let service = Service::<Order>::new().multi(Multi::ALL).resolve_external(external).resolve_result(result);
    (service, computed)
}

#[tokio::test]
async fn virtual_fields_are_computed_where_they_are_selected_of_all_that_they_need() {
    let (service, computed) = orders();
    let paged = service.paginate(Paginate::new(5));
    let server = serve(App::new().service(paged)).await;
    let order = json!({ "item": "cup", "price": 3, "count": 2 });
    let (status, made) = send(&server, "POST", "orders", order).await;
    assert_eq!(
        (status, &made["total"], &made["label"]),
        (201, &json!(6), &json!("2 x \"cup\"".replace('"', "")))
    );
    let id = made["id"].clone();
    assert_eq!(std::mem::take(&mut *computed.lock().unwrap()), ["total", "label"]);
    let path = format!("orders/{}", id.as_str().unwrap());
    for (select, shown, run) in [
        ("total", json!({ "id": id, "total": 6 }), vec!["total"]),
        ("label", json!({ "id": id, "label": "2 x cup" }), vec!["label"]),
        ("item", json!({ "id": id, "item": "cup" }), vec![]),
        ("price", json!({ "id": id }), vec![]),
        ("item&$select[]=total", json!({ "id": id, "item": "cup", "total": 6 }), vec!["total"]),
    ] {
        let (status, found) = send(&server, "GET", &format!("{path}?$select[]={select}"), Value::Null).await;
        assert_eq!((status, &found), (200, &shown), "{select}");
        let page = send(&server, "GET", &format!("orders?$select[]={select}"), Value::Null).await.1;
        assert_eq!(page["data"], json!([shown]), "{select}");
        let ran = std::mem::take(&mut *computed.lock().unwrap());
        assert_eq!(ran, [run.clone(), run].concat(), "{select}");
    }
    let patched = send(&server, "PATCH", &format!("{path}?$select[]=total"), json!({ "count": 4 })).await;
    assert_eq!(patched, (200, json!({ "id": id, "total": 12 })));
    for unknown in ["margin", "nothing"] {
        assert_eq!(
            send(&server, "GET", &format!("orders?$select[]=total&$select[]={unknown}"), Value::Null).await.0,
            400
        );
    }
    let removed = send(&server, "DELETE", "orders?$select[]=label", Value::Null).await;
    assert_eq!(removed.0, 200);
    assert_eq!(removed.1, json!([{ "id": id, "label": "4 x cup" }]));
}

#[tokio::test]
async fn the_program_gets_what_it_selects_and_needs_no_dispatch() {
    let (service, _) = orders();
    let server = serve(App::new().service(service)).await;
    let orders = server.services().service("orders", server.db()).unwrap();
    orders.create(json!({ "item": "cup", "price": 3, "count": 2 }), Params::default()).await.unwrap();
    let found = orders.find(Params::query(json!({ "$select": ["price", "total"] }))).await.unwrap();
    let fields: Vec<_> = found[0].as_object().unwrap().keys().collect();
    assert_eq!((&found[0]["price"], &found[0]["total"], fields.len()), (&json!(3), &json!(6), 3));
}

#[tokio::test]
async fn resolvers_are_for_some_methods_or_all_and_their_failures_name_the_field() {
    let stamp = |text: &'static str| {
        move |_: Option<Value>, _: Value, _: Arc<forge::services::HookContext>| async move {
            Ok(Some(json!(text)))
        }
    };
    let service = Service::raw("jobs")
        .multi(Multi::ALL)
        .resolve_data(Resolver::new().only([Method::Create]).field("by", stamp("create")))
        .resolve_data(Resolver::new().only([Method::Patch]).field("by", stamp("patch")))
        .resolve_data(Resolver::new().field("age", |value, _, _| async move {
            match value {
                Some(Value::String(_)) => Err(ServiceError::new(ErrorKind::BadRequest, "must be a number")),
                Some(Value::Bool(_)) => Err(ServiceError::new(ErrorKind::Forbidden, "is not yours to set")),
                value => Ok(value),
            }
        }))
        .resolve_result(Resolver::new().only([Method::Get]).field("seen", stamp("get")));
    let server = serve(App::new().service(service)).await;
    let made = send(&server, "POST", "jobs", json!({ "_id": "a", "age": 3 })).await;
    assert_eq!(made, (201, json!({ "_id": "a", "by": "create", "age": 3 })));
    let patched = send(&server, "PATCH", "jobs/a", json!({ "age": 4 })).await;
    assert_eq!(patched, (200, json!({ "_id": "a", "by": "patch", "age": 4 })));
    assert_eq!(send(&server, "GET", "jobs/a", Value::Null).await.1["seen"], "get");
    assert_eq!(send(&server, "GET", "jobs", Value::Null).await.1[0].get("seen"), None);
    let (status, wrong) = send(&server, "POST", "jobs", json!({ "age": "x" })).await;
    assert_eq!((status, &wrong["errors"]), (400, &json!({ "age": "must be a number" })));
    assert_eq!(wrong["data"][0]["instancePath"], "/age");
    let (status, wrong) = send(&server, "POST", "jobs", json!([{ "age": 1 }, { "age": true }])).await;
    assert_eq!((status, &wrong["name"]), (403, &json!("Forbidden")));
    assert_eq!(wrong["errors"], json!({ "1.age": "is not yours to set" }));
}

#[tokio::test]
async fn the_program_orders_by_several_fields() {
    let server = serve(App::new().service(Service::<Order>::new())).await;
    let orders = server.services().service("orders", server.db()).unwrap();
    for (item, price) in [("b", 1), ("a", 2), ("b", 2), ("a", 1)] {
        orders.create(json!({ "item": item, "price": price, "count": 1 }), Params::default()).await.unwrap();
    }
    let order = async |params: Params| {
        let found = orders.find(params).await.unwrap();
        let name = |order: &Value| format!("{}{}", order["item"].as_str().unwrap(), order["price"]);
        found.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    let all = || Params::query(json!({}));
    assert_eq!(order(all().descending("price").ascending("item")).await, ["a2", "b2", "a1", "b1"]);
    assert_eq!(order(all().ascending("item").descending("price")).await, ["a2", "a1", "b2", "b1"]);
    let object = Params::query(json!({ "$sort": { "price": -1 } }));
    assert_eq!(order(object.descending("item")).await, ["b2", "a2", "b1", "a1"]);
}
