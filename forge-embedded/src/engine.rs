//! The shared state of a store: snapshots for reads, one writer at a time, the feed's positions.

use std::collections::BTreeMap;
#[cfg(feature = "file")]
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use forge_core::{DateTime, Env, Error, Result};
#[cfg(feature = "file")]
use futures_util::future::{Either, select};
use tokio::sync::{OwnedMutexGuard, watch};

use crate::catalog::Catalog;
use crate::feed::{Change, Feed};
use crate::queue::Queue;
use crate::store::{Database, Snapshot, WriteTransaction};
use crate::tx::EmbeddedTransaction;
use crate::write::{Pending, Writing};

/// How often writes look for documents that TTL indexes say are over, in milliseconds.
const PURGE_EVERY: i64 = 60_000;

/// How long a write waits for one that holds the writer: in memory, for a transaction or a change of indexes or collections.
#[cfg(feature = "file")]
const MAX_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// An open store.
pub(crate) struct Engine {
    database: RwLock<Option<Arc<Database>>>,
    /// Where time and ids come from.
    pub(crate) env: Env,
    /// The random name of the store, part of resume tokens.
    pub(crate) identity: String,
    /// Whether commits must reach the disk.
    pub(crate) durable: bool,
    catalog: RwLock<Arc<Catalog>>,
    /// The catalog may be changing: readers take it from their own snapshot.
    catalog_moving: AtomicBool,
    /// Held by the one writer.
    pub(crate) writer: Arc<tokio::sync::Mutex<WriterState>>,
    /// Who holds the writer for long: a transaction, or a change of indexes or collections.
    holder: watch::Sender<Option<String>>,
    /// Single writes that wait for the writer.
    pub(crate) queue: Queue,
    positions: Mutex<BTreeMap<String, watch::Sender<u64>>>,
}

/// What only the writer touches.
#[derive(Debug)]
pub(crate) struct WriterState {
    /// The catalog as committed.
    pub(crate) catalog: Arc<Catalog>,
    /// The feeds as committed, by the number of the database.
    feeds: BTreeMap<u32, Feed>,
    next_purge: DateTime,
}

/// The right to write.
pub(crate) type Writer = OwnedMutexGuard<WriterState>;

/// A write transaction that is ready to commit.
pub(crate) struct Prepared {
    txn: WriteTransaction,
    catalog: Option<Arc<Catalog>>,
    feeds: BTreeMap<u32, Feed>,
}

impl Engine {
    /// Opens the store in `database`, which may be empty.
    pub(crate) fn start(database: Database, env: Env) -> Result<Arc<Self>> {
        let identity = database.identity(&env)?;
        let durable = database.is_durable();
        let mut snapshot = database.begin_read()?;
        let mut catalog = Catalog::load(&snapshot.meta()?)?;
        if !catalog.outdated().is_empty() {
            let (mut txn, mut pending) = (database.begin_write()?, Pending::new(Arc::new(catalog)));
            Writing::open(&mut txn, &mut pending, &env)?.renew_indexes()?;
            txn.commit()?;
            snapshot = database.begin_read()?;
            catalog = Catalog::load(&snapshot.meta()?)?;
        }
        catalog.opened = Some(env.now());
        let catalog = Arc::new(catalog);
        let changes = snapshot.changes()?;
        let (mut feeds, mut positions) = (BTreeMap::new(), BTreeMap::new());
        for (name, entry) in catalog.databases() {
            let feed = Feed::load(&changes, entry.id)?;
            positions.insert(name.to_string(), watch::Sender::new(feed.last));
            feeds.insert(entry.id, feed);
        }
        let next_purge = env.now();
        let state = WriterState { catalog: catalog.clone(), feeds, next_purge };
        Ok(Arc::new(Self {
            database: RwLock::new(Some(Arc::new(database))),
            env,
            identity,
            durable,
            catalog: RwLock::new(catalog),
            catalog_moving: AtomicBool::new(false),
            writer: Arc::new(tokio::sync::Mutex::new(state)),
            holder: watch::Sender::new(None),
            queue: Queue::default(),
            positions: Mutex::new(positions),
        }))
    }

