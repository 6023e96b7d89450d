//! Which collections a view reads: what its readers depend on.

use std::collections::BTreeSet;

use bson::{Bson, Document};
use forge_core::model::ModelDef;

use crate::compile;

/// The collections that a read of `model` depends on; none where it is the model's own.
pub(super) fn sources(model: &ModelDef) -> Option<BTreeSet<String>> {
    let view = model.view.as_ref().filter(|_| model.is_plain_view())?;
    let mut found = BTreeSet::new();
    let source = (view.source)();
    match sources(source) {
        Some(below) => found.extend(below),
        None => _ = found.insert(source.collection.to_owned()),
    }
    // The catalog has made the pipeline once already.
    compile::view(view).unwrap_or_default().iter().for_each(|stage| collect(stage, &mut found));
    Some(found)
}

fn collect(stage: &Document, found: &mut BTreeSet<String>) {
    for (name, operand) in stage {
        match (name.as_str(), operand) {
            ("$lookup" | "$graphLookup", Bson::Document(lookup)) => {
                found.extend(lookup.get_str("from").ok().map(str::to_owned));
            }
            ("$unionWith", Bson::String(collection)) => _ = found.insert(collection.clone()),
            ("$unionWith", Bson::Document(union)) => {
                found.extend(union.get_str("coll").ok().map(str::to_owned));
            }
            _ => {}
        }
        nested(operand, found);
    }
}

/// Pipelines inside of a stage: of joins, unions and facets.
fn nested(operand: &Bson, found: &mut BTreeSet<String>) {
    match operand {
        Bson::Document(fields) => fields.values().for_each(|value| nested(value, found)),
        Bson::Array(items) => items.iter().for_each(|item| match item {
            Bson::Document(stage) => collect(stage, found),
            other => nested(other, found),
        }),
        _ => {}
    }
}
