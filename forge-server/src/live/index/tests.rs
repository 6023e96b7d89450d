//! What the index finds, and that it leaves nothing out.

use super::*;
use bson::{Bson, RawDocumentBuf, doc, rawdoc};
use forge_core::ir::{Filter, Predicate};
use forge_core::matcher::Matcher;
use proptest::prelude::*;

fn read(filter: Filter) -> Read {
    Read::new("db", "flights", filter)
}

fn change(kind: ChangeKind, before: Option<RawDocumentBuf>, after: Option<RawDocumentBuf>) -> ChangeEvent {
    ChangeEvent {
        collection: "flights".into(),
        kind,
        id: Bson::Int32(1),
        before,
        after,
        touched: None,
        updated: None,
    }
}

fn index(filters: &[Filter]) -> ReadIndex {
    let mut index = ReadIndex::default();
    for (i, filter) in filters.iter().enumerate() {
        index.insert(EntryId(i as u64), &[read(filter.clone())]);
    }
    index
}

fn hits(index: &ReadIndex, change: &ChangeEvent) -> Vec<u64> {
    let mut out = HashSet::new();
    index.candidates("db", change, &mut out);
    let mut out: Vec<_> = out.into_iter().map(|EntryId(id)| id).collect();
    out.sort_unstable();
    out
}

#[test]
fn a_change_finds_the_values_it_left_and_the_ones_it_came_to() {
    let index = index(&[
        Filter::eq("state", "TX"),
        Filter::eq("state", "NM"),
        Filter::eq("state", "CA"),
        Filter::All,
    ]);
    let moved = change(ChangeKind::Update, Some(rawdoc! { "state": "TX" }), Some(rawdoc! { "state": "NM" }));
    assert_eq!(hits(&index, &moved), [0, 1, 3]);
}

#[test]
fn without_the_old_state_a_touched_path_finds_everything_filed_under_it() {
    let index = index(&[Filter::eq("state", "TX"), Filter::eq("state", "NM")]);
    let mut moved = change(ChangeKind::Update, None, Some(rawdoc! { "state": "NM" }));
    assert_eq!(hits(&index, &moved), [0, 1]);
    moved.touched = Some(vec!["delay".into()]);
    assert_eq!(hits(&index, &moved), [1]);
    moved.touched = Some(vec!["state".into()]);
    assert_eq!(hits(&index, &moved), [0, 1]);
    moved.touched = Some(vec!["state.0.name".into()]);
    assert_eq!(hits(&index, &moved), [0, 1]);
    assert_eq!(hits(&index, &change(ChangeKind::Delete, None, None)), [0, 1]);
}

#[test]
fn ids_are_known_even_when_documents_are_not() {
    let index = index(&[Filter::eq("_id", 1), Filter::eq("_id", 2_i64)]);
    assert_eq!(hits(&index, &change(ChangeKind::Delete, None, None)), [0]);
}

#[test]
fn numbers_meet_across_types_and_arrays_by_their_elements() {
    let filter = Filter::Field("legs.km".into(), Predicate::In(vec![Bson::Double(5.0), Bson::Int64(9)]));
    let index = index(&[filter, Filter::eq("tags", "x")]);
    let insert = rawdoc! { "legs": [{ "km": 1 }, { "km": [5] }], "tags": ["y", "x"] };
    assert_eq!(hits(&index, &change(ChangeKind::Insert, None, Some(insert))), [0, 1]);
    let other = rawdoc! { "legs": [{ "km": 1 }], "tags": ["y"] };
    assert_eq!(hits(&index, &change(ChangeKind::Insert, None, Some(other))), Vec::<u64>::new());
}

#[test]
fn positions_in_arrays_are_broad() {
    let index = index(&[Filter::eq("legs.0.km", 5)]);
    assert_eq!(hits(&index, &change(ChangeKind::Insert, None, Some(rawdoc! { "legs": [{ "km": 5 }] }))), [0]);
}

#[test]
fn null_and_documents_are_broad() {
    let index = index(&[Filter::eq("state", Bson::Null), Filter::eq("at", doc! { "x": 1 })]);
    assert_eq!(hits(&index, &change(ChangeKind::Insert, None, Some(rawdoc! {}))), [0, 1]);
}

#[test]
fn removal_leaves_nothing_behind() {
    let mut index = ReadIndex::default();
    let reads = [read(Filter::eq("state", "TX")), read(Filter::All), read(Filter::eq("state", "TX"))];
    let postings = index.insert(EntryId(7), &reads);
    index.remove(EntryId(7), &postings);
    assert!(index.0.is_empty());
}

