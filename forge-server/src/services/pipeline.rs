//! Queries as stages, and stages of the program around them.

use bson::{Document, doc};
use forge_core::Error;
use forge_core::ir::{self, Filter, Operation, Outcome, Projection, SortKey, Source, Stage};
use serde_json::Value;

use super::error::ServiceResult;
use super::geo::without_order;
use super::methods::Run;
use super::query::Query;
use super::rows::Rows;

/// Where the stages of the query go.
const HERE: &str = "$feathers";

impl Run<'_> {
    /// What the query finds, sent through the stages of the call.
    pub(super) async fn piped(&self, query: &Query, limit: Option<u64>) -> ServiceResult<Vec<Value>> {
        let rows = self.aggregated(query, limit).await?;
        let stages = self.params.pipeline.as_deref().unwrap_or(&[]);
        let shown = Rows::new(&self.options.documents, &self.options.views, stages);
        rows.iter().map(|row| shown.show(row)).collect()
    }

    /// The same, as the database answers it.
    pub(super) async fn aggregated(
        &self,
        query: &Query,
        limit: Option<u64>,
    ) -> ServiceResult<Vec<bson::RawDocumentBuf>> {
        self.aggregate(self.around(self.stages(query, limit))).await
    }

    /// A query as stages.
    pub(super) fn stages(&self, query: &Query, limit: Option<u64>) -> Vec<Stage> {
        stages(query, limit, &self.options.key.stored)
    }

    /// How many documents there would be without a limit.
    pub(super) async fn piped_total(&self, query: &Query) -> ServiceResult<u64> {
        let mut stages = self.around(vec![Stage::Match(without_order(query.filter.clone()))]);
        stages.push(Stage::Plain(doc! { "$count": "n" }));
        let rows = self.aggregate(stages).await?;
        let count = rows.first().map(|row| row.get("n").map_err(Error::from)).transpose()?.flatten();
        let count = count.and_then(|n| n.as_i32().map(i64::from).or_else(|| n.as_i64()));
        Ok(count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }

    /// The stages of the query at the place that the call's own say, or before them.
    fn around(&self, query: Vec<Stage>) -> Vec<Stage> {
        let own = self.params.pipeline.as_deref().unwrap_or(&[]);
        let place = own.iter().position(is_here);
        let (before, after) = own.split_at(place.unwrap_or(0));
        let raw = |stages: &[Document]| {
            stages.iter().filter(|stage| !is_here(stage)).cloned().map(Stage::Raw).collect::<Vec<_>>()
        };
        raw(before).into_iter().chain(query).chain(raw(after)).collect()
    }

    async fn aggregate(&self, mut stages: Vec<Stage>) -> ServiceResult<Vec<bson::RawDocumentBuf>> {
        // The first conditions are the source's: an index serves them.
        let filter = match stages.first() {
            Some(Stage::Match(filter)) => {
                let filter = filter.clone();
                stages.remove(0);
                filter
            }
            _ => Filter::All,
        };
        let model = self.options.documents.model();
        let source = Source { model, filter, stages, with_deleted: false };
        let pipeline = ir::Pipeline { options: self.read_options(), ..ir::Pipeline::new(source) };
        match self.db.execute(Operation::Pipeline(pipeline)).await? {
            Outcome::Rows(rows) => Ok(rows.documents),
            _ => Err(Error::internal("the adapter answered a pipeline with something else").into()),
        }
    }
}

fn is_here(stage: &Document) -> bool {
    stage.contains_key(HERE)
}

/// A query as stages.
fn stages(query: &Query, limit: Option<u64>, key: &str) -> Vec<Stage> {
    let mut stages = vec![Stage::Match(without_order(query.filter.clone()))];
    if !query.sort.is_empty() {
        let direction = |key: &SortKey| (key.path.to_string(), if key.descending { -1 } else { 1 }.into());
        let sort: Document = query.sort.iter().map(direction).collect();
        stages.push(Stage::Plain(doc! { "$sort": sort }));
    }
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    if let Some(skip) = query.skip.filter(|skip| *skip > 0) {
        stages.push(Stage::Plain(doc! { "$skip": count(skip) }));
    }
    if let Some(limit) = limit {
        stages.push(Stage::Plain(doc! { "$limit": count(limit) }));
    }
    if let Projection::Only(paths) = query.projection(key) {
        let fields: Document = paths.into_iter().map(|path| (path.into_owned(), 1.into())).collect();
        stages.push(Stage::Plain(doc! { "$project": fields }));
    }
    stages
}
