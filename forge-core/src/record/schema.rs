//! The JSON Schemas of records.

use schemars::{Schema, SchemaGenerator};

use super::{COUNTS, Role, Shape};
use crate::model::{Access, Default as DefaultDef, FieldDef};

/// The schema of a field's type: what [`FieldDef::schema`] points to.
pub fn schema_of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The JSON Schema of what clients send and receive as `shape`.
pub fn shape_schema(shape: &'static Shape, generator: &mut SchemaGenerator) -> Schema {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for position in 0..shape.pick.len() {
        let visible = if shape.role == Role::Model { shape.shows(position) } else { shape.accepts(position) };
        let Some(field) = shape.field(position).filter(|_| visible) else { continue };
        let mut schema = (field.schema)(generator);
        crate::schema::apply(&mut schema, field.rules);
        if !field.docs.is_empty() {
            schema.insert("description".into(), field.docs.into());
        }
        if is_required(shape.role, field) {
            required.push(serde_json::Value::from(field.client));
        }
        properties.insert(field.client.into(), schema.to_value());
    }
    for relation in shape.relations.iter().filter(|relation| relation.access != Access::Private) {
        let target = (relation.target)().name;
        let link = serde_json::json!({ "$ref": format!("#/$defs/{target}") });
        let schema =
            if relation.is_to_one() { link } else { serde_json::json!({ "type": "array", "items": link }) };
        properties.insert(relation.client.into(), schema);
    }
    if let Some(counts) = counts_schema(shape) {
        properties.insert(COUNTS.into(), counts);
    }
    let mut schema =
        schemars::json_schema!({ "type": "object", "title": shape.name, "properties": properties });
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    if shape.role != Role::Model {
        schema.insert("additionalProperties".into(), false.into());
    }
    schema
}

/// What clients read of relations that were counted.
fn counts_schema(shape: &Shape) -> Option<serde_json::Value> {
    let many = shape.relations.iter().filter(|relation| !relation.is_to_one());
    let many = many.filter(|relation| relation.access != Access::Private);
    let count = serde_json::json!({ "type": "integer", "minimum": 0 });
    let counts: serde_json::Map<_, _> =
        many.map(|relation| (relation.client.to_owned(), count.clone())).collect();
    (!counts.is_empty()).then(|| {
        serde_json::json!({
            "type": "object",
            "description": "How many related documents there are, where that was asked for.",
            "properties": counts,
        })
    })
}

fn is_required(role: Role, field: &FieldDef) -> bool {
    match role {
        Role::Patch => false,
        Role::Model => true,
        Role::New | Role::Embed | Role::Args => !field.optional && field.default == DefaultDef::None,
    }
}
