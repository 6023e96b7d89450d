//! The byte form of BSON values: byte order is value order, and byte equality is value equality.
//!
//! One encoding serves document ids, index entries, in-memory sorts, groups and distinct values. Every encoded value is
//! self-delimiting, so that values can stand behind each other and be inverted for descending order.
//!
//! | class | first byte | then |
//! |---|---|---|
//! | numbers | `08` | the largest double ≤ the number, order-preserving; `00` where that is exact, else `01` and its decimal digits |
//! | strings, names | `0a` | UTF-8 with `00` → `00 ff`, then `00 00` |
//! | documents | `0c` | for each field: class, name, value; then `00` |
//! | arrays | `0e` | the values; then `00` |
//! | others | see [`class`] | fixed width, big-endian |

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use bson::{Bson, Decimal128, RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use forge_core::ir::SortKey;
use forge_core::order::{self, Found, Values};

/// First bytes of encoded values, in MongoDB's order of types.
pub(crate) mod class {
    pub(crate) const MIN_KEY: u8 = 0x02;
    /// Also what an index holds for an empty array.
    pub(crate) const UNDEFINED: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x06;
    pub(crate) const NUMBER: u8 = 0x08;
    pub(crate) const STRING: u8 = 0x0a;
    pub(crate) const DOCUMENT: u8 = 0x0c;
    pub(crate) const ARRAY: u8 = 0x0e;
    pub(crate) const BINARY: u8 = 0x10;
    pub(crate) const OBJECT_ID: u8 = 0x12;
    pub(crate) const BOOLEAN: u8 = 0x14;
    pub(crate) const DATE: u8 = 0x16;
    pub(crate) const TIMESTAMP: u8 = 0x18;
    pub(crate) const REGEX: u8 = 0x1a;
    pub(crate) const DB_POINTER: u8 = 0x1c;
    pub(crate) const CODE: u8 = 0x1e;
    pub(crate) const CODE_WITH_SCOPE: u8 = 0x20;
    /// A cell of a 2dsphere index; never a value of a document.
    pub(crate) const CELL: u8 = 0x22;
    pub(crate) const MAX_KEY: u8 = 0x7f;
}

const END: u8 = 0x00;
const EXACT: u8 = 0x00;
const INEXACT: u8 = 0x01;

/// The class byte of `value`.
pub(crate) fn class_of(value: RawBsonRef<'_>) -> u8 {
    match value {
        RawBsonRef::MinKey => class::MIN_KEY,
        RawBsonRef::Undefined => class::UNDEFINED,
        RawBsonRef::Null => class::NULL,
        RawBsonRef::Double(_) | RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Decimal128(_) => {
            class::NUMBER
        }
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => class::STRING,
        RawBsonRef::Document(_) => class::DOCUMENT,
        RawBsonRef::Array(_) => class::ARRAY,
        RawBsonRef::Binary(_) => class::BINARY,
        RawBsonRef::ObjectId(_) => class::OBJECT_ID,
        RawBsonRef::Boolean(_) => class::BOOLEAN,
        RawBsonRef::DateTime(_) => class::DATE,
        RawBsonRef::Timestamp(_) => class::TIMESTAMP,
        RawBsonRef::RegularExpression(_) => class::REGEX,
        RawBsonRef::DbPointer(_) => class::DB_POINTER,
        RawBsonRef::JavaScriptCode(_) => class::CODE,
        RawBsonRef::JavaScriptCodeWithScope(_) => class::CODE_WITH_SCOPE,
        RawBsonRef::MaxKey => class::MAX_KEY,
    }
}

/// Appends the byte form of `value`. Malformed BSON inside a value ends that value early.
pub(crate) fn encode(value: RawBsonRef<'_>, out: &mut Vec<u8>) {
    out.push(class_of(value));
    encode_body(value, out);
}

/// The byte form of an owned value.
pub(crate) fn encoded(value: &Bson) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    with_raw(value, |raw| encode(raw, &mut out));
    out
}

