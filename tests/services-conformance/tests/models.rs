//! Services over models: what clients may send, ask and see, and what hooks do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use std::sync::{Arc, Mutex};

use bson::doc;
use forge::prelude::*;
use forge::server::axum::body::{Body, to_bytes};
use forge::server::axum::http::Request;
use forge::services::{ErrorKind, Hooks, Method, Multi, Paginate, Params, Service};
use forge::{App, server::Server};
use serde_json::{Value, json};
use support::{ask, serve};
use tower::ServiceExt;

const CANARY: &str = "canary-19ab";

#[derive(Debug, Clone, Model)]
#[model(collection = "members", timestamps, soft_delete)]
pub struct Member {
    #[model(id)]
    pub id: Id<Member>,
    #[validate(length(min = 1))]
    pub name: String,
    #[model(unique)]
    pub email: Option<String>,
    pub joined: DateTime,
    #[model(default)]
    pub active: bool,
    #[model(default)]
    pub tags: Vec<String>,
    #[model(embed)]
    pub home: Option<Home>,
    #[model(private, default = CANARY)]
    pub secret: String,
    #[model(readonly, default)]
    pub karma: i32,
}

#[derive(Debug, Clone, Embed)]
pub struct Home {
    pub city: String,
    #[model(private)]
    pub door: Option<String>,
}

#[derive(Debug, Clone, Model)]
#[model(collection = "shelves")]
pub struct Shelf {
    #[model(id)]
    pub id: String,
    #[model(tenant_key)]
    pub org: String,
    pub label: String,
}

#[derive(Debug, Clone, Model)]
#[model(
    collection = "articles",
    service(
        path = "texts",
        paginate(default = 2, max = 3),
        multi = [create],
        methods = [find, get, create, patch],
        operators = [regex],
        filters = [org],
        id = "slug",
        events = [read],
    )
)]
pub struct Article {
    #[model(id)]
    pub id: Id<Article>,
    #[model(unique)]
    pub slug: String,
    pub words: i32,
}

async fn members() -> Server {
    serve(App::new().service(Service::<Member>::new().multi(Multi::ALL))).await
}

async fn send(server: &Server, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, text) = ask(server, method, path, body).await;
    assert!(!text.contains(CANARY), "a private field in {method} {path}");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn add(server: &Server, name: &str, joined: &str) -> Value {
    let (status, member) = send(server, "POST", "members", json!({ "name": name, "joined": joined })).await;
    assert_eq!(status, 201, "{member}");
    member
}

const DAY: &str = "2026-01-02T00:00:00.000Z";

#[tokio::test]
async fn private_fields_are_never_sent_shown_or_asked_for() {
    let server = members().await;
    let id = add(&server, "Ann", DAY).await["id"].as_str().unwrap().to_owned();
    for query in [
        format!("secret={CANARY}"),
        "secret[$gt]=a".into(),
        "$sort[secret]=1".into(),
        "$select[]=secret".into(),
        "$or[0][secret][$ne]=a".into(),
        "home.door=x".into(),
    ] {
        assert_eq!(send(&server, "GET", &format!("members?{query}"), Value::Null).await.0, 400, "{query}");
    }
    for data in
        [json!({ "secret": "x" }), json!({ "karma": 9 }), json!({ "home": { "city": "a", "door": "b" } })]
    {
        assert_eq!(send(&server, "PATCH", &format!("members/{id}"), data.clone()).await.0, 400, "{data}");
    }
    let stored = server.db().get::<Member>(id.parse::<Id<Member>>().unwrap()).await.unwrap().unwrap();
    assert_eq!((stored.secret.as_str(), stored.karma), (CANARY, 0));
}

