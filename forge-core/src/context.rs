//! What handlers receive.

use std::any::Any;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::adapter::{ReadLog, Written};
use crate::auth::{Auth, AuthContext, SeenAuth};
use crate::db::{Db, ReadOnly};
use crate::error::{Error, Result};
use crate::fields::Filter;
use crate::handler::HandlerKind;
use crate::headers::RequestHeaders;
use crate::ir;
use crate::model::ModelRef;
use crate::query::pipeline::{Columns, Pipeline, Whole};
use crate::runtime::Runtime;
use crate::schedule::Later;
use crate::traits::Model;
use crate::types::DateTime;

/// Who calls: what the transport knows.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The headers of the request. Values that are not text are left out.
    pub headers: RequestHeaders,
    /// The database that the request was routed to, where it is not the default.
    pub database: Option<Arc<str>>,
    /// Who it is, where the program's token resolver knows them.
    pub auth: Option<Arc<Auth>>,
    /// By how many items the caller made the window of a live query longer.
    pub more: More,
}

/// By how many items a subscriber made the window of a live query longer than its first page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct More {
    /// At its end; see [`QueryCtx::window`].
    pub after: u64,
    /// At its start; see [`QueryCtx::window_before`].
    pub before: u64,
}

impl More {
    /// In both directions together.
    pub fn total(self) -> u64 {
        self.after.saturating_add(self.before)
    }
}

impl std::ops::Add for More {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (after, before) =
            (self.after.saturating_add(other.after), self.before.saturating_add(other.before));
        Self { after, before }
    }
}

/// Which facts about the caller a handler looked at. Results are shared among callers who agree in these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Seen {
    /// Header names, lower-case.
    pub headers: BTreeSet<String>,
    /// Every header: more were looked at than are worth naming.
    pub all_headers: bool,
    /// Facts about the identity.
    pub auth: SeenAuth,
    /// How long the window is at its end.
    pub window: bool,
    /// How long the window is at its start.
    pub window_before: bool,
}

/// What one call shares with the calls that it makes.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) runtime: Runtime,
    pub(crate) caller: Caller,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) reads: Arc<ReadLog>,
    pub(crate) written: Arc<Written>,
    /// The transaction that the calling mutation is in.
    pub(crate) db: Db,
    pub(crate) depth: u8,
}

impl Call {
    /// The default database of another cluster, for the same caller.
    fn of_cluster(&self, name: &str) -> Result<Db> {
        let (name, db) = self.runtime.cluster(name)?;
        Ok(db.recording(Arc::new(self.reads.of_cluster(name))).for_caller_of(&self.db))
    }
}

/// The request's headers. Looking at one makes it part of what the result depends on.
#[derive(Clone)]
pub struct Headers {
    caller: Caller,
    seen: Arc<Mutex<Seen>>,
}

impl Headers {
    pub(crate) fn new(caller: &Caller, seen: Arc<Mutex<Seen>>) -> Self {
        Self { caller: caller.clone(), seen }
    }

    /// The value of a header, whatever the case of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        let value = self.caller.headers.get(&name);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).headers.insert(name);
        value
    }
}

/// What `#[query]` handlers receive: a database that only reads.
pub struct QueryCtx {
    /// The database of the request.
    pub db: Db<ReadOnly>,
    /// The request's headers.
    pub headers: Headers,
    /// Who calls.
    pub auth: AuthContext,
    call: Call,
}

/// What `#[mutation]` handlers receive: a [`QueryCtx`] whose database also writes.
pub struct MutationCtx {
    /// The database of the request, inside the transaction where the handler asked for one.
    pub db: Db,
    query: QueryCtx,
}

impl Deref for MutationCtx {
    type Target = QueryCtx;
    fn deref(&self) -> &QueryCtx {
        &self.query
    }
}

impl QueryCtx {
    pub(crate) fn new(call: Call) -> Self {
        let headers = Headers::new(&call.caller, call.seen.clone());
        let auth = AuthContext::new(&call.caller, call.seen.clone());
        Self { db: call.db.read_only().recording(call.reads.clone()), headers, auth, call }
    }

