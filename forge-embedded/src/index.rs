//! Secondary indexes: their definition and the entries that a document has in them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::{Bson, Document, RawDocument, doc};
use forge_core::ir::Filter;
use forge_core::{Error, Result};
use forge_mongo::Refusal;

use crate::catalog::{damaged, unsigned};
use crate::collated::Collated;
use crate::collation::{EDITION, Strings};
use crate::filter;
use crate::index_key::index_key;
pub(crate) use crate::index_key::{IndexKey, KeyKind};
use crate::matching::Matching;
use crate::text::TextIndex;
use crate::vector::VectorIndex;
pub(crate) use crate::wildcard::Wildcard;

/// The server's code for a definition that is not allowed.
pub(crate) const CANNOT_CREATE_INDEX: i32 = 67;
/// The most entries that one document may have in one index.
pub(crate) const MAX_ENTRIES: usize = 10_000;

/// An index.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// Its number in keys.
    pub(crate) id: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its definition, as `listIndexes` answers it.
    pub(crate) spec: Document,
    /// Its fields.
    pub(crate) keys: Vec<IndexKey>,
    /// No two documents with the same values.
    pub(crate) unique: bool,
    /// Documents without any of the fields are left out.
    pub(crate) sparse: bool,
    /// Which paths are in it, where it is over many.
    pub(crate) wildcard: Option<Wildcard>,
    /// Queries do not use it.
    pub(crate) hidden: bool,
    /// How strings are compared, where that is not by their bytes: queries that compare them alike use it.
    pub(crate) collation: Option<Collated>,
    /// Only documents that match are in it.
    pub(crate) partial: Option<Partial>,
    /// Documents go this many seconds after the date in the field.
    pub(crate) expire_after: Option<i64>,
    /// The words of which fields it holds, where it is a text index. It has no `keys` then.
    pub(crate) text: Option<TextIndex>,
    /// How vectors compare, where it is a vector index. It has no `keys` and no entries then.
    pub(crate) vector: Option<VectorIndex>,
    /// How many reads went through it since the store was opened.
    pub(crate) uses: Uses,
}

/// A count that every clone shares.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uses(Arc<AtomicU64>);

impl Uses {
    /// One more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The condition of a partial index.
#[derive(Debug, Clone)]
pub(crate) struct Partial {
    /// For the planner.
    pub(crate) filter: Filter,
    /// For documents.
    pub(crate) matching: Matching,
}

/// One entry: the whole key, and where the document's id starts in it.
pub(crate) type Entry = (Vec<u8>, u32);

impl Index {
    /// Reads the `createIndexes` form.
    pub(crate) fn from_spec(id: u32, spec: &Document) -> Result<Self> {
        let key =
            spec.get_document("key").map_err(|_| Error::bad_request("an index needs a `key` document"))?;
        let text = TextIndex::from_spec(key, spec)?;
        let vector = VectorIndex::from_spec(spec)?;
        let special = text.is_some() || vector.is_some();
        let plain = key.iter().filter(|_| !special);
        let keys = plain.map(|(path, kind)| index_key(path, kind)).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() && !special {
            return Err(Error::bad_request("the `key` of an index names at least one field"));
        }
        let mut index = Self {
            id,
            name: default_name(key),
            spec: Document::new(),
            keys,
            unique: false,
            sparse: false,
            wildcard: None,
            hidden: false,
            collation: None,
            partial: None,
            expire_after: None,
            text,
            vector,
            uses: Uses::default(),
        };
        for (option, value) in spec {
            index.option(option, value)?;
        }
        if index.expire_after.is_some() && index.keys.len() != 1 {
            return Err(Error::bad_request(format!(
                "index {}: only one field can expire documents",
                index.name
            )));
        }
        index.wildcard = Wildcard::of(&index.keys, spec)?;
        index.check()?;
        index.spec = index.describe(key, spec.get("partialFilterExpression"));
        Ok(index)
    }

    /// Whether it holds sort keys of another edition of the data of collations than this program makes.
    pub(crate) fn is_outdated(&self) -> bool {
        let edition = || self.spec.get_document("collation").ok()?.get_str("version").ok();
        self.collation.is_some() && edition() != Some(EDITION)
    }

    /// How its strings compare.
    pub(crate) fn collator(&self) -> Strings<'_> {
        self.collation.as_ref().map(|collation| &collation.collator)
    }