#[tokio::test]
async fn a_new_state_keeps_what_clients_cannot_send() {
    let server = members().await;
    let id = add(&server, "Ann", DAY).await["id"].as_str().unwrap().to_owned();
    let key = id.parse::<Id<Member>>().unwrap();
    server.db().update::<Member>(key).set(|m| m.karma, 7).set(|m| m.secret, "own").await.unwrap();
    let state = json!({ "name": "Bob", "joined": DAY, "tags": ["x"] });
    let (status, shown) = send(&server, "PUT", &format!("members/{id}"), state).await;
    assert_eq!(
        (status, &shown["name"], &shown["karma"], &shown["id"]),
        (200, &json!("Bob"), &json!(7), &json!(id))
    );
    let stored = server.db().get::<Member>(key).await.unwrap().unwrap();
    assert_eq!((stored.secret.as_str(), stored.tags), ("own", vec!["x".to_owned()]));
    let (status, error) =
        send(&server, "PUT", &format!("members/{id}"), json!({ "name": "", "joined": DAY })).await;
    assert_eq!((status, &error["message"]), (400, &json!("validation failed")));
    assert_eq!(error["errors"]["name"], json!("must have a length of at least 1"));
}

#[tokio::test]
async fn text_in_queries_becomes_what_the_fields_hold() {
    let server = members().await;
    let first = add(&server, "Ann", "2026-01-01T00:00:00Z").await["id"].as_str().unwrap().to_owned();
    let second = add(&server, "Bob", "2026-02-01T00:00:00Z").await["id"].as_str().unwrap().to_owned();
    let patch = json!({ "active": true, "tags": ["a", "b"], "home": { "city": "Rome" } });
    assert_eq!(send(&server, "PATCH", &format!("members/{second}"), patch).await.0, 200);
    for (query, expected) in [
        ("joined[$gt]=2026-01-15T00:00:00Z".to_owned(), vec!["Bob"]),
        (format!("id[$in][]={first}&id[$in][]={second}&$sort[name]=-1"), vec!["Bob", "Ann"]),
        (format!("id[$ne]={first}"), vec!["Bob"]),
        ("$or[0][active]=true&$or[1][karma][$gt]=5".to_owned(), vec!["Bob"]),
        ("tags=a".to_owned(), vec!["Bob"]),
        ("home.city=Rome".to_owned(), vec!["Bob"]),
        ("active=false&createdAt[$gt]=2001-01-01T00:00:00Z".to_owned(), vec!["Ann"]),
    ] {
        let (status, found) = send(&server, "GET", &format!("members?{query}"), Value::Null).await;
        assert_eq!(status, 200, "{query}: {found}");
        let names: Vec<_> = found.as_array().unwrap().iter().map(|member| member["name"].clone()).collect();
        assert_eq!(names, expected, "{query}");
    }
    let (_, picked) =
        send(&server, "GET", &format!("members/{second}?$select[]=home.city"), Value::Null).await;
    assert_eq!(picked, json!({ "id": second, "home": { "city": "Rome" } }));
}

#[tokio::test]
async fn removed_documents_are_marked_where_the_model_says_so() {
    let server = members().await;
    let id = add(&server, "Ann", DAY).await["id"].as_str().unwrap().to_owned();
    assert_eq!(send(&server, "DELETE", &format!("members/{id}"), Value::Null).await.0, 200);
    assert_eq!(send(&server, "GET", &format!("members/{id}"), Value::Null).await.0, 404);
    assert_eq!(send(&server, "DELETE", &format!("members/{id}"), Value::Null).await.0, 404);
    assert_eq!(server.db().find::<Member>().with_deleted().count().await.unwrap(), 1);
}

