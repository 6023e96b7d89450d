//! Values that an index can tell apart: what equals meets in one hash, what is larger comes later.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hasher as _};

use bson::oid::ObjectId;
use bson::{Bson, RawBsonRef};

/// A scalar, without the differences that comparisons pass over: all numbers are of one kind, so are strings and
/// symbols. Large integers may fall together with their neighbours, never change places with them.
#[derive(Debug, Clone)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Id(ObjectId),
    Number(f64),
    Flag(bool),
    Time(i64),
    Bytes(&'a [u8]),
}

impl<'a> Scalar<'a> {
    /// None for values that equality treats otherwise: null, which also means "absent"; documents; arrays.
    pub(super) fn of(value: RawBsonRef<'a>) -> Option<Self> {
        Some(match value {
            RawBsonRef::String(text) | RawBsonRef::Symbol(text) => Self::Text(text),
            RawBsonRef::ObjectId(id) => Self::Id(id),
            RawBsonRef::Int32(number) => Self::Number(f64::from(number)),
            RawBsonRef::Int64(number) => Self::Number(number as f64),
            RawBsonRef::Double(number) => Self::number(number),
            RawBsonRef::Decimal128(number) => Self::number(number.to_string().parse().ok()?),
            RawBsonRef::Boolean(flag) => Self::Flag(flag),
            RawBsonRef::DateTime(time) => Self::Time(time.timestamp_millis()),
            RawBsonRef::Binary(binary) => Self::Bytes(binary.bytes),
            _ => return None,
        })
    }

    /// As [`Scalar::of`], of what a filter holds.
    pub(super) fn of_operand(value: &'a Bson) -> Option<Self> {
        Some(match value {
            Bson::String(text) | Bson::Symbol(text) => Self::Text(text),
            Bson::ObjectId(id) => Self::Id(*id),
            Bson::Int32(number) => Self::Number(f64::from(*number)),
            Bson::Int64(number) => Self::Number(*number as f64),
            Bson::Double(number) => Self::number(*number),
            Bson::Decimal128(number) => Self::number(number.to_string().parse().ok()?),
            Bson::Boolean(flag) => Self::Flag(*flag),
            Bson::DateTime(time) => Self::Time(time.timestamp_millis()),
            Bson::Binary(binary) => Self::Bytes(&binary.bytes),
            _ => return None,
        })
    }

    /// One zero, one NaN.
    pub(super) fn number(number: f64) -> Self {
        Self::Number(if number.is_nan() { f64::NAN } else { number + 0.0 })
    }

    /// A hash in which equal scalars meet.
    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let (kind, bytes): (u8, &[u8]) = match self {
            Self::Text(text) => (1, text.as_bytes()),
            Self::Id(id) => (2, &id.bytes()),
            Self::Number(number) => (3, &number.to_le_bytes()),
            Self::Flag(flag) => (4, &[u8::from(*flag)]),
            Self::Time(time) => (5, &time.to_le_bytes()),
            Self::Bytes(bytes) => (6, bytes),
        };
        hasher.write_u8(kind);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Its place in a range; none where ranges are not worth an index, or order otherwise.
    pub(super) fn point(&self) -> Option<Point> {
        Some(match self {
            Self::Text(text) => Point::Text((*text).into()),
            Self::Id(id) => Point::Id(id.bytes()),
            Self::Number(number) if number.is_nan() => return None,
            Self::Number(number) => Point::Number(Real(*number)),
            Self::Time(time) => Point::Time(Real(*time as f64)),
            Self::Flag(_) | Self::Bytes(_) => return None,
        })
    }
}

/// A place in the order of values. Values of one kind are compared, others are apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Point {
    Text(Box<str>),
    Id([u8; 12]),
    Number(Real),
    Time(Real),
}

impl Point {
    /// Where it lies among numbers, if it is one or can be taken for one.
    pub(super) fn real(&self) -> Option<f64> {
        match self {
            Self::Number(real) | Self::Time(real) => Some(real.0),
            Self::Text(_) | Self::Id(_) => None,
        }
    }
}

/// A number that is one: never NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Real(f64);

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Real {}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}