/// Lends `value` in its raw form.
pub(crate) fn with_raw<R>(value: &Bson, f: impl FnOnce(RawBsonRef<'_>) -> R) -> R {
    match value {
        Bson::Null => f(RawBsonRef::Null),
        Bson::Int32(v) => f(RawBsonRef::Int32(*v)),
        Bson::Int64(v) => f(RawBsonRef::Int64(*v)),
        Bson::Double(v) => f(RawBsonRef::Double(*v)),
        Bson::Boolean(v) => f(RawBsonRef::Boolean(*v)),
        Bson::String(v) => f(RawBsonRef::String(v)),
        Bson::ObjectId(v) => f(RawBsonRef::ObjectId(*v)),
        Bson::DateTime(v) => f(RawBsonRef::DateTime(*v)),
        other => match bson::RawBson::try_from(other.clone()) {
            Ok(raw) => f(raw.as_raw_bson_ref()),
            // Only keys with NUL bytes have no raw form; such a document cannot be stored either.
            Err(_) => f(RawBsonRef::Undefined),
        },
    }
}

fn encode_body(value: RawBsonRef<'_>, out: &mut Vec<u8>) {
    match value {
        RawBsonRef::MinKey | RawBsonRef::Undefined | RawBsonRef::Null | RawBsonRef::MaxKey => {}
        RawBsonRef::Int32(v) => double(f64::from(v), out),
        RawBsonRef::Int64(v) => integer(v, out),
        RawBsonRef::Double(v) => double(v, out),
        RawBsonRef::Decimal128(v) => decimal(v, out),
        RawBsonRef::String(v) | RawBsonRef::Symbol(v) | RawBsonRef::JavaScriptCode(v) => {
            text(v.as_bytes(), out);
        }
        RawBsonRef::Document(v) => document(v, out),
        RawBsonRef::Array(v) => array(v, out),
        RawBsonRef::Binary(v) => {
            let length = u32::try_from(v.bytes.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.push(v.subtype.into());
            out.extend_from_slice(v.bytes);
        }
        RawBsonRef::ObjectId(v) => out.extend_from_slice(&v.bytes()),
        RawBsonRef::Boolean(v) => out.push(u8::from(v)),
        RawBsonRef::DateTime(v) => out.extend_from_slice(&signed(v.timestamp_millis())),
        RawBsonRef::Timestamp(v) => {
            out.extend_from_slice(&v.time.to_be_bytes());
            out.extend_from_slice(&v.increment.to_be_bytes());
        }
        RawBsonRef::RegularExpression(v) => {
            text(v.pattern.as_str().as_bytes(), out);
            text(v.options.as_str().as_bytes(), out);
        }
        RawBsonRef::JavaScriptCodeWithScope(v) => {
            text(v.code.as_bytes(), out);
            document(v.scope, out);
        }
        // Its parts are private to the bson crate; the debug form is at least stable and distinct.
        RawBsonRef::DbPointer(v) => {
            let mut form = String::new();
            let _ = write!(form, "{v:?}");
            text(form.as_bytes(), out);
        }
    }
}

fn document(value: &RawDocument, out: &mut Vec<u8>) {
    for field in value.iter() {
        let Ok((name, value)) = field else { break };
        out.push(class_of(value));
        text(name.as_str().as_bytes(), out);
        encode_body(value, out);
    }
    out.push(END);
}

fn array(value: &RawArray, out: &mut Vec<u8>) {
    for element in value {
        let Ok(element) = element else { break };
        encode(element, out);
    }
    out.push(END);
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == 0) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[0x00, 0xff]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0x00, 0x00]);
}

fn signed(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn floor_bits(value: f64) -> [u8; 8] {
    if value.is_nan() {
        return [0; 8];
    }
    // Adding zero makes −0 equal to 0.
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    ordered.to_be_bytes()
}

fn double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&floor_bits(value));
    out.push(EXACT);
}

fn integer(value: i64, out: &mut Vec<u8>) {
    let nearest = value as f64;
    // Every double near an i64 is a whole number, so the comparison is exact.
    let difference = nearest as i128 - i128::from(value);
    if difference == 0 {
        return double(nearest, out);
    }
    let floor = if difference > 0 { nearest.next_down() } else { nearest };
    out.extend_from_slice(&floor_bits(floor));
    out.push(INEXACT);
    Digits::parse(&value.to_string()).encode(out);
}

fn decimal(value: Decimal128, out: &mut Vec<u8>) {
    let nearest = order::as_f64(RawBsonRef::Decimal128(value)).unwrap_or(f64::NAN);
    let Some(exact) = Digits::of_decimal(value) else { return double(nearest, out) };
    let against = match nearest {
        f64::INFINITY => Ordering::Greater,
        f64::NEG_INFINITY => Ordering::Less,
        nearest => Digits::of_double(nearest).compare(&exact),
    };
    let floor = match against {
        Ordering::Equal => return double(nearest, out),
        Ordering::Greater => nearest.next_down(),
        Ordering::Less => nearest,
    };
    out.extend_from_slice(&floor_bits(floor));
    out.push(INEXACT);
    exact.encode(out);
}

/// A number as `±0.d₁d₂… × 10^exponent` without leading or trailing zeros.
struct Digits {
    negative: bool,
    exponent: i32,
    digits: Vec<u8>,
}

impl Digits {
    /// All digits of a finite double; 767 are enough for any.
    fn of_double(value: f64) -> Self {
        Self::parse(&format!("{value:.767e}"))
    }

