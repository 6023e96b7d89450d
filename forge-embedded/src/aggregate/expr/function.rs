//! The functions of expressions.

use std::cmp::Ordering;

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::{Expr, Scope, compare, is_nothing, truthy};
use crate::index::integer;
use crate::keys;
use crate::update::{Arithmetic, combine};

/// A function of evaluated arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Mod,
    Abs,
    Floor,
    Ceil,
    Cond,
    IfNull,
    Compare(Test),
    Cmp,
    And,
    Or,
    Not,
    In,
    Size,
    ElementAt,
    First,
    Last,
    Slice,
    Concat,
    ConcatArrays,
    ToLower,
    ToUpper,
    ToString,
    IsArray,
    Type,
    MergeObjects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Function {
    pub(super) fn call(self, arguments: &[Expr], scope: &Scope<'_>) -> Result<Option<Bson>> {
        match self {
            // These look at no more arguments than they need.
            Function::Cond => {
                let chosen = if truthy(arguments[0].eval(scope)?.as_ref()) { 1 } else { 2 };
                return arguments[chosen].eval(scope);
            }
            Function::IfNull => {
                for (position, argument) in arguments.iter().enumerate() {
                    let value = argument.eval(scope)?;
                    if !is_nothing(value.as_ref()) || position + 1 == arguments.len() {
                        return Ok(value);
                    }
                }
                return Ok(None);
            }
            Function::And | Function::Or => {
                let stop = self == Function::Or;
                for argument in arguments {
                    if truthy(argument.eval(scope)?.as_ref()) == stop {
                        return Ok(Some(stop.into()));
                    }
                }
                return Ok(Some((!stop).into()));
            }
            _ => {}
        }
        let values = arguments.iter().map(|argument| argument.eval(scope)).collect::<Result<Vec<_>>>()?;
        self.apply(&values).map_err(|error| error.context(format!("{self:?}")))
    }

    fn apply(self, values: &[Option<Bson>]) -> Result<Option<Bson>> {
        let argument = |position: usize| values.get(position).and_then(Option::as_ref);
        let some = |value: Bson| Ok(Some(value));
        match self {
            Function::Compare(test) => some(test.holds(compare(argument(0), argument(1))).into()),
            Function::Cmp => some((compare(argument(0), argument(1)) as i32).into()),
            Function::Not => some((!truthy(argument(0))).into()),
            Function::IsArray => some(matches!(argument(0), Some(Bson::Array(_))).into()),
            Function::Type => some(type_name(argument(0)).into()),
            Function::ToLower | Function::ToUpper => {
                let text = text_of(argument(0))?;
                some(if self == Function::ToLower { text.to_lowercase() } else { text.to_uppercase() }.into())
            }
            Function::MergeObjects => merge(values),
            Function::In => match argument(1) {
                Some(Bson::Array(items)) => {
                    let wanted = argument(0).map(keys::encoded);
                    some(items.iter().any(|item| Some(keys::encoded(item)) == wanted).into())
                }
                other => Err(Error::bad_request(format!("the second argument is an array, not {other:?}"))),
            },
            Function::Size => match argument(0) {
                Some(Bson::Array(items)) => some(i32::try_from(items.len()).unwrap_or(i32::MAX).into()),
                other => Err(Error::bad_request(format!("the argument is an array, not {other:?}"))),
            },
            // Of the others, nothing comes of nothing.
            _ if values.iter().any(|value| is_nothing(value.as_ref())) => some(Bson::Null),
            _ => {
                let values: Vec<&Bson> = values.iter().flatten().collect();
                self.apply_to_values(&values)
            }
        }
    }

    fn apply_to_values(self, values: &[&Bson]) -> Result<Option<Bson>> {
        match self {
            Function::Add => fold(Arithmetic::Add, Bson::Int32(0), values),
            Function::Multiply => fold(Arithmetic::Multiply, Bson::Int32(1), values),
            Function::Subtract => subtract(values[0], values[1]).map(Some),
            Function::Divide | Function::Mod => divide(self, values[0], values[1]).map(Some),
            Function::Abs | Function::Floor | Function::Ceil => round(self, values[0]).map(Some),
            Function::Concat => {
                let parts = values.iter().map(|value| match value {
                    Bson::String(text) => Ok(text.as_str()),
                    other => Err(Error::bad_request(format!("only strings are put together, not {other}"))),
                });
                Ok(Some(parts.collect::<Result<String>>()?.into()))
            }
            Function::ConcatArrays => {
                let parts = values.iter().map(|value| array(value).map(<[Bson]>::to_vec));
                Ok(Some(Bson::Array(parts.collect::<Result<Vec<_>>>()?.concat())))
            }
            Function::ToString => Ok(Some(text_of(values.first().copied())?.into())),
            Function::First => Ok(array(values[0])?.first().cloned()),
            Function::Last => Ok(array(values[0])?.last().cloned()),
            Function::ElementAt => {
                let items = array(values[0])?;
                let position = whole(values[1])?;
                let position = if position < 0 { position + items.len() as i64 } else { position };
                Ok(usize::try_from(position).ok().and_then(|position| items.get(position)).cloned())
            }
            Function::Slice => slice(values).map(Some),
            _ => Err(Error::internal("an expression function without a rule")),
        }
    }
}

