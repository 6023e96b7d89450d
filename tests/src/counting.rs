//! A driver that counts what passes through it, and cuts change feeds off.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf};
use forge::adapter::{Capabilities, Commit, ExplainStep, ResumeToken, Transaction, WatchOptions};
use forge::{Error, Result};
use forge_core::transaction::TransactionOptions;
use forge_mongo::{Driver, MongoArtifact, Reply};
use futures_core::stream::BoxStream;
use futures_util::future::{BoxFuture, ready};
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

/// Passes everything on to another driver, and remembers the commands.
pub struct Counting {
    inner: Arc<dyn Driver>,
    database: String,
    commands: Mutex<Vec<MongoArtifact>>,
    batch: Arc<AtomicUsize>,
    feeds: AtomicUsize,
    /// Whether change feeds are cut off.
    cut: watch::Sender<bool>,
}

impl Counting {
    /// Counts what goes to `inner`; `database` is the default one.
    pub fn new(inner: Arc<dyn Driver>, database: String) -> Self {
        let cut = watch::Sender::new(false);
        let (batch, feeds) = (Arc::default(), AtomicUsize::new(0));
        Self { inner, database, commands: Mutex::default(), batch, feeds, cut }
    }

    /// How many documents the largest batch had that a stream gave since the last call.
    pub fn largest_batch(&self) -> usize {
        self.batch.swap(0, Ordering::SeqCst)
    }

    /// How many change feeds were opened.
    pub fn feeds(&self) -> usize {
        self.feeds.load(Ordering::SeqCst)
    }

    /// Breaks every change feed, and refuses new ones, until they are [mended](Counting::mend_feeds): what a program sees
    /// when the driver has given up to find the server again.
    pub fn cut_feeds(&self) {
        self.cut.send_replace(true);
    }

    /// Lets feeds be opened again.
    pub fn mend_feeds(&self) {
        self.cut.send_replace(false);
    }

    fn check_cut(&self) -> Result<()> {
        if *self.cut.borrow() { Err(cut_off()) } else { Ok(()) }
    }

    /// The feed until it is cut off.
    fn until_cut(&self, feed: BoxStream<'static, Result<Commit>>) -> BoxStream<'static, Result<Commit>> {
        let mut cut = self.cut.subscribe();
        let end = async move { drop(cut.wait_for(|cut| *cut).await) };
        feed.take_until(end).chain(stream::once(ready(Err(cut_off())))).boxed()
    }

    /// The driver below.
    pub fn inner(&self) -> &Arc<dyn Driver> {
        &self.inner
    }

    /// The commands since the last call.
    pub fn take(&self) -> Vec<MongoArtifact> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many commands on `collection` there were since the last [`take`](Counting::take).
    pub fn on(&self, collection: &str) -> usize {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.iter().filter(|artifact| artifact.collection == collection).count()
    }

    /// How many reads of `collection` there were since the last [`take`](Counting::take).
    pub fn reads(&self, collection: &str) -> usize {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let is_read = |a: &&MongoArtifact| {
            a.collection == collection
                && matches!(a.command.name(), "find" | "aggregate" | "count" | "distinct")
        };
        commands.iter().filter(is_read).count()
    }
}

fn cut_off() -> Error {
    Error::unavailable("the change feed is cut off")
}

impl std::fmt::Debug for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Counting({} {})", self.inner.name(), self.database)
    }
}

#[async_trait]
impl Driver for Counting {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn default_database(&self) -> &str {
        &self.database
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn run(
        &self,
        database: &str,
        artifact: Box<MongoArtifact>,
        session: Option<&dyn Transaction>,
    ) -> Result<(Reply, Option<u64>)> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push((*artifact).clone());
        self.inner.run(database, artifact, session).await
    }

    async fn stream(
        &self,
        database: &str,
        artifact: &MongoArtifact,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Vec<RawDocumentBuf>>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(artifact.clone());
        let largest = self.batch.clone();
        let batches = self.inner.stream(database, artifact, batch).await?;
        let seen = move |batch: &Result<Vec<RawDocumentBuf>>| {
            largest.fetch_max(batch.as_ref().map_or(0, Vec::len), Ordering::SeqCst);
        };
        Ok(batches.inspect(seen).boxed())
    }

    async fn explain(&self, database: &str, artifact: &MongoArtifact) -> Result<ExplainStep> {
        self.inner.explain(database, artifact).await
    }

    async fn begin(&self, database: &str) -> Result<Arc<dyn Transaction>> {
        self.inner.begin(database).await
    }

    async fn watch(
        &self,
        database: &str,
        resume: Option<ResumeToken>,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        self.check_cut()?;
        self.feeds.fetch_add(1, Ordering::SeqCst);
        Ok(self.until_cut(self.inner.watch(database, resume).await?))
    }

    async fn begin_with(&self, database: &str, options: &TransactionOptions) -> Result<Arc<dyn Transaction>> {
        self.inner.begin_with(database, options).await
    }

    async fn watch_with(
        &self,
        database: &str,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        self.check_cut()?;
        self.feeds.fetch_add(1, Ordering::SeqCst);
        Ok(self.until_cut(self.inner.watch_with(database, options).await?))
    }

    fn timer(&self, wait: Duration) -> Option<BoxFuture<'static, ()>> {
        self.inner.timer(wait)
    }

    async fn list_indexes(&self, database: &str, collection: &str) -> Result<Vec<Document>> {
        self.inner.list_indexes(database, collection).await
    }

    async fn create_index(&self, database: &str, collection: &str, spec: &Document) -> Result<()> {
        self.inner.create_index(database, collection, spec).await
    }

    async fn drop_index(&self, database: &str, collection: &str, name: &str) -> Result<()> {
        self.inner.drop_index(database, collection, name).await
    }

    async fn admin(&self, database: &str, command: &Document) -> Result<Document> {
        self.inner.admin(database, command).await
    }

    async fn purge_expired(&self, now: forge::DateTime) -> Result<u64> {
        self.inner.purge_expired(now).await
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }

    fn raw(&self, database: &str) -> Option<Box<dyn Any + Send>> {
        self.inner.raw(database)
    }

    async fn describe(&self) -> Result<Vec<(String, String)>> {
        self.inner.describe().await
    }

    async fn drop_database(&self, database: &str) -> Result<()> {
        self.inner.drop_database(database).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
