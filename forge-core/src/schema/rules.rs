//! `#[validate]` bounds in the JSON Schemas of clients.

use schemars::Schema;
use serde_json::{Map, Value};

use super::Rule;

/// Writes `rules` into the schema of a field, where they fit its type.
pub(crate) fn apply(schema: &mut Schema, rules: &[Rule]) {
    if rules.is_empty() {
        return;
    }
    if let Some(target) = schema.as_object_mut().and_then(bounded) {
        for rule in rules {
            write(target, rule);
        }
    }
}

/// The object that bounds go into: that of the value, where an optional one is spelled as an alternative.
fn bounded(schema: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    if schema.contains_key("type") {
        return Some(schema);
    }
    let alternatives = schema.get_mut("anyOf")?.as_array_mut()?;
    let mut values =
        alternatives.iter_mut().filter(|one| one["type"] != "null").filter_map(Value::as_object_mut);
    values.next().filter(|one| one.contains_key("type"))
}

fn write(target: &mut Map<String, Value>, rule: &Rule) {
    let length = |least: bool| match (kind(target), least) {
        (Some("string"), true) => Some("minLength"),
        (Some("string"), false) => Some("maxLength"),
        (Some("array"), true) => Some("minItems"),
        (Some("array"), false) => Some("maxItems"),
        (Some("object"), true) => Some("minProperties"),
        (Some("object"), false) => Some("maxProperties"),
        _ => None,
    };
    let (key, value) = match rule {
        Rule::MinLength(n) => (length(true), (*n).into()),
        Rule::MaxLength(n) => (length(false), (*n).into()),
        Rule::Minimum(n) => (Some("minimum"), number(*n)),
        Rule::Maximum(n) => (Some("maximum"), number(*n)),
        Rule::Above(n) => (Some("exclusiveMinimum"), number(*n)),
        Rule::Below(n) => (Some("exclusiveMaximum"), number(*n)),
        Rule::Format(format) => (Some("format"), (*format).into()),
        Rule::Contains(part) => (Some("pattern"), escaped(part).into()),
    };
    if let Some(key) = key {
        target.insert(key.to_owned(), value);
    }
}

/// The type, beside null.
fn kind(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// A whole number where it is one: `0`, not `0.0`.
fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 { (n as i64).into() } else { n.into() }
}

/// A pattern that finds `text` as it is.
pub(super) fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\^$.|?*+()[]{}/-".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use schemars::json_schema;
    use serde_json::json;

    use super::*;

    fn with(mut schema: Schema, rules: &[Rule]) -> Value {
        apply(&mut schema, rules);
        schema.to_value()
    }

    #[test]
    fn lengths_fit_the_type() {
        let rules = [Rule::MinLength(1), Rule::MaxLength(3)];
        assert_eq!(
            with(json_schema!({ "type": "string" }), &rules),
            json!({ "type": "string", "minLength": 1, "maxLength": 3 })
        );
        let optional = with(json_schema!({ "type": ["array", "null"], "items": {} }), &rules);
        assert_eq!((optional["minItems"].as_u64(), optional["maxItems"].as_u64()), (Some(1), Some(3)));
        assert_eq!(with(json_schema!({ "$ref": "#/$defs/A" }), &rules), json!({ "$ref": "#/$defs/A" }));
    }

    #[test]
    fn bounds_are_whole_where_they_can_be_and_parts_are_escaped() {
        let rules = [Rule::Minimum(-60.0), Rule::Below(0.5), Rule::Contains("a.b")];
        let schema = with(json_schema!({ "type": "integer" }), &rules);
        assert_eq!(
            schema,
            json!({ "type": "integer", "minimum": -60, "exclusiveMaximum": 0.5, "pattern": "a\\.b" })
        );
    }
}
