//! The kinds of values that JSON Schemas describe.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::kind::{Form, Kind, Parts};
use super::place::{self, Geo};

/// What a schema may hold without saying anything of values.
const REMARKS: [&str; 11] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$schema",
    "$id",
    "$comment",
    "$defs",
];

impl Kind {
    /// The kind of what a JSON Schema describes; `definitions` are those that it refers to. What it leaves open is
    /// closed to clients: an embed's schema does not name its private fields.
    pub(super) fn of_schema(schema: &Value, definitions: &Map<String, Value>) -> Self {
        Reader { definitions, within: Vec::new() }.read(schema)
    }
}

struct Reader<'a> {
    definitions: &'a Map<String, Value>,
    /// The definitions that are being read: one may contain itself.
    within: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, schema: &'a Value) -> Kind {
        let object = match schema {
            Value::Bool(true) => return Kind::Any,
            Value::Object(object) => object,
            _ => return Kind::closed(),
        };
        if object.keys().all(|key| REMARKS.contains(&key.as_str())) {
            return Kind::Any;
        }
        let mut known: Vec<_> = object.get("$ref").map(|name| self.named(name)).into_iter().collect();
        known.extend(self.list(schema, "allOf").into_iter().reduce(Kind::and));
        for one_of in ["anyOf", "oneOf"] {
            known.extend(self.list(schema, one_of).into_iter().reduce(Kind::or));
        }
        known.extend(self.own(schema));
        known.into_iter().reduce(Kind::and).unwrap_or_else(Kind::closed)
    }

    fn named(&mut self, path: &'a Value) -> Kind {
        let name = path.as_str().and_then(|path| path.rsplit('/').next()).unwrap_or("");
        let Some(definition) = self.definitions.get(name).filter(|_| !self.within.contains(&name)) else {
            return Kind::closed();
        };
        self.within.push(name);
        let kind = self.read(definition);
        self.within.pop();
        kind
    }

    /// What a list of schemas describes; null stands for what is absent.
    fn list(&mut self, schema: &'a Value, key: &str) -> Vec<Kind> {
        let list = schema[key].as_array().into_iter().flatten();
        list.filter(|schema| schema["type"] != "null").map(|schema| self.read(schema)).collect()
    }

    /// What the schema says without others.
    fn own(&mut self, schema: &'a Value) -> Option<Kind> {
        let types = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => Vec::from_iter(one.as_str()),
        };
        if types.is_empty() {
            return constant(schema);
        }
        let kinds = types.iter().filter(|name| **name != "null").map(|name| self.of_type(name, schema));
        Some(kinds.reduce(Kind::or).unwrap_or(Kind::Any))
    }

    fn of_type(&mut self, name: &str, schema: &'a Value) -> Kind {
        match name {
            "integer" | "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            "string" => of_text(schema),
            "array" => {
                let items = schema.get("items").map(|items| self.read(items));
                let all = items.into_iter().chain(self.list(schema, "prefixItems"));
                Kind::Element(Box::new(all.reduce(Kind::or).unwrap_or_else(Kind::closed)))
            }
            _ => self.object(schema),
        }
    }

    fn object(&mut self, schema: &'a Value) -> Kind {
        if let Some(place) = place(schema) {
            return place;
        }
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(name, schema)| (name.clone(), self.read(schema))).collect();
        let others = schema.get("additionalProperties").filter(|others| **others != Value::Bool(false));
        let patterns = schema["patternProperties"].as_object().into_iter().flatten();
        let others = others.into_iter().chain(patterns.map(|(_, schema)| schema));
        let rest = others.map(|schema| self.read(schema)).reduce(Kind::or);
        // The schemas of models and embeds have titles, and leave out what is private.
        let partial = schema.get("title").is_some() || (rest.is_none() && schema.get("properties").is_none());
        Kind::Parts(Box::new(Parts { fields, rest, partial, scalars: false }))
    }
}

