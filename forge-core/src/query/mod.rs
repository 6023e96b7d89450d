//! The query builders: typed, awaited to run, compiled to the [IR](crate::ir).

mod decode;
mod delete;
mod find;
mod group;
mod include;
mod update;

pub use decode::{Dirt, Dirty};
pub use delete::{Delete, DeleteMany};
pub use find::{Count, Find};
pub use group::{Agg, AggregateSet, GroupBy, GroupFilter, KeySet, count};
pub use include::{Include, IntoIncludes};
pub use update::{Update, UpdateMany};

pub use crate::fields::{
    Comparable, Element, EmbedMany, EmbedOne, Field, Filter, IntoSort, Order, Place, Shaped, Text, ToMany, ToOne,
    all, any, none, score,
};
pub use crate::value::IntoValue;

pub(crate) use decode::{decode, decode_all, decode_at};

use crate::error::Error;
use crate::ir;

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
