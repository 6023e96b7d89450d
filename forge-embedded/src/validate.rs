//! Validators of collections: `$jsonSchema`, and conditions beside it.

use bson::{Bson, Document, RawDocument, doc};
use forge_core::{Error, Result};

use crate::filter;
use crate::keys;
use crate::matching::Matching;

/// How deep a schema may be nested.
const MAX_DEPTH: usize = 64;

/// What the documents of a collection must fulfil.
#[derive(Debug, Clone)]
pub(crate) struct Validator {
    /// Everything that it was made of, as `listCollections` answers it.
    pub(crate) options: Document,
    schema: Document,
    condition: Matching,
    strict: bool,
    refuse: bool,
}

impl Validator {
    /// Reads `validator`, `validationLevel` and `validationAction`; none where there is nothing to check.
    ///
    /// # Errors
    /// `unsupported` naming a keyword that this engine does not check, `bad_request` for what means nothing.
    pub(crate) fn from_options(options: &Document) -> Result<Option<Self>> {
        let Some(validator) = options.get("validator") else { return Ok(None) };
        let validator =
            validator.as_document().ok_or_else(|| Error::bad_request("a validator is a document"))?;
        let word = |key: &str, default: &str, known: &[&str]| {
            let word = options.get_str(key).unwrap_or(default).to_owned();
            let wrong = || Error::bad_request(format!("{key} is {}, not {word:?}", known.join(" or ")));
            known.contains(&word.as_str()).then_some(word.clone()).ok_or_else(wrong)
        };
        let level = word("validationLevel", "strict", &["strict", "moderate", "off"])?;
        let action = word("validationAction", "error", &["error", "warn"])?;
        if validator.is_empty() || level == "off" {
            return Ok(None);
        }
        let mut condition = validator.clone();
        let schema = match condition.remove("$jsonSchema") {
            None => Document::new(),
            Some(Bson::Document(schema)) => schema,
            Some(_) => return Err(Error::bad_request("$jsonSchema is a document")),
        };
        check(&schema, 0)?;
        let condition = Matching::new(&filter::parse(&condition)?)?;
        let (strict, refuse) = (level == "strict", action == "error");
        let options =
            doc! { "validator": validator.clone(), "validationLevel": level, "validationAction": action };
        Ok(Some(Self { options, schema, condition, strict, refuse }))
    }

    /// Checks a document that is to be stored in place of `before`.
    ///
    /// # Errors
    /// `bad_request` naming the path that breaks the schema, where the validator refuses.
    pub(crate) fn admit(
        &self,
        collection: &str,
        before: Option<&RawDocument>,
        after: &RawDocument,
    ) -> Result<()> {
        let Some(problem) = self.problem(after)? else { return Ok(()) };
        // A document that is wrong already may stay so.
        if !self.strict
            && before.is_some_and(|before| self.problem(before).is_ok_and(|problem| problem.is_some()))
        {
            return Ok(());
        }
        if !self.refuse {
            tracing::warn!(collection, problem, "a document breaks the schema of its collection");
            return Ok(());
        }
        Err(Error::bad_request(format!("the document breaks the schema of {collection}: {problem}")))
    }

    fn problem(&self, document: &RawDocument) -> Result<Option<String>> {
        if !self.condition.matches(document) {
            return Ok(Some("it does not match the validator".to_owned()));
        }
        if self.schema.is_empty() {
            return Ok(None);
        }
        Ok(broken(&self.schema, &Bson::Document(Document::try_from(document)?), ""))
    }
}

/// Reports keywords that [`broken`] would pass over.
fn check(schema: &Document, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::bad_request(format!("a $jsonSchema is at most {MAX_DEPTH} levels deep")));
    }
    let inner = |value: &Bson| match value {
        Bson::Document(schema) => check(schema, depth + 1),
        _ => Err(Error::bad_request("a schema inside of $jsonSchema is a document")),
    };
    for (key, value) in schema {
        match (key.as_str(), value) {
            ("items" | "anyOf" | "oneOf" | "allOf", Bson::Array(all)) => all.iter().try_for_each(inner)?,
            ("additionalProperties" | "additionalItems", Bson::Boolean(_)) => {}
            ("items" | "not" | "additionalProperties" | "additionalItems", schema) => inner(schema)?,
            ("properties" | "patternProperties", Bson::Document(all)) => {
                if key == "patternProperties" {
                    all.keys().try_for_each(|pattern| regex(pattern).map(|_| ()))?;
                }
                all.values().try_for_each(inner)?;
            }
            ("pattern", Bson::String(pattern)) => _ = regex(pattern)?,
            (
                "bsonType" | "type" | "enum" | "required" | "minLength" | "maxLength" | "minItems"
                | "maxItems" | "uniqueItems" | "minProperties" | "maxProperties" | "minimum" | "maximum"
                | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "title" | "description",
                _,
            ) => {}
            (keyword, _) => {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no $jsonSchema keyword `{keyword}`"
                )));
            }
        }
    }
    Ok(())
}

