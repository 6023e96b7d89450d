//! Commands with somebody looking on: spans, and events for hooks and the log of slow commands.

use forge_core::observe::{CommandEvent, Observers, TARGET};
use forge_core::{Error, Result};
use tracing::{Instrument, Level, Span, field};

use super::run::Run;
use super::shape::shape;
use crate::artifact::{Command, MongoArtifact, Reply};

impl Run<'_> {
    /// Sends a command as [`send`](Run::send) does, and tells about it.
    pub(super) async fn observed(
        &self,
        observers: &Observers,
        artifact: Box<MongoArtifact>,
    ) -> Result<(Reply, Option<u64>)> {
        let session = self.exec.transaction.as_deref();
        let told = match &artifact.command {
            // By their number alone: documents would cost more to keep than to tell.
            Command::Insert { .. } => Told::Shape(shape(&artifact)),
            _ => Told::Command(artifact.clone()),
        };
        let watched = Watched { span: self.span(&artifact), name: artifact.command.name(), told };
        let collection = artifact.collection.clone();
        let running = self.driver.run(self.database(), artifact, session);
        self.watched(observers, (&collection, watched), running, |(reply, _)| Some(rows(reply))).await
    }

    /// Opens a stream, and tells about it.
    pub(super) async fn opening<T>(
        &self,
        artifact: &MongoArtifact,
        opening: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(observers) = &self.exec.observers else { return opening.await };
        let told = Told::Command(artifact.clone().into());
        let watched = Watched { span: self.span(artifact), name: artifact.command.name(), told };
        self.watched(observers, (&artifact.collection, watched), opening, |_| None).await
    }

    async fn watched<T>(
        &self,
        observers: &Observers,
        (collection, Watched { span, name, told }): (&str, Watched),
        running: impl Future<Output = Result<T>>,
        rows: impl Fn(&T) -> Option<u64>,
    ) -> Result<T> {
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
            observers.report(&CommandEvent::new(
                (self.database(), collection),
                (name, &told.shape()),
                duration,
                outcome,
                self.exec.transaction.is_some(),
            ));
        }
        answer
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

/// A command that somebody looks at.
struct Watched {
    span: Span,
    name: &'static str,
    told: Told,
}

/// What is told of a command once it is over.
enum Told {
    Shape(String),
    /// Its shape, once somebody wants it.
    Command(Box<MongoArtifact>),
}

impl Told {
    fn shape(self) -> String {
        match self {
            Told::Shape(shape) => shape,
            Told::Command(artifact) => shape(&artifact),
        }
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