/// The kind of GeoJSON, by the schemas that the types of places have.
fn place(schema: &Value) -> Option<Kind> {
    let properties = schema["properties"].as_object().filter(|properties| properties.len() == 2)?;
    let geo = Geo::named(schema["properties"]["type"]["const"].as_str()?)?;
    properties.get(if geo == Geo::Collection { "geometries" } else { "coordinates" })?;
    Some(Kind::Geo(geo))
}

/// The kind of the values that a schema lists.
fn constant(schema: &Value) -> Option<Kind> {
    let listed = schema["enum"].as_array().map(Vec::as_slice);
    let values = listed.or_else(|| schema.get("const").map(std::slice::from_ref))?;
    if values.iter().any(|value| value.is_object() || value.is_array()) {
        return Some(Kind::closed());
    }
    Some(if values.iter().all(Value::is_string) { Kind::String } else { Kind::Any })
}

fn of_text(schema: &Value) -> Kind {
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

impl Kind {
    /// A sub-document of which clients know nothing.
    fn closed() -> Self {
        let (fields, rest) = (BTreeMap::new(), None);
        Self::Parts(Box::new(Parts { fields, rest, partial: true, scalars: false }))
    }

    /// What is of one kind or of the other.
    fn or(self, other: Self) -> Self {
        self.joined(other, Parts::or)
    }

    /// What both describe.
    fn and(self, other: Self) -> Self {
        self.joined(other, Parts::and)
    }

    fn joined(self, other: Self, parts: fn(Parts, Parts) -> Parts) -> Self {
        use Kind::{Any, Element, Geo, List, Nested, Parts};
        match (self, other) {
            (one, other) if one == other => one,
            (Geo(_), Geo(_)) => Geo(place::Geo::Shape),
            (Element(one) | List(one), Element(other) | List(other)) => {
                Element(Box::new(one.joined(*other, parts)))
            }
            (Element(of) | List(of), other) | (other, Element(of) | List(of)) => {
                Element(Box::new(of.joined(other, parts)))
            }
            (Parts(one), Parts(other)) => Parts(Box::new(parts(*one, *other))),
            (Nested, _) | (_, Nested) => Nested,
            (Parts(mut one), _) | (_, Parts(mut one)) => {
                one.scalars = true;
                Parts(one)
            }
            _ => Any,
        }
    }
}

impl Parts {
    /// The fields of one or the other. What one of them shows the other may hide, under the same name.
    fn or(self, other: Self) -> Self {
        let mut fields = BTreeMap::new();
        for (one, other) in [(&self, &other), (&other, &self)] {
            for (name, kind) in &one.fields {
                let kind = match (other.fields.get(name).or(other.rest.as_ref()), other.partial) {
                    (Some(same), _) => kind.clone().or(same.clone()),
                    (None, false) => kind.clone(),
                    (None, true) => continue,
                };
                fields.insert(name.clone(), kind);
            }
        }
        let rest = match (self.rest, other.rest) {
            (Some(one), Some(other)) => Some(one.or(other)),
            (Some(rest), None) => Some(rest).filter(|_| !other.partial),
            (None, Some(rest)) => Some(rest).filter(|_| !self.partial),
            (None, None) => None,
        };
        let (partial, scalars) = (self.partial || other.partial, self.scalars || other.scalars);
        Self { fields, rest, partial, scalars }
    }

    fn and(self, other: Self) -> Self {
        let mut fields = self.fields;
        for (name, kind) in other.fields {
            let kind = match fields.remove(&name) {
                Some(known) => known.and(kind),
                None => kind,
            };
            fields.insert(name, kind);
        }
        let rest = match (self.rest, other.rest) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        let (partial, scalars) = (self.partial || other.partial, self.scalars || other.scalars);
        Self { fields, rest, partial, scalars }
    }
}

#[cfg(test)]
mod tests {
    use forge_core::types;
    use serde_json::json;

    use super::*;

    fn below(schema: &Value, path: &str) -> Option<Kind> {
        let home = json!({
            "type": "object", "title": "Home", "properties": { "city": { "type": "string" } },
            "additionalProperties": false,
        });
        let tree = json!({ "type": "array", "items": { "$ref": "#/$defs/Tree" } });
        let definitions = Map::from_iter([("Home".to_owned(), home), ("Tree".to_owned(), tree)]);
        Kind::of_schema(schema, &definitions).below(path)
    }

    #[test]
    fn maps_have_any_key_and_embeds_their_public_fields() {
        let homes = json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/Home" } });
        assert_eq!(below(&homes, "rome.city"), Some(Kind::String));
        assert_eq!(below(&homes, "rome.door"), None);
        assert_eq!(below(&homes, "rome.city.more"), None);
        let counts = json!({ "type": "object", "additionalProperties": { "type": "integer" } });
        assert_eq!(below(&counts, "rome"), Some(Kind::Number));
        assert_eq!(below(&json!({ "type": ["array", "null"], "items": homes }), "rome.door"), None);
        assert_eq!(below(&json!(true), "a.b"), Some(Kind::Any));
        assert_eq!(below(&json!({ "description": "anything" }), "a"), Some(Kind::Any));
        for unknown in [json!({ "type": "object" }), json!({ "$ref": "#/$defs/None" }), json!({ "not": {} })]
        {
            assert_eq!(below(&unknown, "a"), None, "{unknown}");
        }
        assert_eq!(below(&json!({ "$ref": "#/$defs/Tree" }), "a"), None);
    }

    #[test]
    fn places_are_known_by_the_schemas_of_their_types() {
        let mut generator = schemars::SchemaGenerator::default();
        for (schema, geo) in [
            (generator.subschema_for::<types::GeoPoint>(), Geo::Point),
            (generator.subschema_for::<types::GeoLine>(), Geo::Line),
            (generator.subschema_for::<Option<types::GeoPolygon>>(), Geo::Polygon),
            (generator.subschema_for::<types::GeoMultiPoint>(), Geo::MultiPoint),
            (generator.subschema_for::<types::GeoMultiLine>(), Geo::MultiLine),
            (generator.subschema_for::<types::GeoMultiPolygon>(), Geo::MultiPolygon),
            (generator.subschema_for::<types::GeoCollection>(), Geo::Collection),
            (generator.subschema_for::<Option<types::GeoShape>>(), Geo::Shape),
        ] {
            assert_eq!(Kind::of_schema(schema.as_value(), generator.definitions()), Kind::Geo(geo));
        }
    }

    #[test]
    fn of_several_forms_only_what_none_of_them_may_hide_is_known() {
        let tagged =
            |tag: &str| json!({ "type": "object", "properties": { tag: { "$ref": "#/$defs/Home" } } });
        let outside =
            json!({ "oneOf": [{ "type": "string", "enum": ["None"] }, tagged("One"), tagged("Two")] });
        assert_eq!(below(&outside, "One.city"), Some(Kind::String));
        assert_eq!(below(&outside, "One.door"), None);
        assert_eq!(Kind::of_schema(&outside, &Map::new()).coerce(&json!("None")), Ok("None".into()));
        let plain = json!({
            "type": "object", "properties": { "kind": { "const": "plain" }, "door": { "type": "string" } },
        });
        let home = json!({
            "type": "object", "properties": { "kind": { "const": "home" } }, "$ref": "#/$defs/Home",
        });
        let inside = json!({ "oneOf": [plain, home] });
        assert_eq!(below(&inside, "kind"), Some(Kind::String));
        assert_eq!(below(&inside, "door"), None, "the other form hides one of that name");
        let any = json!({ "anyOf": [{ "$ref": "#/$defs/Home" }, { "type": "object", "additionalProperties": true }] });
        assert_eq!(below(&any, "door"), None);
    }
}
