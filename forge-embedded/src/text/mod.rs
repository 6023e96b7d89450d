//! Text search: the terms of a document with their scores, and the documents that a text condition finds.
//!
//! An entry of a text index is a term, its score in the document, and the document's id. Scores are MongoDB's: each
//! term counts by how often it is in a field, relative to the field's length, times the weight of the field.

mod analyze;
mod query;
mod search;
mod stop;

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use forge_core::{Error, Result};

pub(crate) use analyze::Language;
use analyze::{Analyzer, Sensitive};
pub(crate) use search::{SCORE, condition, is_score, others, text_index, with_scores, without_scores};

use crate::index::{Entry, integer};
use crate::keys;

/// The most different terms that one document may have in its text index.
const MAX_TERMS: usize = 50_000;

/// The weight of a field is at most this, as on a server.
const MAX_WEIGHT: i64 = 99_999;

/// A path that means every field that holds text.
const EVERY_FIELD: &str = "$**";

/// What a text index holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextIndex {
    /// The stored paths and what they weigh.
    weights: Vec<(String, f64)>,
    /// The language of documents that do not say.
    pub(crate) language: Language,
    /// The field in which a document says its language.
    overridden_by: String,
}

impl TextIndex {
    /// Reads the options of a `createIndexes` form, where `key` holds text.
    ///
    /// # Errors
    /// `bad_request` for weights and languages that are none; `unsupported` for keys beside the text.
    pub(crate) fn from_spec(key: &Document, spec: &Document) -> Result<Option<Self>> {
        if !key.values().any(|kind| kind.as_str() == Some("text")) {
            return Ok(None);
        }
        let other = key.iter().find(|(path, kind)| *path != "_ftsx" && kind.as_str() != Some("text"));
        if let Some((path, _)) = other {
            return Err(Error::unsupported(format!(
                "the embedded engine has no text indexes with other fields beside the text (`{path}`)"
            )));
        }
        let mut weights: BTreeMap<String, f64> =
            key.keys().filter(|path| !path.starts_with("_fts")).map(|path| (path.clone(), 1.0)).collect();
        if let Some(given) = spec.get("weights") {
            let given = given.as_document().ok_or_else(|| Error::bad_request("`weights` is a document"))?;
            for (path, weight) in given {
                let weight =
                    integer(weight).filter(|weight| (1..=MAX_WEIGHT).contains(weight)).ok_or_else(|| {
                        Error::bad_request(format!(
                            "the weight of `{path}` is 1 to {MAX_WEIGHT}, not {weight}"
                        ))
                    })?;
                weights.insert(path.clone(), weight as f64);
            }
        }
        if weights.is_empty() {
            return Err(Error::bad_request("a text index names at least one field"));
        }
        Ok(Some(Self {
            weights: weights.into_iter().collect(),
            language: Language::parse(spec.get_str("default_language").unwrap_or("english"))?,
            overridden_by: spec.get_str("language_override").unwrap_or("language").to_owned(),
        }))
    }

    /// The options as `listIndexes` answers them, into `spec`.
    pub(crate) fn describe(&self, spec: &mut Document) {
        let weights = self.weights.iter().map(|(path, weight)| (path.clone(), Bson::Int64(*weight as i64)));
        spec.insert("key", doc! { "_fts": "text", "_ftsx": 1 });
        spec.insert("weights", weights.collect::<Document>());
        spec.insert("default_language", self.language.name());
        spec.insert("language_override", &self.overridden_by);
        spec.insert("textIndexVersion", 3);
    }

