//! Results one by one, of batches that come as they are asked for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};

use super::decode::{Dirt, Dirty};
use super::reading::Decoder;
use crate::error::Result;
use crate::ir::Rows;

/// The results of a read, one by one: a [`Stream`] of `Result<T>`.
///
/// No more than a batch of documents, with what they include, is in memory at a time. Dropping it closes the cursor.
#[must_use = "a stream runs when it is polled"]
pub struct Results<T> {
    batches: BoxStream<'static, Result<Rows>>,
    decode: Decoder<T>,
    /// The batch under way, and the place of the next result in it.
    rows: Rows,
    next: usize,
    ended: bool,
}

impl<T> Results<T> {
    pub(super) fn new(batches: BoxStream<'static, Result<Rows>>, decode: Decoder<T>) -> Self {
        Self { batches, decode, rows: Rows::default(), next: 0, ended: false }
    }

    /// The next result; none at the end. Nothing comes after an error.
    pub async fn next(&mut self) -> Option<Result<T>> {
        StreamExt::next(self).await
    }

    /// The same without the documents that are not what their models say: they are set aside, those of relations too, and
    /// [`dirty`](LenientResults::dirty) tells of them.
    ///
    /// ```ignore
    /// let mut flights = db.find::<Flight>().stream().lenient();
    /// while let Some(flight) = flights.next().await {
    ///     println!("{}", flight?.delay);
    /// }
    /// for dirty in flights.dirty() {
    ///     println!("{} {}: {} is {}, not {}", dirty.collection, dirty.id, dirty.path, dirty.found, dirty.expected);
    /// }
    /// ```
    pub fn lenient(self) -> LenientResults<T> {
        LenientResults { results: self, dirt: Dirt::default() }
    }

    fn poll_result(&mut self, cx: &mut Context<'_>, dirt: Option<&Dirt>) -> Poll<Option<Result<T>>> {
        while !self.ended {
            while self.next < self.rows.documents.len() {
                let position = self.next;
                self.next += 1;
                match (self.decode)(&self.rows, position, dirt) {
                    Ok(None) => {}
                    Ok(Some(result)) => return Poll::Ready(Some(Ok(result))),
                    Err(error) => return self.end(Some(Err(error))),
                }
            }
            match ready!(self.batches.poll_next_unpin(cx)) {
                Some(Ok(rows)) => (self.rows, self.next) = (rows, 0),
                Some(Err(error)) => return self.end(Some(Err(error))),
                None => return self.end(None),
            }
        }
        Poll::Ready(None)
    }

    /// Lets go of the cursor and of the batch.
    fn end(&mut self, last: Option<Result<T>>) -> Poll<Option<Result<T>>> {
        (self.batches, self.rows, self.ended) = (stream::empty().boxed(), Rows::default(), true);
        Poll::Ready(last)
    }
}

impl<T> fmt::Debug for Results<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Results")
    }
}

impl<T> Stream for Results<T> {
    type Item = Result<T>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.poll_result(cx, None)
    }
}

/// The results of a lenient read, one by one: a [`Stream`] of `Result<T>` that passes over dirty documents.
#[must_use = "a stream runs when it is polled"]
pub struct LenientResults<T> {
    results: Results<T>,
    dirt: Dirt,
}

impl<T> LenientResults<T> {
    /// The next result; none at the end. Nothing comes after an error.
    pub async fn next(&mut self) -> Option<Result<T>> {
        StreamExt::next(self).await
    }

    /// The documents that were set aside since this was asked the last time; each is told once.
    pub fn dirty(&mut self) -> Vec<Dirty> {
        self.dirt.take()
    }
}

impl<T> fmt::Debug for LenientResults<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LenientResults")
    }
}

impl<T> Stream for LenientResults<T> {
    type Item = Result<T>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Self { results, dirt } = &mut *self;
        results.poll_result(cx, Some(dirt))
    }
}
