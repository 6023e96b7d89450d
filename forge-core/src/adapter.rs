//! The seam between Forge and a database: the only place where IO happens.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use crate::admin::{
    Finding, Progress, PullSettings, PulledFile, PushAction, PushKind, PushPlan, PushSettings, PushStep,
    Severity,
};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::ir::{Filter, Operation, Outcome, Pipeline, Rows, Select};
use crate::model::ModelRef;
use crate::observe::Observers;
use crate::policy::PolicyScope;
pub use crate::reads::{Read, ReadLog};
use crate::tenant::TenantScope;
use crate::transaction::{TransactionOptions, Unit};
use crate::types::DateTime;

/// A database that runs [`Operation`]s.
///
/// Adapters hold their connections; they are shared as `Arc<dyn Adapter>` by every [`Db`](crate::Db).
#[async_trait]
pub trait Adapter: Send + Sync + 'static {
    /// The name in messages: `"embedded"`, `"mongodb"`.
    fn name(&self) -> &'static str;

    /// The database used where none is named.
    fn default_database(&self) -> &str;

    /// What this deployment can do. Probed when the adapter connects, not assumed.
    fn capabilities(&self) -> Capabilities;

    /// Runs one operation.
    ///
    /// # Errors
    /// Whatever the database answers, with Forge's codes; [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported)
    /// names the operator that the engine lacks.
    async fn execute(&self, exec: &Exec, operation: Operation) -> Result<Outcome>;

    /// Runs a select batch by batch: `batch` documents at a time, as far as the engine can, each batch with what it
    /// includes. Dropping the stream closes the cursor. Without another implementation everything comes at once.
    ///
    /// # Errors
    /// As [`execute`](Adapter::execute), here or in the stream, which ends with it.
    async fn stream(
        &self,
        exec: &Exec,
        select: Select,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Rows>>> {
        let _ = batch;
        match self.execute(exec, Operation::Select(select)).await? {
            Outcome::Rows(rows) => Ok(futures_util::stream::once(std::future::ready(Ok(rows))).boxed()),
            _ => Err(Error::internal("the adapter answered find with something else")),
        }
    }

    /// Runs a pipeline batch by batch, as [`stream`](Adapter::stream) does a select.
    ///
    /// # Errors
    /// As [`execute`](Adapter::execute), here or in the stream, which ends with it.
    async fn stream_pipeline(
        &self,
        exec: &Exec,
        pipeline: Pipeline,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Rows>>> {
        let _ = batch;
        match self.execute(exec, Operation::Pipeline(pipeline)).await? {
            Outcome::Rows(rows) => Ok(futures_util::stream::once(std::future::ready(Ok(rows))).boxed()),
            _ => Err(Error::internal("the adapter answered a pipeline with something else")),
        }
    }

    /// How the database would run a read: the commands, the indexes they use, warnings.
    async fn explain(&self, exec: &Exec, operation: Operation) -> Result<Explanation>;

    /// Starts a transaction in `exec`'s database. Dropping the handle without a commit aborts it.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported) where the deployment has none, saying how to get them.
    async fn begin(&self, exec: &Exec) -> Result<Arc<dyn Transaction>>;

    /// As [`begin`](Adapter::begin), with what was asked of the transaction. Engines whose transactions always give the
    /// strongest guarantees need not look at it.
    ///
    /// # Errors
    /// As [`begin`](Adapter::begin).
    async fn begin_with(&self, exec: &Exec, options: &TransactionOptions) -> Result<Arc<dyn Transaction>> {
        let _ = options;
        self.begin(exec).await
    }

    /// The changes that commit in `database` from now on, or after `resume`, in commit order.
    ///
    /// The feed is open when this returns: a change that commits later is in it. After an error the stream ends; an
    /// error with [`is_history_lost`] says that `resume` leads nowhere and everything must be read afresh.
    async fn watch(
        &self,
        database: &str,
        resume: Option<ResumeToken>,
    ) -> Result<BoxStream<'static, Result<Commit>>>;

    /// As [`watch`](Adapter::watch), from a place and for collections of the caller's choice.
    ///
    /// # Errors
    /// As [`watch`](Adapter::watch); [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported) where the engine cannot
    /// start at a time.
    async fn watch_with(
        &self,
        database: &str,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        if options.start_at.is_some() {
            return Err(crate::Error::unsupported(format!("{} cannot watch from a time on", self.name())));
        }
        self.watch(database, options.resume).await
    }

    /// Compares the catalog with the database and says what is missing; with `apply` also creates it.
    ///
    /// # Errors
    /// As [`Adapter::push_with`].
    async fn push(&self, database: &str, catalog: &Catalog, apply: bool) -> Result<PushPlan> {
        let settings = if apply { PushSettings::apply() } else { PushSettings::plan() };
        self.push_with(database, catalog, &settings).await
    }

    /// Compares the catalog with the database and does what `settings` say.
    ///
    /// # Errors
    /// What the database answers; drift that a person must decide about is a step of the plan.
    async fn push_with(
        &self,
        database: &str,
        catalog: &Catalog,
        settings: &PushSettings,
    ) -> Result<PushPlan> {
        let _ = (database, catalog, settings);
        Err(Error::unsupported(format!("{} keeps no schema to push", self.name())))
    }

    /// Brings the collection of a materialized view up to date.
    ///
    /// # Errors
    /// What the database answers.
    async fn refresh(&self, exec: &Exec, view: ModelRef) -> Result<()> {
        let _ = (exec, view);
        Err(Error::unsupported(format!("{} has no materialized views", self.name())))
    }

    /// What a person should know about the deployment, as of `now`. Changes nothing.
    ///
    /// # Errors
    /// What the database answers.
    async fn examine(&self, database: &str, catalog: &Catalog, now: DateTime) -> Result<Vec<Finding>> {
        let _ = (database, catalog, now);
        Ok(Vec::new())
    }

    /// Describes what is in a database as models: Rust files that compile.
    ///
    /// # Errors
    /// What the database answers.
    async fn pull(&self, database: &str, settings: &PullSettings) -> Result<Vec<PulledFile>> {
        let _ = (database, settings);
        Err(Error::unsupported(format!("{} cannot be described as models", self.name())))
    }

    /// Deletes the documents whose time is over at `now`, as TTL indexes say, where the engine does not do so by itself.
    /// Answers with how many went.
    ///
    /// # Errors
    /// What the database answers.
    async fn purge_expired(&self, now: DateTime) -> Result<u64> {
        let _ = now;
        Ok(0)
    }

    /// One round trip.
    async fn ping(&self) -> Result<()>;

    /// Facts for `doctor`: topology, versions, capabilities.
    async fn describe(&self) -> Result<Vec<(String, String)>>;

    /// Waits before a transaction is run for the `attempt`th time again. Where there are no timers it does not wait.
    async fn backoff(&self, attempt: u32) {
        let _ = attempt;
    }

    /// The handle of `database` of the client library below, by its type: of the official driver a `mongodb::Database`.
    fn raw(&self, database: &str) -> Option<Box<dyn Any + Send>> {
        let _ = database;
        None
    }

    /// Resolves after `wait`; none where there are no timers.
    fn timer(&self, wait: Duration) -> Option<BoxFuture<'static, ()>> {
        let _ = wait;
        None
    }

    /// Closes cursors and connections. Calls after it answer `unavailable`.
    async fn close(&self);

    /// Whether it was closed: trying again is of no use.
    fn is_closed(&self) -> bool {
        false
    }
}

