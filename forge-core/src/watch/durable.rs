//! Watches that outlive their process: each change is handed over at least once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};

use super::lease::{self, Lease};
use super::source::{Batch, Source};
use super::{Change, Watch};
use crate::adapter::{ResumeToken, is_history_lost};
use crate::error::{Error, ErrorCode, Result};
use crate::traits::Model;

/// How long a process may be silent before another one takes over.
const LEASE: Duration = Duration::from_secs(30);
/// The waits after failures grow from here …
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// … to here.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A [`Watch`] whose place is kept in the database: what [`Watch::durable`] gives.
#[must_use = "nothing is watched until `run` is awaited"]
pub struct Durable<M> {
    watch: Watch<M>,
    name: String,
    lease: Duration,
    max_attempts: Option<u32>,
    start_over: bool,
}

impl<M: Model> Durable<M> {
    pub(super) fn new(watch: Watch<M>, name: String) -> Self {
        Self { watch, name, lease: LEASE, max_attempts: None, start_over: false }
    }

    /// How long the process that runs it may be silent before another one takes over; 30 s unless said otherwise. It
    /// should be long beside the differences of the processes' clocks.
    pub fn lease(mut self, length: Duration) -> Self {
        self.lease = length.max(Duration::from_millis(30));
        self
    }

    /// How often a change is handed over before the handler's error ends [`run`](Durable::run); without it, for ever.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts.max(1));
        self
    }

    /// Where the database no longer remembers the place that was kept, goes on from now, with a warning in the log, in
    /// place of ending with an error. What changed in between is not told of.
    pub fn start_over_when_lost(mut self) -> Self {
        self.start_over = true;
        self
    }

    /// Calls `handler` for each change, one after the other, in order, for ever.
    ///
    /// - The place is kept in the collection `forge_watch` under the watch's name after the handler has succeeded for all
    ///   changes of a commit. A process that ends before that is followed by one that hands the commit over again: the
    ///   handler sees every change *at least* once, and should not mind one that it has seen.
    /// - Of several processes that run the same name, one works and the others stand by until it is silent for the lease.
    /// - Where the handler fails, the change is handed over again after growing waits; later ones wait for it.
    /// - The first run begins now, or where the watch says; later ones where the last one was.
    ///
    /// # Errors
    /// The handler's, after [`max_attempts`](Durable::max_attempts); a document that is no `M`, unless the watch is
    /// [`lenient`](Watch::lenient); lost history ([`is_history_lost`]), unless it starts over;
    /// [`ErrorCode::Unsupported`] where there are no change streams or no timers.
    pub async fn run<F>(self, handler: impl Fn(Arc<Change<M>>) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let handle = self.watch.handle.clone();
        let lease = Lease::new(&handle, &self.name, handle.env().uuid(), self.lease);
        let name = self.name.clone();
        let ended = Running { durable: self, lease: &lease, place: None }.follow(&handler).await;
        lease.release().await;
        ended.map_err(|error| error.context(format!("the durable watch {name:?}")))
    }
}

struct Running<'a, M> {
    durable: Durable<M>,
    lease: &'a Lease,
    /// The newest place up to which everything is done.
    place: Option<ResumeToken>,
}

impl<M: Model> Running<'_, M> {
    async fn follow<F: Future<Output = Result<()>>>(
        &mut self,
        handler: &impl Fn(Arc<Change<M>>) -> F,
    ) -> Result<()> {
        let mut failures = 0;
        loop {
            let stopped = match self.lease.take().await {
                Ok(true) => self.work(handler, &mut failures).await,
                Ok(false) => {
                    self.wait(self.durable.lease / 3).await?;
                    continue;
                }
                Err(error) => Err(error),
            };
            let Err(error) = stopped else { continue };
            if lease::is_lost(&error) {
                tracing::info!(watch = self.durable.name, "another process took over");
            } else if is_history_lost(&error) && self.durable.start_over {
                tracing::warn!(watch = self.durable.name, "the history is gone: starting over from now");
                self.lease.forget_place().await?;
                self.durable.watch.start_at = None;
            } else if matches!(error.code(), ErrorCode::Unavailable | ErrorCode::Timeout) {
                tracing::warn!(watch = self.durable.name, %error, "the feed broke and is opened again");
                failures += 1;
                self.wait(growing(failures)).await?;
            } else {
                return Err(error);
            }
        }
    }

    /// Hands over changes until something fails.
    async fn work<F: Future<Output = Result<()>>>(
        &mut self,
        handler: &impl Fn(Arc<Change<M>>) -> F,
        failures: &mut u32,
    ) -> Result<()> {
        self.place = self.lease.place().await?;
        self.durable.watch.resume.clone_from(&self.place);
        let mut source = Source::open(&self.durable.watch, true).await?;
        loop {
            let Some(batch) = self.keeping(source.next()).await? else {
                return Err(Error::unavailable("the change feed ended"));
            };
            let Batch { token, changes } = batch?;
            *failures = 0;
            let nothing = changes.is_empty();
            for change in changes {
                self.hand_over(handler, Arc::new(change?)).await?;
            }
            // Commits of others are kept with the lease: writing at each would itself be a commit.
            if !nothing || self.place.is_none() {
                self.lease.keep(Some(&token)).await?;
            }
            self.place = Some(token);
        }
    }

    async fn hand_over<F: Future<Output = Result<()>>>(
        &self,
        handler: &impl Fn(Arc<Change<M>>) -> F,
        change: Arc<Change<M>>,
    ) -> Result<()> {
        let mut attempt = 1;
        loop {
            let Err(error) = self.keeping(handler(change.clone())).await? else { return Ok(()) };
            if self.durable.max_attempts.is_some_and(|most| attempt >= most) {
                // It is the handler's own, whatever it is about.
                return Err(Error::new(error.code(), error.message().to_owned()).with_source(error));
            }
            let wait = growing(attempt);
            tracing::warn!(watch = self.durable.name, %error, attempt, ?wait, "a change is handed over again");
            self.keeping(self.wait(wait)).await??;
            attempt += 1;
        }
    }

    /// Runs `work` and keeps the lease meanwhile.
    async fn keeping<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        loop {
            match select(work.as_mut(), self.timer(self.durable.lease / 3)?).await {
                Either::Left((done, _)) => return Ok(done),
                Either::Right(_) => self.lease.keep(self.place.as_ref()).await?,
            }
        }
    }

    async fn wait(&self, wait: Duration) -> Result<()> {
        self.timer(wait)?.await;
        Ok(())
    }

    fn timer(&self, wait: Duration) -> Result<BoxFuture<'static, ()>> {
        let adapter = &self.durable.watch.handle.shared.adapter;
        adapter
            .timer(wait)
            .ok_or_else(|| Error::unsupported("a durable watch needs timers, and there are none here"))
    }
}

fn growing(failures: u32) -> Duration {
    (FIRST_WAIT * 2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST_WAIT)
}
