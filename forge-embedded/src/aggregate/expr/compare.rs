//! Comparisons and what asks about any value.

use std::cmp::Ordering;

use bson::Bson;
use forge_core::{Error, Result};

use super::{Apply, Nulls, Operator, Value, array, compare, truthy};
use crate::collation::{self, Strings};

const fn operator(name: &'static str, most: usize, apply: Apply) -> Operator {
    Operator { name, least: most, most, nulls: Nulls::Asked, apply }
}

/// An operator on the order of two values.
const fn comparison(name: &'static str, apply: fn(&[Value], Strings<'_>) -> Result<Value>) -> Operator {
    operator(name, 2, Apply::Comparing(apply))
}

fn order(values: &[Value], strings: Strings<'_>) -> Ordering {
    let argument = |position: usize| values.get(position).and_then(Option::as_ref);
    compare(argument(0), argument(1), strings)
}

fn answer(truth: bool) -> Result<Value> {
    Ok(Some(Bson::Boolean(truth)))
}

pub(super) static OPERATORS: [Operator; 12] = [
    comparison("$eq", |values, strings| answer(order(values, strings).is_eq())),
    comparison("$ne", |values, strings| answer(order(values, strings).is_ne())),
    comparison("$gt", |values, strings| answer(order(values, strings).is_gt())),
    comparison("$gte", |values, strings| answer(order(values, strings).is_ge())),
    comparison("$lt", |values, strings| answer(order(values, strings).is_lt())),
    comparison("$lte", |values, strings| answer(order(values, strings).is_le())),
    comparison("$cmp", |values, strings| Ok(Some(Bson::Int32(order(values, strings) as i32)))),
    operator("$not", 1, Apply::Alone(|values| answer(!truthy(values[0].as_ref())))),
    operator("$isArray", 1, Apply::Alone(|values| answer(matches!(values[0], Some(Bson::Array(_)))))),
    operator(
        "$isNumber",
        1,
        Apply::Alone(|values| answer(values[0].as_ref().is_some_and(crate::update::is_number))),
    ),
    operator("$type", 1, Apply::Alone(|values| Ok(Some(type_name(values[0].as_ref()).into())))),
    comparison("$in", |values, strings| match &values[1] {
        Some(list @ Bson::Array(_)) => {
            let wanted = values[0].as_ref().map(|value| collation::encoded(value, strings));
            answer(array(list)?.iter().any(|item| Some(collation::encoded(item, strings)) == wanted))
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
