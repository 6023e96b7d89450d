//! Collations: the Unicode Collation Algorithm with the orders of languages, as [icu_collator] has them. Servers use the
//! same algorithm, with an older edition of the same data.
//!
//! A string compares by its sort key, whose bytes are in the order of the strings. An index with a collation holds sort
//! keys; it serves the reads with the same collation, any other serves their conditions without strings.
//!
//! [icu_collator]: https://docs.rs/icu_collator

use std::cmp::Ordering;

use bson::{Bson, Document, RawBson, RawBsonRef, doc};
use forge_core::ir::{self, Filter, Predicate};
use forge_core::order::{self, Folding};
use forge_core::{Error, Result};
use icu_collator::CollatorBorrowed;
use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, MaxVariable, Strength};
use icu_locale_core::Locale;

use crate::index::integer;
use crate::keys;

/// The edition of the data: sort keys of different editions do not compare. It goes with the version of `icu_collator`
/// in the manifest, which is held for that reason.
pub(crate) const EDITION: &str = "icu4x-2.4";

/// The server's code for a value that an option does not take.
const BAD_VALUE: i32 = 2;

/// How strings compare: by their bytes where there is none.
pub(crate) type Strings<'c> = Option<&'c Collator>;

/// A collation that is not the simple one. Equal ones compare alike.
#[derive(Debug, Clone)]
pub(crate) struct Collator {
    rules: Rules,
    folding: Folding,
}

impl PartialEq for Collator {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Collator {
    /// The collation of a read; none where it has none, or the simple one, which compares bytes.
    ///
    /// # Errors
    /// `bad_request` for a locale that is none.
    pub(crate) fn of_options(options: &ir::ReadOptions) -> Result<Option<Self>> {
        let Some(ir::Collation { locale, strength }) = &options.collation else { return Ok(None) };
        Self::from_spec(&doc! { "locale": locale, "strength": i32::from(*strength) })
    }

    /// Reads a collation as commands have it; none for the simple one.
    ///
    /// # Errors
    /// `bad_request` for a locale that is none, for options that do not exist and for values that they do not take;
    /// `unsupported` for accents compared from their end by choice, not by language.
    pub(crate) fn from_spec(spec: &Document) -> Result<Option<Self>> {
        let Some(rules) = Rules::of(spec)? else { return Ok(None) };
        let locale: Locale = rules.tag.parse().map_err(|_| bad_locale(&rules.tag))?;
        let mut options = CollatorOptions::default();
        options.strength = Some(rules.strength);
        options.case_level = Some(rules.case_level);
        options.alternate_handling = rules.alternate;
        options.max_variable = rules.variable;
        let collator = CollatorBorrowed::try_new((&locale).into(), options)
            .map_err(|error| wrong(format!("the collation {spec} cannot be made: {error}")))?;
        Ok(Some(Self { rules, folding: Folding::new(move |text| sort_key(&collator, text)) }))
    }

    /// What stands for strings.
    pub(crate) fn folding(&self) -> &Folding {
        &self.folding
    }

    /// `conditions` with what stands for their strings, for the ranges of an index of sort keys. Those that look into
    /// strings are left out, and are left to the matcher.
    pub(crate) fn for_index(&self, conditions: &[Filter]) -> Vec<Filter> {
        let folded = |condition: &Filter| match condition {
            Filter::Field(path, predicate) => {
                Some(Filter::Field(path.clone(), folded(&self.folding, predicate)?))
            }
            Filter::All => Some(Filter::All),
            _ => None,
        };
        conditions.iter().filter_map(folded).collect()
    }
}

fn folded(folding: &Folding, predicate: &Predicate) -> Option<Predicate> {
    let values = |values: &[Bson]| values.iter().map(|value| folding.bson(value)).collect();
    Some(match predicate {
        Predicate::Eq(value) => Predicate::Eq(folding.bson(value)),
        Predicate::Ne(value) => Predicate::Ne(folding.bson(value)),
        Predicate::Gt(value) => Predicate::Gt(folding.bson(value)),
        Predicate::Gte(value) => Predicate::Gte(folding.bson(value)),
        Predicate::Lt(value) => Predicate::Lt(folding.bson(value)),
        Predicate::Lte(value) => Predicate::Lte(folding.bson(value)),
        Predicate::In(list) => Predicate::In(values(list)),
        Predicate::NotIn(list) => Predicate::NotIn(values(list)),
        Predicate::HasEvery(list) => Predicate::HasEvery(values(list)),
        Predicate::Regex { .. } | Predicate::Element(_) => return None,
        other => other.clone(),
    })
}

/// The bytes of the sort key, each as the character of its number: text is in the same order.
fn sort_key(collator: &CollatorBorrowed<'_>, text: &str) -> String {
    let mut key = Vec::with_capacity(2 * text.len() + 8);
    let Ok(()) = collator.write_sort_key_to(text, &mut key);
    key.into_iter().map(char::from).collect()
}

/// What decides in strings.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rules {
    /// The language, with what its tag can say of the order (`de-u-co-phonebk-kn`).
    tag: String,
    strength: Strength,
    case_level: CaseLevel,
    /// None: as in the language.
    alternate: Option<AlternateHandling>,
    variable: Option<MaxVariable>,
}

