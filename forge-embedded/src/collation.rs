//! Collations without a language: comparisons of letters alone, of letters and accents, or of case as well, for conditions
//! and sorts.
//!
//! Documents and conditions are folded before they are compared. An index whose strings are folded alike serves such a
//! read, any other serves its conditions without strings. The order is that of the letters' code points, which for most
//! languages is close to ICU's, not the same.

use bson::{Bson, Document, RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use forge_core::ir::{Collation, Filter, Predicate};
use forge_core::{Error, Result};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What counts in strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folding {
    /// Strength 1.
    Letters,
    /// Strength 2: accents decide between equal letters.
    Accents,
    /// Strength 3: where accents are equal too, small letters come before capital ones.
    Case,
}

impl Folding {
    /// The folding of a collation; none of the simple one, which compares bytes.
    ///
    /// # Errors
    /// `unsupported` from strength 4 on.
    pub(crate) fn of(collation: &Collation) -> Result<Option<Self>> {
        match (collation.locale.as_str(), collation.strength) {
            ("simple", _) => Ok(None),
            (_, 1) => Ok(Some(Self::Letters)),
            (_, 2) => Ok(Some(Self::Accents)),
            (_, 3) => Ok(Some(Self::Case)),
            (locale, strength) => Err(Error::unsupported(format!(
                "the embedded engine has collations of strength 1 to 3, not the collation {locale} of strength {strength}"
            ))),
        }
    }

    /// What stands for `text` in comparisons.
    pub(crate) fn text(self, text: &str) -> String {
        let lower = || text.nfd().flat_map(char::to_lowercase);
        let mut folded: String = lower().filter(|c| !is_combining_mark(*c)).collect();
        // Behind everything else, so that letters come first.
        if self != Self::Letters {
            folded.push('\0');
            folded.extend(lower());
        }
        if self == Self::Case {
            folded.push('\0');
            folded.extend(text.nfd().map(|c| if c.is_uppercase() { '1' } else { '0' }));
        }
        folded
    }

    /// `document` with every string folded.
    pub(crate) fn document(self, document: &RawDocument) -> Result<RawDocumentBuf> {
        let mut out = RawDocumentBuf::new();
        for field in document {
            let (name, value) = field?;
            match value {
                RawBsonRef::String(text) => out.append(name, self.text(text)),
                RawBsonRef::Document(inner) => out.append(name, self.document(inner)?),
                RawBsonRef::Array(inner) => out.append(name, self.array(inner)?),
                other => out.append(name, other),
            }
        }
        Ok(out)
    }

    fn array(self, array: &RawArray) -> Result<RawArrayBuf> {
        let mut out = RawArrayBuf::new();
        for element in array {
            match element? {
                RawBsonRef::String(text) => out.push(self.text(text)),
                RawBsonRef::Document(inner) => out.push(self.document(inner)?),
                RawBsonRef::Array(inner) => out.push(self.array(inner)?),
                other => out.push(other),
            }
        }
        Ok(out)
    }

    /// `value` with every string folded.
    pub(crate) fn value(self, value: &Bson) -> Bson {
        match value {
            Bson::String(text) => Bson::String(self.text(text)),
            Bson::Array(list) => Bson::Array(self.values(list)),
            Bson::Document(document) => {
                let fields = document.iter().map(|(name, value)| (name.clone(), self.value(value)));
                Bson::Document(fields.collect::<Document>())
            }
            other => other.clone(),
        }
    }

    fn values(self, values: &[Bson]) -> Vec<Bson> {
        values.iter().map(|value| self.value(value)).collect()
    }

    /// `filter` with every string folded.
    ///
    /// # Errors
    /// `unsupported` for conditions that look into strings.
    pub(crate) fn filter(self, filter: &Filter) -> Result<Filter> {
        let all = |list: &[Filter]| list.iter().map(|part| self.filter(part)).collect::<Result<Vec<_>>>();
        Ok(match filter {
            Filter::And(list) => Filter::And(all(list)?),
            Filter::Or(list) => Filter::Or(all(list)?),
            Filter::Not(inner) => Filter::Not(Box::new(self.filter(inner)?)),
            Filter::Field(path, predicate) => Filter::Field(path.clone(), self.predicate(predicate)?),
            Filter::All | Filter::Nothing | Filter::Compare(..) => filter.clone(),
            other => return Err(unsupported(&format!("{other:?}"))),
        })
    }

    fn predicate(self, predicate: &Predicate) -> Result<Predicate> {
        Ok(match predicate {
            Predicate::Eq(value) => Predicate::Eq(self.value(value)),
            Predicate::Ne(value) => Predicate::Ne(self.value(value)),
            Predicate::Gt(value) => Predicate::Gt(self.value(value)),
            Predicate::Gte(value) => Predicate::Gte(self.value(value)),
            Predicate::Lt(value) => Predicate::Lt(self.value(value)),
            Predicate::Lte(value) => Predicate::Lte(self.value(value)),
            Predicate::In(values) => Predicate::In(self.values(values)),
            Predicate::NotIn(values) => Predicate::NotIn(self.values(values)),
            Predicate::HasEvery(values) => Predicate::HasEvery(self.values(values)),
            Predicate::Element(filter) => Predicate::Element(Box::new(self.filter(filter)?)),
            Predicate::Regex { pattern, .. } => return Err(unsupported(&format!("the pattern {pattern:?}"))),
            other => other.clone(),
        })
    }
}

fn unsupported(what: &str) -> Error {
    let what: String = what.chars().take(60).collect();
    Error::unsupported(format!("the embedded engine cannot combine a collation with {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_before_accents_and_accents_before_nothing() {
        let order = |folding: Folding, words: &[&str]| {
            let mut words = words.to_vec();
            words.sort_by_key(|word| folding.text(word));
            words.join(" ")
        };
        assert_eq!(
            order(Folding::Accents, &["zoe", "côte", "cote", "apple", "Äpfel"]),
            "Äpfel apple cote côte zoe"
        );
        assert_eq!(
            order(Folding::Case, &["Zoe", "zoe", "Apple", "apple", "àpple"]),
            "apple Apple àpple zoe Zoe"
        );
        assert_ne!(Folding::Case.text("resume"), Folding::Case.text("Resume"));
        assert_eq!(Folding::Letters.text("RÉSUMÉ"), Folding::Letters.text("resume"));
        assert_ne!(Folding::Accents.text("résumé"), Folding::Accents.text("resume"));
        assert_eq!(Folding::Accents.text("re\u{301}sume"), Folding::Accents.text("RÉSUME"));
    }
}
