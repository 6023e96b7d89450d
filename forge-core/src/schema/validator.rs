//! A model as MongoDB's `$jsonSchema`: BSON types, required fields, embeds, enums, and the bounds of `#[validate]`.

use bson::{Bson, Document, doc};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::{bson_of, rules};
use crate::model::{CREATED_AT, DELETED_AT, Default as DefaultDef, FieldDef, ModelDef, UPDATED_AT};

/// Marks a generator whose schemas describe BSON, not JSON.
const BSON: &str = "bson";
/// How deep types are followed; below, anything goes.
const MAX_DEPTH: usize = 16;

/// The schema of a type that BSON has itself, while a schema of stored documents is made; else none.
pub(crate) fn stored_as(generator: &SchemaGenerator, bson_type: &str) -> Option<Schema> {
    let stored = generator.settings().meta_schema.as_deref() == Some(BSON);
    stored.then(|| json_schema!({ "bsonType": bson_type }))
}

/// The `$jsonSchema` that documents of `model` fulfil. Fields that it does not know are allowed, and fields with a default
/// may be absent, as in documents that are older than the field.
pub fn json_schema(model: &ModelDef) -> Document {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = Some(BSON.into());
        settings.transforms = Vec::new();
    });
    let mut made = object(model.fields, &mut settings.into_generator(), 0);
    if let Ok(properties) = made.get_document_mut("properties") {
        let kept = [
            (CREATED_AT, model.timestamps, doc! { "bsonType": "date" }),
            (UPDATED_AT, model.timestamps, doc! { "bsonType": "date" }),
            (DELETED_AT, model.soft_delete, doc! { "bsonType": ["date", "null"] }),
        ];
        for (name, kept, schema) in kept {
            if kept && !properties.contains_key(name) {
                properties.insert(name, schema);
            }
        }
    }
    made
}

fn object(fields: &[FieldDef], generator: &mut SchemaGenerator, depth: usize) -> Document {
    let (mut properties, mut required) = (Document::new(), Vec::new());
    for field in fields {
        properties.insert(field.stored, of_field(field, generator, depth));
        if !field.optional && field.default != DefaultDef::Value {
            required.push(field.stored);
        }
    }
    let mut schema = doc! { "bsonType": "object" };
    // An empty list is an error of the server.
    if !required.is_empty() {
        schema.insert("required", required);
    }
    schema.insert("properties", properties);
    schema
}

fn of_field(field: &FieldDef, generator: &mut SchemaGenerator, depth: usize) -> Document {
    if depth >= MAX_DEPTH {
        return Document::new();
    }
    let mut schema = (field.schema)(generator);
    rules::apply(&mut schema, field.rules);
    let schema = schema.to_value();
    match field.embed {
        None => {
            let mut out = Convert { definitions: generator.definitions() }.schema(&schema, depth);
            if field.optional {
                allow_null(&mut out);
            }
            out
        }
        Some(embed) => {
            let embedded = object(embed().fields, generator, depth + 1);
            embeds(&schema, embedded, field.optional)
        }
    }
}

/// An embed, or a list of them.
fn embeds(schema: &Value, embedded: Document, optional: bool) -> Document {
    let is_list = |schema: &Value| schema["type"] == "array" || schema["type"][0] == "array";
    let alternatives = schema["anyOf"].as_array();
    let list = alternatives
        .map_or_else(|| is_list(schema).then_some(schema), |all| all.iter().find(|one| is_list(one)));
    let mut out = match list {
        None => embedded,
        Some(list) => {
            let mut out = doc! { "bsonType": "array", "items": embedded };
            for bound in ["minItems", "maxItems"] {
                if let Some(value) = list.get(bound) {
                    out.insert(bound, bson_of(value.clone()));
                }
            }
            out
        }
    };
    if optional {
        allow_null(&mut out);
    }
    out
}

/// Lets null pass where a type is asked for.
fn allow_null(schema: &mut Document) {
    let null = Bson::from("null");
    match schema.get_mut("bsonType") {
        Some(Bson::Array(kinds)) if !kinds.contains(&null) => kinds.push(null),
        Some(kind @ Bson::String(_)) if *kind != null => *kind = Bson::Array(vec![kind.clone(), null]),
        _ => {}
    }
}

