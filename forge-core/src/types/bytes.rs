use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::raw::RawBsonRef;
use bson::spec::BinarySubtype;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec;

/// Bytes: binary (subtype 0) in BSON, base64 with padding in JSON.
///
/// A `Vec<u8>` field would be stored as an array of numbers, at many times the size.
///
/// ```
/// use forge_core::Bytes;
///
/// let key = Bytes::from([1, 2, 255]);
/// assert_eq!(serde_json::to_string(&key).unwrap(), "\"AQL/\"");
/// assert_eq!(key.len(), 3);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// The bytes by value.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}
impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}
impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}
impl From<Bytes> for bson::Bson {
    fn from(bytes: Bytes) -> Self {
        bson::Bson::Binary(bson::Binary { subtype: BinarySubtype::Generic, bytes: bytes.0 })
    }
}
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
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
                    .map(Bytes)
                    .map_err(|e| E::custom(format_args!("this is no base64: {e}")))
            }
        }
        let deserializer = match codec::buffered(deserializer)? {
            Ok(bson::Bson::Binary(binary)) => return Ok(Self(binary.bytes)),
            Ok(other) => return Err(codec::not_a("bytes", &other)),
            Err(deserializer) => deserializer,
        };
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(Base64Visitor);
        }
        match RawBsonRef::deserialize(deserializer)? {
            RawBsonRef::Binary(binary) => Ok(Self(binary.bytes.to_vec())),
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
