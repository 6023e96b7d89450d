//! Which live queries a change could touch, without asking each of them.
//!
//! A read that fixes a path to values (`state == "TX"`, `_id in […]`) or to a range (`delay > 30`) is filed under those;
//! every other read of the collection is filed as broad. A change costs its collection's broad reads and those filed
//! under a value that the document has or had.

mod keys;
mod ranges;
mod scalar;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bson::{RawBsonRef, RawDocument};
use forge_core::adapter::{ChangeEvent, ChangeKind, Read};
use forge_core::ir::Path;
use forge_core::order::{self, Found};

use keys::{Key, keys};
use ranges::Ranges;
use scalar::Scalar;

/// The name of a live query inside the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(pub(crate) u64);

/// Where a read is filed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Posting {
    database: Arc<str>,
    collection: Cow<'static, str>,
    /// None where it is broad.
    key: Option<Key>,
}

impl Posting {
    /// Whether every change of the collection is looked at.
    pub(crate) fn is_broad(&self) -> bool {
        self.key.is_none()
    }
}

/// Live queries by what they read.
#[derive(Debug, Default)]
pub(crate) struct ReadIndex(HashMap<Arc<str>, HashMap<Cow<'static, str>, Collection>>);

#[derive(Debug, Default)]
struct Collection {
    broad: HashSet<EntryId>,
    paths: HashMap<Path, Filed>,
}

/// What is filed under the values of one path.
#[derive(Debug, Default)]
struct Filed {
    values: HashMap<u64, HashSet<EntryId>>,
    ranges: Ranges,
}

impl ReadIndex {
    /// Files `entry` under `reads`; the postings are what [`ReadIndex::remove`] takes.
    pub(crate) fn insert(&mut self, entry: EntryId, reads: &[Read]) -> HashSet<Posting> {
        let postings: HashSet<Posting> = reads.iter().flat_map(postings).collect();
        for Posting { database, collection, key } in &postings {
            let place = self.0.entry(database.clone()).or_default().entry(collection.clone()).or_default();
            match key {
                None => drop(place.broad.insert(entry)),
                Some(key) => place.insert(entry, key),
            }
        }
        postings
    }

    /// Forgets `entry` where it was filed.
    pub(crate) fn remove(&mut self, entry: EntryId, postings: &HashSet<Posting>) {
        for Posting { database, collection, key } in postings {
            let Some(collections) = self.0.get_mut(database) else { continue };
            let Some(place) = collections.get_mut(collection) else { continue };
            match key {
                None => drop(place.broad.remove(&entry)),
                Some(key) => place.remove(entry, key),
            }
            if place.broad.is_empty() && place.paths.is_empty() {
                collections.remove(collection);
            }
            if collections.is_empty() {
                self.0.remove(database);
            }
        }
    }

    /// Adds every entry that `change` could touch to `out`.
    pub(crate) fn candidates(&self, database: &str, change: &ChangeEvent, out: &mut HashSet<EntryId>) {
        let Some(place) = self.0.get(database).and_then(|c| c.get(&*change.collection)) else { return };
        out.extend(&place.broad);
        for (path, filed) in &place.paths {
            if !values_are_known(change, path) {
                filed.all(out);
                continue;
            }
            if path == "_id"
                && let Some(id) = Scalar::of_operand(&change.id)
            {
                filed.meet(&id, out);
            } else if path == "_id" && change.before.is_none() && change.after.is_none() {
                // An id of a kind that is not told apart.
                filed.all(out);
            }
            for document in [&change.before, &change.after].into_iter().flatten() {
                filed.meet_all(document, path, out);
            }
        }
    }
}

impl Collection {
    fn insert(&mut self, entry: EntryId, key: &Key) {
        match key {
            Key::Value(path, value) => {
                let values = &mut self.paths.entry(path.clone()).or_default().values;
                values.entry(*value).or_default().insert(entry);
            }
            Key::Range(path, span) => {
                self.paths.entry(path.clone()).or_default().ranges.insert(entry, span);
            }
        }
    }

    fn remove(&mut self, entry: EntryId, key: &Key) {
        let (Key::Value(path, _) | Key::Range(path, _)) = key;
        let Some(filed) = self.paths.get_mut(path) else { return };
        match key {
            Key::Value(_, value) => {
                if let Some(set) = filed.values.get_mut(value) {
                    set.remove(&entry);
                    if set.is_empty() {
                        filed.values.remove(value);
                    }
                }
            }
            Key::Range(_, span) => filed.ranges.remove(entry, span),
        }
        if filed.values.is_empty() && filed.ranges.is_empty() {
            self.paths.remove(path);
        }
    }
}

impl Filed {
    fn all(&self, out: &mut HashSet<EntryId>) {
        out.extend(self.values.values().flatten());
        self.ranges.all(out);
    }

    /// Adds what is filed under one value.
    fn meet(&self, value: &Scalar<'_>, out: &mut HashSet<EntryId>) {
        out.extend(self.values.get(&value.hash()).into_iter().flatten());
        if !self.ranges.is_empty()
            && let Some(point) = value.point()
        {
            self.ranges.around(&point, out);
        }
    }

    /// Adds what is filed under any of the values that a filter on `path` would look at.
    fn meet_all(&self, document: &RawDocument, path: &str, out: &mut HashSet<EntryId>) {
        let mut met = 0;
        let mut meet = |value| {
            met += 1;
            if let Some(value) = Scalar::of(value) {
                self.meet(&value, out);
            }
        };
        let _ = order::visit(document, path, |found| {
            match found {
                Found::Value(RawBsonRef::Array(array)) => array.into_iter().flatten().for_each(&mut meet),
                Found::Value(value) | Found::Indexed(value) => meet(value),
                Found::Missing | Found::Barren => {}
            }
            ControlFlow::<()>::Continue(())
        });
        if met > 1 {
            self.ranges.bounded(out);
        }
    }
}

/// Whether every value that the document had or has at `path` is in the event.
fn values_are_known(change: &ChangeEvent, path: &str) -> bool {
    match change.kind {
        ChangeKind::Drop => false,
        ChangeKind::Insert => change.after.is_some(),
        _ if path == "_id" => true,
        ChangeKind::Delete => change.before.is_some(),
        _ => {
            let untouched =
                change.touched.as_ref().is_some_and(|touched| !touched.iter().any(|t| overlaps(t, path)));
            change.after.is_some() && (change.before.is_some() || untouched)
        }
    }
}

/// Whether a change at `touched` can change the value at `path`: one leads to or through the other, whatever the
/// positions in arrays.
fn overlaps(touched: &str, path: &str) -> bool {
    let names = touched.split('.').filter(|segment| !is_position(segment));
    names.zip(path.split('.')).all(|(a, b)| a == b)
}

fn is_position(segment: &str) -> bool {
    segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn postings(read: &Read) -> Vec<Posting> {
    let posting = |key| Posting { database: read.database.clone(), collection: read.collection.clone(), key };
    match keys(&read.filter) {
        None => vec![posting(None)],
        Some(keys) => keys.into_iter().map(|key| posting(Some(key))).collect(),
    }
}
