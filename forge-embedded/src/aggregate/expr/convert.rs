//! Conversions between types.

use bson::Bson;
use bson::spec::BinarySubtype;
use forge_core::{Decimal, Error, Result};

use super::{Apply, Nulls, Operator, Value, argument, number, truthy, whole};

/// A conversion and the type that it leads to.
const fn operator(name: &'static str, apply: fn(&[Value]) -> Result<Value>) -> Operator {
    Operator { name, least: 1, most: 1, nulls: Nulls::Null, apply: Apply::Alone(apply) }
}

pub(super) static OPERATORS: [Operator; 9] = [
    operator("$toString", |values| convert(argument(values, 0), "string").map(Some)),
    operator("$toBool", |values| convert(argument(values, 0), "bool").map(Some)),
    operator("$toInt", |values| convert(argument(values, 0), "int").map(Some)),
    operator("$toLong", |values| convert(argument(values, 0), "long").map(Some)),
    operator("$toDouble", |values| convert(argument(values, 0), "double").map(Some)),
    operator("$toDecimal", |values| convert(argument(values, 0), "decimal").map(Some)),
    operator("$toDate", |values| convert(argument(values, 0), "date").map(Some)),
    operator("$toObjectId", |values| convert(argument(values, 0), "objectId").map(Some)),
    operator("$toUUID", |values| convert(argument(values, 0), "binData").map(Some)),
];

/// The name of the type that `$convert` is to make, by its name or number.
pub(super) fn target(to: &Bson) -> Result<&'static str> {
    const TYPES: [(&str, i64); 9] = [
        ("double", 1),
        ("string", 2),
        ("binData", 5),
        ("objectId", 7),
        ("bool", 8),
        ("date", 9),
        ("int", 16),
        ("long", 18),
        ("decimal", 19),
    ];
    let code = crate::index::integer(to);
    TYPES
        .iter()
        .find(|(name, number)| to.as_str() == Some(name) || code == Some(*number))
        .map(|(name, _)| *name)
        .ok_or_else(|| Error::unsupported(format!("the embedded engine cannot convert to {to}")))
}

/// The value as the type of that name.
pub(super) fn convert(value: &Bson, to: &str) -> Result<Bson> {
    let impossible = || Error::bad_request(format!("{value} cannot be converted to {to}"));
    Ok(match (to, value) {
        ("string", value) => text_of(Some(value))?.into(),
        ("bool", value) => truthy_by_conversion(value).into(),
        ("int", value) => {
            Bson::Int32(i32::try_from(whole_of(value).ok_or_else(impossible)?).map_err(|_| impossible())?)
        }
        ("long", value) => Bson::Int64(whole_of(value).ok_or_else(impossible)?),
        ("double", Bson::String(text)) => Bson::Double(parse_double(text).ok_or_else(impossible)?),
        ("double", Bson::Boolean(value)) => Bson::Double(f64::from(u8::from(*value))),
        ("double", Bson::DateTime(at)) => Bson::Double(at.timestamp_millis() as f64),
        ("double", value) => Bson::Double(number(value).map_err(|_| impossible())?),
        ("decimal", Bson::String(text)) => text.parse::<Decimal>().map_err(|_| impossible())?.into(),
        ("decimal", Bson::Boolean(value)) => Decimal::from(i32::from(*value)).into(),
        ("decimal", Bson::DateTime(at)) => Decimal::from(at.timestamp_millis()).into(),
        ("decimal", value) => crate::update::decimal(value).ok_or_else(impossible)?.into(),
        ("date", Bson::DateTime(_)) => value.clone(),
        ("date", Bson::ObjectId(id)) => Bson::DateTime(id.timestamp()),
        ("date", Bson::Timestamp(at)) => {
            Bson::DateTime(bson::DateTime::from_millis(i64::from(at.time) * 1_000))
        }
        ("date", Bson::String(text)) => super::dates::from_text(text, None, None)?,
        ("date", Bson::Int32(_)) => return Err(impossible()),
        ("date", value) => {
            Bson::DateTime(bson::DateTime::from_millis(whole_of(value).ok_or_else(impossible)?))
        }
        ("objectId", Bson::ObjectId(_)) => value.clone(),
        ("objectId", Bson::String(text)) => {
            Bson::ObjectId(bson::oid::ObjectId::parse_str(text).map_err(|_| impossible())?)
        }
        ("binData", Bson::Binary(_)) => value.clone(),
        ("binData", Bson::String(text)) => bson::Uuid::parse_str(text).map_err(|_| impossible())?.into(),
        _ => return Err(impossible()),
    })
}

fn truthy_by_conversion(value: &Bson) -> bool {
    truthy(Some(value))
}

fn whole_of(value: &Bson) -> Option<i64> {
    match value {
        Bson::Boolean(value) => Some(i64::from(*value)),
        Bson::DateTime(at) => Some(at.timestamp_millis()),
        Bson::String(text) => text.parse().ok(),
        Bson::Decimal128(value) => Decimal::from(*value).to_i64(),
        // The bounds are exact as doubles; what is not a number is outside of both.
        Bson::Double(value) if *value >= -(2_f64.powi(63)) && *value < 2_f64.powi(63) => Some(*value as i64),
        Bson::Double(_) => None,
        value => whole(value).ok(),
    }
}

fn parse_double(text: &str) -> Option<f64> {
    let plain = text.bytes().next().is_some_and(|byte| !byte.is_ascii_whitespace());
    plain.then(|| text.parse().ok()).flatten()
}

/// The text of a value, as `$toString` gives it; nothing is the empty text.
pub(super) fn text_of(value: Option<&Bson>) -> Result<String> {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(String::new()),
        Some(Bson::String(text) | Bson::Symbol(text)) => Ok(text.clone()),
        Some(Bson::ObjectId(id)) => Ok(id.to_hex()),
        Some(Bson::DateTime(at)) => Ok(forge_core::DateTime::from(*at).to_string()),
        Some(Bson::Boolean(value)) => Ok(value.to_string()),
        Some(Bson::Int32(value)) => Ok(value.to_string()),
        Some(Bson::Int64(value)) => Ok(value.to_string()),
        Some(Bson::Double(value)) => Ok(double_text(*value)),
        Some(Bson::Decimal128(value)) => Ok(value.to_string()),
        Some(Bson::Binary(binary)) if binary.subtype == BinarySubtype::Uuid => binary
            .to_uuid()
            .map(|uuid| uuid.to_string())
            .map_err(|_| Error::bad_request("a UUID has 16 bytes")),
        Some(other) => Err(Error::bad_request(format!("{other} has no text form"))),
    }
}

fn double_text(value: f64) -> String {
    match value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        value if value != 0.0 && !(1e-4..1e15).contains(&value.abs()) => {
            let text = format!("{value:e}");
            match text.split_once('e') {
                Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent}"),
                _ => text,
            }
        }
        value => value.to_string(),
    }
}
