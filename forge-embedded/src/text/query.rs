//! What a text condition asks for.

use std::collections::BTreeSet;

use forge_core::Result;
use forge_core::ir::TextQuery;
use unicode_segmentation::UnicodeSegmentation;

use super::analyze::{Analyzer, Language, Sensitive, folded};

/// A text condition, read.
pub(crate) struct Wanted {
    analyzer: Analyzer,
    sensitive: Sensitive,
    /// Terms as the index holds them: a document has at least one.
    pub(crate) terms: BTreeSet<String>,
    /// The same with the case and the accents that matter, where they do.
    exact: BTreeSet<String>,
    /// Terms that a document may not have.
    without: BTreeSet<String>,
    phrases: Vec<String>,
    without_phrases: Vec<String>,
}

impl Wanted {
    /// Reads `query`; `language` is that of the index.
    ///
    /// # Errors
    /// `bad_request` for an unknown language.
    pub(crate) fn new(query: &TextQuery, language: Language) -> Result<Self> {
        let language = query.language.as_deref().map_or(Ok(language), Language::parse)?;
        let sensitive = Sensitive { case: query.case_sensitive, diacritic: query.diacritic_sensitive };
        let mut wanted = Self {
            analyzer: Analyzer::new(language),
            sensitive,
            terms: BTreeSet::new(),
            exact: BTreeSet::new(),
            without: BTreeSet::new(),
            phrases: Vec::new(),
            without_phrases: Vec::new(),
        };
        for part in parts(&query.query) {
            wanted.take(&part);
        }
        Ok(wanted)
    }

    fn take(&mut self, part: &Part<'_>) {
        let text = part.text.trim();
        if part.phrase && !text.is_empty() {
            let phrase = folded(text, self.sensitive);
            if part.negated { self.without_phrases.push(phrase) } else { self.phrases.push(phrase) }
        }
        for word in text.unicode_words() {
            let exact = self.analyzer.term(word, self.sensitive);
            match (part.negated, part.phrase) {
                // Only the words together must not be there.
                (true, true) => {}
                (true, false) => self.without.extend(exact),
                (false, _) => {
                    self.terms.extend(self.analyzer.term(word, Sensitive::default()));
                    self.exact.extend(exact);
                }
            }
        }
    }

    /// Whether the indexed texts of a document, which has one of the terms, satisfy the rest of the condition.
    pub(crate) fn accepts(&self, texts: &[&str]) -> bool {
        let strict = self.sensitive != Sensitive::default();
        if !strict && self.without.is_empty() && self.phrases.is_empty() && self.without_phrases.is_empty() {
            return true;
        }
        let folds: Vec<String> = if self.phrases.is_empty() && self.without_phrases.is_empty() {
            Vec::new()
        } else {
            texts.iter().map(|text| folded(text, self.sensitive)).collect()
        };
        let has_phrase = |phrase: &String| folds.iter().any(|text| text.contains(phrase.as_str()));
        let has_term = |terms: &BTreeSet<String>| {
            let mut all = texts.iter().flat_map(|text| self.analyzer.terms(text, self.sensitive));
            !terms.is_empty() && all.any(|term| terms.contains(&term))
        };
        self.phrases.iter().all(has_phrase)
            && !self.without_phrases.iter().any(has_phrase)
            && !has_term(&self.without)
            && (!strict || has_term(&self.exact))
    }
}

/// A word or a phrase of a query.
struct Part<'q> {
    text: &'q str,
    negated: bool,
    phrase: bool,
}

/// `one -two "three four" -"five six"`. A dash inside of a word is no negation; an open quote reaches to the end.
fn parts(query: &str) -> Vec<Part<'_>> {
    let mut out = Vec::new();
    let mut rest = query;
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let negated = rest.starts_with('-');
        let body = if negated { &rest[1..] } else { rest };
        if let Some(quoted) = body.strip_prefix('"') {
            let (text, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            out.push(Part { text, negated, phrase: true });
            rest = after;
        } else {
            let end = body.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(body.len());
            out.push(Part { text: &body[..end], negated, phrase: false });
            rest = &body[end..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Wanted {
        let query = TextQuery { query: query.to_owned(), ..TextQuery::default() };
        Wanted::new(&query, Language::Known("english")).unwrap()
    }

    fn list(terms: &BTreeSet<String>) -> Vec<&str> {
        terms.iter().map(String::as_str).collect()
    }

    #[test]
    fn words_phrases_and_negations_are_told_apart() {
        let read = wanted("brewing -tea \"hot Water\" pre-market -\"cold drip\"");
        assert_eq!(list(&read.terms), ["brew", "hot", "market", "pre", "water"]);
        assert_eq!(list(&read.without), ["tea"]);
        assert_eq!(
            (read.phrases, read.without_phrases),
            (vec!["hot water".to_owned()], vec!["cold drip".to_owned()])
        );
    }

    #[test]
    fn phrases_and_negations_are_checked_on_the_texts() {
        assert!(wanted("coffee").accepts(&["anything that the index found"]));
        assert!(wanted("coffee \"hot water\"").accepts(&["Pour HOT water."]));
        assert!(!wanted("coffee \"hot water\"").accepts(&["water, hot"]));
        assert!(!wanted("coffee -teas").accepts(&["coffee", "a tea"]));
        assert!(!wanted("coffee -\"a tea\"").accepts(&["coffee", "a tea"]));
    }

    #[test]
    fn odd_queries_are_read_somehow() {
        for odd in ["", "-", "\"", "- -", "\"open phrase", "a\"b\"c", "--x", "\"\""] {
            wanted(odd).accepts(&["text"]);
        }
        assert_eq!(wanted("\"open phrase").phrases, ["open phrase"]);
    }
}