/// Where a change feed begins, and what it is for.
#[derive(Debug, Clone, Default)]
pub struct WatchOptions {
    /// After this place.
    pub resume: Option<ResumeToken>,
    /// From this moment on, where `resume` is not given.
    pub start_at: Option<DateTime>,
    /// The collections that matter. Adapters may leave changes of others out, and need not. Empty: all.
    pub collections: Vec<Arc<str>>,
    /// Whether commits without changes are wanted now and then, so that a quiet feed's place does not age.
    pub progress: bool,
}

/// What a deployment can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Multi-document transactions.
    pub transactions: bool,
    /// Change streams.
    pub change_streams: bool,
    /// Text indexes and `$text`.
    pub text: bool,
    /// Change events carry the document as it was: always on the embedded engine, on servers for collections that keep
    /// it, as push asks for with `#[model(pre_images)]`.
    pub pre_images: bool,
    /// All of them do, whatever the collection.
    pub always_pre_images: bool,
    /// `$lookup` by fields with a pipeline: joins that are too large for keys to be sent.
    pub lookup: bool,
    /// Vector indexes and `$vectorSearch`, and on servers `$rankFusion`.
    pub search: bool,
    /// Search indexes, and `$search`.
    pub index_search: bool,
}

/// An open transaction of an [`Adapter`].
#[async_trait]
pub trait Transaction: Send + Sync + 'static {
    /// For the adapter to find its own type again.
    fn as_any(&self) -> &dyn Any;

    /// Makes the writes visible, all at once; answers with the version of the commit, where the engine knows it.
    async fn commit(&self) -> Result<Option<u64>>;

    /// Forgets the writes.
    async fn abort(&self) -> Result<()>;
}

