use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::distinct::Distinct;
use super::omit::{Omit, omit};
use super::options::read_options;
use super::page::{Page, Pages};
use super::reading::{Lenient, Reading};
use super::selection::{As, Asked, Projection, Selection, read_selected};
use super::stream::Results;
use super::{IntoIncludes, decode_all, decode_at, narrow, wrong_outcome};
use crate::adapter::Explanation;
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::{Field, Filter, IntoSort};
use crate::ir::{self, Operation, Outcome};
use crate::model::ModelRef;
use crate::traits::Model;

/// A read of documents of `M`; awaiting it gives a `Vec<M>`.
///
/// ```ignore
/// let late = db.find::<Flight>().filter(|f| f.delay.gt(60)).sort(|f| f.delay.desc()).limit(10).await?;
/// let names = db.find::<Airport>().select(|f| (f.iata, f.name, f.departures.count())).await?;
/// ```
#[must_use = "a query runs when it is awaited"]
pub struct Find<M> {
    pub(super) handle: Handle,
    pub(super) select: ir::Select,
    pub(super) error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

/// A read of parts of documents of `M`, each a `T`; awaiting it gives a `Vec<T>`. The database sends these parts only.
#[must_use = "a query runs when it is awaited"]
pub struct Selected<M, T> {
    reading: Reading<T>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Find<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, select: ir::Select::new(ModelRef(M::def())), error: None, _model: PhantomData }
    }

    /// A read of what is asked for already.
    pub(super) fn of(handle: Handle, select: ir::Select) -> Self {
        Self { handle, select, error: None, _model: PhantomData }
    }

    /// Only documents that match; several filters all have to.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.select.filter, &mut self.error, filter(M::FIELDS));
        self
    }

    /// The order. Further calls add keys that decide ties.
    pub fn sort<S: IntoSort<M>>(mut self, sort: impl FnOnce(&'static M::Fields) -> S) -> Self {
        self.select.sort.extend(sort(M::FIELDS).into_sort());
        self
    }

    /// Reads related documents along: one command for each relation and level, however many parents there are.
    pub fn include<I: IntoIncludes<M>>(mut self, include: impl FnOnce(&'static M::Fields) -> I) -> Self {
        match include(M::FIELDS).into_includes() {
            Ok(includes) => self.select.include.extend(includes),
            Err(error) => self.fail(error),
        }
        self
    }

    /// At most `n` documents; 0 is none.
    pub fn limit(mut self, n: u64) -> Self {
        self.select.limit = Some(n);
        self
    }

    /// Passes over the first `n` documents.
    pub fn skip(mut self, n: u64) -> Self {
        self.select.skip = Some(n);
        self
    }

    /// Soft-deleted documents as well.
    pub fn with_deleted(mut self) -> Self {
        self.select.with_deleted = true;
        self
    }

    /// Reads the documents without these `Option` fields, which are none then; also those of embedded structs. The
    /// database does not send them. An embedded struct that is no `Option` cannot be left out: a `bad_request`.
    pub fn omit<O: Omit<M>>(mut self, fields: impl FnOnce(&'static M::Fields) -> O) -> Self {
        if let Err(error) = omit(M::def(), &mut self.select.projection, fields(M::FIELDS).paths()) {
            self.fail(error);
        }
        self
    }

    /// Reads only some parts of each document: a field, or a tuple of fields, embeds, relations and counts.
    ///
    /// ```ignore
    /// let rows: Vec<(Id<Flight>, i32, String)> =
    ///     db.find::<Flight>().select(|f| (f.id, f.delay, f.plane.maker)).await?;
    /// ```
    ///
    /// A field inside of an embed that may be absent is selected with [`optional`](Field::optional).
    pub fn select<S: Selection<M>>(
        self,
        select: impl FnOnce(&'static M::Fields) -> S,
    ) -> Selected<M, S::Output> {
        self.selected(select(M::FIELDS))
    }

    /// Reads each document as a struct that derives `Projection`. Relations that were included before keep their
    /// conditions, orders and limits.
    pub fn project<P: Projection<Model = M>>(self) -> Selected<M, P> {
        self.selected(As(PhantomData))
    }

    fn selected<S: Selection<M>>(mut self, selection: S) -> Selected<M, S::Output> {
        let mut asked = Asked::default();
        selection.ask(&mut asked);
        if let Err(error) = asked.apply(&mut self.select) {
            self.fail(error);
        }
        let decode = move |rows: &ir::Rows, position: usize, dirt: Option<&super::Dirt>| {
            read_selected::<M, _>(rows, position, dirt, |row| selection.read(row))
        };
        let Self { handle, select, error, .. } = self;
        Selected { reading: Reading { handle, select, error, decode: Arc::new(decode) }, _model: PhantomData }
    }

    /// The first document, where there is one.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn first(mut self) -> Result<Option<M>> {
        self.select.limit = Some(self.select.limit.unwrap_or(1).min(1));
        Ok(self.run().await?.pop())
    }

    /// The first document.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where nothing matches.
    pub async fn one(self) -> Result<M> {
        self.first().await?.ok_or_else(nothing::<M>)
    }

    /// The last document of the order, where there is one; by id, where no order is given.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn last(self) -> Result<Option<M>> {
        self.reading().last().await
    }

    /// A part of the result with cursors that lead to the next and the previous part. They keep their place while
    /// documents come and go, and cost the same however far in. Ties are decided by the id.
    ///
    /// # Errors
    /// `bad_request` for a cursor that is malformed or of another order; `internal` for an order by a private field.
    pub fn page(self, page: Page) -> Pages<M> {
        Pages::new(self.reading(), page)
    }

    /// The documents one by one, with what they include, with no more than a batch of them in memory.
    ///
    /// Inside of a transaction all of them are read at once.
    pub fn stream(self) -> Results<M> {
        self.reading().stream()
    }

    /// The documents that are what their models say, and a list of those that are not.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn lenient(self) -> Result<Lenient<M>> {
        self.reading().lenient().await
    }

    /// How many documents there are in the result: `skip` and `limit` count, order and relations play no part.
    pub fn count(self) -> Count<M> {
        Count { find: self }
    }

    /// Whether there is any document in the result.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn exists(mut self) -> Result<bool> {
        self.select.limit = Some(self.select.limit.unwrap_or(1).min(1));
        Ok(self.counted().await? > 0)
    }

    /// The distinct values of one field among the documents that match, in BSON order. `limit` and `skip`, before or
    /// after, count values, not documents; a `sort` by the same field turns the order around.
    pub fn distinct<T: DeserializeOwned>(
        self,
        field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
    ) -> Distinct<M, T> {
        Distinct::new(self, field(M::FIELDS).path())
    }

    /// How the database would run this: its commands, indexes and warnings.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn explain(self) -> Result<Explanation> {
        explain(&self.handle, self.select, self.error).await
    }

    /// The operation that awaiting this would run.
    ///
    /// # Errors
    /// A value in a filter has no BSON form.
    pub fn to_ir(self) -> Result<ir::Select> {
        self.error.map_or(Ok(self.select), Err)
    }

    /// Changes what is asked for; a failure is kept for when it runs.
    pub(super) fn reshaped(mut self, reshape: impl FnOnce(&mut ir::Select) -> Result<()>) -> Self {
        if let Err(error) = reshape(&mut self.select) {
            self.fail(error);
        }
        self
    }

    /// What it would run, and on what.
    pub(super) fn into_parts(self) -> Result<(Handle, ir::Select)> {
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.handle, self.select)),
        }
    }

    /// Keeps the first error for when it runs.
    fn options(&mut self) -> &mut ir::ReadOptions {
        &mut self.select.options
    }

    fn fail(&mut self, error: Error) {
        self.error = self.error.take().or(Some(error));
    }

    pub(super) fn reading(self) -> Reading<M> {
        let Self { handle, select, error, .. } = self;
        Reading { handle, select, error, decode: Arc::new(decode_at::<M>) }
    }

    /// The count of the result, and how many documents are passed over.
    fn into_count(self) -> Result<(Handle, ir::Count, u64)> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.select.search.is_some() {
            return Err(Error::bad_request(
                "a search ranks documents and counts none; count by text, or by a filter",
            ));
        }
        let ir::Select { model, filter, with_deleted, options, skip, limit, .. } = self.select;
        let skip = skip.unwrap_or(0);
        let most = limit.map(|limit| if limit == 0 { 0 } else { limit.saturating_add(skip) });
        let count = ir::Count { limit: most, with_deleted, options, ..ir::Count::new(model, filter) };
        Ok((self.handle, count, skip))
    }

    async fn counted(self) -> Result<u64> {
        let (handle, count, skip) = self.into_count()?;
        match handle.execute(Operation::Count(count)).await? {
            Outcome::Count(n) => Ok(n.saturating_sub(skip)),
            _ => Err(wrong_outcome("count")),
        }
    }

    async fn run(self) -> Result<Vec<M>> {
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.handle.execute(Operation::Select(self.select)).await? {
            Outcome::Rows(rows) => decode_all(&rows, None),
            _ => Err(wrong_outcome("find")),
        }
    }
}

