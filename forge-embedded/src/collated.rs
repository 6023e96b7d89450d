//! Indexes with a collation: the rule of a unique index that takes letters for equal, and the way of queries with the same
//! collation.

use bson::{Bson, Document};
use forge_core::{Error, Result};

use crate::collation::{Collator, EDITION};

/// How the strings of an index are compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Collated {
    /// As it was given, with the edition of the sort keys that the index holds as its `version`.
    pub(crate) spec: Document,
    /// What makes the sort keys.
    pub(crate) collator: Collator,
}

impl Collated {
    /// Reads a collation; none for the simple one, which compares bytes.
    ///
    /// # Errors
    /// As [`Collator::from_spec`].
    pub(crate) fn of(value: &Bson) -> Result<Option<Self>> {
        let spec = value.as_document().ok_or_else(|| Error::bad_request("a collation is a document"))?;
        let Some(collator) = Collator::from_spec(spec)? else { return Ok(None) };
        let mut spec = spec.clone();
        spec.insert("version", EDITION);
        Ok(Some(Self { spec, collator }))
    }
}