fn regex(pattern: &str) -> Result<regex::Regex> {
    regex::Regex::new(pattern).map_err(|error| {
        Error::bad_request(format!("the pattern {pattern:?} of a $jsonSchema is none: {error}"))
    })
}

/// What of `value` breaks `schema`, with its path; none where nothing does.
fn broken(schema: &Document, value: &Bson, path: &str) -> Option<String> {
    schema.iter().find_map(|(keyword, operand)| {
        let at = |what: String| Some(format!("`{}` {what}", if path.is_empty() { "(root)" } else { path }));
        match (keyword.as_str(), operand, value) {
            ("bsonType" | "type", kinds, value) if !is_any(kinds, value) => {
                at(format!("is {}, not {}", names_of(value)[0], shown(kinds)))
            }
            ("enum", Bson::Array(all), value) if !all.iter().any(|one| same(one, value)) => {
                at("is none of the allowed values".to_owned())
            }
            ("required", Bson::Array(names), Bson::Document(fields)) => {
                let missing =
                    names.iter().filter_map(Bson::as_str).find(|name| !fields.contains_key(*name))?;
                Some(format!("`{}` is missing", below(path, missing)))
            }
            ("anyOf", Bson::Array(all), value) if passing(all, value, path) == 0 => {
                at("fits no alternative".to_owned())
            }
            ("oneOf", Bson::Array(all), value) if passing(all, value, path) != 1 => {
                at("does not fit exactly one alternative".to_owned())
            }
            ("allOf", Bson::Array(all), value) => {
                all.iter().filter_map(Bson::as_document).find_map(|one| broken(one, value, path))
            }
            ("not", Bson::Document(not), value) if broken(not, value, path).is_none() => {
                at("is what it must not be".to_owned())
            }
            (_, _, Bson::Document(fields)) => in_object(schema, keyword, operand, fields, path),
            (_, _, Bson::Array(items)) => in_array(schema, keyword, operand, items, path),
            (_, _, Bson::String(text)) => in_text(keyword, operand, text).and_then(at),
            (_, _, number) => in_number(schema, keyword, operand, number).and_then(at),
        }
    })
}

fn passing(all: &[Bson], value: &Bson, path: &str) -> usize {
    all.iter().filter_map(Bson::as_document).filter(|one| broken(one, value, path).is_none()).count()
}

fn in_object(
    schema: &Document,
    keyword: &str,
    operand: &Bson,
    fields: &Document,
    path: &str,
) -> Option<String> {
    match (keyword, operand) {
        ("properties", Bson::Document(known)) => known
            .iter()
            .find_map(|(name, schema)| broken(schema.as_document()?, fields.get(name)?, &below(path, name))),
        ("patternProperties", Bson::Document(patterns)) => patterns.iter().find_map(|(pattern, schema)| {
            let pattern = regex(pattern).ok()?;
            let mut matching = fields.iter().filter(|(name, _)| pattern.is_match(name));
            matching.find_map(|(name, value)| broken(schema.as_document()?, value, &below(path, name)))
        }),
        ("additionalProperties", allowed) => {
            let mut others = fields.iter().filter(|(name, _)| !is_known(schema, name));
            match allowed {
                Bson::Boolean(false) => {
                    others.next().map(|(name, _)| format!("`{}` is not known", below(path, name)))
                }
                Bson::Document(schema) => {
                    others.find_map(|(name, value)| broken(schema, value, &below(path, name)))
                }
                _ => None,
            }
        }
        ("minProperties" | "maxProperties", bound) => {
            counted(keyword, bound, fields.len()).map(|what| format!("`{path}` has {what} fields"))
        }
        _ => None,
    }
}

