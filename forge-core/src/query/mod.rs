//! The query builders: typed, awaited to run, compiled to the [IR](crate::ir).

mod aggregate;
mod changes;
mod computed;
mod cursor;
mod decode;
mod delete;
mod distinct;
mod elements;
pub mod expr;
mod find;
mod group;
mod include;
mod insert;
mod links;
mod live;
mod loaded;
mod nested;
mod omit;
mod options;
mod page;
mod parts;
pub mod pipeline;
mod reading;
mod replace;
mod restore;
mod revive;
mod scored;
mod search;
mod selection;
mod stream;
mod update;
mod upsert;

pub use aggregate::{Agg, GroupFilter, GroupOrder, NamedAgg, Percentiles, accumulator, count};
pub use computed::Stages;
pub use decode::{Dirt, Dirty};
pub use delete::{Delete, DeleteMany, DryRun};
pub use distinct::Distinct;
pub use elements::{Each, EachValue, Push};
pub use expr::{AsExpr, Expr, IntoExpr, NamedExpr, TimeUnit};
pub use find::{Count, Find, Selected};
pub use group::{AggregateSet, GroupBy, GroupKey, KeySet};
pub use include::{Counted, Include, IntoIncludes, SelectedInclude};
pub use insert::{Insert, InsertMany, InsertManySkipping, Inserted};
pub use live::Live;
pub use nested::{Creates, IntoLinks, Nested, With};
pub use omit::{Omit, Omitted};
pub use page::{LenientPage, Page, Paged, Pages};
pub use parts::{WholeDocument, whole};
pub use pipeline::{Pipeline, asc, desc};
pub use reading::Lenient;
pub use replace::Replace;
pub use restore::{Restore, RestoreMany};
pub use scored::{Scored, ScoredFind};
pub use search::{Distant, IntoTextPaths, Ranked, Search, Vector};
pub use selection::{As, Asked, CountOf, Optional, Projection, ReadAs, Row, Selection, count_of};
pub use stream::{LenientResults, Results};
pub use update::{Update, UpdateFirst, UpdateMany};
pub use upsert::{Key, Upsert, Upserted};

pub use crate::fields::{
    Comparable, Element, EmbedMany, EmbedOne, Field, Filter, IntoSort, Order, Place, Score, Text, ToMany,
    ToOne, all, any, none, score, text,
};
pub use crate::ir::TextQuery;
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
