use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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
            bson::Uuid::from_bytes(self.0).serialize(serializer)
        }
    }
}
impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            bson::Uuid::deserialize(deserializer).map(|uuid| Self(uuid.bytes()))
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
