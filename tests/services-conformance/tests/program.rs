//! Services as the program uses them: resolvers, raw documents, handlers, transactions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

use bson::{RawDocumentBuf, doc};
use forge::prelude::*;
use forge::server::axum::body::{Body, to_bytes};
use forge::server::axum::http::Request;
use forge::services::{
    Hooks, Kind, Method, Paginate, Params, QueryFields, RawDocuments, Resolver, Service, resolve_object_id,
    resolve_query_object_id,
};
use forge::{App, Error, server::Server};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt;

#[derive(Debug, Clone, Model)]
#[model(collection = "accounts", service(paginate(default = 2), estimated_count))]
pub struct Account {
    #[model(id)]
    pub id: String,
    pub balance: i64,
    #[model(private, default)]
    pub note: String,
}

/// Moves money, and writes it down: all or nothing.
#[mutation(transaction)]
async fn transfer(ctx: &MutationCtx, from: String, to: String, amount: i64) -> Result<i64> {
    let services = ctx.services();
    let accounts = services.service("accounts")?;
    let mut balances = Vec::new();
    for (id, by) in [(from, -amount), (to, amount)] {
        let account = accounts.get(id.as_str(), Params::default()).await?;
        let balance = account["balance"].as_i64().unwrap_or(0) + by;
        accounts.patch(Some(id.into()), json!({ "balance": balance }), Params::default()).await?;
        services.service("ledger")?.create(json!({ "by": by }), Params::default()).await?;
        balances.push(balance);
    }
    if balances[0] < 0 {
        return Err(Error::conflict("there is not enough"));
    }
    Ok(balances[0])
}

async fn send(server: &Server, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json").body(body).unwrap();
    let answer = server.router().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&text).unwrap_or(Value::Null))
}

async fn accounts() -> Server {
    let app = App::new().model_services().service(Service::raw("ledger"));
    let server = app.database("memory:").build().await.unwrap();
    for (id, balance) in [("ann", 50), ("bob", 0), ("cat", 7)] {
        let made = send(&server, "POST", "/services/accounts", json!({ "id": id, "balance": balance })).await;
        assert_eq!(made.0, 201);
    }
    server
}

async fn documents(found: RawDocuments) -> Vec<RawDocumentBuf> {
    found.try_collect().await.unwrap()
}

#[tokio::test]
async fn a_handler_writes_by_services_in_its_own_transaction() {
    let server = accounts().await;
    let state = async || {
        let ann = send(&server, "GET", "/services/accounts/ann", Value::Null).await.1["balance"].clone();
        (ann, send(&server, "GET", "/services/ledger", Value::Null).await.1.as_array().unwrap().len())
    };
    let args = |amount: i64| json!({ "from": "ann", "to": "bob", "amount": amount });
    assert_eq!(send(&server, "POST", "/api/mutation/transfer", args(80)).await.0, 409);
    assert_eq!(state().await, (json!(50), 0), "nothing of it is left");
    assert_eq!(send(&server, "POST", "/api/mutation/transfer", args(30)).await, (200, json!(20)));
    assert_eq!(state().await, (json!(20), 2));
    let unknown = json!({ "from": "nobody", "to": "bob", "amount": 1 });
    let (status, error) = send(&server, "POST", "/api/mutation/transfer", unknown).await;
    assert_eq!((status, &error["code"]), (404, &json!("not_found")), "{error}");
}

#[tokio::test]
async fn the_program_reads_documents_as_they_are_stored() {
    let server = accounts().await;
    let accounts = server.services().service("accounts", server.db()).unwrap();
    let rich = || Params::query(json!({ "balance": { "$gt": 5 }, "$sort": { "balance": -1 } }));
    let found = documents(accounts.find_raw(rich()).await.unwrap()).await;
    let ids: Vec<_> = found.iter().map(|document| document.get_str("_id").unwrap()).collect();
    assert_eq!(ids, ["ann", "cat"]);
    assert_eq!(found[0].get_str("note").unwrap(), "", "private fields are there");
    let doubled =
        [doc! { "$feathers": {} }, doc! { "$set": { "twice": { "$add": ["$balance", "$balance"] } } }];
    let piped = documents(accounts.aggregate_raw(rich().pipeline(doubled)).await.unwrap()).await;
    assert_eq!(piped[0].get_i64("twice").unwrap(), 100);
    let stages = accounts.make_feathers_pipeline(&rich()).unwrap();
    assert_eq!(stages.len(), 3, "conditions, order and the limit of a page: {stages:?}");
    assert!(accounts.find_raw(Params::query(json!({ "note": "" }))).await.is_err());
}

#[tokio::test]
async fn an_estimate_counts_everything_and_a_condition_is_exact() {
    let server = accounts().await;
    let total = async |query: &str| {
        send(&server, "GET", &format!("/services/accounts{query}"), Value::Null).await.1["total"].clone()
    };
    assert_eq!((total("").await, total("?balance[$gt]=5").await), (json!(3), json!(2)));
}

