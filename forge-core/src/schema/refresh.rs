//! Materialized views, brought up to date.

use crate::db::{CanWrite, Db};
use crate::error::{Error, Result};
use crate::model::ModelRef;
use crate::traits::Model;

impl<A> Db<A> {
    /// Brings a materialized view up to date, by running its pipeline.
    ///
    /// Of a view that belongs to tenants, a handle for one tenant brings that tenant's documents up to date. It takes
    /// `materialized = merge`: what replaces everything is refreshed by [`across_tenants`](Db::across_tenants).
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) for a model that is no materialized view, inside a
    /// transaction, and for one tenant of a view that is replaced as a whole; what the database answers.
    ///
    /// ```ignore
    /// #[derive(Debug, Clone, Model)]
    /// #[model(view(source = Sale, pipeline = totals, materialized))]
    /// struct Total { #[model(id)] region: String, total: i64 }
    ///
    /// db.refresh::<Total>().await?;
    /// ```
    pub async fn refresh<M: Model>(&self) -> Result<()>
    where
        A: CanWrite,
    {
        let view = ModelRef(M::def());
        if view.view.as_ref().is_none_or(|view| view.refresh.is_none()) {
            return Err(Error::bad_request(format!(
                "{} is not a materialized view: it has nothing to refresh; write #[model(view(…, materialized))]",
                view.name
            )));
        }
        if self.handle.in_transaction() {
            return Err(Error::bad_request("a view is refreshed outside of transactions"));
        }
        self.adapter().refresh(&self.handle.exec, view).await
    }
}
