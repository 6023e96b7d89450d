use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, Not};

use crate::error::Error;
use crate::ir::{self, Predicate, TextQuery};
use crate::traits::Model;

/// A condition on documents of `M`. Combine with `&`, `|` and `!`.
pub struct Filter<M> {
    pub(crate) ir: ir::Filter,
    /// A value that has no BSON form; reported when the query runs, since operators cannot fail.
    pub(crate) error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M> Filter<M> {
    fn new(ir: ir::Filter) -> Self {
        Self { ir, error: None, _model: PhantomData }
    }

    /// A condition, with a value's failure that an operator met on the way.
    pub(super) fn with(ir: ir::Filter, error: Option<Error>) -> Self {
        Self { ir, error, _model: PhantomData }
    }

    /// The condition that `condition` makes of the model's fields.
    pub fn on(condition: impl FnOnce(&'static M::Fields) -> Self) -> Self
    where
        M: Model,
    {
        condition(M::FIELDS)
    }

    /// Every document.
    pub fn everything() -> Self {
        Self::new(ir::Filter::All)
    }

    /// No document.
    pub fn nothing() -> Self {
        Self::new(ir::Filter::Nothing)
    }

    /// Documents that match all of `filters`; every document, where there are none.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        filters.into_iter().fold(Self::everything(), BitAnd::bitand)
    }

    /// Documents that match one of `filters` at least; no document, where there are none.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        filters.into_iter().fold(Self::nothing(), BitOr::bitor)
    }

    fn combine(self, other: Self, with: impl FnOnce(ir::Filter, ir::Filter) -> ir::Filter) -> Self {
        Self { ir: with(self.ir, other.ir), error: self.error.or(other.error), _model: PhantomData }
    }

    pub(super) fn field(path: &'static str, predicate: crate::Result<Predicate>) -> Self {
        match predicate {
            Ok(predicate) => Self::new(ir::Filter::Field(path.into(), predicate)),
            Err(error) => Self { ir: ir::Filter::Nothing, error: Some(error), _model: PhantomData },
        }
    }

    pub(crate) fn into_ir(self) -> crate::Result<ir::Filter> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.ir),
        }
    }
}

impl<M> BitAnd for Filter<M> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.combine(other, ir::Filter::and)
    }
}
impl<M> BitOr for Filter<M> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.combine(other, ir::Filter::or)
    }
}
impl<M> Not for Filter<M> {
    type Output = Self;
    fn not(mut self) -> Self {
        self.ir = self.ir.negate();
        self
    }
}
impl<M> fmt::Debug for Filter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ir.fmt(f)
    }
}

/// Documents that match all of `filters`; every document, where there are none.
///
/// ```
/// use forge_core::query::{Field, Filter, all, any};
///
/// struct Flight;
/// const DELAY: Field<Flight, i32> = Field::new("delay");
/// let late: Filter<Flight> = all([DELAY.gt(30), any([DELAY.lt(60), DELAY.gt(600)])]);
/// assert!(format!("{:?}", any::<Flight>([])).contains("Nothing"));
/// assert!(format!("{:?}", all::<Flight>([])).contains("All"));
/// # let _ = late;
/// ```
pub fn all<M>(filters: impl IntoIterator<Item = Filter<M>>) -> Filter<M> {
    Filter::all(filters)
}

/// Documents that match one of `filters` at least; no document, where there are none.
pub fn any<M>(filters: impl IntoIterator<Item = Filter<M>>) -> Filter<M> {
    Filter::any(filters)
}

/// Documents that match none of `filters`; every document, where there are none.
pub fn none<M>(filters: impl IntoIterator<Item = Filter<M>>) -> Filter<M> {
    !Filter::any(filters)
}

/// Documents with the words of `query` in the fields that the model marks with `#[model(text)]`: what
/// [`Find::text`](crate::query::Find::text) finds, as a condition of updates, deletes, groups and pipelines too. It stands beside
/// conditions that all hold, not inside of "or" or "not".
///
/// ```ignore
/// db.update_many::<Post>().filter(|_| text("coffee -instant")).set(|p| p.topic, "coffee").await?;
/// ```
pub fn text<M>(query: impl Into<TextQuery>) -> Filter<M> {
    Filter::new(ir::Filter::Text(query.into()))
}
