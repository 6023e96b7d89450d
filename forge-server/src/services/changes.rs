//! Patches of collections without a schema: plain fields to set, and MongoDB's update operators.

use std::collections::BTreeMap;

use bson::Bson;
use forge_core::ir::{BitOp, Change, End, PushOptions, PushSort, SortKey};
use forge_core::types::Any;
use serde_json::{Map, Value};

use super::condition::{Grammar, OBJECT_ID};
use super::error::{ServiceError, ServiceResult};
use super::faults::misfit;
use super::order::Order;
use super::paths::wrong_in_patch;

/// The operators of patches.
pub(super) const OPERATORS: [&str; 15] = [
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$currentDate",
    "$push",
    "$addToSet",
    "$pull",
    "$pullAll",
    "$pop",
    "$bit",
    "$rename",
    ON_INSERT,
];

/// The changes that a patch asks for; conditions on elements may use the operators of `grammar`. What only new documents
/// get is left out: see [`on_insert`].
///
/// # Errors
/// `BadRequest` for operators that do not exist, and for values that they do not take.
pub(super) fn changes(
    patch: &Map<String, Value>,
    order: &Order,
    grammar: &Grammar,
) -> ServiceResult<Vec<Change>> {
    let (operators, plain_fields): (Vec<_>, Vec<_>) =
        patch.iter().partition(|(name, _)| name.starts_with('$'));
    let inner = operators.iter().filter_map(|(_, fields)| fields.as_object()).flat_map(Map::keys);
    plain_fields
        .iter()
        .map(|(name, _)| *name)
        .chain(inner)
        .try_for_each(|path| checked_path(path).map(drop))?;
    // Plain fields and `$set` are one list, in which the later value of a path counts.
    let mut set = BTreeMap::new();
    let mut others = Vec::new();
    for (name, value) in patch {
        match name.as_str() {
            ON_INSERT => drop(fields(name, value)?),
            "$set" => {
                for (path, value) in fields(name, value)? {
                    set.insert(path.clone(), order.field(name).field(path).arrange(plain(path, value)?));
                }
            }
            operator if operator.starts_with('$') => {
                for (path, value) in fields(name, value)? {
                    let change = change(operator, path, value, (order.field(name).field(path), grammar));
                    others.push(change.map_err(|failure| failure.of_field(path))?);
                }
            }
            path => {
                set.entry(path.to_owned()).or_insert(order.field(path).arrange(plain(path, value)?));
            }
        }
    }
    let set = set.into_iter().map(|(path, value)| Change::Set(path.into(), value));
    Ok(set.chain(others).collect())
}

/// Refuses paths that no document has.
pub(super) fn checked_path(path: &str) -> ServiceResult<&str> {
    match wrong_in_patch(path) {
        None => Ok(path),
        Some(wrong) => {
            let shown: String = path.chars().take(64).collect();
            Err(misfit(&shown, "pattern", wrong))
        }
    }
}

/// The operator of what only new documents get.
const ON_INSERT: &str = "$setOnInsert";

/// What a patch adds to a document that it makes, by paths.
///
/// # Errors
/// As [`changes`].
pub(super) fn on_insert(patch: &Map<String, Value>, order: &Order) -> ServiceResult<Vec<(String, Bson)>> {
    let Some(added) = patch.get(ON_INSERT) else { return Ok(Vec::new()) };
    let order = order.field(ON_INSERT);
    let added = fields(ON_INSERT, added)?.iter().map(|(path, value)| {
        checked_path(path)?;
        Ok((path.clone(), order.field(path).arrange(plain(path, value)?)))
    });
    added.collect()
}

fn change(
    operator: &str,
    path: &str,
    value: &Value,
    (order, grammar): (&Order, &Grammar),
) -> ServiceResult<Change> {
    let to = || path.to_owned().into();
    let one = || Ok::<_, ServiceError>(order.arrange(any(value)?));
    Ok(match operator {
        "$unset" => Change::Unset(to()),
        "$inc" => Change::Inc(to(), number(operator, value)?),
        "$mul" => Change::Mul(to(), number(operator, value)?),
        "$min" => Change::Min(to(), one()?),
        "$max" => Change::Max(to(), one()?),
        "$currentDate" => match is_date(value) {
            true => Change::CurrentDate(to()),
            false => return Err(refused(operator, DATE)),
        },
        "$pop" => match value.as_i64() {
            Some(1) => Change::Pop(to(), End::Last),
            Some(-1) => Change::Pop(to(), End::First),
            _ => return Err(refused(operator, "1 or -1")),
        },
        "$push" => push(to(), value, order)?,
        "$addToSet" if !is_each_alone(value) => return Err(refused(operator, EACH)),
        "$addToSet" => Change::AddToSet(to(), each(value, order)?),
        "$pullAll" => Change::Pull(to(), list(operator, value)?),
        "$pull" => pull(to(), value, order, grammar)?,
        "$bit" => bit(to(), value)?,
        "$rename" => match value.as_str() {
            Some(new) => Change::Rename(to(), checked_path(new)?.to_owned().into()),
            None => return Err(refused(operator, "the new path of a field")),
        },
        other => {
            let shown: String = other.chars().take(64).collect();
            let failure = ServiceError::bad_request(format!("Invalid update operator {shown}"));
            return Err(failure.of_field(&shown));
        }
    })
}

