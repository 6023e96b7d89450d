//! The tables of a database file and typed access to them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `docs` | collection id (u32 BE) + encoded `_id` | the document |
//! | `index` | index id (u32 BE) + encoded values + encoded `_id` | where the `_id` starts in the key |
//! | `meta` | see [`crate::catalog`] | BSON |
//! | `counts` | collection id | how many documents it has; none for collections of before this table |
//! | `changes` | database id (u32 BE) + version (u64 BE) | see [`crate::feed`] |

use std::borrow::Borrow;
use std::cell::OnceCell;
use std::ops::Bound;

use forge_core::{Error, Result};
use redb::{
    AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError,
    Value, WriteTransaction,
};

type Bytes = &'static [u8];

/// Documents by collection and `_id`.
pub(crate) const DOCS: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("docs");
/// Entries of every secondary index.
pub(crate) const INDEX: TableDefinition<'static, Bytes, u32> = TableDefinition::new("index");
/// How many documents a collection has.
pub(crate) const COUNTS: TableDefinition<'static, u32, u64> = TableDefinition::new("counts");
/// The catalog and the format record.
pub(crate) const META: TableDefinition<'static, &'static str, Bytes> = TableDefinition::new("meta");
/// The change feed.
pub(crate) const CHANGES: TableDefinition<'static, Bytes, Bytes> = TableDefinition::new("changes");

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
pub(crate) enum Tables<'t> {
    /// A snapshot.
    Read {
        /// [`DOCS`].
        docs: ReadOnlyTable<Bytes, Bytes>,
        /// [`INDEX`], opened by the first who needs it.
        index: OnceCell<ReadOnlyTable<Bytes, u32>>,
        /// The snapshot.
        txn: &'t ReadTransaction,
    },
    /// Inside a write transaction.
    Write {
        /// [`DOCS`].
        docs: Table<'t, Bytes, Bytes>,
        /// [`INDEX`].
        index: Table<'t, Bytes, u32>,
        /// [`COUNTS`].
        counts: Table<'t, u32, u64>,
    },
}

impl<'t> Tables<'t> {
    /// The tables of a snapshot.
    pub(crate) fn read(txn: &'t ReadTransaction) -> Result<Self> {
        Ok(Self::Read { docs: txn.open_table(DOCS).map_err(storage)?, index: OnceCell::new(), txn })
    }

    /// The tables inside a write transaction.
    pub(crate) fn write(txn: &'t WriteTransaction) -> Result<Self> {
        Ok(Self::Write {
            docs: txn.open_table(DOCS).map_err(storage)?,
            index: txn.open_table(INDEX).map_err(storage)?,
            counts: txn.open_table(COUNTS).map_err(storage)?,
        })
    }

