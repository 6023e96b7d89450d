//! One table, whichever kind of store it is in, read or written: sorted rows of a key and a value.
//!
//! In a file a table is redb's. In memory it is a map that shares its nodes with the snapshots taken of it: a write copies
//! the nodes on the way to its row, once per transaction, and a snapshot is a pointer.

use std::borrow::Borrow;
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;

use forge_core::Result;
use redb::{AccessGuard, ReadOnlyTable, ReadableTable};

use super::key::KeyBytes;
use super::{Span, read_only, storage};

/// The rows of a table in memory.
pub(crate) type Map<V> = imbl::OrdMap<KeyBytes, <V as Value>::Held>;

/// What is kept in tables.
pub(crate) trait Value: redb::Value + 'static {
    /// The value in memory.
    type Held: Clone + Debug + Send + Sync;

    /// Takes a value into memory.
    fn hold(value: &Self::SelfType<'_>) -> Self::Held;

    /// A value in memory, for a look.
    fn show(held: &Self::Held) -> Self::SelfType<'_>;
}

impl Value for &'static [u8] {
    type Held = Arc<[u8]>;

    fn hold(value: &&[u8]) -> Arc<[u8]> {
        Arc::from(*value)
    }

    fn show(held: &Arc<[u8]>) -> &[u8] {
        held
    }
}

macro_rules! held_by_value {
    ($($number:ty),*) => {$(
        impl Value for $number {
            type Held = Self;

            fn hold(value: &Self) -> Self {
                *value
            }

            fn show(held: &Self) -> Self {
                *held
            }
        }
    )*};
}

held_by_value!(u32, u64);

/// A table, for as long as its snapshot or its transaction.
pub(crate) enum Table<'t, K: redb::Key + 'static, V: Value> {
    /// In a file, in a snapshot.
    File(ReadOnlyTable<K, V>),
    /// In a file, in a write transaction.
    FileMut(redb::Table<'t, K, V>),
    /// In memory, in a snapshot.
    Memory(&'t Map<V>),
    /// In memory, in a write transaction.
    MemoryMut(&'t mut Map<V>),
}

/// A value of a table; in memory it is lent, or owned by now.
pub(crate) enum Got<'r, V: Value, H> {
    File(AccessGuard<'r, V>),
    Memory(H),
}

/// A value that was found.
pub(crate) type Found<'r, V> = Got<'r, V, &'r <V as Value>::Held>;

/// A value that is no longer there.
pub(crate) type Removed<'r, V> = Got<'r, V, <V as Value>::Held>;

impl<V: Value, H: Borrow<V::Held>> Got<'_, V, H> {
    /// The value.
    pub(crate) fn value(&self) -> V::SelfType<'_> {
        match self {
            Self::File(guard) => guard.value(),
            Self::Memory(held) => V::show(held.borrow()),
        }
    }
}

/// The key of a row.
pub(crate) enum Key<'r, K: redb::Key + 'static> {
    File(AccessGuard<'r, K>),
    Memory(&'r [u8]),
}

impl<K: redb::Key + 'static> Key<'_, K> {
    /// The key.
    pub(crate) fn value(&self) -> K::SelfType<'_> {
        match self {
            Self::File(guard) => guard.value(),
            Self::Memory(bytes) => K::from_bytes(bytes),
        }
    }
}

/// A key and its value.
pub(crate) type Row<'r, K, V> = (Key<'r, K>, Found<'r, V>);

/// What is done with a row: true goes on.
type Step<'s, V> = &'s mut dyn FnMut(&[u8], <V as redb::Value>::SelfType<'_>) -> Result<bool>;

/// Rows, from both ends.
pub(crate) enum Rows<'r, K: redb::Key + 'static, V: Value> {
    File(Box<redb::Range<'r, K, V>>),
    Memory(imbl::ordmap::RangedIter<'r, KeyBytes, V::Held, imbl::shared_ptr::DefaultSharedPtr>),
}

impl<V: Value> Rows<'_, &'static [u8], V> {
    /// Calls `step` with every row, from the last one where `reverse`, until it says false; answers whether it never did.
    pub(crate) fn visit(self, reverse: bool, step: Step<'_, V>) -> Result<bool> {
        match (self, reverse) {
            (Self::File(rows), false) => until(*rows, |row| visit_of_file(row, step)),
            (Self::File(rows), true) => until(rows.rev(), |row| visit_of_file(row, step)),
            (Self::Memory(rows), false) => until(rows, |(key, value)| step(key.as_slice(), V::show(value))),
            (Self::Memory(rows), true) => {
                until(rows.rev(), |(key, value)| step(key.as_slice(), V::show(value)))
            }
        }
    }
}

fn visit_of_file<V: Value>(
    row: Result<FileRow<'_, &'static [u8], V>, redb::StorageError>,
    step: Step<'_, V>,
) -> Result<bool> {
    let (key, value) = row.map_err(storage)?;
    step(key.value(), value.value())
}

/// Calls `step` with each item until it says false; answers whether it never did.
pub(crate) fn until<T>(
    items: impl Iterator<Item = T>,
    mut step: impl FnMut(T) -> Result<bool>,
) -> Result<bool> {
    for item in items {
        if !step(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<'r, K: redb::Key + 'static, V: Value> Iterator for Rows<'r, K, V> {
    type Item = Result<Row<'r, K, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::File(rows) => rows.next().map(of_file),
            Self::Memory(rows) => rows.next().map(of_memory),
        }
    }
}

impl<K: redb::Key + 'static, V: Value> DoubleEndedIterator for Rows<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::File(rows) => rows.next_back().map(of_file),
            Self::Memory(rows) => rows.next_back().map(of_memory),
        }
    }
}

fn of_range<'r, K: redb::Key, V: Value>(
    rows: Result<redb::Range<'r, K, V>, redb::StorageError>,
) -> Result<Rows<'r, K, V>> {
    Ok(Rows::File(Box::new(rows.map_err(storage)?)))
}

