//! Indexes over every path of the documents: `$**`, alone or among fields.

use std::collections::BTreeSet;

use bson::{Document, RawBsonRef, RawDocument};
use forge_core::{Error, Result};
use forge_mongo::Refusal;

use crate::index::{Entry, Index, IndexKey, KeyKind, MAX_ENTRIES, integer};
use crate::keys::{self, PathValues};

/// Which paths are in an index. Its entries are the values of the fields before, path, value, the values of the fields
/// behind, and id. Where there are fields beside, a document without any of the paths has an entry too.
#[derive(Debug, Clone)]
pub(crate) struct Wildcard {
    /// Where it stands among the fields of the index.
    pub(crate) position: usize,
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
        let below = key.path.trim_end_matches("$**").to_owned();
        let position = keys.iter().position(|one| one == key).unwrap_or(0);
        let mut wildcard =
            Self { position, below, projection, paths: Vec::new(), inclusive: false, with_id: false };
        wildcard.read_projection()?;
        wildcard.check_beside(keys)?;
        Ok(Some(wildcard))
    }

    /// Reports fields that cannot stand beside it, as servers do.
    fn check_beside(&self, keys: &[IndexKey]) -> Result<()> {
        let refused = |what: String| {
            Err(Error::bad_request(what).with_source(Refusal::new(crate::index::CANNOT_CREATE_INDEX)))
        };
        for (_, key) in keys.iter().enumerate().filter(|(at, _)| *at != self.position) {
            if !matches!(key.kind, KeyKind::Ascending | KeyKind::Descending) {
                return refused(format!(
                    "beside `$**` stand ascending and descending fields, unlike `{}`",
                    key.path
                ));
            }
            if self.covers(&key.path) {
                return refused(format!(
                    "`{}` stands beside `$**` and is covered by it: leave it out by wildcardProjection",
                    key.path
                ));
            }
        }
        Ok(())
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

    /// What the entries of `path` start with, behind the values of the fields before.
    pub(crate) fn below(&self, head: &[u8], path: &str) -> Vec<u8> {
        let mut below = head.to_vec();
        keys::encode(RawBsonRef::String(path), &mut below);
        below
    }

    /// The entries of a document. `arrays` learns which of the fields beside hold arrays.
    pub(crate) fn entries(
        &self,
        index: &Index,
        document: &RawDocument,
        id_key: &[u8],
        arrays: &mut Vec<usize>,
    ) -> Result<BTreeSet<Entry>> {
        let mut beside = |start: Vec<u8>, from: usize, to: usize| {
            index.products(document, vec![start], from..to, arrays).map(|(heads, _)| heads)
        };
        let heads = beside(index.id.to_be_bytes().to_vec(), 0, self.position)?;
        let tails = beside(Vec::new(), self.position + 1, index.keys.len())?;
        let key = &index.keys[self.position];
        let mut paths = BTreeSet::new();
        collect(document, "", &mut paths);
        let mut entries = BTreeSet::new();
        let mut add = |start: Vec<u8>| {
            for tail in &tails {
                let mut key = [start.as_slice(), tail].concat();
                let id_at = u32::try_from(key.len()).unwrap_or(u32::MAX);
                key.extend_from_slice(id_key);
                entries.insert((key, id_at));
            }
            if entries.len() <= MAX_ENTRIES {
                return Ok(());
            }
            Err(Error::bad_request(format!(
                "the document would need more than {MAX_ENTRIES} entries in index {}",
                index.name
            )))
        };
        let mut bare = index.keys.len() > 1 && !index.sparse;
        for path in paths.iter().filter(|path| self.covers(path)) {
            let found = PathValues::of(document, path);
            for value in found.values.iter().filter(|_| found.exists) {
                bare = false;
                for head in &heads {
                    let mut start = self.below(head, path);
                    key.put(*value, index, &mut start);
                    add(start)?;
                }
            }
        }
        if bare {
            for head in &heads {
                let mut start = head.clone();
                keys::encode(RawBsonRef::MinKey, &mut start);
                add(start)?;
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
