//! Serde's data model to BSON bytes.

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct};

use super::elements::{
    ARRAY, BINARY, BOOLEAN, DATE, DOCUMENT, DOUBLE, INT32, INT64, NULL, OBJECT_ID, STRING, SUBTYPE_UUID,
};
use super::{CodecError, Kind};

type Done = Result<(), CodecError>;

/// Where the type of the outermost document would stand: it has none.
const OUTERMOST: usize = usize::MAX;

/// What the content of a newtype struct is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    Anything,
    ObjectId,
    Date,
    Uuid,
}

/// Writes one value. Its type goes before its name, both of which are written already.
pub(super) struct Value<'a> {
    bytes: &'a mut Vec<u8>,
    type_at: usize,
    expected: Expected,
}

impl<'a> Value<'a> {
    /// The outermost document.
    pub(super) fn document(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, type_at: OUTERMOST, expected: Expected::Anything }
    }

    #[inline]
    fn has_type(&mut self, kind: u8) -> Done {
        match self.bytes.get_mut(self.type_at) {
            Some(place) => *place = kind,
            None if kind == DOCUMENT => {}
            None => return Err(CodecError::FOREIGN),
        }
        Ok(())
    }

    #[inline]
    fn fixed<const N: usize>(mut self, kind: u8, value: [u8; N]) -> Done {
        self.has_type(kind)?;
        self.bytes.extend_from_slice(&value);
        Ok(())
    }

    #[inline]
    fn fields(mut self, kind: u8) -> Result<Fields<'a>, CodecError> {
        self.has_type(kind)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        Ok(Fields { bytes: self.bytes, start, elements: 0, entry: 0 })
    }

    fn binary(mut self, subtype: u8, value: &[u8]) -> Done {
        self.has_type(BINARY)?;
        self.bytes.extend_from_slice(&length(value.len())?);
        self.bytes.push(subtype);
        self.bytes.extend_from_slice(value);
        Ok(())
    }
}

#[inline]
fn length(bytes: usize) -> Result<[u8; 4], CodecError> {
    let length = i32::try_from(bytes).map_err(|_| CodecError::of("the value is larger than 2 GB"))?;
    Ok(length.to_le_bytes())
}

/// The names by which `bson` marks its own types begin so.
fn is_foreign(name: &str) -> bool {
    name.starts_with('$')
}

impl<'a> ser::Serializer for Value<'a> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Fields<'a>;
    type SerializeTuple = Fields<'a>;
    type SerializeTupleStruct = Fields<'a>;
    type SerializeTupleVariant = Impossible<(), CodecError>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Impossible<(), CodecError>;

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.expected != Expected::Anything
    }
    #[inline]
    fn serialize_bool(self, value: bool) -> Done {
        self.fixed(BOOLEAN, [value.into()])
    }
    #[inline]
    fn serialize_i8(self, value: i8) -> Done {
        self.serialize_i32(value.into())
    }
    #[inline]
    fn serialize_i16(self, value: i16) -> Done {
        self.serialize_i32(value.into())
    }
    #[inline]
    fn serialize_i32(self, value: i32) -> Done {
        self.fixed(INT32, value.to_le_bytes())
    }
    #[inline]
    fn serialize_i64(self, value: i64) -> Done {
        let kind = if self.expected == Expected::Date { DATE } else { INT64 };
        self.fixed(kind, value.to_le_bytes())
    }
    #[inline]
    fn serialize_u8(self, value: u8) -> Done {
        self.serialize_i32(value.into())
    }
    #[inline]
    fn serialize_u16(self, value: u16) -> Done {
        self.serialize_i32(value.into())
    }
    #[inline]
    fn serialize_u32(self, value: u32) -> Done {
        self.serialize_i64(value.into())
    }
    #[inline]
    fn serialize_u64(self, value: u64) -> Done {
        match i64::try_from(value) {
            Ok(value) => self.serialize_i64(value),
            Err(_) => Err(CodecError::of(format_args!("{value} is above the largest integer of BSON"))),
        }
    }
    #[inline]
    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(value.into())
    }
    #[inline]
    fn serialize_f64(self, value: f64) -> Done {
        self.fixed(DOUBLE, value.to_le_bytes())
    }
    fn serialize_char(self, value: char) -> Done {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    #[inline]
    fn serialize_str(mut self, value: &str) -> Done {
        self.has_type(STRING)?;
        self.bytes.extend_from_slice(&length(value.len() + 1)?);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        Ok(())
    }
    fn serialize_bytes(mut self, value: &[u8]) -> Done {
        match self.expected {
            Expected::ObjectId => {
                self.has_type(OBJECT_ID)?;
                self.bytes.extend_from_slice(value);
                Ok(())
            }
            Expected::Uuid => self.binary(SUBTYPE_UUID, value),
            _ => self.binary(0, value),
        }
    }
    #[inline]
    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }
    #[inline]
    fn serialize_unit(self) -> Done {
        self.fixed(NULL, [])
    }
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.serialize_str(variant)
    }
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Done {
        self.expected = match name {
            super::OBJECT_ID => Expected::ObjectId,
            super::DATE => Expected::Date,
            super::UUID => Expected::Uuid,
            name if is_foreign(name) => return Err(CodecError::FOREIGN),
            _ => Expected::Anything,
        };
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        let mut fields = self.fields(DOCUMENT)?;
        fields.put(variant, value)?;
        fields.finish()
    }
    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Fields<'a>, CodecError> {
        self.fields(ARRAY)
    }
    fn serialize_tuple(self, _: usize) -> Result<Fields<'a>, CodecError> {
        self.fields(ARRAY)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, CodecError> {
        self.fields(ARRAY)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, CodecError> {
        Err(CodecError::FOREIGN)
    }
    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, CodecError> {
        self.fields(DOCUMENT)
    }
    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'a>, CodecError> {
        if is_foreign(name) { Err(CodecError::FOREIGN) } else { self.fields(DOCUMENT) }
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, CodecError> {
        Err(CodecError::FOREIGN)
    }
}

