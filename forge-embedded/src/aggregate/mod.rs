//! Aggregation pipelines: the leading `$match` and `$sort` use indexes, the stages after them work on owned documents.
//!
//! Everything is in memory, up to a limit that an error names (`context::MEMORY_LIMIT`).

mod accumulate;
mod bucket;
mod context;
mod expr;
mod group;
mod join;
mod search;
mod select;
mod shape;
mod stages;
#[cfg(test)]
mod tests;
mod window;

use bson::{Bson, Document, RawDocumentBuf};
use forge_core::matcher::Computed;
use forge_core::{DateTime, Error, Result};

use crate::keys;
use crate::project::Projection;
use crate::read::{Query, View};
use crate::text::SCORE;
use context::Context;
pub(crate) use context::MEMORY_LIMIT;
use expr::{Expr, Scope};

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
    let cx = Context::new(view);
    if let Some((rows, rest)) = search::begin(&cx, collection, pipeline)? {
        return through(&cx, rows, rest)?.into_iter().map(bare).collect();
    }
    let (query, rest) = start(&cx, pipeline)?;
    if query.carries_scores() {
        let rows = view.select(collection, &query, &|_, document| Ok(Document::try_from(document)?))?;
        return through(&cx, rows, rest)?.into_iter().map(bare).collect();
    }
    if rest.is_empty() {
        return view.select(collection, &query, &|_, document| Ok(document.to_owned()));
    }
    let wanted = shape::needed(rest).map_or(Ok(Projection::Whole), |paths| Projection::parse(&paths))?;
    let rows = view.select(collection, &query, &|_, document| {
        let kept = match &wanted {
            Projection::Whole => Document::try_from(document)?,
            projection => Document::try_from(projection.apply(document)?)?,
        };
        cx.charge(document.as_bytes().len())?;
        Ok(kept)
    })?;
    through(&cx, rows, rest)?.iter().map(keys::to_raw).collect()
}

/// The state that the stages of an update make of a document.
pub(crate) fn reshaped(mut document: Document, stages: &[Document], now: DateTime) -> Result<Document> {
    let cx = Context::alone(now);
    for stage in stages {
        let (name, operand) = stage.iter().next().ok_or_else(|| Error::bad_request("a stage is empty"))?;
        document = stages::reshaped(&cx, document, name, operand)?;
    }
    Ok(document)
}

/// The condition that an expression is: whether a document makes it true. It sees `variables` as well.
///
/// # Errors
/// As [`Expr::parse`].
pub(crate) fn condition(expression: &Bson, variables: &[(String, Bson)]) -> Result<Computed> {
    let expr = Expr::parse(expression)?;
    let variables = variables.to_vec();
    Ok(Computed::new(move |document| {
        let document = Document::try_from(document)?;
        Ok(expr::truthy(expr.eval(&Scope::new(&document, &variables))?.as_ref()))
    }))
}

/// A row as it is answered: the score of a search stays inside.
fn bare(mut row: Document) -> Result<RawDocumentBuf> {
    row.remove(SCORE);
    keys::to_raw(&row)
}

/// Runs a pipeline inside another one.
fn nested(cx: &Context<'_, '_>, collection: &str, pipeline: &[Document]) -> Result<Rows> {
    if let Some((rows, rest)) = search::begin(cx, collection, pipeline)? {
        let mut rows = through(cx, rows, rest)?;
        rows.iter_mut().for_each(|row| drop(row.remove(SCORE)));
        return Ok(rows);
    }
    let (query, rest) = start(cx, pipeline)?;
    let rows = cx.view()?.select(collection, &query, &|_, document| {
        cx.charge(document.as_bytes().len())?;
        Ok(Document::try_from(document)?)
    })?;
    let mut rows = through(cx, rows, rest)?;
    if query.carries_scores() {
        rows.iter_mut().for_each(|row| drop(row.remove(SCORE)));
    }
    Ok(rows)
}

/// What the first stages ask of the collection, and the stages after those.
fn start<'p>(cx: &Context<'_, '_>, pipeline: &'p [Document]) -> Result<(Query, &'p [Document])> {
    if pipeline.len() > MAX_STAGES {
        return Err(Error::bad_request(format!("a pipeline has at most {MAX_STAGES} stages")));
    }
    let mut rest = pipeline;
    let empty = Document::new();
    let mut filter = &empty;
    if let Some(Ok(condition)) = rest.first().map(|stage| stage.get_document("$match")) {
        (filter, rest) = (condition, &rest[1..]);
    }
    let mut query = Query::within(filter, cx.variables())?.scored();
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
fn through(cx: &Context<'_, '_>, mut rows: Rows, pipeline: &[Document]) -> Result<Rows> {
    for stage in pipeline {
        let (name, operand) = match (stage.len(), stage.iter().next()) {
            (1, Some(entry)) => entry,
            _ => {
                return Err(Error::bad_request(format!(
                    "a pipeline stage has exactly one operator: {stage}"
                )));
            }
        };
        rows = stages::apply(cx, rows, name, operand)?;
        cx.tick()?;
    }
    Ok(rows)
}