    fn option(&mut self, option: &str, value: &Bson) -> Result<()> {
        match option {
            "key" | "v" | "background" | "2dsphereIndexVersion" | "ns" => {}
            "name" => value.as_str().unwrap_or_default().clone_into(&mut self.name),
            "unique" => self.unique = truthy(value),
            "sparse" => self.sparse = truthy(value),
            "hidden" => self.hidden = truthy(value),
            "wildcardProjection" => {}
            "expireAfterSeconds" => {
                let seconds = integer(value).filter(|seconds| (0..=i64::from(i32::MAX)).contains(seconds));
                self.expire_after = Some(seconds.ok_or_else(|| {
                    Error::bad_request(format!(
                        "expireAfterSeconds is 0 to {} seconds, not {value}",
                        i32::MAX
                    ))
                })?);
            }
            "partialFilterExpression" => {
                let condition = value
                    .as_document()
                    .ok_or_else(|| Error::bad_request("partialFilterExpression is a document"))?;
                let filter = filter::parse(condition)?;
                if let Some(operator) = beyond_partial(&filter) {
                    let text = format!("the condition of a partial index cannot have `{operator}`");
                    return Err(Error::bad_request(text).with_server_code(CANNOT_CREATE_INDEX));
                }
                self.partial = Some(Partial { matching: Matching::new(&filter)?, filter });
            }
            "collation" => self.collation = Collated::of(value)?,
            "type" | "definition" if self.vector.is_some() => {}
            "weights" | "default_language" | "language_override" | "textIndexVersion"
                if self.text.is_some() => {}
            option => {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no index option `{option}` (index {})",
                    self.name
                )));
            }
        }
        if self.name.is_empty() || self.name == "_id_" {
            return Err(Error::bad_request(format!("{:?} is no name for an index", self.name)));
        }
        Ok(())
    }

    /// Reports options that do not go together, as servers do.
    fn check(&self) -> Result<()> {
        let over_all = self.keys.iter().filter(|key| key.kind == KeyKind::Wildcard).count();
        let hashed = self.keys.iter().filter(|key| key.kind == KeyKind::Hashed).count();
        let wrong = match () {
            () if over_all > 1 => "has `$**` more than once",
            () if hashed > 1 => "hashes one field at most",
            () if hashed > 0 && self.unique => "is hashed and cannot be unique",
            () if self.wildcard.is_some() && self.unique => "is over every path and cannot be unique",
            () if self.wildcard.is_some() && self.expire_after.is_some() => {
                "is over every path and expires nothing"
            }
            () if self.sparse && self.partial.is_some() => "is sparse or partial, not both",
            () => return Ok(()),
        };
        let error = Error::bad_request(format!("the index {} {wrong}", self.name));
        Err(error.with_source(Refusal::new(CANNOT_CREATE_INDEX)))
    }

    fn describe(&self, key: &Document, partial: Option<&Bson>) -> Document {
        let mut spec = doc! { "v": 2, "key": key.clone(), "name": &self.name };
        if self.unique {
            spec.insert("unique", true);
        }
        if self.sparse {
            spec.insert("sparse", true);
        }
        if let Some(seconds) = self.expire_after {
            spec.insert("expireAfterSeconds", i32::try_from(seconds).unwrap_or(i32::MAX));
        }
        if let Some(partial) = partial {
            spec.insert("partialFilterExpression", partial.clone());
        }
        if let Some(text) = &self.text {
            text.describe(&mut spec);
        }
        if let Some(vector) = &self.vector {
            vector.describe(&mut spec);
        }
        if let Some(projection) = self.wildcard.as_ref().and_then(|wildcard| wildcard.projection.as_ref()) {
            spec.insert("wildcardProjection", projection.clone());
        }
        if let Some(collation) = &self.collation {
            spec.insert("collation", collation.spec.clone());
        }
        if self.hidden {
            spec.insert("hidden", true);
        }
        spec
    }

    /// Reads what [`Index::to_row`] wrote.
    pub(crate) fn from_row(row: &Document) -> Result<Self> {
        let spec = row.get_document("spec").map_err(damaged)?;
        let mut index = Self::from_spec(unsigned(row.get_i64("id").map_err(damaged)?)?, spec)?;
        index.spec = spec.clone();
        for (key, multikey) in index.keys.iter_mut().zip(row.get_array("multikey").map_err(damaged)?) {
            key.multikey = truthy(multikey);
        }
        Ok(index)
    }

    /// What is stored of the index.
    pub(crate) fn to_row(&self) -> Document {
        let multikey: Vec<Bson> = self.keys.iter().map(|key| key.multikey.into()).collect();
        doc! { "id": i64::from(self.id), "spec": self.spec.clone(), "multikey": multikey }
    }

    /// The paths, in the order of the index.
    pub(crate) fn paths(&self) -> Vec<String> {
        if let Some(vector) = &self.vector {
            return vec![vector.path().to_owned()];
        }
        let plain = || self.keys.iter().map(|key| key.path.clone()).collect();
        self.text.as_ref().map_or_else(plain, TextIndex::paths)
    }

    /// The entries of `document`, sorted, each once. `arrays` learns which fields hold arrays.
    pub(crate) fn entries(
        &self,
        document: &RawDocument,
        id_key: &[u8],
        arrays: &mut Vec<usize>,
    ) -> Result<Vec<Entry>> {
        if let Some(partial) = &self.partial
            && !partial.matching.matches(document)
        {
            return Ok(Vec::new());
        }
        if self.vector.is_some() {
            return Ok(Vec::new());
        }
        if let Some(text) = &self.text {
            return Ok(text.entries(self.id, document, id_key)?.into_iter().collect());
        }
        if let Some(wildcard) = &self.wildcard {
            return Ok(wildcard.entries(self, document, id_key, arrays)?.into_iter().collect());
        }
        let mut head = Vec::with_capacity(64);
        head.extend_from_slice(&self.id.to_be_bytes());
        let (heads, exists) = self.products(document, vec![head], 0..self.keys.len(), arrays)?;
        let sphere = self.keys.iter().any(|key| key.kind.is_geo());
        if !exists && (self.sparse || sphere) {
            return Ok(Vec::new());
        }
        let entry = |mut key: Vec<u8>| {
            let id_at = u32::try_from(key.len()).unwrap_or(u32::MAX);
            key.extend_from_slice(id_key);
            (key, id_at)
        };
        let mut entries: Vec<Entry> = heads.into_iter().map(entry).collect();
        entries.sort_unstable();
        entries.dedup();
        Ok(entries)
    }
}

