use bson::{Bson, RawBson, RawDocumentBuf, bson, oid::ObjectId, rawdoc};
use proptest::prelude::*;

use super::*;
use crate::ir::SortKey;

fn raw(value: Bson) -> RawBson {
    RawBson::try_from(value).unwrap()
}

fn check(a: &RawBson, b: &RawBson, expected: Ordering) {
    let (a, b) = (a.as_raw_bson_ref(), b.as_raw_bson_ref());
    assert_eq!(compare(a, b), expected, "{a:?} against {b:?}");
    assert_eq!(compare(b, a), expected.reverse(), "{b:?} against {a:?}");
}

/// One value of each bracket or more, in ascending order.
fn ascending() -> Vec<Bson> {
    let binary = |subtype, bytes: &[u8]| Bson::Binary(bson::Binary { subtype, bytes: bytes.to_vec() });
    let timestamp = |time, increment| Bson::Timestamp(bson::Timestamp { time, increment });
    vec![
        Bson::MinKey,
        Bson::Undefined,
        Bson::Null,
        bson!(f64::NAN),
        bson!(f64::NEG_INFINITY),
        bson!(-5_i64),
        bson!(0.5),
        bson!(1),
        Bson::Decimal128("1.01".parse().unwrap()),
        bson!((1_i64 << 53) + 1),
        bson!(f64::INFINITY),
        bson!(""),
        bson!("Z"),
        bson!("a"),
        bson!("ab"),
        bson!("é"),
        bson!({}),
        // The type of the first element decides before its key.
        bson!({ "b": 1 }),
        bson!({ "a": "x" }),
        bson!({ "a": "x", "b": 0 }),
        bson!({ "b": "" }),
        bson!([]),
        bson!([1, 2]),
        bson!([2]),
        bson!([10]),
        bson!([[]]),
        binary(BinarySubtype::Generic, &[9]),
        binary(BinarySubtype::Uuid, &[1]),
        binary(BinarySubtype::Generic, &[0, 0]),
        Bson::ObjectId(ObjectId::from_bytes([1; 12])),
        Bson::ObjectId(ObjectId::from_bytes([2; 12])),
        bson!(false),
        bson!(true),
        Bson::DateTime(bson::DateTime::from_millis(-1)),
        Bson::DateTime(bson::DateTime::from_millis(1)),
        timestamp(1, u32::MAX),
        timestamp(2, 0),
        Bson::RegularExpression(bson::Regex { pattern: cstr!("a").into(), options: cstr!("i").into() }),
        Bson::JavaScriptCode("x".into()),
        Bson::MaxKey,
    ]
}

#[test]
fn every_type_has_its_place() {
    let values: Vec<_> = ascending().into_iter().map(raw).collect();
    for (i, a) in values.iter().enumerate() {
        for (j, b) in values.iter().enumerate() {
            check(a, b, i.cmp(&j));
        }
    }
}

#[test]
fn equal_values_of_different_types_are_equal() {
    let cases = [
        (bson!(1), bson!(1.0)),
        (bson!(1_i64), Bson::Decimal128("1.00".parse().unwrap())),
        (bson!(0), bson!(-0.0)),
        (bson!("s"), Bson::Symbol("s".into())),
        (bson!({ "a": [1, { "b": 2 }] }), bson!({ "a": [1.0, { "b": 2_i64 }] })),
    ];
    for (a, b) in cases {
        check(&raw(a), &raw(b), Ordering::Equal);
    }
}

#[test]
fn brackets_join_numbers_and_strings_but_not_dates_and_timestamps() {
    let bracket = |value: Bson| type_bracket(raw(value).as_raw_bson_ref());
    assert_eq!(bracket(bson!(1)), bracket(bson!(1.5)));
    assert_eq!(bracket(bson!("a")), bracket(Bson::Symbol("a".into())));
    assert_ne!(
        bracket(Bson::DateTime(bson::DateTime::from_millis(0))),
        bracket(Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 }))
    );
    assert_ne!(bracket(bson!(1)), bracket(bson!(true)));
}