fn is_known(schema: &Document, name: &str) -> bool {
    let named = schema.get_document("properties").is_ok_and(|known| known.contains_key(name));
    let patterns = schema.get_document("patternProperties").into_iter().flat_map(|patterns| patterns.keys());
    named || patterns.filter_map(|pattern| regex(pattern).ok()).any(|pattern| pattern.is_match(name))
}

fn in_array(schema: &Document, keyword: &str, operand: &Bson, items: &[Bson], path: &str) -> Option<String> {
    let each = |schema: &Document, from: usize| {
        let mut items = items.iter().enumerate().skip(from);
        items.find_map(|(at, item)| broken(schema, item, &below(path, &at.to_string())))
    };
    match (keyword, operand) {
        ("items", Bson::Document(schema)) => each(schema, 0),
        ("items", Bson::Array(schemas)) => {
            schemas.iter().zip(items).enumerate().find_map(|(at, (schema, item))| {
                broken(schema.as_document()?, item, &below(path, &at.to_string()))
            })
        }
        ("additionalItems", allowed) => {
            let first = schema.get_array("items").map_or(items.len(), Vec::len);
            match allowed {
                Bson::Boolean(false) if items.len() > first => {
                    Some(format!("`{path}` has more than {first} items"))
                }
                Bson::Document(schema) => each(schema, first),
                _ => None,
            }
        }
        ("minItems" | "maxItems", bound) => {
            counted(keyword, bound, items.len()).map(|what| format!("`{path}` has {what} items"))
        }
        ("uniqueItems", Bson::Boolean(true)) => {
            let mut seen = std::collections::HashSet::new();
            let repeated = items.iter().any(|item| !seen.insert(keys::encoded(item)));
            repeated.then(|| format!("`{path}` has an item twice"))
        }
        _ => None,
    }
}

fn in_text(keyword: &str, operand: &Bson, text: &str) -> Option<String> {
    match (keyword, operand) {
        ("minLength" | "maxLength", bound) => {
            counted(keyword, bound, text.chars().count()).map(|what| format!("has {what} characters"))
        }
        ("pattern", Bson::String(pattern)) if !regex(pattern).is_ok_and(|pattern| pattern.is_match(text)) => {
            Some(format!("does not match {pattern}"))
        }
        _ => None,
    }
}

fn in_number(schema: &Document, keyword: &str, operand: &Bson, value: &Bson) -> Option<String> {
    let number = |value: &Bson| keys::with_raw(value, forge_core::order::as_f64);
    let exclusive = |key: &str| schema.get_bool(key).unwrap_or(false);
    number(value)?;
    let ordering = keys::encoded(value).cmp(&keys::encoded(operand));
    match keyword {
        "minimum" if ordering.is_lt() || (ordering.is_eq() && exclusive("exclusiveMinimum")) => {
            Some(format!("is too small: {value}"))
        }
        "maximum" if ordering.is_gt() || (ordering.is_eq() && exclusive("exclusiveMaximum")) => {
            Some(format!("is too large: {value}"))
        }
        "multipleOf" if (number(value)? / number(operand)?).fract() != 0.0 => {
            Some(format!("is no multiple of {operand}"))
        }
        _ => None,
    }
}

/// How a count breaks a bound.
fn counted(keyword: &str, bound: &Bson, count: usize) -> Option<String> {
    let bound = usize::try_from(crate::index::integer(bound)?).unwrap_or(0);
    match keyword.starts_with("min") {
        true if count < bound => Some(format!("{count}, not at least {bound}")),
        false if count > bound => Some(format!("{count}, not at most {bound}")),
        _ => None,
    }
}

fn same(a: &Bson, b: &Bson) -> bool {
    keys::encoded(a) == keys::encoded(b)
}

fn is_any(kinds: &Bson, value: &Bson) -> bool {
    let names = names_of(value);
    match kinds {
        Bson::String(kind) => names.contains(&kind.as_str()),
        Bson::Array(kinds) => kinds.iter().filter_map(Bson::as_str).any(|kind| names.contains(&kind)),
        _ => false,
    }
}

