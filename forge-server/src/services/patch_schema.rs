//! Bodies of patches as JSON Schema: new values of fields, values at dotted paths, and update operators.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::changes::OPERATORS;

/// Operators, and parts of one, that are for documents without a model.
const RAW_ONLY: [&str; 2] = ["$bit", "$rename"];
/// What a path with more than one part is.
const DOTTED: &str = r"^[^$.][^.]*(\.[^.]+)+$";

/// The body of a patch whose plain fields have the schema `fields`. Operators in `disabled` are left out, and of documents
/// that are `typed` those that models do not take.
pub(super) fn body(fields: &Value, typed: bool, disabled: &BTreeSet<String>) -> Value {
    let operators = OPERATORS.into_iter().filter(|name| !disabled.contains(*name));
    let operators = operators.filter(|name| !typed || !RAW_ONLY.contains(name));
    let own = fields["properties"].as_object().cloned().unwrap_or_default();
    let all: Map<_, _> =
        own.into_iter().chain(operators.map(|name| (name.to_owned(), operator(name, typed)))).collect();
    let whole = json!({
        "type": "object",
        "description": "New values of fields and of paths (`home.city`), and update operators.",
        "properties": all,
        "patternProperties": { DOTTED: {} },
        "additionalProperties": !typed,
    });
    json!({ "anyOf": [fields, whole] })
}

/// What an operator takes: an object of paths.
fn operator(name: &str, typed: bool) -> Value {
    let (value, docs) = match name {
        "$set" => (json!({}), "New values."),
        "$setOnInsert" => (json!({}), "Values of a document that the patch makes, where it may make one."),
        "$unset" => (json!({}), "What is taken away."),
        "$inc" => (json!({ "type": "number" }), "What is added."),
        "$mul" => (json!({ "type": "number" }), "What is multiplied by."),
        "$min" => (json!({}), "The values that are new where they are smaller."),
        "$max" => (json!({}), "The values that are new where they are larger."),
        "$currentDate" => (
            json!({ "anyOf": [{ "type": "boolean" }, { "type": "object" }] }),
            "What becomes the current time: `true`.",
        ),
        "$push" => (several(&modifiers(typed)), "What is added to lists."),
        "$addToSet" => (several(&Map::new()), "What is added to lists where they do not have it."),
        "$pull" => (json!({}), "What is taken out of lists."),
        "$pullAll" => (json!({ "type": "array" }), "The values that are taken out of lists."),
        "$pop" => (json!({ "enum": [1, -1] }), "The end of lists that is taken away: 1 for the last."),
        "$bit" => {
            let operand = json!({ "type": "integer" });
            let operations = json!({ "and": operand, "or": operand, "xor": operand });
            let one =
                json!({ "type": "object", "properties": operations, "minProperties": 1, "maxProperties": 1 });
            (one, "What is done to bits.")
        }
        "$rename" => (json!({ "type": "string" }), "The new paths of fields."),
        _ => (json!({}), "An update operator."),
    };
    json!({ "type": "object", "description": docs, "additionalProperties": value })
}

/// A value, or several with what is done beside.
fn several(modifiers: &Map<String, Value>) -> Value {
    let mut properties = modifiers.clone();
    properties.insert("$each".to_owned(), json!({ "type": "array" }));
    json!({ "anyOf": [{ "type": "object", "required": ["$each"], "properties": properties }, {}] })
}

fn modifiers(typed: bool) -> Map<String, Value> {
    let whole = json!({ "type": "integer" });
    let mut modifiers =
        Map::from_iter([("$position".to_owned(), whole.clone()), ("$slice".to_owned(), whole)]);
    if !typed {
        let direction = json!({ "enum": [1, -1] });
        let by_fields = json!({ "type": "object", "additionalProperties": direction });
        modifiers.insert("$sort".to_owned(), json!({ "anyOf": [direction, by_fields] }));
    }
    modifiers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_described_and_those_that_are_disabled_are_not() {
        let fields = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
        let whole = &body(&fields, false, &BTreeSet::new())["anyOf"][1];
        for name in OPERATORS {
            let described = &whole["properties"][name]["description"];
            assert!(described.is_string() && described != "An update operator.", "{name}");
        }
        let typed = body(&fields, true, &["$inc".to_owned()].into());
        assert_eq!(typed["anyOf"][0], fields);
        let whole = &typed["anyOf"][1];
        assert_eq!(
            (&whole["properties"]["name"]["type"], &whole["additionalProperties"]),
            (&json!("string"), &json!(false))
        );
        assert!(["$inc", "$bit", "$rename"].iter().all(|name| whole["properties"].get(name).is_none()));
        assert_eq!(whole["properties"]["$mul"]["additionalProperties"], json!({ "type": "number" }));
    }
}
