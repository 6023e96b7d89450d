//! The query builders: typed, awaited to run, compiled to the [IR](crate::ir).

mod delete;
mod find;
mod group;
mod include;
mod update;

pub use delete::{Delete, DeleteMany};
pub use find::{Count, Find};
pub use group::{Agg, AggregateSet, GroupBy, GroupFilter, KeySet, count};
pub use include::{Include, IntoIncludes};
pub use update::{Update, UpdateMany};

pub use crate::fields::{EmbedMany, EmbedOne, Field, Filter, IntoSort, Order, Place, Text, ToMany, ToOne};
pub use crate::value::IntoValue;

use bson::RawDocument;

use crate::error::{Error, Result};
use crate::ir::{self, Rows};
use crate::traits::Model;

/// One document as an `M`, without relations.
///
/// # Errors
/// [`ErrorCode::Internal`](crate::ErrorCode::Internal) naming the model, the document's id and the field.
pub(crate) fn decode<M: Model>(document: &RawDocument) -> Result<M> {
    bson::deserialize_from_slice(document.as_bytes()).map_err(|error| {
        let id = document.get("_id").ok().flatten().map_or_else(|| "?".to_owned(), display_id);
        Error::internal(format!(
            "the document {id} of {} is not a {}: {error}",
            M::def().collection,
            M::def().name
        ))
        .with_source(error)
    })
}

fn display_id(id: bson::raw::RawBsonRef<'_>) -> String {
    match (id.as_object_id(), id.as_str()) {
        (Some(oid), _) => oid.to_hex(),
        (_, Some(text)) => text.to_owned(),
        _ => format!("{id:?}"),
    }
}

/// The document at `position` with its relations.
pub(crate) fn decode_at<M: Model>(rows: &Rows, position: usize) -> Result<M> {
    let document = rows
        .documents
        .get(position)
        .ok_or_else(|| Error::internal("an adapter gave fewer rows than groups"))?;
    let mut model: M = decode(document)?;
    for included in &rows.included {
        let positions = included.groups.get(position).map_or(&[][..], Vec::as_slice);
        model.attach(included.relation, &included.rows, positions)?;
    }
    Ok(model)
}

/// All documents with their relations.
pub(crate) fn decode_all<M: Model>(rows: &Rows) -> Result<Vec<M>> {
    (0..rows.documents.len()).map(|position| decode_at(rows, position)).collect()
}

/// Narrows a builder's filter, or keeps the first error for when it runs.
fn narrow<M>(filter: &mut ir::Filter, error: &mut Option<Error>, with: Filter<M>) {
    match with.into_ir() {
        Ok(with) => filter.narrow(with),
        Err(failure) => *error = error.take().or(Some(failure)),
    }
}

pub(crate) fn wrong_outcome(operation: &str) -> Error {
    Error::internal(format!("the adapter answered {operation} with something else"))
}
