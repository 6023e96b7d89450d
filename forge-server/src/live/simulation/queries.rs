//! The queries of the simulation: what they answer, what they read, and what a client makes of what it receives.

use std::sync::Arc;

use bson::{RawDocumentBuf, rawdoc};
use forge_core::adapter::Read;
use forge_core::ir::{Filter, Predicate, SortKey};
use forge_core::matcher::Window;
use serde_json::{Value, json};

use crate::live::event::Data;

/// What there is.
#[derive(Debug, Clone)]
pub(super) struct Docs {
    /// Each document: its group and its value.
    pub(super) items: Vec<(i32, i32)>,
    /// The values in the other database.
    pub(super) abroad: Vec<i32>,
}

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
        let items = docs.items.iter().enumerate();
        items.filter(|(_, d)| d.0 == arg).map(|(i, d)| (i, d.1)).collect::<Vec<_>>()
    };
    match query {
        "group" => Ok(rows(&group(docs, arg))),
        "doc" => Ok(rows(&[(arg as usize, docs.items[arg as usize].1)])),
        "all" => Ok(rows(&docs.items.iter().map(|d| d.1).enumerate().collect::<Vec<_>>())),
        // The second read depends on the first.
        "follow" => Ok(rows(&group(then, docs.items[arg as usize].0))),
        "abroad" => Ok(format!("[{},{}]", rows(&group(docs, arg)), then.abroad[arg as usize])),
        "windowed" => {
            let mut window = by_value(docs);
            window.truncate(1 + look.more as usize);
            Ok(rows(&window))
        }
        "spoken" => Ok(format!("[{:?},{}]", look.language, rows(&group(docs, arg)))),
        "fussy" if group(docs, arg).iter().any(|(_, value)| *value == 3) => {
            Err(format!("group {arg} holds a three"))
        }
        "fussy" => Ok(format!("{}", group(docs, arg).len())),
        other => panic!("no query {other}"),
    }
}

/// What "abroad" answered of each database.
pub(super) fn halves(result: &Result<String, String>) -> (&str, &str) {
    let text = result.as_ref().unwrap();
    text[1..text.len() - 1].rsplit_once(',').unwrap()
}

/// All documents, the smallest values first.
fn by_value(docs: &Docs) -> Vec<(usize, i32)> {
    let mut all: Vec<_> = docs.items.iter().map(|doc| doc.1).enumerate().collect();
    all.sort_by_key(|(id, value)| (*value, *id));
    all
}

/// Documents as JSON, with enough in them that a difference is shorter.
fn rows(rows: &[(usize, i32)]) -> String {
    let row = |(id, value): &(usize, i32)| json!({ "id": id, "pad": "x".repeat(40), "value": value });
    rows.iter().map(row).collect::<Value>().to_string()
}

/// What a client has once it received `result` on top of `held`.
pub(super) fn received(held: Option<&str>, result: &Value, wants_delta: bool) -> String {
    let json = if let Some(data) = result.get("data") {
        data.to_string()
    } else if let Some(delta) = result.get("delta") {
        assert!(wants_delta, "nobody asked for a difference");
        let mut value: Value = serde_json::from_str(held.unwrap()).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(delta.clone()).unwrap();
        json_patch::patch(&mut value, &patch).unwrap();
        value.to_string()
    } else {
        assert_eq!(result["unchanged"], true);
        held.unwrap().to_owned()
    };
    assert_eq!(Data::new(json.as_str()).hash.to_string(), result["hash"], "{result}");
    json
}

pub(super) fn wants_delta(socket: u64) -> bool {
    socket > 1
}

pub(in crate::live) fn read(filter: Filter) -> Read {
    Read::new("db", "items", filter)
}

/// What a query read in `docs`, with the end of its window where it has one.
pub(super) fn reads(query: &str, arg: i32, look: Look, docs: &Docs) -> Vec<Read> {
    let group = |g: i32| read(Filter::Field("group".into(), Predicate::Eq(g.into())));
    match query {
        "doc" => vec![read(Filter::eq("_id", arg))],
        "all" => vec![read(Filter::All)],
        "windowed" => {
            let last = by_value(docs).get(look.more as usize).map(|(id, _)| document(*id, docs.items[*id]));
            let key = |path: &'static str| SortKey { path: path.into(), descending: false };
            let window = last.map(|last| Window::new(vec![key("value"), key("_id")], &last));
            vec![Read { window: window.map(Arc::new), ..read(Filter::All) }]
        }
        "abroad" => vec![group(arg), Read::new("abroad", "items", Filter::eq("_id", arg))],
        "follow" => vec![read(Filter::eq("_id", arg)), group(docs.items[arg as usize].0)],
        _ => vec![group(arg)],
    }
}

pub(super) fn document(id: usize, (group, value): (i32, i32)) -> RawDocumentBuf {
    rawdoc! { "_id": id as i32, "group": group, "value": value }
}
