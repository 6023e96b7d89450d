//! A driver without a database: it answers with what it was given. What remains is Forge's own work.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bson::Document;
use forge_core::adapter::{Capabilities, Commit, ExplainStep, ResumeToken, Transaction};
use forge_core::{Error, Result};
use forge_mongo::{Driver, MongoArtifact, Reply};
use futures_util::stream::BoxStream;

/// Answers in the order they were given.
#[derive(Debug, Default)]
pub struct Replay(Mutex<VecDeque<Reply>>);

impl Replay {
    /// Answers the command after those that have an answer with `reply`.
    pub fn push(&self, reply: Reply) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(reply);
    }

    /// Drops the answers that were not asked for.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn none<T>() -> Result<T> {
    Err(Error::unsupported("there is no database behind this"))
}

#[async_trait]
impl Driver for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn default_database(&self) -> &str {
        "forge"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn run(
        &self,
        _: &str,
        _: Box<MongoArtifact>,
        _: Option<&dyn Transaction>,
    ) -> Result<(Reply, Option<u64>)> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            Some(reply) => Ok((reply, None)),
            None => none(),
        }
    }

    async fn explain(&self, _: &str, _: &MongoArtifact) -> Result<ExplainStep> {
        none()
    }

    async fn begin(&self, _: &str) -> Result<Arc<dyn Transaction>> {
        none()
    }

    async fn watch(&self, _: &str, _: Option<ResumeToken>) -> Result<BoxStream<'static, Result<Commit>>> {
        none()
    }

    async fn list_indexes(&self, _: &str, _: &str) -> Result<Vec<Document>> {
        none()
    }

    async fn create_index(&self, _: &str, _: &str, _: &Document) -> Result<()> {
        none()
    }

    async fn drop_index(&self, _: &str, _: &str, _: &str) -> Result<()> {
        none()
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn describe(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    async fn drop_database(&self, _: &str) -> Result<()> {
        none()
    }

    async fn close(&self) {}
}
