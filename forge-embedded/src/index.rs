//! Secondary indexes: their definition and the entries that a document has in them.

use bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use forge_core::ir::Filter;
use forge_core::{Error, Result, order};
use forge_mongo::Refusal;

use crate::catalog::{damaged, unsigned};
use crate::collated::Collated;
use crate::keys::{self, PathValues, class};
use crate::matching::Matching;
use crate::text::TextIndex;
use crate::vector::VectorIndex;
pub(crate) use crate::wildcard::Wildcard;
use crate::{filter, geo};

/// The server's code for a definition that is not allowed.
const CANNOT_CREATE_INDEX: i32 = 67;
/// The most entries that one document may have in one index.
pub(crate) const MAX_ENTRIES: usize = 10_000;

/// What one field of an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Values from small to large.
    Ascending,
    /// Values from large to small.
    Descending,
    /// Cells of the sphere.
    Sphere,
    /// Whether there is a point of a plane: this engine looks at the documents for the rest.
    Planar,
    /// Single values; the order of servers, which keep hashes, is nobody's to rely on.
    Hashed,
    /// The values of every path; see [`Wildcard`].
    Wildcard,
}

impl KeyKind {
    /// Whether documents without a place are left out, and the order of the keys means nothing.
    pub(crate) fn is_geo(self) -> bool {
        matches!(self, Self::Sphere | Self::Planar)
    }
}

/// One field of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexKey {
    /// The stored path.
    pub(crate) path: String,
    /// What is held of it.
    pub(crate) kind: KeyKind,
    /// Whether a document had an array there since the index exists.
    pub(crate) multikey: bool,
}

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
    /// How strings are compared, where that is not by their bytes: queries do not use it either.
    pub(crate) collation: Option<Collated>,
    /// Only documents that match are in it.
    pub(crate) partial: Option<Partial>,
    /// Documents go this many seconds after the date in the field.
    pub(crate) expire_after: Option<i64>,
    /// The words of which fields it holds, where it is a text index. It has no `keys` then.
    pub(crate) text: Option<TextIndex>,
    /// How vectors compare, where it is a vector index. It has no `keys` and no entries then.
    pub(crate) vector: Option<VectorIndex>,
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
        let hashed = self.keys.iter().filter(|key| key.kind == KeyKind::Hashed).count();
        let wrong = match () {
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
            return Ok(wildcard.entries(self, document, id_key)?.into_iter().collect());
        }
        let mut head = Vec::with_capacity(64);
        head.extend_from_slice(&self.id.to_be_bytes());
        let mut heads = vec![head];
        let mut exists = false;
        for (position, key) in self.keys.iter().enumerate() {
            if let Some(found) = key.single(document) {
                exists |= found.exists;
                heads.iter_mut().for_each(|head| key.put(found.values[0], self, head));
                continue;
            }
            let (parts, there, array) = key.parts(document, self)?;
            exists |= there;
            if array {
                arrays.push(position);
            }
            heads = product(&heads, &parts, &self.name)?;
        }
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

