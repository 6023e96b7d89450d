//! Whether a commit can matter to what was read.

use std::sync::Arc;

use crate::adapter::{ChangeEvent, Commit, Read};
use crate::ir::Path;
use crate::matcher::{Matcher, Window};

/// The prepared test of one read.
#[derive(Debug)]
pub struct Affects {
    matcher: Option<Matcher>,
    window: Option<Arc<Window>>,
}

impl Affects {
    /// Prepares the test of `read`. Where its filter cannot be matched here, every change in its collection counts.
    pub fn new(read: &Read) -> Self {
        Self { matcher: Matcher::new(&read.filter).ok(), window: read.window.clone() }
    }

    /// The stored paths that decide; none where every change counts.
    pub fn paths(&self) -> Option<&[Path]> {
        self.matcher.as_ref().filter(|matcher| !matcher.is_on_whole_document()).map(Matcher::paths)
    }

    /// Whether `change`, in the collection of the read, can change what it found.
    pub fn by(&self, change: &ChangeEvent) -> bool {
        match (&self.matcher, &self.window) {
            (None, _) => true,
            (Some(matcher), None) => matcher.affected_by(change),
            (Some(matcher), Some(window)) => matcher.affected_within(change, window),
        }
    }
}

/// Everything that a result was made of.
#[derive(Debug, Default)]
pub struct Dependencies(Vec<(Read, Affects)>);

impl Dependencies {
    /// The dependencies of a result that took these reads.
    pub fn new(reads: Vec<Read>) -> Self {
        let prepared = reads.into_iter().map(|read| {
            let affects = Affects::new(&read);
            (read, affects)
        });
        Self(prepared.collect())
    }

    /// Whether the result may differ after `commit` of `database`.
    pub fn affected_by(&self, database: &str, commit: &Commit) -> bool {
        commit.changes.iter().any(|change| {
            self.0.iter().any(|(read, affects)| {
                *read.database == *database && *read.collection == *change.collection && affects.by(change)
            })
        })
    }
}
