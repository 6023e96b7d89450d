//! The stages of pipelines.

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use super::context::Context;
use super::expr::Expr;
use super::{Rows, bucket, fill, group, join, near, nested, select, through, window};
use crate::filter;
use crate::index::integer;
use crate::keys;
use crate::project::{self, Projection};
use crate::query::sort_keys;
use crate::text::SCORE;
use crate::update::{set_path, unset};

/// Sends rows through one stage.
pub(super) fn apply(cx: &Context<'_, '_>, rows: Rows, name: &str, operand: &Bson) -> Result<Rows> {
    match name {
        "$match" => matched(cx, rows, document(name, operand)?),
        "$sort" => sorted(cx, rows, document(name, operand)?),
        "$skip" => Ok(rows.into_iter().skip(amount(name, operand, 0)?).collect()),
        "$limit" => Ok(rows.into_iter().take(amount(name, operand, 1)?).collect()),
        "$project" => projected(cx, rows, document(name, operand)?),
        "$addFields" | "$set" => extended(cx, rows, document(name, operand)?),
        "$unset" => without(cx, rows, operand),
        "$group" => group::group(cx, &rows, operand),
        "$sortByCount" => group::sort_by_count(cx, &rows, operand),
        "$count" => group::count(rows.len(), operand),
        "$bucket" => bucket::bucket(cx, &rows, document(name, operand)?),
        "$bucketAuto" => bucket::bucket_auto(cx, &rows, document(name, operand)?),
        "$unwind" => unwound(cx, rows, operand),
        "$lookup" => join::lookup(cx, rows, document(name, operand)?),
        "$graphLookup" => join::graph(cx, rows, document(name, operand)?),
        "$unionWith" => join::union(cx, rows, operand),
        "$replaceRoot" => replaced(cx, &rows, new_root(operand)?),
        "$replaceWith" => replaced(cx, &rows, operand),
        "$redact" => select::redacted(cx, rows, operand),
        "$sample" => select::sampled(cx, rows, document(name, operand)?),
        "$geoNear" => near::near(cx, rows, document(name, operand)?),
        "$facet" => facets(cx, &rows, document(name, operand)?),
        "$fill" => fill::fill(cx, rows, document(name, operand)?),
        "$densify" => fill::densify(cx, rows, document(name, operand)?),
        "$setWindowFields" => window::set_window_fields(cx, rows, document(name, operand)?),
        "$documents" => Err(Error::bad_request("`$documents` is only for the pipelines of databases")),
        "$out" | "$merge" => Err(Error::bad_request(format!(
            "`{name}` is the last stage of a pipeline that writes, and stands nowhere else"
        ))),
        name => Err(Error::unsupported(format!("the embedded engine has no pipeline stage `{name}`"))),
    }
}

/// Sends one document through a stage of an update.
pub(super) fn reshaped(cx: &Context<'_, '_>, row: Document, name: &str, operand: &Bson) -> Result<Document> {
    let rows = match name {
        "$set" | "$addFields" => extended(cx, vec![row], document(name, operand)?)?,
        "$unset" => without(cx, vec![row], operand)?,
        "$project" => projected(cx, vec![row], document(name, operand)?)?,
        "$replaceWith" => replaced(cx, &vec![row], operand)?,
        "$replaceRoot" => replaced(cx, &vec![row], new_root(operand)?)?,
        name => return Err(Error::bad_request(format!("an update has no stage `{name}`"))),
    };
    rows.into_iter().next().ok_or_else(|| Error::internal(format!("`{name}` lost the document")))
}

pub(super) fn document<'d>(stage: &str, operand: &'d Bson) -> Result<&'d Document> {
    operand
        .as_document()
        .ok_or_else(|| Error::bad_request(format!("`{stage}` takes a document, not {operand}")))
}

pub(super) fn stages_of(stage: &str, pipeline: &Bson) -> Result<Vec<Document>> {
    let wrong = || Error::bad_request(format!("`{stage}` takes a list of stages, not {pipeline}"));
    let stages = pipeline.as_array().ok_or_else(wrong)?;
    stages.iter().map(|stage| stage.as_document().cloned().ok_or_else(wrong)).collect()
}