    /// How many items to answer with: `first`, and what the subscriber asked for beyond it since.
    ///
    /// A live query that limits itself by this can be read page by page: after a `page` frame it is answered, and kept
    /// up to date, with its longer window. Called without a subscription, it answers with the first page.
    ///
    /// ```ignore
    /// #[query]
    /// async fn feed(ctx: &QueryCtx) -> Result<Vec<Post>> {
    ///     ctx.db.find::<Post>().sort(|p| p.created_at.desc()).limit(ctx.window(20)).await
    /// }
    /// ```
    pub fn window(&self, first: u64) -> u64 {
        self.call.seen.lock().unwrap_or_else(PoisonError::into_inner).window = true;
        first.saturating_add(self.call.caller.more.after)
    }

    /// How many items to answer with that come before where the window begins: `first`, and what the subscriber asked for
    /// since.
    ///
    /// With [`window`](QueryCtx::window), a live query that begins in the middle can be read on in both directions: up to
    /// what is newer, and down to what is older.
    ///
    /// ```ignore
    /// #[query]
    /// async fn around(ctx: &QueryCtx, moment: DateTime) -> Result<Vec<Message>> {
    ///     let messages = || ctx.db.find::<Message>();
    ///     let older = messages().filter(|m| m.at.lt(moment)).sort(|m| m.at.desc()).limit(ctx.window_before(10)).await?;
    ///     let newer = messages().filter(|m| m.at.gte(moment)).sort(|m| m.at.asc()).limit(ctx.window(10)).await?;
    ///     Ok(older.into_iter().rev().chain(newer).collect())
    /// }
    /// ```
    pub fn window_before(&self, first: u64) -> u64 {
        self.call.seen.lock().unwrap_or_else(PoisonError::into_inner).window_before = true;
        first.saturating_add(self.call.caller.more.before)
    }

    /// Makes the result depend on documents that the handler did not read: it runs again when one of them changes.
    ///
    /// A condition on a relation cannot be decided by looking at one document: with one, every change of this model and
    /// of those that the relation leads to counts.
    ///
    /// # Errors
    /// What is wrong with the condition, or with the tenant.
    pub fn watch<M: Model>(&self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Result<()> {
        let filter = filter(M::FIELDS).into_ir()?;
        self.db.watched(|watched| watched.documents(ModelRef(M::def()), filter))
    }

    /// As [`watch`](QueryCtx::watch), of every document of the model.
    ///
    /// # Errors
    /// What is wrong with the tenant.
    pub fn watch_all<M: Model>(&self) -> Result<()> {
        self.db.watched(|watched| watched.documents(ModelRef(M::def()), ir::Filter::All))
    }

    /// As [`watch`](QueryCtx::watch), of what a pipeline would read: the documents that meet its conditions before any
    /// other stage, and all that its stages join. It is not run.
    ///
    /// # Errors
    /// What a stage found wrong with what it was given, or what is wrong with the tenant.
    pub fn watch_pipeline<R: Columns, A>(&self, pipeline: Pipeline<R, Whole<A>>) -> Result<()> {
        let pipeline = pipeline.to_ir()?;
        self.db.watched(|watched| watched.source(&pipeline.source))
    }

    /// The same context's database with this name.
    pub fn database(&self, name: &str) -> Db<ReadOnly> {
        self.db.database(name)
    }

    /// The default database of another cluster, which the program knows by this name: by `App::cluster`, or the variable
    /// `FORGE_DATABASE_URL_…`. A live query that reads it runs again when it changes.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where no cluster has the name.
    pub fn cluster(&self, name: &str) -> Result<Db<ReadOnly>> {
        Ok(self.call.of_cluster(name)?.read_only())
    }

    /// The client library's own handle of the database with this name: see [`Db::raw`], which says what it leaves out.
    ///
    /// # Errors
    /// As [`Db::raw`].
    pub fn raw_database<T: 'static>(&self, name: &str) -> Result<T> {
        self.db.database(name).raw()
    }

    /// Runs another query by name, internal ones too, as part of this call.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is none; what the query answers.
    pub async fn run_query<T: DeserializeOwned>(&self, name: &str, args: impl Serialize) -> Result<T> {
        let args = to_raw(&args)?;
        let data = self.call.runtime.nested_query(&self.call, name, args).await?;
        from_json(name, &data.0)
    }
}

