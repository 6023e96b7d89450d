//! Properties over generated filters, documents and changes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::live::Change;
use super::*;
use crate::adapter::ChangeKind;
use crate::order;

/// Few names and values, so that filters and documents meet.
fn any_scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (0..4_i32).prop_map(Bson::Int32),
        1 => (0..4_i64).prop_map(Bson::Int64),
        1 => (0..8_i32).prop_map(|n| Bson::Double(f64::from(n) / 2.0)),
        1 => Just(Bson::Double(f64::NAN)),
        1 => Just(decimal("1.0")),
        1 => Just(Bson::Null),
        2 => prop::sample::select(vec!["", "a", "ab"]).prop_map(Bson::from),
        1 => any::<bool>().prop_map(Bson::Boolean),
    ]
}

fn any_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "0", "1"])
}

fn any_value() -> impl Strategy<Value = Bson> {
    any_scalar().prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            any_fields(inner).prop_map(Bson::Document),
        ]
    })
}

fn any_fields(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = bson::Document> {
    prop::collection::btree_map(any_name(), value, 0..3)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn any_document() -> impl Strategy<Value = Bson> {
    // Arrays of documents are where paths have their traps.
    let legs =
        prop::collection::vec(any_fields(any_scalar()).prop_map(Bson::Document), 0..3).prop_map(Bson::Array);
    let fields = prop_oneof![any_fields(any_value()).boxed(), any_fields(legs).boxed()];
    fields.prop_map(Bson::Document)
}

fn any_path() -> impl Strategy<Value = Path> {
    let names = prop::collection::vec(any_name(), 1..4).prop_map(|names| Path::from(names.join(".")));
    prop_oneof![6 => names, 1 => Just(Path::from("_id"))]
}

fn any_predicate() -> impl Strategy<Value = Predicate> {
    let values = || prop::collection::vec(any_value(), 0..4);
    prop_oneof![
        3 => any_value().prop_map(Predicate::Eq),
        1 => any_value().prop_map(Predicate::Ne),
        1 => any_value().prop_map(Predicate::Gt),
        1 => any_value().prop_map(Predicate::Gte),
        1 => any_value().prop_map(Predicate::Lt),
        1 => any_value().prop_map(Predicate::Lte),
        2 => values().prop_map(Predicate::In),
        1 => values().prop_map(Predicate::NotIn),
        1 => any::<bool>().prop_map(Predicate::Exists),
        1 => (0..3_i64).prop_map(Predicate::Size),
        1 => prop::collection::vec(1..20, 1..3).prop_map(Predicate::Type),
        1 => (1..4_i64, -1..3_i64).prop_map(|(divisor, remainder)| Predicate::Remainder { divisor, remainder }),
        1 => values().prop_map(Predicate::HasEvery),
        1 => prop::sample::select(vec!["^a", "b$", "A"])
            .prop_map(|pattern| Predicate::Regex { pattern: pattern.into(), options: "i".into() }),
        1 => Just(Predicate::WithinCircle { centre: [1.0, 1.0], metres: 200_000.0 }),
    ]
}

fn any_condition() -> impl Strategy<Value = Filter> {
    (any_path(), any_predicate()).prop_map(|(path, predicate)| Filter::Field(path, predicate))
}

fn any_filter() -> impl Strategy<Value = Filter> {
    any_condition().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::And),
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            1 => inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
            1 => (any_path(), inner)
                .prop_map(|(path, filter)| Filter::Field(path, Predicate::Element(Box::new(filter)))),
        ]
    })
}

/// Conditions that an index of predicates looks up.
fn any_lookups() -> impl Strategy<Value = Filter> {
    let predicate = prop_oneof![
        any_value().prop_map(Predicate::Eq),
        prop::collection::vec(any_value(), 1..6).prop_map(Predicate::In),
    ];
    let lookup = (any_path(), predicate).prop_map(|(path, predicate)| Filter::Field(path, predicate));
    prop::collection::vec(lookup, 1..3).prop_map(Filter::And)
}

/// The paths at which two values differ, the way change feeds name them.
fn touched(before: &Bson, after: &Bson, at: &str, out: &mut Vec<String>) {
    let join = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match (before, after) {
        _ if before == after => {}
        (Bson::Document(x), Bson::Document(y)) => {
            let names: BTreeSet<_> = x.keys().chain(y.keys()).collect();
            for name in names {
                match (x.get(name), y.get(name)) {
                    (Some(before), Some(after)) => touched(before, after, &join(name), out),
                    _ => out.push(join(name)),
                }
            }
            // The same fields in another order are another value.
            if !at.is_empty() && !x.keys().eq(y.keys()) {
                out.push(at.to_owned());
            }
        }
        (Bson::Array(x), Bson::Array(y)) if x.len() == y.len() => {
            for (i, (before, after)) in x.iter().zip(y).enumerate() {
                touched(before, after, &join(&i.to_string()), out);
            }
        }
        _ => out.push(at.to_owned()),
    }
}

