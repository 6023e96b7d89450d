//! [`EmbeddedDriver`]: the engine behind the driver seam.

use std::sync::Arc;
#[cfg(feature = "file")]
use std::time::Duration;

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf, doc};
use forge_core::adapter::{Capabilities, Commit, ExplainStep, ResumeToken, Transaction, WatchOptions};
use forge_core::{DateTime, Env, Error, Result};
use forge_mongo::{Command, Driver, MongoArtifact, Reply};
use futures_core::stream::BoxStream;
#[cfg(feature = "file")]
use futures_util::future::BoxFuture;

use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::engine::Engine;
use crate::read::View;
use crate::store::{Database, Tables};
use crate::stream;
use crate::target::writes;
use crate::tx::EmbeddedTransaction;
use crate::watch;

/// The database used where none is named.
const DEFAULT_DATABASE: &str = "forge";

/// MongoDB's commands, run in this process. Cheap to clone; every clone is the same store.
///
/// ```
/// # use forge_core::env::Source;
/// # struct Fixed;
/// # impl Source for Fixed {
/// #     fn now(&self) -> forge_core::DateTime { forge_core::DateTime::UNIX_EPOCH }
/// #     fn random(&self) -> [u8; 16] { [7; 16] }
/// # }
/// use forge_embedded::EmbeddedDriver;
/// use forge_mongo::Driver;
///
/// let driver = EmbeddedDriver::memory(forge_core::Env::new(Fixed))?;
/// assert_eq!(driver.name(), "embedded");
/// # Ok::<(), forge_core::Error>(())
/// ```
#[derive(Clone)]
pub struct EmbeddedDriver {
    engine: Arc<Engine>,
    place: Arc<str>,
}

impl std::fmt::Debug for EmbeddedDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedDriver").field("place", &self.place).finish_non_exhaustive()
    }
}

impl EmbeddedDriver {
    /// A store in memory, empty, gone with its last handle.
    ///
    /// # Errors
    /// None so far; stores of another kind have some.
    pub fn memory(env: Env) -> Result<Self> {
        Ok(Self { engine: Engine::start(Database::memory(), env)?, place: "memory".into() })
    }

    /// A store in a file, created where it does not exist, with its folders. A `path` that is a folder, or ends with a
    /// separator, means the file `forge.redb` in it.
    ///
    /// # Errors
    /// `unavailable`, naming the path: another process holds the file, it cannot be read or written, it is no store or
    /// a damaged one, or it has another format.
    #[cfg(feature = "file")]
    pub fn open(path: &std::path::Path, env: Env) -> Result<Self> {
        let path = crate::file::resolve(path);
        let engine = crate::file::open(&path, env)?;
        Ok(Self { engine, place: path.display().to_string().into() })
    }

    /// Deletes the documents that TTL indexes say are over at `now`, in every database. Answers with how many went.
    /// Writes do the same by themselves, at most once a minute.
    ///
    /// # Errors
    /// `timeout` where the store is held too long, `unavailable` where it is closed.
    pub async fn purge_expired(&self, now: DateTime) -> Result<u64> {
        self.exclusive("a purge of expired documents".to_owned(), move |writing| writing.purge_expired(now))
            .await
    }

    async fn exclusive<R: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce(&mut crate::write::Writing<'_, '_>) -> Result<R>,
    ) -> Result<R> {
        let writer = self.engine.acquire().await?;
        self.engine.exclusive(writer, what, work).await
    }

    fn session<'s>(&self, session: &'s dyn Transaction) -> Result<&'s EmbeddedTransaction> {
        session
            .as_any()
            .downcast_ref::<EmbeddedTransaction>()
            .filter(|transaction| transaction.belongs_to(&self.engine))
            .ok_or_else(|| Error::bad_request("the transaction belongs to another database connection"))
    }

    fn is_view(&self, database: &str, collection: &str) -> Result<bool> {
        let (_, catalog) = self.engine.snapshot()?;
        Ok(catalog.collection(database, collection).is_some_and(|found| found.view.is_some()))
    }

    fn read(&self, database: &str, artifact: &MongoArtifact) -> Result<Reply> {
        let (snapshot, catalog) = self.engine.snapshot()?;
        let tables = Tables::read(&snapshot)?;
        let clock = Clock::new(&self.engine.env, artifact);
        View { tables: &tables, catalog: &catalog, database, clock: &clock }.run(artifact)
    }
}

fn is_read(command: &Command) -> bool {
    match command {
        Command::Find { .. } | Command::Count { .. } | Command::Distinct { .. } => true,
        Command::Aggregate { pipeline } => !writes(pipeline),
        _ => false,
    }
}

/// As on servers, results of pipelines are not stored inside of transactions.
fn refuse_in_transaction(command: &Command) -> Result<()> {
    match command {
        Command::Aggregate { pipeline } if writes(pipeline) => Err(Error::bad_request(
            "`$out` and `$merge` do not run inside of a transaction; run the pipeline by itself",
        )),
        _ => Ok(()),
    }
}