/// A whole number from `least`.
pub(super) fn amount(stage: &str, operand: &Bson, least: i64) -> Result<usize> {
    integer(operand)
        .filter(|amount| *amount >= least)
        .map(|amount| usize::try_from(amount).unwrap_or(usize::MAX))
        .ok_or_else(|| {
            Error::bad_request(format!("`{stage}` takes a whole number from {least}, not {operand}"))
        })
}

fn new_root(operand: &Bson) -> Result<&Bson> {
    let root = document("$replaceRoot", operand)?.get("newRoot");
    root.ok_or_else(|| Error::bad_request("`$replaceRoot` needs `newRoot`"))
}

fn matched(cx: &Context<'_, '_>, rows: Rows, condition: &Document) -> Result<Rows> {
    let matching = cx.matching(condition)?;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        cx.tick()?;
        if matching.matches(&keys::to_raw(&row)?) {
            kept.push(row);
        }
    }
    matching.outcome()?;
    Ok(kept)
}

fn sorted(cx: &Context<'_, '_>, rows: Rows, sort: &Document) -> Result<Rows> {
    let order = sort_keys(Some(sort))?;
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        keyed.push((keys::sort_key(&keys::to_raw(&row)?, &order, cx.strings()), row));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keyed.into_iter().map(|(_, row)| row).collect())
}

fn facets(cx: &Context<'_, '_>, rows: &Rows, form: &Document) -> Result<Rows> {
    let mut out = Document::new();
    for (name, pipeline) in form {
        let stages = stages_of("$facet", pipeline)?;
        let refused = ["$facet", "$geoNear", "$out", "$merge", "$search", "$vectorSearch"];
        if let Some(stage) =
            stages.iter().flat_map(Document::keys).find(|stage| refused.contains(&stage.as_str()))
        {
            return Err(Error::bad_request(format!("`{stage}` cannot stand inside of `$facet`")));
        }
        let mut rows = through(cx, rows.clone(), &stages)?;
        rows.iter_mut().for_each(|row| drop(row.remove(SCORE)));
        out.insert(name.clone(), rows.into_iter().map(Bson::Document).collect::<Vec<_>>());
    }
    Ok(vec![out])
}

/// The fields of a specification by their dotted paths: `{a: {b: 1}}` is `a.b: 1`.
pub(super) fn flatten<'d>(prefix: &str, form: &'d Document, out: &mut Vec<(String, &'d Bson)>) {
    for (name, value) in form {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Bson::Document(inner) if !inner.is_empty() && !filter::is_operators(inner) => {
                flatten(&path, inner, out);
            }
            value => out.push((path, value)),
        }
    }
}

fn projected(cx: &Context<'_, '_>, rows: Rows, form: &Document) -> Result<Rows> {
    let mut fields = Vec::new();
    flatten("", form, &mut fields);
    if fields.is_empty() {
        return Err(Error::bad_request("`$project` names at least one field"));
    }
    let (mut switches, mut computed) = (Document::new(), Vec::new());
    for (path, value) in fields {
        match project::switch(value) {
            Some(_) => {
                switches.insert(path, value.clone());
            }
            None => computed.push((path, Expr::parse(value)?)),
        }
    }
    let projection = match computed.is_empty() {
        true => Projection::parse(&switches)?,
        false => Projection::beside_computed(&switches)?,
    };
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        cx.tick()?;
        let mut shaped = Document::try_from(projection.apply(&keys::to_raw(&row)?)?)?;
        for (path, expr) in &computed {
            match expr.eval(&cx.scope(&row))? {
                Some(value) => set_path(&mut shaped, path, value)?,
                None => {
                    unset(&mut shaped, path);
                }
            }
        }
        out.push(carrying(&row, shaped));
    }
    Ok(out)
}

/// What became of a row, with the score that the row has of a search.
fn carrying(row: &Document, mut made: Document) -> Document {
    if let Some(score) = row.get(SCORE) {
        made.insert(SCORE, score.clone());
    }
    made
}

