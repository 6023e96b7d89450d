//! How the change feeds are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forge_core::feed::News;
use tokio::time::Instant;

/// How the feed of the default database is.
#[derive(Default)]
pub(crate) struct Health {
    up: AtomicBool,
    never: AtomicBool,
    down: Mutex<Option<Instant>>,
}

impl Health {
    /// Takes note of since when it is down, and whether it cannot be had at all.
    pub(crate) fn set(&self, down: Option<Instant>, never: bool) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
        self.never.store(never, Ordering::Release);
        self.up.store(down.is_none() && !never, Ordering::Release);
    }

    /// Whether it is open.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Whether the engine has none.
    pub(crate) fn is_never(&self) -> bool {
        self.never.load(Ordering::Acquire)
    }

    /// For how long it has been down.
    pub(crate) fn down(&self) -> Option<Duration> {
        let since = *self.down.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }
}

/// What a change feed has told so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FeedCounts {
    /// Commits.
    pub(crate) commits: u64,
    /// How often what it missed was lost.
    pub(crate) lost: u64,
    /// Whether it is open.
    pub(crate) up: bool,
    /// Since when it is down; none where it is open, or there is none to open.
    pub(crate) down: Option<Instant>,
}

impl FeedCounts {
    /// Takes note of news.
    pub(crate) fn hear(&mut self, news: &News) {
        match news {
            News::Commit(_) => self.commits += 1,
            News::Afresh => self.lost += 1,
            _ => {}
        }
        self.up = !matches!(news, News::Down(_) | News::Never(_));
        self.down = match news {
            News::Down(_) => self.down.or_else(|| Some(Instant::now())),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forge_core::Error;
    use forge_core::feed::News;

    use super::*;
    use crate::testing::commit;

    #[tokio::test(start_paused = true)]
    async fn a_feed_is_down_since_it_first_broke_and_until_it_is_back() {
        let broken = || Arc::new(Error::unavailable("reset"));
        let mut counts = FeedCounts::default();
        let mut down = |news| {
            counts.hear(&news);
            counts.down.map(|since| since.elapsed())
        };
        assert_eq!(down(News::Commit(Arc::new(commit(1)))), None);
        assert_eq!(down(News::Down(broken())), Some(Duration::ZERO));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(down(News::Down(broken())), Some(Duration::from_secs(2)));
        assert_eq!(down(News::Up), None);
        down(News::Down(broken()));
        assert_eq!(down(News::Afresh), None);
        assert_eq!(down(News::Never(broken())), None, "what there is not is not down");
        assert_eq!((counts.commits, counts.lost), (1, 1));
    }
}
