//! What makes two indexes equal, in one form: without names, versions, and the defaults that servers fill in.

use bson::{Bson, Document, doc};

/// The default of every field of a collation. Servers list all of them.
const COLLATION: [(&str, &str); 4] =
    [("caseFirst", "off"), ("alternate", "non-ignorable"), ("maxVariable", "punct"), ("version", "")];

/// See the module.
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
            let language = spec.get_str("default_language").unwrap_or("english");
            options.insert("default_language", language);
        }
        for flag in ["unique", "sparse"] {
            if is_set(spec, flag) {
                signature.insert(flag, true);
            }
        }
        if let Some(partial) = spec.get("partialFilterExpression") {
            signature.insert("partialFilterExpression", number(partial));
        }
        if let Some(collation) = collation_of(spec) {
            signature.insert("collation", collation);
        }
        if let Ok(projection) = spec.get_document("wildcardProjection")
            && !projection.is_empty()
        {
            options.insert("wildcardProjection", flags(projection));
        }
        if let Some(seconds) = spec.get("expireAfterSeconds") {
            options.insert("expireAfterSeconds", number(seconds));
        }
        if is_set(spec, "hidden") {
            options.insert("hidden", true);
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

    /// Whether queries do not see it.
    pub(super) fn is_hidden(&self) -> bool {
        self.options.contains_key("hidden")
    }

    /// The keys, numbers as `i64`.
    pub(super) fn key(&self) -> &Document {
        // `of` puts it there.
        self.signature.get_document("key").unwrap_or(&self.options)
    }

    /// The `collMod` options that make `present` this, where changing it in place is enough.
    pub(super) fn changes_of(&self, present: &Self) -> Option<Document> {
        let mut changes = Document::new();
        let rest = |options: &Document| {
            let mut options = options.clone();
            options.remove("hidden");
            options.remove("expireAfterSeconds");
            options
        };
        if self.signature != present.signature || rest(&self.options) != rest(&present.options) {
            return None;
        }
        match (self.options.get("expireAfterSeconds"), present.options.get("expireAfterSeconds")) {
            (wanted, present) if wanted == present => {}
            (Some(wanted), Some(_)) => _ = changes.insert("expireAfterSeconds", wanted.clone()),
            _ => return None,
        }
        if self.is_hidden() != present.is_hidden() {
            changes.insert("hidden", self.is_hidden());
        }
        Some(changes)
    }

    fn is_text(&self) -> bool {
        self.key().contains_key("_fts")
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
pub(super) fn number(value: &Bson) -> Bson {
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

/// A projection, where 1 and true are the same.
fn flags(projection: &Document) -> Document {
    let flag = |value: &Bson| match number(value) {
        Bson::Boolean(set) => Bson::Int64(set.into()),
        Bson::Document(inner) => flags(&inner).into(),
        other => other,
    };
    projection.iter().map(|(path, value)| (path.clone(), flag(value))).collect()
}

fn is_set(spec: &Document, flag: &str) -> bool {
    match spec.get(flag).map(number) {
        Some(Bson::Boolean(set)) => set,
        Some(Bson::Int64(n)) => n != 0,
        _ => false,
    }
}

/// A collation without the defaults; none for the simple one.
fn collation_of(spec: &Document) -> Option<Document> {
    let collation = spec.get_document("collation").ok()?;
    if collation.get_str("locale").ok()? == "simple" {
        return None;
    }
    let default = |path: &str, value: &Bson| match (path, value) {
        ("version", _) | (_, Bson::Boolean(false)) => true,
        ("strength", strength) => number(strength) == Bson::Int64(3),
        (path, Bson::String(text)) => COLLATION.contains(&(path, text.as_str())),
        _ => false,
    };
    let kept = collation.iter().filter(|(path, value)| !default(path, value));
    let mut kept: Vec<_> = kept.map(|(path, value)| (path.clone(), number(value))).collect();
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    Some(kept.into_iter().collect())
}
