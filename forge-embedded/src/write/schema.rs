//! Indexes and databases: creating, dropping, expiring.

use std::sync::Arc;

use bson::{Document, RawDocument};
use forge_core::adapter::ChangeKind;
use forge_core::{Error, ErrorCode, Result};

use super::Writing;
use crate::catalog::Collection;
use crate::clock::Clock;
use crate::index::Index;
use crate::query::Query;
use crate::store::Span;

impl Writing<'_, '_> {
    /// Creates an index over what is there. The same index again is no change.
    pub(crate) fn create_index(&mut self, database: &str, name: &str, spec: &Document) -> Result<()> {
        let wanted = Index::from_spec(0, spec)?;
        let collection = self.ensure_collection(database, name)?;
        if let Some(present) = collection.index(&wanted.name) {
            if present.spec == wanted.spec {
                return Ok(());
            }
            return Err(Error::conflict(format!(
                "collection {name} already has another index of the name {}; drop it first",
                wanted.name
            )));
        }
        let id = Arc::make_mut(&mut self.pending.catalog).take_id(&mut self.meta)?;
        let mut index = Index { id, ..wanted };
        self.fill(&collection, &mut index)?;
        let mut changed = Collection::clone(&collection);
        changed.indexes.push(Arc::new(index));
        self.replace_collection(database, changed)?;
        Ok(())
    }

    /// Builds the indexes again whose sort keys are of another edition of the data of collations. A unique one whose rule
    /// does not hold any longer is dropped, which is logged: `push` tells why it cannot be made.
    pub(crate) fn renew_indexes(&mut self) -> Result<()> {
        for (database, collection) in self.pending.catalog.outdated() {
            let mut changed = Collection::clone(&collection);
            changed.indexes.clear();
            for index in &collection.indexes {
                if !index.is_outdated() {
                    changed.indexes.push(index.clone());
                    continue;
                }
                self.tables.clear_entries(&Span::of_id(index.id))?;
                let mut renewed = Index::from_spec(index.id, &index.spec)?;
                match self.fill(&collection, &mut renewed) {
                    Ok(()) => changed.indexes.push(Arc::new(renewed)),
                    Err(error) if error.code() == ErrorCode::UniqueViolation => tracing::warn!(
                        collection = &*collection.name, index = renewed.name, error = %error,
                        "dropped a unique index whose collation is of another edition"
                    ),
                    Err(error) => return Err(error),
                }
            }
            self.replace_collection(&database, changed)?;
        }
        Ok(())
    }

    fn fill(&mut self, collection: &Collection, index: &mut Index) -> Result<()> {
        let mut entries = Vec::new();
        for row in self.tables.docs(&Span::of_id(collection.id))? {
            let (key, value) = row?;
            let mut arrays = Vec::new();
            let document = RawDocument::from_bytes(value.value())?;
            entries.append(&mut index.entries(document, &key.value()[4..], &mut arrays)?);
            for position in arrays {
                index.keys[position].multikey = true;
            }
        }
        entries.sort_unstable();
        let mut last: &[u8] = &[];
        for (key, id_at) in &entries {
            let values = &key[..*id_at as usize];
            if index.unique && values == last {
                return Err(Error::unique_violation(&*collection.name, index.paths()).context(format!(
                    "index {} cannot be unique over the documents of {}",
                    index.name, collection.name
                )));
            }
            last = values;
        }
        let entries: Vec<_> = entries.iter().map(|(key, id_at)| (key.as_slice(), *id_at)).collect();
        self.tables.put_new_entries(&entries)
    }

    /// Drops an index.
    ///
    /// # Errors
    /// `not_found` where there is none of the name.
    pub(crate) fn drop_index(&mut self, database: &str, name: &str, index: &str) -> Result<()> {
        let found = self.pending.catalog.collection(database, name).cloned();
        let missing = || Error::not_found(format!("collection {name} has no index {index}"));
        let collection = found.ok_or_else(missing)?;
        let id = collection.index(index).ok_or_else(missing)?.id;
        self.tables.clear_entries(&Span::of_id(id))?;
        let mut changed = Collection::clone(&collection);
        changed.indexes.retain(|index| index.id != id);
        self.replace_collection(database, changed)?;
        Ok(())
    }

    /// Drops every collection of a database; the feed says so.
    pub(crate) fn drop_database(&mut self, database: &str) -> Result<()> {
        self.pending.catalog_changed = true;
        let dropped = Arc::make_mut(&mut self.pending.catalog).clear_database(&mut self.meta, database)?;
        for collection in dropped {
            self.tables.clear_docs(collection.id)?;
            for index in &collection.indexes {
                self.tables.clear_entries(&Span::of_id(index.id))?;
            }
            self.record(&collection, ChangeKind::Drop, Vec::new(), None, None, None);
        }
        Ok(())
    }

    /// Deletes what TTL indexes say is over, in every database. Answers with how many documents went.
    pub(crate) fn purge_expired(&mut self, now: forge_core::DateTime) -> Result<u64> {
        let mut due = Vec::new();
        for (database, entry) in self.pending.catalog.databases() {
            for collection in entry.collections.values() {
                for index in &collection.indexes {
                    if let Some(seconds) = index.expire_after {
                        let limit = now.millis().saturating_sub(seconds.saturating_mul(1_000));
                        due.push((
                            database.clone(),
                            collection.name.clone(),
                            index.keys[0].path.clone(),
                            limit,
                        ));
                    }
                }
            }
        }
        let mut purged = 0;
        for (database, collection, path, limit) in due {
            let over = bson::doc! { path: { "$lte": bson::DateTime::from_millis(limit) } };
            let hits = self.view(&database, &Clock::unlimited()).hits(&collection, &Query::new(&over)?)?;
            for (id_key, before) in hits {
                self.delete_one(&database, &collection, id_key, before)?;
                purged += 1;
            }
        }
        Ok(purged)
    }
}
