//! Conditions on what kind of value there is, on remainders and on bits.

use std::collections::BTreeSet;

use bson::RawBsonRef;

use crate::ir::Bits;
use crate::order;

/// The codes of types that are numbers.
const NUMBERS: [i32; 4] = [1, 16, 18, 19];

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
fn code_of(value: RawBsonRef<'_>) -> i32 {
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