fn push(path: forge_core::ir::Path, value: &Value, order: &Order) -> ServiceResult<Change> {
    let values = each(value, order)?;
    let Some(modifiers) = value.as_object().filter(|object| object.contains_key("$each")) else {
        return Ok(Change::Push(path, values));
    };
    let mut options = PushOptions::default();
    for (name, value) in modifiers {
        let count = || value.as_i64().ok_or_else(|| refused(name, "a whole number"));
        match name.as_str() {
            "$each" => {}
            "$position" => options.position = Some(count()?),
            "$slice" => options.slice = Some(count()?),
            "$sort" => options.sort = Some(sorting(value)?),
            _ => return Err(refused("$push", "$each, $position, $slice and $sort")),
        }
    }
    match options == PushOptions::default() {
        true => Ok(Change::Push(path, values)),
        false => Ok(Change::PushWith(path, values, options)),
    }
}

fn sorting(value: &Value) -> ServiceResult<PushSort> {
    let descending = |value: &Value| match value.as_i64() {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => Err(refused("$sort", "1 or -1")),
    };
    let Some(object) = value.as_object() else {
        return Ok(PushSort::Values { descending: descending(value)? });
    };
    let keys = object.iter().map(|(path, direction)| {
        Ok(SortKey { path: checked_path(path)?.to_owned().into(), descending: descending(direction)? })
    });
    keys.collect::<ServiceResult<Vec<_>>>().map(PushSort::Paths)
}

/// Elements that are equal to a value, or that meet a condition: one on themselves, or on their fields.
fn pull(
    path: forge_core::ir::Path,
    value: &Value,
    order: &Order,
    grammar: &Grammar,
) -> ServiceResult<Change> {
    match value {
        Value::Object(object) if !object.contains_key(OBJECT_ID) => {
            let at = format!("/$pull/{path}");
            Ok(Change::PullWhere(path, grammar.of_element(object, &at)?))
        }
        value => Ok(Change::Pull(path, vec![order.arrange(any(value)?)])),
    }
}

fn bit(path: forge_core::ir::Path, value: &Value) -> ServiceResult<Change> {
    let mut operations = value.as_object().into_iter().flatten();
    let (Some((name, operand)), None) = (operations.next(), operations.next()) else {
        return Err(refused("$bit", "one of and, or, xor"));
    };
    let operation = match name.as_str() {
        "and" => BitOp::And,
        "or" => BitOp::Or,
        "xor" => BitOp::Xor,
        _ => return Err(refused("$bit", "one of and, or, xor")),
    };
    match operand.as_i64() {
        Some(_) => Ok(Change::Bit(path, operation, any(operand)?)),
        None => Err(refused("$bit", "a whole number")),
    }
}

/// What `$currentDate` takes: every date of services is a date.
pub(super) const DATE: &str = "true, or { \"$type\": \"date\" }";
/// What `$addToSet` takes.
pub(super) const EACH: &str = "a value, or $each by itself";

/// Whether `$currentDate` takes a value.
pub(super) fn is_date(value: &Value) -> bool {
    value.is_boolean()
        || value.as_object().is_some_and(|of| of.len() == 1 && of.get("$type") == Some(&"date".into()))
}

/// Whether a value stands for itself, or `$each` has nothing beside it.
pub(super) fn is_each_alone(value: &Value) -> bool {
    value.as_object().is_none_or(|object| object.len() == 1 || !object.contains_key("$each"))
}

/// The values to add: those of `$each`, or the value itself.
fn each(value: &Value, order: &Order) -> ServiceResult<Vec<Bson>> {
    let Some(values) = value.get("$each") else { return Ok(vec![order.arrange(any(value)?)]) };
    let items = list("$each", values)?.into_iter().enumerate();
    Ok(items.map(|(index, item)| order.field("$each").item(index).arrange(item)).collect())
}

fn fields<'a>(operator: &str, value: &'a Value) -> ServiceResult<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| refused(operator, "an object of fields").of_field(operator))
}

