//! Engines, and a database of its own for each test.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use bson::{Bson, Document, doc};
use forge::adapter::{Adapter, Exec, PushPlan};
use forge::env::Source;
use forge::ir::{Filter, Operation, Outcome, Select, SortKey};
use forge::model::{ModelDef, ModelRef};
use forge::{Catalog, DateTime, Db, Env, Error, Result};
use forge_embedded::EmbeddedDriver;
use forge_mongo::artifact::{Command, MongoArtifact, Reply};
use forge_mongo::{Driver, MongoAdapter, OfficialDriver};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::counting::Counting;

/// Names the MongoDB-compatible server to test on.
pub const URI_VARIABLE: &str = "FORGE_TEST_MONGODB_URI";
/// Names the file that is told why a case did not run.
pub const SKIPPED_VARIABLE: &str = "FORGE_TEST_SKIPPED_FILE";

/// Where a case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The embedded engine in memory.
    Memory,
    /// The embedded engine in a folder.
    File,
    /// The server that [`URI_VARIABLE`] names.
    Server,
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Clone)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that shows the present second.
    pub fn new() -> Self {
        let now = forge::system_env().now().millis();
        Self(Arc::new(AtomicI64::new(now - now % 1_000)))
    }

    /// The present moment.
    pub fn now(&self) -> DateTime {
        DateTime::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Lets `millis` pass.
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Clock {
    fn now(&self) -> DateTime {
        Clock::now(self)
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random().to_be_bytes());
        bytes[8..].copy_from_slice(&random().to_be_bytes());
        bytes
    }
}

/// A number that no other call gets.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The models of the tests.
pub fn catalog() -> Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    CATALOG.get_or_init(|| Arc::new(Catalog::collect().unwrap())).clone()
}

/// A database on one engine.
pub struct Fixture {
    /// The database.
    pub db: Db,
    /// The driver below, which counts.
    pub driver: Arc<Counting>,
    /// The adapter between them.
    pub adapter: Arc<dyn Adapter>,
    /// Where this runs.
    pub engine: Engine,
    /// The time that the database handle sees.
    pub clock: Clock,
    /// Whether the server is one that only speaks MongoDB's language, with differences of its own.
    pub stand_in: bool,
    /// The folder of the file engine.
    pub folder: Option<tempfile::TempDir>,
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.engine, self.driver)
    }
}

impl Fixture {
    /// A new database on `engine`, named from `test`; none where there is no such engine.
    pub async fn open(engine: Engine, test: &str) -> Result<Option<Self>> {
        let clock = Clock::new();
        let env = Env::new(clock.clone());
        let mut folder = None;
        let driver: Arc<dyn Driver> = match engine {
            Engine::Memory => Arc::new(EmbeddedDriver::memory(env.clone())?),
            Engine::File => {
                let directory = folder.insert(temporary_folder());
                Arc::new(EmbeddedDriver::open(&directory.path().join("data"), env.clone())?)
            }
            Engine::Server => match std::env::var(URI_VARIABLE) {
                Ok(uri) => Arc::new(OfficialDriver::connect(&uri).await?),
                Err(_) => return Ok(None),
            },
        };
        let driver = Arc::new(Counting::new(driver, database_name(test)));
        let adapter: Arc<dyn Adapter> = Arc::new(MongoAdapter::new(driver.clone(), catalog()));
        let db = Db::new(adapter.clone(), catalog(), env);
        let stand_in = is_stand_in(&*driver).await?;
        Ok(Some(Self { db, driver, adapter, engine, clock, stand_in, folder }))
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        self.driver.default_database()
    }

    /// The same database, whose server joins where more than `keys` keys of related documents would be sent.
    pub fn joining_above(&self, keys: usize) -> Db {
        let adapter = MongoAdapter::new(self.driver.clone(), catalog()).join_above(keys);
        Db::new(Arc::new(adapter), catalog(), self.db.env().clone())
    }

    /// Sends one command, past models and adapter.
    pub async fn send(&self, collection: &str, command: Command) -> Result<Reply> {
        send(&*self.driver, self.name(), collection, command).await
    }

    /// Inserts documents as they are.
    pub async fn seed(&self, collection: &str, documents: impl IntoIterator<Item = Document>) -> Result<()> {
        seed(&*self.driver, self.name(), collection, documents).await
    }

    /// All documents of a collection as they are, by `_id`.
    pub async fn stored(&self, collection: &str) -> Result<Vec<Document>> {
        let sort = Some(doc! { "_id": 1 });
        let find = Command::Find { filter: doc! {}, projection: None, sort, skip: None, limit: None };
        match self.send(collection, find).await? {
            Reply::Documents(documents) => documents.iter().map(|d| Ok(Document::try_from(d)?)).collect(),
            other => Err(Error::internal(format!("{other:?}"))),
        }
    }

