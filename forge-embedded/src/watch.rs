//! Subscriptions to the change feed: a position in the table and a wake-up, nothing that could grow.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bson::{Bson, doc};
use forge_core::adapter::{Commit, ResumeToken, WatchOptions, history_lost};
use forge_core::{DateTime, Result};
use futures_core::stream::BoxStream;
use futures_util::stream;
use tokio::sync::watch::Receiver;

use crate::engine::Engine;
use crate::feed::{self, Feed};

/// How many bytes of commits a subscription reads ahead, beyond the first of them.
const READ_AHEAD: usize = 1024 * 1024;

struct Subscription {
    engine: Arc<Engine>,
    database: String,
    newest: Receiver<u64>,
    /// The last version that was handed out.
    seen: u64,
    ready: VecDeque<Commit>,
    over: bool,
}

/// The commits of `database` from the place that `options` names, or from now on.
pub(crate) fn subscribe(
    engine: Arc<Engine>,
    database: &str,
    options: &WatchOptions,
) -> Result<BoxStream<'static, Result<Commit>>> {
    let mut newest = engine.position(database)?;
    let now = *newest.borrow_and_update();
    let from_now = options.resume.is_none() && options.start_at.is_none();
    let seen = match (&options.resume, options.start_at) {
        (Some(token), _) => version_of(token, &engine.identity)?,
        (None, Some(start)) => version_before(&engine, database, start)?,
        (None, None) => now,
    };
    let mut subscription = Subscription {
        engine,
        database: database.to_owned(),
        newest,
        seen,
        ready: VecDeque::new(),
        over: false,
    };
    if options.progress && from_now {
        // Whoever keeps the place can keep this one before anything happens.
        let token = token(&subscription.engine.identity, seen);
        subscription.ready.push_back(Commit { version: seen, token, changes: Vec::new() });
    }
    if !from_now {
        subscription.read()?;
    }
    Ok(Box::pin(stream::unfold(subscription, Subscription::next)))
}

fn token(identity: &str, version: u64) -> ResumeToken {
    ResumeToken(doc! { "store": identity, "version": i64::try_from(version).unwrap_or(i64::MAX) }.into())
}

fn version_of(token: &ResumeToken, identity: &str) -> Result<u64> {
    let Bson::Document(form) = &token.0 else { return Err(history_lost()) };
    if !form.get_str("store").is_ok_and(|store| store == identity) {
        return Err(history_lost());
    }
    let version = form.get_i64("version").ok().and_then(|version| u64::try_from(version).ok());
    version.ok_or_else(history_lost)
}

/// The version after which everything happened at `start` or later.
fn version_before(engine: &Engine, database: &str, start: DateTime) -> Result<u64> {
    let (snapshot, catalog) = engine.snapshot()?;
    let Some(database) = catalog.database(database) else { return Ok(0) };
    let table = snapshot.changes()?;
    Feed::load(&table, database.id)?.before(&table, database.id, start)?.ok_or_else(history_lost)
}

/// Lets the tasks that are ready run before this one goes on: what they commit is read together then.
async fn others_first() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Subscription {
    async fn next(mut self) -> Option<(Result<Commit>, Self)> {
        loop {
            if let Some(commit) = self.ready.pop_front() {
                self.seen = commit.version;
                return Some((Ok(commit), self));
            }
            if self.over {
                return None;
            }
            if *self.newest.borrow_and_update() > self.seen {
                others_first().await;
                if let Err(error) = self.read() {
                    self.over = true;
                    return Some((Err(error), self));
                }
                continue;
            }
            // The engine closes its positions when it is closed.
            if self.newest.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Reads the next commits.
    fn read(&mut self) -> Result<()> {
        let (snapshot, catalog) = self.engine.snapshot()?;
        let Some(database) = catalog.database(&self.database) else {
            return if self.seen == 0 { Ok(()) } else { Err(history_lost()) };
        };
        let table = snapshot.changes()?;
        let (mut bytes, mut version) = (0, self.seen);
        // Commits are numbered without gaps.
        while bytes <= READ_AHEAD
            && let Some(record) = feed::record(&table, database.id, version.saturating_add(1))?
        {
            version += 1;
            bytes += record.value().len();
            let token = token(&self.engine.identity, version);
            self.ready.push_back(Commit { version, token, changes: feed::decode(record.value())? });
        }
        if self.ready.is_empty() && !Feed::load(&table, database.id)?.reaches_back_to(self.seen) {
            return Err(history_lost());
        }
        Ok(())
    }
}
