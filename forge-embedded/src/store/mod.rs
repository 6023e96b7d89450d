//! The tables of a store and typed access to them, in a file or in memory.
//!
//! | table | key | value |
//! |---|---|---|
//! | `docs` | collection id (u32 BE) + encoded `_id` | the document |
//! | `index` | index id (u32 BE) + encoded values + encoded `_id` | where the `_id` starts in the key |
//! | `meta` | see [`crate::catalog`] | BSON |
//! | `counts` | collection id | how many documents it has; none for collections of before this table |
//! | `changes` | database id (u32 BE) + version (u64 BE) | see [`crate::feed`] |

mod database;
mod format;
mod key;
mod table;

use std::borrow::Borrow;
use std::cell::OnceCell;
use std::ops::Bound;

use forge_core::{Error, Result};
use redb::TableDefinition;

pub(crate) use database::{Database, Snapshot, WriteTransaction};
pub(crate) use table::Found;
pub(crate) use table::until;
use table::{Rows, Table};

type Bytes = &'static [u8];

/// Documents by collection and `_id`.
const DOCS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("docs");
/// Entries of every secondary index.
const INDEX: TableDefinition<'static, Bytes, u32> = TableDefinition::new("index");
/// How many documents a collection has.
const COUNTS: TableDefinition<'static, u32, u64> = TableDefinition::new("counts");
/// The catalog and the format record.
const META: TableDefinition<'static, &'static str, Bytes> = TableDefinition::new("meta");
/// The change feed.
const CHANGES: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("changes");

/// The catalog and the format record.
pub(crate) type MetaTable<'t> = Table<'t, &'static str, Bytes>;
/// The change feed.
pub(crate) type ChangeTable<'t> = Table<'t, Bytes, Bytes>;

/// A failure of the storage layer: nothing a client could have done.
pub(crate) fn storage(error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let text = format!("the embedded engine's storage failed: {error}");
    match error {
        redb::Error::Io(_) | redb::Error::PreviousIo => Error::unavailable(text).with_source(error),
        _ => Error::internal(text).with_source(error),
    }
}

/// The documents and index entries that a command sees: a snapshot, or the state of a write transaction.
pub(crate) struct Tables<'t> {
    docs: Table<'t, Bytes, Bytes>,
    /// Of a snapshot: opened by the first who needs it.
    index: OnceCell<Table<'t, Bytes, u32>>,
    /// Inside a write transaction.
    counts: Option<Table<'t, u32, u64>>,
    /// Where tables are opened that are not yet.
    snapshot: Option<&'t Snapshot>,
}

impl<'t> Tables<'t> {
    /// The tables of a snapshot.
    pub(crate) fn read(snapshot: &'t Snapshot) -> Result<Self> {
        Ok(Self { docs: snapshot.docs()?, index: OnceCell::new(), counts: None, snapshot: Some(snapshot) })
    }

    /// The tables inside a write transaction, and the catalog.
    pub(crate) fn write(txn: &'t mut WriteTransaction) -> Result<(Self, MetaTable<'t>)> {
        let (docs, index, counts, meta) = match txn {
            WriteTransaction::File(txn) => (
                Table::FileMut(txn.open_table(DOCS).map_err(storage)?),
                Table::FileMut(txn.open_table(INDEX).map_err(storage)?),
                Table::FileMut(txn.open_table(COUNTS).map_err(storage)?),
                Table::FileMut(txn.open_table(META).map_err(storage)?),
            ),
            WriteTransaction::Memory { state, .. } => (
                Table::MemoryMut(&mut state.docs),
                Table::MemoryMut(&mut state.index),
                Table::MemoryMut(&mut state.counts),
                Table::MemoryMut(&mut state.meta),
            ),
        };
        Ok((Self { docs, index: OnceCell::from(index), counts: Some(counts), snapshot: None }, meta))
    }

