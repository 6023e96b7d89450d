//! One process follows the change feed for all: what they tell each other, by a log that all of them read.
//!
//! The log is a stream of numbered records outside of the processes. One of them leads, by a lease: it follows the
//! database and adds a record for each commit. Everybody, the leader too, learns of commits from the log alone. Beside
//! it stands the resume token of its last commit, written in the same step, so that whoever leads next goes on exactly
//! there. A record is only taken from who holds the lease at that moment, so that two leaders cannot mix.

mod leader;
mod reader;
mod redis;
#[cfg(test)]
mod simulation;

use std::sync::Arc;

use forge_core::adapter::{Commit, ResumeToken};

pub use self::redis::RedisFanOut;

/// What the log tells.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// The leader follows the database, and nothing was missed.
    Up,
    /// The leader follows the database, but what changed before is lost.
    Afresh,
    /// The database cannot be followed for now.
    Down(Arc<str>),
    /// A commit.
    Commit(Arc<Commit>),
}

/// Where the log stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// The number of its last record; none where there is no record.
    pub(crate) seq: Option<u64>,
    /// The token of its last commit.
    pub(crate) token: Option<ResumeToken>,
}