/// Every path in a value.
fn paths_of(value: &Bson, at: &str, out: &mut Vec<String>) {
    let mut add = |name: &str, value: &Bson| {
        let path = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        paths_of(value, &path, out);
        out.push(path);
    };
    match value {
        Bson::Document(document) => document.iter().for_each(|(name, value)| add(name, value)),
        Bson::Array(array) => array.iter().enumerate().for_each(|(i, value)| add(&i.to_string(), value)),
        _ => {}
    }
}

/// Sets what is at a path, as far as it exists.
fn put(target: &mut Bson, path: &str, value: Bson) {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let inner = match target {
        Bson::Document(document) if !path.is_empty() => {
            Some(document.entry(head.to_owned()).or_insert(Bson::Null))
        }
        Bson::Array(array) => head.parse().ok().and_then(|index: usize| array.get_mut(index)),
        _ => None,
    };
    match inner {
        Some(inner) => put(inner, rest, value),
        None => *target = value,
    }
}

fn with_id(document: &Bson) -> RawDocumentBuf {
    let mut whole = bson::doc! {};
    whole.extend(document.as_document().unwrap().clone());
    whole.insert("_id", 1);
    RawDocumentBuf::try_from(whole).unwrap()
}

/// Calls `check` with the change as known, and with each part of the knowledge dropped.
fn each_knowledge(
    kind: ChangeKind,
    sides: [Option<&RawDocumentBuf>; 2],
    paths: &[String],
    mut check: impl FnMut(Change) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for known in 0..8_u8 {
        let knows = |bit: u8| known & (1 << bit) != 0;
        check(Change {
            kind,
            before: sides[0].filter(|_| knows(0)).cloned(),
            after: sides[1].filter(|_| knows(1)).cloned(),
            touched: knows(2).then(|| paths.to_vec()),
        })?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_change_of_the_result_is_never_missed(
        filter in prop_oneof![any_filter().boxed(), any_condition().boxed()],
        old in any_document(),
        new in any_document(),
        at in any::<prop::sample::Index>(),
        value in any_value(),
        replaced in prop::bool::weighted(0.2),
    ) {
        let matcher = matcher(&filter);
        // Most updates change one value somewhere inside, so that their paths say something.
        let mut new = new;
        if !replaced {
            let mut all = vec!["a".to_owned()];
            paths_of(&old, "", &mut all);
            new = old.clone();
            put(&mut new, at.get::<String>(&all), value);
        }
        let mut paths = Vec::new();
        touched(&old, &new, "", &mut paths);
        let (old, new) = (with_id(&old), with_id(&new));
        let (before, after) = (matcher.matches(&old), matcher.matches(&new));
        for (kind, sides, must) in [
            (ChangeKind::Insert, [None, Some(&new)], after),
            (ChangeKind::Delete, [Some(&old), None], before),
            (ChangeKind::Update, [Some(&old), Some(&new)], before || after),
            (ChangeKind::Update, [Some(&new), Some(&old)], before || after),
            (ChangeKind::Replace, [Some(&old), Some(&new)], before || after),
        ] {
            each_knowledge(kind, sides, &paths, |change| {
                let event = change.event(Bson::Int32(1));
                prop_assert!(!must || matcher.affected_by(&event), "{:?} is not affected by {:?}", filter, event);
                Ok(())
            })?;
        }
    }

    #[test]
    fn every_match_is_found_by_the_equalities(filter in any_lookups(), document in any_document()) {
        let (matcher, document) = (matcher(&filter), with_id(&document));
        if !matcher.matches(&document) {
            return Ok(());
        }
        for (path, wanted) in matcher.equalities() {
            let found = order::values_at(&document, path);
            let wanted: Vec<_> = wanted.iter().map(|value| bson::RawBson::try_from(value.clone()).unwrap()).collect();
            let hit = found.iter().any(|&value| wanted.iter().any(|w| order::equal(value, w.as_raw_bson_ref())));
            prop_assert!(hit, "{} of {:?} holds none of {:?}", path, document, wanted);
        }
    }

    #[test]
    fn negation_is_the_complement(filter in any_filter(), document in any_document()) {
        let document = with_id(&document);
        let negated = Filter::Not(Box::new(filter.clone()));
        prop_assert_ne!(matcher(&filter).matches(&document), matcher(&negated).matches(&document));
    }

    #[test]
    fn a_long_list_is_the_same_as_many_equalities(
        path in any_path(),
        values in prop::collection::vec(any_value(), 0..8),
        document in any_document(),
    ) {
        let document = with_id(&document);
        let any_of = values.iter().map(|value| Filter::Field(path.clone(), Predicate::Eq(value.clone()))).collect();
        let list = Filter::Field(path, Predicate::In(values));
        prop_assert_eq!(matcher(&list).matches(&document), matcher(&Filter::Or(any_of)).matches(&document));
    }

    #[test]
    fn arbitrary_patterns_are_compiled_or_refused(pattern in "\\PC{0,12}", options in "[imsxu]{0,2}") {
        let filter = field("a", Predicate::Regex { pattern, options });
        if let Ok(matcher) = Matcher::new(&filter) {
            let _ = matcher.matches(&rawdoc! { "a": "some text" });
        }
    }
}
