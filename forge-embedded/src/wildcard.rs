//! Indexes over every path of the documents: `$**`.

use std::collections::BTreeSet;

use bson::{Document, RawBsonRef, RawDocument};
use forge_core::{Error, Result};

use crate::index::{Entry, Index, IndexKey, KeyKind, MAX_ENTRIES, integer};
use crate::keys::{self, PathValues};

/// Which paths are in an index. Its entries are path, value and id.
#[derive(Debug, Clone)]
pub(crate) struct Wildcard {
    /// The path below which it looks, with a point at its end; nothing for the whole document.
    below: String,
    /// As it was given.
    pub(crate) projection: Option<Document>,
    paths: Vec<String>,
    /// Whether `paths` are the ones that are in it, or the ones that are not.
    inclusive: bool,
    with_id: bool,
}

impl Wildcard {
    /// That of an index, where it is one.
    pub(crate) fn of(keys: &[IndexKey], spec: &Document) -> Result<Option<Self>> {
        let projection = spec.get_document("wildcardProjection").ok().cloned();
        let Some(key) = keys.iter().find(|key| key.kind == KeyKind::Wildcard) else {
            return match projection {
                None => Ok(None),
                Some(_) => Err(Error::bad_request("wildcardProjection is for an index over `$**`")),
            };
        };
        if keys.len() > 1 {
            return Err(Error::unsupported("the embedded engine has no compound indexes with `$**`"));
        }
        let below = key.path.trim_end_matches("$**").to_owned();
        let mut wildcard = Self { below, projection, paths: Vec::new(), inclusive: false, with_id: false };
        wildcard.read_projection()?;
        Ok(Some(wildcard))
    }

    fn read_projection(&mut self) -> Result<()> {
        let projection = self.projection.clone().unwrap_or_default();
        if !projection.is_empty() && !self.below.is_empty() {
            return Err(Error::bad_request("wildcardProjection is for an index over `$**` alone"));
        }
        let mut kind = None;
        for (path, value) in &projection {
            let included = value.as_bool().or_else(|| Some(integer(value)? != 0)).ok_or_else(|| {
                Error::bad_request(format!("`{path}` of wildcardProjection is 1 or 0, not {value}"))
            })?;
            if path == "_id" {
                self.with_id = included;
                continue;
            }
            if kind.is_some_and(|kind| kind != included) {
                return Err(Error::bad_request(
                    "wildcardProjection names what is in or what is not, not both",
                ));
            }
            kind = Some(included);
            self.paths.push(path.clone());
        }
        self.inclusive = kind.unwrap_or(false);
        Ok(())
    }

    /// Whether the values of `path` are in the index.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let root = path.split('.').next().unwrap_or(path);
        if root == "_id" {
            return self.with_id;
        }
        let below = path.starts_with(&self.below) || self.below.strip_suffix('.') == Some(path);
        let named = self.paths.iter().any(|one| is_at_or_below(path, one));
        below && named == self.inclusive
    }

    /// What the entries of `path` start with.
    pub(crate) fn head(&self, index: u32, path: &str) -> Vec<u8> {
        let mut head = index.to_be_bytes().to_vec();
        keys::encode(RawBsonRef::String(path), &mut head);
        head
    }

    /// The entries of a document.
    pub(crate) fn entries(
        &self,
        index: &Index,
        document: &RawDocument,
        id_key: &[u8],
    ) -> Result<BTreeSet<Entry>> {
        let mut paths = BTreeSet::new();
        collect(document, "", &mut paths);
        let mut entries = BTreeSet::new();
        for path in paths.iter().filter(|path| self.covers(path)) {
            let found = PathValues::of(document, path);
            for value in found.values.iter().filter(|_| found.exists) {
                let mut key = self.head(index.id, path);
                keys::encode(*value, &mut key);
                let id_at = u32::try_from(key.len()).unwrap_or(u32::MAX);
                key.extend_from_slice(id_key);
                entries.insert((key, id_at));
            }
            if entries.len() > MAX_ENTRIES {
                return Err(Error::bad_request(format!(
                    "the document would need more than {MAX_ENTRIES} entries in index {}",
                    index.name
                )));
            }
        }
        Ok(entries)
    }
}

fn is_at_or_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Every path of a document, through lists, without positions.
fn collect(document: &RawDocument, prefix: &str, paths: &mut BTreeSet<String>) {
    for (name, value) in document.iter().flatten() {
        let name = name.as_str();
        // No filter reaches these.
        if name.is_empty() || name.contains('.') || name.starts_with('$') {
            continue;
        }
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        match value {
            RawBsonRef::Document(inner) => collect(inner, &path, paths),
            RawBsonRef::Array(items) => {
                for item in items.into_iter().flatten() {
                    if let RawBsonRef::Document(inner) = item {
                        collect(inner, &path, paths);
                    }
                }
            }
            _ => {}
        }
        paths.insert(path);
    }
}
