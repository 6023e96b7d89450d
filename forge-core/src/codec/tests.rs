use std::collections::BTreeMap;
use std::fmt::Debug;

use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf, doc};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{decode, encode};
use crate::types::{DateTime, Id, Uuid};

/// The same bytes as `bson` writes, and the same value read back by either.
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let expected = bson::serialize_to_raw_document_buf(value).unwrap();
    let encoded = encode(value).unwrap();
    assert_eq!(encoded, expected, "{value:?}");
    assert_eq!(&decode::<T>(&encoded).unwrap(), value);
    assert_eq!(&bson::deserialize_from_slice::<T>(encoded.as_bytes()).unwrap(), value);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Box(i32, i32),
    Named { name: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Circle { radius: f64 },
    Point,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    _id: Id<Shape>,
    at: DateTime,
    uuid: Uuid,
    own: ObjectId,
    date: bson::DateTime,
    decimal: bson::Decimal128,
    any: Bson,
    document: Document,
    raw: RawDocumentBuf,
    none: Option<i32>,
    some: Option<Id<Shape>>,
    shapes: Vec<Shape>,
    tagged: Vec<Tagged>,
    wrapped: Wrapped,
    pair: (u8, String),
    map: BTreeMap<String, Vec<Id<Shape>>>,
    unit: (),
    letter: char,
    small: i8,
    unsigned: u32,
    float: f32,
    #[serde(flatten)]
    more: BTreeMap<String, Bson>,
}

fn everything() -> Everything {
    let oid = ObjectId::from_bytes([7; 12]);
    Everything {
        _id: oid.into(),
        at: DateTime::from_millis(-5),
        uuid: Uuid::from_bytes([9; 16]),
        own: oid,
        date: bson::DateTime::from_millis(1_600_000_000_123),
        decimal: "1.50".parse().unwrap(),
        any: Bson::RegularExpression(bson::Regex {
            pattern: bson::cstr!("a.c").into(),
            options: bson::cstr!("i").into(),
        }),
        document: rare(),
        raw: RawDocumentBuf::try_from(&doc! { "a": [1, { "b": oid }] }).unwrap(),
        none: None,
        some: Some(oid.into()),
        shapes: vec![
            Shape::Point,
            Shape::Circle(1.5),
            Shape::Box(1, -2),
            Shape::Named { name: "ä\u{0}b".to_owned() },
        ],
        tagged: vec![Tagged::Circle { radius: 0.5 }, Tagged::Point],
        wrapped: Wrapped("inside".to_owned()),
        pair: (255, String::new()),
        map: [("k".to_owned(), vec![oid.into(); 12])].into(),
        unit: (),
        letter: '語',
        small: -1,
        unsigned: u32::MAX,
        float: 0.25,
        more: [("x".to_owned(), Bson::Int64(1)), ("y".to_owned(), Bson::DateTime(bson::DateTime::MAX))]
            .into(),
    }
}

/// One of each type that BSON has.
fn rare() -> Document {
    doc! {
        "double": f64::INFINITY,
        "string": "text",
        "array": [1, "two", [3.0], { "four": 4_i64 }],
        "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] },
        "md5": bson::Binary { subtype: bson::spec::BinarySubtype::Md5, bytes: vec![3] },
        "uuid": bson::Uuid::from_bytes([1; 16]),
        "undefined": Bson::Undefined,
        "id": ObjectId::from_bytes([1; 12]),
        "yes": true,
        "null": Bson::Null,
        "code": Bson::JavaScriptCode("f()".to_owned()),
        "symbol": Bson::Symbol("s".to_owned()),
        "scope": bson::JavaScriptCodeWithScope { code: "g()".to_owned(), scope: doc! { "a": 1 } },
        "stamp": bson::Timestamp { time: 1, increment: 2 },
        "min": Bson::MinKey,
        "max": Bson::MaxKey,
        "decimal": "-12.5E+3".parse::<bson::Decimal128>().unwrap(),
    }
}

#[test]
fn records_have_the_bytes_and_values_that_bson_gives_them() {
    same(&everything());
    same(&rare());
    same(&doc! {});
}