    /// The stored paths.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.weights.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The indexed texts of a document, each with the weight of its field.
    fn texts<'d>(&self, document: &'d RawDocument) -> Vec<(&'d str, f64)> {
        let mut out = Vec::new();
        for (path, weight) in &self.weights {
            if path == EVERY_FIELD {
                every_text(document, &mut |text| out.push((text, *weight)));
                continue;
            }
            for value in forge_core::order::values_at(document, path) {
                if let RawBsonRef::String(text) = value {
                    out.push((text, *weight));
                }
            }
        }
        out
    }

    /// The language of a document.
    fn language_of(&self, document: &RawDocument) -> Result<Language> {
        match document.get_str(&self.overridden_by) {
            Ok(language) => Language::parse(language)
                .map_err(|error| error.context(format_args!("the field `{}`", self.overridden_by))),
            Err(_) => Ok(self.language),
        }
    }

    /// The terms of a document with their scores.
    ///
    /// # Errors
    /// `bad_request` for a document that names an unknown language, or has too many different words.
    fn scores(&self, document: &RawDocument) -> Result<BTreeMap<String, f64>> {
        let texts = self.texts(document);
        let mut scores = BTreeMap::new();
        if texts.is_empty() {
            return Ok(scores);
        }
        let analyzer = Analyzer::new(self.language_of(document)?);
        for (text, weight) in texts {
            score(&analyzer, text, weight, &mut scores);
        }
        if scores.len() > MAX_TERMS {
            return Err(Error::bad_request(format!(
                "the texts of the document have more than {MAX_TERMS} different words"
            )));
        }
        Ok(scores)
    }

    /// The entries of a document in the index with the number `index`.
    pub(crate) fn entries(
        &self,
        index: u32,
        document: &RawDocument,
        id_key: &[u8],
    ) -> Result<BTreeSet<Entry>> {
        let entry = |(term, score): (String, f64)| {
            let mut key = term_prefix(index, &term);
            key.extend_from_slice(&score.to_bits().to_be_bytes());
            let id_at = u32::try_from(key.len()).unwrap_or(u32::MAX);
            key.extend_from_slice(id_key);
            (key, id_at)
        };
        Ok(self.scores(document)?.into_iter().map(entry).collect())
    }
}

/// With what the entries of a term begin.
fn term_prefix(index: u32, term: &str) -> Vec<u8> {
    let mut key = index.to_be_bytes().to_vec();
    keys::encode(RawBsonRef::String(term), &mut key);
    key
}

/// How often a term is in a text: later ones count less and less.
#[derive(Default)]
struct Count {
    frequency: f64,
    times: f64,
    share: f64,
}

fn score(analyzer: &Analyzer, text: &str, weight: f64, scores: &mut BTreeMap<String, f64>) {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut words = 0.0;
    for term in analyzer.terms(text, Sensitive::default()) {
        let count = counts.entry(term).or_default();
        count.share = if count.times == 0.0 { 1.0 } else { count.share / 2.0 };
        count.frequency += count.share;
        count.times += 1.0;
        words += 1.0;
    }
    for (term, count) in counts {
        let density = 0.5 * count.times / words + 0.5;
        // A field that is nothing but the term counts a little more.
        let whole = if text.eq_ignore_ascii_case(&term) { 1.1 } else { 1.0 };
        *scores.entry(term).or_default() += weight * count.frequency * density * whole;
    }
}

fn every_text<'d>(document: &'d RawDocument, found: &mut dyn FnMut(&'d str)) {
    for (_, value) in document.iter().flatten() {
        match value {
            RawBsonRef::String(text) => found(text),
            RawBsonRef::Document(inner) => every_text(inner, found),
            RawBsonRef::Array(array) => {
                for value in array.into_iter().flatten() {
                    match value {
                        RawBsonRef::String(text) => found(text),
                        RawBsonRef::Document(inner) => every_text(inner, found),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[allow(clippy::needless_pass_by_value, reason = "cases read better with values in place")]
    fn index(spec: Document) -> TextIndex {
        TextIndex::from_spec(spec.get_document("key").unwrap(), &spec).unwrap().unwrap()
    }

    #[test]
    fn scores_follow_frequency_length_and_weight() {
        let index = index(doc! { "key": { "title": "text", "body": "text" }, "weights": { "title": 10 } });
        let scores = |document: &RawDocument| index.scores(document).unwrap();
        let one = scores(&rawdoc! { "body": "coffee shop" });
        // Once, in a text of two words: 1 × (0.5 × 1/2 + 0.5).
        assert_eq!(one["shop"], 0.75);
        assert_eq!(scores(&rawdoc! { "title": "coffee shop" })["shop"], 7.5);
        // Twice: 1 + 1/2.
        assert_eq!(scores(&rawdoc! { "body": "shop shop" })["shop"], 1.5);
        assert_eq!(scores(&rawdoc! { "body": "Shop" })["shop"], 1.1);
    }

    #[test]
    fn a_definition_reads_itself_again() {
        let first = index(doc! { "key": { "a.b": "text" }, "default_language": "de" });
        let mut spec = Document::new();
        first.describe(&mut spec);
        assert_eq!(index(spec), first);
    }

    #[test]
    fn documents_say_their_language() {
        let index = index(doc! { "key": { "$**": "text" } });
        let scores = index.scores(&rawdoc! { "language": "german", "deep": [{ "x": "Häuser" }] }).unwrap();
        assert!(scores.contains_key("haus"));
        let error = index.scores(&rawdoc! { "language": "rust", "x": "y" }).unwrap_err();
        assert!(error.message().contains("rust"), "{error}");
    }
}
