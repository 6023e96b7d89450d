use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{IntoIncludes, decode_all, narrow, wrong_outcome};
use crate::adapter::Explanation;
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::{Field, Filter, IntoSort};
use crate::ir::{self, Operation, Outcome};
use crate::model::ModelRef;
use crate::traits::Model;
use crate::value;

/// A read of documents of `M`; awaiting it gives a `Vec<M>`.
#[must_use = "a query runs when it is awaited"]
pub struct Find<M> {
    handle: Handle,
    select: ir::Select,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Find<M> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, select: ir::Select::new(ModelRef(M::def())), error: None, _model: PhantomData }
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
            Err(error) => self.error = self.error.or(Some(error)),
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

    /// The longest that the database may work on one command.
    pub fn max_time(mut self, limit: Duration) -> Self {
        self.select.options.max_time = Some(limit);
        self
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
        self.first().await?.ok_or_else(|| Error::not_found(format!("no {} matches", M::def().name)))
    }

    /// How many documents match. Order and relations play no part; `skip` and `limit` are not applied.
    pub fn count(self) -> Count<M> {
        Count { find: self }
    }

    /// Whether any document matches.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn exists(self) -> Result<bool> {
        Ok(self.count_up_to(Some(1)).await? > 0)
    }

    /// The distinct values of one field among the documents that match, in BSON order.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where a stored value is not a `T`.
    pub async fn distinct<T: DeserializeOwned>(
        self,
        field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
    ) -> Result<Vec<T>> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let operation = Operation::Distinct(ir::Distinct {
            filter: self.select.filter,
            with_deleted: self.select.with_deleted,
            options: self.select.options,
            ..ir::Distinct::new(self.select.model, field(M::FIELDS).path())
        });
        match self.handle.execute(operation).await? {
            Outcome::Values(values) => values.into_iter().map(value::from_bson).collect(),
            _ => Err(wrong_outcome("distinct")),
        }
    }

    /// How the database would run this: its commands, indexes and warnings.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn explain(self) -> Result<Explanation> {
        match self.error {
            Some(error) => Err(error),
            None => self.handle.explain(Operation::Select(self.select)).await,
        }
    }

    /// The operation that awaiting this would run.
    ///
    /// # Errors
    /// A value in a filter has no BSON form.
    pub fn to_ir(self) -> Result<ir::Select> {
        self.error.map_or(Ok(self.select), Err)
    }

    async fn count_up_to(self, limit: Option<u64>) -> Result<u64> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let ir::Select { model, filter, with_deleted, options, .. } = self.select;
        let count = ir::Count { model, filter, limit, with_deleted, options };
        match self.handle.execute(Operation::Count(count)).await? {
            Outcome::Count(n) => Ok(n),
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

impl<M: Model> IntoFuture for Find<M> {
    type Output = Result<Vec<M>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A count of documents of `M`; awaiting it gives a `u64`.
#[must_use = "a query runs when it is awaited"]
pub struct Count<M> {
    find: Find<M>,
}

impl<M: Model> IntoFuture for Count<M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.find.count_up_to(None))
    }
}
