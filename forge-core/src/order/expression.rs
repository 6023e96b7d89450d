//! The value of a field path in an aggregation expression: `"$legs.distance"`.

use bson::{RawArray, RawArrayBuf, RawBsonRef, RawDocument};

use super::field;
use super::path::split;

/// What an expression sees at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathValue<'a> {
    /// A value as it is stored.
    Stored(RawBsonRef<'a>),
    /// The values in the documents of an array on the way.
    Collected(RawArrayBuf),
}

impl PathValue<'_> {
    /// The value.
    pub fn as_ref(&self) -> RawBsonRef<'_> {
        match self {
            PathValue::Stored(value) => *value,
            PathValue::Collected(array) => RawBsonRef::Array(array),
        }
    }
}

/// The value of the expression `"$path"`; none where the field is missing. Unlike in filters an array is one value,
/// an array on the way gives the array of what its documents hold, and a number in the path is a name.
pub fn expression_value<'a>(document: &'a RawDocument, path: &str) -> Option<PathValue<'a>> {
    let (head, rest) = split(path);
    let value = field(document, head)?;
    let Some(rest) = rest else { return Some(PathValue::Stored(value)) };
    match value {
        RawBsonRef::Document(inner) => expression_value(inner, rest),
        RawBsonRef::Array(array) => Some(PathValue::Collected(collect(array, rest))),
        _ => None,
    }
}

fn collect(array: &RawArray, path: &str) -> RawArrayBuf {
    let mut out = RawArrayBuf::new();
    for element in array.into_iter().flatten() {
        match element {
            RawBsonRef::Document(inner) => match expression_value(inner, path) {
                Some(PathValue::Stored(value)) => out.push(value),
                Some(PathValue::Collected(values)) => out.push(values),
                None => {}
            },
            RawBsonRef::Array(inner) => out.push(collect(inner, path)),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawBson, rawbson, rawdoc};

    #[test]
    fn arrays_on_the_way_give_arrays() {
        let document =
            rawdoc! { "a": { "b": 1 }, "legs": [{ "d": 1 }, 5, {}, { "d": [2] }, [{ "d": 3 }]], "s": 1 };
        let at = |path: &str| expression_value(&document, path).map(|value| RawBson::from(value.as_ref()));
        assert_eq!(at("a.b"), Some(rawbson!(1)));
        assert_eq!(at("legs.d"), Some(rawbson!([1, [2], [3]])));
        assert_eq!(at("legs.0"), Some(rawbson!([[]])));
        assert_eq!((at("s.x"), at("none")), (None, None));
    }
}
