//! Which live queries a change could touch, without asking each of them.
//!
//! A read that fixes a path to values (`state == "TX"`, `_id in […]`) is filed under those values; every other read of
//! the collection is filed as broad. A change costs its collection's broad reads and those filed under a value that the
//! document has or had.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::{Bson, RawBsonRef, RawDocument};
use forge_core::adapter::{ChangeEvent, ChangeKind, Read};
use forge_core::ir::{Filter, Predicate};

/// Reads with more values than this are filed as broad.
const MAX_VALUES: usize = 1_000;

/// The name of a live query inside the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(pub(crate) u64);

type Place = (Arc<str>, Cow<'static, str>);

/// Where a read is filed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Posting {
    place: Place,
    value: Option<(Cow<'static, str>, u64)>,
}

/// Live queries by what they read.
#[derive(Debug, Default)]
pub(crate) struct ReadIndex(HashMap<Arc<str>, HashMap<Cow<'static, str>, Collection>>);

#[derive(Debug, Default)]
struct Collection {
    broad: HashSet<EntryId>,
    paths: HashMap<Cow<'static, str>, HashMap<u64, HashSet<EntryId>>>,
}

impl ReadIndex {
    /// Files `entry` under `reads`; the postings are what [`ReadIndex::remove`] takes.
    pub(crate) fn insert(&mut self, entry: EntryId, reads: &[Read]) -> HashSet<Posting> {
        let postings: HashSet<Posting> = reads.iter().flat_map(postings).collect();
        for posting in &postings {
            let (database, collection) = posting.place.clone();
            let place = self.0.entry(database).or_default().entry(collection).or_default();
            let set = match posting.value.clone() {
                None => &mut place.broad,
                Some((path, value)) => place.paths.entry(path).or_default().entry(value).or_default(),
            };
            set.insert(entry);
        }
        postings
    }

    /// Forgets `entry` where it was filed.
    pub(crate) fn remove(&mut self, entry: EntryId, postings: &HashSet<Posting>) {
        for Posting { place: (database, collection), value } in postings {
            let Some(collections) = self.0.get_mut(database) else { continue };
            let Some(place) = collections.get_mut(collection) else { continue };
            match value {
                None => drop(place.broad.remove(&entry)),
                Some((path, value)) => place.remove(entry, path, *value),
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
        for (path, values) in &place.paths {
            if !values_are_known(change, path) {
                out.extend(values.values().flatten());
                continue;
            }
            let mut hit = |hash: u64| out.extend(values.get(&hash).into_iter().flatten());
            if path == "_id" {
                hash_bson(&change.id).into_iter().for_each(&mut hit);
            }
            for document in [&change.before, &change.after].into_iter().flatten() {
                visit(document, path, &mut hit);
            }
        }
    }
}

impl Collection {
    fn remove(&mut self, entry: EntryId, path: &str, value: u64) {
        let Some(values) = self.paths.get_mut(path) else { return };
        if let Some(set) = values.get_mut(&value) {
            set.remove(&entry);
            if set.is_empty() {
                values.remove(&value);
            }
        }
        if values.is_empty() {
            self.paths.remove(path);
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
    let place = (read.database.clone(), read.collection.clone());
    let Some((path, values)) = fixed(&read.filter) else { return vec![Posting { place, value: None }] };
    values
        .into_iter()
        .map(|value| Posting { place: place.clone(), value: Some((path.clone(), value)) })
        .collect()
}

/// The narrowest path that the filter fixes, and the hashes of its values.
fn fixed(filter: &Filter) -> Option<(Cow<'static, str>, Vec<u64>)> {
    match filter {
        Filter::Nothing => Some((Cow::Borrowed("_id"), Vec::new())),
        Filter::And(list) => list.iter().filter_map(fixed).min_by_key(|(_, values)| values.len()),
        Filter::Field(path, _) if has_position(path) => None,
        Filter::Field(path, Predicate::Eq(value)) => Some((path.clone(), vec![hash_bson(value)?])),
        Filter::Field(path, Predicate::In(values)) if values.len() <= MAX_VALUES => {
            Some((path.clone(), values.iter().map(hash_bson).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

/// Whether a segment of the path may mean the position in an array.
fn has_position(path: &str) -> bool {
    path.split('.').any(is_position)
}

/// Calls `hit` with the hash of every value that a filter on `path` would look at, the elements of arrays included.
fn visit(document: &RawDocument, path: &str, hit: &mut impl FnMut(u64)) {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let Ok(Some(value)) = document.get(head) else { return };
    match (value, rest) {
        (RawBsonRef::Array(array), None) => {
            array.into_iter().flatten().filter_map(hash_raw).for_each(hit);
        }
        (value, None) => hash_raw(value).into_iter().for_each(hit),
        (RawBsonRef::Document(inner), Some(rest)) => visit(inner, rest, hit),
        (RawBsonRef::Array(array), Some(rest)) => {
            for element in array.into_iter().flatten() {
                if let RawBsonRef::Document(inner) = element {
                    visit(inner, rest, hit);
                }
            }
        }
        _ => {}
    }
}

/// A hash under which equal scalars meet, whatever their number type. None for values that equality treats otherwise
/// (null, which also means "absent"; documents; arrays).
fn hash_bson(value: &Bson) -> Option<u64> {
    Some(match value {
        Bson::String(text) => hash(1, text.as_bytes()),
        Bson::ObjectId(id) => hash(2, &id.bytes()),
        Bson::Int32(number) => hash_number(f64::from(*number)),
        Bson::Int64(number) => hash_number(*number as f64),
        Bson::Double(number) => hash_number(*number),
        Bson::Decimal128(number) => hash_number(number.to_string().parse().ok()?),
        Bson::Boolean(flag) => hash(4, &[u8::from(*flag)]),
        Bson::DateTime(time) => hash(5, &time.timestamp_millis().to_le_bytes()),
        Bson::Binary(binary) => hash(6, &binary.bytes),
        _ => return None,
    })
}

fn hash_raw(value: RawBsonRef<'_>) -> Option<u64> {
    Some(match value {
        RawBsonRef::String(text) => hash(1, text.as_bytes()),
        RawBsonRef::ObjectId(id) => hash(2, &id.bytes()),
        RawBsonRef::Int32(number) => hash_number(f64::from(number)),
        RawBsonRef::Int64(number) => hash_number(number as f64),
        RawBsonRef::Double(number) => hash_number(number),
        RawBsonRef::Decimal128(number) => hash_number(number.to_string().parse().ok()?),
        RawBsonRef::Boolean(flag) => hash(4, &[u8::from(flag)]),
        RawBsonRef::DateTime(time) => hash(5, &time.timestamp_millis().to_le_bytes()),
        RawBsonRef::Binary(binary) => hash(6, binary.bytes),
        _ => return None,
    })
}

/// Large integers may share a hash with their neighbours: the matcher tells them apart.
fn hash_number(number: f64) -> u64 {
    let number = if number == 0.0 {
        0.0
    } else if number.is_nan() {
        f64::NAN
    } else {
        number
    };
    hash(3, &number.to_le_bytes())
}

fn hash(kind: u8, bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(kind);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, doc, rawdoc};

    fn read(filter: Filter) -> Read {
        Read { database: "db".into(), collection: "flights".into(), filter }
    }

    fn change(
        kind: ChangeKind,
        before: Option<RawDocumentBuf>,
        after: Option<RawDocumentBuf>,
    ) -> ChangeEvent {
        ChangeEvent {
            collection: "flights".into(),
            kind,
            id: Bson::Int32(1),
            before,
            after,
            touched: None,
            updated: None,
        }
    }

    fn index(filters: &[Filter]) -> ReadIndex {
        let mut index = ReadIndex::default();
        for (i, filter) in filters.iter().enumerate() {
            index.insert(EntryId(i as u64), &[read(filter.clone())]);
        }
        index
    }

    fn hits(index: &ReadIndex, change: &ChangeEvent) -> Vec<u64> {
        let mut out = HashSet::new();
        index.candidates("db", change, &mut out);
        let mut out: Vec<_> = out.into_iter().map(|EntryId(id)| id).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn a_change_finds_the_values_it_left_and_the_ones_it_came_to() {
        let index = index(&[
            Filter::eq("state", "TX"),
            Filter::eq("state", "NM"),
            Filter::eq("state", "CA"),
            Filter::All,
        ]);
        let moved =
            change(ChangeKind::Update, Some(rawdoc! { "state": "TX" }), Some(rawdoc! { "state": "NM" }));
        assert_eq!(hits(&index, &moved), [0, 1, 3]);
    }

    #[test]
    fn without_the_old_state_a_touched_path_finds_everything_filed_under_it() {
        let index = index(&[Filter::eq("state", "TX"), Filter::eq("state", "NM")]);
        let mut moved = change(ChangeKind::Update, None, Some(rawdoc! { "state": "NM" }));
        assert_eq!(hits(&index, &moved), [0, 1]);
        moved.touched = Some(vec!["delay".into()]);
        assert_eq!(hits(&index, &moved), [1]);
        moved.touched = Some(vec!["state".into()]);
        assert_eq!(hits(&index, &moved), [0, 1]);
        moved.touched = Some(vec!["state.0.name".into()]);
        assert_eq!(hits(&index, &moved), [0, 1]);
        assert_eq!(hits(&index, &change(ChangeKind::Delete, None, None)), [0, 1]);
    }

    #[test]
    fn ids_are_known_even_when_documents_are_not() {
        let index = index(&[Filter::eq("_id", 1), Filter::eq("_id", 2_i64)]);
        assert_eq!(hits(&index, &change(ChangeKind::Delete, None, None)), [0]);
    }

    #[test]
    fn numbers_meet_across_types_and_arrays_by_their_elements() {
        let filter = Filter::Field("legs.km".into(), Predicate::In(vec![Bson::Double(5.0), Bson::Int64(9)]));
        let index = index(&[filter, Filter::eq("tags", "x")]);
        let insert = rawdoc! { "legs": [{ "km": 1 }, { "km": [5] }], "tags": ["y", "x"] };
        assert_eq!(hits(&index, &change(ChangeKind::Insert, None, Some(insert))), [0, 1]);
        let other = rawdoc! { "legs": [{ "km": 1 }], "tags": ["y"] };
        assert_eq!(hits(&index, &change(ChangeKind::Insert, None, Some(other))), Vec::<u64>::new());
    }

    #[test]
    fn positions_in_arrays_are_broad() {
        let index = index(&[Filter::eq("legs.0.km", 5)]);
        assert_eq!(
            hits(&index, &change(ChangeKind::Insert, None, Some(rawdoc! { "legs": [{ "km": 5 }] }))),
            [0]
        );
    }

    #[test]
    fn null_and_documents_are_broad() {
        let index = index(&[Filter::eq("state", Bson::Null), Filter::eq("at", doc! { "x": 1 })]);
        assert_eq!(hits(&index, &change(ChangeKind::Insert, None, Some(rawdoc! {}))), [0, 1]);
    }

    #[test]
    fn removal_leaves_nothing_behind() {
        let mut index = ReadIndex::default();
        let reads = [read(Filter::eq("state", "TX")), read(Filter::All), read(Filter::eq("state", "TX"))];
        let postings = index.insert(EntryId(7), &reads);
        index.remove(EntryId(7), &postings);
        assert!(index.0.is_empty());
    }
}
