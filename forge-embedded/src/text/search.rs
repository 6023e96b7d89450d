//! The documents that a text condition finds, and scores on their way to whoever asks for them.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use forge_core::ir::{Filter, Predicate, TextQuery};
use forge_core::{Error, Result};

use super::TextIndex;
use super::query::Wanted;
use super::term_prefix;
use crate::catalog::Collection;
use crate::index::Index;
use crate::keys;
use crate::matching::Matching;
use crate::query::Query;
use crate::read::View;
use crate::store::{Span, doc_key};

/// The field that carries a document's score through a command. No stored field has a name like this.
pub(crate) const SCORE: &str = "$score";

/// The server's code for conditions that do not go together.
const BAD_VALUE: i32 = 2;
/// The server's code for a query that no index serves as it would have to.
const NO_PLAN: i32 = 291;

/// A document that was found, with the key of its id and its score.
struct Hit {
    id_key: Vec<u8>,
    document: RawDocumentBuf,
    /// None where another condition found it.
    score: Option<f64>,
}

/// The text condition of a filter, be it that it must hold or is one of several alternatives.
pub(crate) fn condition(filter: &Filter) -> Option<&TextQuery> {
    match filter {
        Filter::Text(text) => Some(text),
        Filter::And(list) | Filter::Or(list) => list.iter().find_map(condition),
        _ => None,
    }
}

fn conditions(filter: &Filter) -> usize {
    match filter {
        Filter::Text(_) => 1,
        Filter::And(list) | Filter::Or(list) => list.iter().map(conditions).sum(),
        _ => 0,
    }
}

/// The alternatives beside the text condition: what finds documents without its words.
pub(crate) fn others(filter: &Filter) -> Vec<&Filter> {
    let (Filter::And(list) | Filter::Or(list)) = filter else { return Vec::new() };
    let (with, without): (Vec<_>, Vec<_>) = list.iter().partition(|part| condition(part).is_some());
    let deeper = with.into_iter().flat_map(others);
    match filter {
        Filter::Or(_) => without.into_iter().chain(deeper).collect(),
        _ => deeper.collect(),
    }
}

/// `filter` with `found` in the place of its text condition.
fn resolved(filter: &Filter, found: &Filter) -> Filter {
    let all = |list: &[Filter]| list.iter().map(|part| resolved(part, found)).collect();
    match filter {
        Filter::Text(_) => found.clone(),
        Filter::And(list) => Filter::And(all(list)),
        Filter::Or(list) => Filter::Or(all(list)),
        other => other.clone(),
    }
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
        let Some(text) = condition(&query.filter) else { return Ok(Vec::new()) };
        if query.near.is_some() {
            return Err(Error::bad_request("a text condition and `$near` both want to order the documents"));
        }
        if conditions(&query.filter) > 1 {
            let text = "there is one text condition in a filter, and no second one";
            return Err(Error::bad_request(text).with_server_code(BAD_VALUE));
        }
        let hits = match query.filter.text() {
            Some(_) => self.with_words(collection, &query.matching(&query.filter, self.clock)?, text)?,
            None => self.with_words_or_else(collection, query, text)?,
        };
        let mut rows = Vec::new();
        for hit in hits {
            let document = match hit.score {
                Some(score) if query.scored => scored(hit.document, score)?,
                _ => hit.document,
            };
            rows.push((keys::sort_key(&document, &query.sort, query.strings()), hit.id_key, document));
        }
        if !query.sort.is_empty() {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let limit = query.limit.unwrap_or(usize::MAX);
        let wanted = rows.iter().skip(query.skip).take(limit);
        wanted.map(|(_, id_key, document)| make(id_key, document)).collect()
    }

    /// The documents that have the words of `text` and match the rest of the conditions, by their ids.
    fn with_words(&self, collection: &Collection, matching: &Matching, text: &TextQuery) -> Result<Vec<Hit>> {
        let (index, texts) = text_index(collection)?;
        let wanted = Wanted::new(text, texts.language)?;
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
                hits.push(Hit { id_key, document: document.to_owned(), score: Some(score) });
            }
        }
        matching.outcome()?;
        Ok(hits)
    }

    /// The documents of a query in which the words of `text` are one of several alternatives.
    fn with_words_or_else(
        &self,
        collection: &Collection,
        query: &Query,
        text: &TextQuery,
    ) -> Result<Vec<Hit>> {
        let others = others(&query.filter);
        for other in &others {
            if !query.about((*other).clone()).plan(collection)?.access.is_bounded() {
                let text = "every alternative of a text condition has an index of its own; there is none for";
                return Err(Error::bad_request(format!("{text} {other:?}")).with_server_code(NO_PLAN));
            }
        }
        let (mut ids, mut scores) = (Vec::new(), BTreeMap::new());
        for hit in self.with_words(collection, &Matching::new(&Filter::All)?, text)? {
            ids.extend(hit.document.get("_id")?.map(Bson::try_from).transpose()?);
            scores.insert(hit.id_key, hit.score);
        }
        let found = Filter::Field("_id".into(), Predicate::In(ids));
        let inner = query.about(resolved(&query.filter, &found));
        let found = |id_key: &[u8], document: &RawDocument| {
            let score = scores.get(id_key).copied().flatten();
            Ok(Hit { id_key: id_key.to_vec(), document: document.to_owned(), score })
        };
        self.select(&collection.name, &inner, &found)
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
    // What was found otherwise has none.
    let score = whole.get(SCORE)?.and_then(bson::RawBsonRef::as_f64);
    if let Some(score) = score {
        for name in names {
            out.append(<&bson::raw::CStr>::try_from(name.as_str())?, score);
        }
    }
    Ok(out)
}
