//! The database handle.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::adapter::{Adapter, Exec, Explanation, ReadLog, Written};
use crate::catalog::Catalog;
use crate::databases::LazyIndexes;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::feed::{Feeds, Watched};
use crate::ir::{self, Operation, Outcome};
use crate::model::ModelRef;
use crate::observe::Observers;
use crate::plan;
use crate::query::pipeline::{Documents, Pipeline, Whole};
use crate::query::{Find, GroupBy, KeySet, decode, wrong_outcome};
use crate::traits::Model;
use crate::types::DateTime;
use crate::value::{IntoValue, id_to_bson};

/// A handle that reads and writes. The default.
#[derive(Debug, Clone, Copy)]
pub enum ReadWrite {}

/// A handle that only reads: what queries get.
#[derive(Debug, Clone, Copy)]
pub enum ReadOnly {}

/// Handles that may write.
#[diagnostic::on_unimplemented(
    message = "a query cannot write to the database",
    label = "this writes, but the handle only reads",
    note = "make the handler a `#[mutation]` with `ctx: &MutationCtx`"
)]
pub trait CanWrite {}
impl CanWrite for ReadWrite {}

/// A database: models are read and written through it. Cheap to clone.
///
/// ```ignore
/// let late = db.find::<Flight>().filter(|f| f.delay.gt(60)).sort(|f| f.delay.desc()).limit(10).await?;
/// let flight = db.update::<Flight>(late[0].id).set(|f| f.delay, 0).await?;
/// ```
pub struct Db<A = ReadWrite> {
    pub(crate) handle: Handle,
    _access: PhantomData<fn() -> A>,
}

/// What builders keep of a [`Db`].
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) exec: Exec,
}

/// What every handle of a connection shares.
pub(crate) struct Shared {
    pub(crate) adapter: Arc<dyn Adapter>,
    pub(crate) catalog: Arc<Catalog>,
    env: Env,
    pub(crate) observers: Arc<Observers>,
    pub(crate) indexes: LazyIndexes,
    pub(crate) feeds: Feeds,
}

impl Handle {
    pub(crate) fn now(&self) -> DateTime {
        self.shared.env.now()
    }

    /// Runs an operation. The adapter's own future is what comes back: one less to carry `operation` through.
    pub(crate) fn execute(&self, mut operation: Operation) -> BoxFuture<'_, Result<Outcome>> {
        if let Err(error) = crate::schema::not_into_a_view(&operation) {
            return ready(Err(error)).boxed();
        }
        plan::complete(&mut operation, || self.now());
        if self.is_observed() || self.shared.indexes.is_on() {
            return self.execute_prepared(operation).boxed();
        }
        self.shared.adapter.execute(&self.exec, operation)
    }

    /// Runs a planned operation, whatever has to be done before it and around it.
    async fn execute_prepared(&self, operation: Operation) -> Result<Outcome> {
        if !operation.is_read() {
            self.ready_for_writes().await?;
        }
        if self.is_observed() {
            return self.observed(operation).await;
        }
        self.shared.adapter.execute(&self.exec, operation).await
    }

    /// The rows of a select, in batches of about `batch` documents.
    pub(crate) async fn stream(
        &self,
        select: ir::Select,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<ir::Rows>>> {
        match plan::plan(Operation::Select(select), self.now()) {
            Operation::Select(select) if self.is_observed() => {
                self.shared.adapter.stream(&self.observed_exec(), select, batch).await
            }
            Operation::Select(select) => self.shared.adapter.stream(&self.exec, select, batch).await,
            _ => Err(wrong_outcome("stream")),
        }
    }

    /// The rows of a pipeline, in batches of about `batch` documents.
    pub(crate) async fn stream_pipeline(
        &self,
        pipeline: ir::Pipeline,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<ir::Rows>>> {
        match plan::plan(Operation::Pipeline(pipeline), self.now()) {
            Operation::Pipeline(pipeline) if self.is_observed() => {
                self.shared.adapter.stream_pipeline(&self.observed_exec(), pipeline, batch).await
            }
            Operation::Pipeline(pipeline) => {
                self.shared.adapter.stream_pipeline(&self.exec, pipeline, batch).await
            }
            _ => Err(wrong_outcome("stream")),
        }
    }

    pub(crate) async fn explain(&self, operation: Operation) -> Result<Explanation> {
        self.shared.adapter.explain(&self.exec, plan::plan(operation, self.now())).await
    }

    pub(crate) fn env(&self) -> &Env {
        &self.shared.env
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.exec.transaction.is_some()
    }

    pub(crate) fn database(&self) -> &str {
        self.exec.database.as_deref().unwrap_or_else(|| self.shared.adapter.default_database())
    }
}

impl<A> Clone for Db<A> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), _access: PhantomData }
    }
}

impl<A> fmt::Debug for Db<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("adapter", &self.handle.shared.adapter.name())
            .field("exec", &self.handle.exec)
            .finish()
    }
}

impl Db {
    /// The default database of `adapter`.
    pub fn new(adapter: Arc<dyn Adapter>, catalog: Arc<Catalog>, env: Env) -> Self {
        let observers = Arc::new(Observers::new(env.clone()));
        let indexes = LazyIndexes::default();
        let feeds = Feeds::default();
        let shared = Arc::new(Shared { adapter, catalog, env, observers, indexes, feeds });
        Self { handle: Handle { shared, exec: Exec::default() }, _access: PhantomData }
    }
}

