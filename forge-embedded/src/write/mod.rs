//! Writing commands, inside a write transaction.
//!
//! A command that fails leaves nothing behind: what it changed so far is changed back before the error is answered.

mod batch;
mod collections;
mod results;
mod schema;
mod store;

use std::borrow::Cow;
use std::sync::Arc;

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};
use forge_core::adapter::ChangeKind;
use forge_core::{Env, Error, ErrorCode, Result};
use forge_mongo::artifact::WriteFailure;
use forge_mongo::{Command, MongoArtifact, Reply};

use crate::catalog::{Catalog, Collection};
use crate::clock::Clock;
use crate::collation::Collator;
use crate::feed::Change;
use crate::filter;
use crate::keys;
use crate::matching::Matching;
use crate::query::Query;
use crate::read::View;
use crate::store::{MetaTable, Tables, WriteTransaction};
use crate::target::{Target, writes};
use crate::update::{Update, set_path};
use batch::Batch;
use store::{Duplicate, Step};

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
    meta: MetaTable<'t>,
    /// What it has done so far.
    pub(crate) pending: &'w mut Pending,
    env: &'w Env,
}

impl<'w, 't> Writing<'w, 't> {
    /// Opens the tables.
    pub(crate) fn open(
        txn: &'t mut WriteTransaction,
        pending: &'w mut Pending,
        env: &'w Env,
    ) -> Result<Self> {
        let (tables, meta) = Tables::write(txn)?;
        Ok(Self { tables, meta, pending, env })
    }

