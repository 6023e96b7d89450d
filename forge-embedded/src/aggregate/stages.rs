//! The stages of pipelines.

use std::collections::{BTreeSet, HashMap};

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use super::expr::{Expr, Scope};
use super::{Rows, group, nested, through, window};
use crate::filter;
use crate::index::integer;
use crate::keys::{self, PathValues};
use crate::matching::Matching;
use crate::project::{self, Projection};
use crate::read::{View, sort_keys};
use crate::update::{set_path, unset};

/// Sends rows through one stage.
pub(super) fn apply(view: &View<'_, '_>, rows: Rows, name: &str, operand: &Bson) -> Result<Rows> {
    match name {
        "$match" => matched(rows, document(name, operand)?),
        "$sort" => sorted(rows, document(name, operand)?),
        "$skip" => Ok(rows.into_iter().skip(amount(name, operand, 0)?).collect()),
        "$limit" => Ok(rows.into_iter().take(amount(name, operand, 1)?).collect()),
        "$project" => projected(rows, document(name, operand)?),
        "$addFields" | "$set" => extended(rows, document(name, operand)?),
        "$unset" => without(rows, operand),
        "$group" => group::group(&rows, operand, view.clock),
        "$sortByCount" => group::sort_by_count(&rows, operand, view.clock),
        "$count" => group::count(&rows, operand),
        "$unwind" => unwound(rows, operand),
        "$lookup" => joined(view, rows, document(name, operand)?),
        "$replaceRoot" => {
            let root = document(name, operand)?.get("newRoot");
            replaced(&rows, root.ok_or_else(|| Error::bad_request("`$replaceRoot` needs `newRoot`"))?)
        }
        "$replaceWith" => replaced(&rows, operand),
        "$facet" => {
            let mut out = Document::new();
            for (name, pipeline) in document(name, operand)? {
                let rows = through(view, rows.clone(), &stages_of("$facet", pipeline)?)?;
                out.insert(name.clone(), rows.into_iter().map(Bson::Document).collect::<Vec<_>>());
            }
            Ok(vec![out])
        }
        "$setWindowFields" => window::set_window_fields(rows, operand, view.clock),
        name => Err(Error::unsupported(format!("the embedded engine has no pipeline stage `{name}`"))),
    }
}

/// Sends one document through a stage of an update.
pub(super) fn reshaped(row: Document, name: &str, operand: &Bson) -> Result<Document> {
    let rows = match name {
        "$set" | "$addFields" => extended(vec![row], document(name, operand)?)?,
        "$unset" => without(vec![row], operand)?,
        "$project" => projected(vec![row], document(name, operand)?)?,
        "$replaceWith" => replaced(&vec![row], operand)?,
        "$replaceRoot" => {
            let root = document(name, operand)?.get("newRoot");
            replaced(&vec![row], root.ok_or_else(|| Error::bad_request("`$replaceRoot` needs `newRoot`"))?)?
        }
        name => return Err(Error::bad_request(format!("an update has no stage `{name}`"))),
    };
    rows.into_iter().next().ok_or_else(|| Error::internal(format!("`{name}` lost the document")))
}

fn document<'d>(stage: &str, operand: &'d Bson) -> Result<&'d Document> {
    operand
        .as_document()
        .ok_or_else(|| Error::bad_request(format!("`{stage}` takes a document, not {operand}")))
}

fn stages_of(stage: &str, pipeline: &Bson) -> Result<Vec<Document>> {
    let wrong = || Error::bad_request(format!("`{stage}` takes a list of stages, not {pipeline}"));
    let stages = pipeline.as_array().ok_or_else(wrong)?;
    stages.iter().map(|stage| stage.as_document().cloned().ok_or_else(wrong)).collect()
}

fn amount(stage: &str, operand: &Bson, least: i64) -> Result<usize> {
    integer(operand)
        .filter(|amount| *amount >= least)
        .map(|amount| usize::try_from(amount).unwrap_or(usize::MAX))
        .ok_or_else(|| {
            Error::bad_request(format!("`{stage}` takes a whole number from {least}, not {operand}"))
        })
}

fn matched(rows: Rows, condition: &Document) -> Result<Rows> {
    let matching = Matching::new(&filter::parse(condition)?)?;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        if matching.matches(&keys::to_raw(&row)?) {
            kept.push(row);
        }
    }
    Ok(kept)
}

fn sorted(rows: Rows, sort: &Document) -> Result<Rows> {
    let order = sort_keys(Some(sort))?;
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        keyed.push((keys::sort_key(&keys::to_raw(&row)?, &order), row));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keyed.into_iter().map(|(_, row)| row).collect())
}

/// The fields of a specification by their dotted paths: `{a: {b: 1}}` is `a.b: 1`.
fn flatten<'d>(prefix: &str, form: &'d Document, out: &mut Vec<(String, &'d Bson)>) {
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

fn projected(rows: Rows, form: &Document) -> Result<Rows> {
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
    let projection = match (computed.is_empty(), Projection::parse(&switches)?) {
        (true, projection) => projection,
        (false, Projection::Include { tree, id }) => Projection::Include { tree, id },
        // Next to computed fields, `_id: 0` alone leaves out `_id`, and nothing else is kept.
        (false, _) => {
            if switches.iter().any(|(path, _)| path != "_id") {
                return Err(Error::bad_request("`$project` cannot leave out fields beside computed ones"));
            }
            Projection::nothing(!switches.contains_key("_id"))
        }
    };
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let mut shaped = Document::try_from(projection.apply(&keys::to_raw(&row)?)?)?;
        for (path, expr) in &computed {
            match expr.eval(&Scope::of(&row))? {
                Some(value) => set_path(&mut shaped, path, value)?,
                None => {
                    unset(&mut shaped, path);
                }
            }
        }
        out.push(shaped);
    }
    Ok(out)
}

