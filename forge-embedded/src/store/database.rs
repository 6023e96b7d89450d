//! Where the tables are: a file of redb's, or memory.

use std::sync::{Arc, PoisonError, RwLock};

use forge_core::Result;
use redb::{Durability, ReadTransaction, ReadableDatabase, TableDefinition, TableError};

use super::table::{Map, Table, Value};
use super::{Bytes, CHANGES, COUNTS, ChangeTable, DOCS, INDEX, META, MetaTable, storage};

/// A store.
pub(crate) enum Database {
    /// In a file: commits wait for the disk.
    #[cfg_attr(not(feature = "file"), expect(dead_code, reason = "nothing opens files without the feature"))]
    File(redb::Database),
    /// In memory.
    Memory(Arc<Memory>),
}

/// The state that was committed last.
#[derive(Default)]
pub(crate) struct Memory(RwLock<Arc<State>>);

/// All tables. A clone shares them.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(super) docs: Map<Bytes>,
    pub(super) index: Map<u32>,
    pub(super) counts: Map<u64>,
    pub(super) meta: Map<Bytes>,
    pub(super) changes: Map<Bytes>,
}

/// A snapshot.
pub(crate) enum Snapshot {
    File(ReadTransaction),
    Memory(Arc<State>),
}

/// A write transaction: gone without a trace when it is dropped.
pub(crate) enum WriteTransaction {
    File(Box<redb::WriteTransaction>),
    Memory { state: State, home: Arc<Memory> },
}

impl Database {
    /// An empty store in memory.
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// Whether commits wait for the disk.
    pub(crate) fn is_durable(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The last commit.
    pub(crate) fn begin_read(&self) -> Result<Snapshot> {
        match self {
            Self::File(database) => database.begin_read().map(Snapshot::File).map_err(storage),
            Self::Memory(memory) => Ok(Snapshot::Memory(memory.state())),
        }
    }

    /// Starts a write transaction. There is one at a time: whoever calls this sees to it.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction> {
        match self {
            Self::File(database) => {
                let mut txn = database.begin_write().map_err(storage)?;
                txn.set_durability(Durability::Immediate)
                    .map_err(|error| storage(redb::Error::from(error)))?;
                Ok(WriteTransaction::File(Box::new(txn)))
            }
            Self::Memory(memory) => {
                Ok(WriteTransaction::Memory { state: State::clone(&memory.state()), home: memory.clone() })
            }
        }
    }
}

impl Memory {
    fn state(&self) -> Arc<State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, state: State) {
        let state = Arc::new(state);
        let before = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), state);
        // What only the old state held is freed here, where no reader waits for it.
        drop(before);
    }
}

impl Snapshot {
    /// The change feed.
    pub(crate) fn changes(&self) -> Result<ChangeTable<'_>> {
        self.table(CHANGES, |state| &state.changes)
    }

    /// The catalog.
    pub(crate) fn meta(&self) -> Result<MetaTable<'_>> {
        self.table(META, |state| &state.meta)
    }

    /// The documents.
    pub(super) fn docs(&self) -> Result<Table<'_, Bytes, Bytes>> {
        self.table(DOCS, |state| &state.docs)
    }

    /// The entries of indexes.
    pub(super) fn index(&self) -> Result<Table<'_, Bytes, u32>> {
        self.table(INDEX, |state| &state.index)
    }

    /// The numbers of documents; none in a store of before they were kept.
    pub(super) fn counts(&self) -> Result<Option<Table<'_, u32, u64>>> {
        match self {
            Self::Memory(state) => Ok(Some(Table::Memory(&state.counts))),
            Self::File(txn) => match txn.open_table(COUNTS) {
                Ok(counts) => Ok(Some(Table::File(counts))),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(storage(error)),
            },
        }
    }

    fn table<'t, K: redb::Key, V: Value>(
        &'t self,
        definition: TableDefinition<'static, K, V>,
        map: impl FnOnce(&'t State) -> &'t Map<V>,
    ) -> Result<Table<'t, K, V>> {
        match self {
            Self::File(txn) => txn.open_table(definition).map(Table::File).map_err(storage),
            Self::Memory(state) => Ok(Table::Memory(map(state))),
        }
    }
}

impl WriteTransaction {
    /// The change feed.
    pub(crate) fn changes(&mut self) -> Result<ChangeTable<'_>> {
        match self {
            Self::File(txn) => txn.open_table(CHANGES).map(Table::FileMut).map_err(storage),
            Self::Memory { state, .. } => Ok(Table::MemoryMut(&mut state.changes)),
        }
    }

    /// Makes what was written the last commit.
    pub(crate) fn commit(self) -> Result<()> {
        match self {
            Self::File(txn) => txn.commit().map_err(storage),
            Self::Memory { state, home } => {
                home.replace(state);
                Ok(())
            }
        }
    }
}
