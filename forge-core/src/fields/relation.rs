use std::marker::PhantomData;

use super::Filter;
use crate::ir::{self, Quantifier, RelationFilter};
use crate::model::ModelRef;
use crate::traits::Model;

/// A relation of `M` to at most one `T`.
pub struct ToOne<M, T> {
    index: usize,
    with_deleted: bool,
    _types: PhantomData<fn() -> (M, T)>,
}

/// A relation of `M` to any number of `T`.
pub struct ToMany<M, T> {
    index: usize,
    with_deleted: bool,
    _types: PhantomData<fn() -> (M, T)>,
}

macro_rules! relation_handle {
    ($name:ident) => {
        impl<M, T> Clone for $name<M, T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<M, T> Copy for $name<M, T> {}

        impl<M, T> $name<M, T> {
            #[doc(hidden)]
            pub const fn new(index: usize) -> Self {
                Self { index, with_deleted: false, _types: PhantomData }
            }

            /// The position in the relations of `M`.
            #[doc(hidden)]
            pub const fn index(self) -> usize {
                self.index
            }

            /// Whether soft-deleted documents are on the other side too.
            pub(crate) const fn sees_deleted(self) -> bool {
                self.with_deleted
            }

            /// The relation with the soft-deleted documents on its other side, wherever relations stand: in conditions,
            /// includes, parts, joins of pipelines and writes. A link that is deleted itself, of the model between of a
            /// `many_to_many`, leads nowhere all the same.
            ///
            /// ```ignore
            /// db.find::<Author>().filter(|a| a.books.with_deleted().some(|b| b.year.lt(1900))).await?;
            /// ```
            #[must_use]
            pub const fn with_deleted(mut self) -> Self {
                self.with_deleted = true;
                self
            }
        }

        impl<M: Model, T: Model> $name<M, T> {
            fn related(
                self,
                quantifier: Quantifier,
                filter: impl FnOnce(&'static T::Fields) -> Filter<T>,
            ) -> Filter<M> {
                let Filter { ir, error, .. } = filter(T::FIELDS);
                let filter = ir::Filter::Relation(RelationFilter {
                    model: ModelRef(M::def()),
                    relation: M::def().relations[self.index].name.into(),
                    quantifier,
                    filter: Box::new(ir),
                    with_deleted: self.with_deleted,
                });
                Filter::with(filter, error)
            }
        }
    };
}
relation_handle!(ToOne);
relation_handle!(ToMany);

impl<M: Model, T: Model> ToOne<M, T> {
    /// There is a related document, and it matches.
    pub fn is(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::Some, filter)
    }

    /// There is no related document, or it does not match.
    pub fn is_not(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::None, filter)
    }
}

impl<M: Model, T: Model> ToMany<M, T> {
    /// At least one related document matches.
    pub fn some(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::Some, filter)
    }

    /// Every related document matches; so it is where there are none.
    pub fn every(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::Every, filter)
    }

    /// No related document matches.
    pub fn none(self, filter: impl FnOnce(&'static T::Fields) -> Filter<T>) -> Filter<M> {
        self.related(Quantifier::None, filter)
    }
}
