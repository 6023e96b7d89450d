//! Update operators on documents of models: what they make of a document as clients see it. The new state is checked as
//! any other patch is, so that an operator does nothing that a value could not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde_json::{Map, Value};

use super::arithmetic::computed;
use super::changes::{DATE, EACH, checked_path, is_date, is_each_alone};
use super::error::{ServiceError, ServiceResult};
use super::faults::misfit;
use super::kind::Kind;

/// What a patch makes of a document.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Applied {
    /// The fields that it changes, with their new values; null for those that end.
    pub(super) fields: Map<String, Value>,
    /// Those of them whose new value depends on the one before.
    pub(super) computed: BTreeSet<String>,
}

/// Whether a patch says more than whole values of fields.
pub(super) fn has_operators(patch: &Map<String, Value>) -> bool {
    patch.keys().any(|name| name.starts_with('$') || name.contains('.'))
}

/// What is known while a patch is applied.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// The time, as clients read it.
    pub(super) now: &'a str,
    /// What is at a path, where that is known.
    pub(super) kind: &'a (dyn Fn(&str) -> Option<Kind> + Sync),
}

/// What `patch` makes of a document that clients see as `shown`.
///
/// # Errors
/// `BadRequest` for operators that do not exist, for values that they do not take, and for two changes of one field.
pub(super) fn apply(
    patch: &Map<String, Value>,
    shown: Map<String, Value>,
    about: About<'_>,
) -> ServiceResult<Applied> {
    let changes = changes(patch)?;
    let mut state = Value::Object(shown);
    let mut applied = Applied::default();
    for (path, (operator, value)) in &changes {
        change(&mut state, path, operator, value, about).map_err(|failure| failure.of_field(path))?;
        let top = top_of(path);
        if top != *path || !["$set", "$unset", "$currentDate"].contains(operator) {
            applied.computed.insert(top.to_owned());
        }
        applied.fields.insert(top.to_owned(), Value::Null);
    }
    for (name, value) in &mut applied.fields {
        *value = state.get(name).cloned().unwrap_or_default();
    }
    Ok(applied)
}

/// The new document that `patch` makes where there is none.
///
/// # Errors
/// As [`apply`].
pub(super) fn made(patch: &Map<String, Value>, about: About<'_>) -> ServiceResult<Map<String, Value>> {
    let changes = changes(patch)?;
    let mut state = Value::Object(apply(patch, Map::new(), about)?.fields);
    let added = patch.get("$setOnInsert").map(|added| fields("$setOnInsert", added)).transpose()?;
    for (path, value) in added.into_iter().flatten() {
        checked_path(path)?;
        // What the changes say counts.
        if !changes.contains_key(path.as_str()) && !collides(&changes, path) {
            set(&mut state, path, value.clone()).map_err(|failure| failure.of_field(path))?;
        }
    }
    let Value::Object(mut made) = state else { return Ok(Map::new()) };
    made.retain(|_, value| !value.is_null());
    Ok(made)
}

/// The operators and their values, by the paths that they change.
type Changes<'a> = BTreeMap<&'a str, (&'a str, &'a Value)>;

/// The changes of a patch.
fn changes(patch: &Map<String, Value>) -> ServiceResult<Changes<'_>> {
    let mut all = Changes::new();
    // `$set` counts before plain values, as with collections that have no model.
    for (path, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        all.insert(path.as_str(), ("$set", value));
    }
    for (operator, given) in patch.iter().filter(|(name, _)| name.starts_with('$')) {
        let given = fields(operator, given)?;
        if operator == "$setOnInsert" {
            continue;
        }
        for (path, value) in given {
            let known = all.insert(path.as_str(), (operator.as_str(), value));
            if known.is_some_and(|(other, _)| operator != "$set" || other != "$set") {
                return Err(misfit(path, "type", "must be changed by one operator at a time"));
            }
        }
    }
    all.keys().try_for_each(|path| checked_path(path).map(drop))?;
    match all.keys().find(|path| collides(&all, path)) {
        Some(path) => Err(misfit(path, "type", "must be changed as a whole or by its parts, not both")),
        None => Ok(all),
    }
}

fn top_of(path: &str) -> &str {
    path.split_once('.').map_or(path, |(top, _)| top)
}

/// Whether one of these paths contains `path`, or is inside of it. Bodies may name very many.
fn collides(paths: &Changes<'_>, path: &str) -> bool {
    let above = path.match_indices('.').any(|(end, _)| paths.contains_key(&path[..end]));
    let below = format!("{path}.");
    let next = paths.range::<str, _>((Bound::Excluded(below.as_str()), Bound::Unbounded)).next();
    above || next.is_some_and(|(next, _)| next.starts_with(&below))
}

fn fields<'a>(operator: &str, value: &'a Value) -> ServiceResult<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| refused(operator, "an object of fields").of_field(operator))
}