impl Test {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Test::Eq => order.is_eq(),
            Test::Ne => order.is_ne(),
            Test::Gt => order.is_gt(),
            Test::Gte => order.is_ge(),
            Test::Lt => order.is_lt(),
            Test::Lte => order.is_le(),
        }
    }
}

fn fold(kind: Arithmetic, start: Bson, values: &[&Bson]) -> Result<Option<Bson>> {
    let mut total = start;
    for value in values {
        total = match (&total, *value) {
            // A date and milliseconds make a date.
            (Bson::DateTime(at), number) | (number, Bson::DateTime(at)) if kind == Arithmetic::Add => {
                Bson::DateTime(bson::DateTime::from_millis(
                    at.timestamp_millis().saturating_add(whole(number)?),
                ))
            }
            (total, value) => widening(kind, total, value)?,
        };
    }
    Ok(Some(total))
}

/// As [`combine`], but what overflows an i64 becomes a double, as in expressions on a server.
pub(crate) fn widening(kind: Arithmetic, a: &Bson, b: &Bson) -> Result<Bson> {
    combine(kind, a, b).or_else(|error| match (a, b) {
        (Bson::Int64(_) | Bson::Int32(_), Bson::Int64(_) | Bson::Int32(_)) => {
            combine(kind, &Bson::Double(number(a)?), b)
        }
        _ => Err(error),
    })
}

fn subtract(a: &Bson, b: &Bson) -> Result<Bson> {
    match (a, b) {
        (Bson::DateTime(a), Bson::DateTime(b)) => {
            Ok(Bson::Int64(a.timestamp_millis().saturating_sub(b.timestamp_millis())))
        }
        (Bson::DateTime(a), b) => {
            Ok(Bson::DateTime(bson::DateTime::from_millis(a.timestamp_millis().saturating_sub(whole(b)?))))
        }
        (a, b) => widening(Arithmetic::Subtract, a, b),
    }
}

fn number(value: &Bson) -> Result<f64> {
    keys::with_raw(value, forge_core::order::as_f64)
        .ok_or_else(|| Error::bad_request(format!("{value} is no number")))
}

fn whole(value: &Bson) -> Result<i64> {
    integer(value).ok_or_else(|| Error::bad_request(format!("{value} is no whole number")))
}

fn divide(function: Function, a: &Bson, b: &Bson) -> Result<Bson> {
    let (x, y) = (number(a)?, number(b)?);
    if y == 0.0 {
        return Err(Error::bad_request("cannot divide by zero"));
    }
    if function == Function::Divide {
        return Ok(Bson::Double(x / y));
    }
    match (a, b) {
        (Bson::Int32(a), Bson::Int32(b)) => Ok(Bson::Int32(a.wrapping_rem(*b))),
        (Bson::Double(_), _) | (_, Bson::Double(_)) => Ok(Bson::Double(x % y)),
        (a, b) => Ok(Bson::Int64(whole(a)?.wrapping_rem(whole(b)?))),
    }
}

