//! Operators where values are due, and code where data is.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::{Bson, Document, Regex, cstr};
use serde_json::{Value, json};

use crate::app::{Caller, account_of, server};

fn operators() -> [Value; 8] {
    [
        json!({ "$gt": "" }),
        json!({ "$ne": null }),
        json!({ "$regex": ".*" }),
        json!({ "$where": "1" }),
        json!({ "$in": [1] }),
        json!({ "$expr": { "$eq": [1, 1] } }),
        json!({ "$oid": "ffffffffffffffffffffffff", "$gt": "" }),
        json!([{ "$gt": "" }]),
    ]
}

#[tokio::test]
async fn arguments_of_handlers_are_data_by_http_and_by_socket() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    ann.open("ann").await;
    let mut socket = ann.socket().await;
    let id = "ffffffffffffffffffffffff";
    let mut number = 0;
    for operator in operators() {
        let mut account = account_of("bob");
        account["handle"] = operator.clone();
        let mut inside = account_of("bob");
        inside["home"] = json!({ "city": operator });
        for (kind, name, args) in [
            ("query", "accounts", json!({ "least": operator })),
            ("query", "account", json!({ "id": operator })),
            ("query", "by_handle", json!({ "word": operator })),
            ("query", "account_page", json!({ "page": { "size": 1, "after": operator } })),
            ("query", "account_page", json!({ "page": { "size": operator } })),
            ("mutation", "open_account", json!({ "account": account })),
            ("mutation", "open_account", json!({ "account": inside })),
            ("mutation", "change_account", json!({ "id": operator, "patch": {} })),
            ("mutation", "change_account", json!({ "id": id, "patch": { "points": operator } })),
            ("mutation", "change_account", json!({ "id": id, "patch": { "$set": operator } })),
            ("mutation", "change_account", json!({ "id": id, "patch": { "home.city": operator } })),
            ("mutation", "close_account", json!({ "id": operator })),
        ] {
            let answer = ann.call(kind, name, args.clone()).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "bad_request"),
                "{name} {args}: {answer:?}"
            );
            number += 1;
            match kind {
                "query" => socket.subscribe(number, name, args.clone()).await,
                _ => {
                    socket
                        .send(json!({ "op": "mutate", "id": number, "mutation": name, "args": args }))
                        .await;
                }
            }
            let refused = socket.expect("error").await;
            assert_eq!(refused["id"], number, "{name} {args}: {refused}");
            assert_eq!(refused["error"]["code"], "bad_request", "{name} {args}: {refused}");
        }
    }
    assert_eq!(ann.done("query", "accounts", json!({ "least": 0 })).await.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn cursors_that_were_changed_are_refused() {
    let server = server().await;
    let (ann, bob) = (Caller::new(&server, "acme"), Caller::new(&server, "bolt"));
    for n in 0..4 {
        ann.open(&format!("ann {n}")).await;
        bob.open(&format!("bob {n}")).await;
    }
    let page = async |caller: &Caller<'_>, after: Value| {
        caller.call("query", "account_page", json!({ "page": { "size": 2, "after": after } })).await
    };
    let first = page(&ann, Value::Null).await.json();
    let cursor = first["next"].as_str().unwrap().to_owned();
    for at in 0..cursor.len() {
        let mut bytes = cursor.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let answer = page(&ann, json!(String::from_utf8(bytes).unwrap())).await;
        let only_own = answer.status == 200 && !answer.body.contains("bob");
        assert!(answer.status == 400 || only_own, "{at}: {answer:?}");
    }
    for text in ["", "x", "e30", "eyIkZ3QiOiIifQ", "{\"$gt\":\"\"}", &"A".repeat(100_000)] {
        let answer = page(&ann, json!(text)).await;
        assert!((400..=413).contains(&answer.status), "{:?}: {answer:?}", text.get(..20));
    }
    // Well formed, and not what was given: of another order, with values that conditions must not be made of, too few.
    let forged = |change: fn(&mut Document)| {
        let mut document =
            Document::from_reader(URL_SAFE_NO_PAD.decode(&cursor).unwrap().as_slice()).unwrap();
        change(&mut document);
        json!(URL_SAFE_NO_PAD.encode(document.to_vec().unwrap()))
    };
    let changes: [fn(&mut Document); 4] = [
        |cursor| *cursor.get_mut("o").unwrap() = Bson::Int64(1),
        |cursor| {
            cursor.get_array_mut("k").unwrap()[0] =
                Regex { pattern: cstr!(".*").into(), options: cstr!("").into() }.into();
        },
        |cursor| cursor.get_array_mut("k").unwrap()[0] = Bson::Array(vec![]),
        |cursor| drop(cursor.get_array_mut("k").unwrap().pop()),
    ];
    assert_eq!(page(&ann, forged(|_| {})).await.status, 200, "as it was given");
    for (n, change) in changes.into_iter().enumerate() {
        let answer = page(&ann, forged(change)).await;
        assert_eq!(answer.status, 400, "{n}: {answer:?}");
    }
    // A cursor is a place in an order, not a permission.
    let elsewhere = page(&bob, json!(cursor)).await;
    assert!(!elsewhere.body.contains("ann"), "{elsewhere:?}");
}

