//! The adapter over the official driver, on a real server: `FORGE_TEST_MONGODB_URI` says which one. Without it every test
//! reports that it was skipped.

// Helpers outside of `#[test]` functions are test code as well.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod models;
mod reads;
mod schema;
mod watch;
mod writes;

use std::sync::Arc;

use bson::{Document, RawDocumentBuf};
use forge_core::Result;
use forge_core::adapter::{Adapter, Exec};
use forge_core::ir::{Filter, Insert, Operation, Outcome, Rows, Select};
use forge_core::model::{ModelDef, ModelRef};
use forge_mongo::{MongoAdapter, OfficialDriver};

/// A database of one test in one run, dropped after it.
struct Database {
    adapter: MongoAdapter,
    exec: Exec,
    name: String,
}

impl Database {
    /// Connects, or says that the test is skipped.
    async fn open(test: &str) -> Option<Self> {
        let Ok(uri) = std::env::var("FORGE_TEST_MONGODB_URI") else {
            eprintln!("skipped: {test} needs a server; set FORGE_TEST_MONGODB_URI=mongodb://…");
            return None;
        };
        let driver = OfficialDriver::connect(&uri).await.expect("FORGE_TEST_MONGODB_URI leads to a server");
        let name = format!("forge_mongo_{test}_{}", std::process::id());
        let adapter = MongoAdapter::new(Arc::new(driver), models::catalog());
        let exec = Exec { database: Some(name.as_str().into()), ..Exec::default() };
        Some(Self { adapter, exec, name })
    }

    async fn close(self) {
        self.adapter.driver().drop_database(&self.name).await.unwrap();
        self.adapter.close().await;
    }

    /// Whether the server calls itself so.
    async fn is_on(&self, server: &str) -> bool {
        self.adapter
            .describe()
            .await
            .unwrap()
            .iter()
            .any(|(name, value)| name == "server" && value.contains(server))
    }

    async fn run(&self, operation: Operation) -> Result<Outcome> {
        self.adapter.execute(&self.exec, operation).await
    }

    async fn insert(&self, model: &'static ModelDef, documents: impl IntoIterator<Item = Document>) {
        self.run(insert(model, documents)).await.unwrap();
    }

    async fn rows(&self, select: Select) -> Rows {
        match self.run(Operation::Select(select)).await.unwrap() {
            Outcome::Rows(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// The documents of a model that match, in the order of their ids.
    async fn find(&self, model: &'static ModelDef, filter: Filter) -> Vec<Document> {
        let mut select = Select { filter, ..Select::new(ModelRef(model)) };
        select.sort = vec![by("_id", false)];
        documents(&self.rows(select).await)
    }

    /// The ids of the documents of a model that match, as text.
    async fn ids(&self, model: &'static ModelDef, filter: Filter) -> Vec<String> {
        self.find(model, filter).await.iter().map(id).collect()
    }
}

fn insert(model: &'static ModelDef, documents: impl IntoIterator<Item = Document>) -> Operation {
    let documents = documents.into_iter().map(|d| RawDocumentBuf::try_from(&d).unwrap()).collect();
    Operation::Insert(Insert { model: ModelRef(model), documents, skip_duplicates: false })
}

fn documents(rows: &Rows) -> Vec<Document> {
    rows.documents.iter().map(|raw| Document::try_from(raw).unwrap()).collect()
}

fn id(document: &Document) -> String {
    match document.get("_id").unwrap() {
        bson::Bson::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn by(path: &'static str, descending: bool) -> forge_core::ir::SortKey {
    forge_core::ir::SortKey { path: path.into(), descending }
}
