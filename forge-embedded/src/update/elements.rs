//! Array filters: which elements the `$[name]` of a path stands for.

use bson::{Bson, Document, RawDocumentBuf};
use forge_core::{Error, Result};

use crate::collation::Strings;
use crate::matching::Matching;
use crate::{filter, keys};

/// The conditions of an update by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Elements(Vec<(String, Matching)>);

impl Elements {
    /// Reads array filters: the paths of each begin with its name.
    ///
    /// # Errors
    /// `bad_request` where one has no name, two names, or the name of another.
    pub(super) fn parse(filters: &[Document], strings: Strings<'_>) -> Result<Self> {
        let mut elements = Self::default();
        for condition in filters {
            let mut names = Vec::new();
            roots(condition, &mut names);
            names.sort_unstable();
            names.dedup();
            let [name] = names[..] else {
                return Err(Error::bad_request(format!(
                    "an array filter is about one name, and this is about {}: {condition}",
                    names.len()
                )));
            };
            if elements.knows(name) {
                return Err(Error::bad_request(format!("there are two array filters for `{name}`")));
            }
            let matching = Matching::within(&filter::parse(condition)?, &[], None, strings)?;
            elements.0.push((name.to_owned(), matching));
        }
        Ok(elements)
    }

    /// Whether there is a condition of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Whether `$[name]` stands for the element. `$[]` stands for all.
    pub(super) fn matches(&self, name: &str, element: &Bson) -> bool {
        let Some((_, matching)) = self.0.iter().find(|(known, _)| known == name) else { return true };
        let mut named = Document::new();
        named.insert(name, element.clone());
        keys::to_raw(&named).is_ok_and(|raw: RawDocumentBuf| matching.matches(&raw))
    }
}

/// The first component of every path in a condition.
fn roots<'d>(condition: &'d Document, found: &mut Vec<&'d str>) {
    for (key, value) in condition {
        match value {
            Bson::Array(list) if key.starts_with('$') => {
                list.iter().filter_map(Bson::as_document).for_each(|part| roots(part, found));
            }
            _ => found.push(key.split('.').next().unwrap_or(key)),
        }
    }
}
