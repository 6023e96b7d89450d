//! Operators that a service may allow, beside those of every field.

use forge_core::ir::{Bits, Predicate};
use forge_core::matcher::{type_codes, type_name};
use serde_json::{Value, json};

use super::kind::Kind;

/// Operators that every field takes.
pub(super) const EVERYWHERE: [&str; 7] = ["$in", "$nin", "$lt", "$lte", "$gt", "$gte", "$ne"];
/// Operators that a service may allow.
pub(super) const ON_REQUEST: [&str; 18] = [
    "$regex",
    "$options",
    "$exists",
    "$all",
    "$size",
    "$elemMatch",
    "$not",
    "$nor",
    "$type",
    "$mod",
    "$bitsAllSet",
    "$bitsAllClear",
    "$bitsAnySet",
    "$bitsAnyClear",
    "$near",
    "$nearSphere",
    "$geoWithin",
    "$geoIntersects",
];

/// What operators of places stand beside, where a pair of numbers is the place.
pub(super) const DISTANCES: [&str; 2] = ["$maxDistance", "$minDistance"];
/// Inside of these, documents have no order of their own.
pub(super) const UNORDERED: [&str; 4] = ["$or", "$nor", "$not", "$elemMatch"];

/// `$type`: a name or a code, or a list of them.
pub(super) fn types(value: &Value) -> Result<Predicate, &'static str> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let codes = items.iter().map(|item| match item {
        Value::String(name) => type_codes(name).map(<[i32]>::to_vec).or_else(|| code(name.parse().ok()?)),
        Value::Number(number) => code(number.as_i64()?.try_into().ok()?),
        _ => None,
    });
    let codes: Option<Vec<_>> = codes.collect();
    let codes = codes.filter(|codes| !codes.is_empty());
    codes
        .map(|codes| Predicate::Type(codes.concat()))
        .ok_or("must be the name or the code of a BSON type, or a list of them")
}

fn code(code: i32) -> Option<Vec<i32>> {
    type_name(code).map(|_| vec![code])
}

/// `$mod`: a divisor and a remainder.
pub(super) fn remainder(kind: &Kind, value: &Value) -> Result<Predicate, &'static str> {
    numeric(kind)?;
    let wrong = "must be [divisor, remainder]: whole numbers, and the divisor not 0";
    let Some([divisor, remainder]) = value.as_array().map(Vec::as_slice) else { return Err(wrong) };
    match (whole(divisor), whole(remainder)) {
        (Some(divisor), Some(remainder)) if divisor != 0 => Ok(Predicate::Remainder { divisor, remainder }),
        _ => Err(wrong),
    }
}

/// `$bitsAllSet` and its like: a mask, or a list of positions.
pub(super) fn bits(kind: &Kind, operator: &str, value: &Value) -> Result<Predicate, &'static str> {
    numeric(kind)?;
    let positions = match value {
        Value::Array(list) => list.iter().map(|item| whole(item)?.try_into().ok()).collect(),
        mask => whole(mask)
            .filter(|mask| *mask >= 0)
            .map(|mask| (0..63).filter(|position| mask >> position & 1 == 1).collect()),
    };
    let positions: Option<Vec<u32>> = positions;
    let positions = positions.ok_or("must be a mask from 0, or a list of the positions of bits from 0")?;
    let (set, all) = (operator.ends_with("Set"), operator.starts_with("$bitsAll"));
    Ok(Predicate::Bits(Bits { positions, set, all }))
}

fn numeric(kind: &Kind) -> Result<(), &'static str> {
    match kind.element() {
        Kind::Any | Kind::Number | Kind::Text(_) => Ok(()),
        _ => Err("is for numbers, which this field has none of"),
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The JSON Schema of what an operator takes, on fields whose values have the schema `of`.
pub(super) fn schema(operator: &str, of: &Value) -> Value {
    let place = json!({ "type": "object", "properties": { "type": { "type": "string" }, "coordinates": { "type": "array" } } });
    let distance = json!({ "type": "number", "minimum": 0 });
    let whole = json!({ "type": "integer" });
    match operator {
        "$in" | "$nin" | "$all" => json!({ "type": "array", "items": of }),
        "$regex" | "$options" => json!({ "type": "string" }),
        "$exists" => json!({ "type": "boolean" }),
        "$size" => json!({ "type": "integer", "minimum": 0 }),
        "$elemMatch" | "$not" => json!({ "type": "object" }),
        "$type" => json!({ "anyOf": [{ "type": "string" }, whole, { "type": "array" }] }),
        "$mod" => json!({ "type": "array", "items": whole, "minItems": 2, "maxItems": 2 }),
        "$near" | "$nearSphere" => json!({
            "type": "object",
            "properties": { "$geometry": place, "$maxDistance": distance, "$minDistance": distance },
        }),
        "$geoWithin" => {
            let list = json!({ "type": "array" });
            let properties = json!({
                "$geometry": place, "$centerSphere": list, "$box": list, "$polygon": list, "$center": list,
            });
            json!({ "type": "object", "properties": properties, "minProperties": 1, "maxProperties": 1 })
        }
        "$geoIntersects" => json!({ "type": "object", "properties": { "$geometry": place } }),
        name if name.starts_with("$bits") => json!({ "anyOf": [whole, { "type": "array", "items": whole }] }),
        _ => of.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_or_numbered() {
        assert_eq!(types(&json!("string")), Ok(Predicate::Type(vec![2])));
        assert_eq!(types(&json!(["bool", "2", -1])), Ok(Predicate::Type(vec![8, 2, -1])));
        assert_eq!(types(&json!("number")), Ok(Predicate::Type(vec![1, 16, 18, 19])));
        for wrong in [json!("text"), json!(20), json!([]), json!([[2]]), json!({})] {
            assert!(types(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn remainders_and_bits_are_of_numbers() {
        let third = Ok(Predicate::Remainder { divisor: 3, remainder: 1 });
        assert_eq!(remainder(&Kind::Number, &json!(["3", 1])), third);
        let set = |positions| Ok(Predicate::Bits(Bits { positions, set: true, all: false }));
        assert_eq!(bits(&Kind::Any, "$bitsAnySet", &json!(5)), set(vec![0, 2]));
        assert_eq!(bits(&Kind::Any, "$bitsAnySet", &json!(["1"])), set(vec![1]));
        assert!(remainder(&Kind::String, &json!([3, 1])).is_err());
        for wrong in [json!([0, 1]), json!([1]), json!("3"), json!([1.5, 1])] {
            assert!(remainder(&Kind::Number, &wrong).is_err(), "{wrong}");
        }
        for wrong in [json!(-1), json!([-1]), json!("x"), json!({})] {
            assert!(bits(&Kind::Number, "$bitsAllSet", &wrong).is_err(), "{wrong}");
        }
    }
}
