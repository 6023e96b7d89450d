//! What values of a field are, and what the text of a query string becomes as one.

use std::collections::BTreeMap;

use bson::Bson;
use forge_core::types::{Any, Bytes, Date, DateTime, Decimal, Id, Int64, Time, Uuid};
use forge_core::value::to_bson;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::place::Geo;

/// Why sub-documents are no values.
const BY_PATHS: &str = "is a sub-document: ask for its fields by their paths";

/// The type of a field's values: what the text in a query string is read as.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Any value, as it is: text stays text.
    Any,
    /// Text. Numbers and booleans become text.
    String,
    /// A number: `25`, `2.5`, `"25"`.
    Number,
    /// `true`, `false`, `"true"`, `"false"`.
    Boolean,
    /// A moment, as RFC 3339 text.
    Date,
    /// An ObjectId, as 24 hexadecimal digits.
    ObjectId,
    /// An ObjectId where a value is 24 hexadecimal digits, any other value as it is: the `_id` of collections without a
    /// schema.
    Key,
    /// A list of values, given as a list.
    List(Box<Kind>),
    /// A list of values, of which one is given: a condition on some element. A whole list is taken too.
    Element(Box<Kind>),
    /// A place on the Earth, as GeoJSON of this type.
    Geo(Geo),
    /// Text of another form, which one of Forge's types reads.
    #[doc(hidden)]
    Text(Form),
    /// A sub-document: its fields are asked for by their paths.
    #[doc(hidden)]
    Nested,
    /// A sub-document as its schema describes it.
    #[doc(hidden)]
    Parts(Box<Parts>),
}

/// What is known of the fields of sub-documents.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The fields that clients read.
    pub(super) fields: BTreeMap<String, Kind>,
    /// What other fields are, of maps.
    pub(super) rest: Option<Kind>,
    /// Whether there may be fields that clients do not read.
    pub(super) partial: bool,
    /// Whether values may be scalars as well: of enums.
    pub(super) scalars: bool,
}

/// A type that travels as text.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Calendar,
    Clock,
    Uuid,
    Decimal,
    Long,
    Base64,
}

impl Kind {
    /// A list of values of this kind.
    pub fn list(of: Kind) -> Self {
        Self::List(Box::new(of))
    }

    /// The value that `value` is meant as.
    ///
    /// # Errors
    /// What it must be, as the end of a sentence: `must be number`.
    pub(super) fn coerce(&self, value: &Value) -> Result<Bson, &'static str> {
        if value.is_null() {
            return Ok(Bson::Null);
        }
        match self {
            Kind::Any => as_is(value),
            Kind::String => text(value).map(Bson::String).ok_or("must be string"),
            Kind::Number => number(value).ok_or("must be number"),
            Kind::Boolean => boolean(value).map(Bson::Boolean).ok_or("must be boolean"),
            Kind::Date => {
                read::<DateTime>(value).ok_or("must be an RFC 3339 date and time, as in 2026-01-31T08:00:00Z")
            }
            Kind::ObjectId => object_id(value).ok_or("must be an ObjectId: 24 hexadecimal digits"),
            Kind::Key => object_id(value).map_or_else(|| as_is(value), Ok),
            Kind::Geo(geo) => geo.read(value),
            Kind::List(of) => {
                let list = value.as_array().ok_or("must be array")?;
                list.iter().map(|item| of.coerce(item)).collect::<Result<Vec<_>, _>>().map(Bson::Array)
            }
            Kind::Element(of) => match value {
                Value::Array(list) => {
                    list.iter().map(|item| of.coerce(item)).collect::<Result<Vec<_>, _>>().map(Bson::Array)
                }
                one => of.coerce(one),
            },
            Kind::Text(form) => form.read(value),
            Kind::Nested => Err(BY_PATHS),
            Kind::Parts(parts) => match value {
                Value::Object(object) if !self.hides() => parts.coerce(object),
                Value::Object(_) | Value::Array(_) => Err(BY_PATHS),
                scalar if parts.scalars => as_is(scalar),
                _ => Err(BY_PATHS),
            },
        }
    }

    /// The kind of what is at a path below; below any value every path is.
    pub(super) fn below(&self, path: &str) -> Option<Kind> {
        match self {
            Kind::Any => Some(Kind::Any),
            Kind::Geo(geo) => match path {
                "type" => Some(Kind::String),
                "coordinates" if *geo == Geo::Point => Some(Kind::Element(Box::new(Kind::Number))),
                _ => None,
            },
            Kind::List(of) | Kind::Element(of) => of.below(path),
            Kind::Parts(parts) => {
                let (name, rest) =
                    path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
                let kind = parts.fields.get(name).or(parts.rest.as_ref())?;
                rest.map_or_else(|| Some(kind.clone()), |rest| kind.below(rest))
            }
            _ => None,
        }
    }

    /// Whether values may hold fields that clients do not read: as a whole they would tell of them.
    pub(super) fn hides(&self) -> bool {
        match self {
            Kind::Nested => true,
            Kind::List(of) | Kind::Element(of) => of.hides(),
            Kind::Parts(parts) => {
                parts.partial || !parts.fields.is_empty() || parts.rest.as_ref().is_some_and(Kind::hides)
            }
            _ => false,
        }
    }

    /// Whether values may be places.
    pub(super) fn may_be_place(&self) -> bool {
        matches!(self.element(), Kind::Any | Kind::Geo(_))
    }

    /// Whether values hold nothing that clients do not read.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Kind::Nested => false,
            Kind::List(of) | Kind::Element(of) => of.is_open(),
            Kind::Parts(parts) => {
                !parts.partial && parts.fields.values().chain(&parts.rest).all(Kind::is_open)
            }
            _ => true,
        }
    }

    /// The kind of one element, of lists.
    pub(super) fn element(&self) -> &Kind {
        match self {
            Kind::List(of) | Kind::Element(of) => of,
            other => other,
        }
    }
}

