//! Which databases are followed: as long as somebody reads them, and a while longer.

use std::collections::HashSet;
use std::sync::Arc;

use forge_core::Error;

use super::{Machine, Timer};
use crate::live::event::Action;
use crate::live::feeds::FeedState;

impl Machine {
    /// One more live query reads `database`.
    pub(super) fn gain(&mut self, database: &Arc<str>) {
        let feed = self.feeds.entry(database);
        feed.readers += 1;
        feed.idle = None;
    }

    /// One less does: the feed is closed in a while, unless somebody reads it by then.
    pub(super) fn lose(&mut self, database: &Arc<str>) {
        let is_default = *database == self.database;
        let feed = self.feeds.entry(database);
        feed.readers -= 1;
        if feed.readers > 0 || is_default {
            return;
        }
        if feed.is_followed() {
            let at = self.now + self.config.feed_idle;
            feed.idle = Some(at);
            self.timers.insert((at, Timer::Feeds));
            self.has_room = true;
        } else if feed.version == 0 {
            self.feeds.remove(database);
        }
    }

    /// Asks for the feed of `database`, where nobody did.
    ///
    /// # Errors
    /// `unavailable` where too many databases are followed.
    pub(super) fn ask_for(&mut self, database: &Arc<str>) -> Result<(), Arc<Error>> {
        if self.feeds.is_followed(database) {
            return Ok(());
        }
        let max = self.config.feeds;
        let others = self.feeds.followed().filter(|(name, _)| **name != self.database).count();
        if *database != self.database && others >= max {
            // What nobody reads makes room.
            let idle = self.feeds.followed().filter_map(|(name, feed)| Some((feed.idle?, name.clone())));
            let Some((_, idle)) = idle.min() else {
                return Err(Arc::new(Error::unavailable(format!(
                    "live queries follow {max} databases, which is the limit; try again later"
                ))));
            };
            self.close_feed(&idle);
        }
        self.feeds.entry(database).state = FeedState::Opening;
        self.actions.push(Action::OpenFeed { database: database.clone() });
        Ok(())
    }

    fn close_feed(&mut self, database: &Arc<str>) {
        let feed = self.feeds.entry(database);
        (feed.state, feed.idle) = (FeedState::Closed, None);
        self.actions.push(Action::CloseFeed { database: database.clone() });
    }

    /// Closes the feeds that nobody has needed for long enough. Where they stood is kept for open sockets.
    pub(super) fn close_idle(&mut self) {
        let is_due = |idle: Option<u64>| idle.is_some_and(|at| at <= self.now);
        let due = self.feeds.followed().filter(|(_, feed)| is_due(feed.idle));
        let mut due: Vec<_> = due.map(|(database, _)| database.clone()).collect();
        due.sort_unstable();
        for database in due {
            self.close_feed(&database);
        }
        let known: HashSet<_> = self.sockets.values().map(|socket| &*socket.database).collect();
        self.feeds.forget(|database| known.contains(database));
    }

    /// Tries those again that were refused, where there may be room.
    pub(super) fn admit(&mut self) {
        if !std::mem::take(&mut self.has_room) {
            return;
        }
        for id in std::mem::take(&mut self.crowded) {
            if self.entries.get(&id).is_some_and(|entry| entry.refused) {
                self.start(id);
            }
        }
    }
}
