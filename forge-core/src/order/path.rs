//! Dotted paths through documents and arrays: one traversal for sorting, indexes and matching.

use std::ops::ControlFlow;

use bson::{RawArray, RawBsonRef, RawDocument};
use smallvec::{SmallVec, smallvec};

use super::field;

/// The values at a path, as an index on it holds them.
pub type Values<'a> = SmallVec<[RawBsonRef<'a>; 2]>;

/// What a path leads to in one branch of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'a> {
    /// A value, not yet expanded where it is an array.
    Value(RawBsonRef<'a>),
    /// An element that the last component of the path picked by its index. It is never expanded.
    Indexed(RawBsonRef<'a>),
    /// A document without the field, or a scalar where the path goes on.
    Missing,
    /// An array on the way whose element is no document (or which has no element at all): a filter sees nothing here,
    /// an index holds null.
    Barren,
}

/// How arrays on the way are read where a number could be an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// As filters do: every document in the array is asked for the number as a key, and the element at the index is
    /// looked into as well.
    Filter,
    /// As index keys are made: the element at the index, where the array has it, stands for the whole array.
    Keys,
}

/// Calls `visit` with everything that a filter sees at `path`, in document order, until it breaks.
///
/// The rules are MongoDB's. Documents are entered by name. An array on the way is entered once: into the documents
/// that it holds, and, where the next component is a number, into the element at that index. Arrays directly inside
/// arrays are entered by index only.
pub fn visit<'a, B>(
    document: &'a RawDocument,
    path: &str,
    mut visit: impl FnMut(Found<'a>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    in_document(document, path, Reading::Filter, &mut visit)
}

/// The values of `document` at `path`, as an index holds them: arrays at the end are expanded once, a missing field is
/// null, an empty array at the end is `Undefined` (which sorts just below null). Never empty; may repeat values.
pub fn values_at<'a>(document: &'a RawDocument, path: &str) -> Values<'a> {
    let mut values = Values::new();
    let _ = visit_keys(document, path, |value| {
        values.push(value);
        ControlFlow::<()>::Continue(())
    });
    if values.is_empty() { smallvec![RawBsonRef::Null] } else { values }
}

/// Calls `visit` with each of [`values_at`], without collecting them.
pub(super) fn visit_keys<'a, B>(
    document: &'a RawDocument,
    path: &str,
    mut visit: impl FnMut(RawBsonRef<'a>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    in_document(document, path, Reading::Keys, &mut |found| match found {
        Found::Missing | Found::Barren => visit(RawBsonRef::Null),
        Found::Value(RawBsonRef::Array(array)) | Found::Indexed(RawBsonRef::Array(array)) => {
            let mut empty = true;
            for element in array.into_iter().flatten() {
                empty = false;
                visit(element)?;
            }
            if empty { visit(RawBsonRef::Undefined) } else { ControlFlow::Continue(()) }
        }
        Found::Value(value) | Found::Indexed(value) => visit(value),
    })
}

type Visitor<'v, 'a, B> = dyn FnMut(Found<'a>) -> ControlFlow<B> + 'v;

fn in_document<'a, B>(
    mut document: &'a RawDocument,
    mut path: &str,
    reading: Reading,
    visit: &mut Visitor<'_, 'a, B>,
) -> ControlFlow<B> {
    loop {
        let (head, rest) = split(path);
        // A malformed value cannot be compared with anything; it reads as missing.
        let Some(value) = field(document, head) else { return visit(Found::Missing) };
        let Some(rest) = rest else { return visit(Found::Value(value)) };
        match value {
            RawBsonRef::Document(inner) => (document, path) = (inner, rest),
            RawBsonRef::Array(array) => return in_array(array, rest, reading, visit),
            _ => return visit(Found::Missing),
        }
    }
}

/// `path` is what is left of the path at `array`, at least one component.
fn in_array<'a, B>(
    array: &'a RawArray,
    path: &str,
    reading: Reading,
    visit: &mut Visitor<'_, 'a, B>,
) -> ControlFlow<B> {
    let (head, rest) = split(path);
    let index = array_index(head);
    let picked = index.filter(|_| reading == Reading::Keys).and_then(|index| array.get(index).ok().flatten());
    if let Some(element) = picked {
        return at_index(element, rest, reading, visit);
    }
    let mut empty = true;
    for (i, element) in array.into_iter().flatten().enumerate() {
        empty = false;
        match element {
            RawBsonRef::Document(inner) => in_document(inner, path, reading, visit)?,
            _ if index == Some(i) => {}
            _ => visit(Found::Barren)?,
        }
        if index == Some(i) {
            at_index(element, rest, reading, visit)?;
        }
    }
    if empty { visit(Found::Barren) } else { ControlFlow::Continue(()) }
}

