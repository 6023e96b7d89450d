//! `$group`, `$sortByCount` and `$count`.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use forge_core::{Error, Result};

use super::Rows;
use super::accumulate::{Accumulator, State};
use super::context::Context;
use super::expr::{Expr, Scope};

/// A `$group` that documents are put into one by one. Its groups are in the order in which they were met first.
pub(super) struct Grouping<'f> {
    id: Expr,
    fields: Vec<(&'f String, Accumulator)>,
    /// The groups by the byte form of their ids.
    positions: HashMap<Vec<u8>, usize>,
    groups: Vec<(Bson, Vec<State>)>,
    /// The byte form of the id at hand.
    key: Vec<u8>,
}

impl<'f> Grouping<'f> {
    /// Reads the operand of `$group`.
    pub(super) fn parse(operand: &'f Bson) -> Result<Self> {
        let form = operand.as_document().ok_or_else(|| Error::bad_request("`$group` takes a document"))?;
        let id = form
            .get("_id")
            .ok_or_else(|| Error::bad_request("`$group` needs an `_id`; null makes one group"))?;
        let id = Expr::parse(id)?;
        let mut fields = Vec::new();
        for (field, accumulator) in form.iter().filter(|(field, _)| *field != "_id") {
            if field.contains('.') || field.starts_with('$') {
                return Err(Error::bad_request(format!("`$group` cannot name a field `{field}`")));
            }
            fields.push((field, Accumulator::parse(field, accumulator)?));
        }
        Ok(Self { id, fields, positions: HashMap::new(), groups: Vec::new(), key: Vec::new() })
    }

    /// Puts a document into its group.
    pub(super) fn add(&mut self, cx: &Context<'_, '_>, scope: &Scope<'_>) -> Result<()> {
        self.key.clear();
        self.id.encode(scope, &mut self.key)?;
        let position = match self.positions.get(self.key.as_slice()) {
            Some(position) => *position,
            None => {
                cx.charge(self.key.len() * 2 + self.fields.len() * size_of::<State>())?;
                self.positions.insert(self.key.clone(), self.groups.len());
                self.groups.push((self.id.value(scope)?, vec![State::default(); self.fields.len()]));
                self.groups.len() - 1
            }
        };
        for ((_, accumulator), state) in self.fields.iter().zip(&mut self.groups[position].1) {
            accumulator.add(cx, state, scope)?;
        }
        Ok(())
    }

    /// One row for each group.
    pub(super) fn finish(self) -> Result<Rows> {
        let finish = |(key, states): (Bson, Vec<State>)| {
            let mut out = doc! { "_id": key };
            for ((field, accumulator), state) in self.fields.iter().zip(&states) {
                out.insert((*field).clone(), accumulator.finish(state)?);
            }
            Ok(out)
        };
        self.groups.into_iter().map(finish).collect()
    }
}

/// The groups of rows.
pub(super) fn group(cx: &Context<'_, '_>, rows: &Rows, operand: &Bson) -> Result<Rows> {
    let mut grouping = Grouping::parse(operand)?;
    for row in rows {
        cx.tick()?;
        grouping.add(cx, &cx.scope(row))?;
    }
    grouping.finish()
}

/// `{_id: value, count: n}`, the most frequent first.
pub(super) fn sort_by_count(cx: &Context<'_, '_>, rows: &Rows, operand: &Bson) -> Result<Rows> {
    Ok(most_frequent_first(group(cx, rows, &counting(operand))?))
}

/// The `$group` of a `$sortByCount`.
pub(super) fn counting(operand: &Bson) -> Bson {
    doc! { "_id": operand.clone(), "count": { "$sum": 1 } }.into()
}

/// The groups of [`counting`] in the order of `$sortByCount`.
pub(super) fn most_frequent_first(mut groups: Rows) -> Rows {
    groups.sort_by_key(|row| std::cmp::Reverse(row.get("count").and_then(crate::index::integer)));
    groups
}

/// One document with the number of rows; none where there are none.
pub(super) fn count(rows: usize, operand: &Bson) -> Result<Rows> {
    let field = operand.as_str().filter(|field| !field.is_empty() && !field.contains(['$', '.']));
    let field =
        field.ok_or_else(|| Error::bad_request(format!("`$count` takes a field name, not {operand}")))?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let count = i64::try_from(rows).unwrap_or(i64::MAX);
    let mut out = Document::new();
    out.insert(field, i32::try_from(count).map_or(Bson::Int64(count), Bson::Int32));
    Ok(vec![out])
}