    /// The document under a full key.
    pub(crate) fn doc(&self, key: &[u8]) -> Result<Option<Found<'_, Bytes>>> {
        self.docs.get(key)
    }

    /// The documents of a span of keys.
    pub(crate) fn docs(&self, span: &Span) -> Result<Rows<'_, Bytes, Bytes>> {
        self.docs.range(span)
    }

    /// The index entries of a span of keys.
    pub(crate) fn entries(&self, span: &Span) -> Result<Rows<'_, Bytes, u32>> {
        match (self.index.get(), self.snapshot) {
            (Some(index), _) => index.range(span),
            (None, Some(snapshot)) => {
                let opened = snapshot.index()?;
                self.index.get_or_init(|| opened).range(span)
            }
            (None, None) => Err(Error::internal("a transaction without its index table")),
        }
    }

    /// How many documents a collection has; none where they were not counted from its beginning.
    pub(crate) fn count(&self, collection: u32) -> Result<Option<u64>> {
        match (&self.counts, self.snapshot) {
            (Some(counts), _) => counted(counts, collection),
            (None, Some(snapshot)) => {
                snapshot.counts()?.map_or(Ok(None), |counts| counted(&counts, collection))
            }
            (None, None) => Ok(None),
        }
    }

    /// Counts the documents of a new collection.
    pub(crate) fn start_count(&mut self, collection: u32) -> Result<()> {
        self.counts()?.insert(collection, 0).map(|_| ())
    }

    /// Stores a document.
    pub(crate) fn put_doc(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        if self.docs.insert(key, bytes)? { self.recount(key, 1) } else { Ok(()) }
    }

    /// Removes a document.
    pub(crate) fn remove_doc(&mut self, key: &[u8]) -> Result<()> {
        let was_there = self.docs.remove(key)?.is_some();
        if was_there { self.recount(key, -1) } else { Ok(()) }
    }

    /// Stores an index entry.
    pub(crate) fn put_entry(&mut self, key: &[u8], id_at: u32) -> Result<()> {
        self.index()?.insert(key, id_at).map(|_| ())
    }

    /// Stores documents of one collection that are not there yet, by their full keys, which are sorted.
    pub(crate) fn put_new_docs(&mut self, rows: &[(&[u8], &[u8])]) -> Result<()> {
        self.docs.put_new(rows)?;
        rows.first().map_or(Ok(()), |(key, _)| self.recount(key, rows.len() as i64))
    }

    /// Stores index entries that are not there yet; they are sorted.
    pub(crate) fn put_new_entries(&mut self, rows: &[(&[u8], u32)]) -> Result<()> {
        self.index()?.put_new(rows)
    }

    /// Removes an index entry.
    pub(crate) fn remove_entry(&mut self, key: &[u8]) -> Result<()> {
        self.index()?.remove(key).map(|_| ())
    }

    /// Removes every document of a collection that is dropped.
    pub(crate) fn clear_docs(&mut self, collection: u32) -> Result<()> {
        self.docs.clear(&Span::of_id(collection))?;
        self.counts()?.remove(collection).map(|_| ())
    }

    /// Removes every index entry of a span.
    pub(crate) fn clear_entries(&mut self, span: &Span) -> Result<()> {
        self.index()?.clear(span)
    }

    fn index(&mut self) -> Result<&mut Table<'t, Bytes, u32>> {
        self.index.get_mut().ok_or_else(read_only)
    }

    fn counts(&mut self) -> Result<&mut Table<'t, u32, u64>> {
        self.counts.as_mut().ok_or_else(read_only)
    }

    /// Adds to the count of the collection that a full key is of, where it is counted.
    fn recount(&mut self, key: &[u8], by: i64) -> Result<()> {
        let Some(collection) = key.first_chunk().map(|id| u32::from_be_bytes(*id)) else { return Ok(()) };
        let counts = self.counts()?;
        match counted(counts, collection)? {
            Some(count) => counts.insert(collection, count.saturating_add_signed(by)).map(|_| ()),
            None => Ok(()),
        }
    }
}

fn counted(counts: &Table<'_, u32, u64>, collection: u32) -> Result<Option<u64>> {
    Ok(counts.get(collection)?.map(|count| count.value()))
}

fn read_only() -> Error {
    Error::internal("a write reached a snapshot")
}

/// A span of keys: from `start`, up to and without `end`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The first key.
    pub(crate) start: Vec<u8>,
    /// The first key behind; none: to the end of the table.
    pub(crate) end: Option<Vec<u8>>,
}

impl Span {
    /// Every key that starts with `prefix`.
    pub(crate) fn prefix(prefix: &[u8]) -> Self {
        Self { start: prefix.to_vec(), end: crate::keys::successor(prefix) }
    }

    /// Every key of a collection or an index.
    pub(crate) fn of_id(id: u32) -> Self {
        Self::prefix(&id.to_be_bytes())
    }

    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = match &self.end {
            // Ranges must not end before they start.
            Some(end) if *end < self.start => Bound::Excluded(self.start.borrow()),
            Some(end) => Bound::Excluded(end.borrow()),
            None => Bound::Unbounded,
        };
        (Bound::Included(self.start.borrow()), end)
    }
}

/// The key of a document in [`DOCS`].
pub(crate) fn doc_key(collection: u32, id_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + id_key.len());
    key.extend_from_slice(&collection.to_be_bytes());
    key.extend_from_slice(id_key);
    key
}
