//! Transactions: options, retries, nesting, and what waits for the commit.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::adapter::{Adapter, Transaction};
use crate::db::{CanWrite, Db};
use crate::error::{Error, Result, Retry};
pub use crate::ir::ReadConcern;
use crate::types::DateTime;

/// How often a transaction is tried before its conflict is reported, unless its options say otherwise.
pub const MAX_ATTEMPTS: u32 = 10;

/// How long a transaction may take with all of its attempts, unless its options say otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// What is asked of a transaction.
///
/// ```
/// use std::time::Duration;
/// use forge_core::transaction::{ReadConcern, TransactionOptions, WriteConcern};
///
/// let options = TransactionOptions::new()
///     .deadline(Duration::from_secs(5))
///     .read_concern(ReadConcern::Majority)
///     .write_concern(WriteConcern::majority().journal(true))
///     .max_attempts(3);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TransactionOptions {
    /// How long the transaction may take in all, the repetitions and the waits between them included.
    pub deadline: Duration,
    /// What its reads see: `Local`, `Majority` or `Snapshot`. The embedded engine always gives a snapshot.
    pub read_concern: ReadConcern,
    /// What its commit waits for. The embedded engine has one copy, which is on disk when a commit is answered.
    pub write_concern: WriteConcern,
    /// How often it is tried in all, at least once.
    pub max_attempts: u32,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self {
            deadline: DEFAULT_DEADLINE,
            read_concern: ReadConcern::Snapshot,
            write_concern: WriteConcern::majority(),
            max_attempts: MAX_ATTEMPTS,
        }
    }
}

impl TransactionOptions {
    /// A minute and ten attempts; snapshot reads, majority writes.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the transaction may take in all.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What its reads see: `Local`, `Majority` or `Snapshot`; others are refused when it begins.
    pub fn read_concern(mut self, concern: ReadConcern) -> Self {
        self.read_concern = concern;
        self
    }

    /// What its commit waits for.
    pub fn write_concern(mut self, concern: WriteConcern) -> Self {
        self.write_concern = concern;
        self
    }

    /// How often it is tried in all; 0 counts as 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }
}

/// What a commit waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WriteConcern {
    /// Which nodes must have it.
    pub nodes: Nodes,
    /// Whether they must have it on disk; none leaves that to the server.
    pub journal: Option<bool>,
    /// How long the nodes may take.
    pub timeout: Option<Duration>,
}

/// Which nodes must have a write before it counts as done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nodes {
    /// Most of those that vote.
    Majority,
    /// This many, at least one: a transaction that nobody acknowledges is none.
    Count(u32),
    /// Those that the replica set's configuration gives this name.
    Tagged(String),
}

impl WriteConcern {
    /// Most of the nodes.
    pub fn majority() -> Self {
        Self { nodes: Nodes::Majority, journal: None, timeout: None }
    }

    /// This many nodes; 0 counts as 1.
    pub fn nodes(count: u32) -> Self {
        Self { nodes: Nodes::Count(count.max(1)), ..Self::majority() }
    }

    /// The nodes that the replica set's configuration gives this name.
    pub fn tagged(name: impl Into<String>) -> Self {
        Self { nodes: Nodes::Tagged(name.into()), ..Self::majority() }
    }

    /// Whether the nodes must have it on disk.
    pub fn journal(mut self, journal: bool) -> Self {
        self.journal = Some(journal);
        self
    }

    /// How long the nodes may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

type Effect = Box<dyn FnOnce() -> BoxFuture<'static, Result<()>> + Send>;

/// A unit of work: what waits for its end, and whether it may still end well.
#[derive(Default)]
pub struct Unit {
    effects: Mutex<Vec<Effect>>,
    /// Why a part of it failed.
    doomed: Mutex<Option<(String, Retry)>>,
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unit").field("doomed", &self.doomed).finish_non_exhaustive()
    }
}

impl Unit {
    fn push<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        effect: impl FnOnce() -> F + Send + 'static,
    ) {
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        effects.push(Box::new(move || Box::pin(effect())));
    }

    /// Keeps the unit from ending well, whatever becomes of `error`.
    pub fn doom(&self, error: &Error) {
        let mut doomed = self.doomed.lock().unwrap_or_else(PoisonError::into_inner);
        doomed.get_or_insert_with(|| (error.public_message().to_owned(), error.retry()));
    }

    fn verdict(&self) -> Result<()> {
        match &*self.doomed.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some((why, retry)) => Err(Error::conflict(format!(
                "a transaction inside this one failed ({why}), and both share one fate: answer its error, or run it \
                 before or after this one"
            ))
            .with_retry(*retry)),
        }
    }

    /// Runs the effects in the order they were given. What they answer can no longer undo anything.
    pub(crate) async fn settle(&self) {
        let effects = std::mem::take(&mut *self.effects.lock().unwrap_or_else(PoisonError::into_inner));
        for effect in effects {
            if let Err(error) = effect().await {
                tracing::error!(%error, "what was to happen after the commit failed; the commit stands");
            }
        }
    }
}

