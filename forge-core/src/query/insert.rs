use std::future::IntoFuture;

use bson::RawDocumentBuf;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::nested::{IntoLinks, Links};
use super::{decode, wrong_outcome};
use crate::db::{Db, Handle};
use crate::error::Result;
use crate::ir::{self, Operation, Outcome, Skipped};
use crate::model::ModelRef;
use crate::traits::{Model, NewRecord, encode_new, encode_read};

/// The most documents that an insert of many holds at a time.
const MAX_DOCUMENTS: usize = 100_000;
/// The most bytes that an insert of many holds at a time, but for one document.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A new document; awaiting it gives the document as stored.
///
/// # Errors
/// [`ErrorCode::Validation`](crate::ErrorCode::Validation) by the model's rules;
/// [`ErrorCode::UniqueViolation`](crate::ErrorCode::UniqueViolation).
#[must_use = "an insert runs when it is awaited"]
pub struct Insert<N, M> {
    handle: Handle,
    new: N,
    links: Links,
    /// What awaiting it does. It is known here, so that an insert of something else is one error of the compiler, not one
    /// more for each step on the way.
    run: fn(Self) -> BoxFuture<'static, Result<M>>,
}

impl<N, M: Model> Insert<N, M> {
    /// Creates or connects related documents along with this one, all in one transaction. Keys are filled in: what a new
    /// document says about the key of the relation does not count.
    ///
    /// ```ignore
    /// db.insert(new_author).with(|a| (a.books.create([first, second]), a.country.connect("PT"))).await?;
    /// ```
    pub fn with<L: IntoLinks<M>>(mut self, links: impl FnOnce(&'static M::Fields) -> L) -> Self {
        self.links.add::<M>(links(M::FIELDS), self.handle.env());
        self
    }
}

impl<M: Model, N: NewRecord<Model = M>> Insert<N, M> {
    pub(crate) fn new(handle: Handle, new: N) -> Self {
        Self { handle, new, links: Links::default(), run: Self::run }
    }

    fn encoded(self) -> Result<(Handle, M, ir::Insert)> {
        let (mut document, stored) = encode_read(self.new, self.handle.env())?;
        self.handle.claim::<M>(&mut document)?;
        let stored = match stored {
            Some(stored) => stored,
            None => decode(&document)?,
        };
        Ok((self.handle, stored, inserting::<M>(vec![document], false)))
    }

    async fn linked(self) -> Result<M> {
        let mut document = crate::traits::encode_unchecked(self.new, self.handle.env())?;
        self.handle.claim::<M>(&mut document)?;
        let (db, links) = (Db::of(self.handle), self.links);
        decode(&db.transaction(async |tx: Db| links.insert::<M>(&tx, document.clone()).await).await?)
    }

    fn run(self) -> BoxFuture<'static, Result<M>> {
        if !self.links.is_empty() {
            return self.linked().boxed();
        }
        // Encoded before there is a future, which is then small: what waits is what was written and what it became.
        match self.encoded() {
            Ok((handle, stored, insert)) => Box::pin(async move {
                sent(handle.execute(Operation::Insert(insert)).await?)?;
                Ok(stored)
            }),
            Err(error) => ready(Err(error)).boxed(),
        }
    }
}

impl<N, M> IntoFuture for Insert<N, M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        (self.run)(self)
    }
}

/// New documents, in order; awaiting it gives how many there are.
///
/// Up to 16 MB and 100,000 documents nothing is sent where one of them breaks a rule of its model. More are sent in parts
/// as the iterator gives them, so that they need not fit into memory; what went in before a failure stays, unless this is
/// part of a transaction. The same holds where the database refuses a document.
///
/// # Errors
/// As [`Insert`].
#[must_use = "an insert runs when it is awaited"]
pub struct InsertMany<'a, N> {
    handle: Handle,
    new: Box<dyn Iterator<Item = N> + Send + 'a>,
}

impl<'a, N: NewRecord> InsertMany<'a, N> {
    pub(crate) fn new(handle: Handle, new: impl Iterator<Item = N> + Send + 'a) -> Self {
        Self { handle, new: Box::new(new) }
    }

    /// Leaves out documents that hit a unique index, and answers with which those were.
    pub fn skip_duplicates(self) -> InsertManySkipping<'a, N> {
        InsertManySkipping { many: self }
    }

    async fn run(mut self, skip: bool) -> Result<Inserted> {
        let mut done = Inserted::default();
        let mut position = 0;
        loop {
            let (documents, more) = self.part()?;
            let length = documents.len();
            if length > 0 {
                let insert = inserting::<N::Model>(documents, skip);
                let skipped =
                    self.handle.execute(Operation::Insert(insert)).await.and_then(sent).map_err(|error| {
                        if position == 0 {
                            error
                        } else {
                            error.context(format!("after {position} documents"))
                        }
                    })?;
                done.count += (length - skipped.len()) as u64;
                let moved = |skipped: Skipped| Skipped { position: position + skipped.position, ..skipped };
                done.skipped.extend(skipped.into_iter().map(moved));
                position += length;
            }
            if !more {
                return Ok(done);
            }
        }
    }

    /// The next documents that fit into memory together, and whether there may be more.
    fn part(&mut self) -> Result<(Vec<RawDocumentBuf>, bool)> {
        let (mut documents, mut bytes) = (Vec::new(), 0);
        for new in self.new.by_ref() {
            let mut document = encode_new(new, self.handle.env())?;
            self.handle.claim::<N::Model>(&mut document)?;
            bytes += document.as_bytes().len();
            documents.push(document);
            if documents.len() == MAX_DOCUMENTS || bytes >= MAX_BYTES {
                return Ok((documents, true));
            }
        }
        Ok((documents, false))
    }
}

impl<'a, N: NewRecord> IntoFuture for InsertMany<'a, N> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'a, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.run(false).await?.count) })
    }
}

/// New documents without those that hit a unique index.
///
/// # Errors
/// As [`InsertMany`], but for unique indexes.
#[must_use = "an insert runs when it is awaited"]
pub struct InsertManySkipping<'a, N> {
    many: InsertMany<'a, N>,
}

impl<'a, N: NewRecord> IntoFuture for InsertManySkipping<'a, N> {
    type Output = Result<Inserted>;
    type IntoFuture = BoxFuture<'a, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.many.run(true))
    }
}

/// What an insert of many documents did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Inserted {
    /// How many documents went in.
    pub count: u64,
    /// Those that did not, in order: their positions, and the unique index that each hit.
    pub skipped: Vec<Skipped>,
}

fn inserting<M: Model>(documents: Vec<RawDocumentBuf>, skip_duplicates: bool) -> ir::Insert {
    ir::Insert { model: ModelRef(M::def()), documents, skip_duplicates }
}

fn sent(outcome: Outcome) -> Result<Vec<Skipped>> {
    match outcome {
        Outcome::Inserted { skipped } => Ok(skipped),
        _ => Err(wrong_outcome("insert")),
    }
}
