//! What the conditions of a filter say about one field of an index: the ranges of its bytes that can hold matches.

use bson::{Bson, RawBsonRef};
use forge_core::GeoPoint;
use forge_core::ir::{Filter, Predicate};

use crate::geo;
use crate::index::{IndexKey, KeyKind};
use crate::keys::{self, class, invert, successor};
use crate::store::Span;

/// A range of the bytes of one field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes {
    /// The first key.
    pub(crate) low: Vec<u8>,
    /// Values that start with `low` are behind the range.
    pub(crate) above_low: bool,
    /// The last key.
    pub(crate) high: Vec<u8>,
    /// Values that start with `high` are behind the range.
    pub(crate) below_high: bool,
}

/// What a filter says about one field.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// The parts of the index to read.
    pub(crate) ranges: Vec<Bytes>,
    /// Every range is one value.
    pub(crate) points: bool,
    /// The conditions that these bounds fulfil, as a bit set over the first 64.
    pub(crate) fulfilled: u64,
}

impl Bounds {
    /// Whether it is one value.
    pub(crate) fn single(&self) -> bool {
        self.points && self.ranges.len() == 1
    }
}

/// What the conditions say about the field of an index.
pub(crate) fn bounds_of(key: &IndexKey, conditions: &[Filter]) -> Option<Bounds> {
    let on_field = || {
        conditions.iter().enumerate().filter_map(|(position, condition)| match condition {
            Filter::Field(path, predicate) if *path == key.path => Some((position, predicate)),
            _ => None,
        })
    };
    let mut bounds = if key.kind.is_geo() {
        return on_field().find_map(|(_, predicate)| cells(predicate));
    } else {
        let points = on_field().filter_map(|(position, predicate)| points(position, predicate, key.multikey));
        match points.min_by_key(|bounds| bounds.ranges.len()) {
            Some(points) => points,
            None => match range(on_field(), key.multikey) {
                Some(range) => range,
                None => on_field().find_map(|(_, predicate)| beginning(predicate))?,
            },
        }
    };
    if key.kind == KeyKind::Descending {
        bounds.ranges.iter_mut().for_each(Bytes::invert);
    }
    bounds.ranges.sort();
    bounds.ranges.dedup();
    Some(bounds)
}

fn bit(position: usize) -> u64 {
    if position < 64 { 1 << position } else { 0 }
}

fn points(position: usize, predicate: &Predicate, multikey: bool) -> Option<Bounds> {
    let (values, fulfilled) = match predicate {
        Predicate::Eq(value) => (std::slice::from_ref(value), bit(position)),
        Predicate::In(values) => (values.as_slice(), bit(position)),
        // The others are left to the matcher.
        Predicate::HasEvery(values) => (values.get(..1)?, 0),
        Predicate::Gte(Bson::Null) | Predicate::Lte(Bson::Null) => (&[Bson::Null] as &[Bson], bit(position)),
        _ => return None,
    };
    let usable = |value: &Bson| match value {
        Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined => false,
        // Documents without the value at all, deep in arrays, are hard to tell apart by entries.
        Bson::Null => !multikey,
        _ => true,
    };
    if !values.iter().all(usable) {
        return None;
    }
    Some(Bounds {
        ranges: values.iter().map(|value| Bytes::point(keys::encoded(value))).collect(),
        points: true,
        fulfilled,
    })
}

fn range<'f>(on_field: impl Iterator<Item = (usize, &'f Predicate)>, multikey: bool) -> Option<Bounds> {
    let mut found: Option<Bounds> = None;
    for (position, predicate) in on_field {
        let (value, low, inclusive) = match predicate {
            Predicate::Gt(value) => (value, true, false),
            Predicate::Gte(value) => (value, true, true),
            Predicate::Lt(value) => (value, false, false),
            Predicate::Lte(value) => (value, false, true),
            _ => continue,
        };
        let Some(bytes) = one_sided(value, low, inclusive) else { continue };
        match &mut found {
            None => found = Some(Bounds { ranges: vec![bytes], points: false, fulfilled: bit(position) }),
            // With arrays, different elements may fulfil the two conditions.
            Some(_) if multikey => {}
            Some(bounds) => {
                if bounds.ranges[0].intersect(bytes) {
                    bounds.fulfilled |= bit(position);
                } else {
                    return Some(Bounds { ranges: Vec::new(), points: false, fulfilled: u64::MAX });
                }
            }
        }
    }
    found
}

/// The texts that begin as a pattern demands, and stored patterns, which a pattern finds as well.
fn beginning(predicate: &Predicate) -> Option<Bounds> {
    let Predicate::Regex { pattern, options } = predicate else { return None };
    let prefix = literal_prefix(pattern).filter(|_| options.is_empty())?;
    let mut text = keys::encoded(&Bson::String(prefix));
    // Without its end: what follows is anything.
    text.truncate(text.len().saturating_sub(keys::STRING_END));
    let ranges = vec![Bytes::point(text), Bytes::point(vec![class::REGEX])];
    Some(Bounds { ranges, points: false, fulfilled: 0 })
}

