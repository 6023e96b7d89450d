use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::Bson;
use futures_util::future::BoxFuture;

use super::update::require_filter;
use super::{decode, narrow, wrong_outcome};
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::Filter;
use crate::ir::{self, Operation, Outcome};
use crate::model::ModelRef;
use crate::traits::Model;

/// The end of the document with one id and, by its relations, of others; awaiting it gives the document.
///
/// Models with `soft_delete` keep the document and set `deletedAt`.
///
/// # Errors
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no such document;
/// [`ErrorCode::Restricted`](crate::ErrorCode::Restricted) where others still refer to it.
#[must_use = "a delete runs when it is awaited"]
pub struct Delete<M> {
    handle: Handle,
    id: Result<Bson>,
    purge: bool,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Delete<M> {
    pub(crate) fn new(handle: Handle, id: Result<Bson>) -> Self {
        Self { handle, id, purge: false, _model: PhantomData }
    }

    /// Removes the document for good, where the model has `soft_delete`; deleted ones as well.
    pub fn purge(mut self) -> Self {
        self.purge = true;
        self
    }
}

impl<M: Model> IntoFuture for Delete<M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let operation = ir::Delete {
                model: ModelRef(M::def()),
                filter: ir::Filter::eq("_id", self.id?),
                many: false,
                returning: true,
                purge: self.purge,
                dry_run: false,
                now: self.handle.now().into(),
            };
            match self.handle.execute(Operation::Delete(operation)).await? {
                Outcome::Written { document: Some(document), .. } => decode(&document),
                Outcome::Written { .. } => Err(Error::not_found(format!("no {} has this id", M::def().name))),
                _ => Err(wrong_outcome("delete")),
            }
        })
    }
}

/// The end of every document that matches; awaiting it gives how many of `M` there were.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) without a filter, unless [`all`](DeleteMany::all) was called;
/// [`ErrorCode::Restricted`](crate::ErrorCode::Restricted) where others still refer to one of them.
#[must_use = "a delete runs when it is awaited"]
pub struct DeleteMany<M> {
    handle: Handle,
    filter: ir::Filter,
    all: bool,
    purge: bool,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> DeleteMany<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, filter: ir::Filter::All, all: false, purge: false, error: None, _model: PhantomData }
    }

    /// Only documents that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.filter, &mut self.error, filter(M::FIELDS));
        self
    }

    /// Every document of the collection is meant.
    pub fn all(mut self) -> Self {
        self.all = true;
        self
    }

    /// Removes documents for good, where the model has `soft_delete`; deleted ones as well.
    pub fn purge(mut self) -> Self {
        self.purge = true;
        self
    }
}

impl<M: Model> IntoFuture for DeleteMany<M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if let Some(error) = self.error {
                return Err(error);
            }
            require_filter::<M>("delete_many", &self.filter, self.all)?;
            let operation = ir::Delete {
                model: ModelRef(M::def()),
                filter: self.filter,
                many: true,
                returning: false,
                purge: self.purge,
                dry_run: false,
                now: self.handle.now().into(),
            };
            match self.handle.execute(Operation::Delete(operation)).await? {
                Outcome::Written { changed, .. } => Ok(changed),
                _ => Err(wrong_outcome("delete_many")),
            }
        })
    }
}