#[tokio::test]
async fn queries_of_services_hold_no_code_and_no_foreign_operators() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    ann.open("ann").await;
    ann.ask("POST", "loose_notes", json!({ "label": "one", "n": 1 })).await;
    for query in [
        "$where=1",
        "$where[]=1",
        "$expr[$eq][]=1",
        "$function[body]=x",
        "$jsonSchema[a]=1",
        "$text[$search]=x",
        "$or[0][$where]=1",
        "$and[0][$expr]=1",
        "$nor[0][a]=1",
        "handle[$where]=1",
        "handle[$function][body]=x",
        "handle[$not][$where]=1",
        "handle[$elemMatch][$where]=1",
        "handle[$type]=2",
        "handle[$mod][]=1",
        "$select[]=$where",
        "$sort[$where]=1",
        "$sort[handle][$meta]=textScore",
        "$comment=x",
        "$limit[$gt]=1",
        "$skip=-1",
    ] {
        for path in ["accounts", "loose_notes"] {
            for method in ["GET", "PATCH", "DELETE"] {
                let body = if method == "PATCH" { json!({ "points": 2 }) } else { Value::Null };
                let answer = ann.ask(method, &format!("{path}?{query}"), body).await;
                assert_eq!(answer.status, 400, "{method} {path} {query}: {answer:?}");
            }
        }
    }
    for id in ["%7B%22$gt%22:%22%22%7D", "[$ne]=1", "ffffffffffffffffffffffff", "%00"] {
        for path in ["accounts", "loose_notes"] {
            let answer = ann.ask("GET", &format!("{path}/{id}"), Value::Null).await;
            assert!((400..500).contains(&answer.status), "{path} {id}: {answer:?}");
        }
    }
    assert_eq!(ann.ask("GET", "loose_notes", Value::Null).await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn documents_of_services_hold_no_operators() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    let made = ann.ask("POST", "loose_notes", json!({ "label": "one", "n": 1 })).await.json();
    let path = format!("loose_notes/{}", made["_id"].as_str().unwrap());
    for data in [
        json!({ "$where": "1" }),
        json!({ "a": { "$gt": "" } }),
        json!({ "a": [{ "b": { "$function": { "body": "x" } } }] }),
        json!({ "$set": { "label": "two" }, "$where": "1" }),
        json!({ "a": { "$expr": 1 } }),
    ] {
        for (method, path) in [("POST", "loose_notes"), ("PUT", path.as_str())] {
            let answer = ann.ask(method, path, data.clone()).await;
            assert_eq!(answer.status, 400, "{method} {data}: {answer:?}");
        }
    }
    let stored = ann.ask("GET", &path, Value::Null).await.json();
    assert_eq!((&stored["label"], &stored["n"]), (&json!("one"), &json!(1)));
}

#[tokio::test]
async fn patterns_take_no_longer_than_their_text() {
    let server = server().await;
    let ann = Caller::new(&server, "acme");
    ann.open(&format!("{}!", "a".repeat(30_000))).await;
    let begun = Instant::now();
    for pattern in [
        "(a%2B)%2B$",
        "^(a|a)*$",
        "(.*a){25}$",
        "(a{1000}){1000}",
        "((a{100}){100}){100}",
        "(?=a)a",
        "(a)\\1",
        "[",
        "(",
    ] {
        let answer = ann.ask("GET", &format!("accounts?handle[$regex]={pattern}"), Value::Null).await;
        assert!(matches!(answer.status, 200 | 400 | 413 | 501), "{pattern}: {answer:?}");
        if answer.status == 200 {
            assert_eq!(answer.json(), json!([]), "{pattern}");
        }
    }
    let word = "(a+)+$";
    assert_eq!(
        ann.done("query", "by_handle", json!({ "word": word })).await,
        json!([]),
        "a word is no pattern"
    );
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
