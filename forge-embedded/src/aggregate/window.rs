//! `$setWindowFields` with the functions that number documents.

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::Rows;
use super::expr::{Expr, Scope};
use crate::keys;
use crate::read::{Clock, sort_keys};
use crate::update::set_path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Document,
    Rank,
    DenseRank,
}

/// Numbers the rows of each partition in an order.
pub(super) fn set_window_fields(rows: Rows, operand: &Bson, clock: &Clock) -> Result<Rows> {
    let form =
        operand.as_document().ok_or_else(|| Error::bad_request("`$setWindowFields` takes a document"))?;
    let partition = form.get("partitionBy").map(Expr::parse).transpose()?;
    let order = form.get_document("sortBy").ok();
    let order = sort_keys(order)?;
    let outputs = outputs(form, order.is_empty())?;
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows {
        clock.tick()?;
        let group = match &partition {
            Some(expr) => keys::encoded(&expr.eval(&Scope::of(&row))?.unwrap_or(Bson::Null)),
            None => Vec::new(),
        };
        let key = if order.is_empty() { Vec::new() } else { keys::sort_key(&keys::to_raw(&row)?, &order) };
        keyed.push((group, key, row));
    }
    keyed.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let mut out: Rows = Vec::with_capacity(keyed.len());
    let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
    let (mut number, mut rank, mut dense) = (0_i64, 0_i64, 0_i64);
    for (group, key, mut row) in keyed {
        if last.as_ref().is_none_or(|(last, _)| *last != group) {
            (number, rank, dense) = (0, 0, 0);
        }
        number += 1;
        if number == 1 || last.as_ref().is_none_or(|(_, last)| *last != key) {
            rank = number;
            dense += 1;
        }
        for (path, kind) in &outputs {
            let value = match kind {
                Number::Document => number,
                Number::Rank => rank,
                Number::DenseRank => dense,
            };
            set_path(&mut row, path, i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32))?;
        }
        last = Some((group, key));
        out.push(row);
    }
    Ok(out)
}

fn outputs(form: &Document, unordered: bool) -> Result<Vec<(String, Number)>> {
    let output = form
        .get_document("output")
        .map_err(|_| Error::bad_request("`$setWindowFields` needs an `output` document"))?;
    let mut outputs = Vec::with_capacity(output.len());
    for (path, function) in output {
        let name =
            function.as_document().and_then(|function| function.keys().next()).map_or("", String::as_str);
        let number = match name {
            "$documentNumber" => Number::Document,
            "$rank" => Number::Rank,
            "$denseRank" => Number::DenseRank,
            name => {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no window function `{name}` (`{path}` of `$setWindowFields`)"
                )));
            }
        };
        if unordered {
            return Err(Error::bad_request(format!("`{name}` needs a `sortBy` in `$setWindowFields`")));
        }
        outputs.push((path.clone(), number));
    }
    Ok(outputs)
}