impl Db {
    /// Runs an operation that is already plain data, as the builders of this handle make them: soft delete, timestamps,
    /// versions and tenants are taken care of, the rules of the model's `New…` and `…Patch` are not. What a client sent
    /// becomes an operation by a [`JsonForm`](crate::json_form::JsonForm).
    ///
    /// # Errors
    /// What the database answers; those of tenants, of documents that are another's.
    pub fn execute(&self, mut operation: Operation) -> BoxFuture<'_, Result<Outcome>> {
        if let Operation::Insert(insert) = &mut operation {
            let mut claimed = insert.documents.iter_mut();
            let claimed =
                claimed.try_for_each(|document| self.handle.exec.tenant.claim(insert.model.0, document));
            if let Err(error) = claimed {
                return ready(Err(error)).boxed();
            }
        }
        self.handle.execute(operation)
    }

    /// The rows of a select that is already plain data, read in batches of about `batch` documents as they are asked for.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn stream(
        &self,
        select: ir::Select,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<ir::Rows>>> {
        self.handle.stream(select, batch).await
    }

    pub(crate) fn of(handle: Handle) -> Self {
        Self { handle, _access: PhantomData }
    }
}

impl<A> Db<A> {
    pub(crate) fn with(handle: Handle) -> Self {
        Self { handle, _access: PhantomData }
    }

    /// The same database, for reading only.
    pub fn read_only(&self) -> Db<ReadOnly> {
        Db { handle: self.handle.clone(), _access: PhantomData }
    }

    /// The database with this name on the same server or in the same engine.
    ///
    /// A handle inside a transaction stays inside it: it holds for all databases of the server.
    pub fn database(&self, name: &str) -> Self {
        let mut db = self.clone();
        db.handle.exec.database = Some(name.into());
        db
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        self.handle.database()
    }

    /// The handle of this database of the client library below: `db.raw::<mongodb::Database>()`, with the `mongodb` crate
    /// that `forge::mongodb` is.
    ///
    /// It knows nothing of models: no tenants, policies, soft deletes, validation and recorded reads
    /// ([`QueryCtx::watch`](crate::QueryCtx::watch) tells what a query depends on), and it stays outside of a transaction.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported) where there is no `T` below, as on the embedded engine.
    pub fn raw<T: 'static>(&self) -> Result<T> {
        let raw = self.adapter().raw(self.name()).and_then(|raw| raw.downcast().ok());
        raw.map(|raw| *raw).ok_or_else(|| {
            let (wanted, engine) = (std::any::type_name::<T>(), self.adapter().name());
            Error::unsupported(format!("{engine} has no {wanted} below"))
        })
    }

    /// The adapter underneath.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.handle.shared.adapter
    }

    /// The models of the program.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.handle.shared.catalog
    }

    /// Time, ids and randomness.
    pub fn env(&self) -> &Env {
        &self.handle.shared.env
    }

    /// Documents of `M`.
    pub fn find<M: Model>(&self) -> Find<M> {
        Find::new(self.handle.clone())
    }

    /// The document with this id, where there is one.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn get<M: Model>(&self, id: impl IntoValue<M::Id>) -> Result<Option<M>> {
        let id = id_to_bson::<M>(id)?;
        let mut select = ir::Select::new(ModelRef(M::def()));
        select.filter = ir::Filter::eq("_id", id);
        select.limit = Some(1);
        match self.handle.execute(Operation::Select(select)).await? {
            Outcome::Rows(rows) => rows.documents.first().map(|document| decode(document)).transpose(),
            _ => Err(wrong_outcome("get")),
        }
    }

    /// Groups of documents of `M` by one field or expression, or by a tuple of them.
    pub fn group_by<M: Model, K: KeySet>(&self, keys: impl FnOnce(&'static M::Fields) -> K) -> GroupBy<M, K> {
        GroupBy::new(self.handle.clone(), &keys(M::FIELDS))
    }

    /// Documents of `M`, sent through typed stages: see [`Pipeline`].
    pub fn pipeline<M: Model>(&self) -> Pipeline<Documents<M>, Whole<A>> {
        Pipeline::new(self.handle.clone())
    }

    pub(crate) fn recording(&self, reads: Arc<ReadLog>) -> Self {
        let mut db = self.clone();
        db.handle.exec.reads = Some(reads);
        db
    }

    /// Records what `gather` names as read, where somebody wants to know.
    pub(crate) fn watched(&self, gather: impl FnOnce(&mut Watched<'_>) -> Result<()>) -> Result<()> {
        let mut watched = Watched::by(&self.handle);
        gather(&mut watched)?;
        if let Some(log) = &self.handle.exec.reads {
            watched.reads().into_iter().for_each(|read| _ = log.push(read));
        }
        Ok(())
    }
}

impl<A> Db<A> {
    pub(crate) fn counting(&self, written: Arc<Written>) -> Self {
        let mut db = self.clone();
        db.handle.exec.written = Some(written);
        db
    }
}
