//! Accumulators of `$group`.

use std::collections::HashSet;

use bson::{Bson, Document};
use forge_core::ir::SortKey;
use forge_core::{Error, Result};

use super::expr::{Expr, Scope, compare, widening};
use crate::index::integer;
use crate::keys;
use crate::read::sort_keys;
use crate::update::Arithmetic;

/// What is computed of a group.
#[derive(Debug, Clone)]
pub(super) struct Accumulator {
    kind: Kind,
    expr: Expr,
}

#[derive(Debug, Clone)]
enum Kind {
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
    Push,
    AddToSet,
    FirstN(usize),
    LastN(usize),
    /// The first ones in an order; `single`: as a value, not a list.
    Top {
        order: Vec<SortKey>,
        count: usize,
        single: bool,
    },
}

/// What an accumulator has seen of one group.
#[derive(Debug, Default)]
pub(super) struct State {
    value: Option<Bson>,
    count: u64,
    list: Vec<Bson>,
    seen: HashSet<Vec<u8>>,
    ordered: Vec<(Vec<u8>, Bson)>,
}

impl Accumulator {
    /// Reads `{$sum: expression}`.
    ///
    /// # Errors
    /// `unsupported` names an accumulator that the engine lacks.
    pub(super) fn parse(field: &str, form: &Bson) -> Result<Self> {
        let entry = form.as_document().filter(|form| form.len() == 1).and_then(|form| form.iter().next());
        let (operator, operand) = entry.ok_or_else(|| {
            Error::bad_request(format!("`{field}` of `$group` takes one accumulator, not {form}"))
        })?;
        let kind = match operator.as_str() {
            "$sum" => Kind::Sum,
            "$avg" => Kind::Avg,
            "$min" => Kind::Min,
            "$max" => Kind::Max,
            "$first" => Kind::First,
            "$last" => Kind::Last,
            "$push" => Kind::Push,
            "$addToSet" => Kind::AddToSet,
            "$count" => return Ok(Self { kind: Kind::Sum, expr: Expr::Value(Bson::Int32(1)) }),
            "$firstN" | "$lastN" | "$topN" | "$bottomN" | "$top" | "$bottom" => {
                return several(operator, operand);
            }
            operator => {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no accumulator `{operator}`"
                )));
            }
        };
        Ok(Self { kind, expr: Expr::parse(operand)? })
    }

    /// Takes a document into the account.
    pub(super) fn add(&self, state: &mut State, document: &Document) -> Result<()> {
        let value = self.expr.eval(&Scope::of(document))?;
        state.count += 1;
        match &self.kind {
            Kind::Sum => {
                if let Some(value) = value.filter(is_number) {
                    let total = state.value.take().unwrap_or(Bson::Int32(0));
                    state.value = Some(widening(Arithmetic::Add, &total, &value)?);
                }
            }
            Kind::Avg => match value.filter(is_number) {
                None => state.count -= 1,
                Some(value) => {
                    let total = state.value.take().unwrap_or(Bson::Double(0.0));
                    state.value = Some(widening(Arithmetic::Add, &total, &value)?);
                }
            },
            Kind::Min => state.keep(value, std::cmp::Ordering::Less),
            Kind::Max => state.keep(value, std::cmp::Ordering::Greater),
            Kind::First => {
                if state.count == 1 {
                    state.value = value;
                }
            }
            Kind::Last => state.value = value,
            Kind::Push => state.list.extend(value),
            Kind::AddToSet => {
                if let Some(value) = value.filter(|value| state.seen.insert(keys::encoded(value))) {
                    state.list.push(value);
                }
            }
            Kind::FirstN(count) => {
                if state.list.len() < *count {
                    state.list.push(value.unwrap_or(Bson::Null));
                }
            }
            Kind::LastN(count) => {
                state.list.push(value.unwrap_or(Bson::Null));
                if state.list.len() > *count {
                    state.list.remove(0);
                }
            }
            Kind::Top { order, count, .. } => {
                let key = keys::sort_key(&keys::to_raw(document)?, order);
                let position = state.ordered.partition_point(|(other, _)| *other <= key);
                if position < *count {
                    state.ordered.insert(position, (key, value.unwrap_or(Bson::Null)));
                    state.ordered.truncate(*count);
                }
            }
        }
        Ok(())
    }

    /// The value for the group.
    pub(super) fn finish(&self, state: State) -> Bson {
        match &self.kind {
            Kind::Sum => state.value.unwrap_or(Bson::Int32(0)),
            Kind::Avg => match state.value.and_then(|total| total.as_f64()) {
                Some(total) => Bson::Double(total / state.count as f64),
                None => Bson::Null,
            },
            Kind::Min | Kind::Max | Kind::First | Kind::Last => state.value.unwrap_or(Bson::Null),
            Kind::Push | Kind::AddToSet | Kind::FirstN(_) | Kind::LastN(_) => Bson::Array(state.list),
            Kind::Top { single, .. } => {
                let mut values = state.ordered.into_iter().map(|(_, value)| value);
                if *single { values.next().unwrap_or(Bson::Null) } else { Bson::Array(values.collect()) }
            }
        }
    }
}

impl State {
    /// Keeps the value where it is `wanted` against the present one; null and missing never count.
    fn keep(&mut self, value: Option<Bson>, wanted: std::cmp::Ordering) {
        let Some(value) = value.filter(|value| !matches!(value, Bson::Null | Bson::Undefined)) else {
            return;
        };
        if self.value.is_none() || compare(Some(&value), self.value.as_ref()) == wanted {
            self.value = Some(value);
        }
    }
}

fn is_number(value: &Bson) -> bool {
    matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_))
}

fn several(operator: &str, operand: &Bson) -> Result<Accumulator> {
    let wrong = |what: &str| Error::bad_request(format!("`{operator}` lacks {what}: {operand}"));
    let form = operand.as_document().ok_or_else(|| wrong("its document"))?;
    let single = matches!(operator, "$top" | "$bottom");
    let count = if single {
        1
    } else {
        let count = form.get("n").and_then(integer).filter(|count| *count > 0);
        usize::try_from(count.ok_or_else(|| wrong("`n`, a number from 1"))?).unwrap_or(usize::MAX)
    };
    if matches!(operator, "$firstN" | "$lastN") {
        let expr = Expr::parse(form.get("input").ok_or_else(|| wrong("`input`"))?)?;
        let kind = if operator == "$firstN" { Kind::FirstN(count) } else { Kind::LastN(count) };
        return Ok(Accumulator { kind, expr });
    }
    let expr = Expr::parse(form.get("output").ok_or_else(|| wrong("`output`"))?)?;
    let order = form.get_document("sortBy").map_err(|_| wrong("`sortBy`"))?;
    let order = sort_keys(Some(order))?;
    if operator.starts_with("$bottom") {
        return Err(Error::unsupported(format!("the embedded engine has no accumulator `{operator}`")));
    }
    Ok(Accumulator { kind: Kind::Top { order, count, single }, expr })
}
