//! The documents that a write is for, where its condition is on related documents with many keys: their ids are gathered
//! by joins of the server, some at a time.

use bson::{Bson, doc};
use forge_core::Result;
use forge_core::ir::{Filter, Path, Predicate, SortKey};
use forge_core::model::ModelRef;

use super::exact::has_text;
use super::relations::distinct;
use super::run::Run;
use crate::compile::{self, Joined};

/// Ids in one command.
pub(super) const PAGE: usize = 10_000;

impl<'a> Run<'a> {
    /// The condition of a write of one document: `filter`, or the id of the first document that matches. What the
    /// document itself has to meet is asked again by the write, by the run that comes with it.
    pub(super) async fn resolve_one(
        &self,
        model: ModelRef,
        filter: Filter,
        sort: &[SortKey],
    ) -> Result<(Run<'a>, Filter)> {
        let joined = self.resolve_joined(filter).await?;
        if joined.lookups.is_empty() {
            return Ok((*self, joined.filter.unwrap_or(Filter::All)));
        }
        let id = self.first_meant(model, &joined, sort).await?;
        Ok(id.map_or((*self, Filter::Nothing), |id| self.this(id, &joined)))
    }

    /// As [`these`](Run::these), of one document.
    pub(super) fn this(&self, id: Bson, joined: &Joined) -> (Run<'a>, Filter) {
        self.found_by(has_text(&id), Filter::eq("_id", id), joined)
    }

    /// Documents by their ids, which must still meet what the joined condition asks of themselves. Under a collation other
    /// ids may be equal to these: the run that comes with the condition compares them by their bytes then, and does not ask
    /// again for the rest.
    pub(super) fn these(&self, ids: &[Bson], joined: &Joined) -> (Run<'a>, Filter) {
        let by_ids = Filter::Field(Path::Borrowed("_id"), Predicate::In(ids.to_vec()));
        self.found_by(ids.iter().any(has_text), by_ids, joined)
    }

    fn found_by(&self, texts: bool, by_ids: Filter, joined: &Joined) -> (Run<'a>, Filter) {
        match self.collation {
            Some(_) if texts => (self.by_bytes(), by_ids),
            _ => (*self, by_ids.and(joined.own())),
        }
    }

    /// The id of the first document that matches.
    pub(super) async fn first_meant(
        &self,
        model: ModelRef,
        joined: &Joined,
        sort: &[SortKey],
    ) -> Result<Option<Bson>> {
        let found = self.documents(compile::ids_joined(&model, joined, sort, 1)?.into()).await?;
        Ok(distinct(&found, "_id")?.pop())
    }

    /// At most `limit` ids of documents that match, in their order, from behind `after` on.
    pub(super) async fn meant(
        &self,
        model: ModelRef,
        joined: &Joined,
        after: Option<&Bson>,
        limit: usize,
    ) -> Result<Vec<Bson>> {
        let Some(last) = after else { return self.meant_by(model, joined, Filter::All, limit).await };
        let behind = Filter::Field(Path::Borrowed("_id"), Predicate::Gt(last.clone()));
        let ids = self.meant_by(model, joined, behind, limit).await?;
        if !ids.is_empty() {
            return Ok(ids);
        }
        // Comparisons keep to the type of their value. Ids of another one come behind all of these.
        let behind = doc! { "$gt": ["$_id", { "$literal": last.clone() }] };
        self.meant_by(model, joined, Filter::Expr(behind.into()), limit).await
    }

    async fn meant_by(
        &self,
        model: ModelRef,
        joined: &Joined,
        also: Filter,
        limit: usize,
    ) -> Result<Vec<Bson>> {
        let filter = joined.filter.clone().unwrap_or(Filter::All).and(also);
        let page = Joined { filter: Some(filter), lookups: joined.lookups.clone() };
        let by_id = [SortKey { path: "_id".into(), descending: false }];
        distinct(
            &self.documents(compile::ids_joined(&model, &page, &by_id, limit as u64)?.into()).await?,
            "_id",
        )
    }
}
