//! Writing commands, inside a write transaction.
//!
//! A command that fails leaves nothing behind: what it changed so far is changed back before the error is answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};
use forge_core::adapter::ChangeKind;
use forge_core::{Env, Error, ErrorCode, Result};
use forge_mongo::artifact::{DUPLICATE_KEY, WriteFailure};
use forge_mongo::{Command, MongoArtifact, Reply};
use redb::{Table, WriteTransaction};

use crate::catalog::{Catalog, Collection};
use crate::feed::Change;
use crate::filter;
use crate::index::{Entry, Index};
use crate::keys;
use crate::read::{Clock, Query, View};
use crate::store::{META, Span, Tables, doc_key, storage};
use crate::update::{Update, set_path};

/// The largest document, as on a server.
const MAX_DOCUMENT: usize = 16 * 1024 * 1024;
/// MongoDB's code of a document that is too large.
const TOO_LARGE: i32 = 10334;
/// MongoDB's code of a value that cannot be stored where it is.
const BAD_VALUE: i32 = 2;

/// What a write transaction has done so far, beside the tables.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What exists, with what the transaction created.
    pub(crate) catalog: Arc<Catalog>,
    /// Whether the transaction changed the catalog.
    pub(crate) catalog_changed: bool,
    /// Every change, in order.
    pub(crate) changes: Vec<Change>,
    /// A failure of the storage left a document half stored: the transaction cannot commit.
    pub(crate) broken: bool,
}

impl Pending {
    /// Nothing, so far.
    pub(crate) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, catalog_changed: false, changes: Vec::new(), broken: false }
    }
}

/// A write transaction with its tables open.
pub(crate) struct Writing<'w, 't> {
    tables: Tables<'t>,
    meta: Table<'t, &'static str, &'static [u8]>,
    /// What it has done so far.
    pub(crate) pending: &'w mut Pending,
    env: &'w Env,
}

/// A unique index already holds the values.
pub(crate) struct Duplicate {
    index: String,
    paths: Vec<String>,
}

impl Duplicate {
    fn into_error(self, collection: &str) -> Error {
        Error::unique_violation(collection, self.paths)
    }

    fn into_failure(self, collection: &str) -> WriteFailure {
        WriteFailure {
            code: DUPLICATE_KEY,
            message: format!("E11000 duplicate key error collection: {collection} index: {}", self.index),
            key_paths: self.paths,
        }
    }
}

/// A document on its way into or out of a collection.
struct Step<'s> {
    id_key: &'s [u8],
    before: Option<&'s RawDocument>,
    after: Option<&'s RawDocument>,
}

impl<'w, 't> Writing<'w, 't> {
    /// Opens the tables.
    pub(crate) fn open(txn: &'t WriteTransaction, pending: &'w mut Pending, env: &'w Env) -> Result<Self> {
        Ok(Self { tables: Tables::write(txn)?, meta: txn.open_table(META).map_err(storage)?, pending, env })
    }