impl Index {
    /// `heads` with the values of some of the fields behind them, and whether any of these fields exists.
    pub(crate) fn products(
        &self,
        document: &RawDocument,
        mut heads: Vec<Vec<u8>>,
        fields: Range<usize>,
        arrays: &mut Vec<usize>,
    ) -> Result<(Vec<Vec<u8>>, bool)> {
        let (start, mut exists) = (fields.start, false);
        for (position, key) in self.keys[fields].iter().enumerate() {
            if let Some(found) = key.single(document) {
                exists |= found.exists;
                heads.iter_mut().for_each(|head| key.put(found.values[0], self, head));
                continue;
            }
            let (parts, there, array) = key.parts(document, self)?;
            exists |= there;
            if array {
                arrays.push(start + position);
            }
            heads = product(&heads, &parts, &self.name)?;
        }
        Ok((heads, exists))
    }
}

fn product(heads: &[Vec<u8>], parts: &[Vec<u8>], index: &str) -> Result<Vec<Vec<u8>>> {
    if heads.len().saturating_mul(parts.len()) > MAX_ENTRIES {
        return Err(Error::bad_request(format!(
            "the arrays of the document would need more than {MAX_ENTRIES} entries in index {index}"
        )));
    }
    let mut out = Vec::with_capacity(heads.len() * parts.len());
    for head in heads {
        for part in parts {
            let mut key = Vec::with_capacity(head.len() + part.len() + 16);
            key.extend_from_slice(head);
            key.extend_from_slice(part);
            out.push(key);
        }
    }
    Ok(out)
}

/// The name that MongoDB gives: `state_1_city_-1`.
fn default_name(key: &Document) -> String {
    let parts: Vec<String> = key
        .iter()
        .map(|(path, kind)| match kind {
            Bson::String(kind) => format!("{path}_{kind}"),
            other => format!("{path}_{other}"),
        })
        .collect();
    parts.join("_")
}

fn truthy(value: &Bson) -> bool {
    match value {
        Bson::Boolean(value) => *value,
        Bson::Null | Bson::Undefined => false,
        value => integer(value) != Some(0),
    }
}

/// What conditions of partial indexes cannot say, as on servers.
fn beyond_partial(filter: &Filter) -> Option<&'static str> {
    match filter {
        Filter::And(list) | Filter::Or(list) => list.iter().find_map(beyond_partial),
        Filter::Not(inner) => beyond_partial(inner),
        Filter::Schema(_) => Some("$jsonSchema"),
        _ => None,
    }
}

/// A whole number of any numeric type.
pub(crate) fn integer(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        Bson::Double(value) if value.fract() == 0.0 && value.abs() < 9.0e18 => Some(*value as i64),
        _ => None,
    }
}