#[tokio::test]
async fn resolvers_make_fields_of_data_queries_results_and_what_leaves() {
    let data = Resolver::new()
        .field("owner", |value, _, _| async { resolve_object_id(value) })
        .field("madeBy", |_, _, call| async move { Ok(Some(json!(call.method.name()))) })
        .field("junk", |_, _, _| async { Ok(None) });
    let query = Resolver::new().field("owner", |value, _, _| async { resolve_query_object_id(value) });
    let result = Resolver::new().field("shout", |_, object, _| async move {
        Ok(object["text"].as_str().map(|text| json!(text.to_uppercase())))
    });
    let external = Resolver::new().field("secret", |_, _, _| async { Ok(None) });
    let seen = Hooks::new().after([Method::Find], |mut call| async move {
        let found = call.result.as_ref().map(|page| page["data"][0].clone()).unwrap_or_default();
        assert_eq!(found["secret"], "s", "the program sees it");
        call.http.status = Some(203);
        Ok(call)
    });
    let notes = Service::raw("notes")
        .paginate(Paginate::new(5))
        .resolve_external(external)
        .resolve_result(result)
        .resolve_data(data)
        .resolve_query(query)
        .hooks(seen);
    let server = App::new().service(notes).database("memory:").build().await.unwrap();
    let owner = "0123456789abcdef01234567";
    let note = json!({ "text": "hi", "owner": owner, "secret": "s", "junk": 1 });
    let (status, made) = send(&server, "POST", "/services/notes", note).await;
    assert_eq!(status, 201);
    assert_eq!((&made["madeBy"], &made["shout"]), (&json!("create"), &json!("HI")));
    assert_eq!((made.get("secret"), made.get("junk")), (None, None));
    let other = json!({ "text": "ho", "owner": "f".repeat(24), "secret": "s" });
    assert_eq!(send(&server, "POST", "/services/notes", other).await.0, 201);
    let raw = server.services().service("notes", server.db()).unwrap();
    let stored = documents(raw.find_raw(Params::default()).await.unwrap()).await;
    assert_eq!(stored[0].get_object_id("owner").unwrap().to_hex(), owner);
    for (query, total) in [
        (format!("owner={owner}"), 1),
        (format!("owner[$in][]={owner}"), 1),
        (format!("owner[$gte]={owner}"), 2),
    ] {
        let found = send(&server, "GET", &format!("/services/notes?{query}"), Value::Null).await;
        assert_eq!((found.0, &found.1["total"]), (203, &json!(total)), "{query}: {}", found.1);
        assert_eq!(found.1["data"][0].get("secret"), None);
    }
    assert_eq!(send(&server, "GET", "/services/notes?owner=x", Value::Null).await.0, 400);
    assert_eq!(send(&server, "POST", "/services/notes", json!({ "owner": "x" })).await.0, 400);
}