    fn database(&self) -> Result<Arc<Database>> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| Error::unavailable("the embedded engine is closed"))
    }

    /// Lets go of the file. Transactions that are open end first.
    pub(crate) fn close(&self) {
        self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        lock(&self.positions).clear();
    }

    /// A snapshot and what exists in it.
    pub(crate) fn snapshot(&self) -> Result<(Snapshot, Arc<Catalog>)> {
        let catalog = self.catalog();
        let snapshot = self.database()?.begin_read()?;
        // A commit between the two lines may have changed what exists.
        let moved = self.catalog_moving.load(Ordering::SeqCst) || !Arc::ptr_eq(&catalog, &self.catalog());
        if !moved {
            return Ok((snapshot, catalog));
        }
        let mut own = Catalog::load(&snapshot.meta()?)?;
        own.opened = catalog.opened;
        Ok((snapshot, Arc::new(own)))
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a write transaction. Only the holder of the writer may.
    pub(crate) fn begin(&self) -> Result<WriteTransaction> {
        self.database()?.begin_write()
    }

    /// Waits for the writer.
    ///
    /// # Errors
    /// `timeout` after [`MAX_WAIT`] names who holds it. Without the feature `file` the wait has no end: there is no clock
    /// to wake it.
    #[cfg(feature = "file")]
    pub(crate) async fn acquire(&self) -> Result<Writer> {
        self.refuse_own_transaction()?;
        let writer = self.writer.clone().lock_owned();
        if tokio::runtime::Handle::try_current().is_err() {
            return Ok(writer.await);
        }
        match select(pin!(writer), pin!(self.wait_in_vain())).await {
            Either::Left((writer, _)) => Ok(writer),
            Either::Right(_) => Err(Error::timeout(format!(
                "the write waited {} s for its turn; the store is held by {}",
                MAX_WAIT.as_secs(),
                self.holder.borrow().as_deref().unwrap_or("other writes")
            ))),
        }
    }

    /// Ends when a wait for the writer has been too long.
    #[cfg(feature = "file")]
    async fn wait_in_vain(&self) {
        // In memory a command holds the writer while it runs, and no longer. Waits for it are many and short, and a timer
        // for each would wake the thread that waits for timers.
        if !self.durable {
            let _ = self.holder.subscribe().wait_for(Option::is_some).await;
        }
        tokio::time::sleep(MAX_WAIT).await;
    }

    /// Waits for the writer.
    #[cfg(not(feature = "file"))]
    pub(crate) async fn acquire(&self) -> Result<Writer> {
        self.refuse_own_transaction()?;
        Ok(self.writer.clone().lock_owned().await)
    }

    /// Refuses to wait for a transaction that waits for the caller.
    pub(crate) fn refuse_own_transaction(&self) -> Result<()> {
        let around = forge_core::transaction::current();
        let around = around.as_ref().and_then(|around| around.as_any().downcast_ref::<EmbeddedTransaction>());
        if around.is_some_and(|transaction| transaction.is_open_on(self)) {
            return Err(Error::internal(
                "this write is outside of the transaction around it, and would wait for it forever: the embedded engine \
                 has one writer. Write through the handle that `transaction` gives",
            ));
        }
        Ok(())
    }

    /// Says who holds the writer, until it says otherwise.
    pub(crate) fn set_holder(&self, holder: Option<String>) {
        self.holder.send_replace(holder);
    }

    /// Runs `work` in a write transaction of its own and commits it.
    pub(crate) async fn exclusive<R: Send + 'static>(
        self: &Arc<Self>,
        writer: Writer,
        what: String,
        work: impl FnOnce(&mut Writing<'_, '_>) -> Result<R>,
    ) -> Result<R> {
        self.set_holder(Some(what));
        let done = self.exclusive_now(writer, work).await;
        self.set_holder(None);
        done
    }

    async fn exclusive_now<R: Send + 'static>(
        self: &Arc<Self>,
        writer: Writer,
        work: impl FnOnce(&mut Writing<'_, '_>) -> Result<R>,
    ) -> Result<R> {
        let mut txn = self.begin()?;
        let mut pending = Pending::new(writer.catalog.clone());
        let (result, changes) = {
            let mut writing = Writing::open(&mut txn, &mut pending, &self.env)?;
            (work(&mut writing)?, writing.take_changes()?)
        };
        let (prepared, _) = writer.prepare(txn, &[changes], pending, self.env.now())?;
        self.commit(writer, prepared, move |committed| committed.map(|()| result)).await
    }

    /// Commits, tells readers and subscribers, gives the writer back, and then calls `answer`. On a file all of it
    /// happens where blocking is allowed, and happens even if the caller goes away.
    pub(crate) async fn commit<R: Send + 'static>(
        self: &Arc<Self>,
        writer: Writer,
        prepared: Prepared,
        answer: impl FnOnce(Result<()>) -> R + Send + 'static,
    ) -> R {
        let engine = self.clone();
        let work = move || {
            let committed = engine.finish(writer, prepared);
            answer(committed)
        };
        run_blocking(self.durable, work).await
    }

    /// The blocking part of [`Engine::commit`].
    fn finish(&self, mut writer: Writer, prepared: Prepared) -> Result<()> {
        let Prepared { txn, catalog, feeds } = prepared;
        if catalog.is_some() {
            self.catalog_moving.store(true, Ordering::SeqCst);
        }
        let committed = txn.commit();
        if committed.is_ok() {
            writer.feeds.extend(feeds.iter().map(|(id, feed)| (*id, *feed)));
            if let Some(catalog) = &catalog {
                writer.catalog = catalog.clone();
                *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog.clone();
            }
            self.publish(&writer.catalog, &feeds);
        }
        if catalog.is_some() {
            self.catalog_moving.store(false, Ordering::SeqCst);
        }
        committed
    }

    fn publish(&self, catalog: &Catalog, feeds: &BTreeMap<u32, Feed>) {
        let mut positions = lock(&self.positions);
        for (name, entry) in catalog.databases() {
            if let Some(feed) = feeds.get(&entry.id) {
                match positions.get(&**name) {
                    Some(position) => {
                        position.send_replace(feed.last);
                    }
                    None => {
                        positions.insert(name.to_string(), watch::Sender::new(feed.last));
                    }
                }
            }
        }
    }

    /// The newest version of a database, now and later.
    pub(crate) fn position(&self, database: &str) -> Result<watch::Receiver<u64>> {
        self.database()?;
        let mut positions = lock(&self.positions);
        Ok(positions.entry(database.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe())
    }
}

