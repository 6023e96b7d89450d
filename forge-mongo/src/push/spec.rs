//! Index definitions in their `createIndexes` form, and what of it makes two indexes equal.

use bson::{Bson, Document, doc};
use forge_core::model::{IndexDef, IndexKey, ModelDef};
use forge_core::{Error, Result};
use serde_json::Value;

/// The `createIndexes` forms of everything that `model` declares, in its order. All text keys make one index: a
/// collection has at most one.
///
/// # Errors
/// `internal` for a partial filter that is not a JSON object.
pub(super) fn wanted(model: &ModelDef) -> Result<Vec<Document>> {
    let all = model.all_indexes();
    let (text, plain): (Vec<_>, Vec<_>) = all.iter().partition(|index| index.keys.iter().any(is_text));
    let mut specs: Vec<Document> = Vec::new();
    for index in plain {
        let spec =
            spec(index).map_err(|error| error.context(format_args!("{}.{}", model.name, index.name())))?;
        if !specs.iter().any(|other| Fingerprint::of(other) == Fingerprint::of(&spec)) {
            specs.push(spec);
        }
    }
    if !text.is_empty() {
        specs.push(text_spec(model, &text));
    }
    Ok(specs)
}

fn is_text(key: &(&str, IndexKey)) -> bool {
    matches!(key.1, IndexKey::Text(_))
}

fn spec(index: &IndexDef) -> Result<Document> {
    let mut key = Document::new();
    for (path, kind) in index.keys {
        key.insert(*path, kind_of(*kind)?);
    }
    let mut spec = doc! { "key": key, "name": index.name() };
    if index.unique {
        spec.insert("unique", true);
    }
    if index.sparse {
        spec.insert("sparse", true);
    }
    if let Some(seconds) = index.ttl_seconds {
        spec.insert("expireAfterSeconds", i64::from(seconds));
    }
    if let Some(partial) = index.partial {
        spec.insert("partialFilterExpression", partial_filter(partial)?);
    }
    if let Some((locale, strength)) = index.collation {
        spec.insert("collation", doc! { "locale": locale, "strength": i32::from(strength) });
    }
    Ok(spec)
}

fn kind_of(key: IndexKey) -> Result<Bson> {
    Ok(match key {
        IndexKey::Ascending => 1.into(),
        IndexKey::Descending => (-1).into(),
        IndexKey::Sphere => "2dsphere".into(),
        IndexKey::Text(_) => "text".into(),
        other => return Err(Error::internal(format!("this adapter does not know the index kind {other:?}"))),
    })
}

fn text_spec(model: &ModelDef, indexes: &[&IndexDef]) -> Document {
    let (mut key, mut weights) = (Document::new(), Document::new());
    for (path, kind) in indexes.iter().flat_map(|index| index.keys) {
        if let IndexKey::Text(weight) = kind {
            key.insert(*path, "text");
            weights.insert(*path, i64::from(*weight));
        }
    }
    doc! { "key": key, "name": format!("forge_{}_fts", model.collection), "weights": weights }
}

fn partial_filter(json: &str) -> Result<Document> {
    match serde_json::from_str(json).map(bson_of) {
        Ok(Bson::Document(filter)) => Ok(filter),
        _ => Err(Error::internal(format!("the partial filter {json} is not a JSON object"))),
    }
}

fn bson_of(value: Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => value.into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(n), _) => i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32),
            (None, n) => n.map_or(Bson::Null, Bson::Double),
        },
        Value::String(text) => text.into(),
        Value::Array(list) => list.into_iter().map(bson_of).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            fields.into_iter().map(|(k, v)| (k, bson_of(v))).collect::<Document>().into()
        }
    }
}

/// What makes two indexes equal, in one form: without names, versions, and the defaults that servers fill in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fingerprint {
    /// Which documents are in it, and under which keys: a server keeps one index of each.
    signature: Document,
    /// What can differ between indexes of one signature.
    options: Document,
}

impl Fingerprint {
    /// Of a `createIndexes` or `listIndexes` form.
    pub(super) fn of(spec: &Document) -> Self {
        let (mut signature, mut options) = (doc! { "key": key_of(spec) }, Document::new());
        if let Ok(weights) = spec.get_document("weights") {
            let mut weights: Vec<_> =
                weights.iter().map(|(path, weight)| (path.clone(), number(weight))).collect();
            weights.sort_by(|a, b| a.0.cmp(&b.0));
            options.insert("weights", weights.into_iter().collect::<Document>());
        }
        for flag in ["unique", "sparse"] {
            if is_set(spec, flag) {
                signature.insert(flag, true);
            }
        }
        if let Some(partial) = spec.get("partialFilterExpression") {
            signature.insert("partialFilterExpression", number(partial));
        }
        if let Some((locale, strength)) = collation_of(spec) {
            signature.insert("collation", doc! { "locale": locale, "strength": strength });
        }
        if let Some(seconds) = spec.get("expireAfterSeconds") {
            options.insert("expireAfterSeconds", number(seconds));
        }
        Self { signature, options }
    }

    /// Whether a server would take the one for the other, and refuse to keep both.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        self.signature == other.signature || (self.is_text() && other.is_text())
    }

    /// Whether no two documents may share a key.
    pub(super) fn is_unique(&self) -> bool {
        self.signature.contains_key("unique")
    }

    fn is_text(&self) -> bool {
        self.signature.get_document("key").is_ok_and(|key| key.contains_key("_fts"))
    }
}

/// The keys with numbers of one type. Text keys appear as servers list them; the paths are in the weights.
fn key_of(spec: &Document) -> Document {
    let Ok(key) = spec.get_document("key") else { return Document::new() };
    let mut out = Document::new();
    for (path, kind) in key {
        match kind {
            Bson::String(kind) if kind == "text" => out.extend(doc! { "_fts": "text", "_ftsx": 1_i64 }),
            kind => _ = out.insert(path.clone(), number(kind)),
        }
    }
    out
}

/// Numbers as servers store them come back in whatever type was convenient.
fn number(value: &Bson) -> Bson {
    match value {
        Bson::Int32(n) => Bson::Int64((*n).into()),
        Bson::Double(n) if n.fract() == 0.0 => Bson::Int64(*n as i64),
        Bson::Document(inner) => {
            inner.iter().map(|(k, v)| (k.clone(), number(v))).collect::<Document>().into()
        }
        Bson::Array(list) => list.iter().map(number).collect::<Vec<_>>().into(),
        value => value.clone(),
    }
}

fn is_set(spec: &Document, flag: &str) -> bool {
    match spec.get(flag).map(number) {
        Some(Bson::Boolean(set)) => set,
        Some(Bson::Int64(n)) => n != 0,
        _ => false,
    }
}

/// Locale and strength. Servers list every field of a collation, most of them defaults.
fn collation_of(spec: &Document) -> Option<(String, Bson)> {
    let collation = spec.get_document("collation").ok()?;
    let locale = collation.get_str("locale").ok()?;
    let strength = collation.get("strength").map_or(Bson::Int64(3), number);
    (locale != "simple").then(|| (locale.to_owned(), strength))
}
