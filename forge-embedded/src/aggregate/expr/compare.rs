//! Comparisons and what asks about any value.

use std::cmp::Ordering;

use bson::Bson;
use forge_core::{Error, Result};

use super::{Nulls, Operator, Value, array, compare, truthy};
use crate::keys;

const fn operator(name: &'static str, most: usize, apply: fn(&[Value]) -> Result<Value>) -> Operator {
    Operator { name, least: most, most, nulls: Nulls::Asked, apply }
}

fn order(values: &[Value]) -> Ordering {
    let argument = |position: usize| values.get(position).and_then(Option::as_ref);
    compare(argument(0), argument(1))
}

fn answer(truth: bool) -> Result<Value> {
    Ok(Some(Bson::Boolean(truth)))
}

pub(super) static OPERATORS: [Operator; 12] = [
    operator("$eq", 2, |values| answer(order(values).is_eq())),
    operator("$ne", 2, |values| answer(order(values).is_ne())),
    operator("$gt", 2, |values| answer(order(values).is_gt())),
    operator("$gte", 2, |values| answer(order(values).is_ge())),
    operator("$lt", 2, |values| answer(order(values).is_lt())),
    operator("$lte", 2, |values| answer(order(values).is_le())),
    operator("$cmp", 2, |values| Ok(Some(Bson::Int32(order(values) as i32)))),
    operator("$not", 1, |values| answer(!truthy(values[0].as_ref()))),
    operator("$isArray", 1, |values| answer(matches!(values[0], Some(Bson::Array(_))))),
    operator("$isNumber", 1, |values| answer(values[0].as_ref().is_some_and(crate::update::is_number))),
    operator("$type", 1, |values| Ok(Some(type_name(values[0].as_ref()).into()))),
    operator("$in", 2, |values| match &values[1] {
        Some(list @ Bson::Array(_)) => {
            let wanted = values[0].as_ref().map(keys::encoded);
            answer(array(list)?.iter().any(|item| Some(keys::encoded(item)) == wanted))
        }
        other => Err(Error::bad_request(format!("the second argument is an array, not {other:?}"))),
    }),
];

/// The name of a value's type, as `$type` gives it.
pub(super) fn type_name(value: Option<&Bson>) -> &'static str {
    let Some(value) = value else { return "missing" };
    match value {
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
    }
}
