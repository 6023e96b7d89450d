//! A private field is seen by no door, and cannot be guessed through any.

use serde_json::{Value, json};

use crate::app::{Account, CANARY, Caller, account_of, server, server_with_events};

/// Ways to ask about private fields. Each would tell one guess from another, or one order from another.
const GUESSES: [&str; 29] = [
    "secret=canary-5d21e8b7",
    "secret[$ne]=x",
    "secret[$gte]=c",
    "secret[$regex]=^can",
    "secret[$exists]=true",
    "$sort[secret]=1",
    "$select[]=secret",
    "$or[0][secret]=x",
    "$or[0][secret][$gt]=a",
    "home.door=canary-5d21e8b7",
    "cards.digits[$gt]=c",
    "cards[$elemMatch][digits]=canary-5d21e8b7",
    "cards[$elemMatch][digits][$gt]=c",
    "cards[$elemMatch][$or][0][digits]=x",
    "$sort[home]=1",
    "$sort[cards]=1",
    "homes.rome.door=canary-5d21e8b7",
    "homes.rome.door[$gt]=c",
    "homes[$elemMatch][door][$gt]=c",
    "$sort[homes.rome.door]=1",
    "$sort[homes.rome]=1",
    "$sort[homes]=1",
    "place.At.door[$gt]=c",
    "$sort[place.At]=1",
    "$sort[place]=1",
    "past.door[$gt]=c",
    "past[$elemMatch][door][$gt]=c",
    "cards[$elemMatch][$elemMatch][digits][$gt]=c",
    "$sort[past]=1",
];

async fn hidden(caller: &Caller<'_>) -> Value {
    let made = caller.open("ann").await;
    caller.done("mutation", "hide", json!({ "id": made["id"] })).await;
    let db = caller.server.db.tenant("acme");
    let stored = db.find::<Account>().one().await.unwrap();
    assert_eq!(stored.secret, CANARY, "it is there to be found");
    assert_eq!(stored.home.unwrap().door.as_deref(), Some(CANARY));
    assert_eq!(stored.cards[0].digits.as_deref(), Some(CANARY));
    assert_eq!(stored.homes["rome"].door.as_deref(), Some(CANARY));
    made["id"].clone()
}

fn assert_clean(what: &str, text: &str) {
    assert!(!text.contains(CANARY), "{what} tells of it: {text}");
}

#[tokio::test]
async fn no_answer_holds_it() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    let id = hidden(&ann).await;
    let text = id.as_str().unwrap();
    let same = account_of("ann");
    let own = |field: &str, value: Value| {
        let mut account = account_of("bob");
        account[field] = value;
        json!({ "account": account })
    };
    let calls = [
        ("query", "accounts", json!({ "least": 0 })),
        ("query", "account", json!({ "id": id })),
        ("query", "account_page", json!({ "page": { "size": 5 } })),
        ("query", "by_handle", json!({ "word": "" })),
        ("query", "explained", json!({})),
        ("query", "account_breaks", json!({})),
        ("query", "account_panics", json!({})),
        ("mutation", "open_account", json!({ "account": same })),
        ("mutation", "open_account", own("secret", json!("x"))),
        ("mutation", "open_account", own("verified", json!(true))),
        ("mutation", "open_account", own("points", json!(-1))),
        ("mutation", "open_account", own("home", json!({ "city": "x", "door": "y" }))),
        ("mutation", "change_account", json!({ "id": id, "patch": { "points": 2 } })),
        ("mutation", "change_account", json!({ "id": id, "patch": { "secret": "x" } })),
    ];
    for (kind, name, args) in calls {
        let answer = ann.call(kind, name, args.clone()).await;
        assert_clean(&format!("{kind} {name} {args}"), &format!("{answer:?}"));
    }
    let one = format!("accounts/{text}");
    for (method, path, body) in [
        ("GET", "accounts", Value::Null),
        ("GET", one.as_str(), Value::Null),
        ("POST", "accounts", account_of("ann")),
        ("POST", "accounts", account_of("cat")),
        ("PATCH", one.as_str(), json!({ "points": 3 })),
        ("PUT", one.as_str(), account_of("ann")),
        ("PATCH", "accounts?handle=ann", json!({ "points": 4 })),
        ("DELETE", "accounts?handle=cat", Value::Null),
        ("DELETE", one.as_str(), Value::Null),
    ] {
        let answer = ann.ask(method, path, body).await;
        assert!(answer.status < 500, "{method} {path}: {answer:?}");
        assert_clean(&format!("{method} {path}"), &format!("{answer:?}"));
    }
}

#[tokio::test]
async fn no_page_for_people_or_machines_holds_it() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    hidden(&ann).await;
    ann.done("query", "accounts", json!({ "least": 0 })).await;
    let mut socket = ann.socket().await;
    socket.follow(1, "accounts", json!({ "least": 0 })).await;
    for path in [
        "/",
        "/api/manifest",
        "/openapi.json",
        "/metrics",
        "/doctor/live",
        "/doctor/jobs",
        "/healthz",
        "/readyz",
        "/nowhere",
    ] {
        let answer = server.http().get(path).await;
        assert_clean(path, &format!("{answer:?}"));
    }
    let schemas = server.http().get("/openapi.json").await.body;
    for name in ["secret", "door", "digits"] {
        assert!(!schemas.contains(&format!("\"{name}\"")), "the field {name} is described");
    }
}

