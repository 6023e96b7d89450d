//! Arithmetic on BSON numbers with MongoDB's promotions: i32 → i64 → f64 → decimal.

use bson::Bson;
use forge_core::{Decimal, Error, Result};

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

/// Whether the value is of a numeric type.
pub(crate) fn is_number(value: &Bson) -> bool {
    matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_))
}

/// What a path without a value becomes: 0 plus or times the operand, of the operand's type.
pub(crate) fn from_nothing(kind: Arithmetic, operand: &Bson) -> Bson {
    match (kind, operand) {
        (Arithmetic::Multiply, Bson::Int64(_)) => Bson::Int64(0),
        (Arithmetic::Multiply, Bson::Double(_)) => Bson::Double(0.0),
        (Arithmetic::Multiply, Bson::Decimal128(_)) => Decimal::ZERO.into(),
        (Arithmetic::Multiply, _) => Bson::Int32(0),
        (_, operand) => operand.clone(),
    }
}

/// `a` and `b` put together. Two i32 whose result needs more become an i64.
///
/// # Errors
/// `bad_request` where one is no number or an i64 overflows.
pub(crate) fn combine(kind: Arithmetic, a: &Bson, b: &Bson) -> Result<Bson> {
    if let (Some(x), Some(y)) = (whole(a), whole(b)) {
        let result = match kind {
            Arithmetic::Add => x.checked_add(y),
            Arithmetic::Subtract => x.checked_sub(y),
            Arithmetic::Multiply => x.checked_mul(y),
        }
        .ok_or_else(|| Error::bad_request(format!("{a} and {b} overflow a 64-bit integer")))?;
        let narrow = matches!((a, b), (Bson::Int32(_), Bson::Int32(_)));
        return Ok(match i32::try_from(result) {
            Ok(small) if narrow => Bson::Int32(small),
            _ => Bson::Int64(result),
        });
    }
    if (matches!(a, Bson::Decimal128(_)) || matches!(b, Bson::Decimal128(_)))
        && let (Some(x), Some(y)) = (decimal(a), decimal(b))
    {
        return Ok(Bson::from(match kind {
            Arithmetic::Add => x + y,
            Arithmetic::Subtract => x - y,
            Arithmetic::Multiply => x * y,
        }));
    }
    match (float(a), float(b)) {
        (Some(x), Some(y)) => Ok(Bson::Double(match kind {
            Arithmetic::Add => x + y,
            Arithmetic::Subtract => x - y,
            Arithmetic::Multiply => x * y,
        })),
        _ => Err(Error::bad_request(format!("cannot compute with {a} and {b}: both must be numbers"))),
    }
}

/// A number as a decimal; doubles by their first 15 digits.
pub(crate) fn decimal(value: &Bson) -> Option<Decimal> {
    match value {
        Bson::Decimal128(value) => Some((*value).into()),
        Bson::Double(value) => Some(Decimal::from_f64(*value)),
        value => whole(value).map(Decimal::from),
    }
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        _ => None,
    }
}

fn float(value: &Bson) -> Option<f64> {
    match value {
        Bson::Double(value) => Some(*value),
        value => whole(value).map(|value| value as f64),
    }
}
