//! `$group`, `$sortByCount` and `$count`.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use super::Rows;
use super::accumulate::{Accumulator, State};
use super::context::Context;
use super::expr::Expr;
use crate::keys;

/// Groups in the order in which they were met first.
pub(super) fn group(cx: &Context<'_, '_>, rows: &Rows, operand: &Bson) -> Result<Rows> {
    let form = operand.as_document().ok_or_else(|| Error::bad_request("`$group` takes a document"))?;
    let id =
        form.get("_id").ok_or_else(|| Error::bad_request("`$group` needs an `_id`; null makes one group"))?;
    let id = Expr::parse(id)?;
    let mut fields = Vec::new();
    for (field, accumulator) in form.iter().filter(|(field, _)| *field != "_id") {
        if field.contains('.') || field.starts_with('$') {
            return Err(Error::bad_request(format!("`$group` cannot name a field `{field}`")));
        }
        fields.push((field, Accumulator::parse(field, accumulator)?));
    }
    let mut positions: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut groups: Vec<(Bson, Vec<State>)> = Vec::new();
    for row in rows {
        cx.tick()?;
        let key = id.value(&cx.scope(row))?;
        let encoded = keys::encoded(&key);
        let position = match positions.get(&encoded) {
            Some(position) => *position,
            None => {
                cx.charge(encoded.len() * 2 + fields.len() * size_of::<State>())?;
                positions.insert(encoded, groups.len());
                groups.push((key, vec![State::default(); fields.len()]));
                groups.len() - 1
            }
        };
        for ((_, accumulator), state) in fields.iter().zip(&mut groups[position].1) {
            accumulator.add(cx, state, row)?;
        }
    }
    let finish = |(key, states): (Bson, Vec<State>)| {
        let mut out = doc! { "_id": key };
        for ((field, accumulator), state) in fields.iter().zip(&states) {
            out.insert((*field).clone(), accumulator.finish(state)?);
        }
        Ok(out)
    };
    groups.into_iter().map(finish).collect()
}

/// `{_id: value, count: n}`, the most frequent first.
pub(super) fn sort_by_count(cx: &Context<'_, '_>, rows: &Rows, operand: &Bson) -> Result<Rows> {
    let form = doc! { "_id": operand.clone(), "count": { "$sum": 1 } };
    let mut groups = group(cx, rows, &form.into())?;
    groups.sort_by_key(|row| std::cmp::Reverse(row.get("count").and_then(crate::index::integer)));
    Ok(groups)
}

/// One document with the number of rows; none where there are none.
pub(super) fn count(rows: &Rows, operand: &Bson) -> Result<Rows> {
    let field = operand.as_str().filter(|field| !field.is_empty() && !field.contains(['$', '.']));
    let field =
        field.ok_or_else(|| Error::bad_request(format!("`$count` takes a field name, not {operand}")))?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let mut out = Document::new();
    out.insert(field, i32::try_from(count).map_or(Bson::Int64(count), Bson::Int32));
    Ok(vec![out])
}
