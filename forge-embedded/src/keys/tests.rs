use super::*;
use bson::{Decimal128, RawBson, bson, rawdoc};
use proptest::prelude::*;

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().unwrap())
}

fn number() -> impl Strategy<Value = Bson> {
    let near = || (1_i64 << 53) - 3..(1_i64 << 53) + 3;
    prop_oneof![
        (-3..3_i32).prop_map(Bson::Int32),
        near().prop_map(Bson::Int64),
        near().prop_map(|n| Bson::Double(n as f64)),
        near().prop_map(|n| decimal(&format!("{n}.5"))),
        any::<i64>().prop_map(Bson::Int64),
        any::<i64>().prop_map(|n| Bson::Double(n as f64)),
        any::<f64>().prop_map(Bson::Double),
        Just(Bson::Double(f64::NAN)),
        Just(decimal("NaN")),
        Just(decimal("-Infinity")),
        (-4..4_i32).prop_map(|n| Bson::Double(f64::from(n) / 10.0)),
        (-30..30_i64, -3..3_i32).prop_map(|(n, e)| decimal(&format!("{n}E{e}"))),
        (any::<i64>(), -330..300_i32).prop_map(|(n, e)| decimal(&format!("{n}E{e}"))),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(Decimal128::from_bytes(bytes))),
    ]
}

fn value() -> impl Strategy<Value = Bson> {
    let others = vec![
        Bson::MinKey,
        Bson::Undefined,
        Bson::Null,
        bson!(true),
        bson!(false),
        bson!("\0"),
        bson!("a\0b"),
        Bson::Symbol("a".into()),
        Bson::DateTime(bson::DateTime::from_millis(-1)),
        Bson::DateTime(bson::DateTime::from_millis(1)),
        Bson::Timestamp(bson::Timestamp { time: 1, increment: 2 }),
        Bson::ObjectId(bson::oid::ObjectId::from_bytes([1; 12])),
        Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1] }),
        Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0, 0] }),
        Bson::RegularExpression(bson::Regex {
            pattern: bson::raw::cstr!("a").into(),
            options: bson::raw::cstr!("i").into(),
        }),
        Bson::JavaScriptCode("x".into()),
        Bson::MaxKey,
    ];
    let leaf = prop_oneof![3 => number(), 2 => proptest::sample::select(others), 2 => "[ab\0]{0,3}".prop_map(Bson::String)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::vec(("[ab]{0,2}", inner), 0..3)
                .prop_map(|entries| Bson::Document(entries.into_iter().collect())),
        ]
    })
}

fn check(a: &Bson, b: &Bson) -> Result<(), TestCaseError> {
    let raw = |value: &Bson| RawBson::try_from(value.clone()).unwrap();
    let expected = order::compare(raw(a).as_raw_bson_ref(), raw(b).as_raw_bson_ref());
    let (x, y) = (encoded(a), encoded(b));
    prop_assert_eq!(x.cmp(&y), expected, "{} and {}", a, b);
    let (mut inverted_x, mut inverted_y) = (x.clone(), y.clone());
    invert(&mut inverted_x);
    invert(&mut inverted_y);
    prop_assert_eq!(inverted_x.cmp(&inverted_y), expected.reverse(), "inverted {} and {}", a, b);
    if expected.is_ne() {
        prop_assert!(!x.starts_with(&y) && !y.starts_with(&x), "{} and {} are not apart", a, b);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn byte_order_is_value_order(a in value(), b in value()) {
        check(&a, &b)?;
    }

    #[test]
    fn byte_order_of_numbers_is_their_order(a in number(), b in number()) {
        check(&a, &b)?;
    }
}

#[test]
fn a_successor_is_behind_everything_with_the_prefix() {
    assert_eq!(successor(&[1, 2]), Some(vec![1, 3]));
    assert_eq!(successor(&[1, 0xff]), Some(vec![2]));
    assert_eq!(successor(&[0xff]), None);
}

#[test]
fn sort_keys_take_the_smallest_element_or_the_largest() {
    let key = |descending| [SortKey { path: "a".into(), descending }];
    let (low, high) = (rawdoc! { "a": [1, 9] }, rawdoc! { "a": 5 });
    assert!(sort_key(&low, &key(false), None) < sort_key(&high, &key(false), None));
    assert!(sort_key(&low, &key(true), None) < sort_key(&high, &key(true), None));
}

#[test]
fn paths_know_arrays_and_what_is_missing() {
    let document = rawdoc! { "a": { "b": 1 }, "c": [{ "d": 1 }, { "d": [2, 3] }], "e": [] };
    let seen = |path| {
        let found = PathValues::of(&document, path);
        (found.values.len(), found.multikey, found.exists)
    };
    assert_eq!(seen("a.b"), (1, false, true));
    assert_eq!(seen("a.x"), (1, false, false));
    assert_eq!(seen("a.b.c"), (1, false, false));
    assert_eq!(seen("c.d"), (3, true, true));
    assert_eq!(seen("c.x"), (2, true, false));
    assert_eq!(seen("e"), (1, true, true));
}
