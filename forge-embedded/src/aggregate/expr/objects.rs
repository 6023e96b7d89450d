//! Operators on documents.

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use super::{Nulls, Operator, Value, argument, is_nothing, length, operator, text};
use crate::keys;

pub(super) static OPERATORS: [Operator; 4] = [
    operator("$mergeObjects", (0, usize::MAX), Nulls::Asked, |values| {
        let mut out = Document::new();
        for value in values.iter().flatten() {
            match value {
                Bson::Document(document) => out.extend(document.clone()),
                Bson::Null | Bson::Undefined => {}
                Bson::Array(items) => {
                    for item in items {
                        out.extend(document(item)?.clone());
                    }
                }
                other => return Err(Error::bad_request(format!("only documents are merged, not {other}"))),
            }
        }
        Ok(Some(Bson::Document(out)))
    }),
    operator("$objectToArray", (1, 1), Nulls::Null, |values| {
        let pairs =
            document(argument(values, 0))?.iter().map(|(name, value)| doc! { "k": name, "v": value }.into());
        Ok(Some(Bson::Array(pairs.collect())))
    }),
    operator("$bsonSize", (1, 1), Nulls::Null, |values| {
        Ok(Some(length(keys::to_raw(document(argument(values, 0))?)?.as_bytes().len())))
    }),
    operator("$binarySize", (1, 1), Nulls::Null, |values| match argument(values, 0) {
        Bson::Binary(binary) => Ok(Some(length(binary.bytes.len()))),
        other => Ok(Some(length(text(other)?.len()))),
    }),
];

fn document(value: &Bson) -> Result<&Document> {
    value.as_document().ok_or_else(|| Error::bad_request(format!("a document is due, not {value}")))
}

/// The field of that very name, dots and dollars included.
pub(super) fn field_of(input: &Value, name: &str) -> Result<Value> {
    if is_nothing(input) {
        return Ok(input.clone());
    }
    Ok(input.as_ref().and_then(Bson::as_document).and_then(|document| document.get(name)).cloned())
}

/// The document with the field of that very name set, or removed where there is no value.
pub(super) fn with_field(input: &Value, name: &str, value: Value) -> Result<Value> {
    if is_nothing(input) {
        return Ok(Some(Bson::Null));
    }
    let mut out = document(input.as_ref().unwrap_or(&Bson::Null))?.clone();
    match value {
        Some(value) => drop(out.insert(name, value)),
        None => drop(out.remove(name)),
    }
    Ok(Some(Bson::Document(out)))
}
