//! Queries of clients: which documents, in which order, how many, and which of their fields.

use forge_core::ir::{Filter, Projection, SortKey};
use serde_json::{Map, Value};

use super::condition::Grammar;
use super::error::{ServiceError, ServiceResult};
use super::faults::mismatch;
use super::paths::wrong_in_query;

/// A query, read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) sort: Vec<SortKey>,
    pub(super) limit: Option<u64>,
    pub(super) skip: Option<u64>,
    /// Which fields: the names that clients use, and the stored paths.
    pub(super) select: Option<Vec<(String, String)>>,
}

impl Query {
    /// Every field of what meets a condition.
    pub(super) fn by(filter: Filter) -> Self {
        Self { filter, sort: Vec::new(), limit: None, skip: None, select: None }
    }

    /// The stored paths to read of documents whose id is at `key`.
    pub(super) fn projection(&self, key: &str) -> Projection {
        match &self.select {
            None => Projection::All,
            Some(names) => {
                let own = [key, "_id"].map(str::to_owned);
                let paths = names.iter().map(|(_, stored)| stored.clone()).chain(own);
                Projection::Only(outermost(paths.map(Into::into).collect()))
            }
        }
    }
}

/// Paths without those inside of another: databases refuse to be asked for both.
fn outermost(mut paths: Vec<forge_core::ir::Path>) -> Vec<forge_core::ir::Path> {
    let all = paths.clone();
    let inside = |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'));
    paths.retain(|path| !all.iter().any(|other| inside(path, other)));
    paths.sort();
    paths.dedup();
    paths
}

impl Grammar {
    /// Reads a query. `paginated` services forgive a `$limit` that is no number.
    ///
    /// # Errors
    /// `BadRequest` for parameters and operators that are not allowed, and for values of the wrong type.
    pub(super) fn query(&self, query: &Map<String, Value>, paginated: bool) -> ServiceResult<Query> {
        let mut conditions = query.clone();
        let mut take = |name: &str| conditions.remove(name);
        let (limit, skip, sort, select) = (take("$limit"), take("$skip"), take("$sort"), take("$select"));
        let limit = limit.map(|value| self.count("$limit", &value, paginated)).transpose()?.flatten();
        let skip = skip.map(|value| self.count("$skip", &value, false)).transpose()?.flatten();
        Ok(Query {
            filter: self.condition(&conditions)?,
            sort: sort.map(|value| self.sort(&value)).transpose()?.unwrap_or_default(),
            limit,
            skip,
            select: select.map(|value| self.select(&value)).transpose()?,
        })
    }

    fn count(&self, name: &str, value: &Value, forgiving: bool) -> ServiceResult<Option<u64>> {
        let strict = self.fields.is_some();
        match whole(value, strict) {
            Some(count) => Ok(Some(count)),
            None if forgiving && !strict => Ok(None),
            None => Err(mismatch(&format!("/{name}"), "type", "must be number >= 0")),
        }
    }

    /// The keys of an object, or of a list of objects where their order counts.
    fn sort(&self, value: &Value) -> ServiceResult<Vec<SortKey>> {
        let objects: Option<Vec<_>> = match value {
            Value::Array(list) => list.iter().map(Value::as_object).collect(),
            one => one.as_object().map(|object| vec![object]),
        };
        let objects = objects.ok_or_else(|| mismatch("/$sort", "type", "must be object"))?;
        objects
            .into_iter()
            .flat_map(|object| object.iter().map(move |key| self.sort_key(key, object)))
            .collect()
    }

    fn sort_key(
        &self,
        (name, direction): (&String, &Value),
        object: &Map<String, Value>,
    ) -> ServiceResult<SortKey> {
        let at = format!("/$sort/{name}");
        if name.starts_with('$') {
            return Err(self.unknown(name, object, &at, "fields stand here, each with 1 or -1"));
        }
        let path = match &self.fields {
            Some(fields) if fields.any_sort && fields.find(name).is_none() => match wrong_in_query(name) {
                None => name.clone(),
                Some(wrong) => return Err(mismatch(&at, "pattern", wrong)),
            },
            // The order of whole sub-documents would tell of the fields that clients do not read.
            _ => match self.rule(name, &at)? {
                rule if rule.kind.hides() => {
                    let message = "is a sub-document: sort by its fields, by their paths";
                    return Err(mismatch(&at, "type", message));
                }
                rule => rule.stored,
            },
        };
        let descending = direction_of(direction).ok_or_else(|| mismatch(&at, "enum", "must be 1 or -1"))?;
        Ok(SortKey { path: path.into(), descending })
    }

    fn select(&self, value: &Value) -> ServiceResult<Vec<(String, String)>> {
        let strict = self.fields.is_some();
        let names: Option<Vec<_>> = match value {
            Value::Array(list) => list.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
            Value::String(name) if !strict => Some(vec![name.clone()]),
            _ => None,
        };
        let names = names.ok_or_else(|| mismatch("/$select", "type", "must be array of names"))?;
        let stored = |name: String| {
            if name.starts_with('$') {
                let shown: String = name.chars().take(64).collect();
                let message = format!("Invalid query parameter {shown}");
                return Err(ServiceError::bad_request(message).of_field("$select"));
            }
            let stored = self.rule(&name, "/$select")?.stored;
            Ok((name, stored))
        };
        names.into_iter().map(stored).collect()
    }
}

/// A number that counts. Without a schema, what stands behind its digits is left out, as JavaScript does.
fn whole(value: &Value, strict: bool) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(truncated)),
        Value::String(text) if strict => text.trim().parse::<f64>().ok().and_then(truncated),
        Value::String(text) => {
            let text = text.trim_start();
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            text[..digits].parse().ok()
        }
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn truncated(number: f64) -> Option<u64> {
    (0.0..9e15).contains(&number).then_some(number as u64)
}

/// Whether a direction is downwards.
fn direction_of(value: &Value) -> Option<bool> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(1) => Some(false),
        Some(-1) => Some(true),
        _ => None,
    }
}
