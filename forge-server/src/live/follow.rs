//! Follows the change feed of one database, for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forge_core::adapter::{Adapter, Commit, ResumeToken, is_history_lost};
use forge_core::{Error, ErrorCode};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A feed that was open for this long was well: the next pause is the first again.
const HEALTHY: Duration = Duration::from_secs(10);

/// What a feed has to tell.
#[derive(Debug)]
pub(crate) enum News {
    /// It is open, for the first time or again after a resume.
    Up,
    /// It is open, but what changed before is lost.
    Afresh,
    /// It brought a commit.
    Commit(Arc<Commit>),
    /// It is down for now.
    Down(Arc<Error>),
    /// It cannot be had; this is the last news.
    Never(Arc<Error>),
}

/// Takes news; false where nobody listens any more.
pub(crate) trait Tell: Fn(News) -> BoxFuture<'static, bool> + Send + Sync {}
impl<T: Fn(News) -> BoxFuture<'static, bool> + Send + Sync> Tell for T {}

/// Reads the feed of `database` until the receiver is gone or the engine says that it has none.
///
/// After a failure the feed is resumed by the last token; where that leads nowhere (or there is none yet), it is opened
/// afresh, which is told once for each time. Pauses between attempts grow, so that a token, event or server that keeps
/// failing costs little.
pub(crate) async fn follow(adapter: Arc<dyn Adapter>, database: Arc<str>, tell: impl Tell) {
    let mut feed = Follower { token: None, opened: false, down: false, pause: FIRST_PAUSE };
    loop {
        let failure = match adapter.watch(&database, feed.token.clone()).await {
            Ok(stream) => {
                if !tell(feed.open(&database)).await {
                    return;
                }
                let since = Instant::now();
                let Some(failure) = feed.read(stream, &tell).await else { return };
                if since.elapsed() >= HEALTHY {
                    feed.pause = FIRST_PAUSE;
                }
                failure
            }
            Err(error) if error.code() == ErrorCode::Unsupported => {
                tracing::warn!(%database, %error, "live queries are off");
                tell(News::Never(Arc::new(error))).await;
                return;
            }
            Err(error) => error,
        };
        if !feed.fail(&database, failure, &tell).await {
            return;
        }
        tokio::time::sleep(feed.pause).await;
        feed.pause = (feed.pause * 2).min(LONGEST_PAUSE);
    }
}

struct Follower {
    token: Option<ResumeToken>,
    opened: bool,
    down: bool,
    pause: Duration,
}

impl Follower {
    fn open(&mut self, database: &str) -> News {
        let first = !std::mem::replace(&mut self.opened, true);
        if std::mem::replace(&mut self.down, false) {
            tracing::info!(database, "the change feed is back");
        }
        if first || self.token.is_some() { News::Up } else { News::Afresh }
    }

    /// Reads until the stream ends, and says why; none where nobody listens any more.
    async fn read(
        &mut self,
        mut stream: futures_core::stream::BoxStream<'static, forge_core::Result<Commit>>,
        tell: &impl Tell,
    ) -> Option<Error> {
        while let Some(commit) = stream.next().await {
            let commit = match commit {
                Ok(commit) => Arc::new(commit),
                Err(error) => return Some(error),
            };
            self.token = Some(commit.token.clone());
            if !tell(News::Commit(commit)).await {
                return None;
            }
        }
        Some(Error::unavailable("the change feed ended"))
    }

    async fn fail(&mut self, database: &str, error: Error, tell: &impl Tell) -> bool {
        if is_history_lost(&error) {
            self.token = None;
            self.down = true;
            tracing::warn!(database, %error, "every live query runs afresh");
            return true;
        }
        if !std::mem::replace(&mut self.down, true) {
            tracing::warn!(database, %error, "the change feed is down; it is tried again until it is back");
        }
        tell(News::Down(Arc::new(error))).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::testing::{FakeAdapter, commit};
    use forge_core::adapter::history_lost;

    /// What a feed told, up to the commit with version `last`.
    async fn told(adapter: FakeAdapter, last: u64) -> Vec<String> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = told.clone();
        let tell = move |news: News| {
            let (text, go_on) = match news {
                News::Commit(commit) => (commit.version.to_string(), commit.version < last),
                News::Up => ("up".into(), true),
                News::Afresh => ("afresh".into(), true),
                News::Down(_) => ("down".into(), true),
                News::Never(_) => ("never".into(), true),
            };
            list.lock().unwrap().push(text);
            Box::pin(async move { go_on }) as BoxFuture<'static, bool>
        };
        follow(Arc::new(adapter), "db".into(), tell).await;
        std::mem::take(&mut *told.lock().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_feed_is_resumed_by_its_last_token() {
        let adapter = FakeAdapter::default();
        adapter.next_watch(vec![Ok(commit(1)), Err(Error::unavailable("reset"))]);
        adapter.next_watch(vec![Ok(commit(2))]);
        let tokens = adapter.tokens.clone();
        assert_eq!(told(adapter, 2).await, ["up", "1", "down", "up", "2"]);
        assert_eq!(*tokens.lock().unwrap(), [None, Some(commit(1).token)]);
    }

    #[tokio::test(start_paused = true)]
    async fn lost_history_means_one_fresh_start() {
        let adapter = FakeAdapter::default();
        adapter.next_watch(vec![Ok(commit(1)), Err(history_lost())]);
        adapter.next_watch(vec![Ok(commit(9))]);
        let tokens = adapter.tokens.clone();
        assert_eq!(told(adapter, 9).await, ["up", "1", "afresh", "9"]);
        assert_eq!(*tokens.lock().unwrap(), [None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_broke_before_its_first_commit_missed_something() {
        let adapter = FakeAdapter::default();
        adapter.next_watch(vec![Err(Error::unavailable("reset"))]);
        adapter.next_watch(vec![Ok(commit(3))]);
        assert_eq!(told(adapter, 3).await, ["up", "down", "afresh", "3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_without_feeds_is_asked_once() {
        let adapter = FakeAdapter::default();
        adapter.fail_watch(Error::unsupported("no change streams on a standalone server"));
        assert_eq!(told(adapter, 1).await, ["never"]);
    }
}