type FileRow<'r, K, V> = (AccessGuard<'r, K>, AccessGuard<'r, V>);

fn of_file<'r, K: redb::Key, V: Value>(
    row: Result<FileRow<'r, K, V>, redb::StorageError>,
) -> Result<Row<'r, K, V>> {
    let (key, value) = row.map_err(storage)?;
    Ok((Key::File(key), Got::File(value)))
}

fn of_memory<'r, K: redb::Key, V: Value>((key, value): (&'r KeyBytes, &'r V::Held)) -> Result<Row<'r, K, V>> {
    Ok((Key::Memory(key.as_slice()), Got::Memory(value)))
}

impl<K: redb::Key + 'static, V: Value> Table<'_, K, V> {
    /// The value of a key.
    pub(crate) fn get(&self, key: K::SelfType<'_>) -> Result<Option<Found<'_, V>>> {
        Ok(match self {
            Self::File(table) => ReadableTable::get(table, key).map_err(storage)?.map(Got::File),
            Self::FileMut(table) => table.get(key).map_err(storage)?.map(Got::File),
            Self::Memory(map) => held::<K, V>(map, &key),
            Self::MemoryMut(map) => held::<K, V>(map, &key),
        })
    }

    /// Stores a row. Answers whether its key is new.
    pub(crate) fn insert(&mut self, key: K::SelfType<'_>, value: V::SelfType<'_>) -> Result<bool> {
        match self {
            Self::FileMut(table) => Ok(table.insert(key, value).map_err(storage)?.is_none()),
            Self::MemoryMut(map) => {
                let key = KeyBytes::new(K::as_bytes(&key).as_ref());
                Ok(map.insert(key, V::hold(&value)).is_none())
            }
            Self::File(_) | Self::Memory(_) => Err(read_only()),
        }
    }

    /// Removes a row. Answers with its value.
    pub(crate) fn remove(&mut self, key: K::SelfType<'_>) -> Result<Option<Removed<'_, V>>> {
        match self {
            Self::FileMut(table) => Ok(table.remove(key).map_err(storage)?.map(Got::File)),
            Self::MemoryMut(map) => Ok(map.remove(K::as_bytes(&key).as_ref()).map(Got::Memory)),
            Self::File(_) | Self::Memory(_) => Err(read_only()),
        }
    }

    /// Every row.
    pub(crate) fn rows(&self) -> Result<Rows<'_, K, V>> {
        Ok(match self {
            Self::File(table) => of_range(ReadableTable::range::<K::SelfType<'_>>(table, ..))?,
            Self::FileMut(table) => of_range(table.range::<K::SelfType<'_>>(..))?,
            Self::Memory(map) => Rows::Memory(map.range::<_, [u8]>(..)),
            Self::MemoryMut(map) => Rows::Memory(map.range::<_, [u8]>(..)),
        })
    }
}

fn held<'r, K: redb::Key, V: Value>(map: &'r Map<V>, key: &K::SelfType<'_>) -> Option<Found<'r, V>> {
    map.get(K::as_bytes(key).as_ref()).map(Got::Memory)
}

/// How many rows are stored one by one until it is looked again whether many of them go to the same place.
const STRETCH: usize = 16;

impl<V: Value> Table<'_, &'static [u8], V> {
    /// The rows of a span.
    pub(crate) fn range(&self, span: &Span) -> Result<Rows<'_, &'static [u8], V>> {
        let bounds = span.bounds();
        Ok(match self {
            Self::File(table) => of_range(ReadableTable::range::<&[u8]>(table, bounds))?,
            Self::FileMut(table) => of_range(table.range::<&[u8]>(bounds))?,
            Self::Memory(map) => Rows::Memory(map.range::<_, [u8]>(bounds)),
            Self::MemoryMut(map) => Rows::Memory(map.range::<_, [u8]>(bounds)),
        })
    }

    /// Removes the rows of a span.
    pub(crate) fn clear(&mut self, span: &Span) -> Result<()> {
        match self {
            Self::FileMut(table) => table.retain_in::<&[u8], _>(span.bounds(), |_, _| false).map_err(storage),
            Self::MemoryMut(map) => {
                let keys: Vec<_> = map.range::<_, [u8]>(span.bounds()).map(|(key, _)| key.clone()).collect();
                for key in keys {
                    map.remove(&key);
                }
                Ok(())
            }
            Self::File(_) | Self::Memory(_) => Err(read_only()),
        }
    }

    /// Stores sorted rows, none of which is there. Where many of them fall between the same two rows of a file they are
    /// written page by page.
    pub(crate) fn put_new<'v>(&mut self, mut rows: &[(&[u8], V::SelfType<'v>)]) -> Result<()> {
        let table = match self {
            Self::FileMut(table) => table,
            Self::MemoryMut(map) => {
                for (key, value) in rows {
                    map.insert(KeyBytes::new(key), V::hold(value));
                }
                return Ok(());
            }
            Self::File(_) | Self::Memory(_) => return Err(read_only()),
        };
        while let Some((first, _)) = rows.first() {
            let together = if rows.len() < STRETCH { 0 } else { before_next(table, first, rows)? };
            let (now, later) =
                rows.split_at(if together < STRETCH { STRETCH.min(rows.len()) } else { together });
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
}

/// How many of the rows come before the first one that the table holds behind `first`.
fn before_next<'v, V: Value>(
    table: &redb::Table<'_, &'static [u8], V>,
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