fn extended(mut rows: Rows, form: &Document) -> Result<Rows> {
    let mut fields = Vec::new();
    flatten("", form, &mut fields);
    let fields = fields.into_iter().map(|(path, value)| Ok((path, Expr::parse(value)?)));
    let fields = fields.collect::<Result<Vec<_>>>()?;
    for row in &mut rows {
        // All expressions see the document as it was.
        let values = fields.iter().map(|(_, expr)| expr.eval(&Scope::of(row))).collect::<Result<Vec<_>>>()?;
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

fn without(mut rows: Rows, operand: &Bson) -> Result<Rows> {
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
    projected(rows, &switches)
}

fn unwound(rows: Rows, operand: &Bson) -> Result<Rows> {
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
        match expr.eval(&Scope::of(&row))? {
            Some(Bson::Array(items)) if items.is_empty() => {
                if keep {
                    unset(&mut row, name);
                    emit(row, None, Bson::Null)?;
                }
            }
            Some(Bson::Array(items)) => {
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

fn joined(view: &View<'_, '_>, mut rows: Rows, form: &Document) -> Result<Rows> {
    let text = |name: &str| {
        form.get_str(name).map_err(|_| Error::bad_request(format!("`$lookup` needs `{name}`, a string")))
    };
    let (from, target) = (text("from")?, text("as")?);
    if let Some(option) = form.keys().find(|key| !LOOKUP_OPTIONS.contains(&key.as_str())) {
        return Err(Error::unsupported(format!("the embedded engine has no `{option}` in `$lookup`")));
    }
    let pipeline = form.get("pipeline").map(|pipeline| stages_of("$lookup", pipeline)).transpose()?;
    if !form.contains_key("localField") {
        let pipeline =
            pipeline.ok_or_else(|| Error::bad_request("`$lookup` needs `localField` or `pipeline`"))?;
        let found: Vec<Bson> = nested(view, from, &pipeline)?.into_iter().map(Bson::Document).collect();
        for row in &mut rows {
            set_path(row, target, Bson::Array(found.clone()))?;
        }
        return Ok(rows);
    }
    let (local, foreign) = (text("localField")?, text("foreignField")?);
    let local = rows.iter().map(|row| values_of(row, local)).collect::<Result<Vec<_>>>()?;
    let (documents, positions) = foreign_documents(view, from, foreign, &local)?;
    for (row, values) in rows.iter_mut().zip(&local) {
        let own: BTreeSet<usize> =
            values.keys().filter_map(|value| positions.get(value)).flatten().copied().collect();
        let mut found: Rows = own.into_iter().map(|position| documents[position].clone()).collect();
        if let Some(pipeline) = &pipeline {
            found = through(view, found, pipeline)?;
        }
        set_path(row, target, Bson::Array(found.into_iter().map(Bson::Document).collect()))?;
    }
    Ok(rows)
}

const LOOKUP_OPTIONS: [&str; 5] = ["from", "as", "localField", "foreignField", "pipeline"];

/// Where the documents with an encoded value are in a list.
type Positions = HashMap<Vec<u8>, Vec<usize>>;

/// The values at a path by their encoded form; null where there are none.
fn values_of(row: &Document, path: &str) -> Result<HashMap<Vec<u8>, Bson>> {
    let raw = keys::to_raw(row)?;
    let mut out = HashMap::new();
    for value in PathValues::of(&raw, path).values {
        let mut key = Vec::new();
        keys::encode(value, &mut key);
        out.insert(key, Bson::try_from(value)?);
    }
    Ok(out)
}

/// Every document of the other collection that some row needs, and the positions of those with each value.
fn foreign_documents(
    view: &View<'_, '_>,
    from: &str,
    path: &str,
    local: &[HashMap<Vec<u8>, Bson>],
) -> Result<(Rows, Positions)> {
    let wanted: HashMap<&Vec<u8>, &Bson> = local.iter().flatten().collect();
    let usable = |value: &&&Bson| !matches!(value, Bson::Undefined | Bson::RegularExpression(_));
    let list: Vec<Bson> = wanted.values().filter(usable).map(|value| (*value).clone()).collect();
    let documents = nested(view, from, &[doc! { "$match": { path: { "$in": list } } }])?;
    let mut positions = Positions::new();
    for (position, document) in documents.iter().enumerate() {
        for value in values_of(document, path)?.into_keys() {
            positions.entry(value).or_default().push(position);
        }
    }
    Ok((documents, positions))
}

fn replaced(rows: &Rows, root: &Bson) -> Result<Rows> {
    let expr = Expr::parse(root)?;
    rows.iter()
        .map(|row| match expr.value(row)? {
            Bson::Document(document) => Ok(document),
            other => {
                Err(Error::bad_request(format!("the new root of a document is a document, not {other}")))
            }
        })
        .collect()
}
