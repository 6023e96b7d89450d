//! Changes as builders record them, and the methods that all of those builders have.

use bson::Bson;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::ir::{self, Change, ElementFilter};
use crate::types::{DateTime, Decimal, Int64};
use crate::value::to_bson;

/// Numbers that fields can be raised by.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a number", label = "only number fields have this")]
pub trait Number: Serialize + 'static {}

macro_rules! numbers {
    ($($type:ty),*) => { $(impl Number for $type {} impl Number for Option<$type> {})* };
}
numbers!(i32, i64, f64, u32, f32, i8, i16, u8, u16, u64, Decimal, Int64);

/// Whole numbers, whose bits can be changed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a whole number",
    label = "only fields of whole numbers have bits to change"
)]
pub trait Whole: Number {}
impl Whole for i32 {}
impl Whole for i64 {}
impl Whole for u32 {}
impl Whole for Option<u32> {}
impl Whole for Option<i32> {}
impl Whole for Option<i64> {}

/// Types of fields that hold a moment.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a moment",
    label = "only DateTime and Option<DateTime> fields have this"
)]
pub trait Moment {}
impl Moment for DateTime {}
impl Moment for Option<DateTime> {}

/// The changes of an update so far.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) changes: Vec<Change>,
    pub(crate) elements: Vec<ElementFilter>,
    /// How many lists changes went into.
    lists: usize,
    pub(crate) error: Option<Error>,
}

impl Recorder {
    pub(crate) fn add(&mut self, change: Result<Change>) {
        match change {
            Ok(change) => self.changes.push(change),
            Err(error) => self.fail(error),
        }
    }

    /// Keeps the first error.
    pub(crate) fn fail(&mut self, error: Error) {
        self.error = self.error.take().or(Some(error));
    }

    /// Takes the changes of those elements of the list at `path` that match.
    pub(crate) fn each(&mut self, path: &str, filter: ir::Filter, inner: Recorder) {
        if let Some(error) = inner.error {
            self.fail(error);
        }
        // A name begins with those of the lists around it, so that all names of an update differ.
        let name = format!("e{}", self.lists);
        self.lists += 1;
        let renamed = |path: &str| path.replace("$[e", &format!("$[{name}e"));
        let element = if filter == ir::Filter::All { "$[]".to_owned() } else { format!("$[{name}]") };
        let place = |inner: &str| match inner {
            "" => format!("{path}.{element}"),
            inner => format!("{path}.{element}.{}", renamed(inner)),
        };
        self.changes.extend(inner.changes.into_iter().map(|change| change.moved(place)));
        if filter != ir::Filter::All {
            self.elements.push(ElementFilter { name: name.clone(), filter });
        }
        let named = |inner: ElementFilter| ElementFilter { name: format!("{name}{}", inner.name), ..inner };
        self.elements.extend(inner.elements.into_iter().map(named));
    }
}

pub(crate) fn list<E: Serialize + 'static>(values: impl IntoIterator<Item = E>) -> Result<Vec<Bson>> {
    values.into_iter().map(|value| to_bson(&value)).collect()
}