fn round(function: Function, value: &Bson) -> Result<Bson> {
    Ok(match (function, value) {
        (Function::Abs, Bson::Int32(value)) if *value != i32::MIN => Bson::Int32(value.abs()),
        (Function::Abs, Bson::Int32(value)) => Bson::Int64(i64::from(*value).abs()),
        (Function::Abs, Bson::Int64(value)) => Bson::Int64(value.saturating_abs()),
        (_, Bson::Int32(_) | Bson::Int64(_)) => value.clone(),
        (Function::Abs, value) => Bson::Double(number(value)?.abs()),
        (Function::Floor, value) => Bson::Double(number(value)?.floor()),
        (_, value) => Bson::Double(number(value)?.ceil()),
    })
}

fn array(value: &Bson) -> Result<&[Bson]> {
    match value {
        Bson::Array(items) => Ok(items),
        other => Err(Error::bad_request(format!("an array is due, not {other}"))),
    }
}

fn slice(values: &[&Bson]) -> Result<Bson> {
    let items = array(values[0])?;
    let first = whole(values[1])?;
    let from_start = |position: i64| {
        let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        if position < 0 { items.len().saturating_sub(distance) } else { distance.min(items.len()) }
    };
    let (start, end) = match values.get(2) {
        None if first < 0 => (from_start(first), items.len()),
        None => (0, from_start(first)),
        Some(amount) => {
            let amount = whole(amount)?;
            if amount <= 0 {
                return Err(Error::bad_request("the third argument is a number from 1"));
            }
            let start = from_start(first);
            (start, start.saturating_add(usize::try_from(amount).unwrap_or(usize::MAX)).min(items.len()))
        }
    };
    Ok(Bson::Array(items[start..end].to_vec()))
}

fn text_of(value: Option<&Bson>) -> Result<String> {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(String::new()),
        Some(Bson::String(text) | Bson::Symbol(text)) => Ok(text.clone()),
        Some(Bson::ObjectId(id)) => Ok(id.to_hex()),
        Some(Bson::DateTime(at)) => Ok(forge_core::DateTime::from(*at).to_string()),
        Some(Bson::Boolean(value)) => Ok(value.to_string()),
        Some(Bson::Int32(value)) => Ok(value.to_string()),
        Some(Bson::Int64(value)) => Ok(value.to_string()),
        Some(Bson::Double(value)) => Ok(value.to_string()),
        Some(Bson::Decimal128(value)) => Ok(value.to_string()),
        Some(other) => Err(Error::bad_request(format!("{other} has no text form"))),
    }
}

fn merge(values: &[Option<Bson>]) -> Result<Option<Bson>> {
    let mut out = Document::new();
    for value in values.iter().flatten() {
        match value {
            Bson::Document(document) => out.extend(document.clone()),
            Bson::Null | Bson::Undefined => {}
            other => return Err(Error::bad_request(format!("only documents are merged, not {other}"))),
        }
    }
    Ok(Some(Bson::Document(out)))
}

fn type_name(value: Option<&Bson>) -> &'static str {
    match value {
        None => "missing",
        Some(value) => match value {
            Bson::Double(_) => "double",
            Bson::String(_) => "string",
            Bson::Array(_) => "array",
            Bson::Document(_) => "object",
            Bson::Boolean(_) => "bool",
            Bson::Null => "null",
            Bson::RegularExpression(_) => "regex",
            Bson::Int32(_) => "int",
            Bson::Int64(_) => "long",
            Bson::Timestamp(_) => "timestamp",
            Bson::Binary(_) => "binData",
            Bson::ObjectId(_) => "objectId",
            Bson::DateTime(_) => "date",
            Bson::Symbol(_) => "symbol",
            Bson::Decimal128(_) => "decimal",
            Bson::Undefined => "undefined",
            Bson::MaxKey => "maxKey",
            Bson::MinKey => "minKey",
            Bson::JavaScriptCode(_) => "javascript",
            Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
            Bson::DbPointer(_) => "dbPointer",
        },
    }
}