#[tokio::test]
async fn the_program_calls_methods_that_clients_may_not() {
    let service = Service::<Account>::new().methods([Method::Find]);
    let server = App::new().service(service).database("memory:").build().await.unwrap();
    let account = json!({ "id": "ann", "balance": 5 });
    assert_eq!(send(&server, "POST", "/services/accounts", account.clone()).await.0, 405);
    let accounts = server.services().service("accounts", server.db()).unwrap();
    accounts.create(account, Params::default()).await.unwrap();
    accounts.patch(Some("ann".into()), json!({ "balance": 6 }), Params::default()).await.unwrap();
    assert_eq!(send(&server, "GET", "/services/accounts", Value::Null).await.1[0]["balance"], 6);
    assert_eq!(send(&server, "GET", "/services/accounts/ann", Value::Null).await.0, 405);
    let unknown = accounts.call(Method::named("shout"), None, None, Params::default()).await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn a_path_names_the_service_that_says_most_whatever_was_declared_first() {
    let says = |path: &str| {
        let name = path.to_owned();
        let hooks = Hooks::new().before([], move |mut call| {
            call.result = Some(json!({ "by": name, "route": call.params.route, "id": call.id }));
            async move { Ok(call) }
        });
        Service::raw("things").path(path).hooks(hooks)
    };
    let paths = ["people", "people/archived", "users/:user", "users/me", "users/:user/notes"];
    let app = paths.into_iter().fold(App::new(), |app, path| app.service(says(path)));
    let server = app.database("memory:").build().await.unwrap();
    for (url, by, id) in [
        ("people", "people", Value::Null),
        ("people/archived", "people/archived", Value::Null),
        ("people/archived/7", "people/archived", json!("7")),
        ("people/7", "people", json!("7")),
        ("users/me", "users/me", Value::Null),
        ("users/7", "users/:user", Value::Null),
        ("users/7/x", "users/:user", json!("x")),
        ("users/7/notes", "users/:user/notes", Value::Null),
    ] {
        let found = send(&server, "GET", &format!("/services/{url}"), Value::Null).await.1;
        assert_eq!((&found["by"], &found["id"]), (&json!(by), &id), "{url}: {found}");
    }
}

#[tokio::test]
async fn elements_are_pulled_by_what_their_fields_hold() {
    let app = App::new().service(Service::raw("quizzes")).service(Service::<Account>::new());
    let server = app.database("memory:").build().await.unwrap();
    let result = |item: &str, score: i32| json!({ "item": item, "score": score });
    let quiz = json!({ "results": [result("a", 5), result("b", 8), result("c", 8), result("d", 9)], "n": [1, 2, 3] });
    let made = send(&server, "POST", "/services/quizzes", quiz).await.1;
    let path = format!("/services/quizzes/{}", made["_id"].as_str().unwrap());
    for (condition, left) in [
        (json!({ "score": 7 }), vec!["a", "b", "c", "d"]),
        (json!({ "score": 8, "item": "b" }), vec!["a", "c", "d"]),
        (json!({ "score": 8 }), vec!["a", "d"]),
        (json!({ "score": { "$gte": 8 } }), vec!["a"]),
    ] {
        let (status, quiz) =
            send(&server, "PATCH", &path, json!({ "$pull": { "results": condition } })).await;
        let items: Vec<_> =
            quiz["results"].as_array().unwrap().iter().map(|item| item["item"].clone()).collect();
        assert_eq!((status, items), (200, left.into_iter().map(Value::from).collect()), "{condition}");
    }
    let left = send(&server, "PATCH", &path, json!({ "$pull": { "n": { "$gt": 2 } } })).await.1;
    assert_eq!(left["n"], json!([1, 2]));
    assert_eq!(send(&server, "PATCH", &path, json!({ "$pull": { "n": 1 } })).await.1["n"], json!([2]));
    for refused in [json!({ "score": { "$where": "1" } }), json!({ "$regex": "x" }), json!({})] {
        let (status, error) = send(&server, "PATCH", &path, json!({ "$pull": { "results": refused } })).await;
        assert_eq!(status, 400, "{refused}: {error}");
    }
    let ann = send(&server, "POST", "/services/accounts", json!({ "id": "ann", "balance": 5 })).await;
    assert_eq!(ann.0, 201);
    let pull = json!({ "$pull": { "balance": { "score": 8 } } });
    assert_eq!(
        send(&server, "PATCH", "/services/accounts/ann", pull).await.0,
        400,
        "models take no operators"
    );
}

#[tokio::test]
async fn a_path_without_a_service_is_answered_as_feathers_does() {
    let server = accounts().await;
    for (method, path) in
        [("GET", "/services/nothing"), ("POST", "/services/accounts/a/b"), ("GET", "/services")]
    {
        let (status, error) = send(&server, method, path, Value::Null).await;
        let expected = json!({
            "name": "NotFound", "message": format!("Path {path} not found"), "code": 404, "className": "not-found",
        });
        assert_eq!((status, error), (404, expected), "{method} {path}");
    }
    for path in ["/servicesx", "/nothing", "/api/nothing"] {
        assert_eq!(send(&server, "GET", path, Value::Null).await.1["code"], "not_found", "{path}");
    }
    let app = App::new().services_at("/").service(Service::raw("notes"));
    let server = app.database("memory:").build().await.unwrap();
    assert_eq!(send(&server, "GET", "/a/b/c", Value::Null).await.1["className"], "not-found");
    assert_eq!(send(&server, "GET", "/api/nothing", Value::Null).await.1["code"], "not_found");
}

#[tokio::test]
async fn hooks_of_every_service_add_up() {
    let mark = |name: &'static str| {
        Hooks::new().before([], move |mut call| async move {
            let marks = call.data.as_mut().and_then(|data| data["marks"].as_array_mut());
            marks.into_iter().for_each(|marks| marks.push(name.into()));
            Ok(call)
        })
    };
    let notes = Service::raw("notes").hooks(mark("own"));
    let app = App::new().service_hooks(mark("first")).service_hooks(mark("second")).service(notes);
    let server = app.database("memory:").build().await.unwrap();
    let made = send(&server, "POST", "/services/notes", json!({ "marks": [] })).await.1;
    assert_eq!(made["marks"], json!(["first", "second", "own"]));
}

#[tokio::test]
async fn the_query_of_a_create_is_checked_where_the_fields_are_known() {
    let fields = QueryFields::new().field("name", Kind::String).field("age", Kind::Number);
    let app = App::new()
        .service(Service::<Account>::new())
        .service(Service::raw("people").query_fields(fields))
        .service(Service::raw("notes"));
    let server = app.database("memory:").build().await.unwrap();
    let account = |id: &str| json!({ "id": id, "balance": 5 });
    for (url, body, status) in [
        ("accounts?foo=1", account("a"), 400),
        ("accounts?balance=abc", account("a"), 400),
        ("accounts?note=x", account("a"), 400),
        ("accounts?balance=7", account("a"), 201),
        ("people?foo=1", json!({ "name": "Ann" }), 400),
        ("people?age=abc", json!({ "name": "Ann" }), 400),
        ("people?name=Dave&$select[]=name", json!({ "name": "Ann" }), 201),
        ("notes?foo=1", json!({ "name": "Ann" }), 201),
    ] {
        let answer = send(&server, "POST", &format!("/services/{url}"), body).await;
        assert_eq!(answer.0, status, "{url}: {}", answer.1);
    }
}