struct Convert<'a> {
    definitions: &'a Map<String, Value>,
}

impl Convert<'_> {
    fn schema(&self, schema: &Value, depth: usize) -> Document {
        let Value::Object(fields) = schema else { return Document::new() };
        if depth >= MAX_DEPTH {
            return Document::new();
        }
        let mut out = match fields.get("$ref").and_then(Value::as_str) {
            Some(link) => self.definition(link, depth),
            None => Document::new(),
        };
        for (key, value) in fields {
            self.keyword(&mut out, key, value, depth);
        }
        merged(out)
    }

    fn definition(&self, link: &str, depth: usize) -> Document {
        let name = link.rsplit('/').next().unwrap_or(link);
        self.definitions.get(name).map_or_else(Document::new, |schema| self.schema(schema, depth + 1))
    }

    fn keyword(&self, out: &mut Document, key: &str, value: &Value, depth: usize) {
        let inner = |value: &Value| self.schema(value, depth + 1);
        match key {
            "type" => {
                out.insert("bsonType", types(value));
            }
            "const" => {
                out.insert("enum", vec![bson_of(value.clone())]);
            }
            "bsonType" | "enum" | "required" | "minLength" | "maxLength" | "minItems" | "maxItems"
            | "uniqueItems" | "minProperties" | "maxProperties" | "pattern" | "multipleOf" => {
                out.insert(key, bson_of(value.clone()));
            }
            "minimum" | "maximum" => _ = out.entry(key.to_owned()).or_insert_with(|| bson_of(value.clone())),
            "exclusiveMinimum" | "exclusiveMaximum" => {
                let bound = if key == "exclusiveMinimum" { "minimum" } else { "maximum" };
                out.insert(bound, bson_of(value.clone()));
                out.insert(key, true);
            }
            "items" | "additionalProperties" | "additionalItems" | "not" => match value {
                Value::Bool(allowed) if key != "not" && key != "items" => _ = out.insert(key, *allowed),
                Value::Bool(_) => {}
                value => _ = out.insert(key, inner(value)),
            },
            "prefixItems" => {
                out.insert("items", list(value, inner));
            }
            "anyOf" | "oneOf" | "allOf" => {
                out.insert(key, list(value, inner));
            }
            "properties" | "patternProperties" => {
                let all = value.as_object().into_iter().flatten();
                out.insert(
                    key,
                    all.map(|(name, value)| (name.clone(), Bson::Document(inner(value))))
                        .collect::<Document>(),
                );
            }
            // Formats, titles, defaults: a server does not know them, or has no use for them.
            _ => {}
        }
    }
}

fn list(value: &Value, inner: impl Fn(&Value) -> Document) -> Vec<Document> {
    value.as_array().into_iter().flatten().map(inner).collect()
}

/// JSON's types as BSON's.
fn types(value: &Value) -> Bson {
    let names = match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    let mut out: Vec<&str> = Vec::new();
    for name in names {
        match name {
            "integer" => out.extend(["int", "long"]),
            "boolean" => out.push("bool"),
            name => out.push(name),
        }
    }
    match out.as_slice() {
        [only] => (*only).into(),
        all => all.to_vec().into(),
    }
}

