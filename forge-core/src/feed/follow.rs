//! Follows the change feed of one database, for ever.

use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};

use super::{FanOut, FeedSource, News};
use crate::adapter::{Commit, ResumeToken, is_history_lost};
use crate::error::{Error, ErrorCode, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A feed that was open for this long was well: the next pause is the first again.
const HEALTHY: Duration = Duration::from_secs(10);

/// The [`FanOut`] of processes that know nothing of each other: each follows the database itself.
///
/// After a failure the feed is resumed by the last token; where that leads nowhere (or there is none yet), it is opened
/// afresh, which is told once for each time. Pauses between attempts grow, so that a token, event or server that keeps
/// failing costs little.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl FanOut for InProcess {
    fn follow(&self, source: FeedSource) -> BoxStream<'static, News> {
        let follower = Follower {
            source,
            last: None,
            opened: false,
            down: false,
            pause: FIRST_PAUSE,
            state: State::Opening,
        };
        stream::unfold(follower, async |mut follower| Some((follower.next().await?, follower))).boxed()
    }
}

enum State {
    Opening,
    Reading { commits: BoxStream<'static, Result<Commit>>, since: Duration },
    Pausing,
    Ended,
}

struct Follower {
    source: FeedSource,
    /// The commit after whose token it goes on.
    last: Option<Arc<Commit>>,
    opened: bool,
    down: bool,
    pause: Duration,
    state: State,
}

impl Follower {
    async fn next(&mut self) -> Option<News> {
        loop {
            let failure = match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return None,
                State::Pausing => {
                    let Some(timer) = self.source.adapter.timer(self.pause) else {
                        return Some(News::Never(Arc::new(Error::unsupported(
                            "a feed that broke is opened again after a while, and there are no timers here",
                        ))));
                    };
                    timer.await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    self.state = State::Opening;
                    continue;
                }
                State::Opening => {
                    match self.source.adapter.watch(&self.source.database, self.token()).await {
                        Ok(commits) => return Some(self.open(commits)),
                        Err(error) if error.code() == ErrorCode::Unsupported => {
                            tracing::warn!(database = %self.source.database, %error, "live queries are off");
                            return Some(News::Never(Arc::new(error)));
                        }
                        Err(error) => error,
                    }
                }
                State::Reading { mut commits, since } => match commits.next().await {
                    Some(Ok(commit)) => {
                        let commit = Arc::new(commit);
                        self.last = Some(commit.clone());
                        self.state = State::Reading { commits, since };
                        return Some(News::Commit(commit));
                    }
                    ended => {
                        if self.source.env.monotonic().saturating_sub(since) >= HEALTHY {
                            self.pause = FIRST_PAUSE;
                        }
                        let error = ended.and_then(Result::err);
                        error.unwrap_or_else(|| Error::unavailable("the change feed ended"))
                    }
                },
            };
            if self.source.adapter.is_closed() {
                return None;
            }
            self.state = State::Pausing;
            if let Some(news) = self.failed(failure) {
                return Some(news);
            }
        }
    }

    fn token(&self) -> Option<ResumeToken> {
        self.last.as_ref().map(|commit| commit.token.clone())
    }

    fn open(&mut self, commits: BoxStream<'static, Result<Commit>>) -> News {
        self.state = State::Reading { commits, since: self.source.env.monotonic() };
        let first = !std::mem::replace(&mut self.opened, true);
        if std::mem::replace(&mut self.down, false) {
            tracing::info!(database = %self.source.database, "the change feed is back");
        }
        if first || self.last.is_some() { News::Up } else { News::Afresh }
    }

    fn failed(&mut self, error: Error) -> Option<News> {
        let database = &self.source.database;
        if is_history_lost(&error) {
            self.last = None;
            self.down = true;
            tracing::warn!(%database, %error, "every live query runs afresh");
            return None;
        }
        if !std::mem::replace(&mut self.down, true) {
            tracing::warn!(%database, %error, "the change feed is down; it is tried again until it is back");
        }
        Some(News::Down(Arc::new(error)))
    }
}
