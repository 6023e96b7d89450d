//! Which changes affect a filter, with everything or little known about them.

use super::*;
use crate::adapter::{ChangeEvent, ChangeKind};

pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) before: Option<RawDocumentBuf>,
    pub(super) after: Option<RawDocumentBuf>,
    pub(super) touched: Option<Vec<String>>,
}

impl Change {
    pub(super) fn event(self, id: Bson) -> ChangeEvent {
        let Change { kind, before, after, touched } = self;
        ChangeEvent { collection: "flights".into(), kind, id, before, after, touched, updated: None }
    }
}

fn affected(filter: &Filter, id: i32, change: Change) -> bool {
    matcher(filter).affected_by(&change.event(bson!(id)))
}

fn late() -> Filter {
    field("delay", Predicate::Gt(bson!(30)))
}

fn delay(minutes: i32) -> Option<RawDocumentBuf> {
    Some(rawdoc! { "_id": 7, "delay": minutes })
}

fn touched(paths: &[&str]) -> Option<Vec<String>> {
    Some(paths.iter().map(|&path| path.to_owned()).collect())
}

#[test]
fn inserts_count_if_the_new_document_matches_and_deletes_if_the_old_one_did() {
    let insert = |after| Change { kind: ChangeKind::Insert, before: None, after, touched: None };
    let delete = |before| Change { kind: ChangeKind::Delete, before, after: None, touched: None };
    assert!(affected(&late(), 7, insert(delay(40))));
    assert!(!affected(&late(), 7, insert(delay(10))));
    assert!(affected(&late(), 7, insert(None)));
    assert!(affected(&late(), 7, delete(delay(40))));
    assert!(!affected(&late(), 7, delete(delay(10))));
    assert!(affected(&late(), 7, delete(None)));
    assert!(!affected(&Filter::Nothing, 7, delete(None)));
}

#[test]
fn updates_count_if_either_side_matches() {
    let update = |before, after| Change { kind: ChangeKind::Update, before, after, touched: None };
    for (before, after, expected) in [
        (delay(40), delay(10), true),
        (delay(10), delay(40), true),
        // In the result before and after: its other fields or its place may differ.
        (delay(40), delay(50), true),
        (delay(10), delay(20), false),
        (delay(10), None, true),
        (None, delay(10), true),
        (None, None, true),
    ] {
        assert_eq!(
            affected(&late(), 7, update(before.clone(), after.clone())),
            expected,
            "{before:?} {after:?}"
        );
    }
}

#[test]
fn an_update_elsewhere_leaves_the_decision_to_the_new_document() {
    let update = |after, paths: &[&str]| Change {
        kind: ChangeKind::Update,
        before: None,
        after,
        touched: touched(paths),
    };
    assert!(!affected(&late(), 7, update(delay(10), &["gate", "updatedAt"])));
    assert!(affected(&late(), 7, update(delay(40), &["gate"])));
    assert!(affected(&late(), 7, update(delay(10), &["gate", "delay"])));
    assert!(affected(&late(), 7, update(delay(10), &["delay.minutes"])));
    assert!(affected(&late(), 7, update(None, &["gate"])));
    // A replacement says nothing about single paths.
    let replace =
        Change { kind: ChangeKind::Replace, before: None, after: delay(10), touched: touched(&["gate"]) };
    assert!(affected(&late(), 7, replace));
}

#[test]
fn touched_paths_overlap_by_prefix_and_through_indexes() {
    let filter = field("legs.km", Predicate::Gt(bson!(5)));
    for (path, overlaps) in [
        ("legs", true),
        ("legs.km", true),
        ("legs.0", true),
        ("legs.0.km", true),
        ("legs.km.0", true),
        ("legs.0.gate", false),
        ("legsx", false),
        ("km", false),
    ] {
        let change = Change {
            kind: ChangeKind::Update,
            before: None,
            after: Some(rawdoc! { "_id": 7, "legs": [{ "km": 1 }] }),
            touched: touched(&[path]),
        };
        assert_eq!(affected(&filter, 7, change), overlaps, "{path}");
    }
    let indexed = field("legs.1.km", Predicate::Gt(bson!(5)));
    let change = Change {
        kind: ChangeKind::Update,
        before: None,
        after: Some(rawdoc! {}),
        touched: touched(&["legs.0"]),
    };
    assert!(affected(&indexed, 7, change));
}

#[test]
fn the_id_excludes_what_is_otherwise_unknown() {
    let delete = || Change { kind: ChangeKind::Delete, before: None, after: None, touched: None };
    let update = || Change { kind: ChangeKind::Update, before: None, after: None, touched: None };
    let one_of = field("_id", Predicate::In(vec![bson!(7), bson!(8)]));
    let cases = [
        (Filter::eq("_id", 7), true),
        (Filter::eq("_id", 7_i64), true),
        (Filter::eq("_id", 8), false),
        (one_of.clone().and(late()), true),
        (field("_id", Predicate::Gt(bson!(7))).and(late()), false),
        (field("_id", Predicate::Ne(bson!(7))), false),
        (Filter::Or(vec![Filter::eq("_id", 8), Filter::eq("_id", 9)]), false),
        (Filter::Or(vec![Filter::eq("_id", 8), late()]), true),
        (Filter::Not(Box::new(one_of)), false),
    ];
    for (filter, expected) in cases {
        assert_eq!(affected(&filter, 7, delete()), expected, "{filter:?}");
        assert_eq!(affected(&filter, 7, update()), expected, "{filter:?}");
    }
}

#[test]
fn the_id_of_a_document_may_be_a_document() {
    let filter = Filter::eq("_id.day", 3);
    let delete = || Change { kind: ChangeKind::Delete, before: None, after: None, touched: None };
    assert!(matcher(&filter).affected_by(&delete().event(bson!({ "day": 3, "gate": "A" }))));
    assert!(!matcher(&filter).affected_by(&delete().event(bson!({ "day": 4 }))));
}

#[test]
fn a_dropped_collection_affects_every_read() {
    let drop = Change { kind: ChangeKind::Drop, before: None, after: None, touched: None };
    assert!(matcher(&Filter::eq("_id", 7)).affected_by(&drop.event(Bson::Null)));
}

#[test]
fn a_schema_depends_on_every_path() {
    let schema = Filter::Schema(bson::doc! { "maxProperties": 2 });
    let update =
        |after| Change { kind: ChangeKind::Update, before: None, after, touched: touched(&["anything"]) };
    assert!(
        affected(&schema, 7, update(Some(rawdoc! { "_id": 7, "a": 1, "anything": 2 }))),
        "it may have matched"
    );
    assert!(affected(&schema, 7, update(None)));
    let known = |before, after| Change { kind: ChangeKind::Update, before, after, touched: None };
    assert!(affected(&schema, 7, known(delay(1), Some(rawdoc! { "_id": 7, "a": 1, "b": 2 }))));
    assert!(!affected(&Filter::Schema(bson::doc! { "required": ["x"] }), 7, known(delay(1), delay(2))));
}