    /// Where time and randomness come from.
    pub(crate) fn env(&self) -> &Env {
        self.env
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
            self.undo(mark)?;
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
                let query = one_unless(*many, Query::new(filter)?.with(&artifact.options)?);
                let update = Update::parse(update, query.strings())?;
                let hits = self.view(database, &clock).hits(name, &query)?;
                if hits.is_empty() && *upsert {
                    let id = self.upsert(database, name, &query, &update)?.1;
                    return Ok(Reply::Updated { matched: 0, modified: 0, upserted: Some(id) });
                }
                let (matched, mut modified) = (hits.len() as u64, 0);
                let located = Located::new(&update, &query, &clock)?;
                for (id_key, before) in hits {
                    let update = located.update(&before)?;
                    let changed = self.update_one(database, name, &id_key, &before, &update)?;
                    modified += u64::from(changed.is_some());
                }
                Ok(Reply::Updated { matched, modified, upserted: None })
            }
            Command::Replace { filter, replacement } => {
                let query = one_unless(false, Query::new(filter)?.with(&artifact.options)?);
                let update = Update::Replacement(Document::try_from(replacement)?);
                let Some((id_key, before)) = self.view(database, &clock).hits(name, &query)?.pop() else {
                    return Ok(Reply::Updated { matched: 0, modified: 0, upserted: None });
                };
                let changed = self.update_one(database, name, &id_key, &before, &update)?;
                Ok(Reply::Updated { matched: 1, modified: u64::from(changed.is_some()), upserted: None })
            }
            Command::FindOneAndUpdate { filter, update, upsert, return_after, sort } => {
                let query =
                    Query::new(filter)?.sorted(sort.as_ref())?.with(&artifact.options)?.window(None, Some(1));
                let update = Update::parse(update, query.strings())?;
                let hit = self.view(database, &clock).hits(name, &query)?.pop();
                let Some((id_key, before)) = hit else {
                    if !*upsert {
                        return Ok(Reply::Document(None));
                    }
                    let after = self.upsert(database, name, &query, &update)?.0;
                    return Ok(Reply::Document(return_after.then_some(after)));
                };
                let update = Located::new(&update, &query, &clock)?.update(&before)?.into_owned();
                let after = self.update_one(database, name, &id_key, &before, &update)?;
                Ok(Reply::Document(Some(if *return_after { after.unwrap_or(before) } else { before })))
            }
            Command::Delete { filter, many } => {
                let query = one_unless(*many, Query::new(filter)?.with(&artifact.options)?);
                let hits = self.view(database, &clock).hits(name, &query)?;
                let count = hits.len() as u64;
                for (id_key, before) in hits {
                    self.delete_one(database, name, id_key, before)?;
                }
                Ok(Reply::Deleted(count))
            }
            Command::FindOneAndDelete { filter } => {
                let query = one_unless(false, Query::new(filter)?.with(&artifact.options)?);
                let hit = self.view(database, &clock).hits(name, &query)?.pop();
                if let Some((id_key, before)) = &hit {
                    self.delete_one(database, name, id_key.clone(), before.clone())?;
                }
                Ok(Reply::Document(hit.map(|(_, document)| document)))
            }
            Command::Aggregate { pipeline } if writes(pipeline) => {
                if let Some((stages, target)) = Target::split(pipeline)? {
                    let collator = Collator::of_options(&artifact.options)?;
                    self.store_result(database, name, stages, &target, &clock, collator.as_ref())?;
                }
                Ok(Reply::Documents(Vec::new()))
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
        let mut batch = Batch::default();
        for (position, document) in documents.iter().enumerate() {
            let failure = match self.with_id(document) {
                Err(failure) => Some(failure),
                Ok(document) => match self.admit(&collection, &mut batch, document) {
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
        self.store_batch(database, &mut collection, batch)?;
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
        let mut batch = Batch::default();
        if let Some(duplicate) = self.admit(collection, &mut batch, document)? {
            return Ok(Some(duplicate));
        }
        self.store_batch(database, collection, batch)?;
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
        let after = match update.apply_plain(before, self.env.now())? {
            Some(after) => after,
            None => {
                let mut document = Document::try_from(before)?;
                update.apply(&mut document, false, self.env)?;
                keys::to_raw(&document)?
            }
        };
        let after = checked_size(after)?;
        if after.as_bytes() == before.as_bytes() {
            return Ok(None);
        }
        let mut collection = self.ensure_collection(database, name)?;
        let step = Step { id_key, before: Some(before), after: Some(&after) };
        if let Some(duplicate) = self.store(database, &mut collection, &step, true)? {
            return Err(duplicate.into_error(name));
        }
        let touched = update.touched(before, &after)?.map(Arc::from);
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
        // No element met a condition of a document that is not there.
        if update.follows_match() {
            update.at(|_| None)?;
        }
        let mut document = Document::new();
        for (path, value) in filter::equalities(&query.filter) {
            if !matches!(update, Update::Replacement(_)) || path == "_id" {
                set_path(&mut document, &path, value)?;
            }
        }
        update.apply(&mut document, true, self.env)?;
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

    /// The collection of that name, created where it is new.
    pub(crate) fn ensure_collection(&mut self, database: &str, name: &str) -> Result<Arc<Collection>> {
        if let Some(found) = self.pending.catalog.collection(database, name) {
            if found.view.is_some() {
                return Err(Error::unsupported(format!("{name} is a view and cannot be written")));
            }
            return Ok(found.clone());
        }
        self.pending.catalog_changed = true;
        let made =
            Arc::make_mut(&mut self.pending.catalog).ensure_collection(&mut self.meta, database, name)?;
        self.tables.start_count(made.id)?;
        Ok(made)
    }

    fn replace_collection(&mut self, database: &str, collection: Collection) -> Result<Arc<Collection>> {
        self.pending.catalog_changed = true;
        Arc::make_mut(&mut self.pending.catalog).replace_collection(&mut self.meta, database, collection)
    }
}

/// An update, and what tells which elements its `$` stands for.
struct Located<'u> {
    update: &'u Update,
    matching: Option<Matching>,
}

impl<'u> Located<'u> {
    fn new(update: &'u Update, query: &Query, clock: &Clock) -> Result<Self> {
        let matching = update.follows_match().then(|| query.matching(&query.filter, clock));
        Ok(Self { update, matching: matching.transpose()? })
    }

    /// The update of one document that the filter found.
    fn update(&self, before: &RawDocument) -> Result<Cow<'u, Update>> {
        match &self.matching {
            None => Ok(Cow::Borrowed(self.update)),
            Some(matching) => self.update.at(|list| matching.position(before, list)).map(Cow::Owned),
        }
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
