//! Indexes as attributes.

use bson::{Bson, Document};

use super::json_of;

/// How a stored path is written in an attribute.
pub(super) enum Place {
    /// A field of the struct, by its Rust name, and whether it holds dates.
    Field(String, bool),
    /// A path into one, in quotes.
    Inside,
    /// No sampled document has it.
    Unknown,
}

/// `index(…)` of a listed index.
///
/// # Errors
/// Why it cannot be written.
pub(super) fn attribute(
    collection: &str,
    listed: &Document,
    place: &dyn Fn(&str) -> Place,
) -> Result<String, String> {
    let mut parts = Vec::new();
    let weights = listed.get_document("weights").ok();
    let key = listed.get_document("key").map_err(|_| "it has no key".to_owned())?;
    for (path, kind) in key {
        match (path.as_str(), weights) {
            ("_fts", Some(weights)) => {
                for (path, weight) in weights {
                    parts.push(part(path, &text_kind(weight), place)?);
                }
            }
            ("_ftsx", Some(_)) => {}
            _ => parts.push(part(path, &kind_of(kind)?, place)?),
        }
    }
    options(collection, listed, key, weights, place, &mut parts)?;
    Ok(format!("index({})", parts.join(", ")))
}

fn part(path: &str, kind: &str, place: &dyn Fn(&str) -> Place) -> Result<String, String> {
    let name = match place(path) {
        Place::Field(name, _) => name,
        Place::Inside => format!("{path:?}"),
        Place::Unknown => return Err(format!("no sampled document has {path:?}")),
    };
    Ok(if kind.is_empty() { name } else { format!("{name} = {kind}") })
}

fn text_kind(weight: &Bson) -> String {
    match crate::push::whole(weight) {
        Some(1) | None => "\"text\"".to_owned(),
        Some(weight) => format!("text({weight})"),
    }
}

fn kind_of(kind: &Bson) -> Result<String, String> {
    match (crate::push::whole(kind), kind) {
        (Some(1), _) => Ok(String::new()),
        (Some(-1), _) => Ok("-1".to_owned()),
        (_, Bson::String(kind)) if ["2dsphere", "2d", "hashed"].contains(&kind.as_str()) => {
            Ok(format!("{kind:?}"))
        }
        (_, kind) => Err(format!("there is no kind of index {kind}")),
    }
}

fn options(
    collection: &str,
    listed: &Document,
    key: &Document,
    weights: Option<&Document>,
    place: &dyn Fn(&str) -> Place,
    parts: &mut Vec<String>,
) -> Result<(), String> {
    for (option, value) in listed {
        match (option.as_str(), value) {
            ("unique" | "sparse" | "hidden", set) if is_set(set) => parts.push(option.clone()),
            ("expireAfterSeconds", seconds) => {
                let only = key.keys().next().map(|path| place(path));
                if key.len() != 1 || !matches!(only, Some(Place::Field(_, true) | Place::Inside)) {
                    return Err(
                        "it expires documents by a field that holds something else than dates".to_owned()
                    );
                }
                let seconds = crate::push::whole(seconds).ok_or("its time to live is no number")?;
                parts.push(format!("ttl = {seconds}"));
            }
            ("partialFilterExpression", filter) => {
                parts.push(format!("partial = {}", raw(&json_of(filter).to_string())));
            }
            ("wildcardProjection", projection) => {
                parts.push(format!("projection = {}", raw(&json_of(projection).to_string())));
            }
            ("collation", Bson::Document(collation)) => parts.extend(collation_of(collation)?),
            ("default_language", Bson::String(language)) if weights.is_some() && language != "english" => {
                parts.push(format!("language = {language:?}"));
            }
            ("language_override", Bson::String(field)) if field != "language" => {
                return Err(format!("its language is in the field {field:?}, which cannot be declared"));
            }
            _ => {}
        }
    }
    let name = listed.get_str("name").unwrap_or_default();
    if name != default_name(collection, key, weights.is_some()) {
        parts.push(format!("name = {name:?}"));
    }
    Ok(())
}

fn collation_of(collation: &Document) -> Result<Option<String>, String> {
    let locale = collation.get_str("locale").unwrap_or("simple");
    if locale == "simple" {
        return Ok(None);
    }
    if is_set(collation.get("numericOrdering").unwrap_or(&Bson::Null))
        || is_set(collation.get("caseLevel").unwrap_or(&Bson::Null))
    {
        return Err("its collation has options that cannot be declared".to_owned());
    }
    let strength = collation.get("strength").and_then(crate::push::whole).unwrap_or(3);
    Ok(Some(format!("collation(locale = {locale:?}, strength = {strength})")))
}

fn default_name(collection: &str, key: &Document, text: bool) -> String {
    if text {
        return format!("forge_{collection}_fts");
    }
    let part = |(path, kind): (&String, &Bson)| match kind {
        Bson::String(kind) => format!("{path}_{kind}"),
        kind => format!("{path}_{}", crate::push::whole(kind).unwrap_or_default()),
    };
    key.iter().map(part).collect::<Vec<_>>().join("_")
}

fn is_set(value: &Bson) -> bool {
    matches!(value, Bson::Boolean(true)) || crate::push::whole(value).is_some_and(|n| n != 0)
}

/// A raw string literal.
pub(super) fn raw(text: &str) -> String {
    let mut fence = "#".to_owned();
    while text.contains(&format!("\"{fence}")) {
        fence.push('#');
    }
    format!("r{fence}\"{text}\"{fence}")
}