/// Alternatives that are types alone, as one list of types: what an `Option` of a type of BSON's is.
fn merged(mut schema: Document) -> Document {
    let Ok(alternatives) = schema.get_array("anyOf") else { return schema };
    let mut kinds = Vec::new();
    for one in alternatives {
        match one.as_document().filter(|one| one.len() == 1).and_then(|one| one.get("bsonType")) {
            Some(Bson::Array(all)) => kinds.extend(all.iter().cloned()),
            Some(kind) => kinds.push(kind.clone()),
            None => return schema,
        }
    }
    schema.remove("anyOf");
    schema.insert("bsonType", kinds);
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EmbedDef, Rule};
    use crate::record::schema_of;
    use crate::types::{DateTime, GeoPoint, GeoShape, Id, Uuid};

    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Red,
        Green,
    }

    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Ring {
        next: Option<Box<Ring>>,
    }

    static ADDRESS: EmbedDef = EmbedDef {
        name: "Address",
        fields: &[FieldDef::new("zip_code", "zipCode", "zipCode", schema_of::<String>)],
    };

    const fn of<T: schemars::JsonSchema>(name: &'static str) -> FieldDef {
        FieldDef::new(name, name, name, schema_of::<T>)
    }

    static FIELDS: [FieldDef; 12] = [
        FieldDef::new("id", "_id", "id", schema_of::<Id<()>>),
        FieldDef { rules: &[Rule::MinLength(2)], ..of::<String>("name") },
        FieldDef { optional: true, rules: &[Rule::Minimum(0.0), Rule::Below(9.5)], ..of::<Option<i32>>("n") },
        FieldDef { default: DefaultDef::Value, ..of::<f64>("price") },
        FieldDef { optional: true, ..of::<Option<DateTime>>("at") },
        of::<Uuid>("key"),
        of::<Kind>("kind"),
        FieldDef { embed: Some(|| &ADDRESS), optional: true, ..of::<Option<Ring>>("home") },
        FieldDef { embed: Some(|| &ADDRESS), rules: &[Rule::MaxLength(3)], ..of::<Vec<Ring>>("past") },
        of::<GeoPoint>("place"),
        FieldDef { optional: true, ..of::<Option<GeoShape>>("shape") },
        of::<Ring>("ring"),
    ];

    #[test]
    fn a_model_is_described_as_it_is_stored() {
        let model = ModelDef { timestamps: true, ..ModelDef::new("Thing", "things", &FIELDS, 0) };
        let schema = json_schema(&model);
        let required = schema.get_array("required").unwrap();
        assert_eq!(
            required,
            &["_id", "name", "key", "kind", "past", "place", "ring"].map(Bson::from).to_vec()
        );
        let properties = schema.get_document("properties").unwrap();
        let is = |name: &str, expected: Document| {
            assert_eq!(properties.get_document(name).unwrap(), &expected, "{name}");
        };
        is("_id", doc! { "bsonType": "objectId" });
        is("name", doc! { "bsonType": "string", "minLength": 2 });
        is(
            "n",
            doc! { "bsonType": ["int", "long", "null"], "minimum": 0, "maximum": 9.5, "exclusiveMaximum": true },
        );
        is("price", doc! { "bsonType": "number" });
        is("at", doc! { "bsonType": ["date", "null"] });
        is("key", doc! { "bsonType": "binData" });
        is("kind", doc! { "bsonType": "string", "enum": ["red", "green"] });
        let address = doc! { "bsonType": "object", "required": ["zipCode"], "properties": { "zipCode": { "bsonType": "string" } } };
        let mut home = address.clone();
        home.insert("bsonType", vec!["object", "null"]);
        is("home", home);
        is("past", doc! { "bsonType": "array", "items": address, "maxItems": 3 });
        let place = properties.get_document("place").unwrap();
        let coordinates = place.get_document("properties").unwrap().get_document("coordinates").unwrap();
        assert_eq!(coordinates.get_document("items").unwrap(), &doc! { "bsonType": "number" });
        let alternatives = properties.get_document("shape").unwrap().get_array("anyOf").unwrap();
        assert_eq!(alternatives.last(), Some(&doc! { "bsonType": "null" }.into()));
        let kinds = alternatives[0].as_document().unwrap().get_array("anyOf").unwrap();
        let kind = |kind: &Bson| {
            kind.as_document().unwrap().get_document("properties").unwrap().get("type").cloned()
        };
        assert_eq!((kinds.len(), kind(&kinds[1])), (7, Some(doc! { "enum": ["LineString"] }.into())));
        assert!(properties.get_document("ring").is_ok(), "a type that contains itself ends");
        is("createdAt", doc! { "bsonType": "date" });
    }
}
