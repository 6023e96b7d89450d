//! Typed change streams: what changes in a collection, as it commits.

mod durable;
mod event;
mod lease;
mod source;

use std::collections::VecDeque;
use std::future::{IntoFuture, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};

pub use crate::adapter::{ResumeToken, is_history_lost};
pub use durable::Durable;
pub use event::{Change, Changed, Event, Updated};

use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::fields::Filter;
use crate::ir;
use crate::traits::Model;
use crate::types::DateTime;
use source::{Batch, Source};

/// Changes of documents of `M`, as they commit; awaiting it opens the stream.
///
/// ```ignore
/// let mut changes = db.watch::<Flight>().filter(|f| f.delay.gt(60)).await?;
/// while let Some(change) = changes.next().await {
///     let change = change?;
///     if let Event::Update(update) = &change.event && update.changed.has(|f| f.delay) {
///         println!("{:?}", update.changed.get(|f| f.delay)?);
///     }
/// }
/// ```
#[must_use = "nothing is watched until this is awaited"]
pub struct Watch<M> {
    handle: Handle,
    filter: ir::Filter,
    error: Option<Error>,
    resume: Option<ResumeToken>,
    start_at: Option<DateTime>,
    lenient: bool,
    _model: PhantomData<fn() -> M>,
}

impl<A> Db<A> {
    /// The changes of documents of `M`, from now on: inserts, updates, replacements and deletes of whoever writes, each
    /// once and in the order they committed. A soft delete is an update.
    ///
    /// # Errors
    /// Awaiting it: [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported) where the deployment has no change streams,
    /// saying how to get them, or where one tenant's deletes cannot be told from another's.
    pub fn watch<M: Model>(&self) -> Watch<M> {
        Watch {
            handle: self.handle.clone(),
            filter: ir::Filter::All,
            error: None,
            resume: None,
            start_at: None,
            lenient: false,
            _model: PhantomData,
        }
    }
}

impl<M: Model> Watch<M> {
    /// Only changes of documents that match before or after the change; several filters all have to.
    ///
    /// A document that comes to match, or no longer does, is thereby told of: [`Change::matched_before`] and
    /// [`Change::matches_now`] say which. Where the state before is not known, the change is told of unless what it
    /// touched cannot have made a difference. Conditions on relations are refused.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        match filter(M::FIELDS).into_ir() {
            Ok(filter) => self.filter.narrow(filter),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// Begins after the change that this is the token of.
    ///
    /// Where the database no longer remembers that far back, the stream ends with an error for which
    /// [`is_history_lost`] holds: what is derived from the changes must be made afresh.
    pub fn resume_after(mut self, token: ResumeToken) -> Self {
        self.resume = Some(token);
        self
    }

    /// Begins with the first change at this moment or later, by the database's clock; servers count whole seconds.
    pub fn start_at(mut self, start: DateTime) -> Self {
        self.start_at = Some(start);
        self
    }

    /// Passes over documents that are no `M`, with a warning in the log, in place of telling of them as errors.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Hands every change to a handler at least once, through restarts and failures: the place is kept in the database
    /// under `name` after the handler succeeded. See [`Durable::run`].
    pub fn durable(self, name: impl Into<String>) -> Durable<M> {
        Durable::new(self, name.into())
    }

    async fn open(self) -> Result<ChangeStream<M>> {
        let source = Source::open(&self, false).await?;
        let batches = stream::unfold(source, |mut source| async move {
            let batch = source.next().await?;
            Some((batch, source))
        });
        Ok(ChangeStream { batches: batches.boxed(), ready: VecDeque::new(), pending: None, token: None })
    }
}

impl<M: Model> IntoFuture for Watch<M> {
    type Output = Result<ChangeStream<M>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// An open [`Watch`]: a stream of [`Change`]s.
///
/// A document that is no `M` is an error that names it and its field; the stream goes on after it. After any other
/// error it ends.
pub struct ChangeStream<M: Model> {
    batches: BoxStream<'static, Result<Batch<M>>>,
    ready: VecDeque<Result<Change<M>>>,
    /// The place after `ready`.
    pending: Option<ResumeToken>,
    token: Option<ResumeToken>,
}

impl<M: Model> ChangeStream<M> {
    /// The next change, when it comes; none after the stream has ended with an error, or the database is closed.
    pub async fn next(&mut self) -> Option<Result<Change<M>>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The place after everything that was taken from the stream, as far as whole commits were. It serializes.
    pub fn token(&self) -> Option<&ResumeToken> {
        self.token.as_ref()
    }
}

// Nothing in it is pinned.
impl<M: Model> Unpin for ChangeStream<M> {}

impl<M: Model> Stream for ChangeStream<M> {
    type Item = Result<Change<M>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.token = self.pending.take();
                }
                return Poll::Ready(Some(change));
            }
            match ready!(self.batches.poll_next_unpin(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(batch)) if batch.changes.is_empty() => self.token = Some(batch.token),
                Some(Ok(batch)) => {
                    self.ready = batch.changes.into();
                    self.pending = Some(batch.token);
                }
            }
        }
    }
}