    /// The document under a full key.
    pub(crate) fn doc(&self, key: &[u8]) -> Result<Option<AccessGuard<'_, Bytes>>> {
        match self {
            Self::Read { docs, .. } => ReadableTable::get(docs, key),
            Self::Write { docs, .. } => docs.get(key),
        }
        .map_err(storage)
    }

    /// The documents of a span of keys.
    pub(crate) fn docs(&self, span: &Span) -> Result<Range<'_, Bytes, Bytes>> {
        match self {
            Self::Read { docs, .. } => ReadableTable::range::<&[u8]>(docs, span.bounds()),
            Self::Write { docs, .. } => docs.range::<&[u8]>(span.bounds()),
        }
        .map_err(storage)
    }

    /// The index entries of a span of keys.
    pub(crate) fn entries(&self, span: &Span) -> Result<Range<'_, Bytes, u32>> {
        match self {
            Self::Read { index, txn, .. } => {
                let index = match index.get() {
                    Some(index) => index,
                    None => {
                        let opened = txn.open_table(INDEX).map_err(storage)?;
                        index.get_or_init(|| opened)
                    }
                };
                ReadableTable::range::<&[u8]>(index, span.bounds())
            }
            Self::Write { index, .. } => index.range::<&[u8]>(span.bounds()),
        }
        .map_err(storage)
    }

    /// How many documents a collection has; none where they were not counted from its beginning.
    pub(crate) fn count(&self, collection: u32) -> Result<Option<u64>> {
        match self {
            Self::Read { txn, .. } => match txn.open_table(COUNTS) {
                Ok(counts) => counted(&counts, collection),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(storage(error)),
            },
            Self::Write { counts, .. } => counted(counts, collection),
        }
    }

    /// Counts the documents of a new collection.
    pub(crate) fn start_count(&mut self, collection: u32) -> Result<()> {
        let Self::Write { counts, .. } = self else { return Err(read_only()) };
        counts.insert(collection, 0).map_err(storage)?;
        Ok(())
    }

    /// Stores a document.
    pub(crate) fn put_doc(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        let Self::Write { docs, counts, .. } = self else { return Err(read_only()) };
        let is_new = docs.insert(key, bytes).map_err(storage)?.is_none();
        if is_new { recount(counts, key, 1) } else { Ok(()) }
    }

    /// Removes a document.
    pub(crate) fn remove_doc(&mut self, key: &[u8]) -> Result<()> {
        let Self::Write { docs, counts, .. } = self else { return Err(read_only()) };
        let was_there = docs.remove(key).map_err(storage)?.is_some();
        if was_there { recount(counts, key, -1) } else { Ok(()) }
    }

    /// Stores an index entry.
    pub(crate) fn put_entry(&mut self, key: &[u8], id_at: u32) -> Result<()> {
        let Self::Write { index, .. } = self else { return Err(read_only()) };
        index.insert(key, id_at).map_err(storage)?;
        Ok(())
    }

    /// Stores documents of one collection that are not there yet, by their full keys, which are sorted.
    pub(crate) fn put_new_docs(&mut self, rows: &[(&[u8], &[u8])]) -> Result<()> {
        let Self::Write { docs, counts, .. } = self else { return Err(read_only()) };
        put_new(docs, rows)?;
        rows.first().map_or(Ok(()), |(key, _)| recount(counts, key, rows.len() as i64))
    }

    /// Stores index entries that are not there yet; they are sorted.
    pub(crate) fn put_new_entries(&mut self, rows: &[(&[u8], u32)]) -> Result<()> {
        let Self::Write { index, .. } = self else { return Err(read_only()) };
        put_new(index, rows)
    }

    /// Removes an index entry.
    pub(crate) fn remove_entry(&mut self, key: &[u8]) -> Result<()> {
        let Self::Write { index, .. } = self else { return Err(read_only()) };
        index.remove(key).map_err(storage)?;
        Ok(())
    }

    /// Removes every document of a collection that is dropped.
    pub(crate) fn clear_docs(&mut self, collection: u32) -> Result<()> {
        let Self::Write { docs, counts, .. } = self else { return Err(read_only()) };
        let span = Span::of_id(collection);
        docs.retain_in::<&[u8], _>(span.bounds(), |_, _| false).map_err(storage)?;
        counts.remove(collection).map_err(storage)?;
        Ok(())
    }

    /// Removes every index entry of a span.
    pub(crate) fn clear_entries(&mut self, span: &Span) -> Result<()> {
        let Self::Write { index, .. } = self else { return Err(read_only()) };
        index.retain_in::<&[u8], _>(span.bounds(), |_, _| false).map_err(storage)
    }
}

fn counted(counts: &impl ReadableTable<u32, u64>, collection: u32) -> Result<Option<u64>> {
    Ok(counts.get(collection).map_err(storage)?.map(|count| count.value()))
}

/// Adds to the count of the collection that a full key is of, where it is counted.
fn recount(counts: &mut Table<'_, u32, u64>, key: &[u8], by: i64) -> Result<()> {
    let Some(collection) = key.first_chunk().map(|id| u32::from_be_bytes(*id)) else { return Ok(()) };
    if let Some(count) = counted(counts, collection)? {
        counts.insert(collection, count.saturating_add_signed(by)).map_err(storage)?;
    }
    Ok(())
}

/// The rows of a span of any table with byte keys.
pub(crate) fn range<'r>(
    table: &'r impl ReadableTable<Bytes, Bytes>,
    span: &Span,
) -> Result<Range<'r, Bytes, Bytes>> {
    table.range::<&[u8]>(span.bounds()).map_err(storage)
}

/// How many rows are stored one by one until it is looked again whether many of them go to the same place.
const STRETCH: usize = 16;

/// Stores sorted rows, none of which is there. Where many of them fall between the same two rows they are written page
/// by page.
fn put_new<'v, V: Value + 'static>(
    table: &mut Table<'_, Bytes, V>,
    mut rows: &[(&[u8], V::SelfType<'v>)],
) -> Result<()> {
    while let Some((first, _)) = rows.first() {
        let together = if rows.len() < STRETCH { 0 } else { before_next(table, first, rows)? };
        let (now, later) = rows.split_at(if together < STRETCH { STRETCH.min(rows.len()) } else { together });
        if together < STRETCH {
            for (key, value) in now {
                table.insert(*key, value).map_err(storage)?;
            }
        } else {
            let mut cursor = table.upper_bound_mut(Bound::Excluded(*first)).map_err(storage)?;
            for (key, value) in now {
                cursor.insert_before(*key, value).map_err(storage)?;
            }
            cursor.close().map_err(storage)?;
        }
        rows = later;
    }
    Ok(())
}

/// How many of the rows come before the first one that the table holds behind `first`.
fn before_next<'v, V: Value + 'static>(
    table: &Table<'_, Bytes, V>,
    first: &[u8],
    rows: &[(&[u8], V::SelfType<'v>)],
) -> Result<usize> {
    match table.range::<&[u8]>(first..).map_err(storage)?.next() {
        None => Ok(rows.len()),
        Some(next) => {
            let (next, _) = next.map_err(storage)?;
            Ok(rows.partition_point(|(key, _)| *key < next.value()))
        }
    }
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
            // redb panics on ranges that end before they start.
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
