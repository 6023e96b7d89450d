//! Records to BSON bytes and back.
//!
//! [`encode`] writes the bytes that `bson::serialize_to_raw_document_buf` writes, and [`decode`] reads what
//! `bson::deserialize_from_slice` reads, in a fraction of the time: ids and dates pass as bytes, where `bson`'s own
//! serde forms go through hexadecimal text and extended JSON. What is rare (decimals, regular expressions, `bson`'s own
//! wrapper types) is left to `bson`, one value at a time.

mod de;
pub(crate) mod elements;
mod ser;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;

use bson::{Bson, RawDocument, RawDocumentBuf};
use serde::{Deserialize, Deserializer, Serialize};

/// Names of newtype structs by which Forge's own types are known here. Every other format sees what is inside.
///
/// A serializer that knows the name presents itself as human-readable to the content, and gets it plain: bytes, or
/// milliseconds.
pub(crate) const OBJECT_ID: &str = "$forge_object_id";
/// As [`OBJECT_ID`], of dates.
pub(crate) const DATE: &str = "$forge_date";
/// As [`OBJECT_ID`], of UUIDs.
pub(crate) const UUID: &str = "$forge_uuid";

/// As [`OBJECT_ID`], of the names of fields: the bytes of a name, which need not be text.
pub(crate) const NAME: &str = "$forge_name";

/// What most documents fit into: one allocation.
const USUAL_BYTES: usize = 256;
/// What most values fit into.
const USUAL_VALUE_BYTES: usize = 32;

/// The document that `value` is stored as.
///
/// # Errors
/// BSON has no such value: numbers above `i64::MAX`, maps whose keys are not text, names with a NUL.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<RawDocumentBuf, CodecError> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    match value.serialize(ser::Value::document(&mut bytes)) {
        Err(CodecError(Kind::Foreign)) => bson::serialize_to_raw_document_buf(&value).map_err(CodecError::of),
        Err(error) => Err(error),
        Ok(()) => RawDocumentBuf::from_bytes(bytes).map_err(CodecError::of),
    }
}

/// The bytes of the document that has `value` under the name `v`, and nothing else.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_alone<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::with_capacity(USUAL_VALUE_BYTES);
    ser::alone(&mut bytes, value)?;
    Ok(bytes)
}

/// The value that `document` holds.
///
/// # Errors
/// The document is not BSON, or not a `T`.
pub fn decode<'de, T: Deserialize<'de>>(document: &'de RawDocument) -> Result<T, CodecError> {
    let _decoding = Decoding::begin();
    T::deserialize(de::Value::document(document))
}

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, stored documents are being decoded.
struct Decoding(bool);

impl Decoding {
    fn begin() -> Self {
        Self(DECODING.replace(true))
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        DECODING.set(self.0);
    }
}

/// A value that serde has buffered on its way from a stored document, as it does for enums with a tag and for flattened
/// fields: it comes in `bson`'s extended JSON, from a deserializer that calls itself human-readable. None where no stored
/// document is being decoded: extended JSON from a client is no value.
///
/// # Errors
/// What was buffered is no value of BSON.
pub(crate) fn buffered<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<std::result::Result<Bson, D>, D::Error> {
    if DECODING.get() && deserializer.is_human_readable() {
        return Bson::deserialize(deserializer).map(Ok);
    }
    Ok(Err(deserializer))
}

/// The error for a buffered value of another type.
pub(crate) fn not_a<E: serde::de::Error>(expected: &str, found: &Bson) -> E {
    E::custom(format_args!("expected {expected}, found {:?}", found.element_type()))
}

/// Why a value cannot be stored, or a document not be read.
#[derive(Debug)]
pub struct CodecError(Kind);

#[derive(Debug)]
enum Kind {
    /// A form that only `bson` itself knows; never leaves this module.
    Foreign,
    Message(String),
}

impl CodecError {
    const FOREIGN: Self = Self(Kind::Foreign);

    fn of(error: impl fmt::Display) -> Self {
        Self(Kind::Message(error.to_string()))
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Foreign => f.write_str("the value has no BSON form"),
            Kind::Message(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for CodecError {}

impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(message)
    }
}

impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(message)
    }
}
