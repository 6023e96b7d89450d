use std::marker::PhantomData;

use super::narrow;
use crate::error::{Error, Result};
use crate::fields::{Filter, IntoSort, ToMany, ToOne};
use crate::ir;
use crate::model::ModelRef;
use crate::traits::Model;

/// A relation of `M` to read along, with options that count per parent.
///
/// ```ignore
/// db.find::<Airport>().include(|f| f.departures.filter(|d| d.delay.gt(60)).sort(|d| d.delay.desc()).limit(5))
/// ```
pub struct Include<M, T> {
    relation: usize,
    select: ir::Select,
    error: Option<Error>,
    _types: PhantomData<fn() -> (M, T)>,
}

impl<M: Model, T: Model> Include<M, T> {
    fn new(relation: usize) -> Self {
        Self { relation, select: ir::Select::new(ModelRef(T::def())), error: None, _types: PhantomData }
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

    /// At most `n` related documents of each parent. Still one command for all parents.
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

    /// Soft-deleted related documents as well.
    pub fn with_deleted(mut self) -> Self {
        self.select.with_deleted = true;
        self
    }
}

macro_rules! start_include {
    ($name:ident) => {
        impl<M: Model, T: Model> $name<M, T> {
            /// Includes only related documents that match.
            pub fn filter(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Include<M, T> {
                Include::new(self.index()).filter(filter)
            }

            /// Includes related documents of the related documents.
            pub fn include<I: IntoIncludes<T>>(
                self,
                include: impl FnOnce(&'static T::Fields) -> I,
            ) -> Include<M, T> {
                Include::new(self.index()).include(include)
            }

            /// Includes soft-deleted related documents as well.
            pub fn with_deleted(self) -> Include<M, T> {
                Include::new(self.index()).with_deleted()
            }
        }

        impl<M: Model, T: Model> IntoIncludes<M> for $name<M, T> {
            fn into_includes(self) -> Result<Vec<ir::Include>> {
                Include::<M, T>::new(self.index()).into_includes()
            }
        }
    };
}
start_include!(ToOne);
start_include!(ToMany);

impl<M: Model, T: Model> ToMany<M, T> {
    /// Includes the related documents of each parent in this order.
    pub fn sort<S: IntoSort<T>>(self, sort: impl FnOnce(&'static T::Fields) -> S) -> Include<M, T> {
        Include::new(self.index()).sort(sort)
    }

    /// Includes at most `n` related documents of each parent.
    pub fn limit(self, n: u64) -> Include<M, T> {
        Include::new(self.index()).limit(n)
    }
}

/// A relation, a relation with options, or a tuple of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be included",
    label = "not a relation",
    note = "`.include` takes a relation (`|f| f.origin`) or a tuple of relations (`|f| (f.origin, f.destination)`)"
)]
pub trait IntoIncludes<M> {
    #[doc(hidden)]
    fn into_includes(self) -> Result<Vec<ir::Include>>;
}

impl<M: Model, T: Model> IntoIncludes<M> for Include<M, T> {
    fn into_includes(self) -> Result<Vec<ir::Include>> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(vec![ir::Include { relation: self.relation, select: self.select, count: false }]),
        }
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
