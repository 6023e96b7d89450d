use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::Bson;
use futures_util::future::BoxFuture;

use super::loaded::Expected;
use super::update::require_filter;
use super::{decode, narrow, wrong_outcome};
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::Filter;
use crate::ir::{self, Collation, Forecast, Operation, Outcome};
use crate::model::ModelRef;
use crate::traits::Model;

/// What deletes of one and of many have in common.
struct Draft<M> {
    handle: Handle,
    filter: ir::Filter,
    purge: bool,
    collation: Option<Collation>,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Draft<M> {
    fn new(handle: Handle, filter: Result<ir::Filter>) -> Self {
        let (filter, error) = match filter {
            Ok(filter) => (filter, None),
            Err(error) => (ir::Filter::Nothing, Some(error)),
        };
        Self { handle, filter, purge: false, collation: None, error, _model: PhantomData }
    }

    fn into_ir(self, many: bool) -> Result<(Handle, ir::Delete)> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let delete = ir::Delete {
            many,
            returning: !many,
            purge: self.purge,
            collation: self.collation,
            mark: Some(self.handle.env().object_id()),
            ..ir::Delete::new(ModelRef(M::def()), self.filter, self.handle.now().into())
        };
        Ok((self.handle, delete))
    }
}

/// The end of the document with one id and, by its relations, of others; awaiting it gives the document.
///
/// Models with `soft_delete` keep the document and set `deletedAt`.
///
/// # Errors
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no such document;
/// [`ErrorCode::Restricted`](crate::ErrorCode::Restricted) where others still refer to it;
/// [`ErrorCode::Conflict`](crate::ErrorCode::Conflict) where the document is not as
/// [`if_unchanged`](Delete::if_unchanged) expects.
#[must_use = "a delete runs when it is awaited"]
pub struct Delete<M> {
    draft: Draft<M>,
    expected: Option<Expected>,
}

impl<M: Model> Delete<M> {
    pub(crate) fn new(handle: Handle, id: Result<Bson>) -> Self {
        Self { draft: Draft::new(handle, id.map(|id| ir::Filter::eq("_id", id))), expected: None }
    }

    /// Removes the document for good, where the model has `soft_delete`; deleted ones as well.
    pub fn purge(mut self) -> Self {
        self.draft.purge = true;
        self
    }

    /// Deletes the document only if nobody has changed it since it was read as `loaded`: its `#[model(version)]` must be
    /// the same.
    pub fn if_unchanged(mut self, loaded: &M) -> Self {
        match Expected::of(loaded, &mut self.draft.filter) {
            Ok(expected) => self.expected = Some(expected),
            Err(error) => self.draft.error = self.draft.error.or(Some(error)),
        }
        self
    }

    /// Tells what would become of which documents, and deletes nothing.
    pub fn dry_run(self) -> DryRun {
        DryRun { delete: self.draft.into_ir(false) }
    }
}

impl<M: Model> IntoFuture for Delete<M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (handle, delete) = self.draft.into_ir(false)?;
            let purge = delete.purge;
            match handle.execute(Operation::Delete(delete)).await? {
                Outcome::Written { document: Some(document), .. } => decode(&document),
                Outcome::Written { .. } => Err(match self.expected {
                    Some(expected) => expected.failure(&handle, M::def(), purge).await,
                    None => Error::not_found(format!("no {} has this id", M::def().name)),
                }),
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
    draft: Draft<M>,
    all: bool,
}

impl<M: Model> DeleteMany<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { draft: Draft::new(handle, Ok(ir::Filter::All)), all: false }
    }

    /// Only documents that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.draft.filter, &mut self.draft.error, filter(M::FIELDS));
        self
    }

    /// How strings compare in the condition. A strength that is not 1 to 5 is a `bad_request`.
    pub fn collation(mut self, collation: Collation) -> Self {
        if let Err(error) = collation.check() {
            self.draft.error = self.draft.error.or(Some(error));
        }
        self.draft.collation = Some(collation);
        self
    }

    /// Every document of the collection is meant.
    pub fn all(mut self) -> Self {
        self.all = true;
        self
    }

    /// Removes documents for good, where the model has `soft_delete`; deleted ones as well.
    pub fn purge(mut self) -> Self {
        self.draft.purge = true;
        self
    }

    /// Tells what would become of which documents, and deletes nothing.
    pub fn dry_run(self) -> DryRun {
        let delete = self.checked().and_then(|draft| draft.into_ir(true));
        DryRun { delete }
    }

    fn checked(self) -> Result<Draft<M>> {
        if self.draft.error.is_none() {
            require_filter::<M>("delete_many", &self.draft.filter, self.all)?;
        }
        Ok(self.draft)
    }
}

impl<M: Model> IntoFuture for DeleteMany<M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (handle, delete) = self.checked()?.into_ir(true)?;
            match handle.execute(Operation::Delete(delete)).await? {
                Outcome::Written { changed, .. } => Ok(changed),
                _ => Err(wrong_outcome("delete_many")),
            }
        })
    }
}

/// What a delete would do; awaiting it gives the [`Forecast`].
///
/// ```ignore
/// let forecast = db.delete::<Airport>("PDX").dry_run().await?;
/// for affected in &forecast.models {
///     println!("{:?} {}: {:?}", affected.fate, affected.model.name, affected.count);
/// }
/// assert!(forecast.restricted.is_empty(), "it would be refused");
/// ```
#[must_use = "a dry run runs when it is awaited"]
pub struct DryRun {
    delete: Result<(Handle, ir::Delete)>,
}

impl IntoFuture for DryRun {
    type Output = Result<Forecast>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (handle, delete) = self.delete?;
            let delete = ir::Delete { dry_run: true, returning: false, ..delete };
            match handle.execute(Operation::Delete(delete)).await? {
                Outcome::Forecast(forecast) => Ok(forecast),
                _ => Err(wrong_outcome("dry_run")),
            }
        })
    }
}
