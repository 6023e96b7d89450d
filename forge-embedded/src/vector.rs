//! Vector search: every vector of a collection is compared.

use bson::spec::BinarySubtype;
use bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use forge_core::model::Similarity;
use forge_core::{Error, Result};

use crate::catalog::Collection;
use crate::index::integer;
use crate::keys;
use crate::query::Query;
use crate::read::View;
use crate::store::doc_key;
use crate::text::SCORE;
use crate::{filter, geo};

/// The most numbers in a vector, as on a server.
const MAX_DIMS: i64 = 8_192;

/// A vector of 32-bit floats in its binary form starts with this byte, then the number of unused bits, which is 0.
const FLOAT32: u8 = 0x27;

/// What a vector index is about. It has no entries: it says how vectors compare.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VectorIndex {
    path: String,
    dims: usize,
    similarity: Similarity,
    /// As it was given.
    definition: Document,
}

impl VectorIndex {
    /// Reads an index of `createSearchIndexes`: `{name, type: "vectorSearch", definition: {fields: […]}}`.
    ///
    /// # Errors
    /// `unsupported` for search indexes of other types, `bad_request` for what the definition lacks.
    pub(crate) fn from_spec(spec: &Document) -> Result<Option<Self>> {
        let Ok(definition) = spec.get_document("definition") else { return Ok(None) };
        if !spec.get_str("type").is_ok_and(|kind| kind == "vectorSearch") {
            return Err(Error::unsupported(
                "the embedded engine has search indexes of the type vectorSearch only",
            ));
        }
        let wrong = |what: &str| Error::bad_request(format!("a vector index {what}: {definition}"));
        let fields = definition.get_array("fields").map_err(|_| wrong("has a list of `fields`"))?;
        let mut vectors = fields.iter().filter_map(Bson::as_document).filter(|field| is(field, "vector"));
        let (Some(field), None) = (vectors.next(), vectors.next()) else {
            return Err(wrong("has one field of the type vector"));
        };
        let path = field.get_str("path").map_err(|_| wrong("names the path of its vectors"))?;
        let dims = field.get("numDimensions").and_then(integer).filter(|dims| (1..=MAX_DIMS).contains(dims));
        let similarity = field.get_str("similarity").ok().and_then(Similarity::named);
        Ok(Some(Self {
            path: path.to_owned(),
            dims: dims.ok_or_else(|| wrong("has 1 to 8192 dimensions"))? as usize,
            similarity: similarity.ok_or_else(|| wrong("is cosine, dotProduct or euclidean"))?,
            definition: definition.clone(),
        }))
    }

    /// The definition, into `spec`.
    pub(crate) fn describe(&self, spec: &mut Document) {
        spec.insert("key", doc! { &self.path: "vector" });
        spec.insert("type", "vectorSearch");
        spec.insert("definition", self.definition.clone());
    }

    /// The stored path of the vectors.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

fn is(field: &Document, kind: &str) -> bool {
    field.get_str("type").is_ok_and(|own| own == kind)
}

/// The indexes of a collection as `$listSearchIndexes` answers them.
pub(crate) fn listed(collection: &Collection) -> Vec<Document> {
    let vectors = collection.indexes.iter().filter_map(|index| Some((&index.name, index.vector.as_ref()?)));
    let describe = |(name, vector): (&String, &VectorIndex)| {
        doc! {
            "name": name,
            "type": "vectorSearch",
            "status": "READY",
            "queryable": true,
            "latestDefinition": vector.definition.clone(),
        }
    };
    vectors.map(describe).collect()
}

impl View<'_, '_> {
    /// The full keys of the documents that `$vectorSearch` finds, the best first, after their scores.
    pub(crate) fn nearest_keys(&self, name: &str, stage: &Document) -> Result<Vec<(f64, Vec<u8>)>> {
        let request = Request::read(stage)?;
        let Some(collection) = self.collection(name) else { return Ok(Vec::new()) };
        let index = collection.indexes.iter().find(|index| index.name == request.index);
        let index = index.and_then(|index| index.vector.as_ref()).filter(|index| index.path == request.path);
        let index = index.ok_or_else(|| {
            Error::bad_request(format!(
                "{name} has no vector index {} on `{}`: declare `#[model(vector(…))]` on the field and push the indexes",
                request.index, request.path
            ))
        })?;
        if request.vector.len() != index.dims {
            let (dims, given) = (index.dims, request.vector.len());
            return Err(Error::bad_request(format!(
                "vector index {} holds {dims} numbers, not {given}",
                request.index
            )));
        }
        let query = Query::new(&request.filter)?;
        let scored = self.select(name, &query, &|id_key, document| {
            let vector = vector_at(document, &index.path);
            let score = vector.and_then(|vector| index.similarity.score(&vector, &request.vector));
            Ok(score.map(|score| (score, doc_key(collection.id, id_key))))
        })?;
        let mut best: Vec<(f64, Vec<u8>)> = scored.into_iter().flatten().collect();
        best.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        best.truncate(request.limit);
        Ok(best)
    }

