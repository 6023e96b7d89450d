//! Between Rust values and BSON values, always through raw BSON: ids and dates keep their types.

use std::any::Any;

use bson::raw::RawBsonRef;
use bson::{Bson, RawDocument, RawDocumentBuf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::codec::elements::{self, Element, Elements};
use crate::error::{Error, Result};
use crate::traits::Model;
use crate::types::{DateTime, GeoPoint, Id, Uuid};

/// The BSON value of `value`, as it would be stored.
///
/// Primitives take a direct way, everything else goes through the bytes that would be stored.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) where BSON has no such value: `u64` above `i64::MAX`, maps with other keys than
/// strings.
pub fn to_bson<T: Serialize + 'static>(value: &T) -> Result<Bson> {
    match primitive(value) {
        Some(bson) => Ok(bson),
        None => through_raw(value),
    }
}

/// As [`to_bson`], of the id of an `M`. The usual type of ids takes a direct way as well.
pub(crate) fn id_to_bson<M: Model>(id: impl IntoValue<M::Id>) -> Result<Bson> {
    let id = id.into_value();
    match (&id as &dyn Any).downcast_ref::<Id<M>>() {
        Some(id) => Ok(Bson::ObjectId(id.object_id())),
        None => to_bson(&id),
    }
}

fn primitive<T: 'static>(value: &T) -> Option<Bson> {
    let any: &dyn Any = value;
    // `T` is known where this is instantiated: all tests but the right one are compiled away.
    macro_rules! direct {
        ($($type:ty => $make:expr;)*) => {
            $(if let Some(v) = any.downcast_ref::<$type>() {
                return Some(($make)(v));
            })*
        };
    }
    direct! {
        i32 => |v: &i32| Bson::Int32(*v);
        i64 => |v: &i64| Bson::Int64(*v);
        f64 => |v: &f64| Bson::Double(*v);
        bool => |v: &bool| Bson::Boolean(*v);
        String => |v: &String| Bson::String(v.clone());
        &'static str => |v: &&'static str| Bson::String((*v).to_owned());
        bson::oid::ObjectId => |v: &bson::oid::ObjectId| Bson::ObjectId(*v);
        DateTime => |v: &DateTime| Bson::from(*v);
        Uuid => |v: &Uuid| Bson::from(*v);
        GeoPoint => |v: &GeoPoint| Bson::from(*v);
        Bson => |v: &Bson| v.clone();
        Option<i32> => |v: &Option<i32>| v.map_or(Bson::Null, Bson::Int32);
        Option<i64> => |v: &Option<i64>| v.map_or(Bson::Null, Bson::Int64);
        Option<f64> => |v: &Option<f64>| v.map_or(Bson::Null, Bson::Double);
        Option<bool> => |v: &Option<bool>| v.map_or(Bson::Null, Bson::Boolean);
        Option<String> => |v: &Option<String>| v.clone().map_or(Bson::Null, Bson::String);
        Option<DateTime> => |v: &Option<DateTime>| v.map_or(Bson::Null, Bson::from);
    }
    None
}

#[derive(Deserialize)]
struct Wrapper<T> {
    v: T,
}

fn through_raw<T: Serialize>(value: &T) -> Result<Bson> {
    let unstorable = |error: &dyn std::fmt::Display| {
        Error::bad_request(format!(
            "a value of type {} has no BSON form: {error}",
            std::any::type_name::<T>()
        ))
    };
    let bytes = codec::encode_alone(value).map_err(|e| unstorable(&e))?;
    // An id, the usual case: type, `v`, NUL, twelve bytes, and the end of the document.
    if let [_, _, _, _, elements::OBJECT_ID, b'v', 0, id @ .., 0] = bytes.as_slice()
        && let Ok(id) = <[u8; 12]>::try_from(id)
    {
        return Ok(Bson::ObjectId(id.into()));
    }
    for_nested(&bytes, |element| check_inside(&element, false, 0)).map_err(Error::bad_request)?;
    let document = RawDocument::from_bytes(&bytes).map_err(|e| unstorable(&e))?;
    match document.get("v").map_err(|e| unstorable(&e))? {
        Some(raw) => Bson::try_from(raw).map_err(|e| unstorable(&e)),
        None => Ok(Bson::Null),
    }
}

/// As deep as documents of servers may be.
const MAX_DEPTH: usize = 100;