fn change(
    state: &mut Value,
    path: &str,
    operator: &str,
    value: &Value,
    about: About<'_>,
) -> ServiceResult<()> {
    match operator {
        "$set" => set(state, path, value.clone()),
        "$currentDate" if is_date(value) => set(state, path, about.now.into()),
        "$currentDate" => Err(refused(operator, DATE)),
        "$unset" => {
            unset(state, path);
            Ok(())
        }
        "$inc" | "$mul" | "$min" | "$max" => {
            let slot = slot(state, path)?;
            *slot = computed(operator, slot, value, (about.kind)(path).as_ref())?;
            Ok(())
        }
        "$push" | "$addToSet" | "$pull" | "$pullAll" | "$pop" => {
            let slot = slot(state, path)?;
            let list = match slot {
                Value::Null => Vec::new(),
                Value::Array(list) => std::mem::take(list),
                _ => return Err(ServiceError::bad_request(format!("is no list, which {operator} changes"))),
            };
            *slot = changed_list(operator, list, value)?.into();
            Ok(())
        }
        other => {
            let shown: String = other.chars().take(64).collect();
            Err(ServiceError::bad_request(format!("Invalid update operator {shown} for a model"))
                .of_field(&shown))
        }
    }
}

fn changed_list(operator: &str, mut list: Vec<Value>, value: &Value) -> ServiceResult<Vec<Value>> {
    match operator {
        "$push" => return pushed(list, value),
        "$addToSet" if !is_each_alone(value) => return Err(refused(operator, EACH)),
        "$addToSet" => {
            for value in each(value)? {
                if !list.contains(&value) {
                    list.push(value);
                }
            }
        }
        "$pull" if value.as_object().is_some_and(|value| value.keys().any(|name| name.starts_with('$'))) => {
            return Err(refused("$pull", "a value, where there is a model"));
        }
        "$pull" => list.retain(|item| item != value),
        "$pullAll" => {
            let gone = value.as_array().ok_or_else(|| refused(operator, "a list"))?;
            list.retain(|item| !gone.contains(item));
        }
        _ => match value.as_i64() {
            Some(1) => drop(list.pop()),
            Some(-1) if !list.is_empty() => drop(list.remove(0)),
            Some(-1) => {}
            _ => return Err(refused(operator, "1 or -1")),
        },
    }
    Ok(list)
}

fn pushed(mut list: Vec<Value>, value: &Value) -> ServiceResult<Vec<Value>> {
    let new = each(value)?;
    let modifiers = value.as_object().filter(|object| object.contains_key("$each"));
    let known = |name: &String| ["$each", "$position", "$slice"].contains(&name.as_str());
    if modifiers.is_some_and(|modifiers| !modifiers.keys().all(known)) {
        return Err(refused("$push", "$each, $position and $slice, where there is a model"));
    }
    let count = |name: &str| match modifiers.and_then(|modifiers| modifiers.get(name)) {
        None => Ok(None),
        Some(count) => count.as_i64().map(Some).ok_or_else(|| refused(name, "a whole number")),
    };
    let size = |count: i64| usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let at = match count("$position")? {
        None => list.len(),
        Some(at) if at < 0 => list.len().saturating_sub(size(at)),
        Some(at) => size(at).min(list.len()),
    };
    list.splice(at..at, new);
    match count("$slice")? {
        None => {}
        Some(slice) if slice < 0 => drop(list.drain(..list.len().saturating_sub(size(slice)))),
        Some(slice) => list.truncate(size(slice)),
    }
    Ok(list)
}

/// The values to add: those of `$each`, or the value itself.
fn each(value: &Value) -> ServiceResult<Vec<Value>> {
    match value.get("$each") {
        Some(Value::Array(values)) => Ok(values.clone()),
        Some(_) => Err(refused("$each", "a list")),
        None => Ok(vec![value.clone()]),
    }
}

fn set(state: &mut Value, path: &str, value: Value) -> ServiceResult<()> {
    *slot(state, path)? = value;
    Ok(())
}

/// What is at a path; null is put there where nothing is.
fn slot<'a>(state: &'a mut Value, path: &str) -> ServiceResult<&'a mut Value> {
    let mut at = state;
    for name in path.split('.') {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let next = match at {
            Value::Object(fields) => Some(fields.entry(name).or_insert(Value::Null)),
            Value::Array(items) => item(items, name),
            _ => None,
        };
        at = next.ok_or_else(|| ServiceError::bad_request("is no place in the document"))?;
    }
    Ok(at)
}

fn item<'a>(items: &'a mut [Value], index: &str) -> Option<&'a mut Value> {
    items.get_mut(index.parse::<usize>().ok()?)
}

