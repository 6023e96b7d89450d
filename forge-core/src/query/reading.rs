//! What awaiting, streaming and paging have in common: a select, and how its documents become results.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::decode::{Dirt, Dirty};
use super::stream::Results;
use super::wrong_outcome;
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::ir::{self, Operation, Outcome, Rows, SortKey};

/// Makes a result of the document at a position; none where it was set aside.
pub(crate) type Decoder<T> = Arc<dyn Fn(&Rows, usize, Option<&Dirt>) -> Result<Option<T>> + Send + Sync>;

/// How many documents a stream asks for at a time.
pub(crate) const BATCH: u32 = 1_000;

/// A read that is ready to run.
pub(crate) struct Reading<T> {
    pub(crate) handle: Handle,
    pub(crate) select: ir::Select,
    pub(crate) error: Option<Error>,
    pub(crate) decode: Decoder<T>,
}

/// What a lenient read found: the documents that are what their models say, and the others.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Lenient<T> {
    /// The results. A dirty document of a relation is left out of it.
    pub items: Vec<T>,
    /// The documents that were set aside, those of relations too, each once.
    pub dirty: Vec<Dirty>,
}

impl<T: Send + 'static> Reading<T> {
    /// The documents.
    pub(crate) async fn rows(handle: &Handle, select: ir::Select) -> Result<Rows> {
        match handle.execute(Operation::Select(select)).await? {
            Outcome::Rows(rows) => Ok(rows),
            _ => Err(wrong_outcome("find")),
        }
    }

    /// All results.
    pub(crate) fn decode(decode: &Decoder<T>, rows: &Rows, dirt: Option<&Dirt>) -> Result<Vec<T>> {
        let mut items = Vec::with_capacity(rows.documents.len());
        for position in 0..rows.documents.len() {
            items.extend(decode(rows, position, dirt)?);
        }
        Ok(items)
    }

    /// Runs it.
    pub(crate) async fn all(self) -> Result<Vec<T>> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let rows = Self::rows(&self.handle, self.select).await?;
        Self::decode(&self.decode, &rows, None)
    }

    /// The first result, where there is one.
    pub(crate) async fn first(mut self) -> Result<Option<T>> {
        self.select.limit = Some(self.select.limit.unwrap_or(1).min(1));
        Ok(self.all().await?.pop())
    }

    /// The last result, where there is one.
    pub(crate) async fn last(mut self) -> Result<Option<T>> {
        if self.select.limit.is_some() || self.select.skip.is_some() {
            // The last of a part is found by reading the part.
            return Ok(self.all().await?.pop());
        }
        self.select.sort = total_order(&self.select.sort);
        reverse(&mut self.select.sort);
        self.first().await
    }

    /// Runs it, and sets aside what cannot be read.
    pub(crate) async fn lenient(self) -> Result<Lenient<T>> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let rows = Self::rows(&self.handle, self.select).await?;
        let dirt = Dirt::default();
        let items = Self::decode(&self.decode, &rows, Some(&dirt))?;
        Ok(Lenient { items, dirty: dirt.take() })
    }

    /// Runs it batch by batch.
    pub(crate) fn stream(self) -> Results<T> {
        let Self { handle, select, error, decode } = self;
        let open = async move {
            match error {
                Some(error) => Err(error),
                None => handle.stream(select, BATCH).await,
            }
        };
        Results::new(stream::once(open).try_flatten().boxed(), decode)
    }
}

/// `sort`, up to the first key that decides everything: with the id as its last, where it has none.
pub(crate) fn total_order(sort: &[SortKey]) -> Vec<SortKey> {
    let mut keys: Vec<SortKey> = Vec::with_capacity(sort.len() + 1);
    for key in sort {
        if !keys.iter().any(|known| known.path == key.path) {
            keys.push(key.clone());
        }
    }
    match keys.iter().position(|key| key.path == "_id") {
        Some(at) => keys.truncate(at + 1),
        None => keys.push(SortKey { path: "_id".into(), descending: false }),
    }
    keys
}

/// The opposite order.
pub(crate) fn reverse(sort: &mut [SortKey]) {
    sort.iter_mut().for_each(|key| key.descending = !key.descending);
}
