use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::Bson;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{decode, narrow, wrong_outcome};
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::{Field, Filter};
use crate::ir::{self, Change, End, Operation, Outcome, Returning};
use crate::model::ModelRef;
use crate::record::Record;
use crate::traits::{Changes, Model, PatchRecord};
use crate::value::{IntoValue, to_bson};

/// Numbers that fields can be raised by.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a number", label = "only number fields have this")]
pub trait Number: Serialize + 'static {}
impl Number for i32 {}
impl Number for i64 {}
impl Number for f64 {}
impl Number for Option<i32> {}
impl Number for Option<i64> {}
impl Number for Option<f64> {}

/// The changes of an update, shared by [`Update`] and [`UpdateMany`].
struct Draft<M> {
    handle: Handle,
    filter: ir::Filter,
    changes: Vec<Change>,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Draft<M> {
    fn new(handle: Handle, filter: Result<ir::Filter>) -> Self {
        let (filter, error) = match filter {
            Ok(filter) => (filter, None),
            Err(error) => (ir::Filter::Nothing, Some(error)),
        };
        Self { handle, filter, changes: Vec::new(), error, _model: PhantomData }
    }

    fn push(&mut self, change: Result<Change>) {
        match change {
            Ok(change) => self.changes.push(change),
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }

    fn patch(&mut self, patch: &M::Patch) {
        let operation = || format!("{}.update", M::def().name);
        let mut changes = Changes::default();
        let checked = crate::validate::check(patch, <M::Patch as Record>::shape(), operation)
            .and_then(|()| patch.changes(&mut changes));
        match checked {
            Ok(()) => self.changes.extend(changes.0),
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }

    fn into_operation(self, many: bool, returning: Returning) -> Result<(Handle, Operation)> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let operation = ir::Update {
            changes: self.changes,
            many,
            returning,
            ..ir::Update::new(ModelRef(M::def()), self.filter)
        };
        Ok((self.handle, Operation::Update(operation)))
    }
}

macro_rules! change_methods {
    ($name:ident) => {
        impl<M: Model> $name<M> {
            fn change<T>(
                mut self,
                field: Field<M, T>,
                make: impl FnOnce(ir::Path) -> Result<Change>,
            ) -> Self {
                self.draft.push(make(field.path().into()));
                self
            }

            /// Sets a field.
            pub fn set<T: Serialize + 'static>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
                value: impl IntoValue<T>,
            ) -> Self {
                let value = value.into_value();
                self.change(field(M::FIELDS), |path| to_bson(&value).map(|value| Change::Set(path, value)))
            }

            /// Removes an optional field.
            pub fn unset<T>(self, field: impl FnOnce(&'static M::Fields) -> Field<M, Option<T>>) -> Self {
                self.change(field(M::FIELDS), |path| Ok(Change::Unset(path)))
            }

            /// Raises a number by `amount`; an absent one counts as 0.
            pub fn inc<T: Number>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
                amount: impl IntoValue<T>,
            ) -> Self {
                let amount = amount.into_value();
                self.change(field(M::FIELDS), |path| to_bson(&amount).map(|value| Change::Inc(path, value)))
            }

            /// Multiplies a number; an absent one becomes 0.
            pub fn mul<T: Number>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
                factor: impl IntoValue<T>,
            ) -> Self {
                let factor = factor.into_value();
                self.change(field(M::FIELDS), |path| to_bson(&factor).map(|value| Change::Mul(path, value)))
            }

            /// Lowers a field to `value`, where it is larger or absent.
            pub fn min<T: Serialize + 'static>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
                value: impl IntoValue<T>,
            ) -> Self {
                let value = value.into_value();
                self.change(field(M::FIELDS), |path| to_bson(&value).map(|value| Change::Min(path, value)))
            }

            /// Raises a field to `value`, where it is smaller or absent.
            pub fn max<T: Serialize + 'static>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
                value: impl IntoValue<T>,
            ) -> Self {
                let value = value.into_value();
                self.change(field(M::FIELDS), |path| to_bson(&value).map(|value| Change::Max(path, value)))
            }

