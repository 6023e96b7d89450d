//! Stages that read other collections: `$lookup`, `$graphLookup` and `$unionWith`.

use std::collections::{BTreeSet, HashMap, HashSet};

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::context::Context;
use super::expr::{Expr, checked_name};
use super::stages::{amount, documents_with, stages_of};
use super::{Rows, nested, through};
use crate::collation;
use crate::keys::{self, PathValues};
use crate::matching::Matching;
use crate::update::set_path;

fn text<'f>(stage: &str, form: &'f Document, name: &str) -> Result<&'f str> {
    form.get_str(name).map_err(|_| Error::bad_request(format!("`{stage}` needs `{name}`, a string")))
}

/// Refuses options that a stage does not have.
fn check_options(stage: &str, form: &Document, known: &[&str]) -> Result<()> {
    match form.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(option) => {
            Err(Error::unsupported(format!("the embedded engine has no `{option}` in `{stage}`")))
        }
    }
}

fn list(rows: Rows) -> Bson {
    Bson::Array(rows.into_iter().map(Bson::Document).collect())
}

/// `$lookup`: by equal fields, by a pipeline, or by both.
pub(super) fn lookup(cx: &Context<'_, '_>, mut rows: Rows, form: &Document) -> Result<Rows> {
    check_options("$lookup", form, &["from", "as", "localField", "foreignField", "pipeline", "let"])?;
    let (from, target) = (text("$lookup", form, "from")?, text("$lookup", form, "as")?);
    let pipeline = form.get("pipeline").map(|pipeline| stages_of("$lookup", pipeline)).transpose()?;
    let variables = variables(form)?;
    if form.contains_key("localField") {
        let fields = (text("$lookup", form, "localField")?, text("$lookup", form, "foreignField")?);
        return by_fields(cx, rows, (from, target), fields, &variables, pipeline.as_deref());
    }
    let pipeline =
        pipeline.ok_or_else(|| Error::bad_request("`$lookup` needs `localField` or `pipeline`"))?;
    if variables.is_empty() {
        // The same for every document.
        let found = list(nested(cx, from, &pipeline)?);
        for row in &mut rows {
            cx.charge(super::accumulate::weight(&found))?;
            set_path(row, target, found.clone())?;
        }
        return Ok(rows);
    }
    for row in &mut rows {
        let inner = bound(cx, &variables, row)?;
        let found = nested(&inner, from, &pipeline)?;
        set_path(row, target, list(found))?;
    }
    Ok(rows)
}

fn variables(form: &Document) -> Result<Vec<(String, Expr)>> {
    let Some(variables) = form.get("let") else { return Ok(Vec::new()) };
    let variables =
        variables.as_document().ok_or_else(|| Error::bad_request("the `let` of `$lookup` is a document"))?;
    let variable =
        |(name, value): (&String, &Bson)| Ok((checked_name(name)?.to_owned(), Expr::parse(value)?));
    variables.iter().map(variable).collect()
}

/// The context with the variables as they are for a document.
fn bound<'v, 't>(
    cx: &Context<'v, 't>,
    variables: &[(String, Expr)],
    row: &Document,
) -> Result<Context<'v, 't>> {
    let bind = |(name, expr): &(String, Expr)| {
        Ok((name.clone(), expr.eval(&cx.scope(row))?.unwrap_or(Bson::Undefined)))
    };
    Ok(cx.inner(variables.iter().map(bind).collect::<Result<_>>()?))
}

fn by_fields(
    cx: &Context<'_, '_>,
    mut rows: Rows,
    (from, target): (&str, &str),
    (local, foreign): (&str, &str),
    variables: &[(String, Expr)],
    pipeline: Option<&[Document]>,
) -> Result<Rows> {
    let local = rows.iter().map(|row| values_of(cx, row, local)).collect::<Result<Vec<_>>>()?;
    let (documents, positions) = foreign_documents(cx, from, foreign, &local)?;
    for (row, values) in rows.iter_mut().zip(&local) {
        cx.tick()?;
        let own: BTreeSet<usize> =
            values.keys().filter_map(|value| positions.get(value)).flatten().copied().collect();
        let mut found: Rows = own.into_iter().map(|position| documents[position].clone()).collect();
        if let Some(pipeline) = pipeline {
            found = through(&bound(cx, variables, row)?, found, pipeline)?;
        }
        set_path(row, target, list(found))?;
    }
    Ok(rows)
}

/// Where the documents with an encoded value are in a list.
type Positions = HashMap<Vec<u8>, Vec<usize>>;

/// The values at a path by their encoded form; null where there are none.
fn values_of(cx: &Context<'_, '_>, row: &Document, path: &str) -> Result<HashMap<Vec<u8>, Bson>> {
    let raw = keys::to_raw(row)?;
    let mut out = HashMap::new();
    for value in PathValues::of(&raw, path).values {
        let mut key = Vec::new();
        collation::encode(value, cx.strings(), &mut key);
        out.insert(key, Bson::try_from(value)?);
    }
    Ok(out)
}

