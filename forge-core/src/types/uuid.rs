use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec;

/// A UUID: binary subtype 4 in BSON, the hyphenated text in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The UUID with these bytes, in network order.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, in network order.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Version 4 from 16 random bytes (RFC 9562, section 5.4).
    pub const fn v4_from_random(mut random: [u8; 16]) -> Self {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        Self(random)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bson::Uuid::from_bytes(self.0).fmt(f)
    }
}
impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}
impl From<Uuid> for bson::Bson {
    fn from(uuid: Uuid) -> Self {
        bson::Uuid::from_bytes(uuid.0).into()
    }
}
impl FromStr for Uuid {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        bson::Uuid::parse_str(text).map(|uuid| Self(uuid.bytes())).map_err(|_| {
            crate::Error::bad_request(
                "a UUID is 32 hexadecimal digits with hyphens, as in 67e55044-10b1-426f-9247-bb680e5fe0c8",
            )
        })
    }
}
impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_newtype_struct(codec::UUID, &Stored(self.0))
        }
    }
}

/// As the codec takes it: the bytes. Every other binary format gets the form of `bson`.
struct Stored([u8; 16]);

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_bytes(&self.0)
        } else {
            bson::Uuid::from_bytes(self.0).serialize(serializer)
        }
    }
}
impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StoredVisitor;
        impl<'de> de::Visitor<'de> for StoredVisitor {
            type Value = Uuid;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Uuid, E> {
                bytes.try_into().map(Uuid).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Uuid, D::Error> {
                bson::Uuid::deserialize(inner).map(|uuid| Uuid(uuid.bytes()))
            }
        }
        let deserializer = match codec::buffered(deserializer)? {
            Ok(bson::Bson::Binary(binary)) => {
                let uuid = binary.to_uuid().map_err(de::Error::custom)?;
                return Ok(Self(uuid.bytes()));
            }
            Ok(other) => return Err(codec::not_a("a UUID", &other)),
            Err(deserializer) => deserializer,
        };
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            deserializer.deserialize_newtype_struct(codec::UUID, StoredVisitor)
        }
    }
}
impl JsonSchema for Uuid {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Uuid".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let json = json_schema!({ "type": "string", "format": "uuid" });
        crate::schema::stored_as(generator, "binData").unwrap_or(json)
    }
}