/// The names of the type of a value: BSON's first, then its aliases, then JSON's.
fn names_of(value: &Bson) -> &'static [&'static str] {
    match value {
        Bson::Double(_) => &["double", "number"],
        Bson::Int32(_) => &["int", "number"],
        Bson::Int64(_) => &["long", "number"],
        Bson::Decimal128(_) => &["decimal", "number"],
        Bson::String(_) => &["string"],
        Bson::Document(_) => &["object"],
        Bson::Array(_) => &["array"],
        Bson::Binary(_) => &["binData"],
        Bson::ObjectId(_) => &["objectId"],
        Bson::Boolean(_) => &["bool", "boolean"],
        Bson::DateTime(_) => &["date"],
        Bson::Null => &["null"],
        Bson::RegularExpression(_) => &["regex"],
        Bson::JavaScriptCode(_) => &["javascript"],
        Bson::JavaScriptCodeWithScope(_) => &["javascriptWithScope"],
        Bson::Timestamp(_) => &["timestamp"],
        Bson::Symbol(_) => &["symbol"],
        Bson::MinKey => &["minKey"],
        Bson::MaxKey => &["maxKey"],
        Bson::Undefined => &["undefined"],
        Bson::DbPointer(_) => &["dbPointer"],
    }
}

fn shown(kinds: &Bson) -> String {
    match kinds {
        Bson::Array(all) => all.iter().filter_map(Bson::as_str).collect::<Vec<_>>().join(" or "),
        kind => kind.as_str().unwrap_or_default().to_owned(),
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "cases read better with values in place")]
    fn problem(schema: Document, value: Document) -> Option<String> {
        check(&schema, 0).unwrap();
        broken(&schema, &value.into(), "")
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let schema = doc! {
            "bsonType": "object",
            "required": ["name"],
            "properties": {
                "name": { "bsonType": "string", "minLength": 2, "pattern": "^[a-z]+$" },
                "n": { "bsonType": ["int", "long", "null"], "minimum": 0, "maximum": 9.5, "exclusiveMaximum": true },
                "kind": { "enum": ["red", 3] },
                "past": { "bsonType": "array", "maxItems": 2, "items": { "required": ["zip"] } },
            },
        };
        let cases = [
            (doc! { "name": "ab", "n": 0_i64, "kind": 3.0, "past": [{ "zip": 1 }], "other": true }, None),
            (doc! { "name": "ab", "n": null }, None),
            (doc! {}, Some("`name` is missing")),
            (doc! { "name": 5 }, Some("`name` is int, not string")),
            (doc! { "name": "a" }, Some("`name` has 1, not at least 2 characters")),
            (doc! { "name": "AB" }, Some("`name` does not match ^[a-z]+$")),
            (doc! { "name": "ab", "n": -1 }, Some("`n` is too small: -1")),
            (doc! { "name": "ab", "n": 9.5 }, Some("`n` is double, not int or long or null")),
            (doc! { "name": "ab", "kind": "blue" }, Some("`kind` is none of the allowed values")),
            (doc! { "name": "ab", "past": [{ "zip": 1 }, {}] }, Some("`past.1.zip` is missing")),
            (
                doc! { "name": "ab", "past": [{ "zip": 1 }, { "zip": 1 }, { "zip": 1 }] },
                Some("`past` has 3, not at most 2 items"),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(problem(schema.clone(), value.clone()).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn alternatives_and_unknown_fields() {
        let one = doc! { "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] };
        assert!(problem(one.clone(), doc! { "a": 1 }).is_none());
        assert!(problem(one, doc! { "a": 1, "b": 1 }).is_some());
        let closed = doc! { "properties": { "a": {} }, "patternProperties": { "^x_": {} }, "additionalProperties": false };
        assert!(problem(closed.clone(), doc! { "a": 1, "x_b": 1 }).is_none());
        assert_eq!(problem(closed, doc! { "b": 1 }).as_deref(), Some("`b` is not known"));
        assert!(problem(doc! { "not": { "required": ["a"] } }, doc! { "a": 1 }).is_some());
    }

    #[test]
    fn unknown_keywords_are_named() {
        let options =
            doc! { "validator": { "$jsonSchema": { "properties": { "a": { "dependencies": {} } } } } };
        let error = Validator::from_options(&options).unwrap_err();
        assert!(error.to_string().contains("`dependencies`"), "{error}");
    }
}
