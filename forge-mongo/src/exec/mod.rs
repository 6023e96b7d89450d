//! The adapter: relation filters, includes, cascades and transactions, over a [`Driver`].

mod cascade;
mod delete;
mod exact;
mod explain;
mod hydrate;
mod join;
mod keys;
mod meant;
mod narrow;
mod observe;
mod pipeline;
mod policy;
mod refresh;
mod relations;
mod replace;
mod retry;
mod run;
mod shape;
mod stream;
mod tenant;
mod views;
mod write;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};
use forge_core::adapter::{
    Adapter, Capabilities, Commit, Exec, Explanation, Finding, PullSettings, PulledFile, PushPlan,
    PushSettings, ResumeToken, Transaction, WatchOptions,
};
use forge_core::ir::{Count, Distinct, Group, Operation, Outcome, Pipeline, Rows, Select};
use forge_core::model::ModelRef;
use forge_core::transaction::TransactionOptions;
use forge_core::{Catalog, DateTime, Error, Result};
use futures_core::stream::BoxStream;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::artifact::Reply;
use crate::compile;
use crate::doctor;
use crate::driver::Driver;
use crate::pull;
use crate::push;
use crate::scans::{ScanLog, ScanLogging};
use hydrate::is_plain;
use run::{FEW_KEYS, Run, unexpected};
use stream::Opening;
use write::{is_plain_insert, is_plain_update};

/// The [`Adapter`] of every engine that runs [`MongoArtifact`](crate::MongoArtifact)s.
///
/// # What callers can rely on
/// - Relation filters are semi-joins, in the same transaction: the keys of the related documents are gathered first and
///   sent along; where they are more than 20,000, the server joins, by `$lookup`, if it can; writes gather the ids of the
///   documents that they are for by it, some at a time. Without, 100,000 keys are the limit. They never match everything.
/// - An include costs one command for each relation level, whatever its sort, skip and limit.
/// - A delete of documents that others refer to runs in the caller's transaction, or in one of its own where the
///   deployment has transactions; without, it runs command by command, children first, so that a failure half-way leaves
///   no document that refers to a missing one.
/// - An insert of several documents that fails half-way, outside a transaction and without `skip_duplicates`, leaves the
///   documents before the failing one in.
pub struct MongoAdapter {
    driver: Arc<dyn Driver>,
    catalog: Arc<Catalog>,
    scans: ScanLog,
    few_keys: usize,
    closed: AtomicBool,
}

impl MongoAdapter {
    /// An adapter over `driver`; the catalog says who refers to whom.
    pub fn new(driver: Arc<dyn Driver>, catalog: Arc<Catalog>) -> Self {
        let closed = AtomicBool::new(false);
        Self { driver, catalog, scans: ScanLog::default(), few_keys: FEW_KEYS, closed }
    }

    /// The same, with another number of keys above which relation filters are left to the server (20,000 without this):
    /// fewer where the server is near to its data and far from the program, more where its joins are slow. More than
    /// 100,000 are never sent.
    #[must_use]
    pub fn join_above(self, keys: usize) -> Self {
        Self { few_keys: keys, ..self }
    }

    /// The same, remembering queries that no index serves; [`examine`](Adapter::examine) tells about them.
    #[must_use]
    pub fn log_scans(self, logging: ScanLogging) -> Self {
        Self { scans: ScanLog::new(logging), ..self }
    }

    fn run<'a>(&'a self, exec: &'a Exec) -> Run<'a> {
        Run::new(&*self.driver, &self.catalog, exec).joining_above(self.few_keys)
    }

    fn opening(&self, exec: &Exec) -> Opening {
        let (driver, catalog) = (self.driver.clone(), self.catalog.clone());
        Opening { driver, catalog, exec: exec.clone(), few_keys: self.few_keys }
    }

    /// The driver below.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }
}

