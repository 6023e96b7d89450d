//! Relation fields of models: never stored, filled by `.include`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::ir::Rows;
use crate::query::decode_at;
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

macro_rules! relation_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<T>(Option<Box<dyn Slot<T>>>);

        impl<T> $name<T> {
            /// A relation that is not loaded.
            pub const fn unloaded() -> Self {
                Self(None)
            }

            /// Whether an `.include` filled it.
            pub fn is_loaded(&self) -> bool {
                self.0.is_some()
            }
        }

        impl<T: Model> $name<T> {
            #[doc(hidden)]
            pub fn load(rows: &Rows, positions: &[u32]) -> Result<Self> {
                let items = positions.iter().map(|position| decode_at::<T>(rows, *position as usize));
                Ok(Self(Some(Box::new(items.collect::<Result<Vec<T>>>()?))))
            }
        }

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self::unloaded()
            }
        }

        impl<T: Clone + Send + Sync + 'static> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self(self.0.as_ref().map(|slot| Box::new(slot.items().to_vec()) as Box<dyn Slot<T>>))
            }
        }

        impl<T: PartialEq> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                self.0.as_ref().map(|slot| slot.items()) == other.0.as_ref().map(|slot| slot.items())
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
    /// The documents whose keys refer to this one.
    HasMany
}

macro_rules! to_one {
    ($name:ident) => {
        impl<T> $name<T> {
            /// The document, where it is loaded and there is one.
            pub fn get(&self) -> Option<&T> {
                self.0.as_ref()?.items().first()
            }

            /// The document by value.
            pub fn into_inner(self) -> Option<T> {
                self.0?.into_items().into_iter().next()
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
                let Some(slot) = &self.0 else { return Err(not_included::<T>()) };
                slot.items()
                    .first()
                    .ok_or_else(|| Error::not_found(format!("there is no {} here", T::def().name)))
            }
        }

        impl<T: fmt::Debug> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match &self.0 {
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
        self.0.as_ref().map_or(&[], |slot| slot.items())
    }

    /// The documents by value.
    pub fn into_inner(self) -> Vec<T> {
        self.0.map_or_else(Vec::new, Slot::into_items)
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
        self.0.as_ref().map(|slot| slot.items()).ok_or_else(not_included::<T>)
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
        match &self.0 {
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
