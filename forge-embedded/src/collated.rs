//! Indexes with a collation: the rule of a unique index that takes letters for equal, and the way of queries with the same
//! collation.

use bson::{Bson, Document};
use forge_core::{Error, Result};

use crate::collation::Folding;

/// How the strings of an index are compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Collated {
    /// As it was given.
    pub(crate) spec: Document,
    /// What stands for strings; from strength 4 on they stand for themselves.
    pub(crate) folding: Option<Folding>,
}

impl Collated {
    /// Reads a collation; none for the simple one, which compares bytes.
    ///
    /// # Errors
    /// `unsupported` naming an option that changes which strings are equal in a way this engine does not know.
    pub(crate) fn of(value: &Bson) -> Result<Option<Self>> {
        let spec = value.as_document().ok_or_else(|| Error::bad_request("a collation is a document"))?;
        let locale =
            spec.get_str("locale").map_err(|_| Error::bad_request("a collation needs a `locale`"))?;
        if locale == "simple" {
            return Ok(None);
        }
        let folding = match spec.get("strength").map_or(Some(3), crate::index::integer) {
            Some(1) => Some(Folding::Letters),
            Some(2) => Some(Folding::Accents),
            Some(3) => Some(Folding::Case),
            Some(4 | 5) => None,
            _ => {
                return Err(Error::bad_request(
                    "the `strength` of a collation is a whole number from 1 to 5",
                ));
            }
        };
        let set = |option: &&str| !matches!(spec.get(option), None | Some(Bson::Boolean(false)));
        if let Some(option) = ["caseLevel", "numericOrdering"].into_iter().find(set) {
            return Err(Error::unsupported(format!(
                "the embedded engine has no `{option}` in the collation of an index"
            )));
        }
        Ok(Some(Self { spec: spec.clone(), folding }))
    }
}
