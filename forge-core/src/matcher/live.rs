//! Which changes can affect what a filter read.

use bson::{Bson, RawBson, RawDocumentBuf, raw::cstr};

use super::Matcher;
use super::eval::Subject;
use crate::adapter::{ChangeEvent, ChangeKind};

impl Matcher {
    /// Whether the change can have altered the result of a read with this filter. It never says no when it has; with
    /// less known about the change it says yes more often. The collection is the caller's to compare.
    ///
    /// A document that is in the result, before or after, counts: though it matches both times, its fields, its place
    /// in the order or its place in a window may differ. So:
    ///
    /// - *Drop*: yes.
    /// - *Insert*: if the new document matches. *Delete*: if the old one matched.
    /// - *Update, Replace*: if the old or the new document matches.
    ///   Where the old one is unknown and the update touched none of the filter's [`paths`](Matcher::paths), it
    ///   matched before exactly if it matches now, so that the new document alone decides.
    /// - Where a document that must be asked is unknown: unless the filter's own conditions on `_id` exclude it. The
    ///   `_id` of a document never changes, so that they speak for both sides of the change.
    ///
    /// Some feeds look up the new document later than the change, so that it may show a newer state. The events of
    /// the commits in between follow, and the last of them tells what this one could not.
    pub fn affected_by(&self, event: &ChangeEvent) -> bool {
        let before = event.before.as_deref().map(|document| self.matches(document));
        let after = event.after.as_deref().map(|document| self.matches(document));
        let possible = || self.may_match_id(&event.id);
        match event.kind {
            ChangeKind::Drop => true,
            ChangeKind::Insert => after.unwrap_or_else(possible),
            ChangeKind::Delete => before.unwrap_or_else(possible),
            ChangeKind::Update | ChangeKind::Replace => match (before, after) {
                (Some(true), _) | (_, Some(true)) => true,
                (Some(false), Some(false)) => false,
                (Some(false), None) => possible(),
                (None, Some(false)) if self.is_untouched_by(event) => false,
                (None, _) => possible(),
            },
        }
    }

    /// Whether the conditions on `_id` leave room for this one.
    fn may_match_id(&self, id: &Bson) -> bool {
        if self.on_id.is_empty() {
            return true;
        }
        let Ok(id) = RawBson::try_from(id.clone()) else { return true };
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id);
        self.on_id.iter().all(|node| node.holds(Subject::Document(&document)))
    }

    /// Whether the update is known to have left every path of the filter as it was.
    pub(super) fn is_untouched_by(&self, event: &ChangeEvent) -> bool {
        let Some(touched) = &event.touched else { return false };
        event.kind == ChangeKind::Update
            && !self.whole
            && !touched.iter().any(|touched| self.paths.iter().any(|path| overlap(path, touched)))
    }
}

/// Whether one path leads to, or through, the other. Numbers are passed over: `legs.0.km` is part of what `legs.km`
/// and `legs.1` read.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    fn names(path: &str) -> impl Iterator<Item = &str> {
        path.split('.').filter(|component| !component.bytes().all(|byte| byte.is_ascii_digit()))
    }
    names(a).zip(names(b)).all(|(a, b)| a == b)
}
