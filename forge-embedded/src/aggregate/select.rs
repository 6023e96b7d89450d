//! Stages that choose documents: `$redact` and `$sample`.

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::Rows;
use super::context::Context;
use super::expr::Expr;
use super::stages::amount;

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