fn unset(state: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('.').map_or(("", path), |(parent, name)| (parent, name));
    let mut at = Some(state);
    for name in parent.split('.').filter(|name| !name.is_empty()) {
        at = at.and_then(|at| match at {
            Value::Object(fields) => fields.get_mut(name),
            Value::Array(items) => item(items, name),
            _ => None,
        });
    }
    match at {
        Some(Value::Object(fields)) => drop(fields.remove(name)),
        Some(Value::Array(items)) => {
            if let Some(item) = item(items, name) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

pub(super) fn refused(operator: &str, takes: &str) -> ServiceError {
    ServiceError::bad_request(format!("{operator} takes {takes}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: About<'_> = About { now: "now", kind: &|_| None };

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn applied(patch: &Value) -> ServiceResult<Value> {
        let shown =
            json!({ "n": 5, "x": 0.5, "list": [1, 2, 3], "home": { "city": "Rome", "zip": 1 }, "gone": 1 });
        Ok(apply(&object(patch), object(&shown), PLAIN)?.fields.into())
    }

    #[test]
    fn operators_make_new_values_of_fields() {
        for (patch, made) in [
            (json!({ "$inc": { "n": -2, "x": 1 } }), json!({ "n": 3, "x": 1.5 })),
            (json!({ "$mul": { "n": 2, "new": 3 } }), json!({ "n": 10, "new": 0 })),
            (
                json!({ "$min": { "n": 4, "new": 7 }, "$max": { "x": 0.25 } }),
                json!({ "n": 4, "new": 7, "x": 0.5 }),
            ),
            (
                json!({ "home.city": "Oslo", "$unset": { "home.zip": "" } }),
                json!({ "home": { "city": "Oslo" } }),
            ),
            (json!({ "a": 1, "$set": { "a": 2 }, "$unset": { "gone": 1 } }), json!({ "a": 2, "gone": null })),
            (json!({ "$push": { "list": 4 } }), json!({ "list": [1, 2, 3, 4] })),
            (
                json!({ "$push": { "list": { "$each": [8, 9], "$position": 1, "$slice": -4 } } }),
                json!({ "list": [8, 9, 2, 3] }),
            ),
            (json!({ "$addToSet": { "list": { "$each": [3, 4] } } }), json!({ "list": [1, 2, 3, 4] })),
            (json!({ "$pullAll": { "list": [1, 3] } }), json!({ "list": [2] })),
            (json!({ "$pop": { "list": -1 } }), json!({ "list": [2, 3] })),
            (json!({ "$set": { "list.1": 7 } }), json!({ "list": [1, 7, 3] })),
            (json!({ "$currentDate": { "at": true } }), json!({ "at": "now" })),
        ] {
            assert_eq!(applied(&patch).unwrap(), made, "{patch}");
        }
    }

    #[test]
    fn what_operators_do_not_take_is_refused_with_the_field() {
        for (patch, field) in [
            (json!({ "$inc": { "n": "1" } }), "n"),
            (json!({ "$inc": { "home": 1 } }), "home"),
            (json!({ "$inc": { "n": i64::MAX } }), "n"),
            (json!({ "$push": { "n": 1 } }), "n"),
            (json!({ "$push": { "list": { "$each": 1 } } }), "list"),
            (json!({ "$push": { "list": { "$each": [], "$where": 1 } } }), "list"),
            (json!({ "$pull": { "list": { "$gt": 1 } } }), "list"),
            (json!({ "$addToSet": { "list": { "$each": [1], "$slice": 1 } } }), "list"),
            (json!({ "$currentDate": { "n": "now" } }), "n"),
            (json!({ "home.": 1 }), "home."),
            (json!({ "$set": { "list.9": 1 } }), "list.9"),
            (json!({ "$set": { "n.a": 1 } }), "n.a"),
            (json!({ "$bit": { "n": { "and": 1 } } }), "$bit"),
            (json!({ "$rename": { "n": "m" } }), "$rename"),
            (json!({ "$set": 1 }), "$set"),
            (json!({ "n": 1, "$inc": { "n": 1 } }), "n"),
            (json!({ "home": {}, "home.city": "x" }), "home"),
        ] {
            let failure = applied(&patch).unwrap_err().to_json();
            assert_eq!(
                (&failure["code"], failure["errors"].get(field).is_some()),
                (&json!(400), true),
                "{patch}: {failure}"
            );
        }
    }

    #[test]
    fn a_document_is_made_of_changes_and_of_what_only_new_ones_get() {
        let patch = json!({
            "$inc": { "n": 2 }, "home.city": "Rome", "$unset": { "gone": "" },
            "$setOnInsert": { "n": 9, "home.zip": 5, "home.city": "x", "by": "me" },
        });
        let expected = json!({ "n": 2, "home": { "city": "Rome", "zip": 5 }, "by": "me" });
        assert_eq!(made(&object(&patch), PLAIN).unwrap(), object(&expected));
    }
}
