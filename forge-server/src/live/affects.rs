//! Whether a change can matter to a read.

use forge_core::adapter::{ChangeEvent, Read};
use forge_core::matcher::Matcher;

/// The prepared test of one read.
#[derive(Debug)]
pub(crate) struct Affects(Option<Matcher>);

impl Affects {
    /// Prepares the test of `read`. Where its filter cannot be matched here, every change in its collection counts.
    pub(crate) fn new(read: &Read) -> Self {
        Self(Matcher::new(&read.filter).ok())
    }

    /// Whether `change`, in the collection of the read, can change what it found.
    pub(crate) fn by(&self, change: &ChangeEvent) -> bool {
        self.0.as_ref().is_none_or(|matcher| matcher.affected_by(change))
    }
}