pub(super) fn extended(cx: &Context<'_, '_>, mut rows: Rows, form: &Document) -> Result<Rows> {
    let mut fields = Vec::new();
    flatten("", form, &mut fields);
    let fields = fields.into_iter().map(|(path, value)| Ok((path, Expr::parse(value)?)));
    let fields = fields.collect::<Result<Vec<_>>>()?;
    for row in &mut rows {
        cx.tick()?;
        // All expressions see the document as it was.
        let values = fields.iter().map(|(_, expr)| expr.eval(&cx.scope(row))).collect::<Result<Vec<_>>>()?;
        for ((path, _), value) in fields.iter().zip(values) {
            match value {
                Some(value) => set_path(row, path, value)?,
                None => {
                    unset(row, path);
                }
            }
        }
    }
    Ok(rows)
}

fn without(cx: &Context<'_, '_>, mut rows: Rows, operand: &Bson) -> Result<Rows> {
    let wrong = || Error::bad_request(format!("`$unset` takes a path or a list of paths, not {operand}"));
    let paths: Vec<&str> = match operand {
        Bson::String(path) => vec![path],
        Bson::Array(paths) => {
            paths.iter().map(|path| path.as_str().ok_or_else(wrong)).collect::<Result<_>>()?
        }
        _ => return Err(wrong()),
    };
    if paths.iter().all(|path| !path.contains('.')) {
        for row in &mut rows {
            for path in &paths {
                row.remove(path);
            }
        }
        return Ok(rows);
    }
    let switches: Document = paths.into_iter().map(|path| (path.to_owned(), Bson::Int32(0))).collect();
    projected(cx, rows, &switches)
}

fn unwound(cx: &Context<'_, '_>, rows: Rows, operand: &Bson) -> Result<Rows> {
    let (path, position, keep) = match operand {
        Bson::String(path) => (path.as_str(), None, false),
        Bson::Document(form) => (
            form.get_str("path").unwrap_or_default(),
            form.get_str("includeArrayIndex").ok(),
            form.get_bool("preserveNullAndEmptyArrays").unwrap_or(false),
        ),
        _ => ("", None, false),
    };
    let name = path.strip_prefix('$').filter(|name| !name.is_empty() && !name.starts_with('$'));
    let name = name.ok_or_else(|| {
        Error::bad_request(format!("`$unwind` takes a path such as \"$legs\", not {operand}"))
    })?;
    let expr = Expr::parse(&Bson::String(path.to_owned()))?;
    let mut out = Vec::with_capacity(rows.len());
    for mut row in rows {
        cx.tick()?;
        let mut emit = |mut row: Document, value: Option<Bson>, at: Bson| {
            if let Some(value) = value {
                set_path(&mut row, name, value)?;
            }
            if let Some(position) = position {
                set_path(&mut row, position, at)?;
            }
            out.push(row);
            Ok::<_, Error>(())
        };
        match expr.eval(&cx.scope(&row))? {
            Some(Bson::Array(items)) if items.is_empty() => {
                if keep {
                    unset(&mut row, name);
                    emit(row, None, Bson::Null)?;
                }
            }
            Some(Bson::Array(items)) => {
                cx.charge(
                    super::accumulate::weight(&Bson::Document(row.clone())).saturating_mul(items.len()),
                )?;
                for (at, item) in items.into_iter().enumerate() {
                    emit(row.clone(), Some(item), Bson::Int64(i64::try_from(at).unwrap_or(i64::MAX)))?;
                }
            }
            None | Some(Bson::Null | Bson::Undefined) => {
                if keep {
                    emit(row, None, Bson::Null)?;
                }
            }
            Some(_) => emit(row, None, Bson::Null)?,
        }
    }
    Ok(out)
}

fn replaced(cx: &Context<'_, '_>, rows: &Rows, root: &Bson) -> Result<Rows> {
    let expr = Expr::parse(root)?;
    rows.iter()
        .map(|row| match expr.value(&cx.scope(row))? {
            Bson::Document(document) => Ok(carrying(row, document)),
            other => {
                Err(Error::bad_request(format!("the new root of a document is a document, not {other}")))
            }
        })
        .collect()
}

/// The documents of a collection whose value at `path` is one of `list`, through an index where there is one.
pub(super) fn documents_with(cx: &Context<'_, '_>, from: &str, path: &str, list: Vec<Bson>) -> Result<Rows> {
    nested(cx, from, &[doc! { "$match": { path: { "$in": list } } }])
}