impl std::fmt::Debug for MongoAdapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MongoAdapter").field("driver", &self.driver.name()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Adapter for MongoAdapter {
    fn name(&self) -> &'static str {
        self.driver.name()
    }

    fn default_database(&self) -> &str {
        self.driver.default_database()
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    // Written out: the operation's own future is the answer, without another around it.
    fn execute<'a, 'b, 'f>(&'a self, exec: &'b Exec, operation: Operation) -> BoxFuture<'f, Result<Outcome>>
    where
        'a: 'f,
        'b: 'f,
        Self: 'f,
    {
        let run = self.run(exec).watched_by(&self.scans);
        // The usual ones become commands where they are.
        match &operation {
            Operation::Select(op) if is_plain(op) && !run.wants_window(op) => run.plain_rows(op),
            Operation::Update(op) if is_plain_update(op) => run.plain_update(op),
            _ => run.operation(operation),
        }
    }

    async fn stream(
        &self,
        exec: &Exec,
        select: Select,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Rows>>> {
        self.opening(exec).select(select, batch).await
    }

    async fn stream_pipeline(
        &self,
        exec: &Exec,
        pipeline: Pipeline,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Rows>>> {
        self.opening(exec).pipeline(pipeline, batch).await
    }

    async fn explain(&self, exec: &Exec, operation: Operation) -> Result<Explanation> {
        explain::explain(self.run(exec), operation).await
    }

    async fn begin(&self, exec: &Exec) -> Result<Arc<dyn Transaction>> {
        self.driver.begin(exec.database.as_deref().unwrap_or(self.driver.default_database())).await
    }

    async fn begin_with(&self, exec: &Exec, options: &TransactionOptions) -> Result<Arc<dyn Transaction>> {
        let database = exec.database.as_deref().unwrap_or(self.driver.default_database());
        self.driver.begin_with(database, options).await
    }

    fn raw(&self, database: &str) -> Option<Box<dyn Any + Send>> {
        self.driver.raw(database)
    }

    fn timer(&self, wait: Duration) -> Option<BoxFuture<'static, ()>> {
        self.driver.timer(wait)
    }

    async fn backoff(&self, attempt: u32) {
        retry::backoff(attempt).await;
    }

    async fn watch(
        &self,
        database: &str,
        resume: Option<ResumeToken>,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        self.driver.watch(database, resume).await
    }

    async fn watch_with(
        &self,
        database: &str,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        self.driver.watch_with(database, options).await
    }

    async fn push_with(
        &self,
        database: &str,
        catalog: &Catalog,
        settings: &PushSettings,
    ) -> Result<PushPlan> {
        push::push(&*self.driver, database, catalog, settings).await
    }

    async fn examine(&self, database: &str, catalog: &Catalog, now: DateTime) -> Result<Vec<Finding>> {
        doctor::examine(&*self.driver, database, catalog, &self.scans, now).await
    }

    async fn refresh(&self, exec: &Exec, view: ModelRef) -> Result<()> {
        refresh::refresh(&self.run(exec), view).await
    }

    async fn pull(&self, database: &str, settings: &PullSettings) -> Result<Vec<PulledFile>> {
        pull::pull(&*self.driver, database, settings).await
    }

    async fn purge_expired(&self, now: DateTime) -> Result<u64> {
        self.driver.purge_expired(now).await
    }

    async fn ping(&self) -> Result<()> {
        self.driver.ping().await
    }

    async fn describe(&self) -> Result<Vec<(String, String)>> {
        self.driver.describe().await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.driver.close().await;
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

impl<'a> Run<'a> {
    /// Each operation is a future of its own on the heap: the allocator is quick with small ones, and one future for all
    /// of them would be as large as the largest.
    fn operation(self, operation: Operation) -> BoxFuture<'a, Result<Outcome>> {
        match operation {
            Operation::Select(op) => async move { Ok(Outcome::Rows(self.rows(op).await?)) }.boxed(),
            Operation::Count(op) => async move { self.counted(op).await }.boxed(),
            Operation::Distinct(op) => async move { self.distinct_values(op).await }.boxed(),
            Operation::Group(op) => async move { self.groups(op).await }.boxed(),
            Operation::Pipeline(op) => async move { self.pipeline(op).await }.boxed(),
            Operation::Insert(op) if is_plain_insert(&op) => self.plain_insert(op),
            Operation::Insert(op) => async move { self.insert(op).await }.boxed(),
            Operation::Update(op) => async move { self.update(op).await }.boxed(),
            Operation::Replace(op) => async move { self.replace(op).await }.boxed(),
            Operation::Delete(op) => async move { self.delete(op).await }.boxed(),
            other => {
                let unknown = format!("this adapter does not know the operation {}", other.name());
                ready(Err(Error::unsupported(unknown))).boxed()
            }
        }
    }

    async fn counted(&self, mut op: Count) -> Result<Outcome> {
        let joined = self.under(&op.options).resolve_joined(op.filter).await?;
        op.filter = joined.own();
        self.record_under(&op.options, &op.model, &op.filter);
        if joined.lookups.is_empty() {
            return Ok(Outcome::Count(self.count(compile::count(&op)?.into()).await?));
        }
        if op.limit == Some(0) {
            return Ok(Outcome::Count(0));
        }
        let found = self.documents(compile::count_joined(&op, &joined)?.into()).await?;
        Ok(number_of(&found))
    }

    async fn distinct_values(&self, mut op: Distinct) -> Result<Outcome> {
        let joined = self.under(&op.options).resolve_joined(op.filter).await?;
        op.filter = joined.own();
        self.record_under(&op.options, &op.model, &op.filter);
        if op.counted {
            let found = match op.limit {
                Some(0) => Vec::new(),
                _ => self.documents(compile::distinct_joined(&op, &joined)?.into()).await?,
            };
            return Ok(number_of(&found));
        }
        if !joined.lookups.is_empty() && op.limit != Some(0) {
            let found = self.documents(compile::distinct_joined(&op, &joined)?.into()).await?;
            return Ok(Outcome::Values(window(in_bson_order(values_in(&found)?)?, &op)));
        }
        let artifact = compile::distinct(&op)?;
        let asked = artifact.command.name();
        match self.send(artifact.into()).await? {
            Reply::Values(values) => Ok(Outcome::Values(window(in_bson_order(values)?, &op))),
            other => Err(unexpected(asked, &other)),
        }
    }

    async fn groups(&self, mut op: Group) -> Result<Outcome> {
        let joined = self.under(&op.options).resolve_joined(op.filter).await?;
        op.filter = joined.own();
        self.record_under(&op.options, &op.model, &op.filter);
        let counted = op.counted;
        let artifact = match joined.lookups.as_slice() {
            [] => compile::group(&op)?,
            _ => compile::group_joined(op, &joined)?,
        };
        let documents = self.documents(artifact.into()).await?;
        if counted {
            return Ok(number_of(&documents));
        }
        Ok(Outcome::Rows(Rows { documents, included: Vec::new() }))
    }
}

/// The values that a pipeline found, each as the `_id` of a row.
fn values_in(found: &[RawDocumentBuf]) -> Result<Vec<Bson>> {
    found.iter().map(|row| Ok(row.get("_id")?.map_or(Ok(Bson::Null), Bson::try_from)?)).collect()
}

/// What a pipeline counted.
fn number_of(found: &[RawDocumentBuf]) -> Outcome {
    Outcome::Count(number_in(found))
}

fn number_in(found: &[RawDocumentBuf]) -> u64 {
    let number = found.first().and_then(|row| row.get(compile::COUNTED).ok().flatten());
    let number = number.and_then(|n| n.as_i64().or_else(|| n.as_i32().map(i64::from)));
    number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// The part of the distinct values that is wanted.
fn window(mut values: Vec<Bson>, op: &Distinct) -> Vec<Bson> {
    let bound = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    if op.descending {
        values.reverse();
    }
    values.drain(..bound(op.skip.unwrap_or(0)).min(values.len()));
    values.truncate(op.limit.map_or(usize::MAX, bound));
    values
}

/// Servers answer `distinct` in the order of whatever index they used.
fn in_bson_order(values: Vec<Bson>) -> Result<Vec<Bson>> {
    let mut keyed = Vec::with_capacity(values.len());
    for value in values {
        let raw = RawDocumentBuf::try_from(&bson::doc! { "v": &value })?;
        keyed.push((raw, value));
    }
    keyed.sort_by(|(a, _), (b, _)| match (a.get("v"), b.get("v")) {
        (Ok(Some(a)), Ok(Some(b))) => forge_core::order::compare(a, b),
        _ => std::cmp::Ordering::Equal,
    });
    Ok(keyed.into_iter().map(|(_, value)| value).collect())
}