            /// Appends an element.
            pub fn push<E: Serialize + 'static>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, Vec<E>>,
                value: impl IntoValue<E>,
            ) -> Self {
                self.push_all(field, [value.into_value()])
            }

            /// Appends elements.
            pub fn push_all<E: Serialize + 'static>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, Vec<E>>,
                values: impl IntoIterator<Item = E>,
            ) -> Self {
                let values = list(values);
                self.change(field(M::FIELDS), |path| values.map(|values| Change::Push(path, values)))
            }

            /// Appends an element, unless the list holds it already.
            pub fn add_to_set<E: Serialize + 'static>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, Vec<E>>,
                value: impl IntoValue<E>,
            ) -> Self {
                let values = list([value.into_value()]);
                self.change(field(M::FIELDS), |path| values.map(|values| Change::AddToSet(path, values)))
            }

            /// Removes every element that equals `value`.
            pub fn pull<E: Serialize + 'static>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, Vec<E>>,
                value: impl IntoValue<E>,
            ) -> Self {
                let values = list([value.into_value()]);
                self.change(field(M::FIELDS), |path| values.map(|values| Change::Pull(path, values)))
            }

            /// Removes the element at one end.
            pub fn pop<E>(
                self,
                field: impl FnOnce(&'static M::Fields) -> Field<M, Vec<E>>,
                end: End,
            ) -> Self {
                self.change(field(M::FIELDS), |path| Ok(Change::Pop(path, end)))
            }

            /// Sets what the patch gives, after checking it by the model's `#[validate(…)]` rules.
            pub fn patch(mut self, patch: M::Patch) -> Self {
                self.draft.patch(&patch);
                self
            }
        }
    };
}

fn list<E: Serialize + 'static>(values: impl IntoIterator<Item = E>) -> Result<Vec<Bson>> {
    values.into_iter().map(|value| to_bson(&value)).collect()
}

/// A change to the document with one id; awaiting it gives the document as it is afterwards.
///
/// # Errors
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no such document.
#[must_use = "an update runs when it is awaited"]
pub struct Update<M> {
    draft: Draft<M>,
}

change_methods!(Update);

impl<M: Model> Update<M> {
    pub(crate) fn new(handle: Handle, id: Result<Bson>) -> Self {
        Self { draft: Draft::new(handle, id.map(|id| ir::Filter::eq("_id", id))) }
    }

    /// Changes the document only if it also matches `filter`: compare and set.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.draft.filter, &mut self.draft.error, filter(M::FIELDS));
        self
    }
}

impl<M: Model> IntoFuture for Update<M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (handle, operation) = self.draft.into_operation(false, Returning::After)?;
            match handle.execute(operation).await? {
                Outcome::Written { document: Some(document), .. } => decode(&document),
                Outcome::Written { .. } => Err(Error::not_found(format!("no {} has this id", M::def().name))),
                _ => Err(wrong_outcome("update")),
            }
        })
    }
}

/// A change to every document that matches; awaiting it gives how many matched.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) without a filter, unless [`all`](UpdateMany::all) was called.
#[must_use = "an update runs when it is awaited"]
pub struct UpdateMany<M> {
    draft: Draft<M>,
    all: bool,
}

change_methods!(UpdateMany);

impl<M: Model> UpdateMany<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { draft: Draft::new(handle, Ok(ir::Filter::All)), all: false }
    }

    /// Only documents that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.draft.filter, &mut self.draft.error, filter(M::FIELDS));
        self
    }

    /// Every document of the collection is meant.
    pub fn all(mut self) -> Self {
        self.all = true;
        self
    }
}

impl<M: Model> IntoFuture for UpdateMany<M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            require_filter::<M>("update_many", &self.draft.filter, self.all)?;
            let (handle, operation) = self.draft.into_operation(true, Returning::Nothing)?;
            match handle.execute(operation).await? {
                Outcome::Written { matched, .. } => Ok(matched),
                _ => Err(wrong_outcome("update_many")),
            }
        })
    }
}

/// A filter that came out as "everything" is refused unless everything was asked for by name.
pub(super) fn require_filter<M: Model>(operation: &str, filter: &ir::Filter, all: bool) -> Result<()> {
    if *filter == ir::Filter::All && !all {
        let name = M::def().name;
        return Err(Error::bad_request(format!(
            "{operation}::<{name}>() has no filter; call .all() if every {name} is meant"
        )));
    }
    Ok(())
}
