//! BSON bytes to serde's data model.

use bson::oid::ObjectId;
use bson::{Bson, RawDocument, RawDocumentBuf};
use serde::de::value::{BorrowedStrDeserializer, MapDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::CodecError;
use super::elements::{
    ARRAY, BINARY, BOOLEAN, DATE, DOCUMENT, DOUBLE, Element, Elements, INT32, INT64, NULL, OBJECT_ID, STRING,
    SUBTYPE_UUID, malformed,
};

type Result<T, E = CodecError> = std::result::Result<T, E>;

/// The name by which `bson` asks for any raw value. It is read directly where that borrows; without this shortcut
/// the value would go through `bson`, which owns what it reads.
const RAW_BSON: &str = "$__private__bson_RawBson";

/// The subtype of plain bytes.
const SUBTYPE_GENERIC: u8 = 0;

/// Reads one value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'de> {
    kind: u8,
    body: &'de [u8],
}

impl<'de> Value<'de> {
    pub(super) fn document(document: &'de RawDocument) -> Self {
        Self { kind: DOCUMENT, body: document.as_bytes() }
    }

    #[inline]
    fn fixed<const N: usize>(self) -> Result<[u8; N]> {
        self.body.first_chunk().copied().ok_or_else(malformed)
    }

    #[inline]
    fn text(self) -> Result<&'de str> {
        match self.body {
            [_, _, _, _, text @ .., 0] => as_text(text),
            _ => Err(malformed()),
        }
    }

    /// Subtype and bytes of a binary value.
    #[inline]
    fn binary(self) -> Result<(u8, &'de [u8])> {
        match self.body {
            [_, _, _, _, subtype, bytes @ ..] => Ok((*subtype, bytes)),
            _ => Err(malformed()),
        }
    }

    fn fields(self) -> Result<Fields<'de>> {
        Ok(Fields { elements: Elements::of(self.body)?, value: None })
    }

    /// Leaves the value to the forms that `bson`'s own types expect: extended JSON.
    #[cold]
    fn foreign<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.kind {
            OBJECT_ID => {
                let id = ObjectId::from_bytes(self.fixed()?).to_hex();
                visitor.visit_map(MapDeserializer::<_, CodecError>::new([("$oid", id)].into_iter()))
            }
            DATE => {
                let millis = i64::from_le_bytes(self.fixed()?).to_string();
                let number = MapDeserializer::<_, CodecError>::new([("$numberLong", millis)].into_iter());
                visitor.visit_map(MapDeserializer::new([("$date", number)].into_iter()))
            }
            _ => bson::Deserializer::new(alone(self)?).deserialize_any(visitor).map_err(plain),
        }
    }

    /// A type of `bson` that announces itself by `name`, and may want to borrow.
    fn foreign_newtype<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        let plain_bytes = self.kind == BINARY && self.binary()?.0 == SUBTYPE_GENERIC;
        if name == RAW_BSON
            && (plain_bytes || matches!(self.kind, STRING | INT32 | INT64 | DOUBLE | BOOLEAN | NULL))
        {
            return self.deserialize_any(visitor);
        }
        if self.kind == DOCUMENT {
            let whole = bson::RawDeserializer::new(self.body).map_err(plain)?;
            return whole.deserialize_newtype_struct(name, visitor).map_err(plain);
        }
        bson::Deserializer::new(alone(self)?).deserialize_newtype_struct(name, visitor).map_err(plain)
    }

    #[cold]
    fn unexpected<T>(self, expected: &str) -> Result<T> {
        let found = match self.kind {
            STRING => "a string",
            DOCUMENT => "a document",
            ARRAY => "an array",
            BINARY => "binary data",
            OBJECT_ID => "an ObjectId",
            BOOLEAN => "a boolean",
            DATE => "a date",
            NULL => "null",
            DOUBLE | INT32 | INT64 => "a number",
            _ => "another type",
        };
        Err(CodecError::of(format_args!("invalid type: {found}, expected {expected}")))
    }
}

/// A value by itself, through a document that holds nothing else.
fn alone(value: Value<'_>) -> Result<Bson> {
    let length = i32::try_from(value.body.len() + 7).map_err(CodecError::of)?;
    let mut bytes = Vec::with_capacity(value.body.len() + 7);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[value.kind, 0]);
    bytes.extend_from_slice(value.body);
    bytes.push(0);
    let document = RawDocumentBuf::from_bytes(bytes).map_err(plain)?;
    let value = document.get("").map_err(plain)?.ok_or_else(malformed)?;
    Bson::try_from(value).map_err(plain)
}

