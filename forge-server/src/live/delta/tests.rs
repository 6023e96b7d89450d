use std::collections::HashSet;

use json_patch::Patch as Reference;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Patches `old` by an implementation that is not ours.
fn applied(old: &str, operations: &str) -> Value {
    let patch: Reference = serde_json::from_str(&format!("[{operations}]")).unwrap();
    let mut value: Value = serde_json::from_str(old).unwrap();
    json_patch::patch(&mut value, &patch).unwrap_or_else(|error| panic!("{error}: {operations} on {old}"));
    value
}

fn unlimited(old: &str, new: &str) -> String {
    let mut patch = Patch { path: String::new(), out: String::new(), limit: usize::MAX };
    patch.value(serde_json::from_str(old).unwrap(), serde_json::from_str(new).unwrap()).unwrap();
    patch.out.pop();
    patch.out
}

/// The operations from `old` to `new`, whatever they cost, checked.
fn patch(old: &Value, new: &Value) -> String {
    let (old, text) = (old.to_string(), new.to_string());
    let operations = unlimited(&old, &text);
    assert_eq!(applied(&old, &operations), *new, "{operations}");
    operations
}

fn flights(ids: impl IntoIterator<Item = u32>) -> Value {
    let flight =
        |id| json!({ "id": format!("{id:024x}"), "delay": id % 7, "origin": "ABC", "note": "x".repeat(60) });
    ids.into_iter().map(flight).collect()
}

#[test]
fn a_changed_field_costs_that_field() {
    let old = flights(0..50);
    let mut new = old.clone();
    new[20]["delay"] = json!(99);
    assert_eq!(patch(&old, &new), r#"{"op":"replace","path":"/20/delay","value":99}"#);
}

#[test]
fn a_window_that_slides_costs_what_comes_and_goes() {
    let operations = patch(&flights(0..50), &flights(1..51));
    assert_eq!(operations.matches("\"op\"").count(), 2, "{operations}");
}

#[test]
fn an_item_that_moves_and_changes_costs_a_move_and_the_change() {
    let old = flights(0..50);
    let mut new = old.clone();
    let mut moved = new.as_array_mut().unwrap().remove(40);
    moved["delay"] = json!(99);
    new.as_array_mut().unwrap().insert(3, moved);
    let expected = r#"{"op":"move","path":"/3","from":"/40"},{"op":"replace","path":"/3/delay","value":99}"#;
    assert_eq!(patch(&old, &new), expected);
    let back = patch(&new, &old);
    assert!(back.starts_with(r#"{"op":"move","path":"/40","from":"/3"}"#), "{back}");
}

#[test]
fn ids_of_other_names_and_groups_are_recognized() {
    let airports = |codes: &[&str]| -> Value {
        codes.iter().map(|code| json!({ "code": code, "name": "x".repeat(90) })).collect()
    };
    let operations = patch(&airports(&["ABC", "DEF", "GHI"]), &airports(&["GHI", "ABC", "DEF"]));
    assert_eq!(operations, r#"{"op":"move","path":"/0","from":"/2"}"#);
    let group = |name: &str, count: i32| json!([format!("{name}{}", "x".repeat(60)), count]);
    let old = json!([group("b", 1), group("c", 2), group("d", 3)]);
    let operations = patch(&old, &json!([group("b", 1), group("c", 5), group("d", 4)]));
    assert_eq!(operations.matches("replace").count(), 2, "{operations}");
    assert!(operations.contains(r#""path":"/1/1","value":5"#), "{operations}");
}

#[test]
fn names_are_escaped_in_paths() {
    let pad = "x".repeat(80);
    let old = json!({ "a/b~c": { "q\"\\\n": 1, "ü": 2, "pad": pad } });
    let new = json!({ "a/b~c": { "q\"\\\n": 3, "ü": 2, "pad": pad } });
    assert_eq!(patch(&old, &new), r#"{"op":"replace","path":"/a~1b~0c/q\"\\\u000a","value":3}"#);
}

#[test]
fn a_patch_that_is_not_shorter_is_none() {
    assert_eq!(operations("5", "6"), None);
    assert_eq!(operations("[1,2]", "[3,4]"), None);
    let (old, new) = (flights(0..50).to_string(), flights(100..150).to_string());
    assert_eq!(operations(&old, &new), None);
    assert_eq!(operations("[]", "not json"), None);
}

#[test]
fn numbers_keep_their_spelling() {
    let old = format!(r#"{{"a":1,"pad":"{}"}}"#, "x".repeat(99));
    let new = old.replace("\"a\":1", "\"a\":340282366920938463463374607431768211455");
    assert!(operations(&old, &new).unwrap().contains(":340282366920938463463374607431768211455}"));
}

#[test]
fn large_lists_take_no_quadratic_time() {
    let list =
        |ids: &mut dyn Iterator<Item = u32>| ids.map(|id| json!({ "id": id })).collect::<Value>().to_string();
    let took = |n: u32| {
        let started = std::time::Instant::now();
        let old = list(&mut (0..n));
        // Reversed, mixed, shifted: as much as possible moves.
        unlimited(&old, &list(&mut (0..n).rev()));
        unlimited(&old, &list(&mut (0..n).map(|i| (i * 7_919) % n)));
        unlimited(&old, &list(&mut (n / 2..n + n / 2)));
        started.elapsed()
    };
    const TIMES: u32 = 20;
    let (small, large) = ((0..TIMES).map(|_| took(1_000)).sum::<std::time::Duration>(), took(1_000 * TIMES));
    // The same number of elements in all: with n² steps the large ones would take twenty times as long.
    assert!(large < small * 8, "{large:?} against {small:?}");
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..5_i64).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "/", "~1", "\"", "é\u{1}"]).prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["id", "_id", "a", "b/c", "~", "\"", ""]).prop_map(str::to_owned);
    scalar().prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..7).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn documents() -> impl Strategy<Value = Value> {
    prop::collection::vec((0..24_u8, 0..3_u8), 0..24).prop_map(|rows| {
        let mut seen = HashSet::new();
        let fresh = rows.into_iter().filter(|(id, _)| seen.insert(*id));
        fresh.map(|(id, n)| json!({ "id": id, "n": n, "pad": "x".repeat(60) })).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_patch_leads_from_the_old_to_the_new(old in any_json(), new in any_json()) {
        patch(&old, &new);
    }

    #[test]
    fn lists_of_documents_are_patched_exactly(old in documents(), new in documents()) {
        let operations = patch(&old, &new);
        let ids = |list: &Value| -> HashSet<u64> {
            list.as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect()
        };
        let added = ids(&new).difference(&ids(&old)).count();
        // Unless all of it is replaced, nothing that stays is sent again.
        let whole = operations.starts_with(r#"{"op":"replace","path":"","#);
        prop_assert!(whole || operations.matches("\"op\":\"add\"").count() == added, "{operations}");
    }
}
