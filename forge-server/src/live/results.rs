//! The results that wait for one socket together.

use std::ops::Deref;

use smallvec::SmallVec;

use super::event::{Content, Item, SubId};

/// Results, one of each subscription, by the order of the subscriptions' numbers. Most often it is a single one: that
/// has its place here, since what is made for every socket of a crowd must not be looked for elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Results(SmallVec<[Item; 1]>);

impl Results {
    fn find(&self, id: SubId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |item| item.id)
    }

    /// Whether a result of this subscription is among them.
    pub(crate) fn contains(&self, id: SubId) -> bool {
        self.find(id).is_ok()
    }

    /// Adds a result, in place of an earlier one of the same subscription: how many bytes were sent of that, and are now.
    pub(crate) fn add(&mut self, item: Item) -> (usize, usize) {
        match self.find(item.id) {
            Ok(at) => {
                let waiting = &mut self.0[at];
                let before = waiting.size();
                let earlier = std::mem::replace(&mut waiting.content, Content::Unchanged);
                *waiting = item.in_place_of(earlier);
                (before, waiting.size())
            }
            Err(at) => {
                let now = item.size();
                self.0.insert(at, item);
                (0, now)
            }
        }
    }

    /// Takes the result of a subscription away.
    pub(crate) fn remove(&mut self, id: SubId) -> Option<Item> {
        self.find(id).ok().map(|at| self.0.remove(at))
    }

    /// The only result; otherwise all of them.
    pub(crate) fn only(mut self) -> Result<Item, Self> {
        match self.0.len() {
            1 => Ok(self.0.remove(0)),
            _ => Err(self),
        }
    }
}

impl Deref for Results {
    type Target = [Item];

    fn deref(&self) -> &[Item] {
        &self.0
    }
}

impl IntoIterator for Results {
    type Item = Item;
    type IntoIter = smallvec::IntoIter<[Item; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Item> for Results {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let mut results = Self::default();
        for item in items {
            results.add(item);
        }
        results
    }
}
