use proptest::prelude::*;

use super::*;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn check(cases: &[(&str, &str, &str)], operation: fn(Decimal, Decimal) -> Decimal) {
    for (a, b, expected) in cases {
        assert_eq!(operation(d(a), d(b)).to_string(), *expected, "{a} and {b}");
    }
}

#[test]
fn sums_are_exact_and_keep_their_digits() {
    check(
        &[
            ("0.1", "0.2", "0.3"),
            ("1.00", "2", "3.00"),
            ("1", "-1.00", "0.00"),
            ("1E+3", "1", "1001"),
            ("9999999999999999999999999999999999", "1", "1.000000000000000000000000000000000E+34"),
            ("9999999999999999999999999999999999", "0.4", "9999999999999999999999999999999999"),
            ("1E+40", "1", "1.000000000000000000000000000000000E+40"),
            ("1E+6000", "-1E-6000", "1.000000000000000000000000000000000E+6000"),
            ("9.999999999999999999999999999999999E+6144", "1E+6144", "Infinity"),
            ("Infinity", "-Infinity", "NaN"),
            ("-5", "Infinity", "Infinity"),
        ],
        |a, b| a + b,
    );
}

#[test]
fn halves_go_to_the_even_neighbour() {
    check(
        &[
            ("1000000000000000000000000000000000", "0.5", "1000000000000000000000000000000000"),
            ("1000000000000000000000000000000001", "0.5", "1000000000000000000000000000000002"),
            ("1000000000000000000000000000000000", "0.5000001", "1000000000000000000000000000000001"),
        ],
        |a, b| a + b,
    );
    assert_eq!(d("2.5").round(0).to_string(), "2");
    assert_eq!(d("3.5").round(0).to_string(), "4");
    assert_eq!(d("-2.345").round(2).to_string(), "-2.34");
    assert_eq!(d("1234").round(-2).to_string(), "1.2E+3");
    assert_eq!(d("0.001").round(2).to_string(), "0.00");
}

#[test]
fn products_quotients_and_remainders() {
    check(
        &[
            ("1.20", "3", "3.60"),
            (
                "9999999999999999999999999999999999",
                "9999999999999999999999999999999999",
                "9.999999999999999999999999999999998E+67",
            ),
            ("0", "Infinity", "NaN"),
            ("-2", "Infinity", "-Infinity"),
        ],
        |a, b| a * b,
    );
    check(
        &[
            ("1", "3", "0.3333333333333333333333333333333333"),
            ("2", "3", "0.6666666666666666666666666666666667"),
            ("6", "2", "3"),
            ("1", "8", "0.125"),
            ("1", "0", "Infinity"),
            ("0", "0", "NaN"),
        ],
        |a, b| a / b,
    );
    check(&[("7", "3", "1"), ("-7.5", "2", "-1.5"), ("1E+30", "7", "1"), ("1", "1E+30", "1")], |a, b| a % b);
}

#[test]
fn whole_numbers_and_roots() {
    assert_eq!(d("-2.5").floor().to_string(), "-3");
    assert_eq!(d("-2.5").ceil().to_string(), "-2");
    assert_eq!(d("2.9").trunc(0).to_string(), "2");
    assert_eq!(d("2").sqrt().to_string(), "1.414213562373095048801688724209698");
    assert_eq!(d("144").sqrt(), d("12"));
    assert!(d("-1").sqrt().is_nan());
    assert_eq!(d("-9223372036854775808.9").to_i64(), Some(i64::MIN));
    assert_eq!(d("9223372036854775808").to_i64(), None);
    assert_eq!(d("1E+6000").to_i64(), None);
}

#[test]
fn equal_numbers_hash_alike_whatever_their_digits() {
    let hash = |value: Decimal| {
        let mut state = std::hash::DefaultHasher::new();
        value.hash(&mut state);
        state.finish()
    };
    assert_eq!(d("1.50"), d("1.5"));
    assert_eq!(hash(d("1.50")), hash(d("1.5")));
    assert_eq!(hash(d("-0")), hash(d("0.00")));
    assert!(d("NaN") < d("-Infinity"));
}

#[test]
fn json_is_text_and_whole_numbers_are_understood() {
    assert_eq!(serde_json::to_string(&d("1.50")).unwrap(), "\"1.50\"");
    assert_eq!(serde_json::from_str::<Decimal>("12").unwrap(), d("12"));
    for text in ["1.5", "\"x\"", "\"\"", "null", "{\"$numberDecimal\":\"1\"}"] {
        assert!(serde_json::from_str::<Decimal>(text).is_err(), "{text}");
    }
}

#[test]
fn bson_holds_a_decimal_and_gives_any_number() {
    for (value, expected) in [
        (bson::Bson::Decimal128("1.50".parse().unwrap()), "1.50"),
        (bson::Bson::Int32(3), "3"),
        (bson::Bson::Int64(4), "4"),
        (bson::Bson::Double(2.5), "2.50000000000000"),
    ] {
        assert_eq!(crate::value::from_bson::<Decimal>(value).unwrap().to_string(), expected);
    }
    assert_eq!(crate::value::to_bson(&d("1.50")).unwrap(), bson::Bson::Decimal128("1.50".parse().unwrap()));
}

proptest! {
    /// Whole numbers of moderate size are exact, so that integers can tell what is right.
    #[test]
    fn arithmetic_agrees_with_integers(a in -(1_i64 << 40)..1 << 40, b in -(1_i64 << 40)..1 << 40, shift in 0..20_i32) {
        let scale = |value: i64| format!("{value}E-{shift}").parse::<Decimal>().unwrap();
        let exact = |value: i128, places: i32| format!("{value}E-{places}").parse::<Decimal>().unwrap();
        let (x, y) = (i128::from(a), i128::from(b));
        prop_assert_eq!(scale(a) + scale(b), exact(x + y, shift));
        prop_assert_eq!(scale(a) - scale(b), exact(x - y, shift));
        prop_assert_eq!(scale(a) * scale(b), exact(x * y, 2 * shift));
        if b != 0 {
            prop_assert_eq!(scale(a) % scale(b), exact(x % y, shift));
            prop_assert_eq!(scale(a) / scale(b) * scale(b) - scale(a) < exact(1, shift), true);
        }
    }

    #[test]
    fn the_long_way_is_the_same_in_both_directions(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
        let (a, b) = (Decimal(a), Decimal(b));
        prop_assert_eq!(a + b, b + a);
        prop_assert_eq!(a * b, b * a);
        prop_assert_eq!(a - b, -(b - a));
    }
}