#[async_trait]
impl Driver for EmbeddedDriver {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn default_database(&self) -> &str {
        DEFAULT_DATABASE
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.transactions = true;
        capabilities.change_streams = true;
        (capabilities.pre_images, capabilities.always_pre_images) = (true, true);
        (capabilities.text, capabilities.lookup, capabilities.search) = (true, true, true);
        capabilities
    }

    async fn run(
        &self,
        database: &str,
        artifact: Box<MongoArtifact>,
        session: Option<&dyn Transaction>,
    ) -> Result<(Reply, Option<u64>)> {
        match session {
            Some(session) => {
                refuse_in_transaction(&artifact.command)?;
                Ok((self.session(session)?.run(database, &artifact)?, None))
            }
            None if is_read(&artifact.command) => Ok((self.read(database, &artifact)?, None)),
            None => self.engine.write(database, artifact).await,
        }
    }

    async fn stream(
        &self,
        database: &str,
        artifact: &MongoArtifact,
        batch: u32,
    ) -> Result<BoxStream<'static, Result<Vec<RawDocumentBuf>>>> {
        if stream::is_plain(artifact) && !self.is_view(database, &artifact.collection)? {
            return stream::open(&self.engine, database, artifact, batch);
        }
        match self.read(database, artifact)? {
            Reply::Documents(documents) => Ok(stream::in_batches(documents, batch)),
            _ => Err(Error::internal(format!("{} cannot be streamed", artifact.command.name()))),
        }
    }

    async fn explain(&self, database: &str, artifact: &MongoArtifact) -> Result<ExplainStep> {
        let (snapshot, catalog) = self.engine.snapshot()?;
        let tables = Tables::read(&snapshot)?;
        let clock = Clock::new(&self.engine.env, artifact);
        let view = View { tables: &tables, catalog: &catalog, database, clock: &clock };
        let mut step =
            ExplainStep::new(artifact.collection.clone(), serde_json::to_value(&artifact.command)?);
        view.explain(artifact, &mut step)?;
        step.documents_examined = Some(clock.examined());
        Ok(step)
    }

    async fn begin(&self, database: &str) -> Result<Arc<dyn Transaction>> {
        Ok(Arc::new(EmbeddedTransaction::begin(self.engine.clone(), database).await?))
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
        watch::subscribe(self.engine.clone(), database, &options)
    }

    #[cfg(feature = "file")]
    fn timer(&self, wait: Duration) -> Option<BoxFuture<'static, ()>> {
        tokio::runtime::Handle::try_current().ok()?;
        Some(Box::pin(tokio::time::sleep(wait)))
    }

    async fn list_indexes(&self, database: &str, collection: &str) -> Result<Vec<Document>> {
        let (_, catalog) = self.engine.snapshot()?;
        let Some(collection) = catalog.collection(database, collection) else { return Ok(Vec::new()) };
        let id = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        let listed = collection.indexes.iter().filter(|index| index.vector.is_none());
        Ok(std::iter::once(id).chain(listed.map(|index| index.spec.clone())).collect())
    }

    async fn create_index(&self, database: &str, collection: &str, spec: &Document) -> Result<()> {
        let what = format!("the building of an index on {collection}");
        self.exclusive(what, |writing| writing.create_index(database, collection, spec)).await
    }

    async fn drop_index(&self, database: &str, collection: &str, name: &str) -> Result<()> {
        let what = format!("the dropping of index {name}");
        self.exclusive(what, |writing| writing.drop_index(database, collection, name)).await
    }

    async fn admin(&self, database: &str, command: &Document) -> Result<Document> {
        match admin::parse(command)? {
            Admin::Read(read) => {
                let (_, catalog) = self.engine.snapshot()?;
                Ok(admin::read(&read, database, &catalog, &self.engine.env))
            }
            Admin::Write(write) => {
                let what = command.keys().next().map_or_else(String::new, |verb| format!("`{verb}`"));
                let database = database.to_owned();
                self.exclusive(what, move |writing| writing.admin(&database, *write)).await
            }
        }
    }

    async fn purge_expired(&self, now: DateTime) -> Result<u64> {
        EmbeddedDriver::purge_expired(self, now).await
    }

    async fn ping(&self) -> Result<()> {
        self.engine.snapshot().map(|_| ())
    }

    async fn describe(&self) -> Result<Vec<(String, String)>> {
        let (_, catalog) = self.engine.snapshot()?;
        let names: Vec<&str> = catalog.databases().map(|(name, _)| &**name).collect();
        Ok(vec![
            ("engine".to_owned(), format!("embedded {}", env!("CARGO_PKG_VERSION"))),
            ("store".to_owned(), self.place.to_string()),
            ("databases".to_owned(), names.join(", ")),
            ("transactions".to_owned(), "yes".to_owned()),
            ("change feed".to_owned(), "yes, with documents as they were".to_owned()),
        ])
    }

    async fn drop_database(&self, database: &str) -> Result<()> {
        let what = format!("the dropping of database {database}");
        self.exclusive(what, |writing| writing.drop_database(database)).await
    }

    async fn close(&self) {
        self.engine.close();
    }
}
