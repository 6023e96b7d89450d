//! Operators on numbers. Where a decimal takes part, the result is a decimal.

use bson::Bson;
use forge_core::{Decimal, Error, Result};

use super::{Apply, Nulls, Operator, Value, argument, number, whole};
use crate::update::{Arithmetic, combine, decimal};

const ANY: usize = usize::MAX;

const fn operator(
    name: &'static str,
    least: usize,
    most: usize,
    apply: fn(&[Value]) -> Result<Value>,
) -> Operator {
    Operator { name, least, most, nulls: Nulls::Null, apply: Apply::Alone(apply) }
}

macro_rules! functions {
    ($($name:literal => $function:expr;)*) => {
        [$(operator($name, 1, 1, |values| of_double($name, argument(values, 0), $function))),*]
    };
}

/// Functions of one double.
pub(super) static FUNCTIONS: [Operator; 18] = functions! {
    "$exp" => f64::exp;
    "$ln" => f64::ln;
    "$log10" => f64::log10;
    "$sin" => f64::sin;
    "$cos" => f64::cos;
    "$tan" => f64::tan;
    "$asin" => f64::asin;
    "$acos" => f64::acos;
    "$atan" => f64::atan;
    "$sinh" => f64::sinh;
    "$cosh" => f64::cosh;
    "$tanh" => f64::tanh;
    "$asinh" => f64::asinh;
    "$acosh" => f64::acosh;
    "$atanh" => f64::atanh;
    "$degreesToRadians" => f64::to_radians;
    "$radiansToDegrees" => f64::to_degrees;
    "$sigmoid" => |x| 1.0 / (1.0 + (-x).exp());
};

pub(super) static OPERATORS: [Operator; 18] = [
    operator("$add", 0, ANY, |values| fold(Arithmetic::Add, Bson::Int32(0), values)),
    operator("$multiply", 0, ANY, |values| fold(Arithmetic::Multiply, Bson::Int32(1), values)),
    operator("$subtract", 2, 2, |values| subtract(argument(values, 0), argument(values, 1)).map(Some)),
    operator("$divide", 2, 2, |values| divide(argument(values, 0), argument(values, 1)).map(Some)),
    operator("$mod", 2, 2, |values| modulo(argument(values, 0), argument(values, 1)).map(Some)),
    operator("$abs", 1, 1, |values| abs(argument(values, 0)).map(Some)),
    operator("$floor", 1, 1, |values| to_whole(argument(values, 0), f64::floor, Decimal::floor).map(Some)),
    operator("$ceil", 1, 1, |values| to_whole(argument(values, 0), f64::ceil, Decimal::ceil).map(Some)),
    operator("$round", 1, 2, |values| places(values, f64::round_ties_even, Decimal::round).map(Some)),
    operator("$trunc", 1, 2, |values| places(values, f64::trunc, Decimal::trunc).map(Some)),
    operator("$sqrt", 1, 1, |values| square_root(argument(values, 0)).map(Some)),
    operator("$pow", 2, 2, |values| power(argument(values, 0), argument(values, 1)).map(Some)),
    operator("$log", 2, 2, |values| {
        let (x, base) = (doubles("$log", argument(values, 0))?, doubles("$log", argument(values, 1))?);
        if x <= 0.0 || base <= 0.0 || base == 1.0 {
            return Err(Error::bad_request(
                "a logarithm is of a number above 0, to a base above 0 other than 1",
            ));
        }
        Ok(Some(Bson::Double(x.ln() / base.ln())))
    }),
    operator("$atan2", 2, 2, |values| {
        Ok(Some(Bson::Double(
            doubles("$atan2", argument(values, 0))?.atan2(doubles("$atan2", argument(values, 1))?),
        )))
    }),
    operator("$bitAnd", 0, ANY, |values| bits(values, -1, |a, b| a & b)),
    operator("$bitOr", 0, ANY, |values| bits(values, 0, |a, b| a | b)),
    operator("$bitXor", 0, ANY, |values| bits(values, 0, |a, b| a ^ b)),
    operator("$bitNot", 1, 1, |values| {
        Ok(Some(match argument(values, 0) {
            Bson::Int32(value) => Bson::Int32(!value),
            value => Bson::Int64(!whole(value)?),
        }))
    }),
];

fn is_decimal(value: &Bson) -> bool {
    matches!(value, Bson::Decimal128(_))
}

