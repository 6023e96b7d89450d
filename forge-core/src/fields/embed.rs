use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{PoisonError, RwLock};

use super::{Field, Filter};
use crate::ir::{self, Predicate};
use crate::traits::Embed;

/// An embedded struct of `M`: dereferences to its fields, so that `f.address.city` is a [`Field`].
pub struct EmbedOne<M, E> {
    path: &'static str,
    _types: PhantomData<fn() -> (M, E)>,
}

impl<M, E> Clone for EmbedOne<M, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, E> Copy for EmbedOne<M, E> {}

impl<M, E> EmbedOne<M, E> {
    #[doc(hidden)]
    pub const fn new(path: &'static str) -> Self {
        Self { path, _types: PhantomData }
    }

    #[doc(hidden)]
    pub fn below(prefix: &'static str, name: &'static str) -> Self {
        Self::new(join(prefix, name))
    }

    /// The embed as a whole.
    pub const fn whole(self) -> Field<M, E> {
        Field::new(self.path)
    }
}

impl<M: 'static, E: Embed> Deref for EmbedOne<M, E> {
    type Target = E::Fields<M>;
    fn deref(&self) -> &Self::Target {
        fields_at::<M, E>(self.path)
    }
}

/// A list of embedded structs of `M`.
pub struct EmbedMany<M, E> {
    path: &'static str,
    _types: PhantomData<fn() -> (M, E)>,
}

impl<M, E> Clone for EmbedMany<M, E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, E> Copy for EmbedMany<M, E> {}

impl<M, E> EmbedMany<M, E> {
    #[doc(hidden)]
    pub const fn new(path: &'static str) -> Self {
        Self { path, _types: PhantomData }
    }

    #[doc(hidden)]
    pub fn below(prefix: &'static str, name: &'static str) -> Self {
        Self::new(join(prefix, name))
    }

    /// The list as a whole.
    pub const fn whole(self) -> Field<M, Vec<E>> {
        Field::new(self.path)
    }
}

impl<M: 'static, E: Embed> EmbedMany<M, E> {
    fn element(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        // Paths inside an element start at the element.
        let Filter { ir, error, .. } = filter(fields_at::<E, E>(""));
        Filter::with(ir::Filter::Field(self.path.into(), Predicate::Element(Box::new(ir))), error)
    }

    /// The element at a position, from 0.
    pub fn at(self, position: u16) -> EmbedOne<M, E> {
        EmbedOne::new(join_position(self.path, position))
    }

    /// Has exactly `n` elements.
    pub fn size(self, n: u32) -> Filter<M> {
        self.whole().size(n)
    }

    /// Has no elements.
    pub fn is_empty(self) -> Filter<M> {
        self.size(0)
    }

    /// At least one element matches.
    pub fn some(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        self.element(filter)
    }

    /// No element matches.
    pub fn none(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        !self.element(filter)
    }

    /// Every element matches; so it is where there are none.
    pub fn every(self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Filter<M> {
        !self.element(|fields| !filter(fields))
    }
}

/// `prefix.position`, made once for each distinct pair.
pub(super) fn join_position(prefix: &'static str, position: u16) -> &'static str {
    static NAMES: RwLock<Option<HashMap<u16, &'static str>>> = RwLock::new(None);
    let known = NAMES.read().unwrap_or_else(PoisonError::into_inner);
    let name = known.as_ref().and_then(|names| names.get(&position).copied());
    drop(known);
    let name = name.unwrap_or_else(|| {
        let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
        let make = || &*Box::leak(position.to_string().into_boxed_str());
        names.get_or_insert_default().entry(position).or_insert_with(make)
    });
    join(prefix, name)
}

/// `prefix.name`, made once for each distinct pair: the number of paths is that of the program's text.
pub(crate) fn join(prefix: &'static str, name: &'static str) -> &'static str {
    static JOINED: RwLock<Option<HashMap<(&'static str, &'static str), &'static str>>> = RwLock::new(None);
    if prefix.is_empty() {
        return name;
    }
    if let Some(path) = JOINED
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .and_then(|map| map.get(&(prefix, name)))
    {
        return path;
    }
    let mut map = JOINED.write().unwrap_or_else(PoisonError::into_inner);
    map.get_or_insert_default()
        .entry((prefix, name))
        .or_insert_with(|| Box::leak(format!("{prefix}.{name}").into_boxed_str()))
}

/// The fields of `E` below `prefix`, made at the first use. Lazy, so that an embed may hold itself.
pub(crate) fn fields_at<M: 'static, E: Embed>(prefix: &'static str) -> &'static E::Fields<M> {
    type Made = HashMap<(TypeId, &'static str), &'static (dyn Any + Send + Sync)>;
    static MADE: RwLock<Option<Made>> = RwLock::new(None);
    let key = (TypeId::of::<E::Fields<M>>(), prefix);
    let found =
        MADE.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|map| map.get(&key).copied());
    let fields = found.unwrap_or_else(|| {
        let made: &'static (dyn Any + Send + Sync) = Box::leak(Box::new(E::fields_below::<M>(prefix)));
        *MADE
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_default()
            .entry(key)
            .or_insert(made)
    });
    match fields.downcast_ref() {
        Some(fields) => fields,
        // The key holds the type, so this arm is never taken; leaking once more is still right.
        None => Box::leak(Box::new(E::fields_below::<M>(prefix))),
    }
}
