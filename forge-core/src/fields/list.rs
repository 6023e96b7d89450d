use std::marker::PhantomData;

use bson::Bson;
use serde::Serialize;

use super::{Field, Filter};
use crate::ir::{self, Predicate};
use crate::value::{IntoValue, to_bson};

/// What conditions on one element of a list are about: `f.scores.some(|score| score.gt(5))`.
pub struct Element<E>(PhantomData<fn() -> E>);

/// The conditions on a list, which an absent one fulfils as an empty one does but for its size.
macro_rules! list_conditions {
    ($list:ty) => {
        impl<M, E: Serialize + 'static> Field<M, $list> {
            fn value(self, value: impl IntoValue<E>) -> crate::Result<Bson> {
                to_bson(&value.into_value())
            }

            /// Holds `value`.
            pub fn has(self, value: impl IntoValue<E>) -> Filter<M> {
                let value = self.value(value);
                Filter::field(self.path(), value.map(Predicate::Eq))
            }

            /// Holds one of `values` at least.
            pub fn has_some<V: IntoValue<E>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
                let values = values.into_iter().map(|value| self.value(value)).collect::<crate::Result<_>>();
                Filter::field(self.path(), values.map(Predicate::In))
            }

            /// Holds all of `values`; everything, where there are none.
            pub fn has_every<V: IntoValue<E>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
                match values.into_iter().map(|value| self.value(value)).collect::<crate::Result<Vec<_>>>() {
                    Ok(values) if values.is_empty() => Filter::everything(),
                    values => Filter::field(self.path(), values.map(Predicate::HasEvery)),
                }
            }

            fn element(self, filter: impl FnOnce(Field<Element<E>, E>) -> Filter<Element<E>>) -> Filter<M> {
                // The path of an element, seen from itself.
                let Filter { ir, error, .. } = filter(Field::new(""));
                Filter::with(ir::Filter::Field(self.path().into(), Predicate::Element(Box::new(ir))), error)
            }

            /// At least one element matches, all conditions at once.
            pub fn some(self, filter: impl FnOnce(Field<Element<E>, E>) -> Filter<Element<E>>) -> Filter<M> {
                self.element(filter)
            }

            /// No element matches.
            pub fn none(self, filter: impl FnOnce(Field<Element<E>, E>) -> Filter<Element<E>>) -> Filter<M> {
                !self.element(filter)
            }

            /// Every element matches; so it is where there are none.
            pub fn every(self, filter: impl FnOnce(Field<Element<E>, E>) -> Filter<Element<E>>) -> Filter<M> {
                !self.element(|element| !filter(element))
            }

            /// Has exactly `n` elements.
            pub fn size(self, n: u32) -> Filter<M> {
                Filter::field(self.path(), Ok(Predicate::Size(n.into())))
            }

            /// Has no elements.
            pub fn is_empty(self) -> Filter<M> {
                self.size(0)
            }
        }

        impl<M, E> Field<M, $list> {
            /// The element at a position, from 0.
            pub fn at(self, position: u16) -> Field<M, E> {
                Field::new(super::embed::join_position(self.path(), position))
            }
        }
    };
}

list_conditions!(Vec<E>);
list_conditions!(Option<Vec<E>>);
