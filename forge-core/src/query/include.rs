use std::marker::PhantomData;

use super::narrow;
use super::omit::{Omit, omit};
use super::selection::{As, Asked, Projection, Selection};
use crate::error::{Error, Result};
use crate::fields::{Filter, IntoSort, ToMany, ToOne};
use crate::ir;
use crate::model::ModelRef;
use crate::traits::Model;

/// A relation of `M` to read along, with options that count per parent. `K` is the relation's handle.
///
/// ```ignore
/// db.find::<Airport>().include(|f| f.departures.filter(|d| d.delay.gt(60)).sort(|d| d.delay.desc()).limit(5))
/// ```
pub struct Include<M, T, K = ToMany<M, T>> {
    relation: usize,
    select: ir::Select,
    error: Option<Error>,
    _types: PhantomData<fn() -> (M, T)>,
    _handle: PhantomData<fn() -> K>,
}

impl<M: Model, T: Model, K> Include<M, T, K> {
    fn new(relation: usize, with_deleted: bool) -> Self {
        let select = ir::Select { with_deleted, ..ir::Select::new(ModelRef(T::def())) };
        Self { relation, select, error: None, _types: PhantomData, _handle: PhantomData }
    }

    /// Only related documents that match.
    pub fn filter(mut self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Self {
        narrow(&mut self.select.filter, &mut self.error, filter(T::FIELDS));
        self
    }

    /// The order of the related documents of each parent.
    pub fn sort<S: IntoSort<T>>(mut self, sort: impl FnOnce(&'static T::Fields) -> S) -> Self {
        self.select.sort.extend(sort(T::FIELDS).into_sort());
        self
    }

    /// At most `n` related documents of each parent; 0 is none. Still one command for all parents.
    pub fn limit(mut self, n: u64) -> Self {
        self.select.limit = Some(n);
        self
    }

    /// Passes over the first `n` related documents of each parent.
    pub fn skip(mut self, n: u64) -> Self {
        self.select.skip = Some(n);
        self
    }

    /// Related documents of the related documents.
    pub fn include<I: IntoIncludes<T>>(mut self, include: impl FnOnce(&'static T::Fields) -> I) -> Self {
        match include(T::FIELDS).into_includes() {
            Ok(includes) => self.select.include.extend(includes),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// Reads the related documents without these fields, which are none then.
    pub fn omit<O: Omit<T>>(mut self, fields: impl FnOnce(&'static T::Fields) -> O) -> Self {
        let omitted = omit(T::def(), &mut self.select.projection, fields(T::FIELDS).paths());
        self.error = self.error.or(omitted.err());
        self
    }

    /// Soft-deleted related documents as well.
    pub fn with_deleted(mut self) -> Self {
        self.select.with_deleted = true;
        self
    }

    /// Inside of a `.select`: these parts of each related document, in place of whole ones.
    pub fn select<S: Selection<T>>(
        self,
        select: impl FnOnce(&'static T::Fields) -> S,
    ) -> SelectedInclude<M, T, K, S> {
        SelectedInclude { include: self, selection: select(T::FIELDS) }
    }

    /// Inside of a `.select`: each related document as a projection struct.
    pub fn project<P: Projection<Model = T>>(self) -> SelectedInclude<M, T, K, As<P>> {
        SelectedInclude { include: self, selection: As(PhantomData) }
    }

    /// What is asked of the adapter.
    pub(crate) fn to_ir(&self) -> Result<ir::Include> {
        match &self.error {
            Some(error) => Err(Error::new(error.code(), error.message().to_owned())),
            None => Ok(ir::Include { relation: self.relation, select: self.select.clone(), count: false }),
        }
    }
}

impl<M: Model, T: Model> Include<M, T> {
    /// How many related documents each parent has, in place of the documents: those that match the filter.
    pub fn count(self) -> Counted<M, T> {
        Counted { include: self }
    }
}

/// A relation of which some parts are read: a part of a `.select`.
pub struct SelectedInclude<M, T, K, S> {
    include: Include<M, T, K>,
    pub(crate) selection: S,
}

impl<M: Model, T: Model, K, S: Selection<T>> SelectedInclude<M, T, K, S> {
    pub(crate) fn to_ir(&self) -> Result<ir::Include> {
        let mut include = self.include.to_ir()?;
        let mut asked = Asked::default();
        self.selection.ask(&mut asked);
        asked.apply(&mut include.select)?;
        Ok(include)
    }
}

/// How many documents of a relation each parent has. One command for all parents.
///
/// In `.include` it fills [`HasMany::count`](crate::HasMany::count), in `.select` it is a `u64`. The documents
/// themselves may be included beside it.
pub struct Counted<M, T> {
    include: Include<M, T>,
}

impl<M: Model, T: Model> Counted<M, T> {
    pub(crate) fn to_ir(&self) -> Result<ir::Include> {
        Ok(ir::Include { count: true, ..self.include.to_ir()? })
    }
}

macro_rules! start_include {
    ($name:ident) => {
        impl<M: Model, T: Model> $name<M, T> {
            /// Includes only related documents that match.
            pub fn filter(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Include<M, T, Self> {
                Include::new(self.index(), self.sees_deleted()).filter(filter)
            }

            /// Includes related documents of the related documents.
            pub fn include<I: IntoIncludes<T>>(
                self,
                include: impl FnOnce(&'static T::Fields) -> I,
            ) -> Include<M, T, Self> {
                Include::new(self.index(), self.sees_deleted()).include(include)
            }

            /// Includes the related documents without these fields.
            pub fn omit<O: Omit<T>>(
                self,
                fields: impl FnOnce(&'static T::Fields) -> O,
            ) -> Include<M, T, Self> {
                Include::new(self.index(), self.sees_deleted()).omit(fields)
            }

            /// Inside of a `.select`: these parts of each related document.
            pub fn select<S: Selection<T>>(
                self,
                select: impl FnOnce(&'static T::Fields) -> S,
            ) -> SelectedInclude<M, T, Self, S> {
                Include::new(self.index(), self.sees_deleted()).select(select)
            }

            /// Inside of a `.select`: each related document as a projection struct.
            pub fn project<P: Projection<Model = T>>(self) -> SelectedInclude<M, T, Self, As<P>> {
                Include::new(self.index(), self.sees_deleted()).project()
            }
        }

        impl<M: Model, T: Model> IntoIncludes<M> for $name<M, T> {
            fn into_includes(self) -> Result<Vec<ir::Include>> {
                Include::<M, T, Self>::new(self.index(), self.sees_deleted()).into_includes()
            }
        }
    };
}
start_include!(ToOne);
start_include!(ToMany);

impl<M: Model, T: Model> ToMany<M, T> {
    /// Includes the related documents of each parent in this order.
    pub fn sort<S: IntoSort<T>>(self, sort: impl FnOnce(&'static T::Fields) -> S) -> Include<M, T> {
        Include::new(self.index(), self.sees_deleted()).sort(sort)
    }

    /// Includes at most `n` related documents of each parent.
    pub fn limit(self, n: u64) -> Include<M, T> {
        Include::new(self.index(), self.sees_deleted()).limit(n)
    }

    /// Passes over the first `n` related documents of each parent.
    pub fn skip(self, n: u64) -> Include<M, T> {
        Include::new(self.index(), self.sees_deleted()).skip(n)
    }

    /// How many related documents each parent has, in place of the documents.
    pub fn count(self) -> Counted<M, T> {
        Include::new(self.index(), self.sees_deleted()).count()
    }
}

/// A relation, a relation with options, the count of one, or a tuple of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be included",
    label = "not a relation",
    note = "`.include` takes a relation (`|f| f.origin`) or a tuple of relations (`|f| (f.origin, f.destination)`)",
    note = "parts of related documents are selected beside the document: `.select(|a| (whole(), a.departures.select(|d| d.delay)))`"
)]
pub trait IntoIncludes<M> {
    #[doc(hidden)]
    fn into_includes(self) -> Result<Vec<ir::Include>>;
}

impl<M: Model, T: Model, K> IntoIncludes<M> for Include<M, T, K> {
    fn into_includes(self) -> Result<Vec<ir::Include>> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(vec![ir::Include { relation: self.relation, select: self.select, count: false }]),
        }
    }
}

impl<M: Model, T: Model> IntoIncludes<M> for Counted<M, T> {
    fn into_includes(self) -> Result<Vec<ir::Include>> {
        let mut includes = self.include.into_includes()?;
        includes.iter_mut().for_each(|include| include.count = true);
        Ok(includes)
    }
}

macro_rules! include_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M, $($name: IntoIncludes<M>),+> IntoIncludes<M> for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn into_includes(self) -> Result<Vec<ir::Include>> {
                let ($($name,)+) = self;
                let mut all = Vec::new();
                $(all.extend($name.into_includes()?);)+
                Ok(all)
            }
        })+
    };
}
include_tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }
