//! Conditions on what kind of value there is: types, remainders, bits.

use bson::Bson;
use forge_core::ir::{Bits, Predicate};
use forge_core::matcher::{type_codes, type_name};
use forge_core::{Error, Result, order};

use crate::index::integer;
use crate::keys;

/// `$type`: a name or a code, or several.
pub(super) fn of_type(path: &str, value: &Bson) -> Result<Predicate> {
    let one = match value {
        Bson::Array(several) => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    if one.is_empty() {
        return Err(Error::bad_request(format!("`$type` on `{path}` takes at least one type")));
    }
    let mut codes = Vec::with_capacity(one.len());
    for name in one {
        let code = integer(name).and_then(|code| i32::try_from(code).ok());
        match (name.as_str().and_then(type_codes), code.filter(|code| type_name(*code).is_some())) {
            (Some(named), _) => codes.extend(named),
            (None, Some(code)) => codes.push(code),
            (None, None) => {
                return Err(Error::bad_request(format!(
                    "`$type` on `{path}` takes the name or code of a type, not {name}"
                )));
            }
        }
    }
    Ok(Predicate::Type(codes))
}

/// `$mod`: a divisor and a remainder; their fractions do not count.
pub(super) fn remainder(path: &str, value: &Bson) -> Result<Predicate> {
    let wrong = || {
        Error::bad_request(format!(
            "`$mod` on `{path}` takes a divisor other than 0 and a remainder, not {value}"
        ))
    };
    let number = |value: &Bson| {
        integer(value).or_else(|| {
            let number = keys::with_raw(value, order::as_f64)?.trunc();
            (number.abs() < 2_f64.powi(63)).then_some(number as i64)
        })
    };
    match value.as_array().map(Vec::as_slice) {
        Some([divisor, remainder]) => match (number(divisor), number(remainder)) {
            (Some(divisor), Some(remainder)) if divisor != 0 => {
                Ok(Predicate::Remainder { divisor, remainder })
            }
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// `$bitsAllSet` and its like: a mask as a number or as binary data, or a list of positions.
pub(super) fn bits(path: &str, operator: &str, value: &Bson) -> Result<Predicate> {
    let wrong = || {
        Error::bad_request(format!(
            "`{operator}` on `{path}` takes a whole number from 0, binary data or a list of positions, not {value}"
        ))
    };
    let positions = match value {
        Bson::Array(positions) => {
            let position = |at: &Bson| integer(at).and_then(|at| u32::try_from(at).ok()).ok_or_else(wrong);
            positions.iter().map(position).collect::<Result<_>>()?
        }
        Bson::Binary(mask) => set_in(&mask.bytes),
        mask => set_in(&integer(mask).filter(|mask| *mask >= 0).ok_or_else(wrong)?.to_le_bytes()),
    };
    let (set, all) = (operator.ends_with("Set"), operator.starts_with("$bitsAll"));
    Ok(Predicate::Bits(Bits { positions, set, all }))
}

/// Where bits are set, the lowest of the first byte at 0.
fn set_in(mask: &[u8]) -> Vec<u32> {
    (0..8 * mask.len())
        .filter(|at| mask[at / 8] >> (at % 8) & 1 == 1)
        .filter_map(|at| u32::try_from(at).ok())
        .collect()
}
