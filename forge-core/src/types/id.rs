use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use bson::oid::ObjectId;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec;

/// The id of an `M`: an ObjectId in BSON, 24 hexadecimal digits in JSON.
///
/// The type parameter keeps the id of one model from being used for another.
///
/// ```
/// use forge_core::Id;
/// struct Flight;
///
/// let id: Id<Flight> = "5f2b1c9e8d3e4a0012345678".parse()?;
/// assert_eq!(serde_json::to_string(&id).unwrap(), "\"5f2b1c9e8d3e4a0012345678\"");
/// # Ok::<(), forge_core::types::IdParseError>(())
/// ```
pub struct Id<M: ?Sized>(ObjectId, PhantomData<fn() -> Box<M>>);

impl<M: ?Sized> Id<M> {
    /// The id that wraps `oid`.
    pub const fn from_object_id(oid: ObjectId) -> Self {
        Self(oid, PhantomData)
    }

    /// The ObjectId inside.
    pub const fn object_id(self) -> ObjectId {
        self.0
    }

    /// 24 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        Hex::of(self.0).as_str().to_owned()
    }
}

/// The digits of an id, on the stack: answers are full of them.
struct Hex([u8; 24]);

impl Hex {
    fn of(id: ObjectId) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 24];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(id.bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(digits)
    }

    fn as_str(&self) -> &str {
        // Digits are UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<M: ?Sized> Clone for Id<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: ?Sized> Copy for Id<M> {}
impl<M: ?Sized> PartialEq for Id<M> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<M: ?Sized> Eq for Id<M> {}
impl<M: ?Sized> PartialOrd for Id<M> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<M: ?Sized> Ord for Id<M> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<M: ?Sized> Hash for Id<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<M: ?Sized> fmt::Debug for Id<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", Hex::of(self.0).as_str())
    }
}
impl<M: ?Sized> fmt::Display for Id<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hex::of(self.0).as_str())
    }
}
impl<M: ?Sized> From<ObjectId> for Id<M> {
    fn from(oid: ObjectId) -> Self {
        Self::from_object_id(oid)
    }
}
impl<M: ?Sized> From<Id<M>> for bson::Bson {
    fn from(id: Id<M>) -> Self {
        bson::Bson::ObjectId(id.0)
    }
}

/// The text is not 24 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdParseError(String);

impl fmt::Display for IdParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id is 24 hexadecimal digits, not {:?}", self.0)
    }
}
impl std::error::Error for IdParseError {}

impl<M: ?Sized> FromStr for Id<M> {
    type Err = IdParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ObjectId::parse_str(text)
            .map(Self::from_object_id)
            .map_err(|_| IdParseError(text.chars().take(64).collect()))
    }
}

impl<M: ?Sized> Serialize for Id<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(Hex::of(self.0).as_str())
        } else {
            serializer.serialize_newtype_struct(codec::OBJECT_ID, &Stored(self.0))
        }
    }
}

/// As the codec takes it: the bytes. Every other binary format gets the form of `bson`.
struct Stored(ObjectId);

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_bytes(&self.0.bytes())
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de, M: ?Sized> Deserialize<'de> for Id<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor;
        impl de::Visitor<'_> for HexVisitor {
            type Value = ObjectId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id of 24 hexadecimal digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ObjectId, E> {
                text.parse::<Id<()>>().map(Id::object_id).map_err(E::custom)
            }
        }
        struct StoredVisitor;
        impl<'de> de::Visitor<'de> for StoredVisitor {
            type Value = ObjectId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an ObjectId")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<ObjectId, E> {
                let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                Ok(ObjectId::from_bytes(bytes))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<ObjectId, D::Error> {
                ObjectId::deserialize(inner)
            }
        }
        let deserializer = match codec::buffered(deserializer)? {
            Ok(bson::Bson::ObjectId(id)) => return Ok(Self::from_object_id(id)),
            Ok(other) => return Err(codec::not_a("an ObjectId", &other)),
            Err(deserializer) => deserializer,
        };
        // Only text counts as JSON's form: extended JSON from a client must stay an object, hence an error.
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(HexVisitor).map(Self::from_object_id)
        } else {
            deserializer.deserialize_newtype_struct(codec::OBJECT_ID, StoredVisitor).map(Self::from_object_id)
        }
    }
}

impl<M: ?Sized> JsonSchema for Id<M> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let json = json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{24}$" });
        crate::schema::stored_as(generator, "objectId").unwrap_or(json)
    }
}
