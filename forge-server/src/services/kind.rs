//! What values of a field are, and what the text of a query string becomes as one.

use bson::Bson;
use forge_core::types::{Any, Bytes, Date, DateTime, Decimal, Id, Int64, Time, Uuid};
use forge_core::value::to_bson;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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
    /// Text of another form, which one of Forge's types reads.
    #[doc(hidden)]
    Text(Form),
    /// A sub-document: its fields are asked for by their paths.
    #[doc(hidden)]
    Nested,
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

    /// The kind of what a JSON Schema describes; `definitions` are those that it refers to.
    pub(super) fn of_schema(schema: &Value, definitions: &Map<String, Value>) -> Self {
        Self::described(schema, definitions, 0)
    }

    fn described(schema: &Value, definitions: &Map<String, Value>, depth: u8) -> Self {
        if depth > 8 {
            return Kind::Any;
        }
        let below = |schema: &Value| Self::described(schema, definitions, depth + 1);
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return definitions.get(name).map_or(Kind::Any, below);
        }
        let is_null = |schema: &&Value| schema["type"] != "null";
        if let Some(list) = schema["anyOf"].as_array() {
            let mut known = list.iter().filter(is_null);
            return match (known.next(), known.next()) {
                (Some(only), None) => below(only),
                _ => Kind::Any,
            };
        }
        let kind = match &schema["type"] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            kind => kind.as_str(),
        };
        match kind {
            Some("integer" | "number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            Some("array") => Kind::Element(Box::new(below(&schema["items"]))),
            Some("object") if schema.get("properties").is_some() => Kind::Nested,
            Some("string") => Self::of_text(schema),
            _ => Kind::Any,
        }
    }

    fn of_text(schema: &Value) -> Self {
        match schema["format"].as_str() {
            Some("date-time") => return Kind::Date,
            Some("date") => return Kind::Text(Form::Calendar),
            Some("time") => return Kind::Text(Form::Clock),
            Some("uuid") => return Kind::Text(Form::Uuid),
            Some("decimal") => return Kind::Text(Form::Decimal),
            Some("int64") => return Kind::Text(Form::Long),
            _ => {}
        }
        match (schema["pattern"].as_str(), schema["contentEncoding"].as_str()) {
            (Some("^[0-9a-fA-F]{24}$"), _) => Kind::ObjectId,
            (_, Some("base64")) => Kind::Text(Form::Base64),
            _ => Kind::String,
        }
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
            Kind::Date => read::<DateTime>(value).ok_or("must be an RFC 3339 date and time"),
            Kind::ObjectId => object_id(value).ok_or("must be an ObjectId: 24 hexadecimal digits"),
            Kind::Key => object_id(value).map_or_else(|| as_is(value), Ok),
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
            Kind::Nested => Err("is a sub-document: ask for its fields by their paths"),
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