impl Rules {
    fn of(spec: &Document) -> Result<Option<Self>> {
        let locale = spec.get_str("locale").map_err(|_| wrong("a collation needs a `locale`"))?;
        let mut rules = Self {
            tag: String::new(),
            strength: Strength::Tertiary,
            case_level: CaseLevel::Off,
            alternate: None,
            variable: None,
        };
        let (name, mut keywords) = tag_of(locale)?;
        for (option, value) in spec {
            keywords.extend(rules.option(option, value)?);
        }
        rules.tag = match keywords.is_empty() {
            true => name,
            false => format!("{name}-u-{}", keywords.join("-")),
        };
        Ok((locale != "simple").then_some(rules))
    }

    /// Takes an option over; answers with the keyword of the tag that it is.
    fn option(&mut self, option: &str, value: &Bson) -> Result<Option<String>> {
        let refused = || wrong(format!("the `{option}` of a collation is not {value}"));
        let set = || value.as_bool().ok_or_else(refused);
        match (option, value.as_str()) {
            ("locale" | "version", Some(_)) => {}
            // Strings are normalized whatever is asked for, as far as it tells.
            ("normalization", _) => drop(set()?),
            ("strength", _) => {
                self.strength = match integer(value) {
                    Some(1) => Strength::Primary,
                    Some(2) => Strength::Secondary,
                    Some(3) => Strength::Tertiary,
                    Some(4) => Strength::Quaternary,
                    Some(5) => Strength::Identical,
                    _ => return Err(wrong("the `strength` of a collation is a whole number from 1 to 5")),
                }
            }
            ("caseLevel", _) => self.case_level = if set()? { CaseLevel::On } else { CaseLevel::Off },
            ("numericOrdering", _) => return Ok(set()?.then(|| "kn".to_owned())),
            ("caseFirst", Some("off")) => {}
            ("caseFirst", Some(first @ ("upper" | "lower"))) => return Ok(Some(format!("kf-{first}"))),
            ("alternate", Some("shifted")) => self.alternate = Some(AlternateHandling::Shifted),
            ("alternate", Some("non-ignorable")) => self.alternate = Some(AlternateHandling::NonIgnorable),
            ("maxVariable", Some("punct")) => self.variable = Some(MaxVariable::Punctuation),
            ("maxVariable", Some("space")) => self.variable = Some(MaxVariable::Space),
            ("backwards", _) if set()? => {
                return Err(Error::unsupported(
                    "the embedded engine compares accents from their end in languages that do so (fr-CA) alone",
                ));
            }
            ("backwards", _) => {}
            ("locale" | "version" | "caseFirst" | "alternate" | "maxVariable", _) => return Err(refused()),
            _ => return Err(wrong(format!("a collation has no option `{option}`"))),
        }
        Ok(None)
    }
}

/// The language of an ICU locale (`de_AT@collation=phonebook`) as a tag of BCP 47, and its keywords.
fn tag_of(locale: &str) -> Result<(String, Vec<String>)> {
    let (name, variants) = locale.split_once('@').unwrap_or((locale, ""));
    let mut keywords = Vec::new();
    for variant in variants.split(';').filter(|variant| !variant.is_empty()) {
        let order = variant.strip_prefix("collation=").ok_or_else(|| bad_locale(locale))?;
        let order = match order {
            "phonebook" => "phonebk",
            "traditional" => "trad",
            "dictionary" => "dict",
            order => order,
        };
        keywords.push(format!("co-{order}"));
    }
    Ok((name.replace('_', "-"), keywords))
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text.into()).with_server_code(BAD_VALUE)
}

fn bad_locale(locale: &str) -> Error {
    wrong(format!("{locale:?} is no locale of a collation; one is \"en\", \"de_AT\" or \"simple\""))
}

/// What stands for `value`, where something does.
fn standing(value: RawBsonRef<'_>, strings: Strings<'_>) -> Option<RawBson> {
    strings?.folding.value(value)
}

/// As [`keys::encode`], of the value as it compares.
pub(crate) fn encode(value: RawBsonRef<'_>, strings: Strings<'_>, out: &mut Vec<u8>) {
    match standing(value, strings) {
        Some(standing) => keys::encode(standing.as_raw_bson_ref(), out),
        None => keys::encode(value, out),
    }
}

/// As [`keys::encode_field`], of the value as it compares.
pub(crate) fn encode_field(name: &str, value: RawBsonRef<'_>, strings: Strings<'_>, out: &mut Vec<u8>) {
    match standing(value, strings) {
        Some(standing) => keys::encode_field(name, standing.as_raw_bson_ref(), out),
        None => keys::encode_field(name, value, out),
    }
}

