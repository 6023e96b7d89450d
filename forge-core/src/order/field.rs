//! One field of a document, found without reading the others.

use bson::oid::ObjectId;
use bson::{DateTime, RawBsonRef, RawDocument};

use crate::codec::elements::{
    BOOLEAN, DATE, DOCUMENT, DOUBLE, Element, Elements, INT32, INT64, NULL, OBJECT_ID, STRING,
};

/// The value of the field `name` of `document`; none where it is missing or malformed.
///
/// As [`RawDocument::get`], which checks the names of all fields before it: engines ask this for every document of a scan.
pub fn field<'a>(document: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    let mut elements = Elements::of(document.as_bytes()).ok()?;
    while let Ok(Some(element)) = elements.next() {
        if element.name == name.as_bytes() {
            // The rarer types only the bson crate can make.
            return common(&element).unwrap_or_else(|| document.get(name).ok().flatten());
        }
    }
    None
}

/// The value of an element of a common type; none for the others.
fn common<'a>(element: &Element<'a>) -> Option<Option<RawBsonRef<'a>>> {
    let body = element.body;
    Some(match element.kind {
        DOUBLE => body.first_chunk().map(|bytes| RawBsonRef::Double(f64::from_le_bytes(*bytes))),
        INT32 => body.first_chunk().map(|bytes| RawBsonRef::Int32(i32::from_le_bytes(*bytes))),
        INT64 => body.first_chunk().map(|bytes| RawBsonRef::Int64(i64::from_le_bytes(*bytes))),
        DATE => body
            .first_chunk()
            .map(|bytes| RawBsonRef::DateTime(DateTime::from_millis(i64::from_le_bytes(*bytes)))),
        OBJECT_ID => body.first_chunk().map(|bytes| RawBsonRef::ObjectId(ObjectId::from_bytes(*bytes))),
        BOOLEAN => match body {
            [0] => Some(RawBsonRef::Boolean(false)),
            [1] => Some(RawBsonRef::Boolean(true)),
            _ => None,
        },
        NULL => Some(RawBsonRef::Null),
        STRING => match body {
            [_, _, _, _, text @ .., 0] => std::str::from_utf8(text).ok().map(RawBsonRef::String),
            _ => None,
        },
        DOCUMENT => RawDocument::from_bytes(body).ok().map(RawBsonRef::Document),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::raw::RawDocumentBuf;
    use bson::{Binary, Bson, Decimal128, Regex, Timestamp, doc, spec::BinarySubtype};

    #[test]
    fn every_type_reads_as_the_bson_crate_reads_it() {
        let document = doc! {
            "": "the empty name",
            "double": 1.5, "string": "ä\u{0}b", "document": { "a": 1 }, "array": [1, { "b": 2 }],
            "binary": Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] },
            "undefined": Bson::Undefined, "id": ObjectId::from_bytes([7; 12]), "yes": true, "no": false,
            "date": DateTime::from_millis(-5), "null": null,
            "regex": Regex { pattern: bson::raw::cstr!("^a").into(), options: bson::raw::cstr!("i").into() },
            "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
            "int32": -3, "timestamp": Timestamp { time: 1, increment: 2 }, "int64": i64::MAX,
            "decimal": "1.10".parse::<Decimal128>().unwrap(), "min": Bson::MinKey, "max": Bson::MaxKey,
        };
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        for name in document.keys() {
            assert_eq!(field(&raw, name), raw.get(name).unwrap(), "{name}");
            assert!(field(&raw, name).is_some(), "{name}");
        }
        assert_eq!((field(&raw, "doubl"), field(&raw, "doubles"), field(&raw, "b")), (None, None, None));
    }

    #[test]
    fn malformed_bytes_are_missing_fields() {
        let sound = bson::rawdoc! { "a": "text", "b": true };
        let bytes = sound.as_bytes();
        for at in 4..bytes.len() - 1 {
            for value in [0x00, 0x02, 0x7f, 0xff] {
                let mut bytes = bytes.to_vec();
                bytes[at] = value;
                let document = RawDocument::from_bytes(&bytes).unwrap();
                for name in ["a", "b"] {
                    let _ = field(document, name);
                }
            }
        }
        let mut bytes = bytes.to_vec();
        bytes[11] = 0xff;
        assert_eq!(field(RawDocument::from_bytes(&bytes).unwrap(), "a"), None, "no UTF-8");
    }
}
