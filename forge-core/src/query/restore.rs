use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::Bson;
use futures_util::future::BoxFuture;

use super::update::require_filter;
use super::{decode, narrow, wrong_outcome};
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::Filter;
use crate::ir::{self, Change, Operation, Outcome, Predicate, Returning};
use crate::model::{DELETED_AT, ModelRef};
use crate::traits::Model;

/// The end of a soft delete.
fn revival<M: Model>(filter: ir::Filter) -> Result<ir::Update> {
    if !M::def().soft_delete {
        let name = M::def().name;
        return Err(Error::bad_request(format!(
            "a deleted {name} cannot be restored: {name} has no #[model(soft_delete)]"
        )));
    }
    let deleted = ir::Filter::Field(DELETED_AT.into(), Predicate::Ne(Bson::Null));
    Ok(ir::Update {
        changes: vec![Change::Unset(DELETED_AT.into())],
        with_deleted: true,
        ..ir::Update::new(ModelRef(M::def()), filter.and(deleted))
    })
}

/// The end of the soft delete of one document; awaiting it gives the document. What was deleted along with it stays so.
///
/// # Errors
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where no deleted document has the id.
#[must_use = "a document is restored when this is awaited"]
pub struct Restore<M> {
    handle: Handle,
    id: Result<Bson>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Restore<M> {
    pub(crate) fn new(handle: Handle, id: Result<Bson>) -> Self {
        Self { handle, id, _model: PhantomData }
    }
}

impl<M: Model> IntoFuture for Restore<M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let update = revival::<M>(ir::Filter::eq("_id", self.id?))?;
            let update = ir::Update { returning: Returning::After, ..update };
            match self.handle.execute(Operation::Update(update)).await? {
                Outcome::Written { document: Some(document), .. } => decode(&document),
                Outcome::Written { .. } => {
                    Err(Error::not_found(format!("no deleted {} has this id", M::def().name)))
                }
                _ => Err(wrong_outcome("restore")),
            }
        })
    }
}

/// The end of the soft delete of every document that matches; awaiting it gives how many came back.
///
/// # Errors
/// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) without a filter, unless [`all`](RestoreMany::all) was called.
#[must_use = "documents are restored when this is awaited"]
pub struct RestoreMany<M> {
    handle: Handle,
    filter: ir::Filter,
    all: bool,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> RestoreMany<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, filter: ir::Filter::All, all: false, error: None, _model: PhantomData }
    }

    /// Only documents that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.filter, &mut self.error, filter(M::FIELDS));
        self
    }

    /// Every deleted document of the collection is meant.
    pub fn all(mut self) -> Self {
        self.all = true;
        self
    }
}

impl<M: Model> IntoFuture for RestoreMany<M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if let Some(error) = self.error {
                return Err(error);
            }
            require_filter::<M>("restore_many", &self.filter, self.all)?;
            let update = ir::Update { many: true, ..revival::<M>(self.filter)? };
            match self.handle.execute(Operation::Update(update)).await? {
                Outcome::Written { changed, .. } => Ok(changed),
                _ => Err(wrong_outcome("restore_many")),
            }
        })
    }
}
