//! The end of what a sorted and limited read found, and the changes that stay beyond it.

use std::cmp::Ordering;

use bson::{RawDocument, RawDocumentBuf};
use serde::Serialize;

use super::Matcher;
use super::live::overlap;
use crate::adapter::{ChangeEvent, ChangeKind};
use crate::ir::SortKey;
use crate::order;

/// The last place of a full window: documents that sort after it are none of its reader's business.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    sort: Vec<SortKey>,
    /// Of the last document, what the sort looks at.
    last: RawDocumentBuf,
}

impl Window {
    /// The window that ends with `last`. `sort` must tell any two documents apart, as one that ends with `_id` does.
    pub fn new(sort: Vec<SortKey>, last: &RawDocument) -> Self {
        let heads = |key: &SortKey| key.path.split('.').next().unwrap_or_default().to_owned();
        let heads: Vec<_> = sort.iter().map(heads).collect();
        let mut kept = RawDocumentBuf::new();
        for (name, value) in last.iter().flatten() {
            if heads.iter().any(|head| name.as_str() == head) {
                kept.append(name, value);
            }
        }
        Self { sort, last: kept }
    }

    /// Whether the document comes after the last one.
    fn is_before(&self, document: &RawDocument) -> bool {
        order::compare_documents(&self.sort, document, &self.last) == Ordering::Greater
    }

    fn is_untouched_by(&self, touched: &[String]) -> bool {
        !touched.iter().any(|touched| self.sort.iter().any(|key| overlap(&key.path, touched)))
    }
}

impl Matcher {
    /// As [`affected_by`](Matcher::affected_by), for a read with this filter that was sorted and ended at `window`.
    ///
    /// What comes after the window, before the change as well as after it, cannot have altered what is in it. Where a
    /// side of the change is not known, and the update may have moved the document, it is taken for one inside.
    pub fn affected_within(&self, event: &ChangeEvent, window: &Window) -> bool {
        if !self.affected_by(event) {
            return false;
        }
        let is_inside = |document: &RawDocumentBuf| self.matches(document) && !window.is_before(document);
        let (before, after) = (event.before.as_ref(), event.after.as_ref());
        match event.kind {
            ChangeKind::Drop => true,
            ChangeKind::Insert => after.is_none_or(is_inside),
            ChangeKind::Delete => before.is_none_or(is_inside),
            ChangeKind::Update | ChangeKind::Replace => match (before, after) {
                (Some(before), Some(after)) => is_inside(before) || is_inside(after),
                (None, Some(after)) => {
                    let stays = event.touched.as_ref().is_some_and(|paths| window.is_untouched_by(paths));
                    !(stays && self.is_untouched_by(event)) || is_inside(after)
                }
                _ => true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc};
    use proptest::prelude::*;

    use super::*;
    use crate::ir::{Filter, Predicate};

    type Doc = (i32, Bson, i32);

    fn document((id, rank, group): &Doc) -> RawDocumentBuf {
        RawDocumentBuf::try_from(&doc! { "_id": id, "rank": rank, "group": group }).unwrap()
    }

    fn sort(descending: bool) -> Vec<SortKey> {
        vec![SortKey { path: "rank".into(), descending }, SortKey { path: "_id".into(), descending: false }]
    }

    /// What a read with a limit answers.
    fn first(docs: &[Doc], sort: &[SortKey], matcher: &Matcher, limit: usize) -> Vec<RawDocumentBuf> {
        let mut found: Vec<_> = docs.iter().map(document).filter(|doc| matcher.matches(doc)).collect();
        found.sort_by(|a, b| order::compare_documents(sort, a, b));
        found.truncate(limit);
        found
    }

    fn rank() -> impl Strategy<Value = Bson> {
        prop_oneof![
            4 => (0..4_i32).prop_map(Bson::from),
            1 => Just(Bson::Null),
            1 => Just(Bson::from("x")),
            1 => prop::collection::vec(0..4_i32, 0..3).prop_map(Bson::from),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_change_that_is_passed_over_leaves_a_fresh_read_as_it_was(
            values in prop::collection::vec((rank(), 0..2_i32), 1..8),
            at in any::<prop::sample::Index>(),
            new in prop::option::of((rank(), 0..2_i32)),
            insert in any::<bool>(),
            (descending, limit, pre_image) in (any::<bool>(), 1..4_usize, any::<bool>()),
        ) {
            let mut docs: Vec<Doc> = (0..).zip(values).map(|(id, (rank, group))| (id, rank, group)).collect();
            let (sort, matcher) = (sort(descending), Matcher::new(&Filter::Field("group".into(), Predicate::Eq(1.into()))).unwrap());
            let old = first(&docs, &sort, &matcher, limit);
            if old.len() < limit {
                // Not full: there is no window to stay beyond.
                return Ok(());
            }
            let window = Window::new(sort.clone(), old.last().unwrap());
            let at = at.index(docs.len());
            let (kind, before, after) = match (insert, new) {
                (true, Some((rank, group))) => {
                    docs.push((100, rank, group));
                    (ChangeKind::Insert, None, docs.last().map(document))
                }
                (false, Some((rank, group))) => {
                    let old = std::mem::replace(&mut docs[at], (at as i32, rank, group));
                    (ChangeKind::Update, Some(document(&old)), Some(document(&docs[at])))
                }
                (_, None) => (ChangeKind::Delete, Some(document(&docs.remove(at))), None),
            };
            let touched = match (&before, &after) {
                (Some(before), Some(after)) => {
                    let differs = |name: &&str| before.get(*name).unwrap() != after.get(*name).unwrap();
                    Some(["rank", "group"].iter().filter(|name| differs(name)).map(|name| (*name).to_owned()).collect())
                }
                _ => None,
            };
            let id = Bson::Int32(at as i32);
            let event = ChangeEvent { collection: "c".into(), kind, id, before: before.filter(|_| pre_image), after, touched, updated: None };
            prop_assert!(matcher.affected_within(&event, &window) || first(&docs, &sort, &matcher, limit) == old, "{event:?}");
        }
    }

    #[test]
    fn what_stays_beyond_the_window_is_passed_over() {
        let matcher = Matcher::new(&Filter::All).unwrap();
        let window = Window::new(sort(false), &document(&(5, 10.into(), 0)));
        let update = |from: i32, to: i32| ChangeEvent {
            collection: "c".into(),
            kind: ChangeKind::Update,
            id: Bson::Int32(9),
            before: Some(document(&(9, from.into(), 0))),
            after: Some(document(&(9, to.into(), 0))),
            touched: Some(vec!["rank".into()]),
            updated: None,
        };
        assert!(!matcher.affected_within(&update(20, 30), &window));
        assert!(!matcher.affected_within(&update(20, 10), &window), "the tie is broken by the id");
        for (from, to) in [(20, 9), (3, 20), (1, 2)] {
            assert!(matcher.affected_within(&update(from, to), &window), "{from} to {to}");
        }
    }
}
