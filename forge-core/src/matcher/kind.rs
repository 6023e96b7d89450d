//! Conditions on what kind of value there is, on remainders and on bits.

use std::collections::BTreeSet;

use bson::RawBsonRef;

use crate::ir::Bits;
use crate::order;

/// The codes of types that are numbers.
const NUMBERS: [i32; 4] = [1, 16, 18, 19];

/// The types by their names and codes.
const TYPES: [(&str, [i32; 1]); 21] = [
    ("double", [1]),
    ("string", [2]),
    ("object", [3]),
    ("array", [4]),
    ("binData", [5]),
    ("undefined", [6]),
    ("objectId", [7]),
    ("bool", [8]),
    ("date", [9]),
    ("null", [10]),
    ("regex", [11]),
    ("dbPointer", [12]),
    ("javascript", [13]),
    ("symbol", [14]),
    ("javascriptWithScope", [15]),
    ("int", [16]),
    ("timestamp", [17]),
    ("long", [18]),
    ("decimal", [19]),
    ("minKey", [-1]),
    ("maxKey", [127]),
];

/// The codes that a name of `$type` and `bsonType` stands for: `number` for several.
pub fn type_codes(name: &str) -> Option<&'static [i32]> {
    if name == "number" {
        return Some(&NUMBERS);
    }
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, codes)| codes.as_slice())
}

/// The name of a type, by its code (-1: the smallest key).
pub fn type_name(code: i32) -> Option<&'static str> {
    TYPES.iter().find(|(_, codes)| codes[0] == code).map(|(name, _)| *name)
}

/// What a value is to be like.
#[derive(Debug)]
pub(super) enum Kind {
    Type(BTreeSet<i32>),
    Remainder { divisor: i64, remainder: i64 },
    Bits(Bits),
}

impl Kind {
    pub(super) fn accepts(&self, value: RawBsonRef<'_>) -> bool {
        match self {
            Kind::Type(codes) => codes.contains(&code_of(value)),
            // Fractions do not count, and what is no number has no remainder.
            Kind::Remainder { divisor, remainder } => {
                whole(value).is_some_and(|number| number.checked_rem(*divisor).unwrap_or(0) == *remainder)
            }
            Kind::Bits(bits) => bits_of(value).is_some_and(|stored| holds(bits, &stored)),
        }
    }
}

/// The code of a type, as `$type` names it: -1 is the smallest key.
pub(super) fn code_of(value: RawBsonRef<'_>) -> i32 {
    match value.element_type() as u8 {
        0xff => -1,
        code => i32::from(code),
    }
}

/// The whole part of a number that an i64 holds.
fn whole(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        value if NUMBERS.contains(&code_of(value)) => {
            let number = order::as_f64(value)?.trunc();
            (-(2_f64.powi(63))..2_f64.powi(63)).contains(&number).then_some(number as i64)
        }
        _ => None,
    }
}

/// Bits, the lowest first.
enum Stored<'v> {
    Number(i64),
    Bytes(&'v [u8]),
}

/// The bits of a whole number, or of binary data. Numbers with fractions have none.
fn bits_of(value: RawBsonRef<'_>) -> Option<Stored<'_>> {
    match value {
        RawBsonRef::Binary(binary) => Some(Stored::Bytes(binary.bytes)),
        value => {
            let exact = order::as_f64(value).is_some_and(|number| number.fract() == 0.0);
            whole(value).filter(|_| exact).map(Stored::Number)
        }
    }
}

fn holds(bits: &Bits, stored: &Stored<'_>) -> bool {
    let is_set = |position: &u32| match stored {
        // Numbers go on with their sign.
        Stored::Number(number) => (number >> (*position).min(63)) & 1 == 1,
        Stored::Bytes(bytes) => {
            let byte = usize::try_from(position / 8).ok().and_then(|at| bytes.get(at)).copied().unwrap_or(0);
            (byte >> (position % 8)) & 1 == 1
        }
    };
    let wanted = |position: &u32| is_set(position) == bits.set;
    if bits.all { bits.positions.iter().all(wanted) } else { bits.positions.iter().any(wanted) }
}
