//! The change feed of a database as a process follows it: one for all who want to know.
//!
//! [`Db::feed`] gives a [`Feed`]: live queries of a server and of Rust code read the same one. Where it comes from is a
//! [`FanOut`]: by default this process follows the database itself.

mod dependencies;
mod follow;
mod share;
mod watched;
pub mod wire;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use futures_core::stream::BoxStream;

use crate::adapter::{Adapter, Commit};
use crate::db::Db;
use crate::env::Env;
use crate::error::Error;

pub use dependencies::{Affects, Dependencies};
pub use follow::InProcess;
pub use share::Feed;
use share::Shares;
pub(crate) use watched::Watched;

/// What a feed has to tell.
#[derive(Debug, Clone)]
pub enum News {
    /// It is open, for the first time or again after a resume that missed nothing.
    Up,
    /// It is open, but what changed before is lost: whatever was read before must be read afresh.
    Afresh,
    /// It brought a commit.
    Commit(Arc<Commit>),
    /// It is down for now; it is tried again until it is back.
    Down(Arc<Error>),
    /// It cannot be had. Nothing follows.
    Never(Arc<Error>),
}

/// The database whose changes are wanted, for a [`FanOut`].
#[derive(Clone)]
pub struct FeedSource {
    /// Where it is.
    pub adapter: Arc<dyn Adapter>,
    /// Its name.
    pub database: Arc<str>,
    /// Time and randomness.
    pub env: Env,
}

impl fmt::Debug for FeedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedSource").field("database", &self.database).finish_non_exhaustive()
    }
}

/// How the processes of a deployment come to know what changes.
///
/// By default each follows the database ([`InProcess`]). Where many processes serve one database, one of them can follow
/// it for all and tell the others: that spares the database the streams.
pub trait FanOut: Send + Sync + 'static {
    /// The news of one database, until the stream is dropped or the adapter is closed.
    ///
    /// The stream tells [`News::Up`] before anything that is read after it can be out of date unnoticed: every commit
    /// after that moment follows once and in order, or [`News::Afresh`] in place of those that are lost.
    fn follow(&self, source: FeedSource) -> BoxStream<'static, News>;
}

/// The feeds of a connection.
pub(crate) struct Feeds {
    fan_out: RwLock<Arc<dyn FanOut>>,
    shares: Shares,
}

impl Default for Feeds {
    fn default() -> Self {
        Self { fan_out: RwLock::new(Arc::new(InProcess)), shares: Shares::default() }
    }
}

impl<A> Db<A> {
    /// The changes of this database as everybody in this process shares them: the first one who asks opens the feed, and
    /// it is closed when the last one is dropped.
    pub fn feed(&self) -> Feed {
        let source = FeedSource {
            adapter: self.adapter().clone(),
            database: self.name().into(),
            env: self.env().clone(),
        };
        let feeds = &self.handle.shared.feeds;
        feeds.shares.open(&source.database.clone(), || {
            let fan_out = feeds.fan_out.read().unwrap_or_else(PoisonError::into_inner).clone();
            fan_out.follow(source)
        })
    }

    /// Where feeds that are opened from now on come from, whichever handle of this connection opens them.
    pub fn set_fan_out(&self, fan_out: Arc<dyn FanOut>) {
        let mut current = self.handle.shared.feeds.fan_out.write().unwrap_or_else(PoisonError::into_inner);
        *current = fan_out;
    }
}
