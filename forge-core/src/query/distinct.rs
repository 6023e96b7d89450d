use std::future::IntoFuture;
use std::marker::PhantomData;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{Find, wrong_outcome};
use crate::adapter::Explanation;
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::ir::{self, Operation, Outcome};
use crate::traits::Model;
use crate::value;

/// The distinct values of one field; awaiting it gives a `Vec<T>`.
#[must_use = "a query runs when it is awaited"]
pub struct Distinct<M, T> {
    handle: Handle,
    distinct: ir::Distinct,
    error: Option<Error>,
    _types: PhantomData<fn() -> (M, T)>,
}

impl<M: Model, T> Distinct<M, T> {
    pub(super) fn new(find: Find<M>, path: &'static str) -> Self {
        let Find { handle, select, mut error, .. } = find;
        if let Some(other) = select.sort.iter().find(|key| key.path != path) {
            error = error.or_else(|| {
                Some(Error::bad_request(format!(
                    "the distinct values of `{path}` cannot be sorted by `{}`: many documents share a value",
                    other.path
                )))
            });
        }
        let distinct = ir::Distinct {
            filter: select.filter,
            descending: select.sort.first().is_some_and(|key| key.descending),
            skip: select.skip,
            limit: select.limit,
            with_deleted: select.with_deleted,
            options: select.options,
            ..ir::Distinct::new(select.model, path)
        };
        Self { handle, distinct, error, _types: PhantomData }
    }

    /// At most `n` values; 0 is none.
    pub fn limit(mut self, n: u64) -> Self {
        self.distinct.limit = Some(n);
        self
    }

    /// Passes over the first `n` values.
    pub fn skip(mut self, n: u64) -> Self {
        self.distinct.skip = Some(n);
        self
    }

    /// How many values there are; the database counts them.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn count(self) -> Result<u64> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let counted = ir::Distinct { counted: true, ..self.distinct };
        match self.handle.execute(Operation::Distinct(counted)).await? {
            Outcome::Count(count) => Ok(count),
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
            None => self.handle.explain(Operation::Distinct(self.distinct)).await,
        }
    }

    async fn values(self) -> Result<Vec<bson::Bson>> {
        if let Some(error) = self.error {
            return Err(error);
        }
        match self.handle.execute(Operation::Distinct(self.distinct)).await? {
            Outcome::Values(values) => Ok(values),
            _ => Err(wrong_outcome("distinct")),
        }
    }
}

impl<M: Model, T: DeserializeOwned + Send + 'static> IntoFuture for Distinct<M, T> {
    type Output = Result<Vec<T>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.values().await?.into_iter().map(value::from_bson).collect() })
    }
}