#[test]
fn hostile_depth_does_not_exhaust_the_stack() {
    let mut deep = RawDocumentBuf::new();
    for _ in 0..20_000 {
        let mut outer = RawDocumentBuf::new();
        outer.append(bson::raw::cstr!("a"), deep);
        deep = outer;
    }
    assert!(equal(RawBsonRef::Document(&deep), RawBsonRef::Document(&deep)));
}

fn sorted(path: &'static str, descending: bool, mut documents: Vec<RawDocumentBuf>) -> Vec<i32> {
    let sort = [SortKey { path: path.into(), descending }];
    documents.sort_by(|a, b| compare_documents(&sort, a, b));
    documents.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

#[test]
fn sorts_take_the_smallest_or_the_largest_element() {
    let documents = vec![
        rawdoc! { "_id": 1, "a": [1, 9] },
        rawdoc! { "_id": 2, "a": 5 },
        rawdoc! { "_id": 3, "a": [3, 4] },
        rawdoc! { "_id": 4 },
        rawdoc! { "_id": 5, "a": [] },
        rawdoc! { "_id": 6, "a": "x" },
    ];
    assert_eq!(sorted("a", false, documents.clone()), [5, 4, 1, 3, 2, 6]);
    assert_eq!(sorted("a", true, documents), [6, 1, 2, 3, 4, 5]);
}

#[test]
fn sorts_treat_missing_and_null_alike_and_keep_their_order() {
    let documents =
        vec![rawdoc! { "_id": 1, "a": null }, rawdoc! { "_id": 2 }, rawdoc! { "_id": 3, "a": null }];
    assert_eq!(sorted("a", false, documents.clone()), [1, 2, 3]);
    assert_eq!(sorted("a", true, documents), [1, 2, 3]);
}

#[test]
fn sorts_follow_paths_through_arrays_of_documents() {
    let documents = vec![
        rawdoc! { "_id": 1, "legs": [{ "km": 7 }, { "km": 2 }] },
        rawdoc! { "_id": 2, "legs": [{ "km": 5 }] },
        rawdoc! { "_id": 3, "legs": [] },
    ];
    assert_eq!(sorted("legs.km", false, documents.clone()), [3, 1, 2]);
    assert_eq!(sorted("legs.km", true, documents.clone()), [1, 2, 3]);
    assert_eq!(sorted("legs.0.km", false, documents), [3, 2, 1]);
}

#[test]
fn later_sort_keys_decide_between_equal_ones() {
    let key = |path: &'static str, descending| SortKey { path: path.into(), descending };
    let sort = [key("a", false), key("b", true)];
    let (one, two) = (rawdoc! { "a": 1, "b": 1 }, rawdoc! { "a": 1.0, "b": 2 });
    assert_eq!(compare_documents(&sort, &one, &two), Ordering::Greater);
}

fn keys(keys: &[(&'static str, bool)]) -> Vec<SortKey> {
    keys.iter().map(|&(path, descending)| SortKey { path: path.into(), descending }).collect()
}

#[test]
fn keys_through_the_same_array_take_the_same_element() {
    let document = rawdoc! { "a": [{ "b": 1, "c": 5 }, { "b": 2, "c": 1 }, { "b": 1, "c": 7 }], "d": 0 };
    let values = |sort: &[(&'static str, bool)]| {
        let values = sort_values(&keys(sort), &document);
        values.iter().map(|value| value.as_i32().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(values(&[("a.b", false), ("a.c", false)]), [1, 5]);
    assert_eq!(values(&[("a.b", false), ("a.c", true)]), [1, 7]);
    assert_eq!(values(&[("a.c", false), ("d", false), ("a.b", false)]), [1, 0, 2]);
    assert_eq!(values(&[("a.b", true), ("a.c", true)]), [2, 1]);
    assert_eq!(values(&[("a.0.c", true), ("a.1.c", true)]), [5, 1]);
}

#[test]
fn keys_through_arrays_beside_each_other_choose_independently() {
    let long: Vec<i32> = (0..2_000).collect();
    let document = bson::doc! { "a": { "x": long.clone(), "y": long.clone(), "z": long } };
    let document = RawDocumentBuf::try_from(document).unwrap();
    let values = sort_values(&keys(&[("a.x", false), ("a.y", true), ("a.z", false)]), &document);
    assert_eq!(values.as_slice(), [RawBsonRef::Int32(0), RawBsonRef::Int32(1_999), RawBsonRef::Int32(0)]);
}

fn any_number() -> impl Strategy<Value = Bson> {
    let near = (1_i64 << 53) - 3..(1_i64 << 53) + 3;
    prop_oneof![
        (-3..3_i32).prop_map(Bson::Int32),
        near.clone().prop_map(Bson::Int64),
        near.prop_map(|n| Bson::Double(n as f64)),
        any::<i64>().prop_map(Bson::Int64),
        any::<f64>().prop_map(Bson::Double),
        Just(Bson::Double(f64::NAN)),
        (-4..4_i32).prop_map(|n| Bson::Double(f64::from(n) / 2.0)),
        ((1_i64 << 53) - 3..(1_i64 << 53) + 3).prop_map(|n| decimal(&format!("{n}.5"))),
        (-30..30_i64, -3..3_i32).prop_map(|(n, e)| decimal(&format!("{n}E{e}"))),
        (any::<i64>(), -330..300_i32).prop_map(|(n, e)| decimal(&format!("{n}E{e}"))),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(bson::Decimal128::from_bytes(bytes))),
    ]
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().unwrap())
}

fn any_value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![4 => any_number(), 3 => proptest::sample::select(ascending()), 1 => "[ab]{0,2}".prop_map(Bson::String)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::vec(("[ab]", inner), 0..3)
                .prop_map(|entries| Bson::Document(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_order_is_total(values in prop::collection::vec(any_value(), 3)) {
        total_order(values)?;
    }

    #[test]
    fn the_order_of_numbers_is_total(values in prop::collection::vec(any_number(), 3)) {
        total_order(values)?;
    }
}

proptest! {
    #[test]
    fn a_key_sorts_alike_alone_and_twice(
        fields in prop::collection::vec(("[ab]", any_value()), 0..3),
        path in prop::sample::select(vec!["a", "a.b", "a.0", "a.0.b", "b.a.a", "b.1.0"]),
        descending in any::<bool>(),
    ) {
        let document: bson::Document = fields.into_iter().collect();
        let document = RawDocumentBuf::try_from(document).unwrap();
        let key = SortKey { path: path.into(), descending };
        let alone = sort_value(&key, &document);
        let twice = sort_values(&[key.clone(), key], &document);
        prop_assert!(twice.iter().all(|value| equal(*value, alone)), "{twice:?} against {alone:?}");
    }
}

fn total_order(values: Vec<Bson>) -> Result<(), TestCaseError> {
    let values: Vec<_> = values.into_iter().map(raw).collect();
    let [a, b, c] = [0, 1, 2].map(|i| values[i].as_raw_bson_ref());
    prop_assert_eq!(compare(a, a), Ordering::Equal);
    prop_assert_eq!(compare(a, b), compare(b, a).reverse());
    let mut sorted = [a, b, c];
    sorted.sort_by(|x, y| compare(*x, *y));
    let [low, middle, high] = sorted;
    prop_assert_ne!(compare(low, middle), Ordering::Greater);
    prop_assert_ne!(compare(middle, high), Ordering::Greater);
    prop_assert_ne!(compare(low, high), Ordering::Greater);
    // Equality is transitive only if equal values compare alike with everything else.
    if compare(a, b) == Ordering::Equal {
        prop_assert_eq!(compare(a, c), compare(b, c));
    }
    Ok(())
}
