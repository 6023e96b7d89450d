//! The queries of the simulation: what they answer, what they read, and what a client makes of what it receives.

use bson::{RawDocumentBuf, rawdoc};
use forge_core::adapter::Read;
use forge_core::ir::{Filter, Predicate};
use serde_json::{Value, json};

use crate::live::event::{Content, Item};

/// Each document: its group and its value.
pub(super) type Docs = Vec<(i32, i32)>;

/// What a client is to the queries that look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    pub(super) language: &'static str,
    pub(super) more: u64,
}

/// What a query answers, and how many reads it takes.
pub(super) fn evaluate(
    query: &str,
    arg: i32,
    look: Look,
    docs: &Docs,
    then: &Docs,
) -> Result<String, String> {
    let group = |docs: &Docs, arg| {
        docs.iter().enumerate().filter(|(_, d)| d.0 == arg).map(|(i, d)| (i, d.1)).collect::<Vec<_>>()
    };
    match query {
        "group" => Ok(rows(&group(docs, arg))),
        "doc" => Ok(rows(&[(arg as usize, docs[arg as usize].1)])),
        "all" => Ok(rows(&docs.iter().map(|d| d.1).enumerate().collect::<Vec<_>>())),
        // The second read depends on the first.
        "follow" => Ok(rows(&group(then, docs[arg as usize].0))),
        "windowed" => {
            let window = docs.iter().map(|d| d.1).enumerate().take(1 + look.more as usize);
            Ok(rows(&window.collect::<Vec<_>>()))
        }
        "spoken" => Ok(format!("[{:?},{}]", look.language, rows(&group(docs, arg)))),
        "fussy" if group(docs, arg).iter().any(|(_, value)| *value == 3) => {
            Err(format!("group {arg} holds a three"))
        }
        "fussy" => Ok(format!("{}", group(docs, arg).len())),
        other => panic!("no query {other}"),
    }
}

/// Documents as JSON, with enough in them that a difference is shorter.
fn rows(rows: &[(usize, i32)]) -> String {
    let row = |(id, value): &(usize, i32)| json!({ "id": id, "pad": "x".repeat(40), "value": value });
    rows.iter().map(row).collect::<Value>().to_string()
}

/// What a client has once it received `item` on top of `held`.
pub(super) fn received(held: Option<&str>, item: &Item, wants_delta: bool) -> String {
    let json = match &item.content {
        Content::Whole => return item.data.json.to_string(),
        Content::Unchanged => held.unwrap().to_owned(),
        Content::Patched(steps) => {
            assert!(wants_delta, "nobody asked for a difference");
            let mut value: Value = serde_json::from_str(held.unwrap()).unwrap();
            for step in steps {
                let patch: json_patch::Patch =
                    serde_json::from_str(&format!("[{}]", step.operations)).unwrap();
                json_patch::patch(&mut value, &patch).unwrap();
            }
            value.to_string()
        }
    };
    assert_eq!(json, *item.data.json, "{:?}", item.content);
    json
}

pub(super) fn wants_delta(socket: u64) -> bool {
    socket > 1
}

pub(in crate::live) fn read(filter: Filter) -> Read {
    Read { database: "db".into(), collection: "items".into(), filter }
}

pub(super) fn reads(query: &str, arg: i32, docs: &Docs) -> Vec<Read> {
    let group = |g: i32| read(Filter::Field("group".into(), Predicate::Eq(g.into())));
    match query {
        "doc" => vec![read(Filter::eq("_id", arg))],
        "all" | "windowed" => vec![read(Filter::All)],
        "follow" => vec![read(Filter::eq("_id", arg)), group(docs[arg as usize].0)],
        _ => vec![group(arg)],
    }
}

pub(super) fn document(id: usize, (group, value): (i32, i32)) -> RawDocumentBuf {
    rawdoc! { "_id": id as i32, "group": group, "value": value }
}
