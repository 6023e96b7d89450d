use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::raw::RawBson;
use bson::spec::BinarySubtype;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec;

/// Bytes: binary in BSON, base64 with padding in JSON.
///
/// A `Vec<u8>` field would be stored as an array of numbers, at many times the size.
///
/// New bytes have the subtype 0 of BSON. Those that were stored with another one (an MD5 sum, a legacy UUID, what other
/// programs defined for themselves) keep it when they are written again; as in the database, bytes of different subtypes
/// are not equal. JSON has no place for it: what clients send has the subtype 0.
///
/// ```
/// use forge_core::Bytes;
///
/// let key = Bytes::from([1, 2, 255]);
/// assert_eq!(serde_json::to_string(&key).unwrap(), "\"AQL/\"");
/// assert_eq!(key.len(), 3);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes {
    bytes: Vec<u8>,
    subtype: u8,
}

impl Bytes {
    /// The bytes by value.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    /// The subtype that BSON gives them: 0 for bytes of no particular kind.
    pub fn subtype(&self) -> u8 {
        self.subtype
    }

    /// The same bytes with another subtype, as other programs may ask for it.
    ///
    /// ```
    /// use forge_core::Bytes;
    ///
    /// let sum = Bytes::from([7; 16]).with_subtype(5);
    /// assert_eq!(sum.subtype(), 5);
    /// assert_ne!(sum, Bytes::from([7; 16]));
    /// ```
    #[must_use]
    pub fn with_subtype(self, subtype: u8) -> Self {
        Self { subtype, ..self }
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, subtype: 0 }
    }
}
impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}
impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Self {
        bytes.to_vec().into()
    }
}
impl From<Bytes> for bson::Bson {
    fn from(bytes: Bytes) -> Self {
        bson::Bson::Binary(bytes.into())
    }
}
impl From<Bytes> for bson::Binary {
    fn from(Bytes { bytes, subtype }: Bytes) -> Self {
        bson::Binary { subtype: BinarySubtype::from(subtype), bytes }
    }
}
impl From<bson::Binary> for Bytes {
    fn from(bson::Binary { subtype, bytes }: bson::Binary) -> Self {
        Self { bytes, subtype: subtype.into() }
    }
}
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(self))
        } else if self.subtype == 0 {
            serializer.serialize_bytes(self)
        } else {
            bson::Binary::from(self.clone()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64Visitor;
        impl de::Visitor<'_> for Base64Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes as base64 with padding")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                STANDARD
                    .decode(text)
                    .map(Bytes::from)
                    .map_err(|e| E::custom(format_args!("this is no base64: {e}")))
            }
        }
        let deserializer = match codec::buffered(deserializer)? {
            Ok(bson::Bson::Binary(binary)) => return Ok(binary.into()),
            Ok(other) => return Err(codec::not_a("bytes", &other)),
            Err(deserializer) => deserializer,
        };
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(Base64Visitor);
        }
        // Owned: a borrowed value cannot be made of a subtype, whose form is an extended one.
        match RawBson::deserialize(deserializer)? {
            RawBson::Binary(binary) => Ok(binary.into()),
            other => Err(de::Error::custom(format_args!("expected bytes, found {:?}", other.element_type()))),
        }
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let json = json_schema!({ "type": "string", "contentEncoding": "base64" });
        crate::schema::stored_as(generator, "binData").unwrap_or(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_the_subtype_that_they_were_stored_with() {
        for subtype in [1, 2, 3, 4, 5, 6, 7, 8, 9, 128, 255] {
            let bytes = Bytes::from([9; 16]).with_subtype(subtype);
            let stored = crate::value::to_bson(&bytes).unwrap();
            assert_eq!(stored, bson::Bson::from(bytes.clone()), "{subtype}");
            assert_eq!(crate::value::from_bson::<Bytes>(stored).unwrap(), bytes, "{subtype}");
            let document = crate::codec::encode(&std::collections::BTreeMap::from([("b", &bytes)])).unwrap();
            let read: std::collections::BTreeMap<String, Bytes> = crate::codec::decode(&document).unwrap();
            assert_eq!(read["b"], bytes, "{subtype}");
            assert_eq!(
                serde_json::from_str::<Bytes>(&serde_json::to_string(&bytes).unwrap()).unwrap().subtype(),
                0
            );
        }
    }

    #[test]
    fn bytes_are_binary_in_storage_and_base64_for_clients() {
        let bytes = Bytes::from([0, 255, 7]);
        let stored = crate::value::to_bson(&bytes).unwrap();
        assert_eq!(stored, bson::Bson::from(bytes.clone()));
        assert_eq!(crate::value::from_bson::<Bytes>(stored).unwrap(), bytes);
        assert_eq!(serde_json::from_str::<Bytes>("\"AP8H\"").unwrap(), bytes);
        for text in ["\"AP8\"", "\"***\"", "[0,255]", "5"] {
            assert!(serde_json::from_str::<Bytes>(text).is_err(), "{text}");
        }
    }
}
