//! Aggregation pipelines: the leading `$match` and `$sort` use indexes, the stages after them work on owned documents.
//!
//! Everything is in memory, up to a limit that an error names (`context::MEMORY_LIMIT`).

mod accumulate;
mod bucket;
mod context;
mod dice;
mod expr;
mod fields;
mod fill;
mod granularity;
mod group;
mod join;
mod near;
mod search;
mod select;
mod shape;
mod stages;
mod steps;
#[cfg(test)]
mod tests;
mod window;

use std::cell::RefCell;

use bson::{Bson, Document, RawDocumentBuf};
use forge_core::matcher::Computed;
use forge_core::{Env, Error, Result};

use crate::collation::Strings;
use crate::keys;
use crate::project::Projection;
use crate::query::Query;
use crate::read::View;
use crate::text::SCORE;
use context::Context;
pub(crate) use context::MEMORY_LIMIT;
use dice::Dice;
pub(crate) use dice::seed;
use expr::{Expr, Root, Scope};
pub(crate) use fields::Fields;
use group::Grouping;
pub(crate) use steps::{Steps, has_batches, source};

/// The most stages in a pipeline, as on a server.
const MAX_STAGES: usize = 1_000;

/// The documents on their way through a pipeline.
type Rows = Vec<Document>;

/// The filter and the order with which a pipeline begins, as far as an index could serve them.
pub(crate) fn head(pipeline: &[Document]) -> Option<(&Document, Option<&Document>)> {
    let filter = pipeline.first()?.get_document("$match").ok()?;
    Some((filter, pipeline.get(1).and_then(|stage| stage.get_document("$sort").ok())))
}

/// Runs a pipeline over a collection, where strings compare as `strings` says. Its first conditions are looked for by the index
/// that `hint` names.
pub(crate) fn run(
    view: &View<'_, '_>,
    collection: &str,
    pipeline: &[Document],
    strings: Strings<'_>,
    hint: Option<&str>,
) -> Result<Vec<RawDocumentBuf>> {
    let cx = Context::new(view, strings);
    if let Some((rows, rest)) = search::begin(&cx, collection, pipeline)? {
        return through(&cx, rows, rest)?.into_iter().map(bare).collect();
    }
    let pipeline = near::prepared(&cx, collection, pipeline)?;
    let (query, rest) = start(&cx, &pipeline)?;
    let query = query.hinted(hint);
    if query.carries_scores() {
        let rows = view.select(collection, &query, &|_, document| Ok(Document::try_from(document)?))?;
        return through(&cx, rows, rest)?.into_iter().map(bare).collect();
    }
    if rest.is_empty() {
        return view.select(collection, &query, &|_, document| Ok(document.to_owned()));
    }
    let (rows, rest) = gather(&cx, collection, &query, rest)?;
    through(&cx, rows, rest)?.iter().map(keys::to_raw).collect()
}

/// The rows that a query finds, and the stages that are left for them. A first stage that makes little of many documents
/// takes them as they are found: they are neither decoded nor held.
fn gather<'p>(
    cx: &Context<'_, '_>,
    collection: &str,
    query: &Query,
    stages: &'p [Document],
) -> Result<(Rows, &'p [Document])> {
    if let (Some((first, rest)), true) = (stages.split_first(), query.is_unordered())
        && let (1, Some((name, operand))) = (first.len(), first.iter().next())
        && let Some(rows) = folded(cx, collection, query, name, operand)?
    {
        return Ok((rows, rest));
    }
    let wanted = shape::needed(stages).map_or(Ok(Projection::Whole), |paths| Projection::parse(&paths))?;
    let rows = cx.view()?.select(collection, query, &|_, document| {
        cx.charge(document.as_bytes().len())?;
        match &wanted {
            Projection::Whole => Ok(Document::try_from(document)?),
            projection => Ok(Document::try_from(projection.apply(document)?)?),
        }
    })?;
    Ok((rows, stages))
}

