//! Where the change feeds of the databases stand, for the answers to mutations.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The versions that feeds brought, by database.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    feeds: RwLock<HashMap<Arc<str>, Followed>>,
    /// Whether the engine has ever said at which version a write committed.
    known: AtomicBool,
}

#[derive(Debug)]
struct Followed {
    version: watch::Sender<u64>,
    /// Whether it is open just now.
    up: bool,
    /// The first write of this process that the feed had not brought when it was answered, and when that was.
    owed: Option<(u64, Instant)>,
}

impl Versions {
    /// Takes note of how the feed of `database` is. It counts as followed from when it is open for the first time.
    pub(crate) fn hear(&self, database: &Arc<str>, up: bool, version: u64) {
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get_mut(database) {
            feed.up = up;
            feed.version.send_if_modified(|known| std::mem::replace(known, version) != version);
        } else if up {
            let feed = Followed { version: watch::Sender::new(version), up, owed: None };
            feeds.insert(database.clone(), feed);
        }
    }

    /// `database` is not followed any more.
    pub(crate) fn forget(&self, database: &str) {
        self.feeds.write().unwrap_or_else(PoisonError::into_inner).remove(database);
    }

    /// The newest version of `database`; none where it is not followed.
    pub(crate) fn of(&self, database: &str) -> Option<u64> {
        self.look(database, |feed| *feed.version.borrow())
    }

    /// Takes note that the engine numbers its commits: where it says nothing, nothing was written.
    pub(crate) fn commits_have_numbers(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Waits until the feed of `database`, if it is open, has moved beyond `before`, for `longest` at most. With an engine
    /// that numbers its commits there is nothing to wait for.
    pub(crate) async fn moved(&self, database: &str, before: u64, longest: Duration) {
        if self.known.load(Ordering::Relaxed) {
            return;
        }
        let open = self.look(database, |feed| feed.up.then(|| feed.version.subscribe()));
        let Some(mut version) = open.flatten() else { return };
        let _ = tokio::time::timeout(longest, version.wait_for(|version| *version > before)).await;
    }

    /// Takes note of a write that the feed has not brought so far.
    pub(crate) fn owe(&self, database: &str, version: u64) {
        if self.of(database).is_none_or(|known| known >= version) {
            return;
        }
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        let Some(feed) = feeds.get_mut(database) else { return };
        let known = *feed.version.borrow();
        if version > known && feed.owed.is_none_or(|(first, _)| first <= known) {
            feed.owed = Some((version, Instant::now()));
        }
    }

    /// For how long a feed owes a write of this process, at most.
    pub(crate) fn lag(&self) -> Duration {
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        let owed = feeds.values().filter_map(|feed| {
            let known = *feed.version.borrow();
            feed.owed.filter(|(version, _)| *version > known).map(|(_, since)| since.elapsed())
        });
        owed.max().unwrap_or_default()
    }

    fn look<T>(&self, database: &str, what: impl FnOnce(&Followed) -> T) -> Option<T> {
        self.feeds.read().unwrap_or_else(PoisonError::into_inner).get(database).map(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn versions() -> Versions {
        let versions = Versions::default();
        versions.hear(&"db".into(), true, 3);
        versions.hear(&"tenant".into(), true, 90);
        versions
    }

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_that_of_the_feed_which_owes_the_longest() {
        let versions = versions();
        versions.owe("tenant", 90);
        versions.owe("closed", 1_000);
        tokio::time::advance(SECOND).await;
        assert_eq!(versions.lag(), Duration::ZERO, "nobody owes anything");
        versions.owe("tenant", 91);
        tokio::time::advance(SECOND).await;
        versions.owe("db", 4);
        tokio::time::advance(SECOND).await;
        assert_eq!(versions.lag(), SECOND * 2);
        versions.hear(&"tenant".into(), true, 91);
        assert_eq!(versions.lag(), SECOND);
        versions.hear(&"db".into(), true, 4);
        assert_eq!(versions.lag(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_feed_of_the_database_is_waited_for() {
        let versions = Arc::new(versions());
        let started = Instant::now();
        let waiting = tokio::spawn({
            let versions = versions.clone();
            async move { versions.moved("tenant", 90, SECOND * 60).await }
        });
        tokio::task::yield_now().await;
        versions.hear(&"db".into(), true, 95);
        tokio::time::advance(SECOND).await;
        assert!(!waiting.is_finished());
        versions.hear(&"tenant".into(), true, 91);
        waiting.await.unwrap();
        versions.moved("closed", 0, SECOND).await;
        versions.hear(&"tenant".into(), false, 91);
        versions.moved("tenant", 91, SECOND).await;
        assert_eq!(started.elapsed(), SECOND, "what is not followed, or down, is not waited for");
    }
}