fn list(operator: &str, value: &Value) -> ServiceResult<Vec<Bson>> {
    let list = value.as_array().ok_or_else(|| refused(operator, "a list"))?;
    list.iter().map(any).collect()
}

fn number(operator: &str, value: &Value) -> ServiceResult<Bson> {
    if value.is_number() { any(value) } else { Err(refused(operator, "a number")) }
}

/// The stored form of the value of a field.
fn plain(path: &str, value: &Value) -> ServiceResult<Bson> {
    any(value).map_err(|failure| failure.of_field(path))
}

/// The stored form of a value. Operators inside of it are refused.
pub(super) fn any(value: &Value) -> ServiceResult<Bson> {
    let read = serde_json::from_value::<Any>(value.clone());
    read.map(Bson::from).map_err(|error| ServiceError::bad_request(error.to_string()))
}

fn refused(operator: &str, takes: &str) -> ServiceError {
    ServiceError::bad_request(format!("{operator} takes {takes}"))
}

#[cfg(test)]
mod tests {
    use bson::bson;
    use forge_core::ir::{Filter, Predicate};
    use serde_json::json;

    use super::*;

    fn of(patch: &Value) -> ServiceResult<Vec<Change>> {
        changes(patch.as_object().unwrap(), &Order::Unknown, &Grammar::default())
    }

    #[test]
    fn plain_fields_are_set_and_operators_kept() {
        let patch = json!({
            "a": 1, "b.c": "x", "$set": { "a": 2 }, "$inc": { "n": 1 }, "$rename": { "y": "z" },
            "$push": { "list": { "$each": [1, 2], "$slice": -5 } },
        });
        let options = PushOptions { slice: Some(-5), ..PushOptions::default() };
        let expected = [
            Change::Set("a".into(), bson!(2)),
            Change::Set("b.c".into(), bson!("x")),
            Change::Inc("n".into(), bson!(1)),
            Change::Rename("y".into(), "z".into()),
            Change::PushWith("list".into(), vec![bson!(1), bson!(2)], options),
        ];
        let made = of(&patch).unwrap();
        assert_eq!(made.len(), expected.len());
        assert!(expected.iter().all(|change| made.contains(change)), "{made:?}");
    }

    #[test]
    fn elements_are_pulled_by_value_and_by_conditions_on_themselves_and_their_fields() {
        let field = |path: &str, predicate| Filter::Field(path.to_owned().into(), predicate);
        let hex = "0123456789abcdef01234567";
        for (value, expected) in [
            (json!({ "score": 8 }), Err(field("score", Predicate::Eq(bson!(8))))),
            (json!({ "score": { "$gte": 8 } }), Err(field("score", Predicate::Gte(bson!(8))))),
            (json!({ "$gte": 8 }), Err(field("", Predicate::Gte(bson!(8))))),
            (json!(8), Ok(bson!(8))),
            (json!({ "$oid": hex }), Ok(bson::oid::ObjectId::parse_str(hex).unwrap().into())),
        ] {
            let expected = match expected {
                Ok(value) => Change::Pull("list".into(), vec![value]),
                Err(condition) => Change::PullWhere("list".into(), condition),
            };
            assert_eq!(of(&json!({ "$pull": { "list": value } })).unwrap(), [expected], "{value}");
        }
    }

    #[test]
    fn what_is_no_update_is_refused() {
        for patch in [
            json!({ "$where": { "a": 1 } }),
            json!({ "$inc": { "a": "1" } }),
            json!({ "$set": 1 }),
            json!({ "$rename": { "a": 1 } }),
            json!({ "$rename": { "a": "$b" } }),
            json!({ "$rename": { "a": "b..c" } }),
            json!({ "a..b": 1 }),
            json!({ "$inc": { "a.$b": 1 } }),
            json!({ "$setOnInsert": { "": 1 } }),
            json!({ "$push": { "a": { "$each": [1], "$sort": { "$b": 1 } } } }),
            json!({ "a": { "$gt": 1 } }),
            json!({ "$push": { "a": { "$each": 1 } } }),
            json!({ "$pull": { "a": { "$where": "1" } } }),
            json!({ "$pull": { "a": { "$regex": "x" } } }),
            json!({ "$pull": { "a": {} } }),
            json!({ "$addToSet": { "a": { "$each": [1], "$slice": 1 } } }),
            json!({ "$currentDate": { "a": "now" } }),
            json!({ "$currentDate": { "a": { "$type": "timestamp" } } }),
            json!({ "$bit": { "a": { "and": 1.5 } } }),
        ] {
            assert!(of(&patch).is_err(), "{patch}");
        }
    }
}
