//! The byte form of numbers: the same for equal numbers of any type, exact for all of them.

use std::cmp::Ordering;

use bson::{Decimal128, RawBsonRef};
use forge_core::order;

use super::{END, invert};

/// After the bits of a double that is the number.
const EXACT: u8 = 0x00;
/// After the bits of the largest double below the number, before its digits.
const INEXACT: u8 = 0x01;

fn floor_bits(value: f64) -> [u8; 8] {
    if value.is_nan() {
        return [0; 8];
    }
    // Adding zero makes −0 equal to 0.
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    ordered.to_be_bytes()
}

pub(super) fn double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&floor_bits(value));
    out.push(EXACT);
}

pub(super) fn integer(value: i64, out: &mut Vec<u8>) {
    let nearest = value as f64;
    // Every double near an i64 is a whole number, so the comparison is exact.
    let difference = nearest as i128 - i128::from(value);
    if difference == 0 {
        return double(nearest, out);
    }
    let floor = if difference > 0 { nearest.next_down() } else { nearest };
    out.extend_from_slice(&floor_bits(floor));
    out.push(INEXACT);
    Digits::parse(&value.to_string()).encode(out);
}

pub(super) fn decimal(value: Decimal128, out: &mut Vec<u8>) {
    let nearest = order::as_f64(RawBsonRef::Decimal128(value)).unwrap_or(f64::NAN);
    let Some(exact) = Digits::of_decimal(value) else { return double(nearest, out) };
    let against = match nearest {
        f64::INFINITY => Ordering::Greater,
        f64::NEG_INFINITY => Ordering::Less,
        nearest => Digits::of_double(nearest).compare(&exact),
    };
    let floor = match against {
        Ordering::Equal => return double(nearest, out),
        Ordering::Greater => nearest.next_down(),
        Ordering::Less => nearest,
    };
    out.extend_from_slice(&floor_bits(floor));
    out.push(INEXACT);
    exact.encode(out);
}

/// A number as `±0.d₁d₂… × 10^exponent` without leading or trailing zeros.
struct Digits {
    negative: bool,
    exponent: i32,
    digits: Vec<u8>,
}

impl Digits {
    /// All digits of a finite double; 767 are enough for any.
    fn of_double(value: f64) -> Self {
        Self::parse(&format!("{value:.767e}"))
    }

    /// All digits of a finite decimal (IEEE 754-2008, binary integer form); none for NaN and the infinities.
    fn of_decimal(value: Decimal128) -> Option<Self> {
        const MAX_COEFFICIENT: u128 = 10_u128.pow(34) - 1;
        let bits = u128::from_le_bytes(value.bytes());
        if (bits >> 122) & 0b1_1110 == 0b1_1110 {
            return None;
        }
        // Coefficients beyond 34 digits are not canonical and mean zero.
        let wide = (bits >> 125) & 0b11 == 0b11;
        let (shift, coefficient) = if wide { (111, 0) } else { (113, bits & ((1 << 113) - 1)) };
        let coefficient = if coefficient > MAX_COEFFICIENT { 0 } else { coefficient };
        let exponent = ((bits >> shift) & 0x3fff) as i32 - 6176;
        let sign = if bits >> 127 == 1 { "-" } else { "" };
        Some(Self::parse(&format!("{sign}{coefficient}e{exponent}")))
    }

    /// Reads `-12.5`, `1e+400`, ….
    fn parse(form: &str) -> Self {
        let (negative, form) = form.strip_prefix('-').map_or((false, form), |rest| (true, rest));
        let (mantissa, exponent) = form.split_once('e').unwrap_or((form, "0"));
        let mut exponent: i32 = exponent.trim_start_matches('+').parse().unwrap_or(0);
        let whole = mantissa.find('.').unwrap_or(mantissa.len());
        exponent += i32::try_from(whole).unwrap_or(0);
        let mut digits: Vec<u8> =
            mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        let leading = digits.iter().take_while(|&&digit| digit == 0).count();
        digits.drain(..leading);
        exponent -= i32::try_from(leading).unwrap_or(0);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            return Self { negative: false, exponent: 0, digits };
        }
        Self { negative, exponent, digits }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        self.encode(&mut a);
        other.encode(&mut b);
        a.cmp(&b)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let sign = match (self.digits.is_empty(), self.negative) {
            (true, _) => 0x02,
            (false, true) => 0x01,
            (false, false) => 0x03,
        };
        out.push(sign);
        if self.digits.is_empty() {
            return;
        }
        let start = out.len();
        out.extend_from_slice(&(self.exponent.cast_unsigned() ^ (1 << 31)).to_be_bytes());
        out.extend(self.digits.iter().map(|digit| digit + 1));
        out.push(END);
        if self.negative {
            invert(&mut out[start..]);
        }
    }
}
