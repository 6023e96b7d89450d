//! The byte form of BSON values: byte order is value order, and byte equality is value equality.
//!
//! One encoding serves document ids, index entries, in-memory sorts, groups and distinct values. Every encoded value is
//! self-delimiting, so that values can stand behind each other and be inverted for descending order.
//!
//! | class | first byte | then |
//! |---|---|---|
//! | numbers | `08` | the largest double ≤ the number, order-preserving; `00` where that is exact, else `01` and its decimal digits |
//! | strings, names | `0a` | UTF-8 with `00` → `00 ff`, then `00 00` |
//! | documents | `0c` | for each field: class, name, value; then `00` |
//! | arrays | `0e` | the values; then `00` |
//! | others | see [`class`] | fixed width, big-endian |

mod number;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::ops::ControlFlow;

use bson::{Bson, RawArray, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use forge_core::ir::SortKey;
use forge_core::order::{self, Found, Values};

use crate::collation::{self, Strings};

/// First bytes of encoded values, in MongoDB's order of types.
pub(crate) mod class {
    pub(crate) const MIN_KEY: u8 = 0x02;
    /// Also what an index holds for an empty array.
    pub(crate) const UNDEFINED: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x06;
    pub(crate) const NUMBER: u8 = 0x08;
    pub(crate) const STRING: u8 = 0x0a;
    pub(crate) const DOCUMENT: u8 = 0x0c;
    pub(crate) const ARRAY: u8 = 0x0e;
    pub(crate) const BINARY: u8 = 0x10;
    pub(crate) const OBJECT_ID: u8 = 0x12;
    pub(crate) const BOOLEAN: u8 = 0x14;
    pub(crate) const DATE: u8 = 0x16;
    pub(crate) const TIMESTAMP: u8 = 0x18;
    pub(crate) const REGEX: u8 = 0x1a;
    pub(crate) const DB_POINTER: u8 = 0x1c;
    pub(crate) const CODE: u8 = 0x1e;
    pub(crate) const CODE_WITH_SCOPE: u8 = 0x20;
    /// A cell of a 2dsphere index; never a value of a document.
    pub(crate) const CELL: u8 = 0x22;
    /// A geometry that is no point, in a 2dsphere index: wherever it is.
    pub(crate) const SHAPE: u8 = 0x24;
    pub(crate) const MAX_KEY: u8 = 0x7f;
}

const END: u8 = 0x00;

/// How many bytes end an encoded string.
pub(crate) const STRING_END: usize = 2;

/// The class byte of `value`.
pub(crate) fn class_of(value: RawBsonRef<'_>) -> u8 {
    match value {
        RawBsonRef::MinKey => class::MIN_KEY,
        RawBsonRef::Undefined => class::UNDEFINED,
        RawBsonRef::Null => class::NULL,
        RawBsonRef::Double(_) | RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Decimal128(_) => {
            class::NUMBER
        }
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => class::STRING,
        RawBsonRef::Document(_) => class::DOCUMENT,
        RawBsonRef::Array(_) => class::ARRAY,
        RawBsonRef::Binary(_) => class::BINARY,
        RawBsonRef::ObjectId(_) => class::OBJECT_ID,
        RawBsonRef::Boolean(_) => class::BOOLEAN,
        RawBsonRef::DateTime(_) => class::DATE,
        RawBsonRef::Timestamp(_) => class::TIMESTAMP,
        RawBsonRef::RegularExpression(_) => class::REGEX,
        RawBsonRef::DbPointer(_) => class::DB_POINTER,
        RawBsonRef::JavaScriptCode(_) => class::CODE,
        RawBsonRef::JavaScriptCodeWithScope(_) => class::CODE_WITH_SCOPE,
        RawBsonRef::MaxKey => class::MAX_KEY,
    }
}

/// Appends the byte form of `value`. Malformed BSON inside a value ends that value early.
pub(crate) fn encode(value: RawBsonRef<'_>, out: &mut Vec<u8>) {
    out.push(class_of(value));
    encode_body(value, out);
}

/// The byte form of an owned value.
pub(crate) fn encoded(value: &Bson) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    with_raw(value, |raw| encode(raw, &mut out));
    out
}