/// The characters with which every match of `pattern` begins, at the beginning of the text; none where there are none.
fn literal_prefix(pattern: &str) -> Option<String> {
    let rest = pattern.strip_prefix('^')?;
    if rest.contains('|') {
        return None;
    }
    let mut prefix = String::new();
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => escaped,
                _ => break,
            },
            '.' | '[' | ']' | '(' | ')' | '{' | '}' | '*' | '+' | '?' | '$' | '^' => break,
            plain => plain,
        };
        // The character before a quantifier may not be there at all.
        if matches!(chars.peek(), Some('*' | '?' | '{')) {
            break;
        }
        prefix.push(literal);
    }
    (!prefix.is_empty()).then_some(prefix)
}

/// The values above or below `value` in its bracket.
pub(crate) fn one_sided(value: &Bson, low: bool, inclusive: bool) -> Option<Bytes> {
    let not_a_number = keys::with_raw(value, forge_core::order::as_f64).is_some_and(f64::is_nan);
    let unusable = matches!(
        value,
        Bson::Array(_)
            | Bson::RegularExpression(_)
            | Bson::Undefined
            | Bson::Null
            | Bson::MinKey
            | Bson::MaxKey
    );
    if unusable || not_a_number {
        return None;
    }
    let bytes = keys::encoded(value);
    let bracket = vec![bytes[0]];
    if low {
        return Some(Bytes { low: bytes, above_low: !inclusive, high: bracket, below_high: false });
    }
    // No number is above NaN, which comes first in its bracket.
    let (start, above_low) = if bytes[0] == class::NUMBER {
        let mut nan = Vec::new();
        keys::encode(RawBsonRef::Double(f64::NAN), &mut nan);
        (nan, true)
    } else {
        (bracket, false)
    };
    Some(Bytes { low: start, above_low, high: bytes, below_high: !inclusive })
}

fn cells(predicate: &Predicate) -> Option<Bounds> {
    let circle = |[longitude, latitude]: [f64; 2], metres| {
        Some(geo::cover(GeoPoint::new(longitude, latitude).ok()?, metres))
    };
    let cells = match predicate {
        Predicate::Near { point, max_metres: Some(metres), .. } => circle(*point, *metres)?,
        Predicate::NearOnPlane { point, max: Some(distance), .. } => geo::cover_circle(*point, *distance),
        Predicate::WithinCircle { centre, metres } => circle(*centre, *metres)?,
        Predicate::Within(area) => geo::cover_area(area)?,
        Predicate::Intersects(geometry) => geo::cover_geometry(geometry)?,
        _ => return None,
    };
    let cell = |cell: u64| [&[class::CELL], cell.to_be_bytes().as_slice()].concat();
    let spans = cells.into_iter().map(|(start, end)| Bytes {
        low: cell(start),
        above_low: false,
        high: cell(end),
        below_high: false,
    });
    // Geometries that are no points may be anywhere.
    let ranges = spans.chain([Bytes::point(vec![class::SHAPE])]).collect();
    Some(Bounds { ranges, points: false, fulfilled: 0 })
}

impl Bytes {
    fn point(bytes: Vec<u8>) -> Self {
        Self { low: bytes.clone(), above_low: false, high: bytes, below_high: false }
    }

    /// The same values in an index from large to small.
    pub(crate) fn invert(&mut self) {
        std::mem::swap(&mut self.low, &mut self.high);
        std::mem::swap(&mut self.above_low, &mut self.below_high);
        invert(&mut self.low);
        invert(&mut self.high);
    }

    /// Narrows to what is in both; false where that is nothing because the types differ.
    fn intersect(&mut self, other: Self) -> bool {
        if self.low.first() != other.low.first() {
            return false;
        }
        if (&other.low, other.above_low) > (&self.low, self.above_low) {
            (self.low, self.above_low) = (other.low, other.above_low);
        }
        // A shorter high end is a whole bracket, which is above every value in it.
        let tighter = match (other.high.len(), self.high.len()) {
            (1, _) => false,
            (_, 1) => true,
            _ => (&other.high, !other.below_high) < (&self.high, !self.below_high),
        };
        if tighter {
            (self.high, self.below_high) = (other.high, other.below_high);
        }
        true
    }
}

/// The keys below `head` in a range.
pub(crate) fn span(head: &[u8], range: &Bytes) -> Span {
    let low = [head, &range.low].concat();
    let high = [head, &range.high].concat();
    let start = if range.above_low { successor(&low).unwrap_or(low) } else { low };
    let end = if range.below_high { Some(high) } else { successor(&high) };
    Span { start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_pattern_is_known_as_far_as_it_is_literal() {
        for (pattern, prefix) in [
            ("^abc", Some("abc")),
            ("^a\\.b\\-c", Some("a.b-c")),
            ("^ab*", Some("a")),
            ("^ab?c", Some("a")),
            ("^ab{0}", Some("a")),
            ("^ab+", Some("ab")),
            ("^a.c", Some("a")),
            ("^a\\d", Some("a")),
            ("^Ü$", Some("Ü")),
            ("abc", None),
            ("^a|b", None),
            ("^(a|b)", None),
            ("^[a]", None),
            ("^", None),
            ("^*", None),
        ] {
            assert_eq!(literal_prefix(pattern).as_deref(), prefix, "{pattern}");
        }
    }
}