impl WriterState {
    /// Whether it is time to look for expired documents; not again for a while then.
    pub(crate) fn purge_is_due(&mut self, now: DateTime) -> bool {
        if now < self.next_purge {
            return false;
        }
        self.next_purge = DateTime::from_millis(now.millis().saturating_add(PURGE_EVERY));
        true
    }

    /// Writes the feed records of several units of work, each a commit of its own. Answers with the version of each, where
    /// it changed something.
    pub(crate) fn prepare(
        &self,
        mut txn: WriteTransaction,
        units: &[Vec<Change>],
        pending: Pending,
        now: DateTime,
    ) -> Result<(Prepared, Vec<Option<u64>>)> {
        let mut feeds = BTreeMap::new();
        let mut versions = Vec::with_capacity(units.len());
        {
            let mut table = txn.changes()?;
            for unit in units {
                let mut version = None;
                for (database, changes) in by_database(unit) {
                    let known = || self.feeds.get(&database).copied().unwrap_or_default();
                    let feed: &mut Feed = feeds.entry(database).or_insert_with(known);
                    version = Some(feed.append(&mut table, database, &changes, now)?);
                }
                versions.push(version);
            }
        }
        let catalog = pending.catalog_changed.then_some(pending.catalog);
        Ok((Prepared { txn, catalog, feeds }, versions))
    }
}

fn by_database(changes: &[Change]) -> Vec<(u32, Vec<&Change>)> {
    let mut groups: Vec<(u32, Vec<&Change>)> = Vec::with_capacity(1);
    for change in changes {
        match groups.iter_mut().find(|(database, _)| *database == change.database) {
            Some((_, group)) => group.push(change),
            None => groups.push((change.database, vec![change])),
        }
    }
    groups
}

/// Runs work that waits for the disk on a thread where that is allowed.
#[cfg(feature = "file")]
async fn run_blocking<R: Send + 'static>(durable: bool, work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) if durable => match runtime.spawn_blocking(work).await {
            Ok(result) => result,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        },
        _ => work(),
    }
}

#[cfg(not(feature = "file"))]
async fn run_blocking<R>(_durable: bool, work: impl FnOnce() -> R) -> R {
    work()
}

/// Locks even where another thread panicked: every value behind these locks is replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
