//! Compiled filters that can be shared.

use std::sync::Arc;

use bson::RawDocument;
use forge_core::Result;
use forge_core::ir::Filter;
use forge_core::matcher::Matcher;

/// A compiled filter; none matches everything without looking.
#[derive(Debug, Clone)]
pub(crate) struct Matching(Option<Arc<Matcher>>);

impl Matching {
    /// Compiles `filter`.
    pub(crate) fn new(filter: &Filter) -> Result<Self> {
        match filter {
            Filter::All => Ok(Self(None)),
            filter => Ok(Self(Some(Arc::new(Matcher::new(filter)?)))),
        }
    }

    /// Whether `document` satisfies the filter.
    pub(crate) fn matches(&self, document: &RawDocument) -> bool {
        self.0.as_ref().is_none_or(|matcher| matcher.matches(document))
    }
}
