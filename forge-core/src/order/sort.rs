//! Sort keys of documents, with MongoDB's rules for arrays.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bson::{RawArray, RawBsonRef, RawDocument};
use smallvec::{SmallVec, smallvec};

use super::{compare, path};
use crate::ir::SortKey;

/// What stands for a document in a sort: one value for each sort key.
pub type SortValues<'a> = SmallVec<[RawBsonRef<'a>; 4]>;

/// Which of two documents comes first under `sort`. Equal keys leave them equal.
///
/// To sort many documents, make their [`sort_values`] once and compare those.
pub fn compare_documents(sort: &[SortKey], a: &RawDocument, b: &RawDocument) -> Ordering {
    compare_sort_values(sort, &sort_values(sort, a), &sort_values(sort, b))
}

/// Compares what [`sort_values`] made of two documents.
pub fn compare_sort_values(sort: &[SortKey], a: &[RawBsonRef<'_>], b: &[RawBsonRef<'_>]) -> Ordering {
    for (key, (&a, &b)) in sort.iter().zip(a.iter().zip(b)) {
        let order = compare(a, b);
        if order != Ordering::Equal {
            return if key.descending { order.reverse() } else { order };
        }
    }
    Ordering::Equal
}

/// The values that stand for `document` in a sort.
///
/// A missing field is null; an empty array is `Undefined`, just below null. Of the elements of an array the smallest
/// counts, of a descending key the largest. Keys that lead through the same array take their values from the same
/// element: the one that puts the document first. Keys with arrays of their own, which a server refuses, choose
/// independently.
pub fn sort_values<'a>(sort: &[SortKey], document: &'a RawDocument) -> SortValues<'a> {
    if !may_share_arrays(sort) {
        return sort.iter().map(|key| sort_value(key, document)).collect();
    }
    let places = sort.iter().map(|key| Place::At(document, &key.path).resolve()).collect();
    first(sort, places)
}

/// The value that stands for `document` in a sort on one key.
pub fn sort_value<'a>(key: &SortKey, document: &'a RawDocument) -> RawBsonRef<'a> {
    let wanted = if key.descending { Ordering::Greater } else { Ordering::Less };
    let mut best = None;
    let _ = path::visit_keys(document, &key.path, |value| {
        if best.is_none_or(|best| compare(value, best) == wanted) {
            best = Some(value);
        }
        ControlFlow::<()>::Continue(())
    });
    best.unwrap_or(RawBsonRef::Null)
}

fn may_share_arrays(sort: &[SortKey]) -> bool {
    let head = |key: &SortKey| path::split(&key.path).0.len();
    sort.iter().enumerate().any(|(i, a)| sort[..i].iter().any(|b| a.path[..head(a)] == b.path[..head(b)]))
}

/// How far one key has been followed into a document.
#[derive(Clone, Copy)]
enum Place<'a, 'p> {
    /// To its value.
    Value(RawBsonRef<'a>),
    /// To a document, with this path still to go.
    At(&'a RawDocument, &'p str),
    /// To an array, with this path still to go in its elements.
    Array(&'a RawArray, Option<&'p str>),
}

impl<'a, 'p> Place<'a, 'p> {
    /// Follows the path to its value or to the next array.
    fn resolve(self) -> Self {
        let (mut value, mut rest) = match self {
            Place::At(document, path) => (RawBsonRef::Document(document), Some(path)),
            resolved => return resolved,
        };
        loop {
            let Some(path) = rest else {
                return match value {
                    RawBsonRef::Array(array) => Place::Array(array, None),
                    value => Place::Value(value),
                };
            };
            let (head, tail) = path::split(path);
            let next = match value {
                RawBsonRef::Document(document) => document.get(head),
                RawBsonRef::Array(array) => match path::array_index(head).map(|index| array.get(index)) {
                    Some(Ok(Some(element))) => Ok(Some(element)),
                    _ => return Place::Array(array, rest),
                },
                _ => Ok(None),
            };
            let Ok(Some(next)) = next else { return Place::Value(RawBsonRef::Null) };
            (value, rest) = (next, tail);
        }
    }

    /// Whether the key has come to this very array.
    fn is_in(&self, array: &RawArray) -> bool {
        matches!(self, Place::Array(own, _) if std::ptr::eq(own.as_bytes(), array.as_bytes()))
    }

    /// The key in one element of its array; in none where the array is empty.
    fn enter(self, element: Option<RawBsonRef<'a>>) -> Self {
        let Place::Array(_, rest) = self else { return self };
        match (rest, element) {
            (None, Some(element)) => Place::Value(element),
            (None, None) => Place::Value(RawBsonRef::Undefined),
            (Some(path), Some(RawBsonRef::Document(document))) => Place::At(document, path).resolve(),
            (Some(_), _) => Place::Value(RawBsonRef::Null),
        }
    }
}

type Places<'a, 'p> = SmallVec<[Place<'a, 'p>; 4]>;

/// The values of all keys that come first, over the elements of the arrays that the keys have come to.
fn first<'a, 'p>(sort: &[SortKey], mut places: Places<'a, 'p>) -> SortValues<'a> {
    let array = places.iter().find_map(|place| match place {
        Place::Array(array, _) => Some(*array),
        _ => None,
    });
    let Some(array) = array else {
        let value =
            |place: &Place<'a, '_>| if let Place::Value(value) = place { *value } else { RawBsonRef::Null };
        return places.iter().map(value).collect();
    };
    // Arrays beside this one would multiply with it.
    for (key, place) in sort.iter().zip(&mut places) {
        if matches!(place, Place::Array(..)) && !place.is_in(array) {
            *place = Place::Value(first(std::slice::from_ref(key), smallvec![*place])[0]);
        }
    }
    let mut best: Option<SortValues<'a>> = None;
    for element in array.into_iter().flatten() {
        let values = first(sort, entered(&places, array, Some(element)));
        if best.as_ref().is_none_or(|best| compare_sort_values(sort, &values, best) == Ordering::Less) {
            best = Some(values);
        }
    }
    best.unwrap_or_else(|| first(sort, entered(&places, array, None)))
}

/// The places with every key that has come to `array` moved on into one of its elements.
fn entered<'a, 'p>(
    places: &[Place<'a, 'p>],
    array: &RawArray,
    element: Option<RawBsonRef<'a>>,
) -> Places<'a, 'p> {
    places.iter().map(|place| if place.is_in(array) { place.enter(element) } else { *place }).collect()
}