/// Lends `value` in its raw form.
pub(crate) fn with_raw<R>(value: &Bson, f: impl FnOnce(RawBsonRef<'_>) -> R) -> R {
    match value {
        Bson::Null => f(RawBsonRef::Null),
        Bson::Int32(v) => f(RawBsonRef::Int32(*v)),
        Bson::Int64(v) => f(RawBsonRef::Int64(*v)),
        Bson::Double(v) => f(RawBsonRef::Double(*v)),
        Bson::Boolean(v) => f(RawBsonRef::Boolean(*v)),
        Bson::String(v) => f(RawBsonRef::String(v)),
        Bson::ObjectId(v) => f(RawBsonRef::ObjectId(*v)),
        Bson::DateTime(v) => f(RawBsonRef::DateTime(*v)),
        other => match bson::RawBson::try_from(other.clone()) {
            Ok(raw) => f(raw.as_raw_bson_ref()),
            // Only keys with NUL bytes have no raw form; such a document cannot be stored either.
            Err(_) => f(RawBsonRef::Undefined),
        },
    }
}

fn encode_body(value: RawBsonRef<'_>, out: &mut Vec<u8>) {
    match value {
        RawBsonRef::MinKey | RawBsonRef::Undefined | RawBsonRef::Null | RawBsonRef::MaxKey => {}
        RawBsonRef::Int32(v) => number::double(f64::from(v), out),
        RawBsonRef::Int64(v) => number::integer(v, out),
        RawBsonRef::Double(v) => number::double(v, out),
        RawBsonRef::Decimal128(v) => number::decimal(v, out),
        RawBsonRef::String(v) | RawBsonRef::Symbol(v) | RawBsonRef::JavaScriptCode(v) => {
            text(v.as_bytes(), out);
        }
        RawBsonRef::Document(v) => document(v, out),
        RawBsonRef::Array(v) => array(v, out),
        RawBsonRef::Binary(v) => {
            let length = u32::try_from(v.bytes.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.push(v.subtype.into());
            out.extend_from_slice(v.bytes);
        }
        RawBsonRef::ObjectId(v) => out.extend_from_slice(&v.bytes()),
        RawBsonRef::Boolean(v) => out.push(u8::from(v)),
        RawBsonRef::DateTime(v) => out.extend_from_slice(&signed(v.timestamp_millis())),
        RawBsonRef::Timestamp(v) => {
            out.extend_from_slice(&v.time.to_be_bytes());
            out.extend_from_slice(&v.increment.to_be_bytes());
        }
        RawBsonRef::RegularExpression(v) => {
            text(v.pattern.as_str().as_bytes(), out);
            text(v.options.as_str().as_bytes(), out);
        }
        RawBsonRef::JavaScriptCodeWithScope(v) => {
            text(v.code.as_bytes(), out);
            document(v.scope, out);
        }
        // Its parts are private to the bson crate; the debug form is at least stable and distinct.
        RawBsonRef::DbPointer(v) => {
            let mut form = String::new();
            let _ = write!(form, "{v:?}");
            text(form.as_bytes(), out);
        }
    }
}

fn document(value: &RawDocument, out: &mut Vec<u8>) {
    for field in value.iter() {
        let Ok((name, value)) = field else { break };
        encode_field(name.as_str(), value, out);
    }
    end_document(out);
}

/// Appends what stands before the fields of a document.
pub(crate) fn begin_document(out: &mut Vec<u8>) {
    out.push(class::DOCUMENT);
}

/// Appends the byte form of a field of a document.
pub(crate) fn encode_field(name: &str, value: RawBsonRef<'_>, out: &mut Vec<u8>) {
    out.push(class_of(value));
    text(name.as_bytes(), out);
    encode_body(value, out);
}

/// Appends what stands behind the fields of a document.
pub(crate) fn end_document(out: &mut Vec<u8>) {
    out.push(END);
}

fn array(value: &RawArray, out: &mut Vec<u8>) {
    for element in value {
        let Ok(element) = element else { break };
        encode(element, out);
    }
    out.push(END);
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == 0) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[0x00, 0xff]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0x00, 0x00]);
}

