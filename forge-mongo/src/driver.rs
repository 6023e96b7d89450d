//! The seam between the executor and a server: the official driver, or the embedded engine.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf};
use forge_core::adapter::{Capabilities, Commit, ExplainStep, ResumeToken, Transaction, WatchOptions};
use forge_core::transaction::TransactionOptions;
use forge_core::{Error, Result};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use crate::artifact::{MongoArtifact, Reply};

/// Something that runs [`MongoArtifact`]s.
///
/// Sessions are [`Transaction`]s: a driver finds its own type again through
/// [`Transaction::as_any`] and refuses foreign ones.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// The name in messages: `"mongodb"`, `"embedded"`.
    fn name(&self) -> &'static str;

    /// The database used where none is named.
    fn default_database(&self) -> &str;

    /// What the deployment can do.
    fn capabilities(&self) -> Capabilities;

    /// Runs one command to its end; cursors are read out and closed. With the answer comes the version of the commit,
    /// where a write outside a transaction made one and the engine knows it. The command is the driver's to keep: nothing
    /// of it needs to be copied.
    ///
    /// # Errors
    /// Failures of single documents of an insert are in the reply. Everything else is an error with Forge's code:
    /// duplicate keys of updates `unique_violation`, write conflicts `conflict` with
    /// [`Retry::Transaction`](forge_core::error::Retry), unreachable servers `unavailable`.
    async fn run(
        &self,
        database: &str,
        artifact: Box<MongoArtifact>,
        session: Option<&dyn Transaction>,
    ) -> Result<(Reply, Option<u64>)>;

    /// Runs a find outside of any transaction, `batch` documents at a time. Dropping the stream closes the cursor. Without
    /// another implementation everything comes at once.
    ///
    /// # Errors
    /// As [`run`](Driver::run), here or in the stream, which ends with it.
    async fn stream(
        &self,
        database: &str,
        artifact: &MongoArtifact,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Vec<RawDocumentBuf>>>> {
        let _ = batch;
        match self.run(database, artifact.clone().into(), None).await? {
            (Reply::Documents(documents), _) => {
                Ok(futures_util::stream::once(std::future::ready(Ok(documents))).boxed())
            }
            _ => Err(Error::internal(format!("{} cannot be streamed", artifact.command.name()))),
        }
    }

    /// How the server would run the command.
    async fn explain(&self, database: &str, artifact: &MongoArtifact) -> Result<ExplainStep>;

    /// Starts a transaction.
    async fn begin(&self, database: &str) -> Result<Arc<dyn Transaction>>;

    /// Starts a transaction with options. Engines whose transactions always give the strongest guarantees need not look
    /// at them.
    async fn begin_with(&self, database: &str, options: &TransactionOptions) -> Result<Arc<dyn Transaction>> {
        let _ = options;
        self.begin(database).await
    }

    /// The changes of a database, as [`Adapter::watch`](forge_core::adapter::Adapter::watch) promises them.
    async fn watch(
        &self,
        database: &str,
        resume: Option<ResumeToken>,
    ) -> Result<BoxStream<'static, Result<Commit>>>;

    /// As [`watch`](Driver::watch), from a place and for collections of the caller's choice.
    ///
    /// # Errors
    /// `unsupported` where the engine cannot start at a time.
    async fn watch_with(
        &self,
        database: &str,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        if options.start_at.is_some() {
            return Err(Error::unsupported(format!("{} cannot watch from a time on", self.name())));
        }
        self.watch(database, options.resume).await
    }

    /// As [`Adapter::raw`](forge_core::adapter::Adapter::raw).
    fn raw(&self, database: &str) -> Option<Box<dyn Any + Send>> {
        let _ = database;
        None
    }

    /// Resolves after `wait`; none where there are no timers.
    fn timer(&self, wait: Duration) -> Option<BoxFuture<'static, ()>> {
        let _ = wait;
        None
    }

    /// The indexes of a collection, as `listIndexes` describes them; none where the collection does not exist.
    async fn list_indexes(&self, database: &str, collection: &str) -> Result<Vec<Document>>;

    /// Creates the collection, where it does not exist, and the index, from its `createIndexes` form
    /// (`{key, name, unique?, sparse?, expireAfterSeconds?, partialFilterExpression?, collation?, weights?}`).
    async fn create_index(&self, database: &str, collection: &str, spec: &Document) -> Result<()>;

    /// Drops an index by its name.
    async fn drop_index(&self, database: &str, collection: &str, name: &str) -> Result<()>;

    /// Runs an administrative command as servers name it (`listCollections`, `create`, `collMod`, `shardCollection`, …) on
    /// `database`, and answers with its reply. Of a cursor the first batch is all.
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`](forge_core::ErrorCode) naming the command, where there is none such; else a
    /// [`Refusal`](crate::Refusal) with the server's code is among the sources.
    async fn admin(&self, database: &str, command: &Document) -> Result<Document> {
        let _ = database;
        let name = command.keys().next().map_or("", String::as_str);
        Err(forge_core::Error::unsupported(format!("{} has no command {name}", self.name())))
    }

    /// Deletes the documents whose time is over at `now`, as TTL indexes say, where the engine does not do so by itself.
    /// Answers with how many went.
    ///
    /// # Errors
    /// What the database answers.
    async fn purge_expired(&self, now: forge_core::DateTime) -> Result<u64> {
        let _ = now;
        Ok(0)
    }

    /// One round trip.
    async fn ping(&self) -> Result<()>;

    /// Facts for `doctor`.
    async fn describe(&self) -> Result<Vec<(String, String)>>;

    /// Drops a whole database. For tests and tools; no handler reaches it.
    async fn drop_database(&self, database: &str) -> Result<()>;

    /// Closes everything.
    async fn close(&self);
}