impl Parts {
    fn coerce(&self, object: &Map<String, Value>) -> Result<Bson, &'static str> {
        let of = self.rest.as_ref().unwrap_or(&Kind::Any);
        let fields = object.iter().map(|(name, value)| {
            if name.starts_with('$') {
                return Err("must be a value without operators");
            }
            Ok((name.clone(), of.coerce(value)?))
        });
        fields.collect::<Result<bson::Document, _>>().map(Bson::Document)
    }
}

impl Form {
    fn read(self, value: &Value) -> Result<Bson, &'static str> {
        // Numbers of these types are text in JSON, so that no digit is lost.
        let text = text(value).map(Value::String);
        let value = text.as_ref().ok_or("must be text")?;
        match self {
            Form::Calendar => read::<Date>(value).ok_or("must be a date: YYYY-MM-DD"),
            Form::Clock => read::<Time>(value).ok_or("must be a time of day"),
            Form::Uuid => read::<Uuid>(value).ok_or("must be a UUID"),
            Form::Decimal => read::<Decimal>(value).ok_or("must be a decimal number"),
            Form::Long => read::<Int64>(value).ok_or("must be a whole number"),
            Form::Base64 => read::<Bytes>(value).ok_or("must be base64"),
        }
    }
}

fn read<T: DeserializeOwned + Serialize + 'static>(value: &Value) -> Option<Bson> {
    to_bson(&serde_json::from_value::<T>(value.clone()).ok()?).ok()
}

fn object_id(value: &Value) -> Option<Bson> {
    value.as_str()?.parse::<Id<()>>().ok().map(Bson::from)
}

fn as_is(value: &Value) -> Result<Bson, &'static str> {
    serde_json::from_value::<Any>(value.clone())
        .map(Bson::from)
        .map_err(|_| "must be a value without operators")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<Bson> {
    let whole = |n: i64| i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32);
    match value {
        Value::Number(number) => number.as_i64().map(whole).or_else(|| number.as_f64().map(Bson::Double)),
        Value::String(text) => {
            let text = text.trim();
            let real = || text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Bson::Double);
            text.parse().ok().map(whole).or_else(real)
        }
        _ => None,
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bson::bson;
    use serde_json::json;

    use super::*;

    #[test]
    fn text_becomes_what_the_field_holds() {
        let hex = "0123456789abcdef01234567";
        let id = bson::oid::ObjectId::parse_str(hex).unwrap();
        for (kind, text, value) in [
            (Kind::Number, "25", bson!(25)),
            (Kind::Number, "-2.5", bson!(-2.5)),
            (Kind::Number, "5000000000", bson!(5_000_000_000_i64)),
            (Kind::Boolean, "true", bson!(true)),
            (Kind::String, "25", bson!("25")),
            (Kind::ObjectId, hex, id.into()),
            (Kind::Key, hex, id.into()),
            (Kind::Key, "plain", bson!("plain")),
            (Kind::Any, hex, bson!(hex)),
            (Kind::Element(Box::new(Kind::Number)), "3", bson!(3)),
            (Kind::Date, "1970-01-01T00:00:00.005Z", bson::DateTime::from_millis(5).into()),
        ] {
            assert_eq!(kind.coerce(&json!(text)), Ok(value), "{kind:?} {text}");
        }
        assert_eq!(Kind::list(Kind::Number).coerce(&json!(["1", "2"])), Ok(bson!([1, 2])));
    }

    #[test]
    fn what_is_no_such_value_is_refused() {
        for (kind, value) in [
            (Kind::Number, json!("")),
            (Kind::Number, json!("1x")),
            (Kind::Number, json!("inf")),
            (Kind::Boolean, json!("1")),
            (Kind::ObjectId, json!("123")),
            (Kind::list(Kind::String), json!("a")),
            (Kind::Any, json!({ "$where": "1" })),
            (Kind::String, json!(["a"])),
        ] {
            assert!(kind.coerce(&value).is_err(), "{kind:?} {value}");
        }
    }
}