#[test]
fn a_borrowed_text_stays_where_it_is() {
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        name: &'a str,
    }
    let document = encode(&doc! { "other": 1, "name": "here" }).unwrap();
    let read: Borrowed<'_> = decode(&document).unwrap();
    assert_eq!(read.name, "here");
    assert!(document.as_bytes().as_ptr_range().contains(&read.name.as_ptr()));
}

#[test]
fn numbers_convert_where_nothing_is_lost() {
    let document = encode(&doc! { "v": 5 }).unwrap();
    #[derive(Deserialize)]
    struct Of<T> {
        v: T,
    }
    assert_eq!(decode::<Of<i64>>(&document).unwrap().v, 5);
    assert_eq!(decode::<Of<f64>>(&document).unwrap().v, 5.0);
    assert_eq!(decode::<Of<u8>>(&document).unwrap().v, 5);
    assert!(decode::<Of<bool>>(&document).is_err());
}

#[test]
fn what_bson_cannot_hold_is_an_error() {
    assert!(encode(&BTreeMap::from([("n", u64::MAX)])).is_err());
    assert!(encode(&BTreeMap::from([("a\0b", 1)])).is_err());
    assert!(encode(&BTreeMap::from([(1, 1)])).unwrap_err().to_string().contains("have to be text"));
    assert!(encode(&5).is_err());
}

#[test]
fn a_wrong_type_is_named() {
    #[derive(Debug, Deserialize)]
    struct Of<T> {
        #[serde(rename = "v")]
        _v: T,
    }
    let document = encode(&doc! { "v": "text" }).unwrap();
    let says = |error: super::CodecError, text: &str| assert!(error.to_string().contains(text), "{error}");
    says(decode::<Of<Id<()>>>(&document).unwrap_err(), "invalid type: a string, expected an ObjectId");
    says(decode::<Of<DateTime>>(&document).unwrap_err(), "invalid type: a string, expected a date");
    says(decode::<Of<Uuid>>(&document).unwrap_err(), "invalid type: a string, expected a UUID");
    says(decode::<Of<i32>>(&document).unwrap_err(), "invalid type: string \"text\", expected i32");
    let date = encode(&doc! { "v": bson::DateTime::MIN }).unwrap();
    says(decode::<Of<Shape>>(&date).unwrap_err(), "invalid type: a date, expected an enum");
}

fn any_bson() -> impl Strategy<Value = Bson> {
    let scalar = prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        (-1e300..1e300f64).prop_map(Bson::Double),
        any::<bool>().prop_map(Bson::Boolean),
        ".{0,20}".prop_map(Bson::String),
        any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
        any::<i64>().prop_map(|millis| Bson::DateTime(bson::DateTime::from_millis(millis))),
        Just(Bson::Null),
        Just(Bson::MinKey),
    ];
    scalar.prop_recursive(3, 40, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Bson::Array),
            prop::collection::btree_map("[a-z$_]{0,6}", inner, 0..6)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_round_trips(fields in prop::collection::btree_map("[a-z]{0,6}", any_bson(), 0..6)) {
        let document: Document = fields.into_iter().collect();
        let bytes = document.to_vec().unwrap();
        let encoded = encode(&document).unwrap();
        prop_assert_eq!(encoded.as_bytes(), &bytes[..]);
    }

    #[test]
    fn no_bytes_make_reading_panic(
        at in 0usize..2000, byte in any::<u8>(), cut in 0usize..2000,
    ) {
        let mut bytes = encode(&everything()).unwrap().into_bytes();
        let size = bytes.len();
        bytes[4 + at % (size - 5)] = byte;
        if let Ok(document) = RawDocumentBuf::from_bytes(bytes.clone()) {
            drop(decode::<Everything>(&document));
            drop(decode::<Document>(&document));
        }
        bytes.truncate(5 + cut % (size - 5));
        let length = bytes.len() as i32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        let end = bytes.len() - 1;
        bytes[end] = 0;
        if let Ok(document) = RawDocumentBuf::from_bytes(bytes) {
            drop(decode::<Everything>(&document));
        }
    }
}