/// A transaction whose work is being polled.
struct Scope {
    adapter: Arc<dyn Adapter>,
    transaction: Arc<dyn Transaction>,
    unit: Arc<Unit>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Scope>>> = const { RefCell::new(None) };
}

/// Puts the scope that was there before back, also where the work panics.
struct Entered(Option<Arc<Scope>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.0.take()));
    }
}

/// Runs `work` so that everything it awaits finds the transaction around it.
async fn within<T>(scope: Arc<Scope>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let _entered = Entered(CURRENT.with(|current| current.replace(Some(scope.clone()))));
        work.as_mut().poll(cx)
    })
    .await
}

/// The transaction around the code that is being run: it cannot end before that code does. Engines with one writer
/// refuse what would wait for it forever.
pub fn current() -> Option<Arc<dyn Transaction>> {
    CURRENT.with(|current| current.borrow().as_ref().map(|scope| scope.transaction.clone()))
}

impl<A> Db<A> {
    /// Whether this handle is inside a transaction.
    pub fn in_transaction(&self) -> bool {
        self.handle.exec.transaction.is_some()
    }

    /// Runs `effect` once, after the transaction of this handle has committed: mails, webhooks, messages.
    ///
    /// It does not run where the transaction is undone, nor for an attempt that lost and was tried again. Effects run in
    /// the order they were given, before [`transaction`](Db::transaction) answers; one that fails is logged and undoes
    /// nothing. A process that ends between the commit and the effect loses it: where that matters, use a
    /// [durable watch](crate::watch::Watch::durable).
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) outside of a transaction.
    pub fn after_commit<F>(&self, effect: impl FnOnce() -> F + Send + 'static) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        match &self.handle.exec.unit {
            Some(unit) => {
                unit.push(effect);
                Ok(())
            }
            None => Err(Error::bad_request(
                "after_commit needs a transaction to wait for: call it on the handle that db.transaction gives",
            )),
        }
    }

    /// Runs `work` in a transaction: all of its writes become visible at once, or none does.
    ///
    /// `work` may run several times: it is tried again after a write conflict, up to [`MAX_ATTEMPTS`] times within
    /// [`DEFAULT_DEADLINE`]; a commit whose answer was lost is only asked for again. Inside a transaction of the same
    /// connection it joins that one, whichever handle it is called on. There are no savepoints: what is joined shares the
    /// fate of the whole, so that an error inside undoes everything, even where the outer work goes on without it.
    ///
    /// # Errors
    /// What `work` answers, after the writes were undone; [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported) where
    /// the deployment has no transactions; [`ErrorCode::Timeout`](crate::ErrorCode::Timeout) past the deadline.
    // `AsyncFn` cannot say that its futures are `Send`, which those of handlers must be; `async |tx| …` closures that
    // borrow what they capture are `Fn` as well.
    pub async fn transaction<T, F>(&self, work: impl Fn(Db) -> F) -> Result<T>
    where
        A: CanWrite,
        F: Future<Output = Result<T>>,
    {
        self.transaction_with(TransactionOptions::default(), work).await
    }

    /// As [`transaction`](Db::transaction), with options. Where it joins another, the outer one's options hold.
    ///
    /// # Errors
    /// As [`transaction`](Db::transaction).
    pub async fn transaction_with<T, F>(
        &self,
        options: TransactionOptions,
        work: impl Fn(Db) -> F,
    ) -> Result<T>
    where
        A: CanWrite,
        F: Future<Output = Result<T>>,
    {
        if let Some(joined) = self.joined() {
            let unit = joined.handle.exec.unit.clone();
            let outcome = work(joined).await;
            if let (Err(error), Some(unit)) = (&outcome, unit) {
                unit.doom(error);
            }
            return outcome;
        }
        if matches!(options.read_concern, ReadConcern::Available | ReadConcern::Linearizable) {
            let concern = options.read_concern.as_str();
            return Err(Error::bad_request(format!(
                "a transaction cannot read with the concern {concern}: use local, majority or snapshot"
            )));
        }
        self.handle.ready_for_writes().await?;
        let span = tracing::debug_span!(
            target: crate::observe::TARGET,
            "transaction",
            db.system.name = self.adapter().name(),
            db.namespace = self.name(),
            attempts = tracing::field::Empty,
            "error.type" = tracing::field::Empty,
        );
        let outcome = self.attempts(&options, &work).instrument(span.clone()).await;
        if let Err(error) = &outcome {
            span.record("error.type", error.code().as_str());
        }
        outcome
    }

    /// This handle inside the transaction that it would join.
    fn joined(&self) -> Option<Db> {
        let mut db = Db::of(self.handle.clone());
        if !self.in_transaction() {
            let scope = CURRENT.with(|current| current.borrow().clone())?;
            if !Arc::ptr_eq(&scope.adapter, self.adapter()) {
                return None;
            }
            db.handle.exec.transaction = Some(scope.transaction.clone());
            db.handle.exec.unit = Some(scope.unit.clone());
        }
        Some(db)
    }

    async fn attempts<T, F: Future<Output = Result<T>>>(
        &self,
        options: &TransactionOptions,
        work: &impl Fn(Db) -> F,
    ) -> Result<T> {
        let deadline = Deadline::new(self.env().now(), options.deadline);
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(options, &deadline, work).await;
            tracing::Span::current().record("attempts", attempt);
            let again = outcome.as_ref().is_err_and(|error| error.retry() == Retry::Transaction);
            if !again || attempt >= options.max_attempts || deadline.is_over(self.env().now()) {
                return outcome;
            }
            tracing::debug!(attempt, "a transaction lost against another and is run again");
            self.adapter().backoff(attempt).await;
            attempt += 1;
        }
    }

    async fn attempt<T, F: Future<Output = Result<T>>>(
        &self,
        options: &TransactionOptions,
        deadline: &Deadline,
        work: &impl Fn(Db) -> F,
    ) -> Result<T> {
        let transaction = self.adapter().begin_with(&self.handle.exec, options).await?;
        let unit = Arc::new(Unit::default());
        let mut handle = self.handle.clone();
        handle.exec.transaction = Some(transaction.clone());
        handle.exec.unit = Some(unit.clone());
        let scope =
            Scope { adapter: self.adapter().clone(), transaction: transaction.clone(), unit: unit.clone() };
        let left = deadline.left(self.env().now());
        let working = within(Arc::new(scope), work(Db::of(handle)));
        let outcome = match self.adapter().timer(left) {
            None => working.await,
            Some(timer) => match select(pin!(working), timer).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(((), _)) => Err(too_late(options.deadline)),
            },
        };
        let outcome = outcome.and_then(|value| unit.verdict().map(|()| value));
        let value = self.finish(&*transaction, outcome).await?;
        unit.settle().await;
        Ok(value)
    }

    async fn finish<T>(&self, transaction: &dyn Transaction, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => {
                let version = transaction.commit().await?;
                if let (Some(version), Some(written)) = (version, &self.handle.exec.written) {
                    written.record(self.handle.database(), version);
                }
                Ok(value)
            }
            Err(error) => {
                if let Err(failure) = transaction.abort().await {
                    tracing::warn!(%failure, "a transaction could not be aborted; the server will time it out");
                }
                Err(error)
            }
        }
    }

    /// The same database, for a mutation without a transaction: effects wait for its end.
    pub(crate) fn in_unit(&self, unit: Arc<Unit>) -> Self {
        let mut db = self.clone();
        db.handle.exec.unit = Some(unit);
        db
    }

    /// Whether effects have something to wait for.
    pub(crate) fn has_unit(&self) -> bool {
        self.handle.exec.unit.is_some()
    }
}

/// When a transaction has to be over.
struct Deadline(DateTime);

impl Deadline {
    fn new(now: DateTime, after: Duration) -> Self {
        let millis = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        Self(DateTime::from_millis(now.millis().saturating_add(millis)))
    }

    fn is_over(&self, now: DateTime) -> bool {
        now >= self.0
    }

    fn left(&self, now: DateTime) -> Duration {
        let millis = self.0.millis().saturating_sub(now.millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

fn too_late(deadline: Duration) -> Error {
    Error::timeout(format!(
        "the transaction was not done within {} s and is undone; make it smaller, or give it a longer deadline",
        deadline.as_secs_f32()
    ))
}