fn nothing<M: Model>() -> Error {
    Error::not_found(format!("no {} matches", M::def().name))
}

async fn explain(handle: &Handle, select: ir::Select, error: Option<Error>) -> Result<Explanation> {
    match error {
        Some(error) => Err(error),
        None => handle.explain(Operation::Select(select)).await,
    }
}

read_options!([M: Model] Find<M>, "How strings compare, in conditions and in the order.");

impl<M: Model> IntoFuture for Find<M> {
    type Output = Result<Vec<M>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<M: Model, T: Send + 'static> Selected<M, T> {
    pub(super) fn into_reading(self) -> Reading<T> {
        self.reading
    }

    /// At most `n` results; 0 is none.
    pub fn limit(mut self, n: u64) -> Self {
        self.reading.select.limit = Some(n);
        self
    }

    /// Passes over the first `n` results.
    pub fn skip(mut self, n: u64) -> Self {
        self.reading.select.skip = Some(n);
        self
    }

    /// The first result, where there is one.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn first(self) -> Result<Option<T>> {
        self.reading.first().await
    }

    /// The first result.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where nothing matches.
    pub async fn one(self) -> Result<T> {
        self.reading.first().await?.ok_or_else(nothing::<M>)
    }

    /// As [`Find::last`].
    ///
    /// # Errors
    /// What the database answers.
    pub async fn last(self) -> Result<Option<T>> {
        self.reading.last().await
    }

    /// As [`Find::page`].
    pub fn page(self, page: Page) -> Pages<T> {
        Pages::new(self.reading, page)
    }

    /// As [`Find::stream`].
    pub fn stream(self) -> Results<T> {
        self.reading.stream()
    }

    /// As [`Find::lenient`].
    ///
    /// # Errors
    /// What the database answers.
    pub async fn lenient(self) -> Result<Lenient<T>> {
        self.reading.lenient().await
    }

    /// As [`Find::explain`].
    ///
    /// # Errors
    /// What the database answers.
    pub async fn explain(self) -> Result<Explanation> {
        explain(&self.reading.handle, self.reading.select, self.reading.error).await
    }

    /// As [`Find::to_ir`].
    ///
    /// # Errors
    /// A value in a filter has no BSON form.
    pub fn to_ir(self) -> Result<ir::Select> {
        self.reading.error.map_or(Ok(self.reading.select), Err)
    }
}

impl<M: Model, T: Send + 'static> IntoFuture for Selected<M, T> {
    type Output = Result<Vec<T>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.reading.all())
    }
}

/// A count of documents of `M`; awaiting it gives a `u64`.
#[must_use = "a query runs when it is awaited"]
pub struct Count<M> {
    find: Find<M>,
}

impl<M> Count<M> {
    pub(super) fn into_find(self) -> Find<M> {
        self.find
    }
}

impl<M: Model> Count<M> {
    /// As [`Find::explain`].
    ///
    /// # Errors
    /// What the database answers.
    pub async fn explain(self) -> Result<Explanation> {
        let (handle, count, _) = self.find.into_count()?;
        handle.explain(Operation::Count(count)).await
    }
}

impl<M: Model> IntoFuture for Count<M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.find.counted())
    }
}