    /// The same state, for reading.
    pub(crate) fn view<'v>(&'v self, database: &'v str, clock: &'v Clock) -> View<'v, 't> {
        View { tables: &self.tables, catalog: &self.pending.catalog, database, clock }
    }

    /// Runs a writing command; undoes it where it fails.
    pub(crate) fn run(&mut self, database: &str, artifact: &MongoArtifact) -> Result<Reply> {
        let mark = self.pending.changes.len();
        let result = self.command(database, artifact);
        if result.is_err() && !self.pending.broken {
            self.undo(database, mark)?;
        }
        result
    }

    /// Takes the changes since the last time, as the work of one commit.
    ///
    /// # Errors
    /// `internal` where the transaction is broken and cannot commit.
    pub(crate) fn take_changes(&mut self) -> Result<Vec<Change>> {
        if self.pending.broken {
            return Err(Error::internal(
                "the storage failed in the middle of a write; the transaction is undone",
            ));
        }
        Ok(std::mem::take(&mut self.pending.changes))
    }

    fn command(&mut self, database: &str, artifact: &MongoArtifact) -> Result<Reply> {
        let name = &artifact.collection;
        let clock = Clock::new(self.env, artifact);
        match &artifact.command {
            Command::Insert { documents, ordered } => self.insert(database, name, documents, *ordered),
            Command::Update { filter, update, many, upsert } => {
                let query = one_unless(*many, Query::new(filter)?);
                let update = Update::parse(update)?;
                let hits = self.view(database, &clock).hits(name, &query)?;
                if hits.is_empty() && *upsert {
                    let id = self.upsert(database, name, &query, &update)?.1;
                    return Ok(Reply::Updated { matched: 0, modified: 0, upserted: Some(id) });
                }
                let (matched, mut modified) = (hits.len() as u64, 0);
                for (id_key, before) in hits {
                    let changed = self.update_one(database, name, &id_key, &before, &update)?;
                    modified += u64::from(changed.is_some());
                }
                Ok(Reply::Updated { matched, modified, upserted: None })
            }
            Command::FindOneAndUpdate { filter, update, upsert, return_after } => {
                let query = one_unless(false, Query::new(filter)?);
                let update = Update::parse(update)?;
                let hit = self.view(database, &clock).hits(name, &query)?.pop();
                let Some((id_key, before)) = hit else {
                    if !*upsert {
                        return Ok(Reply::Document(None));
                    }
                    let after = self.upsert(database, name, &query, &update)?.0;
                    return Ok(Reply::Document(return_after.then_some(after)));
                };
                let after = self.update_one(database, name, &id_key, &before, &update)?;
                Ok(Reply::Document(Some(if *return_after { after.unwrap_or(before) } else { before })))
            }
            Command::Delete { filter, many } => {
                let query = one_unless(*many, Query::new(filter)?);
                let hits = self.view(database, &clock).hits(name, &query)?;
                let count = hits.len() as u64;
                for (id_key, before) in hits {
                    self.delete_one(database, name, id_key, before)?;
                }
                Ok(Reply::Deleted(count))
            }
            Command::FindOneAndDelete { filter } => {
                let query = one_unless(false, Query::new(filter)?);
                let hit = self.view(database, &clock).hits(name, &query)?.pop();
                if let Some((id_key, before)) = &hit {
                    self.delete_one(database, name, id_key.clone(), before.clone())?;
                }
                Ok(Reply::Document(hit.map(|(_, document)| document)))
            }
            _ => self.view(database, &clock).run(artifact),
        }
    }

    fn insert(
        &mut self,
        database: &str,
        name: &str,
        documents: &[RawDocumentBuf],
        ordered: bool,
    ) -> Result<Reply> {
        let mut failures = Vec::new();
        let mut collection = self.ensure_collection(database, name)?;
        for (position, document) in documents.iter().enumerate() {
            let failure = match self.with_id(document) {
                Err(failure) => Some(failure),
                Ok(document) => match self.insert_one(database, &mut collection, document) {
                    Ok(duplicate) => duplicate.map(|duplicate| duplicate.into_failure(name)),
                    // An index cannot take the document; nothing of it is stored.
                    Err(error) if error.code() == ErrorCode::BadRequest => Some(WriteFailure {
                        code: BAD_VALUE,
                        message: error.to_string(),
                        key_paths: Vec::new(),
                    }),
                    Err(error) => return Err(error),
                },
            };
            if let Some(failure) = failure {
                failures.push((position, failure));
                if ordered {
                    break;
                }
            }
        }
        Ok(Reply::Inserted { failures })
    }

    /// The document as it is stored: with an `_id`, which comes first.
    fn with_id(&self, document: &RawDocument) -> Result<RawDocumentBuf, WriteFailure> {
        let failure = |code, message: String| WriteFailure { code, message, key_paths: Vec::new() };
        if document.as_bytes().len() > MAX_DOCUMENT {
            return Err(failure(TOO_LARGE, format!("the document has more than {MAX_DOCUMENT} bytes")));
        }
        let mut first = None;
        for (position, field) in document.iter().enumerate() {
            let (key, value) =
                field.map_err(|error| failure(BAD_VALUE, format!("malformed BSON: {error}")))?;
            if key.as_str() == "_id" {
                first = Some((position, value));
                break;
            }
        }
        match first {
            Some((_, RawBsonRef::Array(_) | RawBsonRef::RegularExpression(_) | RawBsonRef::Undefined)) => {
                Err(failure(BAD_VALUE, "an `_id` is no array, pattern or undefined".to_owned()))
            }
            Some((0, _)) => Ok(document.to_owned()),
            found => {
                let mut out = RawDocumentBuf::new();
                match found {
                    Some((_, id)) => out.append(bson::raw::cstr!("_id"), id),
                    None => out.append(bson::raw::cstr!("_id"), self.env.object_id()),
                }
                for (key, value) in document.iter().flatten().filter(|(key, _)| key.as_str() != "_id") {
                    out.append(key, value);
                }
                Ok(out)
            }
        }
    }

    fn insert_one(
        &mut self,
        database: &str,
        collection: &mut Arc<Collection>,
        document: RawDocumentBuf,
    ) -> Result<Option<Duplicate>> {
        let id_key = id_key(&document)?;
        if self.tables.doc(&doc_key(collection.id, &id_key))?.is_some() {
            return Ok(Some(Duplicate { index: "_id_".to_owned(), paths: vec!["_id".to_owned()] }));
        }
        let step = Step { id_key: &id_key, before: None, after: Some(&document) };
        if let Some(duplicate) = self.store(database, collection, &step, true)? {
            return Ok(Some(duplicate));
        }
        self.record(collection, ChangeKind::Insert, id_key, None, Some(document), None);
        Ok(None)
    }

    fn update_one(
        &mut self,
        database: &str,
        name: &str,
        id_key: &[u8],
        before: &RawDocumentBuf,
        update: &Update,
    ) -> Result<Option<RawDocumentBuf>> {
        let mut document = Document::try_from(before)?;
        update.apply(&mut document, false, self.env.now())?;
        let after = checked_size(keys::to_raw(&document)?)?;
        if after.as_bytes() == before.as_bytes() {
            return Ok(None);
        }
        let mut collection = self.ensure_collection(database, name)?;
        let step = Step { id_key, before: Some(before), after: Some(&after) };
        if let Some(duplicate) = self.store(database, &mut collection, &step, true)? {
            return Err(duplicate.into_error(name));
        }
        let touched = update.touched().map(Arc::from);
        let kind = if touched.is_some() { ChangeKind::Update } else { ChangeKind::Replace };
        self.record(&collection, kind, id_key.to_vec(), Some(before.clone()), Some(after.clone()), touched);
        Ok(Some(after))
    }

    fn delete_one(
        &mut self,
        database: &str,
        name: &str,
        id_key: Vec<u8>,
        before: RawDocumentBuf,
    ) -> Result<()> {
        let mut collection = self.ensure_collection(database, name)?;
        let step = Step { id_key: &id_key, before: Some(&before), after: None };
        self.store(database, &mut collection, &step, false)?;
        self.record(&collection, ChangeKind::Delete, id_key, Some(before), None, None);
        Ok(())
    }

    /// Inserts what the filter and the update say. Answers with the document and its id.
    fn upsert(
        &mut self,
        database: &str,
        name: &str,
        query: &Query,
        update: &Update,
    ) -> Result<(RawDocumentBuf, Bson)> {
        let mut document = Document::new();
        for (path, value) in filter::equalities(query.filter()) {
            if matches!(update, Update::Operators(_)) || path == "_id" {
                set_path(&mut document, &path, value)?;
            }
        }
        update.apply(&mut document, true, self.env.now())?;
        let id = document.remove("_id").unwrap_or_else(|| self.env.object_id().into());
        let mut whole = Document::new();
        whole.insert("_id", id.clone());
        whole.extend(document);
        let raw = checked_size(keys::to_raw(&whole)?)?;
        let raw = self.with_id(&raw).map_err(|failure| Error::bad_request(failure.message))?;
        let mut collection = self.ensure_collection(database, name)?;
        match self.insert_one(database, &mut collection, raw.clone())? {
            Some(duplicate) => Err(duplicate.into_error(name)),
            None => Ok((raw, id)),
        }
    }

    fn record(
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
    fn store(
        &mut self,
        database: &str,
        collection: &mut Arc<Collection>,
        step: &Step<'_>,
        check: bool,
    ) -> Result<Option<Duplicate>> {
        let mut arrays = Vec::new();
        let mut moves: Vec<(BTreeSet<Entry>, BTreeSet<Entry>)> = Vec::with_capacity(collection.indexes.len());
        for index in &collection.indexes {
            let mut positions = Vec::new();
            let entries = |document: Option<&RawDocument>, positions: &mut Vec<usize>| {
                document.map_or_else(
                    || Ok(BTreeSet::new()),
                    |document| index.entries(document, step.id_key, positions),
                )
            };
            let old = entries(step.before, &mut Vec::new())?;
            let new = entries(step.after, &mut positions)?;
            positions.retain(|&position| !index.keys[position].multikey);
            if !positions.is_empty() {
                arrays.push((index.id, positions));
            }
            if check && index.unique {
                for entry in new.difference(&old) {
                    if self.is_taken(entry)? {
                        return Ok(Some(Duplicate { index: index.name.clone(), paths: index.paths() }));
                    }
                }
            }
            moves.push((old, new));
        }
        self.pending.broken = true;
        for (old, new) in &moves {
            for (key, _) in old.difference(new) {
                self.tables.remove_entry(key)?;
            }
            for (key, id_at) in new.difference(old) {
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
            *collection = self.note_arrays(database, collection, &arrays)?;
        }
        Ok(None)
    }

    /// Whether another document holds the values of an entry.
    fn is_taken(&self, (key, id_at): &Entry) -> Result<bool> {
        let values = &key[..*id_at as usize];
        for found in self.tables.entries(&Span::prefix(values))? {
            let (found, _) = found.map_err(storage)?;
            if found.value() != key.as_slice() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Remembers that fields of indexes hold arrays.
    fn note_arrays(
        &mut self,
        database: &str,
        collection: &Collection,
        arrays: &[(u32, Vec<usize>)],
    ) -> Result<Arc<Collection>> {
        let mut changed = collection.clone();
        for index in &mut changed.indexes {
            let id = index.id;
            for (_, positions) in arrays.iter().filter(|(array_in, _)| *array_in == id) {
                let index = Arc::make_mut(index);
                positions.iter().for_each(|&position| index.keys[position].multikey = true);
            }
        }
        self.replace_collection(database, changed)
    }

    /// Changes back everything after the first `mark` changes.
    pub(crate) fn undo(&mut self, database: &str, mark: usize) -> Result<()> {
        while self.pending.changes.len() > mark {
            let Some(change) = self.pending.changes.pop() else { break };
            let mut collection = self.ensure_collection(database, &change.collection)?;
            let step = Step {
                id_key: &change.id_key,
                before: change.after.as_deref(),
                after: change.before.as_deref(),
            };
            let undone = self.store(database, &mut collection, &step, false);
            if undone.is_err() {
                self.pending.broken = true;
            }
            undone?;
        }
        Ok(())
    }

    /// The collection of that name, created where it is new.
    pub(crate) fn ensure_collection(&mut self, database: &str, name: &str) -> Result<Arc<Collection>> {
        if let Some(found) = self.pending.catalog.collection(database, name) {
            return Ok(found.clone());
        }
        self.pending.catalog_changed = true;
        Arc::make_mut(&mut self.pending.catalog).ensure_collection(&mut self.meta, database, name)
    }

    fn replace_collection(&mut self, database: &str, collection: Collection) -> Result<Arc<Collection>> {
        self.pending.catalog_changed = true;
        Arc::make_mut(&mut self.pending.catalog).replace_collection(&mut self.meta, database, collection)
    }

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

    fn fill(&mut self, collection: &Collection, index: &mut Index) -> Result<()> {
        let mut entries = BTreeSet::new();
        for row in self.tables.docs(&Span::of_id(collection.id))? {
            let (key, value) = row.map_err(storage)?;
            let mut arrays = Vec::new();
            entries.append(&mut index.entries(
                RawDocument::from_bytes(value.value())?,
                &key.value()[4..],
                &mut arrays,
            )?);
            for position in arrays {
                index.keys[position].multikey = true;
            }
        }
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
        for (key, id_at) in &entries {
            self.tables.put_entry(key, *id_at)?;
        }
        Ok(())
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
            self.tables.clear_docs(&Span::of_id(collection.id))?;
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

fn one_unless(many: bool, query: Query) -> Query {
    if many { query } else { query.window(None, Some(1)) }
}

fn id_key(document: &RawDocument) -> Result<Vec<u8>> {
    let id = document.get("_id")?.ok_or_else(|| Error::internal("a document without `_id`"))?;
    let mut key = Vec::with_capacity(16);
    keys::encode(id, &mut key);
    Ok(key)
}

fn checked_size(document: RawDocumentBuf) -> Result<RawDocumentBuf> {
    if document.as_bytes().len() > MAX_DOCUMENT {
        return Err(Error::too_large(format!("the document has more than {MAX_DOCUMENT} bytes")));
    }
    Ok(document)
}
