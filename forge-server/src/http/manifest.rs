//! `/api/manifest`: what clients may call and see, with JSON Schemas.

use forge_core::Catalog;
use forge_core::handler::{HandlerDef, Registry};
use forge_core::model::{Access, Default as DefaultDef, FieldDef, ModelDef};
use forge_core::record::shape_schema;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::schemas;

/// The manifest as JSON. Internal handlers and private fields are not in it.
pub(crate) fn manifest(registry: &Registry, catalog: &Catalog) -> String {
    let mut generator = schemas::generator("/$defs");
    let handlers: Vec<_> =
        registry.iter().filter(|handler| !handler.internal).map(|def| handler(def, &mut generator)).collect();
    let models: Vec<_> =
        catalog.models().iter().filter(|def| !def.is_own()).map(|def| model(def, &mut generator)).collect();
    let mut manifest = json!({ "protocol": 1, "handlers": handlers, "models": models });
    manifest["$defs"] = schemas::definitions(generator, &manifest, catalog).into();
    manifest.to_string()
}

fn handler(def: &HandlerDef, generator: &mut SchemaGenerator) -> Value {
    json!({
        "name": def.name,
        "kind": def.kind,
        "guard": def.guard,
        "docs": def.docs,
        "args": shape_schema((def.args)(), generator),
        "returns": (def.returns)(generator),
    })
}

fn model(def: &ModelDef, generator: &mut SchemaGenerator) -> Value {
    let fields: Vec<_> = def
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.access != Access::Private)
        .map(|(position, field)| describe(field, position == def.id, generator))
        .collect();
    let relations: Vec<_> = def
        .relations
        .iter()
        .filter(|relation| relation.access != Access::Private)
        .map(|relation| json!({ "name": relation.client, "kind": relation.kind, "model": (relation.target)().name }))
        .collect();
    json!({ "name": def.name, "docs": def.docs, "fields": fields, "relations": relations })
}

fn describe(field: &FieldDef, id: bool, generator: &mut SchemaGenerator) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), field.client.into());
    out.insert("docs".into(), field.docs.into());
    out.insert("schema".into(), (field.schema)(generator).to_value());
    let flags = [
        ("id", id),
        ("optional", field.optional),
        ("readonly", field.access == Access::ReadOnly),
        ("default", field.default != DefaultDef::None),
    ];
    out.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| ((*name).into(), true.into())));
    out.into()
}
