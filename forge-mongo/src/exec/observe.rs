//! Commands with somebody looking on: spans, and events for hooks and the log of slow commands.

use forge_core::error::ErrorCode;
use forge_core::observe::{CommandEvent, Observers, TARGET};
use forge_core::{Error, Result};
use tracing::{Instrument, Level, Span, field};

use super::run::Run;
use super::shape::shape;
use crate::artifact::{MongoArtifact, Reply};

impl Run<'_> {
    /// Sends a command as [`send`](Run::send) does, and tells about it.
    pub(super) async fn observed(
        &self,
        observers: &Observers,
        artifact: &MongoArtifact,
    ) -> Result<(Reply, Option<u64>)> {
        let session = self.exec.transaction.as_deref();
        let running = self.driver.run(self.database(), artifact, session);
        self.watched(observers, artifact, running, |(reply, _)| Some(rows(reply))).await
    }

    /// Opens a stream, and tells about it.
    pub(super) async fn opening<T>(
        &self,
        artifact: &MongoArtifact,
        opening: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match &self.exec.observers {
            Some(observers) => self.watched(observers, artifact, opening, |_| None).await,
            None => opening.await,
        }
    }

    async fn watched<T>(
        &self,
        observers: &Observers,
        artifact: &MongoArtifact,
        running: impl Future<Output = Result<T>>,
        rows: impl Fn(&T) -> Option<u64>,
    ) -> Result<T> {
        let span = self.span(artifact);
        let begun = observers.clock();
        let answer = running.instrument(span.clone()).await;
        let duration = observers.clock().saturating_sub(begun);
        let outcome = answer.as_ref().map(rows).map_err(Error::code);
        match &outcome {
            Ok(rows) => span.record("db.response.returned_rows", *rows),
            Err(code) => span.record("error.type", code.as_str()),
        };
        if let Some(code) = answer.as_ref().err().and_then(server_code) {
            span.record("db.response.status_code", code);
        }
        if observers.wants(duration) {
            self.report(observers, artifact, duration, outcome);
        }
        answer
    }

    fn report(
        &self,
        observers: &Observers,
        artifact: &MongoArtifact,
        duration: std::time::Duration,
        outcome: Result<Option<u64>, ErrorCode>,
    ) {
        let shape = shape(artifact);
        observers.report(&CommandEvent::new(
            (self.database(), &artifact.collection),
            (artifact.command.name(), &shape),
            duration,
            outcome,
            self.exec.transaction.is_some(),
        ));
    }

    /// A span with the names of OpenTelemetry's conventions for database clients.
    fn span(&self, artifact: &MongoArtifact) -> Span {
        if !tracing::enabled!(target: TARGET, Level::DEBUG) {
            return Span::none();
        }
        let (name, collection) = (artifact.command.name(), artifact.collection.as_str());
        tracing::debug_span!(
            target: TARGET,
            "command",
            otel.kind = "client",
            otel.name = format!("{name} {collection}"),
            db.system.name = self.driver.name(),
            db.namespace = self.database(),
            db.collection.name = collection,
            db.operation.name = name,
            db.query.text = shape(artifact),
            db.response.returned_rows = field::Empty,
            db.response.status_code = field::Empty,
            "error.type" = field::Empty,
        )
    }
}

/// The server's own code, where there is one.
fn server_code(error: &Error) -> Option<i64> {
    error.server_code().map(i64::from)
}

/// How many documents came back, or were changed.
fn rows(reply: &Reply) -> u64 {
    match reply {
        Reply::Documents(documents) => documents.len() as u64,
        Reply::Count(_) => 1,
        Reply::Values(values) => values.len() as u64,
        Reply::Updated { modified, upserted, .. } => modified + u64::from(upserted.is_some()),
        Reply::Deleted(count) => *count,
        Reply::Document(document) => document.is_some().into(),
        _ => 0,
    }
}