/// Whether a value can be looked for with `$in`.
fn is_searchable(value: &Bson) -> bool {
    !matches!(value, Bson::Undefined | Bson::RegularExpression(_))
}

/// Every document of the other collection that some row needs, and the positions of those with each value.
fn foreign_documents(
    cx: &Context<'_, '_>,
    from: &str,
    path: &str,
    local: &[HashMap<Vec<u8>, Bson>],
) -> Result<(Rows, Positions)> {
    let wanted: HashMap<&Vec<u8>, &Bson> = local.iter().flatten().collect();
    let list = wanted.values().copied().filter(|value| is_searchable(value)).cloned().collect();
    let documents = documents_with(cx, from, path, list)?;
    let mut positions = Positions::new();
    for (position, document) in documents.iter().enumerate() {
        for value in values_of(cx, document, path)?.into_keys() {
            positions.entry(value).or_default().push(position);
        }
    }
    Ok((documents, positions))
}

/// `$unionWith`: the rows, then those of another collection.
pub(super) fn union(cx: &Context<'_, '_>, mut rows: Rows, operand: &Bson) -> Result<Rows> {
    let (from, pipeline) = match operand {
        Bson::String(from) => (from.as_str(), Vec::new()),
        Bson::Document(form) => {
            check_options("$unionWith", form, &["coll", "pipeline"])?;
            let pipeline =
                form.get("pipeline").map(|pipeline| stages_of("$unionWith", pipeline)).transpose()?;
            (text("$unionWith", form, "coll")?, pipeline.unwrap_or_default())
        }
        other => return Err(Error::bad_request(format!("`$unionWith` takes a collection, not {other}"))),
    };
    rows.extend(nested(cx, from, &pipeline)?);
    Ok(rows)
}

/// `$graphLookup`: what is reached from a row by following a field to another one, again and again.
pub(super) fn graph(cx: &Context<'_, '_>, mut rows: Rows, form: &Document) -> Result<Rows> {
    const STAGE: &str = "$graphLookup";
    let known = [
        "from",
        "startWith",
        "connectFromField",
        "connectToField",
        "as",
        "maxDepth",
        "depthField",
        "restrictSearchWithMatch",
    ];
    check_options(STAGE, form, &known)?;
    let start =
        form.get("startWith").ok_or_else(|| Error::bad_request("`$graphLookup` needs `startWith`"))?;
    let graph = Graph {
        from: text(STAGE, form, "from")?,
        next: text(STAGE, form, "connectFromField")?,
        to: text(STAGE, form, "connectToField")?,
        depth: form
            .get("maxDepth")
            .map(|depth| amount("maxDepth", depth, 0))
            .transpose()?
            .unwrap_or(usize::MAX),
        depth_field: form.get("depthField").and_then(Bson::as_str),
        only: match form.get("restrictSearchWithMatch") {
            None => None,
            Some(Bson::Document(filter)) => Some(cx.matching(filter)?),
            Some(other) => {
                return Err(Error::bad_request(format!(
                    "`restrictSearchWithMatch` is a filter, not {other}"
                )));
            }
        },
    };
    let (start, target) = (Expr::parse(start)?, text(STAGE, form, "as")?);
    for row in &mut rows {
        let first = match start.value(&cx.scope(row))? {
            Bson::Array(values) => values,
            value => vec![value],
        };
        let found = graph.reach(cx, first)?;
        set_path(row, target, list(found))?;
    }
    Ok(rows)
}

struct Graph<'f> {
    from: &'f str,
    /// The field that leads on.
    next: &'f str,
    /// The field that is led to.
    to: &'f str,
    depth: usize,
    depth_field: Option<&'f str>,
    only: Option<Matching>,
}

impl Graph<'_> {
    fn reach(&self, cx: &Context<'_, '_>, first: Vec<Bson>) -> Result<Rows> {
        let (mut asked, mut met) = (HashSet::new(), HashSet::new());
        let (mut found, mut frontier, mut depth) = (Vec::new(), first, 0);
        loop {
            frontier.retain(|value| {
                is_searchable(value) && asked.insert(collation::encoded(value, cx.strings()))
            });
            if frontier.is_empty() {
                return Ok(found);
            }
            let mut next = Vec::new();
            for mut document in documents_with(cx, self.from, self.to, std::mem::take(&mut frontier))? {
                let raw = keys::to_raw(&document)?;
                let id = document.get("_id").map(keys::encoded).unwrap_or_default();
                if self.only.as_ref().is_some_and(|only| !only.matches(&raw)) || !met.insert(id) {
                    continue;
                }
                let leads_on = PathValues::of(&raw, self.next);
                for value in leads_on.values.iter().filter(|_| leads_on.exists) {
                    next.push(Bson::try_from(*value)?);
                }
                if let Some(field) = self.depth_field {
                    set_path(&mut document, field, Bson::Int64(i64::try_from(depth).unwrap_or(i64::MAX)))?;
                }
                found.push(document);
            }
            if let Some(only) = &self.only {
                only.outcome()?;
            }
            if depth >= self.depth {
                return Ok(found);
            }
            (frontier, depth) = (next, depth + 1);
        }
    }
}
