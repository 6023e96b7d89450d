//! MongoDB's total order of BSON values, and the dotted paths that lead to them.
//!
//! [`compare`] orders any two values; [`type_bracket`] says which of them a range operator may compare at all.

mod expression;
mod field;
mod folding;
mod number;
mod path;
mod sort;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use bson::raw::{RawIter, cstr};
use bson::spec::{BinarySubtype, ElementType};
use bson::{RawBsonRef, RawDocumentBuf};

pub use expression::{PathValue, expression_value};
pub use field::field;
pub use folding::Folding;
use number::Number;
pub(crate) use number::{DIGITS, DecimalParts, digits};
pub use path::{Found, Values, values_at, visit};
pub(crate) use path::{array_index, split};
pub use sort::{SortValues, compare_documents, compare_sort_values, sort_value, sort_values};

/// How deep values are compared one by one. Deeper parts, which no driver sends, compare by their bytes: still a total
/// order, and a hostile document cannot exhaust the stack.
const MAX_DEPTH: u32 = 200;

/// MongoDB's comparison order, which is total: values of different brackets by their [`type_bracket`], numbers by
/// value whatever their type (NaN first, equal to itself), strings by bytes, documents and arrays element by element.
///
/// `Undefined` is just below null: it stands for an empty array in sort keys.
pub fn compare(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> Ordering {
    compare_at(a, b, 0)
}

/// The place of a value's type in the comparison order. Range operators only compare within one bracket: all numbers
/// share one, so do strings and symbols.
pub fn type_bracket(value: RawBsonRef<'_>) -> u8 {
    bracket_of(value.element_type())
}

fn bracket_of(element_type: ElementType) -> u8 {
    match element_type {
        ElementType::MinKey => 0,
        ElementType::Undefined => 1,
        ElementType::Null => 2,
        ElementType::Int32 | ElementType::Int64 | ElementType::Double | ElementType::Decimal128 => 3,
        ElementType::String | ElementType::Symbol => 4,
        ElementType::EmbeddedDocument => 5,
        ElementType::Array => 6,
        ElementType::Binary => 7,
        ElementType::ObjectId => 8,
        ElementType::Boolean => 9,
        ElementType::DateTime => 10,
        ElementType::Timestamp => 11,
        ElementType::RegularExpression => 12,
        ElementType::DbPointer => 13,
        ElementType::JavaScriptCode => 14,
        ElementType::JavaScriptCodeWithScope => 15,
        ElementType::MaxKey => 16,
    }
}

fn compare_at(a: RawBsonRef<'_>, b: RawBsonRef<'_>, depth: u32) -> Ordering {
    use RawBsonRef as V;
    match (a, b) {
        (V::String(a) | V::Symbol(a), V::String(b) | V::Symbol(b)) => a.as_bytes().cmp(b.as_bytes()),
        (V::ObjectId(a), V::ObjectId(b)) => a.bytes().cmp(&b.bytes()),
        (V::Boolean(a), V::Boolean(b)) => a.cmp(&b),
        (V::DateTime(a), V::DateTime(b)) => a.timestamp_millis().cmp(&b.timestamp_millis()),
        (V::Document(a), V::Document(b)) if depth >= MAX_DEPTH => a.as_bytes().cmp(b.as_bytes()),
        (V::Array(a), V::Array(b)) if depth >= MAX_DEPTH => a.as_bytes().cmp(b.as_bytes()),
        (V::Document(a), V::Document(b)) => {
            compare_elements(a.iter_elements(), b.iter_elements(), Keys::Count, depth)
        }
        (V::Array(a), V::Array(b)) => {
            compare_elements(a.iter_elements(), b.iter_elements(), Keys::AreIndexes, depth)
        }
        (V::Binary(a), V::Binary(b)) => (a.bytes.len().cmp(&b.bytes.len()))
            .then_with(|| subtype(a.subtype).cmp(&subtype(b.subtype)))
            .then_with(|| a.bytes.cmp(b.bytes)),
        (V::Timestamp(a), V::Timestamp(b)) => (a.time, a.increment).cmp(&(b.time, b.increment)),
        (V::RegularExpression(a), V::RegularExpression(b)) => {
            (a.pattern.as_str(), a.options.as_str()).cmp(&(b.pattern.as_str(), b.options.as_str()))
        }
        (V::JavaScriptCode(a), V::JavaScriptCode(b)) => a.cmp(b),
        (V::JavaScriptCodeWithScope(a), V::JavaScriptCodeWithScope(b)) => (a.code.cmp(b.code))
            .then_with(|| compare_at(V::Document(a.scope), V::Document(b.scope), depth + 1)),
        (V::DbPointer(_), V::DbPointer(_)) => encoded(a).as_bytes().cmp(encoded(b).as_bytes()),
        _ => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.compare(b),
            _ => type_bracket(a).cmp(&type_bracket(b)),
        },
    }
}

fn subtype(subtype: BinarySubtype) -> u8 {
    subtype.into()
}

/// A document that holds only `value`, for a deprecated type whose parts cannot be read otherwise.
fn encoded(value: RawBsonRef<'_>) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!(""), value);
    document
}

/// What the keys of two sequences of elements mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// They belong to the value.
    Count,
    /// They number the elements of an array.
    AreIndexes,
}

/// Pairwise by type, then key, then value; a prefix comes first.
fn compare_elements(mut left: RawIter<'_>, mut right: RawIter<'_>, keys: Keys, depth: u32) -> Ordering {
    loop {
        // A malformed rest counts as the end.
        let (x, y) = match (left.next(), right.next()) {
            (Some(Ok(x)), Some(Ok(y))) => (x, y),
            (x, y) => return matches!(x, Some(Ok(_))).cmp(&matches!(y, Some(Ok(_)))),
        };
        let by_type = bracket_of(x.element_type()).cmp(&bracket_of(y.element_type()));
        let by_key = || match keys {
            Keys::Count => x.key().as_str().cmp(y.key().as_str()),
            Keys::AreIndexes => Ordering::Equal,
        };
        let by_value = || match (x.value(), y.value()) {
            (Ok(x), Ok(y)) => compare_at(x, y, depth + 1),
            (x, y) => x.is_ok().cmp(&y.is_ok()),
        };
        match by_type.then_with(by_key).then_with(by_value) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
}

/// Whether two values are equal in the comparison order: `1` and `1.0` are.
pub fn equal(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> bool {
    compare(a, b) == Ordering::Equal
}

/// The nearest double of a number; none for other types. For arithmetic, not for comparison.
pub fn as_f64(value: RawBsonRef<'_>) -> Option<f64> {
    Number::of(value).map(Number::to_f64)
}