/// `bson`'s message without its preamble.
#[allow(clippy::needless_pass_by_value, reason = "the form of `map_err`")]
fn plain(error: bson::error::Error) -> CodecError {
    match &error.message {
        Some(message) => CodecError::of(message),
        None => CodecError::of(&error.kind),
    }
}

#[inline]
fn as_text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| CodecError::of("a text is not valid UTF-8"))
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = CodecError;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.kind {
            STRING => visitor.visit_borrowed_str(self.text()?),
            INT32 => visitor.visit_i32(i32::from_le_bytes(self.fixed()?)),
            INT64 => visitor.visit_i64(i64::from_le_bytes(self.fixed()?)),
            DOUBLE => visitor.visit_f64(f64::from_le_bytes(self.fixed()?)),
            BOOLEAN => visitor.visit_bool(self.fixed::<1>()? != [0]),
            NULL => visitor.visit_unit(),
            DOCUMENT => visitor.visit_map(self.fields()?),
            ARRAY => visitor.visit_seq(self.fields()?),
            BINARY => match self.binary()? {
                (SUBTYPE_GENERIC, bytes) => visitor.visit_borrowed_bytes(bytes),
                _ => self.foreign(visitor),
            },
            _ => self.foreign(visitor),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.kind == NULL { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.kind {
            OBJECT_ID => visitor.visit_borrowed_bytes(self.body),
            _ => self.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        match (name, self.kind) {
            (super::OBJECT_ID, OBJECT_ID) => visitor.visit_borrowed_bytes(self.body),
            (super::DATE, DATE) => visitor.visit_i64(i64::from_le_bytes(self.fixed()?)),
            (super::UUID, BINARY) => match self.binary()? {
                (SUBTYPE_UUID, bytes) => visitor.visit_borrowed_bytes(bytes),
                _ => self.unexpected("a UUID"),
            },
            (super::OBJECT_ID, _) => self.unexpected("an ObjectId"),
            (super::DATE, _) => self.unexpected("a date"),
            (super::UUID, _) => self.unexpected("a UUID"),
            (name, _) if name.starts_with('$') => self.foreign_newtype(name, visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.kind {
            STRING => visitor.visit_enum(self.text()?.into_deserializer()),
            DOCUMENT => visitor.visit_enum(self.fields()?),
            _ => self.unexpected("an enum"),
        }
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}

/// Reads the name of a field.
struct Name<'de>(&'de [u8]);

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = CodecError;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_str(as_text(self.0)?)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name == super::NAME { visitor.visit_bytes(self.0) } else { visitor.visit_newtype_struct(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(BorrowedStrDeserializer::<CodecError>::new(as_text(self.0)?))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Reads the elements of a document or an array.
struct Fields<'de> {
    elements: Elements<'de>,
    /// The value of the name that was read last.
    value: Option<Value<'de>>,
}

impl<'de> Fields<'de> {
    #[inline]
    fn next_name(&mut self) -> Result<Option<Name<'de>>> {
        let Some(Element { kind, name, body }) = self.elements.next()? else { return Ok(None) };
        self.value = Some(Value { kind, body });
        Ok(Some(Name(name)))
    }

    #[inline]
    fn take(&mut self) -> Result<Value<'de>> {
        self.value.take().ok_or_else(|| CodecError::of("a value was asked for before its name"))
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = CodecError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        match self.next_name()? {
            Some(name) => seed.deserialize(name).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(self.take()?)
    }
}

impl<'de> SeqAccess<'de> for Fields<'de> {
    type Error = CodecError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match self.elements.next()? {
            Some(Element { kind, body, .. }) => seed.deserialize(Value { kind, body }).map(Some),
            None => Ok(None),
        }
    }
}

impl<'de> de::EnumAccess<'de> for Fields<'de> {
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self)> {
        let name = self.next_name()?.ok_or_else(|| CodecError::of("an enum is an empty document"))?;
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Fields<'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<()> {
        Err(CodecError::of("expected the name of a variant, found a document"))
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.take()?)
    }
    fn tuple_variant<V: Visitor<'de>>(mut self, _: usize, visitor: V) -> Result<V::Value> {
        self.take()?.deserialize_seq(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(mut self, _: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.take()?.deserialize_map(visitor)
    }
}
