//! Changes of elements of lists, and of lists that grow.

use std::marker::PhantomData;

use serde::Serialize;

use super::changes::{Moment, Number, Recorder, Whole, change_methods};
use super::narrow;
use crate::fields::{Element, Field, Filter, IntoSort, element_fields};
use crate::ir::{self, Change, PushOptions, PushSort};
use crate::traits::Embed;
use crate::value::{IntoValue, to_bson};

/// Changes of the embeds of a list: `.each(|o| o.items, |item| item.filter(|i| i.qty.gt(5)).set(|i| i.discount, 0.1))`.
#[must_use]
pub struct Each<E> {
    filter: ir::Filter,
    recorder: Recorder,
    _embed: PhantomData<fn() -> E>,
}

change_methods!(Each<E: Embed>, E::Fields<E> = element_fields::<E>());

impl<E: Embed> Each<E> {
    pub(crate) fn new() -> Self {
        Self { filter: ir::Filter::All, recorder: Recorder::default(), _embed: PhantomData }
    }

    fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Only elements that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static E::Fields<E>) -> Filter<E>) -> Self {
        narrow(&mut self.filter, &mut self.recorder.error, filter(element_fields::<E>()));
        self
    }

    pub(crate) fn record_in(self, path: &str, outer: &mut Recorder) {
        outer.each(path, self.filter, self.recorder);
    }
}

/// Changes of the values of a list: `.each_value(|p| p.scores, |score| score.filter(|s| s.lt(0)).set(0))`.
#[must_use]
pub struct EachValue<T> {
    filter: ir::Filter,
    recorder: Recorder,
    _value: PhantomData<fn() -> T>,
}

impl<T: Serialize + 'static> EachValue<T> {
    pub(crate) fn new() -> Self {
        Self { filter: ir::Filter::All, recorder: Recorder::default(), _value: PhantomData }
    }

    /// Only values that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(Field<Element<T>, T>) -> Filter<Element<T>>) -> Self {
        narrow(&mut self.filter, &mut self.recorder.error, filter(Field::new("")));
        self
    }

    fn change(mut self, value: impl IntoValue<T>, make: fn(ir::Path, bson::Bson) -> Change) -> Self {
        self.recorder.add(to_bson(&value.into_value()).map(|value| make("".into(), value)));
        self
    }

    /// Sets the value.
    pub fn set(self, value: impl IntoValue<T>) -> Self {
        self.change(value, Change::Set)
    }

    /// Raises the number by `amount`.
    pub fn inc(self, amount: impl IntoValue<T>) -> Self
    where
        T: Number,
    {
        self.change(amount, Change::Inc)
    }

    /// Multiplies the number.
    #[allow(clippy::should_implement_trait, reason = "it is named as the change of a field is")]
    pub fn mul(self, factor: impl IntoValue<T>) -> Self
    where
        T: Number,
    {
        self.change(factor, Change::Mul)
    }

    /// Lowers the value to `value`, where it is larger.
    pub fn min(self, value: impl IntoValue<T>) -> Self {
        self.change(value, Change::Min)
    }

    /// Raises the value to `value`, where it is smaller.
    pub fn max(self, value: impl IntoValue<T>) -> Self {
        self.change(value, Change::Max)
    }

    pub(crate) fn record_in(self, path: &str, outer: &mut Recorder) {
        outer.each(path, self.filter, self.recorder);
    }
}

/// What becomes of a list after elements were added: `.push_with(|p| p.scores, [9], |push| push.descending().slice(3))`.
#[must_use]
pub struct Push<E> {
    options: PushOptions,
    _element: PhantomData<fn() -> E>,
}

impl<E> Push<E> {
    pub(crate) fn new() -> Self {
        Self { options: PushOptions::default(), _element: PhantomData }
    }

    /// Where the first new element goes, from 0; counted from the end where negative.
    pub fn position(mut self, position: i32) -> Self {
        self.options.position = Some(position.into());
        self
    }

    /// How many elements stay: the first ones, or the last ones where negative.
    pub fn slice(mut self, length: i32) -> Self {
        self.options.slice = Some(length.into());
        self
    }

    pub(crate) fn into_ir(self) -> PushOptions {
        self.options
    }
}

impl<T> Push<Element<T>> {
    /// Sorts all values from small to large.
    pub fn ascending(self) -> Self {
        self.ordered(false)
    }

    /// Sorts all values from large to small.
    pub fn descending(self) -> Self {
        self.ordered(true)
    }

    fn ordered(mut self, descending: bool) -> Self {
        self.options.sort = Some(PushSort::Values { descending });
        self
    }
}

impl<E: Embed> Push<E> {
    /// Sorts all elements by fields of theirs.
    pub fn sort<S: IntoSort<E>>(mut self, sort: impl FnOnce(&'static E::Fields<E>) -> S) -> Self {
        self.options.sort = Some(PushSort::Paths(sort(element_fields::<E>()).into_sort()));
        self
    }
}
