//! The result of a pipeline on its way into a collection: `$out` and `$merge`.
//!
//! The pipeline has read everything before the first document is written, so that it may write where it reads. All of it
//! is one commit, or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use forge_core::adapter::ChangeKind;
use forge_core::{Error, Result};
use forge_mongo::Refusal;

use super::store::Step;
use super::{Writing, checked_size, id_key};
use crate::aggregate;
use crate::catalog::Collection;
use crate::clock::Clock;
use crate::collation::Strings;
use crate::index::Index;
use crate::keys::{self, PathValues};
use crate::query::Query;
use crate::store::doc_key;
use crate::target::{Matched, Merge, Target, Unmatched};
use crate::update::differing;

/// The server's code for a result that is to meet a document and meets none.
const NO_MATCHING_DOCUMENT: i32 = 13113;
/// The server's code for `on` without a unique index.
const NOT_UNIQUE: i32 = 51183;

/// What an index holds of a document that is there: its key, and its bytes.
type Stored = (Vec<u8>, RawDocumentBuf);

impl Writing<'_, '_> {
    /// Stores the result of a pipeline, in which strings compare as `strings` says.
    pub(crate) fn store_result(
        &mut self,
        database: &str,
        source: &str,
        stages: &[Document],
        target: &Target,
        clock: &Clock,
        strings: Strings<'_>,
    ) -> Result<()> {
        let rows = aggregate::run(&self.view(database, clock), source, stages, strings, None)?;
        let database = target.database.as_deref().unwrap_or(database);
        match &target.merge {
            None => self.replace_all(database, &target.name, rows, clock),
            Some(merge) => self.merge(database, &target.name, rows, merge, clock),
        }
    }

    /// Makes a collection hold these documents and no others. Those that stay as they are are not written.
    fn replace_all(
        &mut self,
        database: &str,
        name: &str,
        rows: Vec<RawDocumentBuf>,
        clock: &Clock,
    ) -> Result<()> {
        let mut collection = self.ensure_collection(database, name)?;
        let mut kept = BTreeSet::new();
        let mut wanted = Vec::with_capacity(rows.len());
        for row in rows {
            let row = self.with_id(&row).map_err(|failure| Error::bad_request(failure.message))?;
            let key = id_key(&row)?;
            if !kept.insert(key.clone()) {
                return Err(Error::unique_violation(name, vec!["_id".to_owned()]));
            }
            wanted.push((key, row));
        }
        let all = self.view(database, clock).hits(name, &Query::new(&Document::new())?)?;
        for (key, before) in all.into_iter().filter(|(key, _)| !kept.contains(key)) {
            self.delete_one(database, name, key, before)?;
        }
        // What is unique is looked at when all are in their places: values may have moved from one to the other.
        for (key, row) in &wanted {
            let before = self.stored(&collection, key)?;
            if before.as_ref().is_some_and(|before| before.as_bytes() == row.as_bytes()) {
                continue;
            }
            if let Some(validator) = &collection.validator {
                validator.admit(name, before.as_deref(), row)?;
            }
            let step = Step { id_key: key, before: before.as_deref(), after: Some(row) };
            self.store(database, &mut collection, &step, false)?;
            let kind = if before.is_some() { ChangeKind::Replace } else { ChangeKind::Insert };
            self.record(&collection, kind, key.clone(), before, Some(row.clone()), None);
        }
        for (key, row) in &wanted {
            self.check_unique(&collection, key, row)?;
        }
        Ok(())
    }

    fn check_unique(&self, collection: &Collection, id_key: &[u8], row: &RawDocument) -> Result<()> {
        for index in collection.indexes.iter().filter(|index| index.unique) {
            for entry in index.entries(row, id_key, &mut Vec::new())? {
                if self.is_taken(&entry)? {
                    return Err(Error::unique_violation(&*collection.name, index.paths()));
                }
            }
        }
        Ok(())
    }

    fn stored(&self, collection: &Collection, id_key: &[u8]) -> Result<Option<RawDocumentBuf>> {
        match self.tables.doc(&doc_key(collection.id, id_key))? {
            Some(bytes) => Ok(Some(RawDocument::from_bytes(bytes.value())?.to_owned())),
            None => Ok(None),
        }
    }

    /// Lets each document meet the one that is there, in the order of the result.
    fn merge(
        &mut self,
        database: &str,
        name: &str,
        rows: Vec<RawDocumentBuf>,
        merge: &Merge,
        clock: &Clock,
    ) -> Result<()> {
        let mut collection = self.ensure_collection(database, name)?;
        check_meeting(&collection, &merge.on)?;
        for row in rows {
            clock.tick()?;
            let row = if merge.on.iter().any(|path| path == "_id") {
                self.with_id(&row).map_err(|failure| Error::bad_request(failure.message))?
            } else {
                row
            };
            match self.met(database, &collection, &row, merge, clock)? {
                Some(met) => self.meet(database, &mut collection, met, &row, merge)?,
                None => self.add(database, &mut collection, &row, merge.unmatched)?,
            }
        }
        Ok(())
    }

