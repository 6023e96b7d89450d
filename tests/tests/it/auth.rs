//! Who calls, from a JSON Web Token to what a handler sees, over real sockets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forge::server::auth::Jwt;
use forge_tests::server::TestServer;
use forge_tests::socket::Socket;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

const SECRET: &str = "a secret of thirty-two bytes or more";

async fn server() -> TestServer {
    TestServer::with_auth(Jwt::secret(SECRET).unwrap().leeway(Duration::ZERO)).await
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn token_until(subject: &str, roles: &[&str], expires: f64) -> String {
    signed_by(SECRET, &json!({ "sub": subject, "roles": roles, "exp": expires }))
}

fn token(subject: &str, roles: &[&str]) -> String {
    token_until(subject, roles, seconds() + 600.0)
}

fn signed_by(secret: &str, claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

async fn sign_in(socket: &mut Socket, token: &str) {
    socket.send(json!({ "op": "auth", "token": token })).await;
    socket.expect("ready").await;
}

#[tokio::test]
async fn handlers_see_who_calls() {
    let server = server().await;
    let (http, ann, bob) = (server.http(), token("ann", &[]), token("bob", &["moderator"]));
    assert_eq!(http.signed("mutation", "add_mine", &ann, &json!({ "title": "t" })).await.status, 200);
    let count = async |token: &str| {
        http.signed("query", "my_notes", token, &json!({})).await.json().as_array().unwrap().len()
    };
    assert_eq!((count(&ann).await, count(&bob).await), (1, 0));
    assert_eq!(http.signed("query", "all_notes", &bob, &json!({})).await.json(), json!(1));
    let refused = http.signed("query", "all_notes", &ann, &json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let unknown = http.call("query", "my_notes", &json!({})).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (401, "unauthorized"));
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));
    assert_eq!(http.call("query", "note_count", &json!({ "board": "ann" })).await.json(), json!(1));
}

#[tokio::test]
async fn a_guard_also_holds_for_handlers_that_are_called_by_others() {
    let server = server().await;
    let through =
        async |token: &str| server.http().signed("query", "through", token, &json!({})).await.status;
    assert_eq!(through(&token("ann", &[])).await, 403);
    assert_eq!(through(&token("ann", &["moderator"])).await, 200);
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused_by_every_door() {
    let server = server().await;
    let claims = json!({ "sub": "ann", "roles": ["moderator"], "exp": seconds() + 600.0 });
    let valid = signed_by(SECRET, &claims);
    let mut parts: Vec<&str> = valid.split('.').collect();
    // {"alg":"none","typ":"JWT"}
    parts[0] = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    let expired = token_until("ann", &["moderator"], seconds() - 1.0);
    let forged = signed_by("another secret of thirty-two bytes", &claims);
    let forever = signed_by(SECRET, &json!({ "sub": "ann", "roles": ["moderator"] }));
    let nobody = signed_by(SECRET, &json!({ "roles": ["moderator"], "exp": seconds() + 600.0 }));
    for bad in [unsigned.as_str(), &expired, &forged, &forever, &nobody, "x", "e30.e30.e30"] {
        let answer = server.http().signed("query", "all_notes", bad, &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{bad}: {answer:?}");
        let mut socket = server.socket().await;
        socket.send(json!({ "op": "auth", "token": bad })).await;
        assert_eq!(socket.expect("error").await["error"]["code"], "unauthorized", "{bad}");
        socket.subscribe(1, "all_notes", json!({})).await;
        assert_eq!(socket.expect("error").await["error"]["code"], "unauthorized", "{bad}");
    }
    let answer = server.http().signed("query", "all_notes", &valid, &json!({})).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_live_query_ends_with_its_token_and_goes_on_with_the_next() {
    let server = server().await;
    let mut socket = server.socket().await;
    sign_in(&mut socket, &token_until("ann", &[], seconds() + 1.0)).await;
    assert_eq!(socket.follow(1, "my_notes", json!({})).await, json!([]));
    assert_eq!(socket.follow(2, "note_count", json!({ "board": "ann" })).await, json!(0));
    let told = socket.find(|frame| frame["op"] == "error" && frame["id"].is_null()).await;
    assert!(told["error"]["message"].as_str().unwrap().contains("expired"), "{told}");
    let ended = socket.find(|frame| frame["op"] == "error" && frame["id"] == 1).await;
    assert_eq!(ended["error"]["code"], "unauthorized", "{ended}");
    // What changes now is not for somebody whose token is over; the query that everybody may ask goes on.
    let fresh = token("ann", &[]);
    server.http().signed("mutation", "add_mine", &fresh, &json!({ "title": "later" })).await;
    let frame = socket.expect("update").await;
    assert_eq!(frame["results"].as_array().unwrap().len(), 1, "{frame}");
    assert_eq!((&frame["results"][0]["id"], &frame["results"][0]["data"]), (&json!(2), &json!(1)));
    sign_in(&mut socket, &fresh).await;
    assert_eq!(socket.result(1).await["data"][0]["title"], "later");
}

#[tokio::test]
async fn two_users_on_one_query_never_see_each_other() {
    let server = server().await;
    let (ann, bob) = (token("ann", &[]), token("bob", &[]));
    let mut sockets = Vec::new();
    for token in [&ann, &bob] {
        let mut socket = server.socket().await;
        sign_in(&mut socket, token).await;
        assert_eq!(socket.follow(1, "my_notes", json!({})).await, json!([]));
        sockets.push(socket);
    }
    for n in 1..=5 {
        for (name, token) in [("ann", &ann), ("bob", &bob)] {
            let args = json!({ "title": format!("{name} {n}") });
            assert_eq!(server.http().signed("mutation", "add_mine", token, &args).await.status, 200);
        }
    }
    for (socket, name) in sockets.iter_mut().zip(["ann", "bob"]) {
        let last = socket.until(1, |data| {
            let titles = data.as_array().unwrap().iter().map(|note| note["title"].as_str().unwrap());
            assert!(titles.clone().all(|title| title.starts_with(name)), "{data}");
            titles.count() == 5
        });
        last.await;
    }
    // The same socket as somebody else: nothing of the first is left.
    sign_in(&mut sockets[0], &bob).await;
    let data = sockets[0].result(1).await["data"].clone();
    assert!(data.as_array().unwrap().iter().all(|note| note["board"] == "bob"), "{data}");
}

#[tokio::test]
async fn a_longer_window_stays_live() {
    let server = TestServer::start().await;
    for n in 1..=9 {
        let note = json!({ "board": "b", "title": format!("t{n}") });
        server.http().mutate("add_note", json!({ "note": note })).await;
    }
    let mut socket = server.socket().await;
    let args = json!({ "board": "b" });
    assert_eq!(socket.follow(1, "pages", args.clone()).await, json!(["t1", "t2", "t3"]));
    socket.send(json!({ "op": "page", "id": 1, "more": 3 })).await;
    let longer = json!(["t1", "t2", "t3", "t4", "t5", "t6"]);
    assert_eq!(socket.result(1).await["data"], longer);
    server.http().mutate("add_note", json!({ "note": { "board": "b", "title": "t0" } })).await;
    assert_eq!(socket.result(1).await["data"], json!(["t0", "t1", "t2", "t3", "t4", "t5"]), "six stay six");
    assert_eq!(
        server.http().query("pages", args).await,
        json!(["t0", "t1", "t2"]),
        "a call gets the first page"
    );
}
