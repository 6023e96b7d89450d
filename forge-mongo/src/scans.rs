//! The log of queries that no index serves, or that name no shard key: shapes, never values.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bson::{Bson, Document, doc};
use forge_core::adapter::{Finding, Severity};
use forge_core::model::ShardKeyDef;
use forge_core::{Catalog, Result};

use crate::artifact::{Command, Modification, MongoArtifact};
use crate::driver::Driver;

/// The collection in which processes leave what they saw for `doctor`.
pub(crate) const SCANS: &str = "forge_scans";
/// The most shapes that are told apart.
const MAX_SHAPES: usize = 256;

/// Whether, and where, queries are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ScanLogging {
    /// Not at all: no query costs anything more.
    #[default]
    Off,
    /// In the memory of this process. Each new shape is explained once.
    Process,
    /// Also in the collection `forge_scans` of the database, for `doctor` in another process.
    Database,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct ScanLog {
    logging: ScanLogging,
    /// By collection and shape; none where nothing is wrong with it.
    seen: Mutex<BTreeMap<(String, String), Option<Problem>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    Scan,
    NoShardKey,
}

impl Problem {
    const ALL: [(Self, &'static str); 2] = [(Self::Scan, "scan"), (Self::NoShardKey, "no shard key")];

    fn name(self) -> &'static str {
        if self == Self::Scan { "scan" } else { "no shard key" }
    }
}

impl ScanLog {
    pub(crate) fn new(logging: ScanLogging) -> Self {
        Self { logging, seen: Mutex::default() }
    }

    /// Whether queries are looked at.
    pub(crate) fn is_on(&self) -> bool {
        self.logging != ScanLogging::Off
    }

    /// Looks at a command of a new shape. What goes wrong on the way is nobody's trouble.
    pub(crate) async fn look(
        &self,
        driver: &dyn Driver,
        database: &str,
        catalog: &Catalog,
        artifact: &MongoArtifact,
        shape: String,
    ) {
        let Some(filter) = filter_of(&artifact.command) else { return };
        let key = (artifact.collection.clone(), shape);
        if !self.is_new(&key) {
            return;
        }
        let shard_key =
            catalog.by_collection(&artifact.collection).and_then(|model| model.shard_key.as_ref());
        let problem = match shard_key {
            Some(shard_key) if !names_shard_key(filter, shard_key) => Some(Problem::NoShardKey),
            _ => match driver.explain(database, artifact).await {
                Ok(step) if step.index.is_none() => Some(Problem::Scan),
                _ => None,
            },
        };
        let Some(problem) = problem else { return };
        let (collection, shape) = &key;
        tracing::warn!(
            collection,
            shape,
            problem = problem.name(),
            "no index serves this query, or it goes to every shard"
        );
        self.lock().insert(key.clone(), Some(problem));
        if self.logging == ScanLogging::Database
            && let Err(error) = leave(driver, database, &key, problem).await
        {
            tracing::debug!(%error, "what was seen could not be left in the database");
        }
    }

    fn is_new(&self, key: &(String, String)) -> bool {
        let mut seen = self.lock();
        if seen.contains_key(key) || seen.len() >= MAX_SHAPES {
            return false;
        }
        seen.insert(key.clone(), None);
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Option<Problem>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was seen by this process.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let seen = self.lock();
        let wrong =
            seen.iter().filter_map(|((collection, shape), problem)| Some((collection, shape, (*problem)?)));
        wrong.map(|(collection, shape, problem)| problem_found(collection, shape, problem)).collect()
    }

    /// What another process has left.
    pub(crate) fn finding(left: &Document) -> Option<Finding> {
        let id = left.get_document("_id").ok()?;
        let problem = left.get_str("problem").ok()?;
        let (problem, _) = Problem::ALL.iter().find(|(_, name)| *name == problem)?;
        Some(problem_found(id.get_str("collection").ok()?, id.get_str("shape").ok()?, *problem))
    }
}

fn problem_found(collection: &str, shape: &str, problem: Problem) -> Finding {
    match problem {
        Problem::Scan => {
            let message = format!("{collection} is read from end to end by {shape}");
            let advice = "declare an index that begins with the fields it compares";
            Finding::new(Severity::Warning, "queries", message).advise(advice)
        }
        Problem::NoShardKey => {
            let message = format!("{collection} is asked on every shard by {shape}");
            let advice = "add an equality on the first field of the shard key";
            Finding::new(Severity::Warning, "queries", message).advise(advice)
        }
    }
}

async fn leave(driver: &dyn Driver, database: &str, key: &(String, String), problem: Problem) -> Result<()> {
    let id = doc! { "collection": &key.0, "shape": &key.1 };
    let command = Command::Update {
        filter: doc! { "_id": id },
        update: Modification::Operators(doc! { "$set": { "problem": problem.name() } }),
        many: false,
        upsert: true,
    };
    driver.run(database, MongoArtifact::new(SCANS, command).into(), None).await.map(|_| ())
}

/// The condition of a command that looks for documents.
fn filter_of(command: &Command) -> Option<&Document> {
    match command {
        Command::Find { filter, .. }
        | Command::Count { filter, .. }
        | Command::Distinct { filter, .. }
        | Command::Update { filter, .. }
        | Command::Delete { filter, .. }
        | Command::FindOneAndUpdate { filter, .. }
        | Command::FindOneAndDelete { filter } => Some(filter),
        Command::Aggregate { pipeline } => pipeline.first()?.get_document("$match").ok(),
        _ => None,
    }
    // Everything is read from end to end, and was meant to be.
    .filter(|filter| !filter.is_empty())
}

/// Whether the condition says which shard is meant.
fn names_shard_key(filter: &Document, shard_key: &ShardKeyDef) -> bool {
    let Some((path, _)) = shard_key.keys.first() else { return true };
    match filter.get(path) {
        Some(Bson::Document(condition)) => {
            condition.is_empty()
                || condition.keys().any(|op| ["$eq", "$in"].contains(&op.as_str()) || !op.starts_with('$'))
        }
        Some(_) => true,
        None => {
            let all = filter.get_array("$and").into_iter().flatten().filter_map(Bson::as_document);
            all.into_iter().any(|filter| names_shard_key(filter, shard_key))
        }
    }
}
