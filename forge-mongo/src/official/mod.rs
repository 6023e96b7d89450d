//! The official MongoDB driver, as a [`Driver`].

mod collections;
mod connect;
mod errors;
mod events;
mod explain;
mod images;
mod indexes;
mod options;
mod run;
mod session;
mod stream;
mod watch;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf, doc};
use forge_core::adapter::{Capabilities, Commit, ExplainStep, ResumeToken, Transaction, WatchOptions};
use forge_core::transaction::TransactionOptions;
use forge_core::{Error, Result};
use futures_core::stream::BoxStream;
use futures_util::future::BoxFuture;
use mongodb::{Client, Collection};
use tokio::time::timeout;

use crate::artifact::{MongoArtifact, Reply};
use crate::driver::Driver;
use collections::Collections;
use connect::{Connected, Deployment};
use session::Session;

/// How long a close waits for cursors to be killed.
const CURSORS: Duration = Duration::from_millis(500);

/// A connection pool to a MongoDB deployment.
///
/// # Defaults
/// At most 50 connections and at least 5, 10 s to connect and to find a server, retryable reads and writes, the
/// application name `forge`, the database `forge`: each only where the URL does not say otherwise.
pub struct OfficialDriver {
    client: Client,
    default_database: String,
    deployment: Deployment,
    collections: Collections,
}

impl OfficialDriver {
    /// Connects to `uri` (`mongodb://…` or `mongodb+srv://…`) and looks at what the deployment can do.
    ///
    /// # Errors
    /// `bad_request` where the URL is not right, `unavailable` where no server answers in time, `unauthorized` where the
    /// user name or password is refused: one line each, never with the password.
    pub async fn connect(uri: &str) -> Result<Self> {
        let Connected { client, default_database, deployment } = connect::connect(uri).await?;
        Ok(Self { client, default_database, deployment, collections: Collections::default() })
    }

    /// Takes a client that the program has made, with whatever options it needs, and looks at what its deployment can do.
    /// Nothing of it is changed, and [`close`](Driver::close) shuts it down. `database` is the default one; without it
    /// that of the client's URL, else `forge`.
    ///
    /// ```ignore
    /// let driver = OfficialDriver::with_client(client, None).await?;
    /// let adapter = MongoAdapter::new(Arc::new(driver), catalog.clone());
    /// let db = Db::new(Arc::new(adapter), catalog, forge::system_env());
    /// ```
    ///
    /// # Errors
    /// `unavailable` where no server answers in time, `unauthorized` where the user name or password is refused.
    pub async fn with_client(client: Client, database: Option<&str>) -> Result<Self> {
        let Connected { client, default_database, deployment } = connect::look_at(client, database).await?;
        Ok(Self { client, default_database, deployment, collections: Collections::default() })
    }

    /// The driver's own client, for what Forge does not cover.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn collection(&self, database: &str, name: &str) -> Collection<RawDocumentBuf> {
        self.collections.get(&self.client, database, name)
    }
}

impl std::fmt::Debug for OfficialDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfficialDriver").field("hosts", &self.deployment.hosts).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for OfficialDriver {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn default_database(&self) -> &str {
        &self.default_database
    }

    fn capabilities(&self) -> Capabilities {
        self.deployment.capabilities
    }

    // Written out: the future of the command is the answer, without another around it.
    fn run<'a, 'b, 'c, 'f>(
        &'a self,
        database: &'b str,
        artifact: Box<MongoArtifact>,
        session: Option<&'c dyn Transaction>,
    ) -> BoxFuture<'f, Result<(Reply, Option<u64>)>>
    where
        'a: 'f,
        'b: 'f,
        'c: 'f,
        Self: 'f,
    {
        Box::pin(run::run(self, database, artifact, session))
    }

    async fn stream(
        &self,
        database: &str,
        artifact: &MongoArtifact,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Vec<RawDocumentBuf>>>> {
        stream::open(self, database, artifact, batch).await
    }

    async fn explain(&self, database: &str, artifact: &MongoArtifact) -> Result<ExplainStep> {
        let command = doc! { "explain": run::as_server_command(artifact)?, "verbosity": "executionStats" };
        let reply = self.client.database(database).run_command(command).await.map_err(errors::map)?;
        explain::step(artifact, &reply)
    }

    async fn begin(&self, database: &str) -> Result<Arc<dyn Transaction>> {
        self.begin_with(database, &TransactionOptions::default()).await
    }

    async fn begin_with(
        &self,
        _database: &str,
        options: &TransactionOptions,
    ) -> Result<Arc<dyn Transaction>> {
        if !self.deployment.capabilities.transactions {
            return Err(Error::unsupported(errors::NEEDS_REPLICA_SET));
        }
        Ok(Arc::new(Session::begin(&self.client, options).await?))
    }

    async fn watch(
        &self,
        database: &str,
        resume: Option<ResumeToken>,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        self.watch_with(database, WatchOptions { resume, ..WatchOptions::default() }).await
    }

    async fn watch_with(
        &self,
        database: &str,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Commit>>> {
        if !self.deployment.capabilities.change_streams {
            return Err(Error::unsupported(errors::NEEDS_REPLICA_SET));
        }
        let pre_images = self.deployment.capabilities.pre_images;
        watch::watch(self.client.database(database), options, pre_images).await
    }

    fn timer(&self, wait: Duration) -> Option<BoxFuture<'static, ()>> {
        Some(Box::pin(tokio::time::sleep(wait)))
    }

    async fn list_indexes(&self, database: &str, collection: &str) -> Result<Vec<Document>> {
        indexes::list(&self.client.database(database), collection).await
    }

    async fn create_index(&self, database: &str, collection: &str, spec: &Document) -> Result<()> {
        indexes::create(&self.client.database(database), collection, spec).await
    }

    async fn drop_index(&self, database: &str, collection: &str, name: &str) -> Result<()> {
        indexes::drop(&self.client.database(database), collection, name).await
    }

    async fn admin(&self, database: &str, command: &Document) -> Result<Document> {
        indexes::admin(&self.client.database(database), command).await
    }

    async fn ping(&self) -> Result<()> {
        let ping = self.client.database("admin").run_command(doc! { "ping": 1 }).await;
        ping.map(|_| ()).map_err(errors::map)
    }

    fn raw(&self, database: &str) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(self.client.database(database)))
    }

    async fn describe(&self) -> Result<Vec<(String, String)>> {
        let Deployment { hosts, topology, version, capabilities, .. } = &self.deployment;
        let can = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let facts = [
            ("server", version.clone()),
            ("topology", (*topology).to_owned()),
            ("hosts", hosts.join(", ")),
            ("database", self.default_database.clone()),
            ("transactions", can(capabilities.transactions)),
            ("change streams", can(capabilities.change_streams)),
            ("text indexes", can(capabilities.text)),
        ];
        Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    async fn drop_database(&self, database: &str) -> Result<()> {
        self.client.database(database).drop().await.map_err(errors::map)
    }

    async fn close(&self) {
        // The driver kills the cursors that were dropped, and waits for those that somebody still holds as well.
        if timeout(CURSORS, self.client.clone().shutdown()).await.is_err() {
            self.client.clone().shutdown().immediate(true).await;
        }
    }
}
