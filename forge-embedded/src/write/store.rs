//! One document on its way into, through or out of a collection and its indexes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use forge_core::adapter::ChangeKind;
use forge_core::{Error, Result};
use forge_mongo::artifact::{DUPLICATE_KEY, WriteFailure};

use super::Writing;
use crate::catalog::Collection;
use crate::feed::Change;
use crate::index::Entry;
use crate::store::{Span, doc_key};

/// A unique index already holds the values.
pub(super) struct Duplicate {
    /// The name of the index.
    pub(super) index: String,
    /// Its paths.
    pub(super) paths: Vec<String>,
}

impl Duplicate {
    pub(super) fn into_error(self, collection: &str) -> Error {
        Error::unique_violation(collection, self.paths)
    }

    pub(super) fn into_failure(self, collection: &str) -> WriteFailure {
        WriteFailure {
            code: DUPLICATE_KEY,
            message: format!("E11000 duplicate key error collection: {collection} index: {}", self.index),
            key_paths: self.paths,
        }
    }
}

/// A document on its way into or out of a collection.
pub(super) struct Step<'s> {
    pub(super) id_key: &'s [u8],
    pub(super) before: Option<&'s RawDocument>,
    pub(super) after: Option<&'s RawDocument>,
}

impl Writing<'_, '_> {
    pub(super) fn record(
        &mut self,
        collection: &Collection,
        kind: ChangeKind,
        id_key: Vec<u8>,
        before: Option<RawDocumentBuf>,
        after: Option<RawDocumentBuf>,
        touched: Option<Arc<[String]>>,
    ) {
        let (database, collection) = (collection.database, collection.name.clone());
        self.pending.changes.push(Change { database, collection, kind, id_key, before, after, touched });
    }

    /// Moves a document from one state to the next, in the collection and all its indexes; or changes nothing, where a
    /// unique index (`check`) does not allow it.
    pub(super) fn store(
        &mut self,
        database: &str,
        collection: &mut Arc<Collection>,
        step: &Step<'_>,
        check: bool,
    ) -> Result<Option<Duplicate>> {
        if let (true, Some(validator), Some(after)) = (check, &collection.validator, step.after) {
            validator.admit(&collection.name, step.before, after)?;
        }
        let mut arrays = BTreeSet::new();
        let mut moves: Vec<(Vec<Entry>, Vec<Entry>)> = Vec::with_capacity(collection.indexes.len());
        for index in &collection.indexes {
            let mut positions = Vec::new();
            let entries = |document: Option<&RawDocument>, positions: &mut Vec<usize>| {
                document.map_or_else(
                    || Ok(Vec::new()),
                    |document| index.entries(document, step.id_key, positions),
                )
            };
            let old = entries(step.before, &mut Vec::new())?;
            let new = entries(step.after, &mut positions)?;
            let first = positions.into_iter().filter(|&position| !index.keys[position].multikey);
            arrays.extend(first.map(|position| (index.id, position)));
            if check && index.unique {
                for entry in missing_in(&new, &old) {
                    if self.is_taken(entry)? {
                        return Ok(Some(Duplicate { index: index.name.clone(), paths: index.paths() }));
                    }
                }
            }
            moves.push((old, new));
        }
        self.pending.broken = true;
        for (old, new) in &moves {
            for (key, _) in missing_in(old, new) {
                self.tables.remove_entry(key)?;
            }
            for (key, id_at) in missing_in(new, old) {
                self.tables.put_entry(key, *id_at)?;
            }
        }
        let key = doc_key(collection.id, step.id_key);
        match step.after {
            Some(document) => self.tables.put_doc(&key, document.as_bytes())?,
            None => self.tables.remove_doc(&key)?,
        }
        self.pending.broken = false;
        if !arrays.is_empty() {
            *collection = self.note_arrays(database, collection, arrays)?;
        }
        Ok(None)
    }

    /// Whether another document holds the values of an entry.
    pub(super) fn is_taken(&self, (key, id_at): &Entry) -> Result<bool> {
        let values = &key[..*id_at as usize];
        for found in self.tables.entries(&Span::prefix(values))? {
            let (found, _) = found?;
            if found.value() != key.as_slice() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Remembers that fields of indexes hold arrays.
    pub(super) fn note_arrays(
        &mut self,
        database: &str,
        collection: &Collection,
        arrays: BTreeSet<(u32, usize)>,
    ) -> Result<Arc<Collection>> {
        let mut changed = collection.clone();
        for (id, position) in arrays {
            for index in changed.indexes.iter_mut().filter(|index| index.id == id) {
                Arc::make_mut(index).keys[position].multikey = true;
            }
        }
        self.replace_collection(database, changed)
    }

    /// Changes back everything after the first `mark` changes.
    pub(super) fn undo(&mut self, mark: usize) -> Result<()> {
        while self.pending.changes.len() > mark {
            let Some(change) = self.pending.changes.pop() else { break };
            let database = self.pending.catalog.name_of(change.database)?;
            let mut collection = self.ensure_collection(&database, &change.collection)?;
            let step = Step {
                id_key: &change.id_key,
                before: change.after.as_deref(),
                after: change.before.as_deref(),
            };
            let undone = self.store(&database, &mut collection, &step, false);
            if undone.is_err() {
                self.pending.broken = true;
            }
            undone?;
        }
        Ok(())
    }
}

/// The entries of `these` that `those` lack; both are sorted.
fn missing_in<'e>(these: &'e [Entry], those: &'e [Entry]) -> impl Iterator<Item = &'e Entry> {
    these.iter().filter(|entry| those.binary_search(entry).is_err())
}