/// Refuses keys of maps inside of a document that the database would take for paths or operators: those with a `.` or
/// with a `$` in front. The document's own keys are those of a struct.
///
/// # Errors
/// A sentence that names the key and where it is.
pub(crate) fn check_keys(document: &RawDocument) -> std::result::Result<(), String> {
    for_nested(document.as_bytes(), |element| check_inside(&element, true, 0))
}

/// Errors name the element where it is `named`.
fn check_inside(element: &Element<'_>, named: bool, depth: usize) -> std::result::Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("`{}` nests deeper than {MAX_DEPTH} levels", element.text()));
    }
    if element.kind == elements::DOCUMENT
        && let Some(key) = keys(element.body).find(|key| key.starts_with(b"$") || key.contains(&b'.'))
    {
        let shown: String = String::from_utf8_lossy(key).chars().take(64).collect();
        let place = if named { format!(" in `{}`", element.text()) } else { String::new() };
        return Err(format!(
            "the key {shown:?}{place} cannot be stored: the database takes keys with `.` for paths, and those that \
             begin with `$` for operators"
        ));
    }
    for_nested(element.body, |inner| check_inside(&inner, true, depth + 1))
}

fn keys(document: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut elements = Elements::of(document).ok();
    std::iter::from_fn(move || Some(elements.as_mut()?.next().ok()??.name))
}

/// Calls `check` with each document and each array of `document`. What is malformed is told by whoever reads it.
fn for_nested(
    document: &[u8],
    check: impl Fn(Element<'_>) -> std::result::Result<(), String>,
) -> std::result::Result<(), String> {
    let Ok(mut elements) = Elements::of(document) else { return Ok(()) };
    while let Ok(Some(element)) = elements.next() {
        if matches!(element.kind, elements::DOCUMENT | elements::ARRAY) {
            check(element)?;
        }
    }
    Ok(())
}

/// The Rust value of one stored value.
///
/// # Errors
/// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where the stored value is not a `T`.
pub fn from_raw<T: DeserializeOwned>(value: RawBsonRef<'_>) -> Result<T> {
    let mut document = RawDocumentBuf::new();
    document.append(bson::cstr!("v"), value);
    let Wrapper { v } = codec::decode(&document).map_err(|e| {
        Error::internal(format!("a stored value is not a {}: {e}", std::any::type_name::<T>()))
    })?;
    Ok(v)
}

/// The Rust value of one BSON value.
///
/// # Errors
/// As [`from_raw`].
pub fn from_bson<T: DeserializeOwned>(value: Bson) -> Result<T> {
    let raw = bson::RawBson::try_from(value)?;
    from_raw(raw.as_raw_bson_ref())
}

/// What may stand where a field of type `T` is compared or set: a `T`, a `&str` for strings, a bare value for options.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot be compared with, or stored in, a field of type `{T}`",
    label = "this field holds `{T}`"
)]
pub trait IntoValue<T> {
    /// The value as the field's own type.
    fn into_value(self) -> T;
}

impl<T> IntoValue<T> for T {
    fn into_value(self) -> T {
        self
    }
}
impl<T> IntoValue<Option<T>> for T {
    fn into_value(self) -> Option<T> {
        Some(self)
    }
}
impl IntoValue<String> for &str {
    fn into_value(self) -> String {
        self.to_owned()
    }
}
impl IntoValue<Option<String>> for &str {
    fn into_value(self) -> Option<String> {
        Some(self.to_owned())
    }
}
impl IntoValue<String> for &String {
    fn into_value(self) -> String {
        self.clone()
    }
}
impl IntoValue<Option<String>> for &String {
    fn into_value(self) -> Option<String> {
        Some(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_dates_keep_their_bson_types() {
        let oid = bson::oid::ObjectId::from_bytes([7; 12]);
        assert_eq!(to_bson(&Id::<()>::from(oid)).unwrap(), Bson::ObjectId(oid));
        assert_eq!(
            to_bson(&vec![DateTime::from_millis(5)]).unwrap(),
            bson::bson!([bson::DateTime::from_millis(5)])
        );
        assert_eq!(from_bson::<Id<()>>(Bson::ObjectId(oid)).unwrap().object_id(), oid);
    }

    #[test]
    fn a_value_without_a_bson_form_is_an_error() {
        assert_eq!(to_bson(&u64::MAX).unwrap_err().code(), crate::ErrorCode::BadRequest);
    }
}