/// What `$group`, `$sortByCount` or `$count` makes of the documents that a query finds; none for other stages.
fn folded(
    cx: &Context<'_, '_>,
    collection: &str,
    query: &Query,
    name: &str,
    operand: &Bson,
) -> Result<Option<Rows>> {
    let view = cx.view()?;
    let grouped = |operand: &Bson| {
        let grouping = RefCell::new(Grouping::parse(operand)?);
        view.select(collection, query, &|_, document| grouping.borrow_mut().add(cx, &cx.scope_of(document)))?;
        grouping.into_inner().finish()
    };
    match name {
        "$group" => grouped(operand).map(Some),
        "$sortByCount" => grouped(&group::counting(operand)).map(group::most_frequent_first).map(Some),
        "$count" => {
            let found = view.select(collection, query, &|_, _| Ok(()))?;
            group::count(found.len(), operand).map(Some)
        }
        _ => Ok(None),
    }
}

/// The state that the stages of an update make of a document.
pub(crate) fn reshaped(
    document: Document,
    stages: &[Document],
    strings: Strings<'_>,
    env: &Env,
) -> Result<Document> {
    reshaped_in(&Context::alone(env).collated(strings), document, stages)
}

/// As [`reshaped`]; the expressions see `variables`.
pub(crate) fn reshaped_with(
    document: Document,
    stages: &[Document],
    variables: Vec<(String, Bson)>,
    env: &Env,
) -> Result<Document> {
    reshaped_in(&Context::alone(env).inner(variables), document, stages)
}

fn reshaped_in(cx: &Context<'_, '_>, mut document: Document, stages: &[Document]) -> Result<Document> {
    for stage in stages {
        let (name, operand) = stage.iter().next().ok_or_else(|| Error::bad_request("a stage is empty"))?;
        document = stages::reshaped(cx, document, name, operand)?;
    }
    Ok(document)
}

/// The values that expressions have for a document, by the names of variables.
pub(crate) fn bound(row: &Document, variables: &Document, env: &Env) -> Result<Vec<(String, Bson)>> {
    let cx = Context::alone(env);
    let bind = |(name, form): (&String, &Bson)| {
        let value = Expr::parse(form)?.eval(&cx.scope(row))?;
        Ok((expr::checked_name(name)?.to_owned(), value.unwrap_or(Bson::Undefined)))
    };
    variables.iter().map(bind).collect()
}

/// The condition that an expression is: whether a document makes it true. It sees `variables` as well, and the randomness
/// of `env`; strings compare as `strings` says.
///
/// # Errors
/// As [`Expr::parse`].
pub(crate) fn condition(
    expression: &Bson,
    variables: &[(String, Bson)],
    env: Option<&Env>,
    strings: Strings<'_>,
) -> Result<Computed> {
    let expr = Expr::parse(expression)?;
    let (variables, dice, collator) = (variables.to_vec(), Dice::of(env), strings.cloned());
    Ok(Computed::new(move |document| {
        let scope = Scope::new(Root::Stored(document), &variables, &dice, collator.as_ref());
        Ok(expr::truthy(expr.eval(&scope)?.as_ref()))
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
    let pipeline = near::prepared(cx, collection, pipeline)?;
    let (query, rest) = start(cx, &pipeline)?;
    if !query.carries_scores() {
        let (rows, rest) = gather(cx, collection, &query, rest)?;
        return through(cx, rows, rest);
    }
    let rows = cx.view()?.select(collection, &query, &|_, document| {
        cx.charge(document.as_bytes().len())?;
        Ok(Document::try_from(document)?)
    })?;
    let mut rows = through(cx, rows, rest)?;
    rows.iter_mut().for_each(|row| drop(row.remove(SCORE)));
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
    let mut query = Query::within(filter, cx.variables())?.scored().collated(cx.strings());
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