impl MutationCtx {
    pub(crate) fn new(call: Call) -> Self {
        let db = call.db.recording(call.reads.clone()).counting(call.written.clone());
        Self { db, query: QueryCtx::new(call) }
    }

    /// The same server's database with this name.
    pub fn database(&self, name: &str) -> Db {
        self.db.database(name)
    }

    /// As [`QueryCtx::cluster`], to write as well. What is written there is outside of this mutation's transaction, and of
    /// the version that its answer names.
    ///
    /// # Errors
    /// As [`QueryCtx::cluster`].
    pub fn cluster(&self, name: &str) -> Result<Db> {
        self.query.call.of_cluster(name)
    }

    /// The client library's own handle of the database with this name: see [`Db::raw`], which says what it leaves out.
    ///
    /// # Errors
    /// As [`Db::raw`].
    pub fn raw_database<T: 'static>(&self, name: &str) -> Result<T> {
        self.db.database(name).raw()
    }

    /// Who calls: for what is done on the caller's behalf elsewhere.
    pub fn caller(&self) -> &Caller {
        &self.query.call.caller
    }

    /// What the program around the handlers offers them: see [`Runtime::with_extension`].
    pub fn extension<T: Any>(&self) -> Option<&T> {
        self.query.call.runtime.extension()
    }

    /// Runs `effect` once, after this mutation's writes are there to stay: mails, webhooks, messages.
    ///
    /// With `#[mutation(transaction)]`, and inside of another mutation's transaction, that is after the commit; without
    /// one, after the mutation has ended well. Where it fails or its transaction is undone, the effect never runs; see
    /// [`Db::after_commit`].
    pub fn after_commit<F>(&self, effect: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        // Every mutation is run in a unit of work.
        if let Err(error) = self.db.after_commit(effect) {
            tracing::error!(%error, "an effect has nothing to wait for and is not run");
        }
    }

    /// Runs a mutation by name once `delay` is over, internal ones too; see [`schedule_at`](MutationCtx::schedule_at).
    ///
    /// # Errors
    /// As [`schedule_at`](MutationCtx::schedule_at).
    pub async fn schedule_in(&self, delay: Duration, name: &str, args: impl Serialize) -> Result<String> {
        self.schedule_at(self.db.env().now().saturating_add(delay), name, args).await
    }

    /// Runs a mutation by name at `due`, internal ones too, and answers with the id of the job.
    ///
    /// The job is kept in the database: it outlives the process, and runs in one process of the program alone. Inside a
    /// transaction it is there only if that commits. A run that fails is tried again, later each time; a mutation with a
    /// transaction takes effect once, any other at least once.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no such mutation;
    /// [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported) outside of a program that keeps jobs; what the database answers.
    pub async fn schedule_at(&self, due: DateTime, name: &str, args: impl Serialize) -> Result<String> {
        let runtime = &self.query.call.runtime;
        let handler = runtime.registry().any(HandlerKind::Mutation, name)?.name;
        runtime.scheduler()?.schedule(&self.db, Later { handler, args: to_raw(&args)?, due }).await
    }

    /// Forgets a job that was not begun; `false` where it was, or is over, or never was.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) where `id` is none; what the database answers.
    pub async fn cancel_scheduled(&self, id: &str) -> Result<bool> {
        self.query.call.runtime.scheduler()?.cancel(&self.db, id).await
    }

    /// Runs another mutation by name, internal ones too, as part of this call and inside its transaction, if any.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is none; what the mutation answers.
    pub async fn run_mutation<T: DeserializeOwned>(&self, name: &str, args: impl Serialize) -> Result<T> {
        let args = to_raw(&args)?;
        let mut call = self.query.call.clone();
        call.db = self.db.clone();
        let data = call.runtime.clone().nested_mutation(&call, name, args).await?;
        from_json(name, &data.0)
    }
}

fn to_raw(args: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(args)
        .map_err(|e| Error::internal(format!("the arguments have no JSON form: {e}")))
}

fn from_json<T: DeserializeOwned>(name: &str, data: &str) -> Result<T> {
    serde_json::from_str(data)
        .map_err(|e| Error::internal(format!("the answer of {name} is not what was expected: {e}")))
}
