//! Join keys: values of documents that compare as MongoDB compares them, taken from raw BSON without a copy.

use std::borrow::Cow;

use bson::oid::ObjectId;
use bson::raw::RawBsonRef;
use bson::{Bson, RawDocument};
use forge_core::Result;

/// A value that joins documents. Numbers of different types are equal where their values are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Id(ObjectId),
    Int(i64),
    /// The bits of a number with a fraction.
    Double(u64),
    Text(Cow<'a, str>),
    Date(i64),
    Binary(u8, Cow<'a, [u8]>),
    /// Every other type: its tag and its bytes.
    Other(u8, Vec<u8>),
}

impl<'a> Key<'a> {
    /// The key that `value` is; none for null, which joins nothing.
    pub(super) fn of_raw(value: RawBsonRef<'a>) -> Option<Self> {
        Some(match value {
            RawBsonRef::Null | RawBsonRef::Undefined => return None,
            RawBsonRef::ObjectId(id) => Key::Id(id),
            RawBsonRef::String(text) => Key::Text(Cow::Borrowed(text)),
            RawBsonRef::Int32(n) => Key::Int(n.into()),
            RawBsonRef::Int64(n) => Key::Int(n),
            RawBsonRef::Double(n) => Key::of_double(n),
            RawBsonRef::DateTime(at) => Key::Date(at.timestamp_millis()),
            RawBsonRef::Binary(binary) => Key::Binary(binary.subtype.into(), Cow::Borrowed(binary.bytes)),
            RawBsonRef::Document(document) => Key::Other(3, document.as_bytes().to_vec()),
            other => Key::Other(other.element_type() as u8, format!("{other:?}").into_bytes()),
        })
    }

    /// The key that `value` is; none for null.
    pub(super) fn of(value: &Bson) -> Option<Key<'static>> {
        Some(match value {
            Bson::Null | Bson::Undefined => return None,
            Bson::ObjectId(id) => Key::Id(*id),
            Bson::String(text) => Key::Text(Cow::Owned(text.clone())),
            Bson::Int32(n) => Key::Int((*n).into()),
            Bson::Int64(n) => Key::Int(*n),
            Bson::Double(n) => Key::of_double(*n),
            Bson::DateTime(at) => Key::Date(at.timestamp_millis()),
            Bson::Binary(binary) => Key::Binary(binary.subtype.into(), Cow::Owned(binary.bytes.clone())),
            other => Key::Other(
                other.element_type() as u8,
                bson::serialize_to_vec(&bson::doc! { "": other }).ok()?,
            ),
        })
    }

    fn of_double(n: f64) -> Self {
        let whole = n as i64;
        // 2⁶³ saturates to i64::MAX, which is not the same number.
        if whole as f64 == n && whole != i64::MAX { Key::Int(whole) } else { Key::Double(n.to_bits()) }
    }
}

/// Calls `found` with every value at `path`: the elements of arrays one by one, nothing where the path leads nowhere.
///
/// # Errors
/// Where the document is not BSON.
pub(super) fn values_at<'a>(
    document: &'a RawDocument,
    path: &str,
    found: &mut dyn FnMut(RawBsonRef<'a>),
) -> Result<()> {
    let (field, rest) = path.split_once('.').map_or((path, None), |(field, rest)| (field, Some(rest)));
    match (document.get(field)?, rest) {
        (None, _) => {}
        (Some(RawBsonRef::Document(inner)), Some(rest)) => values_at(inner, rest, found)?,
        (Some(RawBsonRef::Array(elements)), rest) => {
            for element in elements {
                match (element?, rest) {
                    (RawBsonRef::Document(inner), Some(rest)) => values_at(inner, rest, found)?,
                    (value, None) => found(value),
                    _ => {}
                }
            }
        }
        (Some(value), None) => found(value),
        (Some(_), Some(_)) => {}
    }
    Ok(())
}

/// The owned form of a raw value.
pub(super) fn owned(value: RawBsonRef<'_>) -> Result<Bson> {
    Ok(Bson::try_from(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn equal_numbers_of_different_types_are_one_key() {
        let keys = [RawBsonRef::Int32(7), RawBsonRef::Int64(7), RawBsonRef::Double(7.0)].map(Key::of_raw);
        assert!(keys.iter().all(|key| *key == Some(Key::Int(7))));
        assert_ne!(Key::of_raw(RawBsonRef::Double(7.5)), Some(Key::Int(7)));
        assert_eq!(Key::of_raw(RawBsonRef::Null), None);
    }

    #[test]
    fn a_raw_value_and_its_owned_form_are_one_key() {
        let values =
            rawdoc! { "a": ObjectId::from_bytes([7; 12]), "b": "x", "c": 1_i64, "d": 1.5, "e": true };
        for element in &values {
            let (name, value) = element.unwrap();
            if name.as_str() != "e" {
                assert_eq!(Key::of_raw(value), Key::of(&owned(value).unwrap()), "{name}");
            }
        }
    }

    #[test]
    fn dotted_paths_reach_into_documents_and_arrays() {
        let document = rawdoc! { "a": { "b": 1 }, "list": [{ "b": 2 }, { "b": [3, 4] }, 5], "n": rawdoc! {} };
        let at = |path: &str| {
            let mut found = Vec::new();
            values_at(&document, path, &mut |value| found.extend(value.as_i32())).unwrap();
            found
        };
        assert_eq!(at("a.b"), [1]);
        assert_eq!(at("list.b"), [2, 3, 4]);
        assert_eq!(at("n.x.y"), [0; 0]);
    }
}
