//! Strings that compare by something else than their bytes.

use std::fmt;
use std::sync::Arc;

use bson::{Bson, Document, RawArrayBuf, RawBson, RawBsonRef, RawDocumentBuf};

type Fold = dyn Fn(&str) -> String + Send + Sync;

/// What stands for each string in comparisons, such as its sort key under a collation: strings are equal where what
/// stands for them is, and in the order of its bytes.
///
/// ```
/// use bson::RawBsonRef;
/// use forge_core::order::Folding;
///
/// let lower = Folding::new(str::to_lowercase);
/// let folded = lower.value(RawBsonRef::String("Salem")).unwrap();
/// assert_eq!(folded.as_str(), Some("salem"));
/// assert!(lower.value(RawBsonRef::Int32(5)).is_none());
/// ```
#[derive(Clone)]
pub struct Folding(Arc<Fold>);

impl Folding {
    /// A folding by a function.
    pub fn new(fold: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(fold))
    }

    /// What stands for `text`.
    pub fn text(&self, text: &str) -> String {
        (self.0)(text)
    }

    /// `value` with every string in it folded, however deep; none where a value of this type holds no string. What is
    /// malformed ends its document early.
    pub fn value(&self, value: RawBsonRef<'_>) -> Option<RawBson> {
        match value {
            RawBsonRef::String(text) | RawBsonRef::Symbol(text) => Some(RawBson::String(self.text(text))),
            RawBsonRef::Document(inner) => {
                let mut out = RawDocumentBuf::new();
                for (name, value) in inner.iter().map_while(Result::ok) {
                    match self.value(value) {
                        Some(folded) => out.append(name, folded),
                        None => out.append(name, value),
                    }
                }
                Some(RawBson::Document(out))
            }
            RawBsonRef::Array(inner) => {
                let mut out = RawArrayBuf::new();
                for value in inner.into_iter().map_while(Result::ok) {
                    match self.value(value) {
                        Some(folded) => out.push(folded),
                        None => out.push(value),
                    }
                }
                Some(RawBson::Array(out))
            }
            _ => None,
        }
    }

    /// As [`value`](Folding::value), of an owned value; what holds no string is the same.
    pub fn bson(&self, value: &Bson) -> Bson {
        match value {
            Bson::String(text) | Bson::Symbol(text) => Bson::String(self.text(text)),
            Bson::Array(list) => Bson::Array(list.iter().map(|value| self.bson(value)).collect()),
            Bson::Document(document) => {
                let fields = document.iter().map(|(name, value)| (name.clone(), self.bson(value)));
                Bson::Document(fields.collect::<Document>())
            }
            other => other.clone(),
        }
    }
}

impl fmt::Debug for Folding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Folding")
    }
}