fn signed(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Reverses the order of what the bytes stand for.
pub(crate) fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

/// The smallest key after every key that starts with `bytes`; none where there is no such key.
pub(crate) fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|&byte| byte != 0xff)?;
    let mut next = bytes[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

/// The values that a path has in a document, as indexes and sorts see them.
pub(crate) struct PathValues<'a> {
    /// Null where the path is missing, undefined where it is an empty array; array elements one by one.
    pub(crate) values: Values<'a>,
    /// Whether an array was met.
    pub(crate) multikey: bool,
    /// Whether the path is there at all.
    pub(crate) exists: bool,
}

impl<'a> PathValues<'a> {
    /// Collects the values of `path` in `document`.
    pub(crate) fn of(document: &'a RawDocument, path: &str) -> Self {
        let (mut inner, mut rest) = (document, path);
        loop {
            let (head, tail) = rest.split_once('.').map_or((rest, None), |(head, tail)| (head, Some(tail)));
            let Some(value) = order::field(inner, head) else { return Self::single(RawBsonRef::Null, false) };
            match (value, tail) {
                (RawBsonRef::Array(_), _) => {
                    let exists = order::visit(document, path, |found| match found {
                        Found::Value(_) | Found::Indexed(_) => ControlFlow::Break(()),
                        Found::Missing | Found::Barren => ControlFlow::Continue(()),
                    });
                    let values = order::values_at(document, path);
                    return Self { values, multikey: true, exists: exists.is_break() };
                }
                (value, None) => return Self::single(value, true),
                (RawBsonRef::Document(next), Some(tail)) => (inner, rest) = (next, tail),
                _ => return Self::single(RawBsonRef::Null, false),
            }
        }
    }

    fn single(value: RawBsonRef<'a>, exists: bool) -> Self {
        let mut values = Values::new();
        values.push(value);
        Self { values, multikey: false, exists }
    }
}

/// How many bytes most values of a sort take.
pub(crate) const SORT_KEY: usize = 16;

/// The key by which `document` is sorted:  the smallest element of arrays, or the largest.
pub(crate) fn sort_key(document: &RawDocument, keys: &[SortKey], strings: Strings<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(SORT_KEY * keys.len());
    extend_sort_key(document, keys, strings, &mut out);
    out
}

/// Appends what `keys` add to the key by which `document` is sorted.
pub(crate) fn extend_sort_key(
    document: &RawDocument,
    keys: &[SortKey],
    strings: Strings<'_>,
    out: &mut Vec<u8>,
) {
    for SortKey { path, descending } in keys {
        let start = out.len();
        for value in PathValues::of(document, path).values {
            let end = out.len();
            collation::encode(value, strings, out);
            if *descending {
                invert(&mut out[end..]);
            }
            // Of several values the smallest stays.
            if end > start {
                let (known, candidate) = out[start..].split_at(end - start);
                if candidate < known {
                    out.drain(start..end);
                } else {
                    out.truncate(end);
                }
            }
        }
    }
}

/// A raw document from an owned one.
pub(crate) fn to_raw(document: &bson::Document) -> forge_core::Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document).map_err(|error| unstorable(&error))
}

/// A raw value from an owned one.
pub(crate) fn to_raw_value(value: Bson) -> forge_core::Result<RawBson> {
    RawBson::try_from(value).map_err(|error| unstorable(&error))
}

fn unstorable(error: &bson::error::Error) -> forge_core::Error {
    forge_core::Error::bad_request(format!("the document cannot be stored: {error}"))
}
