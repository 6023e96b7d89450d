//! Whether a change can matter to a read.

use std::sync::Arc;

use forge_core::adapter::{ChangeEvent, Read};
use forge_core::matcher::{Matcher, Window};

/// The prepared test of one read.
#[derive(Debug)]
pub(crate) struct Affects {
    matcher: Option<Matcher>,
    window: Option<Arc<Window>>,
}

impl Affects {
    /// Prepares the test of `read`. Where its filter cannot be matched here, every change in its collection counts.
    pub(crate) fn new(read: &Read) -> Self {
        Self { matcher: Matcher::new(&read.filter).ok(), window: read.window.clone() }
    }

    /// Whether `change`, in the collection of the read, can change what it found.
    pub(crate) fn by(&self, change: &ChangeEvent) -> bool {
        match (&self.matcher, &self.window) {
            (None, _) => true,
            (Some(matcher), None) => matcher.affected_by(change),
            (Some(matcher), Some(window)) => matcher.affected_within(change, window),
        }
    }
}
