//! The elements of a document, as slices of its bytes (BSON specification 1.1, section 3).

use super::CodecError;

pub(crate) const DOUBLE: u8 = 0x01;
pub(crate) const STRING: u8 = 0x02;
pub(crate) const DOCUMENT: u8 = 0x03;
pub(crate) const ARRAY: u8 = 0x04;
pub(crate) const BINARY: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
pub(crate) const OBJECT_ID: u8 = 0x07;
pub(crate) const BOOLEAN: u8 = 0x08;
pub(crate) const DATE: u8 = 0x09;
pub(crate) const NULL: u8 = 0x0A;
const REGEX: u8 = 0x0B;
const DB_POINTER: u8 = 0x0C;
const CODE: u8 = 0x0D;
const SYMBOL: u8 = 0x0E;
const CODE_WITH_SCOPE: u8 = 0x0F;
pub(crate) const INT32: u8 = 0x10;
const TIMESTAMP: u8 = 0x11;
pub(crate) const INT64: u8 = 0x12;
const DECIMAL128: u8 = 0x13;
const MAX_KEY: u8 = 0x7F;
const MIN_KEY: u8 = 0xFF;

/// The subtype of UUIDs.
pub(crate) const SUBTYPE_UUID: u8 = 0x04;

/// One value: its type, and its bytes without type and name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) kind: u8,
    pub(crate) name: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Element<'_> {
    /// The name, for people.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.name)
    }
}

/// Walks over the elements of a document or an array.
#[derive(Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Of a document that begins with its length.
    #[inline]
    pub(crate) fn of(document: &'a [u8]) -> Result<Self, CodecError> {
        match document {
            [_, _, _, _, rest @ ..] if !rest.is_empty() => Ok(Self { rest }),
            _ => Err(malformed()),
        }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Element<'a>>, CodecError> {
        let (kind, rest) = match self.rest {
            [0] => return Ok(None),
            [kind, rest @ ..] => (*kind, rest),
            [] => return Err(malformed()),
        };
        let end = end_of_text(rest)?;
        let (name, rest) = (&rest[..end], &rest[end + 1..]);
        let (body, rest) = rest.split_at_checked(size(kind, rest)?).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(Some(Element { kind, name, body }))
    }
}

/// How many of `bytes` a value of type `kind` takes.
#[inline]
fn size(kind: u8, bytes: &[u8]) -> Result<usize, CodecError> {
    Ok(match kind {
        STRING | CODE | SYMBOL => 4 + length(bytes)?,
        INT32 => 4,
        DOUBLE | DATE | TIMESTAMP | INT64 => 8,
        BOOLEAN => 1,
        OBJECT_ID => 12,
        NULL | UNDEFINED | MIN_KEY | MAX_KEY => 0,
        DOCUMENT | ARRAY | CODE_WITH_SCOPE => length(bytes)?,
        BINARY => 5 + length(bytes)?,
        DECIMAL128 => 16,
        DB_POINTER => 16 + length(bytes)?,
        REGEX => {
            let pattern = end_of_text(bytes)? + 1;
            pattern + end_of_text(&bytes[pattern..])? + 1
        }
        _ => return Err(malformed()),
    })
}

#[inline]
fn length(bytes: &[u8]) -> Result<usize, CodecError> {
    let length = bytes.first_chunk().ok_or_else(malformed)?;
    usize::try_from(i32::from_le_bytes(*length)).map_err(|_| malformed())
}

#[inline]
fn end_of_text(bytes: &[u8]) -> Result<usize, CodecError> {
    bytes.iter().position(|byte| *byte == 0).ok_or_else(malformed)
}

#[cold]
pub(crate) fn malformed() -> CodecError {
    CodecError::of("the document is not valid BSON")
}
