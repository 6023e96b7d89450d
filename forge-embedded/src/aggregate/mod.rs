//! Aggregation pipelines: the leading `$match` and `$sort` use indexes, the stages after them work on owned documents.

mod accumulate;
mod expr;
mod group;
mod shape;
mod stages;
#[cfg(test)]
mod tests;
mod window;

use bson::{Document, RawDocumentBuf};
use forge_core::{Error, Result};

use crate::keys;
use crate::project::Projection;
use crate::read::{Query, View};

/// The most stages in a pipeline, as on a server.
const MAX_STAGES: usize = 1_000;

/// The documents on their way through a pipeline.
type Rows = Vec<Document>;

/// The filter and the order with which a pipeline begins, as far as an index could serve them.
pub(crate) fn head(pipeline: &[Document]) -> Option<(&Document, Option<&Document>)> {
    let filter = pipeline.first()?.get_document("$match").ok()?;
    Some((filter, pipeline.get(1).and_then(|stage| stage.get_document("$sort").ok())))
}

/// Runs a pipeline over a collection.
pub(crate) fn run(
    view: &View<'_, '_>,
    collection: &str,
    pipeline: &[Document],
) -> Result<Vec<RawDocumentBuf>> {
    if pipeline.len() > MAX_STAGES {
        return Err(Error::bad_request(format!("a pipeline has at most {MAX_STAGES} stages")));
    }
    let (query, rest) = start(pipeline)?;
    if rest.is_empty() {
        return view.select(collection, &query, &|_, document| Ok(document.to_owned()));
    }
    let wanted = shape::needed(rest).map_or(Ok(Projection::Whole), |paths| Projection::parse(&paths))?;
    let rows = view.select(collection, &query, &|_, document| match &wanted {
        Projection::Whole => Ok(Document::try_from(document)?),
        projection => Ok(Document::try_from(projection.apply(document)?)?),
    })?;
    through(view, rows, rest)?.iter().map(keys::to_raw).collect()
}

/// The state that the stages of an update make of a document.
pub(crate) fn reshaped(mut document: Document, stages: &[Document]) -> Result<Document> {
    for stage in stages {
        let (name, operand) = stage.iter().next().ok_or_else(|| Error::bad_request("a stage is empty"))?;
        document = stages::reshaped(document, name, operand)?;
    }
    Ok(document)
}

/// Runs a pipeline inside another one.
fn nested(view: &View<'_, '_>, collection: &str, pipeline: &[Document]) -> Result<Rows> {
    let (query, rest) = start(pipeline)?;
    let rows = view.select(collection, &query, &|_, document| Ok(Document::try_from(document)?))?;
    through(view, rows, rest)
}

/// What the first stages ask of the collection, and the stages after those.
fn start(pipeline: &[Document]) -> Result<(Query, &[Document])> {
    let mut rest = pipeline;
    let empty = Document::new();
    let mut filter = &empty;
    if let Some(Ok(condition)) = rest.first().map(|stage| stage.get_document("$match")) {
        (filter, rest) = (condition, &rest[1..]);
    }
    let mut query = Query::new(filter)?;
    if let Some(Ok(sort)) = rest.first().map(|stage| stage.get_document("$sort")) {
        (query, rest) = (query.sorted(Some(sort))?, &rest[1..]);
        let amount = rest.first().and_then(|stage| stage.get("$limit")).and_then(crate::index::integer);
        if let Some(limit) = amount.and_then(|amount| u64::try_from(amount).ok()).filter(|limit| *limit > 0) {
            (query, rest) = (query.window(None, Some(limit)), &rest[1..]);
        }
    }
    Ok((query, rest))
}

/// Sends rows through stages.
fn through(view: &View<'_, '_>, mut rows: Rows, pipeline: &[Document]) -> Result<Rows> {
    for stage in pipeline {
        let (name, operand) = match (stage.len(), stage.iter().next()) {
            (1, Some(entry)) => entry,
            _ => {
                return Err(Error::bad_request(format!(
                    "a pipeline stage has exactly one operator: {stage}"
                )));
            }
        };
        rows = stages::apply(view, rows, name, operand)?;
        view.clock.tick()?;
    }
    Ok(rows)
}
