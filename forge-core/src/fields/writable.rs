//! What changes can be about: every field, and lists among them.

use serde::Serialize;

use super::embed::fields_at;
use super::{Element, EmbedMany, EmbedOne, Field};
use crate::traits::Embed;

/// A field, or an embed as a whole: what `set` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no field that can be set",
    label = "not a field",
    note = "relations are not stored: set their key, or use `.with(…)` to connect documents"
)]
pub trait Assign<M>: Copy {
    /// The type of its value.
    type Value;
    #[doc(hidden)]
    fn assigned(self) -> &'static str;
}

impl<M, T> Assign<M> for Field<M, T> {
    type Value = T;
    fn assigned(self) -> &'static str {
        self.path()
    }
}
impl<M, E> Assign<M> for EmbedOne<M, E> {
    type Value = E;
    fn assigned(self) -> &'static str {
        self.whole().path()
    }
}
impl<M, E> Assign<M> for EmbedMany<M, E> {
    type Value = Vec<E>;
    fn assigned(self) -> &'static str {
        self.whole().path()
    }
}

/// A field that may be absent: what `unset` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be removed",
    label = "only optional fields can be absent",
    note = "make the field an `Option`, or set it to another value"
)]
pub trait Optional<M>: Copy {
    #[doc(hidden)]
    fn removed(self) -> &'static str;
}

impl<M, T> Optional<M> for Field<M, Option<T>> {
    fn removed(self) -> &'static str {
        self.path()
    }
}
// The type of an embed does not say whether the field is an `Option`; the query does, when it runs.
impl<M, E> Optional<M> for EmbedOne<M, E> {
    fn removed(self) -> &'static str {
        self.whole().path()
    }
}

/// A list: what `push`, `pull` and their like take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list",
    label = "only `Vec` fields and `embed_many` have this"
)]
pub trait List<M>: Copy {
    /// The type of its elements.
    type Item: Serialize + 'static;
    /// What conditions on its elements are about.
    type Of: 'static;
    /// What closures about an element receive.
    type Handle;
    #[doc(hidden)]
    fn list(self) -> &'static str;
    #[doc(hidden)]
    fn element() -> Self::Handle;
}

macro_rules! list_of_values {
    ($($list:ty),*) => {
        $(impl<M, T: Serialize + 'static> List<M> for Field<M, $list> {
            type Item = T;
            type Of = Element<T>;
            type Handle = Field<Element<T>, T>;
            fn list(self) -> &'static str {
                self.path()
            }
            fn element() -> Self::Handle {
                Field::new("")
            }
        })*
    };
}
list_of_values!(Vec<T>, Option<Vec<T>>);

impl<M: 'static, E: Embed> List<M> for EmbedMany<M, E> {
    type Item = E;
    type Of = E;
    type Handle = &'static E::Fields<E>;
    fn list(self) -> &'static str {
        self.whole().path()
    }
    fn element() -> Self::Handle {
        element_fields::<E>()
    }
}

/// The fields of an element, with paths that start at it.
pub(crate) fn element_fields<E: Embed>() -> &'static E::Fields<E> {
    fields_at::<E, E>("")
}