/// The surroundings of one operation: database, transaction, and who wants to know what was read.
#[derive(Clone, Default)]
pub struct Exec {
    /// The database, where it is not the adapter's default.
    pub database: Option<Arc<str>>,
    /// The transaction that the operation is part of.
    pub transaction: Option<Arc<dyn Transaction>>,
    /// Where reads are recorded, for live queries.
    pub reads: Option<Arc<ReadLog>>,
    /// Where the version of the last commit is recorded.
    pub written: Option<Arc<Written>>,
    /// Whose documents are meant, of models that belong to tenants.
    pub tenant: TenantScope,
    /// Who is meant, by the policies of models.
    pub policy: PolicyScope,
    /// What waits for the end of the transaction, or of the mutation.
    pub unit: Option<Arc<Unit>>,
    /// Who is told about each command.
    pub observers: Option<Arc<Observers>>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec")
            .field("database", &self.database)
            .field("transaction", &self.transaction.is_some())
            .field("tenant", &self.tenant)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Exec {
    /// Records that `collection` was read with `filter`, where somebody wants to know.
    ///
    /// `filter` holds no relations: executors record each command that they run. The number of the read is what
    /// [`ReadLog::narrow`] takes.
    pub fn record_read(
        &self,
        database: &str,
        collection: &str,
        filter: impl FnOnce() -> Filter,
    ) -> Option<usize> {
        self.reads.as_ref().map(|log| log.push(Read::new(database, collection.to_owned(), filter())))
    }
}

/// The version of the last commit that a call made in its own database: those of other databases do not compare with it.
#[derive(Debug)]
pub struct Written {
    database: Arc<str>,
    version: AtomicU64,
}

impl Written {
    /// Nothing was committed in `database` so far.
    pub fn new(database: &str) -> Self {
        Self { database: database.into(), version: AtomicU64::new(0) }
    }

    /// Records a commit of `database`.
    pub fn record(&self, database: &str, version: u64) {
        if *self.database == *database {
            self.version.fetch_max(version, Ordering::AcqRel);
        }
    }

    /// The newest commit recorded; 0 without any.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// A place in a change feed, opaque to everybody but its adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResumeToken(pub Bson);

/// Everything that one commit changed.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Grows with every commit of the database; below 2⁵³, so that JavaScript can hold it.
    pub version: u64,
    /// Where to resume after this commit.
    pub token: ResumeToken,
    /// The changes, in the order they were made.
    pub changes: Vec<ChangeEvent>,
}

/// One changed document.
#[derive(Debug, Clone)]
pub struct ChangeEvent {
    /// Its collection.
    pub collection: Arc<str>,
    /// What happened.
    pub kind: ChangeKind,
    /// Its `_id`; null for a whole collection.
    pub id: Bson,
    /// As it was, where the feed knows.
    pub before: Option<RawDocumentBuf>,
    /// As it is, or as a later commit left it.
    pub after: Option<RawDocumentBuf>,
    /// The paths that an update touched, where the feed knows.
    pub touched: Option<Vec<String>>,
    /// The values that an update set, by path, where the feed tells them apart from `after`, which may be newer.
    pub updated: Option<RawDocumentBuf>,
}

/// What happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Insert,
    /// Some of its fields changed.
    Update,
    /// It was replaced.
    Replace,
    /// It is gone.
    Delete,
    /// The whole collection was dropped or renamed; every read of it is stale.
    Drop,
}

#[derive(Debug)]
struct HistoryLost;

impl fmt::Display for HistoryLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the change history after the resume token is gone")
    }
}
impl std::error::Error for HistoryLost {}

/// The error of [`Adapter::watch`] for a token whose history is gone.
pub fn history_lost() -> crate::Error {
    crate::Error::conflict(HistoryLost.to_string()).with_source(HistoryLost)
}

/// Whether `error` says that a change feed cannot be resumed and everything must be read afresh.
pub fn is_history_lost(error: &crate::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<HistoryLost>)
}

/// How a read would be run.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The commands, in order.
    pub steps: Vec<ExplainStep>,
    /// What a person should know: collection scans, in-memory sorts.
    pub warnings: Vec<String>,
    /// Which way was taken where there are several: how each relation filter was joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// One command of an [`Explanation`].
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ExplainStep {
    /// The collection.
    pub collection: String,
    /// The command, as extended JSON.
    pub command: serde_json::Value,
    /// The index that it uses; none is a collection scan.
    pub index: Option<String>,
    /// What the command is for, where it is not the read itself: `include departures`, `filter origin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// How many relations lead to it: 0 for the read itself.
    pub depth: u32,
    /// Documents looked at, where the database says.
    pub documents_examined: Option<u64>,
    /// Documents that the command answered with, where the database says.
    pub documents_returned: Option<u64>,
    /// Whether the result is sorted in memory, since no index has its order.
    pub sorts_in_memory: bool,
}

impl ExplainStep {
    /// A command on `collection`, of whose plan nothing is known yet.
    pub fn new(collection: impl Into<String>, command: serde_json::Value) -> Self {
        Self { collection: collection.into(), command, ..Self::default() }
    }
}
