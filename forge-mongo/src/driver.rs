//! The seam between the executor and a server: the official driver, or the embedded engine.

use std::sync::Arc;

use async_trait::async_trait;
use bson::Document;
use forge_core::Result;
use forge_core::adapter::{Capabilities, Commit, ExplainStep, ResumeToken, Transaction};
use futures_core::stream::BoxStream;

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
    /// where a write outside a transaction made one and the engine knows it.
    ///
    /// # Errors
    /// Failures of single documents of an insert are in the reply. Everything else is an error with Forge's code:
    /// duplicate keys of updates `unique_violation`, write conflicts `conflict` with
    /// [`Retry::Transaction`](forge_core::error::Retry), unreachable servers `unavailable`.
    async fn run(
        &self,
        database: &str,
        artifact: &MongoArtifact,
        session: Option<&dyn Transaction>,
    ) -> Result<(Reply, Option<u64>)>;

    /// How the server would run the command.
    async fn explain(&self, database: &str, artifact: &MongoArtifact) -> Result<ExplainStep>;

    /// Starts a transaction.
    async fn begin(&self, database: &str) -> Result<Arc<dyn Transaction>>;

    /// The changes of a database, as [`Adapter::watch`](forge_core::adapter::Adapter::watch) promises them.
    async fn watch(
        &self,
        database: &str,
        resume: Option<ResumeToken>,
    ) -> Result<BoxStream<'static, Result<Commit>>>;

    /// The indexes of a collection, as `listIndexes` describes them; none where the collection does not exist.
    async fn list_indexes(&self, database: &str, collection: &str) -> Result<Vec<Document>>;

    /// Creates the collection, where it does not exist, and the index, from its `createIndexes` form
    /// (`{key, name, unique?, sparse?, expireAfterSeconds?, partialFilterExpression?, collation?, weights?}`).
    async fn create_index(&self, database: &str, collection: &str, spec: &Document) -> Result<()>;

    /// Drops an index by its name.
    async fn drop_index(&self, database: &str, collection: &str, name: &str) -> Result<()>;

    /// One round trip.
    async fn ping(&self) -> Result<()>;

    /// Facts for `doctor`.
    async fn describe(&self) -> Result<Vec<(String, String)>>;

    /// Drops a whole database. For tests and tools; no handler reaches it.
    async fn drop_database(&self, database: &str) -> Result<()>;

    /// Closes everything.
    async fn close(&self);
}