impl IndexKey {
    /// What the field holds, where that is one value without an array around it, or nothing.
    fn single<'d>(&self, document: &'d RawDocument) -> Option<PathValues<'d>> {
        let plain = matches!(self.kind, KeyKind::Ascending | KeyKind::Descending | KeyKind::Hashed);
        plain.then(|| PathValues::of(document, &self.path)).filter(|found| !found.multikey)
    }

    /// Appends the byte form of a value, as the index sorts it.
    fn put(&self, value: RawBsonRef<'_>, index: &Index, out: &mut Vec<u8>) {
        let start = out.len();
        match (value, index.collation.as_ref().and_then(|collation| collation.folding)) {
            (RawBsonRef::String(text), Some(folding)) => {
                keys::encode(RawBsonRef::String(&folding.text(text)), out);
            }
            (value, _) => keys::encode(value, out),
        }
        if self.kind == KeyKind::Descending {
            keys::invert(&mut out[start..]);
        }
    }

    /// The encoded values of the field, whether the field exists, and whether an array was met.
    fn parts(&self, document: &RawDocument, index: &Index) -> Result<(Vec<Vec<u8>>, bool, bool)> {
        match self.kind {
            KeyKind::Sphere => return self.cells(document, &index.name),
            KeyKind::Planar => return self.place(document, &index.name),
            _ => {}
        }
        let found = PathValues::of(document, &self.path);
        let part = |value: &RawBsonRef<'_>| {
            let mut part = Vec::with_capacity(16);
            self.put(*value, index, &mut part);
            part
        };
        let mut parts: Vec<_> = found.values.iter().map(part).collect();
        if found.multikey && self.kind == KeyKind::Hashed {
            return Err(Error::bad_request(format!(
                "index {}: `{}` is hashed and holds no arrays",
                index.name, self.path
            )));
        }
        if found.multikey {
            parts.sort();
            parts.dedup();
        }
        Ok((parts, found.exists, found.multikey))
    }

    /// Whether there is a pair of numbers, as `[x, y]` or the fields of a document.
    fn place(&self, document: &RawDocument, index: &str) -> Result<(Vec<Vec<u8>>, bool, bool)> {
        let number = |value: RawBsonRef<'_>| order::as_f64(value).is_some_and(f64::is_finite);
        let part = vec![vec![class::SHAPE]];
        let pair = match geo::value_at(document, &self.path) {
            None | Some(RawBsonRef::Null) => return Ok((vec![vec![class::NULL]], false, false)),
            Some(RawBsonRef::Array(pair)) => {
                pair.into_iter().flatten().take(3).map(number).collect::<Vec<_>>()
            }
            Some(RawBsonRef::Document(pair)) => {
                pair.iter().flatten().take(2).map(|(_, value)| number(value)).collect()
            }
            Some(_) => Vec::new(),
        };
        if pair == [true, true] {
            return Ok((part, true, false));
        }
        Err(Error::bad_request(format!("index {index}: `{}` is no pair of numbers, as [x, y]", self.path)))
    }

    fn cells(&self, document: &RawDocument, index: &str) -> Result<(Vec<Vec<u8>>, bool, bool)> {
        let value = match geo::value_at(document, &self.path) {
            None | Some(RawBsonRef::Null) => return Ok((vec![vec![class::NULL]], false, false)),
            Some(value) => value,
        };
        let Some(point) = geo::point_of(value) else {
            if geo::polygon_of(value).is_some() {
                return Ok((vec![vec![class::SHAPE]], true, false));
            }
            return Err(Error::bad_request(format!(
                "index {index}: `{}` is neither a GeoJSON point ({{type: \"Point\", coordinates: [longitude, latitude]}}) nor a polygon",
                self.path
            )));
        };
        let mut part = vec![class::CELL];
        part.extend_from_slice(&geo::cell(point).to_be_bytes());
        Ok((vec![part], true, false))
    }
}

fn index_key(path: &str, kind: &Bson) -> Result<IndexKey> {
    let wildcard = path == "$**" || path.ends_with(".$**");
    let named = path.strip_suffix("$**").filter(|_| wildcard).unwrap_or(path);
    let sound = |path: &str| !path.starts_with('$') && !path.split('.').any(str::is_empty);
    if !sound(named.strip_suffix('.').unwrap_or(named)) && path != "$**" {
        return Err(Error::bad_request(format!("{path:?} is no field of an index")));
    }
    if wildcard {
        return match integer(kind) {
            Some(1 | -1) => Ok(IndexKey { path: path.to_owned(), kind: KeyKind::Wildcard, multikey: true }),
            _ => Err(Error::unsupported(format!("the embedded engine has no `{kind}` index over `{path}`"))),
        };
    }
    let kind = match kind {
        Bson::String(kind) if kind == "2dsphere" => KeyKind::Sphere,
        Bson::String(kind) if kind == "2d" => KeyKind::Planar,
        Bson::String(kind) if kind == "hashed" => KeyKind::Hashed,
        Bson::String(kind) => {
            return Err(Error::unsupported(format!(
                "the embedded engine has no `{kind}` indexes (on `{path}`)"
            )));
        }
        number => match keys::with_raw(number, forge_core::order::as_f64) {
            Some(direction) if direction > 0.0 => KeyKind::Ascending,
            Some(direction) if direction < 0.0 => KeyKind::Descending,
            _ => return Err(Error::bad_request(format!("the index on `{path}` is 1, -1 or \"2dsphere\""))),
        },
    };
    Ok(IndexKey { path: path.to_owned(), kind, multikey: false })
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

/// A whole number of any numeric type.
pub(crate) fn integer(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        Bson::Double(value) if value.fract() == 0.0 && value.abs() < 9.0e18 => Some(*value as i64),
        _ => None,
    }
}