#[tokio::test]
async fn hooks_run_in_their_order_and_can_mend_a_failure() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let seen = seen.clone();
        move || seen.lock().unwrap().push(name)
    };
    let step = |name| {
        let note = note(name);
        move |call| {
            note();
            std::future::ready(Ok(call))
        }
    };
    let (enter, leave) = (note("around"), note("after around"));
    let (enter, leave) = (Arc::new(enter), Arc::new(leave));
    let own = Hooks::new()
        .around([], move |call, next| {
            let (enter, leave) = (enter.clone(), leave.clone());
            async move {
                enter();
                let done = next.run(call).await?;
                leave();
                Ok(done)
            }
        })
        .before([], step("before"))
        .after([], step("after"))
        .error([Method::Get], |mut call| async move {
            if call.error.as_ref().is_some_and(|error| error.kind() == ErrorKind::NotFound) {
                call.error = None;
                call.result = Some(json!({ "name": "nobody" }));
            }
            Ok(call)
        });
    let app = App::new()
        .service(Service::<Member>::new().hooks(own))
        .service_hooks(Hooks::new().before([], step("app before")).after([], step("app after")));
    let server = serve(app).await;
    assert_eq!(send(&server, "GET", "members", Value::Null).await, (200, json!([])));
    let order = ["around", "app before", "before", "after", "app after", "after around"];
    assert_eq!(*seen.lock().unwrap(), order);
    let missing = "members/0123456789abcdef01234567";
    assert_eq!(send(&server, "GET", missing, Value::Null).await, (200, json!({ "name": "nobody" })));
    assert_eq!(send(&server, "DELETE", missing, Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_transaction_over_two_services_commits_or_leaves_nothing() {
    let service = Service::<Member>::new().method("pair", |call| async move {
        let fails = call.data.as_ref().is_some_and(|data| data["fails"] == true);
        let services = call.services.clone();
        let done = call.db.transaction(async |tx: Db| {
            let one = services.service("members", &tx)?;
            one.create(json!({ "name": "one", "joined": DAY }), Params::default()).await?;
            let other = services.service("notes", &tx)?;
            other.create(json!({ "about": "one" }), Params::default()).await?;
            if fails { Err(forge::Error::conflict("undone")) } else { Ok(()) }
        });
        done.await?;
        Ok(json!({ "done": true }))
    });
    let server = serve(App::new().service(service).service(Service::raw("notes"))).await;
    let counts = async || {
        let length = |list: Value| list.as_array().unwrap().len();
        let members = send(&server, "GET", "members", Value::Null).await.1;
        (length(members), length(send(&server, "GET", "notes", Value::Null).await.1))
    };
    let pair = async |data: Value| {
        let request = Request::post("/services/members").header("x-service-method", "pair");
        let request = request.header("content-type", "application/json").header("host", "localhost");
        let request = request.body(Body::from(data.to_string())).unwrap();
        server.router().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!((pair(json!({ "fails": true })).await, counts().await), (409, (0, 0)));
    assert_eq!((pair(json!({})).await, counts().await), (200, (1, 1)));
}

#[tokio::test]
async fn a_hook_chooses_the_tenant() {
    let tenant = Hooks::new().before([], |mut call| async move {
        let org = call.params.query.remove("$org").and_then(|org| org.as_str().map(str::to_owned));
        call.db = call.db.tenant(org.unwrap_or_default());
        Ok(call)
    });
    let service = Service::<Shelf>::new().filters(["$org"]).hooks(tenant);
    let server = serve(App::new().service(service)).await;
    let shelf = json!({ "id": "s", "label": "first" });
    assert_eq!(send(&server, "POST", "shelves?$org=a", shelf).await.0, 201);
    let found = async |org: &str| send(&server, "GET", &format!("shelves/s?$org={org}"), Value::Null).await.0;
    assert_eq!((found("a").await, found("b").await), (200, 404));
    assert_eq!(send(&server, "PATCH", "shelves/s?$org=b", json!({ "label": "x" })).await.0, 404);
    assert_eq!(send(&server, "PUT", "shelves/s?$org=a", json!({ "label": "y" })).await.0, 200);
    assert_eq!(found("a").await, 200);
}

#[tokio::test]
async fn the_collection_of_a_model_cannot_be_had_raw() {
    let error = App::new().database("memory:").service(Service::raw("members")).build().await.unwrap_err();
    assert!(error.to_string().contains("Service::<Member>::new()"), "{error}");
}

#[tokio::test]
async fn models_declare_their_services() {
    let server = serve(App::new().model_services()).await;
    let article = |slug: &str, words: i32| json!({ "slug": slug, "words": words });
    let three = json!([article("a", 1), article("b", 2), article("c", 3)]);
    assert_eq!(send(&server, "POST", "texts", three).await.0, 201);
    let (_, page) = send(&server, "GET", "texts?$sort[words]=-1", Value::Null).await;
    assert_eq!(
        (&page["total"], &page["limit"], &page["data"][0]["slug"]),
        (&json!(3), &json!(2), &json!("c"))
    );
    assert_eq!(send(&server, "GET", "texts?$limit=9&slug[$regex]=^a", Value::Null).await.1["limit"], 3);
    assert_eq!(send(&server, "GET", "texts?slug[$exists]=true", Value::Null).await.0, 400);
    let patched = send(&server, "PATCH", "texts/b", json!({ "words": 9 })).await;
    assert_eq!((patched.0, &patched.1["words"]), (200, &json!(9)));
    for method in ["PUT", "DELETE"] {
        assert_eq!(send(&server, method, "texts/b", article("b", 1)).await.0, 405);
    }
    assert_eq!(send(&server, "PATCH", "texts", json!({ "words": 9 })).await.0, 405);
    let unread = send(&server, "GET", "texts?$org=x", Value::Null).await.1;
    assert!(unread["message"].as_str().unwrap().contains("for a hook"), "{unread}");
}

#[tokio::test]
async fn a_declared_service_is_the_base_of_one_with_hooks() {
    let org = Hooks::new().before([], |mut call| async move {
        call.params.query.remove("$org");
        Ok(call)
    });
    let app = App::new().service(Service::<Article>::declared().hooks(org)).model_services();
    let server = serve(app).await;
    let found = send(&server, "GET", "texts?$org=x", Value::Null).await;
    assert_eq!((found.0, &found.1["limit"]), (200, &json!(2)));
}

#[tokio::test]
async fn writes_with_stages_change_the_document() {
    let staged = Hooks::new().before([], |mut call| async move {
        call.params.pipeline = Some(vec![doc! { "$addFields": { "staged": true } }]);
        Ok(call)
    });
    let server = serve(App::new().service(Service::raw("notes").hooks(staged))).await;
    let (_, made) = send(&server, "POST", "notes", json!({ "n": 1 })).await;
    let path = format!("notes/{}", made["_id"].as_str().unwrap());
    let patched = send(&server, "PATCH", &path, json!({ "n": 2 })).await;
    assert_eq!((patched.0, &patched.1["n"], &patched.1["staged"]), (200, &json!(2), &json!(true)));
    assert_eq!(send(&server, "PUT", &path, json!({ "n": 3 })).await.1["n"], 3);
    let removed = send(&server, "DELETE", &path, Value::Null).await;
    assert_eq!((removed.0, &removed.1["n"], &removed.1["staged"]), (200, &json!(3), &json!(true)));
    assert_eq!(send(&server, "GET", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn an_id_is_a_plain_condition_and_a_longest_page_needs_no_usual_one() {
    let paginate = Paginate { default: None, max: Some(2) };
    let server = serve(App::new().service(Service::raw("notes").paginate(paginate).multi(Multi::ALL))).await;
    let (_, made) = send(&server, "POST", "notes", json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])).await;
    assert_eq!(send(&server, "GET", "notes", Value::Null).await.1.as_array().unwrap().len(), 2);
    let shapes = Arc::new(Mutex::new(Vec::new()));
    let seen = shapes.clone();
    server.db().on_command(move |event| {
        if event.collection == "notes" {
            seen.lock().unwrap().push(event.shape.to_owned());
        }
    });
    let path = format!("notes/{}", made[0]["_id"].as_str().unwrap());
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({ "n": 9 })), ("DELETE", Value::Null)] {
        assert_eq!(send(&server, method, &path, body).await.0, 200);
    }
    let shapes = shapes.lock().unwrap().clone();
    assert_eq!(shapes.len(), 3, "{shapes:?}");
    assert!(shapes.iter().all(|shape| shape.starts_with("{ _id: ? }")), "{shapes:?}");
}

#[tokio::test]
async fn documents_without_a_model_keep_the_order_of_their_fields() {
    let names = Hooks::new().before([Method::Get], |mut call| async move {
        let fields = |of: &str| doc! { "$map": { "input": { "$objectToArray": of }, "in": "$$this.k" } };
        call.params.pipeline =
            Some(vec![doc! { "$project": { "all": fields("$$ROOT"), "inner": fields("$inner") } }]);
        Ok(call)
    });
    let server = serve(App::new().service(Service::raw("notes").hooks(names))).await;
    let text = async |method: &str, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(format!("/services/{path}"));
        let request = request.header("content-type", "application/json").header("host", "localhost");
        let answer =
            server.router().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let created = text("POST", "notes", r#"{"title":"t","inner":{"y":1,"b":2},"about":1}"#).await;
    let path = format!("notes/{}", created["_id"].as_str().unwrap());
    let order = async || {
        let found = text("GET", &path, "").await;
        json!([found["all"], found["inner"]])
    };
    assert_eq!(order().await, json!([["_id", "title", "inner", "about"], ["y", "b"]]));
    text("PATCH", &path, r#"{"inner":{"z":1,"a":2,"m":3}}"#).await;
    assert_eq!(order().await, json!([["_id", "title", "inner", "about"], ["z", "a", "m"]]));
    text("PUT", &path, r#"{"zoo":1,"inner":{"k":1,"j":1},"ant":2}"#).await;
    assert_eq!(order().await, json!([["_id", "zoo", "inner", "ant"], ["k", "j"]]));
}

#[tokio::test]
async fn every_service_is_described_with_examples() {
    let app = App::new()
        .service(Service::<Member>::new().multi(Multi::CREATE).paginate(Paginate::new(10)))
        .service(Service::raw("notes").methods([Method::Find]));
    let server = serve(app).await;
    let request = Request::get("/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = server.router().oneshot(request).await.unwrap();
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let (many, one) = (&document["paths"]["/services/members"], &document["paths"]["/services/members/{id}"]);
    let body = &many["post"]["requestBody"]["content"]["application/json"];
    assert_eq!(body["example"]["joined"], json!("2026-01-31T12:00:00.000Z"));
    assert_eq!(body["example"].get("karma"), None, "clients cannot send it");
    let found = &many["get"]["responses"]["200"]["content"]["application/json"]["example"];
    assert_eq!((&found["limit"], found["data"][0].get("secret")), (&json!(10), None));
    assert_eq!(many.get("patch"), None, "not for many");
    assert_eq!(one["patch"]["operationId"], json!("members.patch.one"));
    let names = many["get"]["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]);
    let names: Vec<_> = names.filter_map(Value::as_str).collect();
    assert!(names.contains(&"home.city") && names.contains(&"$limit"), "{names:?}");
    assert!(!names.contains(&"secret") && !names.contains(&"home.door"), "{names:?}");
    assert_eq!(document["paths"]["/services/notes"].as_object().unwrap().len(), 1);
    assert_eq!(document["paths"].get("/services/notes/{id}"), None);
    assert!(document["components"]["schemas"]["ServiceError"].is_object());
}

#[tokio::test]
async fn openapi_describes_placeholders_methods_of_the_services_own_and_what_queries_may_say() {
    let app = App::new().database("memory:").service(
        Service::<Member>::new()
            .path("teams/:team/members")
            .multi(Multi::CREATE)
            .operators(["$regex"])
            .method("promote", async |_| Ok(json!(true))),
    );
    let server = serve(app).await;
    let request = Request::get("/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = server.router().oneshot(request).await.unwrap();
    let document: Value =
        serde_json::from_slice(&to_bytes(answer.into_body(), usize::MAX).await.unwrap()).unwrap();
    let paths = &document["paths"];
    let many = &paths["/services/teams/{team}/members"];
    assert_eq!(many["parameters"][0]["name"], "team");
    let one = &paths["/services/teams/{team}/members/{id}"]["parameters"];
    assert_eq!((&one[0]["name"], &one[1]["name"]), (&json!("team"), &json!("id")));
    let post = &many["post"];
    assert_eq!(post["parameters"][0]["schema"]["enum"], json!(["promote"]));
    assert_eq!(post["parameters"][0]["required"], json!(false), "create is without it");
    assert!(
        post["responses"]["201"]["content"]["application/json"]["schema"]["oneOf"][1]["items"].is_object()
    );
    let shown = &post["responses"]["201"]["content"]["application/json"]["example"];
    assert!(shown["home"]["city"].is_string(), "what a schema refers to is in its example: {shown}");
    let parameters = many["get"]["parameters"].as_array().unwrap();
    let named = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name).unwrap();
    assert!(named("name")["schema"]["anyOf"][1]["properties"].get("$regex").is_some());
    assert!(named("$sort")["example"].is_object() && named("$or")["schema"]["type"] == "array");
}