fn at_index<'a, B>(
    element: RawBsonRef<'a>,
    rest: Option<&str>,
    reading: Reading,
    visit: &mut Visitor<'_, 'a, B>,
) -> ControlFlow<B> {
    match (rest, element) {
        (None, element) => visit(Found::Indexed(element)),
        (Some(rest), RawBsonRef::Document(inner)) => in_document(inner, rest, reading, visit),
        (Some(rest), RawBsonRef::Array(inner)) => in_array(inner, rest, reading, visit),
        (Some(_), _) => visit(Found::Barren),
    }
}

pub(crate) fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)))
}

/// The index that a component names: decimal digits without leading zeros, as arrays number their elements.
pub(crate) fn array_index(component: &str) -> Option<usize> {
    let digits = component.as_bytes();
    let canonical = digits.first().is_some_and(|first| *first != b'0' || digits.len() == 1);
    if canonical && digits.iter().all(u8::is_ascii_digit) { component.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn found(document: &RawDocument, path: &str) -> Vec<String> {
        let mut out = Vec::new();
        let _ = visit(document, path, |found| {
            out.push(match found {
                Found::Value(RawBsonRef::Int32(n)) => n.to_string(),
                Found::Indexed(RawBsonRef::Int32(n)) => format!("#{n}"),
                Found::Value(value) => format!("{:?}", value.element_type()),
                Found::Indexed(value) => format!("#{:?}", value.element_type()),
                Found::Missing => "missing".into(),
                Found::Barren => "barren".into(),
            });
            ControlFlow::<()>::Continue(())
        });
        out
    }

    #[test]
    fn filters_see_what_mongodb_sees_at_a_path() {
        let cases = [
            (rawdoc! { "a": { "b": 1 } }, "a.b", vec!["1"]),
            (rawdoc! {}, "a.b", vec!["missing"]),
            (rawdoc! { "a": 5 }, "a.b", vec!["missing"]),
            (rawdoc! { "a": { "b": { "c": 1 } } }, "a.b", vec!["EmbeddedDocument"]),
            (
                rawdoc! { "a": [{ "b": 1 }, { "c": 2 }, 3, [{ "b": 4 }]] },
                "a.b",
                vec!["1", "missing", "barren", "barren"],
            ),
            (rawdoc! { "a": [] }, "a.b", vec!["barren"]),
            (rawdoc! { "a": [] }, "a", vec!["Array"]),
            (rawdoc! { "a": [5, 7] }, "a.1", vec!["barren", "#7"]),
            (rawdoc! { "a": [5, [2, 4]] }, "a.1", vec!["barren", "#Array"]),
            (rawdoc! { "a": [5, { "1": 4 }] }, "a.1", vec!["barren", "4", "#EmbeddedDocument"]),
            (rawdoc! { "a": [5, { "b": 4 }] }, "a.1.b", vec!["barren", "missing", "4"]),
            (rawdoc! { "a": [5, [{ "b": 4 }]] }, "a.1.b", vec!["barren", "4"]),
            (rawdoc! { "a": { "1": 6 } }, "a.1", vec!["6"]),
            (rawdoc! { "a": [5, 7] }, "a.01", vec!["barren", "barren"]),
        ];
        for (document, path, expected) in cases {
            assert_eq!(found(&document, path), expected, "{path} in {document:?}");
        }
    }

    #[test]
    fn keys_hold_null_for_what_is_missing_and_undefined_for_empty_arrays() {
        use RawBsonRef::{Int32, Null, Undefined};
        let cases = [
            (rawdoc! {}, "a", vec![Null]),
            (rawdoc! { "a": [] }, "a", vec![Undefined]),
            (rawdoc! { "a": [] }, "a.b", vec![Null]),
            (rawdoc! { "a": [3, 1] }, "a", vec![Int32(3), Int32(1)]),
            (rawdoc! { "a": [{ "b": [1, 2] }, { "c": 0 }, 7] }, "a.b", vec![Int32(1), Int32(2), Null, Null]),
            (rawdoc! { "a": [5, 7] }, "a.1", vec![Int32(7)]),
            (rawdoc! { "a": [5, { "b": 9 }] }, "a.1.b", vec![Int32(9)]),
        ];
        for (document, path, expected) in cases {
            assert_eq!(values_at(&document, path).to_vec(), expected, "{path} in {document:?}");
        }
    }
}
