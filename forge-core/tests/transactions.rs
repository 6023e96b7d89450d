//! What a transaction does when commits fail, lose or go unanswered.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::any::Any;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use forge_core::adapter::{Adapter, Capabilities, Commit, Exec, Explanation, ResumeToken, Transaction};
use forge_core::env::Source;
use forge_core::error::Retry;
use forge_core::ir::{Operation, Outcome};
use forge_core::transaction::{TransactionOptions, current};
use forge_core::{Catalog, DateTime, Db, Env, Error, ErrorCode, Result};
use futures_core::stream::BoxStream;
use futures_util::FutureExt;

/// A clock that every wait moves.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Source for Clock {
    fn now(&self) -> DateTime {
        DateTime::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn random(&self) -> [u8; 16] {
        [7; 16]
    }
}

/// Answers commits as it was told to, and counts.
#[derive(Default)]
struct Fake {
    clock: Clock,
    commits: Arc<Mutex<Vec<Retry>>>,
    begun: AtomicUsize,
    committed: Arc<AtomicUsize>,
    aborted: Arc<AtomicUsize>,
}

struct FakeTransaction {
    commits: Arc<Mutex<Vec<Retry>>>,
    committed: Arc<AtomicUsize>,
    aborted: Arc<AtomicUsize>,
}

#[async_trait]
impl Transaction for FakeTransaction {
    fn as_any(&self) -> &dyn Any {
        self
    }
    async fn commit(&self) -> Result<Option<u64>> {
        match self.commits.lock().unwrap().pop() {
            Some(retry) => Err(Error::conflict("the commit failed").with_retry(retry)),
            None => {
                self.committed.fetch_add(1, Ordering::SeqCst);
                Ok(Some(1))
            }
        }
    }
    async fn abort(&self) -> Result<()> {
        self.aborted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Adapter for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn default_database(&self) -> &str {
        "d"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn execute(&self, _: &Exec, _: Operation) -> Result<Outcome> {
        Err(Error::unsupported("only transactions are tested"))
    }
    async fn explain(&self, _: &Exec, _: Operation) -> Result<Explanation> {
        Err(Error::unsupported("only transactions are tested"))
    }
    async fn begin(&self, _: &Exec) -> Result<Arc<dyn Transaction>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let Fake { commits, committed, aborted, .. } = self;
        let (commits, committed, aborted) = (commits.clone(), committed.clone(), aborted.clone());
        Ok(Arc::new(FakeTransaction { commits, committed, aborted }))
    }
    async fn watch(&self, _: &str, _: Option<ResumeToken>) -> Result<BoxStream<'static, Result<Commit>>> {
        Err(Error::unsupported("only transactions are tested"))
    }
    async fn ping(&self) -> Result<()> {
        Ok(())
    }
    async fn describe(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
    async fn backoff(&self, _: u32) {
        self.clock.0.fetch_add(100, Ordering::SeqCst);
    }
    async fn close(&self) {}
}

/// A database whose commits fail so, the last of the list first.
fn database(commits: &[Retry]) -> (Db, Arc<Fake>) {
    let fake = Arc::new(Fake { commits: Arc::new(Mutex::new(commits.to_vec())), ..Fake::default() });
    let env = Env::new(fake.clock.clone());
    (Db::new(fake.clone(), Arc::new(Catalog::new([]).unwrap()), env), fake)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("nothing here waits")
}

/// Counts the effects that ran.
fn counting(db: &Db, count: &Arc<AtomicUsize>) {
    let count = count.clone();
    db.after_commit(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_commit_that_loses_runs_the_work_again_and_its_effects_once() {
    let (db, fake) = database(&[Retry::Transaction, Retry::Transaction]);
    let (runs, effects) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    run(db.transaction(async |tx| {
        runs.fetch_add(1, Ordering::SeqCst);
        counting(&tx, &effects);
        Ok(())
    }))
    .unwrap();
    assert_eq!((runs.load(Ordering::SeqCst), effects.load(Ordering::SeqCst)), (3, 1));
    assert_eq!((fake.begun.load(Ordering::SeqCst), fake.committed.load(Ordering::SeqCst)), (3, 1));
}

#[test]
fn a_commit_without_an_answer_does_not_run_the_work_again() {
    let (db, fake) = database(&[Retry::Commit]);
    let (runs, effects) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let error = run(db.transaction(async |tx| {
        runs.fetch_add(1, Ordering::SeqCst);
        counting(&tx, &effects);
        Ok(())
    }))
    .unwrap_err();
    assert_eq!(error.retry(), Retry::Commit);
    assert_eq!((runs.load(Ordering::SeqCst), effects.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(fake.begun.load(Ordering::SeqCst), 1);
}

#[test]
fn the_deadline_ends_the_repetitions() {
    let (db, fake) = database(&[Retry::Transaction; 9]);
    let options = TransactionOptions::new().deadline(Duration::from_millis(250));
    let error = run(db.transaction_with(options, async |_| Ok(()))).unwrap_err();
    assert_eq!((error.code(), error.retry()), (ErrorCode::Conflict, Retry::Transaction));
    assert_eq!(fake.begun.load(Ordering::SeqCst), 4, "after 0, 100, 200 and 300 ms");
}

#[test]
fn a_transient_error_inside_is_retried_even_where_the_outer_work_ignores_it() {
    let (db, fake) = database(&[]);
    let runs = AtomicUsize::new(0);
    run(db.transaction(async |tx| {
        let _ = tx
            .transaction(async |_| match runs.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Error::conflict("lost").with_retry(Retry::Transaction)),
                _ => Ok(()),
            })
            .await;
        Ok(())
    }))
    .unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!((fake.aborted.load(Ordering::SeqCst), fake.committed.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn the_transaction_around_is_known_inside_of_its_work_only() {
    let (db, fake) = database(&[]);
    assert!(current().is_none());
    run(db.transaction(async |_| {
        assert!(current().is_some());
        // Any handle of the connection joins; one of another connection does not.
        let joined = db.transaction(async |inner| Ok(inner.in_transaction())).await?;
        assert!(joined);
        let (other, beside) = database(&[]);
        other.transaction(async |_| Ok(())).await?;
        assert_eq!(beside.begun.load(Ordering::SeqCst), 1);
        Ok(())
    }))
    .unwrap();
    assert!(current().is_none());
    assert_eq!(fake.begun.load(Ordering::SeqCst), 1);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(db.transaction(async |_| -> Result<()> { panic!("as planned") }))
    }));
    assert!(panics.is_err() && current().is_none());
}
