//! Relation fields of models: never stored, filled by `.include`.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::ir::{Included, Rows};
use crate::query::{Dirt, decode_at};
use crate::record::Writer;
use crate::traits::Model;

/// Holds loaded documents behind a trait object: the compiler need not look through `T`, so that long rings of models
/// do not exhaust it.
trait Slot<T>: Send + Sync {
    fn items(&self) -> &[T];
    fn into_items(self: Box<Self>) -> Vec<T>;
}

impl<T: Send + Sync> Slot<T> for Vec<T> {
    fn items(&self) -> &[T] {
        self
    }
    fn into_items(self: Box<Self>) -> Vec<T> {
        *self
    }
}

/// The related documents of one document, as an adapter found them.
#[derive(Clone, Copy)]
pub struct Related<'a> {
    rows: &'a Rows,
    positions: &'a [u32],
    count: Option<u64>,
    dirt: Option<&'a Dirt>,
}

impl<'a> Related<'a> {
    /// Those of the parent at `parent`.
    pub(crate) fn of(included: &'a Included, parent: usize, dirt: Option<&'a Dirt>) -> Self {
        Self {
            rows: &included.rows,
            positions: included.groups.get(parent).map_or(&[], Vec::as_slice),
            count: included.counts.as_ref().map(|counts| counts.get(parent).copied().unwrap_or(0)),
            dirt,
        }
    }

    /// How many there are, where only that was asked for.
    pub(crate) fn count(&self) -> Option<u64> {
        self.count
    }

    /// Each as a `T`, with `decode`, which leaves out what was set aside.
    pub(crate) fn decoded<T>(
        &self,
        decode: impl Fn(&Rows, usize, Option<&Dirt>) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let mut items = Vec::with_capacity(self.positions.len());
        for position in self.positions {
            items.extend(decode(self.rows, *position as usize, self.dirt)?);
        }
        Ok(items)
    }
}

impl fmt::Debug for Related<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Related").field("positions", &self.positions).field("count", &self.count).finish()
    }
}

/// A relation field, as the serializer of its model sees it.
#[doc(hidden)]
pub trait RelationField: Serialize {
    /// Whether it is loaded.
    fn is_loaded(&self) -> bool;
    /// How many related documents there are, where that was asked for.
    fn counted(&self) -> Option<u64>;
}

/// The functions of relations to something that is no model, which stand behind those of relations to models: the compiler
/// says once that it is none, and not again where a derive calls them.
#[doc(hidden)]
pub trait Unrelated {
    #[doc(hidden)]
    fn fill(&mut self, _: &Related<'_>) -> Result<()> {
        Ok(())
    }
    #[doc(hidden)]
    fn put<S: SerializeMap>(&self, _: usize, _: &mut Writer<S>) -> Result<(), S::Error> {
        Ok(())
    }
}

macro_rules! relation_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<T> {
            slot: Option<Box<dyn Slot<T>>>,
            count: Option<u64>,
        }

        impl<T> $name<T> {
            /// A relation that is not loaded.
            pub const fn unloaded() -> Self {
                Self { slot: None, count: None }
            }

            /// Whether an `.include` filled it.
            pub fn is_loaded(&self) -> bool {
                self.slot.is_some()
            }
        }

        impl<T: Model> $name<T> {
            #[doc(hidden)]
            pub fn fill(&mut self, related: &Related<'_>) -> Result<()> {
                match related.count() {
                    Some(count) => self.count = Some(count),
                    None => self.slot = Some(Box::new(related.decoded(decode_at::<T>)?)),
                }
                Ok(())
            }
        }

        impl<T: Serialize> $name<T> {
            #[doc(hidden)]
            pub fn put<S: SerializeMap>(&self, position: usize, to: &mut Writer<S>) -> Result<(), S::Error> {
                to.put_relation(position, self)
            }
        }

        impl<T> Unrelated for $name<T> {}

        impl<T: Serialize> RelationField for $name<T> {
            fn is_loaded(&self) -> bool {
                self.slot.is_some()
            }
            fn counted(&self) -> Option<u64> {
                self.count
            }
        }

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self::unloaded()
            }
        }

        impl<T: Clone + Send + Sync + 'static> Clone for $name<T> {
            fn clone(&self) -> Self {
                let slot = self.slot.as_ref();
                let slot = slot.map(|slot| Box::new(slot.items().to_vec()) as Box<dyn Slot<T>>);
                Self { slot, count: self.count }
            }
        }

        impl<T: PartialEq> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                self.count == other.count
                    && self.slot.as_ref().map(|slot| slot.items())
                        == other.slot.as_ref().map(|slot| slot.items())
            }
        }
    };
}

relation_type! {
    /// The document that this one's key refers to.
    ///
    /// Loaded without a document means that the key is null or dangles.
    BelongsTo
}
relation_type! {
    /// The one document whose key refers to this one.
    HasOne
}
relation_type! {
    /// The documents whose keys refer to this one, or to which a list of this one or a third model leads.
    HasMany
}

macro_rules! to_one {
    ($name:ident) => {
        impl<T> $name<T> {
            /// The document, where it is loaded and there is one.
            pub fn get(&self) -> Option<&T> {
                self.slot.as_ref()?.items().first()
            }

            /// The document by value.
            pub fn into_inner(self) -> Option<T> {
                self.slot?.into_items().into_iter().next()
            }

            /// The document.
            ///
            /// # Errors
            /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where the relation was not included;
            /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no document.
            pub fn require(&self) -> Result<&T>
            where
                T: Model,
            {
                let Some(slot) = &self.slot else { return Err(not_included::<T>()) };
                slot.items()
                    .first()
                    .ok_or_else(|| Error::not_found(format!("there is no {} here", T::def().name)))
            }
        }

        impl<T: fmt::Debug> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match &self.slot {
                    None => f.write_str("(not loaded)"),
                    Some(slot) => slot.items().first().fmt(f),
                }
            }
        }

        impl<T: Serialize> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.get().serialize(serializer)
            }
        }
    };
}

to_one!(BelongsTo);
to_one!(HasOne);

impl<T> HasMany<T> {
    /// The documents; empty where they are not loaded, too.
    pub fn get(&self) -> &[T] {
        self.slot.as_ref().map_or(&[], |slot| slot.items())
    }

    /// How many there are, where `.include(|f| f.relation.count())` asked for that: all that match its filter, whatever
    /// part of them is loaded. None where it did not.
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// The documents by value.
    pub fn into_inner(self) -> Vec<T> {
        self.slot.map_or_else(Vec::new, Slot::into_items)
    }

    /// The documents, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.get().iter()
    }

    /// The documents.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where the relation was not included.
    pub fn require(&self) -> Result<&[T]>
    where
        T: Model,
    {
        self.slot.as_ref().map(|slot| slot.items()).ok_or_else(not_included::<T>)
    }
}

impl<'a, T> IntoIterator for &'a HasMany<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for HasMany<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.slot {
            None => f.write_str("(not loaded)"),
            Some(slot) => slot.items().fmt(f),
        }
    }
}

impl<T: Serialize> Serialize for HasMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

fn not_included<T: Model>() -> Error {
    Error::internal(format!(
        "a relation to {} was read but not included; add `.include(…)` to the query",
        T::def().name
    ))
}
