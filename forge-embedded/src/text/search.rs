//! The documents that a text condition finds, and scores on their way to whoever asks for them.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use forge_core::ir::TextQuery;
use forge_core::{Error, Result};

use super::TextIndex;
use super::query::Wanted;
use super::term_prefix;
use crate::catalog::Collection;
use crate::index::Index;
use crate::keys;
use crate::query::Query;
use crate::read::View;
use crate::store::{Span, doc_key};

/// The field that carries a document's score through a command. No stored field has a name like this.
pub(crate) const SCORE: &str = "$score";

/// A document that was found, with the key of its id and its score.
struct Hit {
    id_key: Vec<u8>,
    document: RawDocumentBuf,
    score: f64,
}

/// The text index of a collection.
///
/// # Errors
/// `bad_request` where it has none.
pub(crate) fn text_index(collection: &Collection) -> Result<(&Index, &TextIndex)> {
    let found = collection.indexes.iter().find_map(|index| Some((&**index, index.text.as_ref()?)));
    found.ok_or_else(|| {
        Error::bad_request(format!(
            "{} has no text index: declare `#[model(text)]` on a field of its model and push the indexes",
            collection.name
        ))
    })
}

impl View<'_, '_> {
    /// The documents that a text condition finds.
    pub(crate) fn by_words<T>(
        &self,
        collection: &Collection,
        query: &Query,
        make: &dyn Fn(&[u8], &RawDocument) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Some(text) = query.filter.text() else { return Ok(Vec::new()) };
        if query.near.is_some() {
            return Err(Error::bad_request("a text condition and `$near` both want to order the documents"));
        }
        let mut rows = Vec::new();
        for hit in self.with_words(collection, query, text)? {
            let document = if query.scored { scored(hit.document, hit.score)? } else { hit.document };
            rows.push((keys::sort_key(&document, &query.sort, query.strings()), hit.id_key, document));
        }
        if !query.sort.is_empty() {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let limit = query.limit.unwrap_or(usize::MAX);
        let wanted = rows.iter().skip(query.skip).take(limit);
        wanted.map(|(_, id_key, document)| make(id_key, document)).collect()
    }

    /// The documents that have the words of `text` and match the rest of `query`, by their ids.
    fn with_words(&self, collection: &Collection, query: &Query, text: &TextQuery) -> Result<Vec<Hit>> {
        let (index, texts) = text_index(collection)?;
        let wanted = Wanted::new(text, texts.language)?;
        let matching = query.matching(&query.filter, self.clock)?;
        let mut hits = Vec::new();
        for (id_key, score) in self.scores(index, &wanted)? {
            self.clock.tick()?;
            let Some(bytes) = self.tables.doc(&doc_key(collection.id, &id_key))? else {
                return Err(Error::internal(format!("index {} names a missing document", index.name)));
            };
            let document = RawDocument::from_bytes(bytes.value())?;
            if !matching.matches(document) {
                continue;
            }
            let own: Vec<&str> = texts.texts(document).into_iter().map(|(text, _)| text).collect();
            if wanted.accepts(&own) {
                hits.push(Hit { id_key, document: document.to_owned(), score });
            }
        }
        Ok(hits)
    }

    /// The ids of the documents with one of the terms at least, and the sum of the scores of those that they have.
    fn scores(&self, index: &Index, wanted: &Wanted) -> Result<BTreeMap<Vec<u8>, f64>> {
        index.uses.count();
        let mut scores = BTreeMap::new();
        for term in &wanted.terms {
            let prefix = term_prefix(index.id, term);
            for entry in self.tables.entries(&Span::prefix(&prefix))? {
                let (key, id_at) = entry?;
                let (key, id_at) = (key.value(), id_at.value() as usize);
                let bits = key.get(prefix.len()..id_at).and_then(|bits| bits.try_into().ok());
                let bits = bits.ok_or_else(|| Error::internal(format!("index {} is damaged", index.name)))?;
                *scores.entry(key[id_at..].to_vec()).or_insert(0.0) +=
                    f64::from_bits(u64::from_be_bytes(bits));
            }
        }
        Ok(scores)
    }
}

/// `document` with its score.
pub(crate) fn scored(mut document: RawDocumentBuf, score: f64) -> Result<RawDocumentBuf> {
    document.append(<&bson::raw::CStr>::try_from(SCORE)?, score);
    Ok(document)
}

/// Whether `value` asks for the score of a search: `{$meta: "textScore"}`.
pub(crate) fn is_score(value: &Bson) -> bool {
    let kinds = ["textScore", "searchScore", "vectorSearchScore", "score"];
    value
        .as_document()
        .filter(|form| form.len() == 1)
        .and_then(|form| form.get_str("$meta").ok())
        .is_some_and(|kind| kinds.contains(&kind))
}

/// A projection without the fields that are to hold the score, and the names of those.
pub(crate) fn without_scores(projection: &Document) -> (Document, Vec<String>) {
    let (scores, plain): (Vec<_>, Vec<_>) = projection.iter().partition(|(_, value)| is_score(value));
    let plain = plain.into_iter().map(|(path, value)| (path.clone(), value.clone())).collect();
    (plain, scores.into_iter().map(|(path, _)| path.clone()).collect())
}

/// What `projected` is of the scored document `whole`, with the score under `names`.
pub(crate) fn with_scores(
    projected: &RawDocument,
    whole: &RawDocument,
    names: &[String],
) -> Result<RawDocumentBuf> {
    let mut out = RawDocumentBuf::new();
    for field in projected.iter() {
        let (name, value) = field?;
        if name.as_str() != SCORE && !names.iter().any(|own| own == name.as_str()) {
            out.append(name, value);
        }
    }
    let score = whole.get_f64(SCORE)?;
    for name in names {
        out.append(<&bson::raw::CStr>::try_from(name.as_str())?, score);
    }
    Ok(out)
}