    /// The ids of the documents of `model` that match, in `_id` order.
    pub async fn ids(&self, model: &'static ModelDef, filter: Filter) -> Result<Vec<Bson>> {
        let sort = vec![SortKey { path: "_id".into(), descending: false }];
        self.select_ids(Select { filter, sort, ..Select::new(ModelRef(model)) }).await
    }

    /// The ids that `select` finds, in its order.
    pub async fn select_ids(&self, select: Select) -> Result<Vec<Bson>> {
        match self.adapter.execute(&Exec::default(), Operation::Select(select)).await? {
            Outcome::Rows(rows) => rows
                .documents
                .iter()
                .map(|d| Ok(d.get("_id")?.map(Bson::try_from).transpose()?.unwrap_or(Bson::Null)))
                .collect(),
            other => Err(Error::internal(format!("{other:?}"))),
        }
    }

    /// Creates the indexes of every model.
    pub async fn push(&self) -> Result<PushPlan> {
        self.adapter.push(self.name(), &catalog(), true).await
    }
}

/// Runs `case` on `engine` and drops its database, whatever happens.
///
/// # Panics
/// Where the case fails, and in CI where there is no such engine.
pub fn run(engine: Engine, test: &str, case: for<'f> fn(&'f Fixture) -> BoxFuture<'f, Result<()>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let Some(fixture) = Fixture::open(engine, test).await.unwrap() else {
            skip_without_server();
            return Ok(Ok(()));
        };
        let outcome = AssertUnwindSafe(case(&fixture)).catch_unwind().await;
        let dropped = fixture.driver.drop_database(fixture.name()).await;
        if outcome.is_ok() {
            dropped.unwrap();
        }
        fixture.adapter.close().await;
        outcome
    });
    runtime.shutdown_background();
    match outcome {
        Err(panic) => resume_unwind(panic),
        Ok(outcome) => outcome.unwrap_or_else(|error| panic!("{test} on {engine:?}: {error:?}")),
    }
}

/// Whether `driver` talks to SecantusDB, whose known differences from MongoDB are no failures of Forge.
///
/// # Errors
/// What the server answers.
pub async fn is_stand_in(driver: &dyn Driver) -> Result<bool> {
    Ok(driver.describe().await?.iter().any(|(_, fact)| fact.contains("SecantusDB")))
}

/// Records that there is no server to run a case on.
///
/// # Panics
/// In CI, where everything has to run.
pub fn skip_without_server() {
    assert!(std::env::var_os("CI").is_none(), "in CI this must run: set {URI_VARIABLE}");
    skip(&format!("no MongoDB server: {URI_VARIABLE} is not set"));
}

/// Records that a case, or a part of one, could not run, since the deployment lacks something.
pub fn skip(reason: &str) {
    if let Some(file) = std::env::var_os(SKIPPED_VARIABLE) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        file.write_all(format!("{reason}\n").as_bytes()).unwrap();
    }
}

/// A folder that goes with the value.
pub fn temporary_folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("forge-test-").tempdir().unwrap()
}

/// Sends one command through `driver`.
pub async fn send(driver: &dyn Driver, database: &str, collection: &str, command: Command) -> Result<Reply> {
    let artifact = MongoArtifact::new(collection, command);
    Ok(driver.run(database, artifact.into(), None).await?.0)
}

/// Inserts documents as they are.
pub async fn seed(
    driver: &dyn Driver,
    database: &str,
    collection: &str,
    documents: impl IntoIterator<Item = Document>,
) -> Result<()> {
    let documents = documents.into_iter().map(|d| Ok((&d).try_into()?)).collect::<Result<Vec<_>>>()?;
    match send(driver, database, collection, Command::Insert { documents, ordered: true }).await? {
        Reply::Inserted { failures } if failures.is_empty() => Ok(()),
        other => Err(Error::internal(format!("seeding {collection}: {other:?}"))),
    }
}

/// At most 38 bytes, which every server takes, and the end of the test's path, which says most.
fn database_name(test: &str) -> String {
    let plain: String = test.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let tail = &plain[plain.len().saturating_sub(24)..];
    format!("t{tail}_{:08x}", random() as u32)
}

/// Ends a case that needs what this deployment lacks, as `reason` says.
///
/// # Errors
/// Never; for `return`.
///
/// # Panics
/// On the embedded engine, which has everything.
pub fn unsupported(t: &Fixture, reason: &str) -> Result<()> {
    assert_eq!(t.engine, Engine::Server, "the embedded engine has {reason}");
    skip(&format!("the server has no {reason}"));
    Ok(())
}

/// The end of an asynchronous closure in a test: says which error `?` makes.
///
/// # Errors
/// Never.
pub fn done<T>(value: T) -> Result<T> {
    Ok(value)
}
