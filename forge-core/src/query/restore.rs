use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::Bson;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::update::require_filter;
use super::{decode, narrow, revive, wrong_outcome};
use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::fields::Filter;
use crate::ir::{self, Operation, Outcome, Returning};
use crate::model::ModelRef;
use crate::traits::Model;

fn checked<M: Model>() -> Result<()> {
    if M::def().soft_delete {
        return Ok(());
    }
    let name = M::def().name;
    Err(Error::bad_request(format!(
        "a deleted {name} cannot be restored: {name} has no #[model(soft_delete)]"
    )))
}

/// Ends soft deletes, with what they took along: in one transaction where the deployment has them.
async fn revived<M: Model>(handle: Handle, filter: ir::Filter) -> Result<u64> {
    let db = Db::of(handle);
    if db.in_transaction() || !db.adapter().capabilities().transactions {
        return revive::revive(&db, M::def(), filter).await;
    }
    db.transaction(async |tx: Db| revive::revive(&tx, M::def(), filter.clone()).await).await
}

/// The end of the soft delete of one document; awaiting it gives the document.
///
/// What the same delete took along by `on_delete = cascade` comes back with it, as far as it was soft-deleted. What was
/// deleted before stays so; documents that were removed, and keys that were cleared, do not come back.
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
            checked::<M>()?;
            let (by_id, missing) = (ir::Filter::eq("_id", self.id?), || {
                Error::not_found(format!("no deleted {} has this id", M::def().name))
            });
            let db = Db::of(self.handle.clone());
            if revive::takes_along(&db, M::def()) {
                let handle = self.handle.clone();
                if revived::<M>(handle, by_id.clone()).boxed().await? == 0 {
                    return Err(missing());
                }
                return reload::<M>(&self.handle, by_id).await?.ok_or_else(missing);
            }
            let update = revive::revival(M::def(), by_id);
            let update = ir::Update { returning: Returning::After, ..update };
            match self.handle.execute(Operation::Update(update)).await? {
                Outcome::Written { document: Some(document), .. } => decode(&document),
                Outcome::Written { .. } => Err(missing()),
                _ => Err(wrong_outcome("restore")),
            }
        })
    }
}

/// The document as it is now.
async fn reload<M: Model>(handle: &Handle, filter: ir::Filter) -> Result<Option<M>> {
    let select = ir::Select { filter, limit: Some(1), ..ir::Select::new(ModelRef(M::def())) };
    match handle.execute(Operation::Select(select)).await? {
        Outcome::Rows(rows) => rows.documents.first().map(|document| decode(document)).transpose(),
        _ => Err(wrong_outcome("restore")),
    }
}

/// The end of the soft delete of every document that matches; awaiting it gives how many came back, not counting what
/// comes back along with them, as with [`Restore`].
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
            checked::<M>()?;
            let db = Db::of(self.handle.clone());
            if revive::takes_along(&db, M::def()) {
                return revived::<M>(self.handle, self.filter).boxed().await;
            }
            let update = ir::Update { many: true, ..revive::revival(M::def(), self.filter) };
            match self.handle.execute(Operation::Update(update)).await? {
                Outcome::Written { changed, .. } => Ok(changed),
                _ => Err(wrong_outcome("restore_many")),
            }
        })
    }
}
