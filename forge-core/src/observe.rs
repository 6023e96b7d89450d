//! What the database was asked, for logs, traces and metrics: shapes and times, never values.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tracing::{Level, Span};

use crate::adapter::Exec;
use crate::db::{Db, Handle};
use crate::env::Env;
use crate::error::{ErrorCode, Result};
use crate::ir::{Operation, Outcome};

/// The `tracing` target of spans: turned on by `RUST_LOG=forge::db=debug`.
pub const TARGET: &str = "forge::db";
/// The `tracing` target of the log of slow commands.
pub const SLOW_TARGET: &str = "forge::slow";

/// No threshold.
const NEVER: u64 = u64::MAX;

/// One command that a database has answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CommandEvent<'a> {
    /// The database.
    pub database: &'a str,
    /// The collection.
    pub collection: &'a str,
    /// The name of the command, as the server knows it: `"find"`.
    pub command: &'static str,
    /// What was asked, with `?` in place of every value: `{ delay: { $gt: ? } } sort { date: -1 }`.
    pub shape: &'a str,
    /// From sending it to the end of its answer.
    pub duration: Duration,
    /// How many documents came back, or were changed; none where it failed, or where they are still to be read from a
    /// stream.
    pub rows: Option<u64>,
    /// Why it failed, where it did.
    pub error: Option<ErrorCode>,
    /// Whether it was part of a transaction.
    pub in_transaction: bool,
}

impl<'a> CommandEvent<'a> {
    /// A command and how it ended.
    pub fn new(
        (database, collection): (&'a str, &'a str),
        (command, shape): (&'static str, &'a str),
        duration: Duration,
        outcome: Result<Option<u64>, ErrorCode>,
        in_transaction: bool,
    ) -> Self {
        let (rows, error) = (outcome.ok().flatten(), outcome.err());
        Self { database, collection, command, shape, duration, rows, error, in_transaction }
    }
}

type Hook = Arc<dyn Fn(&CommandEvent<'_>) + Send + Sync>;

/// Who is told about commands.
pub struct Observers {
    env: Env,
    hooks: RwLock<Vec<Hook>>,
    /// In microseconds.
    slow: AtomicU64,
    active: AtomicBool,
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("slow_after", &self.slow_after()).finish_non_exhaustive()
    }
}

impl Observers {
    pub(crate) fn new(env: Env) -> Self {
        Self { env, hooks: RwLock::default(), slow: AtomicU64::new(NEVER), active: AtomicBool::new(false) }
    }

    /// Whether anybody is told anything.
    fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    fn add(&self, hook: Hook) {
        self.hooks.write().unwrap_or_else(PoisonError::into_inner).push(hook);
        self.active.store(true, Ordering::Release);
    }

    fn log_slower_than(&self, threshold: Option<Duration>) {
        let micros = threshold.map_or(NEVER, |t| u64::try_from(t.as_micros()).unwrap_or(NEVER));
        self.slow.store(micros, Ordering::Release);
        let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner);
        self.active.store(threshold.is_some() || !hooks.is_empty(), Ordering::Release);
    }

    fn slow_after(&self) -> Option<Duration> {
        let micros = self.slow.load(Ordering::Acquire);
        (micros != NEVER).then(|| Duration::from_micros(micros))
    }

    /// A clock that only goes forward.
    pub fn clock(&self) -> Duration {
        self.env.monotonic()
    }

    /// Whether anybody wants to hear of a command that took this long: only then its shape is needed.
    pub fn wants(&self, duration: Duration) -> bool {
        self.slow_after().is_some_and(|slow| duration >= slow)
            || !self.hooks.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Tells everybody.
    pub fn report(&self, event: &CommandEvent<'_>) {
        if self.slow_after().is_some_and(|slow| event.duration >= slow) {
            tracing::event!(
                target: SLOW_TARGET,
                Level::WARN,
                db.namespace = event.database,
                db.collection.name = event.collection,
                db.operation.name = event.command,
                db.query.text = event.shape,
                db.response.returned_rows = event.rows,
                "error.type" = event.error.map(ErrorCode::as_str),
                duration_ms = u64::try_from(event.duration.as_millis()).unwrap_or(u64::MAX),
                "slow command"
            );
        }
        let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner).clone();
        for hook in hooks {
            hook(event);
        }
    }
}

impl<A> Db<A> {
    /// Calls `hook` after every command that this connection sends from now on, whichever handle sends it.
    ///
    /// One operation can take several commands: relations, cascades, batches. The hook runs where the command ran: it
    /// should only count or pass on.
    ///
    /// ```ignore
    /// db.on_command(|command| metrics::record(command.collection, command.command, command.duration));
    /// ```
    pub fn on_command(&self, hook: impl Fn(&CommandEvent<'_>) + Send + Sync + 'static) {
        self.handle.shared.observers.add(Arc::new(hook));
    }

    /// Logs commands that take this long or longer at the level `warn` under the target `forge::slow`, with their shape
    /// and without their values; none turns it off.
    pub fn log_slower_than(&self, threshold: Option<Duration>) {
        self.handle.shared.observers.log_slower_than(threshold);
    }
}

impl Handle {
    /// Whether operations have to be run by [`observed`](Handle::observed). One load each, where nobody looks.
    pub(crate) fn is_observed(&self) -> bool {
        self.shared.observers.is_active() || tracing::enabled!(target: TARGET, Level::DEBUG)
    }

    /// The surroundings of an operation, with those who look on.
    pub(crate) fn observed_exec(&self) -> Exec {
        Exec { observers: Some(self.shared.observers.clone()), ..self.exec.clone() }
    }

    /// Runs a planned operation where somebody looks on.
    pub(crate) async fn observed(&self, operation: Operation) -> Result<Outcome> {
        use tracing::Instrument;
        let span = operation_span(self, &operation);
        let exec = self.observed_exec();
        let outcome = self.shared.adapter.execute(&exec, operation).instrument(span.clone()).await;
        match &outcome {
            Ok(outcome) => span.record("db.response.returned_rows", rows(outcome)),
            Err(error) => span.record("error.type", error.code().as_str()),
        };
        outcome
    }
}

/// A span with the names of OpenTelemetry's conventions for database clients.
fn operation_span(handle: &Handle, operation: &Operation) -> Span {
    let (name, collection) = (operation.name(), operation.model().collection);
    if !tracing::enabled!(target: TARGET, Level::DEBUG) {
        return Span::none();
    }
    tracing::debug_span!(
        target: TARGET,
        "operation",
        otel.name = format!("{name} {collection}"),
        db.system.name = handle.shared.adapter.name(),
        db.namespace = handle.database(),
        db.collection.name = collection,
        db.operation.name = name,
        db.response.returned_rows = tracing::field::Empty,
        "error.type" = tracing::field::Empty,
    )
}

fn rows(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Rows(rows) => rows.documents.len() as u64,
        Outcome::Count(_) => 1,
        Outcome::Values(values) => values.len() as u64,
        Outcome::Written { document: Some(_), .. } => 1,
        _ => 0,
    }
}