#[tokio::test]
async fn no_live_result_or_difference_holds_it() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    let id = hidden(&ann).await;
    for n in 0..20 {
        ann.open(&format!("more {n:02}")).await;
    }
    let mut whole = ann.socket().await;
    let first = whole.follow(1, "accounts", json!({ "least": 0 })).await;
    assert_clean("a live result", &first.to_string());
    let mut parts = ann.socket().await;
    let args = json!({ "least": 0 });
    parts.send(json!({ "op": "subscribe", "id": 1, "query": "accounts", "args": args, "delta": true })).await;
    assert_clean("a live result", &parts.result(1).await.to_string());
    // A change of a private field alone is no change to clients; one beside it is sent without it.
    ann.done("mutation", "hide", json!({ "id": id })).await;
    ann.done("mutation", "change_account", json!({ "id": id, "patch": { "points": 9 } })).await;
    let difference = parts.result(1).await;
    assert!(difference.get("delta").is_some(), "{difference}");
    assert_clean("a difference", &difference.to_string());
    assert_clean("a live result", &whole.result(1).await.to_string());
}

#[tokio::test]
async fn no_event_of_a_service_and_no_call_by_a_socket_holds_it() {
    let server = server_with_events().await;
    let (ann, eve) = (Caller::new(&server, "acme"), Caller::new(&server, "evil"));
    let id = hidden(&ann).await;
    let (mut friend, mut other) = (ann.socket().await, eve.socket().await);
    let one = format!("accounts/{}", id.as_str().unwrap());
    let calls = [
        ("POST", "accounts", account_of("cat"), "created"),
        ("PATCH", one.as_str(), json!({ "points": 7 }), "patched"),
        ("PUT", one.as_str(), account_of("dan"), "updated"),
        ("DELETE", one.as_str(), Value::Null, "removed"),
    ];
    for (method, path, body, event) in calls {
        if event == "removed" {
            ann.done("mutation", "hide", json!({ "id": id })).await;
        }
        let answer = ann.ask(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        let frame = friend.expect("event").await;
        assert_eq!(frame["event"], event, "{frame}");
        assert_clean(event, &frame.to_string());
    }
    for (at, query) in [
        json!({ "secret": CANARY }),
        json!({ "secret": { "$ne": "x" } }),
        json!({ "$sort": { "home": 1 } }),
        json!({ "homes": { "rome": { "city": "Salem", "door": CANARY } } }),
        json!({ "homes": { "$gt": {} } }),
        json!({ "homes.rome": { "$gt": { "city": "Salem", "door": "c" } } }),
        json!({ "past": [{ "city": "Salem", "door": CANARY }] }),
        json!({ "place": { "$gte": { "At": { "city": "Salem", "door": "c" } } } }),
        json!({ "cards": { "$elemMatch": { "digits": { "$gt": "c" } } } }),
    ]
    .into_iter()
    .enumerate()
    {
        let call = json!({ "op": "call", "id": at, "service": "accounts", "method": "find", "query": query });
        friend.send(call).await;
        let refused = friend.expect("error").await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(at), &json!(400)), "{refused}");
    }
    let all = json!({ "op": "call", "id": 9, "service": "accounts", "method": "find", "query": {} });
    friend.send(all.clone()).await;
    let found = friend.expect("result").await;
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    assert_clean("a call", &found.to_string());
    other.send(all).await;
    assert_eq!(other.expect("result").await["data"], json!([]), "another organization has none");
    other.quiet().await;
}

#[tokio::test]
async fn it_cannot_be_guessed() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    hidden(&ann).await;
    for guess in GUESSES {
        for method in ["GET", "PATCH", "DELETE"] {
            let body = if method == "PATCH" { json!({ "points": 2 }) } else { Value::Null };
            let answer = ann.ask(method, &format!("accounts?{guess}"), body).await;
            assert_eq!(answer.status, 400, "{method} {guess}: {answer:?}");
            // The same for a guess that is right and one that is wrong.
            let wrong = format!("accounts?{}", guess.replace("5d21e8b7", "00000000"));
            let other = ann.ask(method, &wrong, json!({ "points": 2 })).await;
            assert_eq!(other.status, 400, "{method} {guess}");
        }
    }
    let readable = "cards[$elemMatch][label]=gold&home.city=Salem&homes.rome.city=Salem&place.At.city=Salem\
                    &past[$elemMatch][city]=Salem&$sort[homes.rome.city]=1";
    let seen = ann.ask("GET", &format!("accounts?{readable}"), Value::Null).await;
    assert_eq!(seen.json().as_array().map(Vec::len), Some(1), "what clients read they may ask for: {seen:?}");
}
