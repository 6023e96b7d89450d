//! JSON, with MongoDB's extended forms, as BSON.

use bson::{Bson, Decimal128, Document, oid::ObjectId};
use serde_json::{Map, Value};

use crate::types::DateTime;

/// `value` as BSON: whole numbers in the smallest type that holds them, `{"$oid": …}`, `{"$date": …}`, `{"$uuid": …}`,
/// `{"$numberLong": …}`, `{"$numberInt": …}`, `{"$numberDouble": …}` and `{"$numberDecimal": …}` as what they say.
/// Other keys stay as they are: operators too.
pub fn bson_of(value: Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => value.into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(n), _) => i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32),
            (None, n) => n.map_or(Bson::Null, Bson::Double),
        },
        Value::String(text) => text.into(),
        Value::Array(list) => list.into_iter().map(bson_of).collect::<Vec<_>>().into(),
        Value::Object(fields) => match extended(&fields) {
            Some(value) => value,
            None => fields.into_iter().map(|(k, v)| (k, bson_of(v))).collect::<Document>().into(),
        },
    }
}

fn extended(fields: &Map<String, Value>) -> Option<Bson> {
    let (key, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let text = value.as_str();
    match key.as_str() {
        "$oid" => Some(ObjectId::parse_str(text?).ok()?.into()),
        "$date" => Some(bson::DateTime::from_millis(millis(value)?).into()),
        "$uuid" => Some(bson::Uuid::parse_str(text?).ok()?.into()),
        "$numberInt" => Some(Bson::Int32(text?.parse().ok()?)),
        "$numberLong" => Some(Bson::Int64(text?.parse().ok()?)),
        "$numberDouble" => Some(Bson::Double(text?.parse().ok()?)),
        "$numberDecimal" => Some(Bson::Decimal128(text?.parse::<Decimal128>().ok()?)),
        _ => None,
    }
}

/// A date as RFC 3339 text, as milliseconds, or as `{"$numberLong": milliseconds}`.
fn millis(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse::<DateTime>().ok().map(DateTime::millis),
        Value::Number(number) => number.as_i64(),
        Value::Object(fields) => fields.get("$numberLong")?.as_str()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use serde_json::json;

    use super::*;

    #[test]
    fn extended_forms_become_what_they_say() {
        let id = ObjectId::from_bytes([7; 12]);
        let value = json!({
            "id": { "$oid": id.to_hex() }, "at": { "$date": "1970-01-01T00:00:01Z" }, "big": { "$numberLong": "5" },
            "n": 5, "over": { "$gt": 1.5 }, "list": [null, true]
        });
        let expected = doc! {
            "id": id, "at": bson::DateTime::from_millis(1_000), "big": 5_i64, "n": 5, "over": { "$gt": 1.5 }, "list": [null, true]
        };
        assert_eq!(bson_of(value), Bson::Document(expected));
    }
}