fn doubles(name: &str, value: &Bson) -> Result<f64> {
    if is_decimal(value) {
        return Err(Error::unsupported(format!(
            "the embedded engine has no `{name}` of decimals; convert with `$toDouble`"
        )));
    }
    number(value)
}

fn of_double(name: &str, value: &Bson, function: fn(f64) -> f64) -> Result<Value> {
    let x = doubles(name, value)?;
    let y = function(x);
    let undefined = y.is_nan() && !x.is_nan();
    // Logarithms of 0 are errors too, where Rust has an infinity.
    if undefined || (x == 0.0 && y.is_infinite()) {
        return Err(Error::bad_request(format!("it is not defined for {value}")));
    }
    Ok(Some(Bson::Double(y)))
}

fn fold(kind: Arithmetic, start: Bson, values: &[Value]) -> Result<Value> {
    let mut total = start;
    for value in values.iter().flatten() {
        total = match (&total, value) {
            (Bson::DateTime(_), Bson::DateTime(_)) => {
                return Err(Error::bad_request("two dates cannot be added; subtract them"));
            }
            // A date and milliseconds make a date.
            (Bson::DateTime(at), number) | (number, Bson::DateTime(at)) if kind == Arithmetic::Add => {
                shifted(*at, millis(number)?)
            }
            (total, value) => widening(kind, total, value)?,
        };
    }
    Ok(Some(total))
}

fn millis(value: &Bson) -> Result<i64> {
    match value {
        Bson::Double(value) if value.is_finite() => Ok(value.round() as i64),
        value => whole(value),
    }
}

fn shifted(at: bson::DateTime, millis: i64) -> Bson {
    Bson::DateTime(bson::DateTime::from_millis(at.timestamp_millis().saturating_add(millis)))
}

/// As [`combine`], but what overflows an i64 becomes a double, as in expressions on a server.
pub(crate) fn widening(kind: Arithmetic, a: &Bson, b: &Bson) -> Result<Bson> {
    combine(kind, a, b).or_else(|error| match (a, b) {
        (Bson::Int64(_) | Bson::Int32(_), Bson::Int64(_) | Bson::Int32(_)) => {
            combine(kind, &Bson::Double(number(a)?), b)
        }
        _ => Err(error),
    })
}

fn subtract(a: &Bson, b: &Bson) -> Result<Bson> {
    match (a, b) {
        (Bson::DateTime(a), Bson::DateTime(b)) => {
            Ok(Bson::Int64(a.timestamp_millis().saturating_sub(b.timestamp_millis())))
        }
        (Bson::DateTime(a), b) => Ok(shifted(*a, millis(b)?.saturating_neg())),
        (a, b) => widening(Arithmetic::Subtract, a, b),
    }
}

fn decimals(a: &Bson, b: &Bson) -> Option<(Decimal, Decimal)> {
    if is_decimal(a) || is_decimal(b) { Some((decimal(a)?, decimal(b)?)) } else { None }
}

/// The quotient. A whole number divided by a whole number is a double, as on servers.
pub(super) fn divide(a: &Bson, b: &Bson) -> Result<Bson> {
    let (x, y) = (number(a)?, number(b)?);
    if y == 0.0 {
        return Err(Error::bad_request("nothing can be divided by zero"));
    }
    Ok(decimals(a, b).map_or(Bson::Double(x / y), |(a, b)| (a / b).into()))
}

fn modulo(a: &Bson, b: &Bson) -> Result<Bson> {
    let (x, y) = (number(a)?, number(b)?);
    if y == 0.0 {
        return Err(Error::bad_request("nothing can be divided by zero"));
    }
    if let Some((a, b)) = decimals(a, b) {
        return Ok((a % b).into());
    }
    match (a, b) {
        (Bson::Int32(a), Bson::Int32(b)) => Ok(Bson::Int32(a.wrapping_rem(*b))),
        (Bson::Double(_), _) | (_, Bson::Double(_)) => Ok(Bson::Double(x % y)),
        (a, b) => Ok(Bson::Int64(whole(a)?.wrapping_rem(whole(b)?))),
    }
}

fn abs(value: &Bson) -> Result<Bson> {
    Ok(match value {
        Bson::Int32(i32::MIN) => Bson::Int64(i64::from(i32::MIN).abs()),
        Bson::Int32(value) => Bson::Int32(value.abs()),
        Bson::Int64(value) => Bson::Int64(
            value
                .checked_abs()
                .ok_or_else(|| Error::bad_request("the smallest 64-bit integer has no opposite"))?,
        ),
        Bson::Decimal128(value) => Decimal::from(*value).abs().into(),
        value => Bson::Double(number(value)?.abs()),
    })
}