    /// The document that a new one meets.
    fn met(
        &self,
        database: &str,
        collection: &Collection,
        row: &RawDocument,
        merge: &Merge,
        clock: &Clock,
    ) -> Result<Option<Stored>> {
        let mut condition = Document::new();
        for path in &merge.on {
            condition.insert(path.clone(), doc! { "$eq": meeting_value(row, path)? });
        }
        if merge.on == ["_id"] {
            let key = id_key(row)?;
            return Ok(self.stored(collection, &key)?.map(|stored| (key, stored)));
        }
        let query = Query::new(&condition)?.window(None, Some(1));
        Ok(self.view(database, clock).hits(&collection.name, &query)?.pop())
    }

    fn meet(
        &mut self,
        database: &str,
        collection: &mut Arc<Collection>,
        (key, before): Stored,
        row: &RawDocument,
        merge: &Merge,
    ) -> Result<()> {
        let old = Document::try_from(&before)?;
        let new = Document::try_from(row)?;
        let after = match &merge.matched {
            Matched::Keep => return Ok(()),
            Matched::Fail => return Err(Error::unique_violation(&*collection.name, merge.on.clone())),
            Matched::Replace => {
                let mut whole = doc! { "_id": old.get("_id").cloned().unwrap_or(Bson::Null) };
                whole.extend(new);
                whole
            }
            Matched::Merge => {
                let mut merged = old.clone();
                merged.extend(new);
                merged
            }
            Matched::Update { stages, variables } => {
                let bound = aggregate::bound(&new, variables, self.env)?;
                aggregate::reshaped_with(old.clone(), stages, bound, self.env)?
            }
        };
        if after.get("_id").map(keys::encoded) != old.get("_id").map(keys::encoded) {
            return Err(Error::bad_request(format!(
                "`$merge` would change the `_id` of a document of {}, which never changes: leave `_id` out of the result",
                collection.name
            )));
        }
        let raw = checked_size(keys::to_raw(&after)?)?;
        if raw.as_bytes() == before.as_bytes() {
            return Ok(());
        }
        let step = Step { id_key: &key, before: Some(&before), after: Some(&raw) };
        if let Some(duplicate) = self.store(database, collection, &step, true)? {
            return Err(duplicate.into_error(&collection.name));
        }
        let (kind, touched) = match merge.matched {
            Matched::Replace => (ChangeKind::Replace, None),
            _ => (ChangeKind::Update, Some(Arc::from(differing(&old, &after)))),
        };
        self.record(collection, kind, key, Some(before), Some(raw), touched);
        Ok(())
    }

    fn add(
        &mut self,
        database: &str,
        collection: &mut Arc<Collection>,
        row: &RawDocument,
        unmatched: Unmatched,
    ) -> Result<()> {
        match unmatched {
            Unmatched::Discard => Ok(()),
            Unmatched::Fail => {
                let text = format!("a document of the result meets none in {}", collection.name);
                Err(Error::not_found(text).with_source(Refusal::new(NO_MATCHING_DOCUMENT)))
            }
            Unmatched::Insert => {
                let row = self.with_id(row).map_err(|failure| Error::bad_request(failure.message))?;
                match self.insert_one(database, collection, row)? {
                    Some(duplicate) => Err(duplicate.into_error(&collection.name)),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Documents meet by what a unique index says there is once.
fn check_meeting(collection: &Collection, on: &[String]) -> Result<()> {
    let same = |index: &Index| {
        let own: BTreeSet<_> = index.paths().into_iter().collect();
        own == on.iter().cloned().collect()
    };
    let fits = |index: &&Arc<Index>| {
        index.unique && index.partial.is_none() && index.collation.is_none() && same(index)
    };
    if on == ["_id"] || collection.indexes.iter().any(|index| fits(&index)) {
        return Ok(());
    }
    let text = format!("`$merge` needs a unique index on {} alone, in {}", on.join(", "), collection.name);
    Err(Error::bad_request(text).with_source(Refusal::new(NOT_UNIQUE)))
}

fn meeting_value(row: &RawDocument, path: &str) -> Result<Bson> {
    let found = PathValues::of(row, path);
    match found.values.first() {
        Some(value)
            if found.exists
                && !found.multikey
                && !matches!(value, RawBsonRef::Null | RawBsonRef::Undefined) =>
        {
            Ok(Bson::try_from(*value)?)
        }
        _ => Err(Error::bad_request(format!(
            "a document of the result has no single value at `{path}`, by which `$merge` is to find its place"
        ))),
    }
}