/// The methods of a builder of changes. It has a `recorder()`; `$fields` are what its closures receive.
macro_rules! change_methods {
    ($name:ident<$of:ident: $bound:path>, $fields:ty = $get:expr) => {
        impl<$of: $bound> $name<$of> {
            fn record(mut self, change: $crate::error::Result<$crate::ir::Change>) -> Self {
                self.recorder().add(change);
                self
            }

            /// Sets a field, or an embed as a whole.
            pub fn set<F: $crate::fields::Assign<$of>>(
                self,
                field: impl FnOnce(&'static $fields) -> F,
                value: impl $crate::value::IntoValue<F::Value>,
            ) -> Self
            where
                F::Value: serde::Serialize + 'static,
            {
                let (path, value) = (field($get).assigned(), value.into_value());
                self.record(
                    $crate::value::to_bson(&value).map(|value| $crate::ir::Change::Set(path.into(), value)),
                )
            }

            /// Removes an optional field.
            pub fn unset<F: $crate::fields::Optional<$of>>(
                self,
                field: impl FnOnce(&'static $fields) -> F,
            ) -> Self {
                let path = field($get).removed();
                self.record(Ok($crate::ir::Change::Unset(path.into())))
            }

            /// Raises a number by `amount`; an absent one counts as 0.
            pub fn inc<T: Number>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                amount: impl $crate::value::IntoValue<T>,
            ) -> Self {
                let (path, amount) = (field($get).path(), amount.into_value());
                self.record(
                    $crate::value::to_bson(&amount).map(|value| $crate::ir::Change::Inc(path.into(), value)),
                )
            }

            /// Multiplies a number; an absent one becomes 0.
            pub fn mul<T: Number>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                factor: impl $crate::value::IntoValue<T>,
            ) -> Self {
                let (path, factor) = (field($get).path(), factor.into_value());
                self.record(
                    $crate::value::to_bson(&factor).map(|value| $crate::ir::Change::Mul(path.into(), value)),
                )
            }

            /// Lowers a field to `value`, where it is larger or absent.
            pub fn min<T: serde::Serialize + 'static>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                value: impl $crate::value::IntoValue<T>,
            ) -> Self {
                let (path, value) = (field($get).path(), value.into_value());
                self.record(
                    $crate::value::to_bson(&value).map(|value| $crate::ir::Change::Min(path.into(), value)),
                )
            }

            /// Raises a field to `value`, where it is smaller or absent.
            pub fn max<T: serde::Serialize + 'static>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                value: impl $crate::value::IntoValue<T>,
            ) -> Self {
                let (path, value) = (field($get).path(), value.into_value());
                self.record(
                    $crate::value::to_bson(&value).map(|value| $crate::ir::Change::Max(path.into(), value)),
                )
            }

            /// Keeps the bits that `bits` has as well.
            pub fn bit_and<T: Whole>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                bits: impl $crate::value::IntoValue<T>,
            ) -> Self {
                self.bits(field($get).path(), $crate::ir::BitOp::And, &bits.into_value())
            }

            /// Sets the bits of `bits`.
            pub fn bit_or<T: Whole>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                bits: impl $crate::value::IntoValue<T>,
            ) -> Self {
                self.bits(field($get).path(), $crate::ir::BitOp::Or, &bits.into_value())
            }

            /// Turns the bits of `bits` over.
            pub fn bit_xor<T: Whole>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                bits: impl $crate::value::IntoValue<T>,
            ) -> Self {
                self.bits(field($get).path(), $crate::ir::BitOp::Xor, &bits.into_value())
            }

            fn bits<T: Whole>(self, path: &'static str, op: $crate::ir::BitOp, bits: &T) -> Self {
                self.record(
                    $crate::value::to_bson(bits).map(|value| $crate::ir::Change::Bit(path.into(), op, value)),
                )
            }

            /// Sets a field to the time of the database.
            pub fn current_date<T: Moment>(
                self,
                field: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
            ) -> Self {
                let path = field($get).path();
                self.record(Ok($crate::ir::Change::CurrentDate(path.into())))
            }

            /// Moves the value of one field to another; nothing happens where there is none.
            pub fn rename<T>(
                self,
                from: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
                to: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
            ) -> Self {
                let (from, to) = (from($get).path(), to($get).path());
                self.record(Ok($crate::ir::Change::Rename(from.into(), to.into())))
            }

            /// Moves the value at a stored path that the model no longer has to a field.
            pub fn rename_from<T>(
                self,
                from: impl Into<String>,
                to: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, T>,
            ) -> Self {
                let (from, to) = (from.into(), to($get).path());
                self.record(Ok($crate::ir::Change::Rename(from.into(), to.into())))
            }

            /// Appends an element.
            pub fn push<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                value: impl $crate::value::IntoValue<L::Item>,
            ) -> Self {
                self.push_all(list, [value.into_value()])
            }

            /// Appends elements.
            pub fn push_all<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                values: impl IntoIterator<Item = L::Item>,
            ) -> Self {
                let (path, values) = (list($get).list(), $crate::query::changes::list(values));
                self.record(values.map(|values| $crate::ir::Change::Push(path.into(), values)))
            }

            /// Adds elements at a place, and brings the list in order or cuts it.
            pub fn push_with<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                values: impl IntoIterator<Item = L::Item>,
                options: impl FnOnce($crate::query::Push<L::Of>) -> $crate::query::Push<L::Of>,
            ) -> Self {
                let (path, values) = (list($get).list(), $crate::query::changes::list(values));
                let options = options($crate::query::Push::new()).into_ir();
                self.record(values.map(|values| $crate::ir::Change::PushWith(path.into(), values, options)))
            }

            /// Appends an element, unless the list holds it already.
            pub fn add_to_set<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                value: impl $crate::value::IntoValue<L::Item>,
            ) -> Self {
                self.add_all_to_set(list, [value.into_value()])
            }

            /// Appends those of the elements that the list does not hold already.
            pub fn add_all_to_set<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                values: impl IntoIterator<Item = L::Item>,
            ) -> Self {
                let (path, values) = (list($get).list(), $crate::query::changes::list(values));
                self.record(values.map(|values| $crate::ir::Change::AddToSet(path.into(), values)))
            }

            /// Removes every element that equals `value`.
            pub fn pull<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                value: impl $crate::value::IntoValue<L::Item>,
            ) -> Self {
                self.pull_all(list, [value.into_value()])
            }

            /// Removes every element that equals one of `values`.
            pub fn pull_all<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                values: impl IntoIterator<Item = L::Item>,
            ) -> Self {
                let (path, values) = (list($get).list(), $crate::query::changes::list(values));
                self.record(values.map(|values| $crate::ir::Change::Pull(path.into(), values)))
            }

            /// Removes every element that matches.
            pub fn pull_where<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                filter: impl FnOnce(L::Handle) -> $crate::fields::Filter<L::Of>,
            ) -> Self {
                let (path, filter) = (list($get).list(), filter(L::element()).into_ir());
                self.record(filter.map(|filter| $crate::ir::Change::PullWhere(path.into(), filter)))
            }

            /// Removes the element at one end.
            pub fn pop<L: $crate::fields::List<$of>>(
                self,
                list: impl FnOnce(&'static $fields) -> L,
                end: $crate::ir::End,
            ) -> Self {
                let path = list($get).list();
                self.record(Ok($crate::ir::Change::Pop(path.into(), end)))
            }

            /// Changes embeds of a list: all of them, or those that the [`filter`](crate::query::Each::filter) names.
            pub fn each<Inner: $crate::traits::Embed>(
                mut self,
                list: impl FnOnce(&'static $fields) -> $crate::fields::EmbedMany<$of, Inner>,
                change: impl FnOnce($crate::query::Each<Inner>) -> $crate::query::Each<Inner>,
            ) -> Self {
                let path = list($get).whole().path();
                change($crate::query::Each::new()).record_in(path, self.recorder());
                self
            }

            /// Changes values of a list: all of them, or those that the [`filter`](crate::query::EachValue::filter) names.
            pub fn each_value<Value: serde::Serialize + 'static>(
                mut self,
                list: impl FnOnce(&'static $fields) -> $crate::fields::Field<$of, Vec<Value>>,
                change: impl FnOnce($crate::query::EachValue<Value>) -> $crate::query::EachValue<Value>,
            ) -> Self {
                let path = list($get).path();
                change($crate::query::EachValue::new()).record_in(path, self.recorder());
                self
            }
        }
    };
}
pub(crate) use change_methods;