/// Writes the document `{v: value}`.
#[inline]
pub(super) fn alone<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) -> Done {
    let mut fields = Value::document(bytes).fields(DOCUMENT)?;
    fields.put("v", value)?;
    fields.finish()
}

/// Writes the elements of a document or an array.
pub(super) struct Fields<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where the length goes.
    start: usize,
    /// Of an array: how many there are so far.
    elements: usize,
    /// Of a map: where the last entry begins.
    entry: usize,
}

impl Fields<'_> {
    #[inline]
    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Done {
        let start = self.bytes.len();
        self.bytes.push(NULL);
        push_name(self.bytes, name)?;
        self.value(start, value)
    }

    /// The value of the entry that begins at `start`.
    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, start: usize, value: &T) -> Done {
        let writer = Value { bytes: self.bytes, type_at: start, expected: Expected::Anything };
        match value.serialize(writer) {
            Err(CodecError(Kind::Foreign)) => self.foreign(start, value),
            done => done,
        }
    }

    /// Leaves the value to `bson`: a document of this one entry, without its length and its end, is the entry.
    #[cold]
    fn foreign<T: Serialize + ?Sized>(&mut self, start: usize, value: &T) -> Done {
        let name = self.bytes[start + 1..].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        self.bytes.truncate(start);
        let document = bson::serialize_to_vec(&One(&name, value)).map_err(CodecError::of)?;
        let end = document.len().saturating_sub(1);
        self.bytes.extend_from_slice(document.get(4..end).unwrap_or_default());
        Ok(())
    }

    #[inline]
    fn finish(self) -> Done {
        self.bytes.push(0);
        let length = length(self.bytes.len() - self.start)?;
        self.bytes[self.start..self.start + 4].copy_from_slice(&length);
        Ok(())
    }
}

#[inline]
fn push_name(bytes: &mut Vec<u8>, name: &str) -> Done {
    if name.as_bytes().contains(&0) {
        return Err(CodecError::of(format_args!("the name {name:?} has a NUL, which BSON cannot hold")));
    }
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    Ok(())
}

struct One<'a, T: ?Sized>(&'a str, &'a T);

impl<T: Serialize + ?Sized> Serialize for One<'_, T> {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, self.1)?;
        map.end()
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.entry = self.bytes.len();
        self.bytes.push(NULL);
        key.serialize(Name(self.bytes))
    }
    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.value(self.entry, value)
    }
    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        self.put(key, value)
    }
    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeSeq for Fields<'_> {
    type Ok = ();
    type Error = CodecError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        let start = self.bytes.len();
        self.bytes.push(NULL);
        push_number(self.bytes, self.elements);
        self.bytes.push(0);
        self.elements += 1;
        self.value(start, value)
    }
    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

/// Appends the decimal digits of `n`.
#[inline]
fn push_number(bytes: &mut Vec<u8>, n: usize) {
    if n >= 10 {
        push_number(bytes, n / 10);
    }
    bytes.push(b'0' + (n % 10) as u8);
}

impl ser::SerializeTuple for Fields<'_> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Done {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Fields<'_> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Done {
        self.finish()
    }
}

/// Writes the key of a map, which has to be text.
struct Name<'a>(&'a mut Vec<u8>);

macro_rules! no_names {
    ($($method:ident($($type:ty),*) $(-> $ok:ident)?;)*) => {
        $(fn $method(self $(, _: $type)*) -> Result<no_names!(@ok $($ok)?), CodecError> {
            Err(CodecError::of("the keys of a stored map have to be text"))
        })*
    };
    (@ok) => { () };
    (@ok $ok:ident) => { Self::$ok };
}

impl ser::Serializer for Name<'_> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Impossible<(), CodecError>;
    type SerializeTuple = Impossible<(), CodecError>;
    type SerializeTupleStruct = Impossible<(), CodecError>;
    type SerializeTupleVariant = Impossible<(), CodecError>;
    type SerializeMap = Impossible<(), CodecError>;
    type SerializeStruct = Impossible<(), CodecError>;
    type SerializeStructVariant = Impossible<(), CodecError>;

    fn is_human_readable(&self) -> bool {
        false
    }
    #[inline]
    fn serialize_str(self, value: &str) -> Done {
        push_name(self.0, value)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        push_name(self.0, variant)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Done {
        self.serialize_unit_struct(name)
    }
    no_names! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }
}
