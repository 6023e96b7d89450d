//! From text to terms: words by Unicode's rules, in lower case, without stop words, stemmed, without accents.

use std::borrow::Cow;

use forge_core::{Error, Result};
use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::stop::stop_words;

/// A term is cut here: no word that people look for is longer, in bytes.
const MAX_TERM: usize = 120;

/// A language of text indexes: MongoDB's names and codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// Words as they are.
    None,
    /// One with stems and stop words.
    Known(&'static str),
}

const LANGUAGES: [(&str, &str); 15] = [
    ("da", "danish"),
    ("nl", "dutch"),
    ("en", "english"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("de", "german"),
    ("hu", "hungarian"),
    ("it", "italian"),
    ("nb", "norwegian"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("es", "spanish"),
    ("sv", "swedish"),
    ("tr", "turkish"),
];

impl Language {
    /// Reads a name or a code.
    ///
    /// # Errors
    /// `bad_request` with the languages that there are.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wanted = text.to_lowercase();
        if wanted == "none" {
            return Ok(Self::None);
        }
        let found = LANGUAGES.iter().find(|(code, name)| wanted == *code || wanted == *name);
        found.map(|(_, name)| Self::Known(name)).ok_or_else(|| {
            let names: Vec<&str> = LANGUAGES.iter().map(|(_, name)| *name).collect();
            Error::bad_request(format!(
                "text indexes do not know the language {text:?}; they know none, {}",
                names.join(", ")
            ))
        })
    }

    /// The name, as index definitions hold it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Known(name) => name,
        }
    }

    fn algorithm(self) -> Option<Algorithm> {
        let Self::Known(name) = self else { return None };
        Some(match name {
            "danish" => Algorithm::Danish,
            "dutch" => Algorithm::Dutch,
            "finnish" => Algorithm::Finnish,
            "french" => Algorithm::French,
            "german" => Algorithm::German,
            "hungarian" => Algorithm::Hungarian,
            "italian" => Algorithm::Italian,
            "norwegian" => Algorithm::Norwegian,
            "portuguese" => Algorithm::Portuguese,
            "romanian" => Algorithm::Romanian,
            "russian" => Algorithm::Russian,
            "spanish" => Algorithm::Spanish,
            "swedish" => Algorithm::Swedish,
            "turkish" => Algorithm::Turkish,
            _ => Algorithm::English,
        })
    }
}

/// What counts as a difference between words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sensitive {
    /// The case of letters.
    pub(crate) case: bool,
    /// Accents.
    pub(crate) diacritic: bool,
}

/// Makes terms of text in one language.
pub(crate) struct Analyzer {
    stemmer: Option<Stemmer>,
    stop: &'static [&'static str],
}

impl Analyzer {
    /// An analyzer for a language.
    pub(crate) fn new(language: Language) -> Self {
        Self { stemmer: language.algorithm().map(Stemmer::create), stop: stop_words(language) }
    }

    /// The terms of a text, in order.
    pub(crate) fn terms<'t>(
        &'t self,
        text: &'t str,
        sensitive: Sensitive,
    ) -> impl Iterator<Item = String> + 't {
        text.unicode_words().filter_map(move |word| self.term(word, sensitive))
    }

    /// The term that a word is; none for a stop word.
    pub(crate) fn term(&self, word: &str, sensitive: Sensitive) -> Option<String> {
        let lower = word.to_lowercase();
        if self.stop.contains(&lower.as_str()) {
            return None;
        }
        let word = if sensitive.case { word } else { lower.as_str() };
        // Stems depend on accents: they come before these go.
        let stem = self.stemmer.as_ref().map_or(Cow::Borrowed(word), |stemmer| stemmer.stem(word));
        let mut term = if sensitive.diacritic { stem.into_owned() } else { plain(&stem) };
        if term.len() > MAX_TERM {
            let end = (0..=MAX_TERM).rev().find(|at| term.is_char_boundary(*at)).unwrap_or(0);
            term.truncate(end);
        }
        (!term.is_empty()).then_some(term)
    }
}

/// Text as phrases are compared.
pub(crate) fn folded(text: &str, sensitive: Sensitive) -> String {
    let text = if sensitive.case { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) };
    if sensitive.diacritic { text.nfc().collect() } else { plain(&text) }
}

/// Text without accents.
fn plain(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.nfd().filter(|c| !is_combining_mark(*c)).nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(language: &str, text: &str) -> Vec<String> {
        Analyzer::new(Language::parse(language).unwrap()).terms(text, Sensitive::default()).collect()
    }

    #[test]
    fn words_are_found_in_any_form() {
        assert_eq!(terms("english", "The Brewing of Coffees, brewed!"), ["brew", "coffe", "brew"]);
        assert_eq!(terms("none", "The Café-Bar don't"), ["the", "cafe", "bar", "don't"]);
        assert_eq!(terms("de", "Häuser und Haus"), ["haus", "haus"]);
        assert_eq!(terms("fr", "les crèmes brûlées"), ["crem", "brul"]);
        assert_eq!(terms("none", "日本 42"), ["日", "本", "42"]);
    }

    #[test]
    fn case_and_accents_may_matter() {
        let analyzer = Analyzer::new(Language::None);
        let term = |case, diacritic| analyzer.term("Café", Sensitive { case, diacritic }).unwrap();
        assert_eq!(
            [term(false, false), term(true, false), term(false, true), term(true, true)],
            ["cafe", "Cafe", "café", "Café"]
        );
    }

    #[test]
    fn unknown_languages_are_named_and_long_words_cut() {
        assert!(Language::parse("klingon").unwrap_err().message().contains("klingon"));
        assert_eq!(Language::parse("DE").unwrap().name(), "german");
        assert_eq!(terms("none", &"ü".repeat(500))[0].len(), MAX_TERM);
    }
}
