//! JSON Schemas of a document: one generator, and the models that only relations lead to.

use std::collections::BTreeSet;

use forge_core::Catalog;
use forge_core::model::{Access, ModelDef};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Where schemas refer to, unless the document keeps its definitions elsewhere.
const DEFINITIONS: &str = "#/$defs/";

/// A generator whose definitions stand at `path` (`/$defs`).
pub(super) fn generator(path: &'static str) -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = path.into()).into_generator()
}

/// Everything that the schemas in `document` refer to, by name: what the generator collected, and the models behind
/// relations.
pub(super) fn definitions(
    mut generator: SchemaGenerator,
    document: &Value,
    catalog: &Catalog,
) -> Map<String, Value> {
    let mut all = generator.take_definitions(true);
    let mut known = BTreeSet::new();
    let mut open: Vec<Value> = all.values().cloned().chain([document.clone()]).collect();
    while let Some(schema) = open.pop() {
        for name in links(&schema) {
            let model = catalog.models().iter().find(|model| model.name == name);
            if let Some(model) = model.filter(|_| !all.contains_key(&name) && known.insert(name.clone())) {
                let made = model_schema(model, &mut generator);
                let mut met = generator.take_definitions(true);
                open.push(made.clone());
                open.extend(met.values().cloned());
                all.append(&mut met);
                all.insert(name, made);
            }
        }
    }
    all
}

/// The names that a schema refers to.
fn links(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    walk(schema, &mut |target| {
        names.extend(target.strip_prefix(DEFINITIONS).map(str::to_owned));
    });
    names
}

fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v str)) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                visit(target);
            }
            map.values().for_each(|value| walk(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

/// Makes every link to a definition one to `path` (`#/components/schemas/`).
pub(super) fn relink(value: &mut Value, path: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref")
                && let Some(name) = target.strip_prefix(DEFINITIONS)
            {
                *target = format!("{path}{name}");
            }
            map.values_mut().for_each(|value| relink(value, path));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| relink(value, path)),
        _ => {}
    }
}

/// The schema of a model that no handler names, but a relation does.
fn model_schema(model: &ModelDef, generator: &mut SchemaGenerator) -> Value {
    let shown = model.fields.iter().filter(|field| field.access != Access::Private);
    let required: Vec<_> = shown.clone().map(|field| field.client).collect();
    let mut properties: Map<_, _> =
        shown.map(|field| (field.client.into(), (field.schema)(generator).to_value())).collect();
    for relation in model.relations.iter().filter(|relation| relation.access != Access::Private) {
        let link = json!({ "$ref": format!("{DEFINITIONS}{}", (relation.target)().name) });
        let schema = if relation.is_to_one() { link } else { json!({ "type": "array", "items": link }) };
        properties.insert(relation.client.into(), schema);
    }
    json!({ "type": "object", "title": model.name, "properties": properties, "required": required })
}