fn to_whole(value: &Bson, double: fn(f64) -> f64, decimal: fn(Decimal) -> Decimal) -> Result<Bson> {
    Ok(match value {
        Bson::Int32(_) | Bson::Int64(_) => value.clone(),
        Bson::Decimal128(value) => decimal(Decimal::from(*value)).into(),
        value => Bson::Double(double(number(value)?)),
    })
}

/// A number with so many digits behind the point, before it where negative.
fn places(values: &[Value], double: fn(f64) -> f64, decimal: fn(Decimal, i32) -> Decimal) -> Result<Bson> {
    let value = argument(values, 0);
    let count = if values.len() > 1 { whole(argument(values, 1))? } else { 0 };
    let count = i32::try_from(count)
        .ok()
        .filter(|count| (-20..=100).contains(count))
        .ok_or_else(|| Error::bad_request("the number of digits is within -20 and 100"))?;
    Ok(match value {
        Bson::Decimal128(value) => decimal(Decimal::from(*value), count).into(),
        Bson::Int32(_) | Bson::Int64(_) if count >= 0 => value.clone(),
        Bson::Int32(_) | Bson::Int64(_) => {
            let rounded = decimal(Decimal::from(whole(value)?), count);
            let rounded =
                rounded.to_i64().ok_or_else(|| Error::bad_request("the rounded number is too large"))?;
            if matches!(value, Bson::Int32(_)) { super::integer(rounded) } else { Bson::Int64(rounded) }
        }
        value => {
            let x = number(value)?;
            // The digits of the shortest text decide, as people read the number; its binary form does not.
            let rounded = if count == 0 || !x.is_finite() {
                double(x)
            } else {
                let exact: Option<Decimal> = format!("{x:E}").parse().ok();
                exact.map_or(x, |exact| decimal(exact, count).to_f64())
            };
            Bson::Double(rounded)
        }
    })
}

fn square_root(value: &Bson) -> Result<Bson> {
    let x = number(value)?;
    if x < 0.0 {
        return Err(Error::bad_request(format!("{value} has no square root")));
    }
    Ok(match value {
        Bson::Decimal128(value) => Decimal::from(*value).sqrt().into(),
        _ => Bson::Double(x.sqrt()),
    })
}

fn power(a: &Bson, b: &Bson) -> Result<Bson> {
    let (x, y) = (number(a)?, number(b)?);
    if x == 0.0 && y < 0.0 {
        return Err(Error::bad_request("0 has no negative powers"));
    }
    if let Some((base, exponent)) = decimals(a, b) {
        let exponent =
            exponent.to_i64().filter(|whole| Decimal::from(*whole) == exponent && whole.abs() <= 10_000);
        let exponent = exponent.ok_or_else(|| {
            Error::unsupported("the embedded engine has only whole powers of decimals, up to 10,000")
        })?;
        let power = (0..exponent.abs()).fold(Decimal::ONE, |power, _| power * base);
        return Ok(if exponent < 0 { Decimal::ONE / power } else { power }.into());
    }
    let exact = match (a, b) {
        (Bson::Int32(_) | Bson::Int64(_), Bson::Int32(_) | Bson::Int64(_)) => {
            u32::try_from(whole(b)?).ok().and_then(|exponent| whole(a).ok()?.checked_pow(exponent))
        }
        _ => None,
    };
    let narrow = matches!((a, b), (Bson::Int32(_), Bson::Int32(_)));
    Ok(match exact {
        Some(power) if narrow => super::integer(power),
        Some(power) => Bson::Int64(power),
        None => Bson::Double(x.powf(y)),
    })
}

fn bits(values: &[Value], start: i64, combine: fn(i64, i64) -> i64) -> Result<Value> {
    let mut total = start;
    for value in values.iter().flatten() {
        match value {
            Bson::Int32(_) | Bson::Int64(_) => total = combine(total, whole(value)?),
            other => return Err(Error::bad_request(format!("only Int32 and Int64 have bits, not {other}"))),
        }
    }
    let wide = values.iter().flatten().any(|value| matches!(value, Bson::Int64(_)));
    Ok(Some(match i32::try_from(total) {
        Ok(total) if !wide => Bson::Int32(total),
        _ => Bson::Int64(total),
    }))
}
