//! Typed pipelines: [`Db::pipeline`](crate::Db::pipeline).

mod buckets;
mod facets;
mod join;
mod run;
mod search;
mod shape;
mod stages;
mod windows;

pub use crate::schema::Stages;
pub use buckets::Buckets;
pub use facets::Facets;
pub use join::{Joins, Reach};
pub use run::from_json;
pub use shape::{Columns, Documents, Shape};
pub use stages::{asc, desc};
pub use windows::{
    Frame, NamedWindow, Over, Windows, dense_rank, derivative, document_number, exp_moving_avg, last_known,
    rank, shift, windows,
};

use std::marker::PhantomData;

use crate::db::Handle;
use crate::error::{Error, Result};
use crate::ir::{self, Stage};
use crate::model::ModelRef;
use crate::traits::Model;

/// A pipeline that is part of another one: of a facet, a join, a union.
#[derive(Debug)]
pub enum Part {}

/// A pipeline that can be run. `A` says whether its database handle may write.
pub struct Whole<A> {
    handle: Handle,
    _access: PhantomData<fn() -> A>,
}

/// Documents on their way through stages, each with the columns `R`; awaiting a whole pipeline gives its documents.
///
/// Every stage takes the documents as the one before left them. The closures get the typed fields of the model; where a
/// stage makes documents of another shape, [`shaped`](Pipeline::shaped) gives them the fields of a struct with
/// `#[derive(Embed)]`, and [`path`](crate::query::expr::path) names any field.
///
/// - Soft-deleted documents are left out at the source and wherever another model is joined; `with_deleted` lets those of
///   one place in. Tenants are kept apart everywhere, raw stages included.
/// - A live query is told what was read: the source by its first conditions, joined models by theirs, and what raw
///   stages join as whole collections.
/// - What writes (`$out`, `$merge`) or runs code on the server (`$where`, `$function`, `$accumulator`) is refused;
///   [`write`](Pipeline::write) ends a pipeline of a handle that may write.
///
/// ```ignore
/// #[derive(Debug, Embed)]
/// struct ByState { state: String, flights: i64, late: Option<f64> }
///
/// let worst: Vec<ByState> = db
///     .pipeline::<Flight>()
///     .match_(|f| f.delay.gt(0))
///     .lookup(|f| f.origin)
///     .group(|f| [f.origin.joined(|a| a.state).named("state")], |f| [count().named("flights"), f.delay.avg().named("late")])
///     .shaped::<ByState>()
///     .sort(|s| s.late.desc())
///     .limit(5)
///     .await?;
/// ```
#[must_use = "a pipeline runs when it is awaited"]
pub struct Pipeline<R, H = Part> {
    source: ir::Source,
    search: Option<Box<ir::Search>>,
    options: ir::ReadOptions,
    error: Option<Error>,
    host: Option<H>,
    _row: PhantomData<fn() -> R>,
}

impl<R, H> Pipeline<R, H> {
    fn over(source: ir::Source, host: Option<H>) -> Self {
        let options = ir::ReadOptions::default();
        Self { source, search: None, options, error: None, host, _row: PhantomData }
    }

    /// The same stages, with documents of another shape from here on.
    fn reshaped<S>(self) -> Pipeline<S, H> {
        let Self { source, search, options, error, host, .. } = self;
        Pipeline { source, search, options, error, host, _row: PhantomData }
    }

    fn push(mut self, stage: Stage) -> Self {
        self.source.push(stage);
        self
    }

    /// Adds a stage, or keeps the first error for when the pipeline runs.
    fn attempt(mut self, stage: Result<Stage>) -> Self {
        match stage {
            Ok(stage) => self.push(stage),
            Err(error) => {
                self.error = self.error.or(Some(error));
                self
            }
        }
    }

    /// The stages so far, for use inside of another pipeline.
    pub(crate) fn into_source(self) -> Result<ir::Source> {
        match self.error {
            Some(error) => Err(error),
            None if self.search.is_some() => {
                Err(Error::unsupported("a search begins a whole pipeline, not a part of one"))
            }
            None => Ok(self.source),
        }
    }
}

/// The documents of `M`, to be sent through stages as a part of something else: the pipeline of a view (see [`Stages`]).
///
/// ```ignore
/// fn late() -> impl Stages {
///     pipeline::of::<Flight>().match_(|f| f.delay.gt(15)).sort(|f| f.delay.desc())
/// }
/// ```
pub fn of<M: Model>() -> Pipeline<Documents<M>> {
    Pipeline::over(ir::Source::new(ModelRef(M::def())), None)
}

/// A name that a stage gives to a field.
fn checked_name(name: &str, dotted: bool) -> Result<&str> {
    let wrong = name.is_empty()
        || name.contains('\0')
        || name.split('.').any(|part| part.is_empty() || part.starts_with('$'));
    if wrong || (!dotted && name.contains('.')) {
        return Err(Error::bad_request(format!("{name:?} is no name for a field")));
    }
    Ok(name)
}
