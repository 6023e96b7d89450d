use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bson::{Document, RawDocumentBuf};
use forge_core::env::Source;
use forge_core::{DateTime, Env, Result};
use forge_embedded::EmbeddedDriver;
use forge_mongo::artifact::WriteFailure;
use forge_mongo::{Command, Driver, MongoArtifact, Reply};

/// A clock that tests move, and bytes that differ each time.
#[derive(Clone, Default)]
pub(crate) struct Clock(pub(crate) Arc<AtomicI64>);

impl Source for Clock {
    fn now(&self) -> DateTime {
        DateTime::from_millis(self.0.load(Ordering::Relaxed))
    }
    fn random(&self) -> [u8; 16] {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let mixed = count.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(std::process::id());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mixed.to_be_bytes());
        bytes[8..].copy_from_slice(&count.to_be_bytes());
        bytes
    }
}

pub(crate) fn env() -> Env {
    Env::new(Clock::default())
}

pub(crate) fn memory() -> EmbeddedDriver {
    EmbeddedDriver::memory(env()).unwrap()
}

pub(crate) fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

pub(crate) fn artifact(collection: &str, command: Command) -> Box<MongoArtifact> {
    MongoArtifact::new(collection, command).into()
}

pub(crate) fn insert_command(documents: &[Document]) -> Command {
    Command::Insert { documents: documents.iter().map(raw).collect(), ordered: false }
}

pub(crate) fn find_command(filter: Document) -> Command {
    Command::Find { filter, projection: None, sort: None, skip: None, limit: None }
}

pub(crate) fn update_command(filter: Document, update: Document) -> Command {
    Command::Update { filter, update: update.into(), many: true, upsert: false }
}

/// Runs a command on `db.c`.
pub(crate) async fn run(driver: &EmbeddedDriver, command: Command) -> Result<Reply> {
    Ok(driver.run("db", artifact("c", command), None).await?.0)
}

pub(crate) async fn insert(driver: &EmbeddedDriver, documents: &[Document]) -> Vec<(usize, WriteFailure)> {
    match run(driver, insert_command(documents)).await.unwrap() {
        Reply::Inserted { failures } => failures,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn documents(reply: Reply) -> Vec<Document> {
    match reply {
        Reply::Documents(list) => list.iter().map(|raw| Document::try_from(raw).unwrap()).collect(),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn find(driver: &EmbeddedDriver, filter: Document) -> Vec<Document> {
    documents(run(driver, find_command(filter)).await.unwrap())
}

pub(crate) async fn ids(driver: &EmbeddedDriver, filter: Document) -> Vec<i32> {
    find(driver, filter).await.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}