/// As [`keys::encoded`], of the value as it compares.
pub(crate) fn encoded(value: &Bson, strings: Strings<'_>) -> Vec<u8> {
    match strings {
        Some(collator) => keys::encoded(&collator.folding.bson(value)),
        None => keys::encoded(value),
    }
}

/// The order of two values.
pub(crate) fn compare(a: RawBsonRef<'_>, b: RawBsonRef<'_>, strings: Strings<'_>) -> Ordering {
    if strings.is_none() {
        return order::compare(a, b);
    }
    let (own_a, own_b) = (standing(a, strings), standing(b, strings));
    let a = own_a.as_ref().map_or(a, RawBson::as_raw_bson_ref);
    order::compare(a, own_b.as_ref().map_or(b, RawBson::as_raw_bson_ref))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(spec: &Document) -> Collator {
        Collator::from_spec(spec).unwrap().unwrap()
    }

    fn order(spec: &Document, words: &[&str]) -> String {
        let (collator, mut words) = (made(spec), words.to_vec());
        words.sort_by_key(|word| collator.folding.text(word));
        words.join(" ")
    }

    fn equal(spec: &Document, a: &str, b: &str) -> bool {
        let collator = made(spec);
        collator.folding.text(a) == collator.folding.text(b)
    }

    #[test]
    fn a_strength_says_what_counts() {
        let strength = |strength: i32| doc! { "locale": "en", "strength": strength };
        // Hiragana and katakana differ by the third level, full width too; without a language only the last tells the
        // composed letter from the two.
        for (a, b, equal_up_to) in [
            ("RÉSUMÉ", "resume", 1),
            ("RÉSUMÉ", "résumé", 2),
            ("あ", "ア", 2),
            ("a", "ａ", 2),
            ("a-b", "ab", 0),
            ("ab", "a\u{0}b", 4),
            ("é", "e\u{301}", 5),
        ] {
            for level in 1..=5 {
                assert_eq!(equal(&strength(level), a, b), level <= equal_up_to, "{a:?} {b:?} at {level}");
            }
        }
        let shifted = |strength: i32| doc! { "locale": "en", "strength": strength, "alternate": "shifted" };
        assert!(equal(&shifted(3), "black-bird", "blackbird"));
        assert!(!equal(&shifted(4), "black-bird", "blackbird"), "the fourth level is that of punctuation");
        let japanese = |strength: i32| doc! { "locale": "ja", "strength": strength };
        assert!(equal(&japanese(3), "あ", "ア") && !equal(&japanese(4), "あ", "ア"));
    }

    #[test]
    fn the_order_is_that_of_the_language_and_of_the_options() {
        let words = ["zoe", "côte", "cote", "apple", "Äpfel", "Zoe", "_x", "10", "9"];
        assert_eq!(order(&doc! { "locale": "en" }, &words), "_x 10 9 Äpfel apple cote côte zoe Zoe");
        assert_eq!(
            order(&doc! { "locale": "sv", "numericOrdering": true }, &words),
            "_x 9 10 apple cote côte zoe Zoe Äpfel"
        );
        assert_eq!(order(&doc! { "locale": "en", "caseFirst": "upper" }, &["zoe", "Zoe"]), "Zoe zoe");
        assert_eq!(order(&doc! { "locale": "de@collation=phonebook" }, &["Ag", "Äh", "Af"]), "Äh Af Ag");
        assert!(!equal(&doc! { "locale": "en", "strength": 1, "caseLevel": true }, "A", "a"));
    }

    #[test]
    fn what_is_no_collation_is_refused() {
        for spec in [
            doc! {},
            doc! { "locale": 5 },
            doc! { "locale": "not a locale" },
            doc! { "locale": "en@calendar=buddhist" },
            doc! { "locale": "en", "strength": 6 },
            doc! { "locale": "en", "caseFirst": "middle" },
            doc! { "locale": "en", "caseLevel": 1 },
            doc! { "locale": "en", "colour": true },
        ] {
            let error = Collator::from_spec(&spec).unwrap_err();
            assert_eq!(error.code(), forge_core::ErrorCode::BadRequest, "{spec}: {error}");
        }
        assert!(Collator::from_spec(&doc! { "locale": "simple" }).unwrap().is_none());
        let error = Collator::from_spec(&doc! { "locale": "fr", "backwards": true }).unwrap_err();
        assert_eq!(error.code(), forge_core::ErrorCode::Unsupported);
    }

    #[test]
    fn collations_are_equal_where_they_compare_alike() {
        let en = made(&doc! { "locale": "en", "strength": 2 });
        assert_eq!(en, made(&doc! { "locale": "en", "strength": 2, "caseLevel": false, "version": "57.1" }));
        assert_ne!(en, made(&doc! { "locale": "de", "strength": 2 }));
        assert_ne!(en, made(&doc! { "locale": "en", "strength": 2, "numericOrdering": true }));
    }
}
