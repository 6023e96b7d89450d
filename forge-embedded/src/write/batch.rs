//! New documents, one or many: each is checked in its turn, and then all of them are stored in the order of their keys,
//! which costs a fraction of storing them one by one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bson::RawDocumentBuf;
use forge_core::Result;
use forge_core::adapter::ChangeKind;

use super::store::Duplicate;
use super::{Writing, id_key};
use crate::catalog::Collection;
use crate::index::Entry;
use crate::store::{Span, doc_key};

/// Documents that may be stored, and are not yet.
#[derive(Default)]
pub(super) struct Batch {
    /// In the order in which they came, with their encoded ids.
    documents: Vec<(Vec<u8>, RawDocumentBuf)>,
    /// Their places in `documents` by their full keys.
    keys: BTreeMap<Vec<u8>, usize>,
    /// Their index entries.
    entries: Vec<Entry>,
    /// The values that they hold in unique indexes.
    taken: HashSet<Vec<u8>>,
    /// The fields of indexes that hold arrays for the first time: the number of the index and the position in it.
    arrays: BTreeSet<(u32, usize)>,
    /// The last key of the collection as it is stored, once somebody asked.
    last: Option<Vec<u8>>,
}

impl Writing<'_, '_> {
    /// Puts a document into a batch, unless another one has its id or its values in a unique index.
    pub(super) fn admit(
        &self,
        collection: &Collection,
        batch: &mut Batch,
        document: RawDocumentBuf,
    ) -> Result<Option<Duplicate>> {
        let id_key = id_key(&document)?;
        let key = doc_key(collection.id, &id_key);
        if batch.keys.contains_key(&key) || self.is_stored(collection, batch, &key)? {
            return Ok(Some(Duplicate { index: "_id_".to_owned(), paths: vec!["_id".to_owned()] }));
        }
        if let Some(validator) = &collection.validator {
            validator.admit(&collection.name, None, &document)?;
        }
        let (mut added, mut arrays, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for index in &collection.indexes {
            let mut positions = Vec::new();
            let entries = index.entries(&document, &id_key, &mut positions)?;
            let new = positions.into_iter().filter(|&position| !index.keys[position].multikey);
            arrays.extend(new.map(|position| (index.id, position)));
            if index.unique {
                for entry in &entries {
                    let values = &entry.0[..entry.1 as usize];
                    if batch.taken.contains(values) || self.is_taken(entry)? {
                        return Ok(Some(Duplicate { index: index.name.clone(), paths: index.paths() }));
                    }
                    taken.push(values.to_vec());
                }
            }
            added.extend(entries);
        }
        batch.keys.insert(key, batch.documents.len());
        batch.documents.push((id_key, document));
        batch.entries.append(&mut added);
        batch.taken.extend(taken);
        batch.arrays.extend(arrays);
        Ok(None)
    }

    /// Whether the collection holds a key. Ids mostly grow: those behind the last one need not be looked up.
    fn is_stored(&self, collection: &Collection, batch: &mut Batch, key: &[u8]) -> Result<bool> {
        if batch.last.is_none() {
            let last = self.tables.docs(&Span::of_id(collection.id))?.next_back().transpose();
            batch.last = Some(last?.map_or_else(Vec::new, |(key, _)| key.value().to_vec()));
        }
        if batch.last.as_deref().is_some_and(|last| key > last) {
            return Ok(false);
        }
        Ok(self.tables.doc(key)?.is_some())
    }

    /// Stores the documents of a batch.
    pub(super) fn store_batch(
        &mut self,
        database: &str,
        collection: &mut Arc<Collection>,
        mut batch: Batch,
    ) -> Result<()> {
        batch.entries.sort_unstable();
        let entries: Vec<_> = batch.entries.iter().map(|(key, id_at)| (key.as_slice(), *id_at)).collect();
        let documents: Vec<_> =
            batch.keys.iter().map(|(key, at)| (key.as_slice(), batch.documents[*at].1.as_bytes())).collect();
        self.pending.broken = true;
        self.tables.put_new_entries(&entries)?;
        self.tables.put_new_docs(&documents)?;
        self.pending.broken = false;
        if !batch.arrays.is_empty() {
            *collection = self.note_arrays(database, collection, batch.arrays)?;
        }
        self.pending.changes.reserve(batch.documents.len());
        for (id_key, document) in batch.documents {
            self.record(collection, ChangeKind::Insert, id_key, None, Some(document), None);
        }
        Ok(())
    }
}