    /// All digits of a finite decimal (IEEE 754-2008, binary integer form); none for NaN and the infinities.
    fn of_decimal(value: Decimal128) -> Option<Self> {
        const MAX_COEFFICIENT: u128 = 10_u128.pow(34) - 1;
        let bits = u128::from_le_bytes(value.bytes());
        if (bits >> 122) & 0b1_1110 == 0b1_1110 {
            return None;
        }
        // Coefficients beyond 34 digits are not canonical and mean zero.
        let wide = (bits >> 125) & 0b11 == 0b11;
        let (shift, coefficient) = if wide { (111, 0) } else { (113, bits & ((1 << 113) - 1)) };
        let coefficient = if coefficient > MAX_COEFFICIENT { 0 } else { coefficient };
        let exponent = ((bits >> shift) & 0x3fff) as i32 - 6176;
        let sign = if bits >> 127 == 1 { "-" } else { "" };
        Some(Self::parse(&format!("{sign}{coefficient}e{exponent}")))
    }

    /// Reads `-12.5`, `1e+400`, ….
    fn parse(form: &str) -> Self {
        let (negative, form) = form.strip_prefix('-').map_or((false, form), |rest| (true, rest));
        let (mantissa, exponent) = form.split_once('e').unwrap_or((form, "0"));
        let mut exponent: i32 = exponent.trim_start_matches('+').parse().unwrap_or(0);
        let whole = mantissa.find('.').unwrap_or(mantissa.len());
        exponent += i32::try_from(whole).unwrap_or(0);
        let mut digits: Vec<u8> =
            mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        let leading = digits.iter().take_while(|&&digit| digit == 0).count();
        digits.drain(..leading);
        exponent -= i32::try_from(leading).unwrap_or(0);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            return Self { negative: false, exponent: 0, digits };
        }
        Self { negative, exponent, digits }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        self.encode(&mut a);
        other.encode(&mut b);
        a.cmp(&b)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let sign = match (self.digits.is_empty(), self.negative) {
            (true, _) => 0x02,
            (false, true) => 0x01,
            (false, false) => 0x03,
        };
        out.push(sign);
        if self.digits.is_empty() {
            return;
        }
        let start = out.len();
        out.extend_from_slice(&(self.exponent.cast_unsigned() ^ (1 << 31)).to_be_bytes());
        out.extend(self.digits.iter().map(|digit| digit + 1));
        out.push(END);
        if self.negative {
            invert(&mut out[start..]);
        }
    }
}

/// Reverses the order of what the bytes stand for.
pub(crate) fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

/// The smallest key after every key that starts with `bytes`; none where there is no such key.
pub(crate) fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|&byte| byte != 0xff)?;
    let mut next = bytes[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

/// The values that a path has in a document, as indexes and sorts see them.
pub(crate) struct PathValues<'a> {
    /// Null where the path is missing, undefined where it is an empty array; array elements one by one.
    pub(crate) values: Values<'a>,
    /// Whether an array was met.
    pub(crate) multikey: bool,
    /// Whether the path is there at all.
    pub(crate) exists: bool,
}

impl<'a> PathValues<'a> {
    /// Collects the values of `path` in `document`.
    pub(crate) fn of(document: &'a RawDocument, path: &str) -> Self {
        let (mut inner, mut rest) = (document, path);
        loop {
            let (head, tail) = rest.split_once('.').map_or((rest, None), |(head, tail)| (head, Some(tail)));
            let Ok(Some(value)) = inner.get(head) else { return Self::single(RawBsonRef::Null, false) };
            match (value, tail) {
                (RawBsonRef::Array(_), _) => {
                    let exists = order::visit(document, path, |found| match found {
                        Found::Value(_) | Found::Indexed(_) => ControlFlow::Break(()),
                        Found::Missing | Found::Barren => ControlFlow::Continue(()),
                    });
                    let values = order::values_at(document, path);
                    return Self { values, multikey: true, exists: exists.is_break() };
                }
                (value, None) => return Self::single(value, true),
                (RawBsonRef::Document(next), Some(tail)) => (inner, rest) = (next, tail),
                _ => return Self::single(RawBsonRef::Null, false),
            }
        }
    }

    fn single(value: RawBsonRef<'a>, exists: bool) -> Self {
        let mut values = Values::new();
        values.push(value);
        Self { values, multikey: false, exists }
    }
}

/// The key by which `document` is sorted:  the smallest element of arrays, or the largest.
pub(crate) fn sort_key(document: &RawDocument, keys: &[SortKey]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 * keys.len());
    let mut candidate = Vec::new();
    for SortKey { path, descending } in keys {
        let start = out.len();
        for value in PathValues::of(document, path).values {
            candidate.clear();
            encode(value, &mut candidate);
            if *descending {
                invert(&mut candidate);
            }
            if out.len() == start || candidate.as_slice() < &out[start..] {
                out.truncate(start);
                out.extend_from_slice(&candidate);
            }
        }
    }
    out
}

/// A raw document from an owned one.
pub(crate) fn to_raw(document: &bson::Document) -> forge_core::Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document)
        .map_err(|error| forge_core::Error::bad_request(format!("the document cannot be stored: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawBson, bson, rawdoc};
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
        assert!(sort_key(&low, &key(false)) < sort_key(&high, &key(false)));
        assert!(sort_key(&low, &key(true)) < sort_key(&high, &key(true)));
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
}