    /// The document at a full key, with its score.
    pub(crate) fn with_score(&self, key: &[u8], score: f64) -> Result<Document> {
        let found = self.tables.doc(key)?;
        let bytes = found.ok_or_else(|| Error::internal("a document went while it was read"))?;
        let mut document = Document::try_from(RawDocument::from_bytes(bytes.value())?)?;
        document.insert(SCORE, score);
        Ok(document)
    }
}

/// What a `$vectorSearch` asks for.
struct Request {
    index: String,
    path: String,
    vector: Vec<f32>,
    filter: Document,
    limit: usize,
}

impl Request {
    fn read(stage: &Document) -> Result<Self> {
        let wrong = |what: &str| Error::bad_request(format!("`$vectorSearch` {what}"));
        for option in stage.keys() {
            if !["index", "path", "queryVector", "filter", "limit", "numCandidates", "exact"]
                .contains(&option.as_str())
            {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no `{option}` in `$vectorSearch`"
                )));
            }
        }
        let whole = |name: &str| stage.get(name).and_then(integer).filter(|number| *number > 0);
        let limit = whole("limit").ok_or_else(|| wrong("takes a `limit` from 1"))?;
        let exact = stage.get_bool("exact").unwrap_or(false);
        if !exact && whole("numCandidates").is_none_or(|candidates| candidates < limit) {
            return Err(wrong("is `exact`, or takes `numCandidates` from its limit on"));
        }
        let text = |name: &str| {
            Ok::<_, Error>(stage.get_str(name).map_err(|_| wrong("takes `index` and `path`"))?.to_owned())
        };
        let vector = stage.get("queryVector").and_then(|vector| keys::with_raw(vector, numbers));
        let filter = stage.get_document("filter").cloned().unwrap_or_default();
        filter::parse(&filter)?;
        Ok(Self {
            index: text("index")?,
            path: text("path")?,
            vector: vector.ok_or_else(|| wrong("takes a `queryVector` of numbers"))?,
            filter,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }
}

fn vector_at(document: &RawDocument, path: &str) -> Option<Vec<f32>> {
    geo::value_at(document, path).and_then(numbers)
}

/// The numbers of a vector: an array, or its binary form.
fn numbers(value: RawBsonRef<'_>) -> Option<Vec<f32>> {
    match value {
        RawBsonRef::Array(array) => array
            .into_iter()
            .map(|number| match number.ok()? {
                RawBsonRef::Double(number) => Some(number as f32),
                number => forge_core::order::as_f64(number).map(|number| number as f32),
            })
            .collect(),
        RawBsonRef::Binary(binary) if binary.subtype == BinarySubtype::Vector => {
            let floats = binary.bytes.strip_prefix(&[FLOAT32, 0])?;
            let chunks = floats.chunks_exact(4);
            chunks.remainder().is_empty().then(|| {
                chunks.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
            })
        }
        _ => None,
    }
}