#[test]
fn ranges_are_found_by_the_values_in_them() {
    let at = |predicate| Filter::Field("delay".into(), predicate);
    let index = index(&[
        at(Predicate::Gt(30.into())),
        at(Predicate::Lte(5.5.into())),
        Filter::And(vec![at(Predicate::Gte(10_i64.into())), at(Predicate::Lt(20.into()))]),
        Filter::Or(vec![Filter::eq("state", "TX"), at(Predicate::Gt(100.into()))]),
    ]);
    let insert = |document| hits(&index, &change(ChangeKind::Insert, None, Some(document)));
    assert_eq!(insert(rawdoc! { "delay": 40 }), [0]);
    assert_eq!(insert(rawdoc! { "delay": 15.0 }), [2]);
    assert_eq!(insert(rawdoc! { "delay": -40 }), [1]);
    assert_eq!(insert(rawdoc! { "delay": 400, "state": "NM" }), [0, 3]);
    assert_eq!(insert(rawdoc! { "state": "TX" }), [3]);
    assert_eq!(insert(rawdoc! { "delay": "x" }), Vec::<u64>::new());
    // No single element is between the bounds, and yet one is above the lower and one below the upper.
    assert_eq!(insert(rawdoc! { "delay": [0, 50] }), [0, 1, 2]);
}

/// Values of all the kinds that meet each other in odd ways.
fn value() -> BoxedStrategy<Bson> {
    let scalar = prop_oneof![
        4 => (-3..4_i32).prop_map(Bson::Int32),
        1 => (-3..4_i64).prop_map(Bson::Int64),
        2 => prop::sample::select(vec![-2.0, -0.0, 0.5, 1.0, f64::NAN, f64::INFINITY]).prop_map(Bson::Double),
        2 => prop::sample::select(vec!["", "a", "b"]).prop_map(Bson::from),
        1 => prop::sample::select(vec!["a", "b"]).prop_map(|text| Bson::Symbol(text.into())),
        1 => Just(Bson::Null),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => (-1..2_i64).prop_map(|millis| Bson::DateTime(bson::DateTime::from_millis(millis))),
        1 => Just(Bson::MaxKey),
    ]
    .boxed();
    prop_oneof![
        5 => scalar.clone(),
        1 => prop::collection::vec(scalar.clone(), 0..3).prop_map(Bson::Array),
        1 => scalar.prop_map(|value| Bson::Document(doc! { "b": value })),
    ]
    .boxed()
}

fn filter() -> BoxedStrategy<Filter> {
    let path = prop::sample::select(vec!["a", "a.b", "b", "_id"]);
    let predicate = prop_oneof![
        3 => value().prop_map(Predicate::Eq),
        1 => value().prop_map(Predicate::Ne),
        2 => value().prop_map(Predicate::Gt),
        2 => value().prop_map(Predicate::Gte),
        2 => value().prop_map(Predicate::Lt),
        2 => value().prop_map(Predicate::Lte),
        2 => prop::collection::vec(value(), 0..3).prop_map(Predicate::In),
        1 => any::<bool>().prop_map(Predicate::Exists),
    ]
    .boxed();
    let leaf = prop_oneof![
        20 => (path, predicate).prop_map(|(path, predicate)| Filter::Field(path.into(), predicate)),
        1 => Just(Filter::All),
        1 => Just(Filter::Nothing),
    ]
    .boxed();
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            2 => prop::collection::vec(inner.clone(), 1..3).prop_map(Filter::Or),
            1 => inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
        .boxed()
    })
    .boxed()
}

fn document() -> BoxedStrategy<RawDocumentBuf> {
    let nested = prop::collection::vec(value(), 0..3)
        .prop_map(|values| Bson::Array(values.into_iter().map(|value| doc! { "b": value }.into()).collect()));
    let field = prop::option::of(prop_oneof![4 => value(), 1 => nested]);
    (field.clone(), field)
        .prop_map(|(a, b)| {
            let mut document = doc! { "_id": 1 };
            document.extend(a.map(|a| ("a".to_owned(), a)));
            document.extend(b.map(|b| ("b".to_owned(), b)));
            RawDocumentBuf::try_from(&document).unwrap()
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The index may name too many, the matcher decides; it must never leave one out, whatever the feed keeps back.
    #[test]
    fn no_query_that_a_change_affects_is_left_out(
        filters in prop::collection::vec(filter(), 1..12),
        kind in prop::sample::select(vec![ChangeKind::Insert, ChangeKind::Update, ChangeKind::Replace, ChangeKind::Delete]),
        (before, after) in (document(), document()),
        (tells_before, tells_after, tells_touched) in any::<(bool, bool, bool)>(),
    ) {
        let index = index(&filters);
        let before = Some(before).filter(|_| kind != ChangeKind::Insert);
        let after = Some(after).filter(|_| kind != ChangeKind::Delete);
        let mut change = change(
            kind,
            before.clone().filter(|_| tells_before),
            after.clone().filter(|_| tells_after),
        );
        if let (Some(before), Some(after), ChangeKind::Update) = (&before, &after, kind) {
            let differs = |name: &&str| before.get(*name).unwrap() != after.get(*name).unwrap();
            let touched = ["a", "b"].iter().filter(|name| differs(name)).map(|name| (*name).to_owned());
            change.touched = tells_touched.then(|| touched.collect());
        }
        let found = hits(&index, &change);
        for (i, filter) in filters.iter().enumerate() {
            let matcher = Matcher::new(filter).unwrap();
            let meets = |document: &Option<RawDocumentBuf>| document.as_ref().is_some_and(|d| matcher.matches(d));
            let affected = meets(&before) || meets(&after);
            prop_assert!(!affected || found.contains(&(i as u64)), "{filter:?} by {change:?}");
        }
    }
}
