//! `$bit`: operations on the bits of whole numbers.

use bson::Bson;
use forge_core::{Error, Result};

/// One operation with its operand.
#[derive(Debug, Clone)]
pub(super) struct Bits {
    operation: fn(i64, i64) -> i64,
    operand: i64,
    /// Whether the operand has 64 bits.
    wide: bool,
}

/// Reads `{and: n}`, `{or: n}`, `{xor: n}`, or several of them.
pub(super) fn parse(path: &str, operand: &Bson) -> Result<Vec<Bits>> {
    let wrong = || {
        Error::bad_request(format!(
            "`$bit` on `{path}` takes {{and | or | xor: whole number}}, not {operand}"
        ))
    };
    let form = operand.as_document().filter(|form| !form.is_empty()).ok_or_else(wrong)?;
    form.iter()
        .map(|(name, value)| {
            let operation: fn(i64, i64) -> i64 = match name.as_str() {
                "and" => |a, b| a & b,
                "or" => |a, b| a | b,
                "xor" => |a, b| a ^ b,
                _ => return Err(wrong()),
            };
            let (operand, wide) = whole(value).ok_or_else(wrong)?;
            Ok(Bits { operation, operand, wide })
        })
        .collect()
}

/// The value after all operations; a missing one counts as 0.
pub(super) fn apply(path: &str, value: Option<&Bson>, operations: &[Bits]) -> Result<Bson> {
    let (mut bits, mut wide) = match value {
        None => (0, false),
        Some(value) => whole(value)
            .ok_or_else(|| Error::bad_request(format!("`$bit` on `{path}`: {value} is no whole number")))?,
    };
    for one in operations {
        bits = (one.operation)(bits, one.operand);
        wide |= one.wide;
    }
    Ok(match i32::try_from(bits) {
        Ok(narrow) if !wide => Bson::Int32(narrow),
        _ => Bson::Int64(bits),
    })
}

/// A whole number, and whether it has 64 bits.
fn whole(value: &Bson) -> Option<(i64, bool)> {
    match value {
        Bson::Int32(value) => Some((i64::from(*value), false)),
        Bson::Int64(value) => Some((*value, true)),
        _ => None,
    }
}
