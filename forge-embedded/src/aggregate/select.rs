//! Stages that choose documents: `$redact`, `$sample` and `$geoNear`.

use bson::{Bson, Document};
use forge_core::matcher::distance_at;
use forge_core::{Error, Result};

use super::Rows;
use super::context::Context;
use super::expr::Expr;
use super::stages::amount;
use crate::geo;
use crate::keys;
use crate::update::set_path;

/// So many of the rows, at random.
pub(super) fn sampled(cx: &Context<'_, '_>, mut rows: Rows, form: &Document) -> Result<Rows> {
    let size = form.get("size").ok_or_else(|| Error::bad_request("`$sample` needs a `size`"))?;
    let size = amount("$sample", size, 1)?.min(rows.len());
    let mut random = cx.view()?.clock.random();
    for at in 0..size {
        // The steps of an LCG over a random start are as fair as a sample needs (Knuth's MMIX constants).
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let left = (rows.len() - at) as u64;
        rows.swap(at, at + ((random >> 33) % left) as usize);
    }
    rows.truncate(size);
    Ok(rows)
}

/// The parts of the rows that an expression says to keep: it answers `$$KEEP`, `$$PRUNE` or `$$DESCEND`.
pub(super) fn redacted(cx: &Context<'_, '_>, rows: Rows, operand: &Bson) -> Result<Rows> {
    let answer = |name: &str| (name.to_owned(), Bson::from(format!("$${name}")));
    let cx = cx.inner(vec![answer("KEEP"), answer("PRUNE"), answer("DESCEND")]);
    let expr = Expr::parse(operand)?;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        cx.tick()?;
        kept.extend(redact(&cx, &expr, row)?);
    }
    Ok(kept)
}

fn redact(cx: &Context<'_, '_>, expr: &Expr, document: Document) -> Result<Option<Document>> {
    match expr.value(&cx.scope(&document))? {
        Bson::String(answer) if answer == "$$KEEP" => Ok(Some(document)),
        Bson::String(answer) if answer == "$$PRUNE" => Ok(None),
        Bson::String(answer) if answer == "$$DESCEND" => {
            let mut out = Document::new();
            for (name, value) in document {
                if let Some(value) = redact_value(cx, expr, value)? {
                    out.insert(name, value);
                }
            }
            Ok(Some(out))
        }
        other => {
            Err(Error::bad_request(format!("`$redact` answers $$KEEP, $$PRUNE or $$DESCEND, not {other}")))
        }
    }
}

fn redact_value(cx: &Context<'_, '_>, expr: &Expr, value: Bson) -> Result<Option<Bson>> {
    Ok(match value {
        Bson::Document(document) => redact(cx, expr, document)?.map(Bson::Document),
        Bson::Array(items) => {
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                kept.extend(redact_value(cx, expr, item)?);
            }
            Some(Bson::Array(kept))
        }
        other => Some(other),
    })
}

/// `$geoNear`: the rows by their distance from a point, with the distance.
pub(super) fn near(cx: &Context<'_, '_>, rows: Rows, form: &Document) -> Result<Rows> {
    let wrong = |what: &str| Error::bad_request(format!("`$geoNear` needs {what}"));
    let centre = form.get("near").and_then(|near| keys::with_raw(near, geo::point_of));
    let centre = centre.ok_or_else(|| wrong("`near`, a GeoJSON point"))?;
    if form.get("near").and_then(Bson::as_document).is_none() {
        return Err(Error::unsupported("the embedded engine measures `$geoNear` from GeoJSON points only"));
    }
    let path = form.get_str("key").map_err(|_| {
        Error::unsupported("the embedded engine needs the `key` of `$geoNear`, the path of the places")
    })?;
    let target = form.get_str("distanceField").map_err(|_| wrong("`distanceField`, a path"))?;
    let number = |name: &str| match form.get(name) {
        None => Ok(None),
        Some(value) => match keys::with_raw(value, forge_core::order::as_f64) {
            Some(number) => Ok(Some(number)),
            None => Err(Error::bad_request(format!("`{name}` is a number, not {value}"))),
        },
    };
    let (least, most) =
        (number("minDistance")?.unwrap_or(0.0), number("maxDistance")?.unwrap_or(f64::INFINITY));
    let factor = number("distanceMultiplier")?.unwrap_or(1.0);
    let query = form.get_document("query").cloned().unwrap_or_default();
    let matching = cx.matching(&query)?;
    let mut found = Vec::new();
    for mut row in rows {
        cx.tick()?;
        let raw = keys::to_raw(&row)?;
        let distance = distance_at(&raw, path, centre).filter(|metres| (least..=most).contains(metres));
        if let Some(distance) = distance.filter(|_| matching.matches(&raw)) {
            set_path(&mut row, target, Bson::Double(distance * factor))?;
            if let Ok(place) = form.get_str("includeLocs") {
                let value = geo::value_at(&raw, path).map(Bson::try_from).transpose()?;
                set_path(&mut row, place, value.unwrap_or(Bson::Null))?;
            }
            found.push((distance, row));
        }
    }
    matching.outcome()?;
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(found.into_iter().map(|(_, row)| row).collect())
}
