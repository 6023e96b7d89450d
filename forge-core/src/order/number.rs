//! Exact comparison of numbers across `Int32`, `Int64`, `Double` and `Decimal128`.

use std::cmp::Ordering;

use bson::{Decimal128, RawBsonRef};

/// A BSON number, decoded for comparison.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Integer(i64),
    Double(f64),
    Decimal(DecimalParts),
}

/// A decoded `Decimal128`: (−1)^negative × coefficient × 10^exponent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum DecimalParts {
    NaN,
    Infinite { negative: bool },
    Finite { negative: bool, coefficient: u128, exponent: i32 },
}

impl Number {
    /// The number in `value`, where it is one.
    pub(super) fn of(value: RawBsonRef<'_>) -> Option<Number> {
        Some(match value {
            RawBsonRef::Int32(n) => Number::Integer(n.into()),
            RawBsonRef::Int64(n) => Number::Integer(n),
            RawBsonRef::Double(n) => Number::Double(n),
            RawBsonRef::Decimal128(n) => Number::Decimal(DecimalParts::decode(n)),
            _ => return None,
        })
    }

    /// The order of the real numbers; NaN comes before all of them and equals itself, −0 equals 0.
    pub(super) fn compare(self, other: Number) -> Ordering {
        use Number::{Decimal as Dec, Double, Integer};
        match (self, other) {
            (Integer(a), Integer(b)) => a.cmp(&b),
            (Double(a), Double(b)) => compare_doubles(a, b),
            (Integer(a), Double(b)) => compare_integer_double(a, b),
            (Double(a), Integer(b)) => compare_integer_double(b, a).reverse(),
            (Integer(a), Dec(b)) => DecimalParts::from(a).compare(b),
            (Dec(a), Integer(b)) => a.compare(DecimalParts::from(b)),
            (Dec(a), Dec(b)) => a.compare(b),
            (Double(a), Dec(b)) => b.compare_double(a).reverse(),
            (Dec(a), Double(b)) => a.compare_double(b),
        }
    }

    /// The nearest double.
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Number::Integer(n) => n as f64,
            Number::Double(n) => n,
            Number::Decimal(n) => n.to_f64(),
        }
    }
}

fn compare_doubles(a: f64, b: f64) -> Ordering {
    // `partial_cmp` is `None` only where a NaN takes part.
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

fn compare_integer_double(integer: i64, double: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() || double < -TWO_TO_63 {
        return Ordering::Greater;
    }
    if double >= TWO_TO_63 {
        return Ordering::Less;
    }
    // The integral part fits an i64 now, exactly; the fraction decides between equal ones.
    integer.cmp(&(double.trunc() as i64)).then_with(|| compare_doubles(0.0, double.fract()))
}

/// The largest coefficient with 34 digits; larger encodings are non-canonical and mean zero.
const MAX_COEFFICIENT: u128 = 9_999_999_999_999_999_999_999_999_999_999_999;
const EXPONENT_BIAS: i32 = 6176;
/// How many digits a coefficient has at most.
pub(crate) const DIGITS: i32 = 34;

impl DecimalParts {
    /// Decodes IEEE 754-2008 decimal128 in its binary integer form.
    pub(crate) fn decode(value: Decimal128) -> DecimalParts {
        let bits = u128::from_le_bytes(value.bytes());
        let negative = bits >> 127 == 1;
        match (bits >> 122) & 0b1_1111 {
            0b1_1111 => return DecimalParts::NaN,
            0b1_1110 => return DecimalParts::Infinite { negative },
            _ => {}
        }
        // A combination field that begins with 11 moves the exponent by two bits and implies a coefficient beyond
        // 34 digits, which is read as zero.
        let (shift, coefficient) =
            if (bits >> 125) & 0b11 == 0b11 { (111, 0) } else { (113, bits & ((1 << 113) - 1)) };
        let exponent = ((bits >> shift) & 0x3fff) as i32 - EXPONENT_BIAS;
        let coefficient = if coefficient > MAX_COEFFICIENT { 0 } else { coefficient };
        DecimalParts::Finite { negative, coefficient, exponent }
    }

    /// −1, 0 or 1; NaN has none.
    fn sign(self) -> i8 {
        match self {
            DecimalParts::NaN | DecimalParts::Finite { coefficient: 0, .. } => 0,
            DecimalParts::Infinite { negative } | DecimalParts::Finite { negative, .. } => {
                if negative {
                    -1
                } else {
                    1
                }
            }
        }
    }

    pub(crate) fn compare(self, other: DecimalParts) -> Ordering {
        use DecimalParts::{Finite, Infinite, NaN};
        match (self, other) {
            (NaN, NaN) => return Ordering::Equal,
            (NaN, _) => return Ordering::Less,
            (_, NaN) => return Ordering::Greater,
            _ => {}
        }
        let by_sign = self.sign().cmp(&other.sign());
        if by_sign != Ordering::Equal || self.sign() == 0 {
            return by_sign;
        }
        let magnitude = match (self, other) {
            (Infinite { .. }, Infinite { .. }) => Ordering::Equal,
            (Infinite { .. }, _) => Ordering::Greater,
            (_, Infinite { .. }) => Ordering::Less,
            (
                Finite { coefficient: a, exponent: a_exponent, .. },
                Finite { coefficient: b, exponent: b_exponent, .. },
            ) => compare_magnitudes(a, a_exponent, b, b_exponent),
            (NaN, _) | (_, NaN) => Ordering::Equal,
        };
        if self.sign() < 0 { magnitude.reverse() } else { magnitude }
    }

    fn compare_double(self, double: f64) -> Ordering {
        if double.is_nan() {
            return self.compare(DecimalParts::NaN);
        }
        if double.is_infinite() {
            return self.compare(DecimalParts::Infinite { negative: double < 0.0 });
        }
        let DecimalParts::Finite { negative, coefficient, exponent } = self else {
            return self.compare(DecimalParts::from(0));
        };
        let double_sign = if double == 0.0 { 0 } else { double.signum() as i8 };
        let by_sign = self.sign().cmp(&double_sign);
        if by_sign != Ordering::Equal || double_sign == 0 {
            return by_sign;
        }
        let magnitude = compare_magnitude_double(coefficient, exponent, double.abs());
        if negative { magnitude.reverse() } else { magnitude }
    }

    pub(crate) fn to_f64(self) -> f64 {
        match self {
            DecimalParts::NaN => f64::NAN,
            DecimalParts::Infinite { negative: false } => f64::INFINITY,
            DecimalParts::Infinite { negative: true } => f64::NEG_INFINITY,
            DecimalParts::Finite { negative, coefficient, exponent } => {
                // The standard parser rounds correctly.
                let magnitude = format!("{coefficient}e{exponent}").parse().unwrap_or(f64::NAN);
                if negative { -magnitude } else { magnitude }
            }
        }
    }
}

impl From<i64> for DecimalParts {
    fn from(value: i64) -> Self {
        DecimalParts::Finite { negative: value < 0, coefficient: value.unsigned_abs().into(), exponent: 0 }
    }
}

/// How many decimal digits a coefficient other than 0 has.
pub(crate) fn digits(coefficient: u128) -> i32 {
    coefficient.checked_ilog10().map_or(0, |log| log as i32 + 1)
}

/// Compares a × 10^a_exponent with b × 10^b_exponent, neither of them zero.
fn compare_magnitudes(a: u128, a_exponent: i32, b: u128, b_exponent: i32) -> Ordering {
    let (a_top, b_top) = (a_exponent + digits(a), b_exponent + digits(b));
    if a_top != b_top {
        return a_top.cmp(&b_top);
    }
    // With equal leading positions the exponents differ by fewer digits than a coefficient has, so that the shift
    // to the same exponent stays within 34 digits.
    let shift = a_exponent - b_exponent;
    let scale = 10_u128.pow(shift.unsigned_abs());
    if shift >= 0 { (a * scale).cmp(&b) } else { a.cmp(&(b * scale)) }
}

/// Compares coefficient × 10^exponent with a finite double, both positive.
fn compare_magnitude_double(coefficient: u128, exponent: i32, double: f64) -> Ordering {
    // The decimal lies in [10^(top−1), 10^top). Where the double is clearly elsewhere nothing exact is needed, and
    // where it is not, the exponents are small enough for `Wide`.
    let top = f64::from(exponent + digits(coefficient));
    let log = double.log10();
    if log > top + 0.5 {
        return Ordering::Less;
    }
    if log < top - 1.5 {
        return Ordering::Greater;
    }
    let (mantissa, binary_exponent) = decompose(double);
    // c × 10^e against m × 2^k, with every power moved to the side where it is positive.
    let (mut left, mut right) = (Wide::from(coefficient), Wide::from(u128::from(mantissa)));
    let side = if exponent >= 0 { &mut left } else { &mut right };
    side.multiply_by_five_to(exponent.unsigned_abs());
    let twos = exponent - binary_exponent;
    let side = if twos >= 0 { &mut left } else { &mut right };
    side.shift_left(twos.unsigned_abs());
    left.compare(&right)
}

/// mantissa × 2^exponent of a finite positive double.
fn decompose(double: f64) -> (u64, i32) {
    let bits = double.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

/// An unsigned integer of 1,280 bits: both sides of the comparison of a decimal with a double of about its size
/// stay below 2^1152.
struct Wide([u64; 20]);

impl From<u128> for Wide {
    fn from(value: u128) -> Self {
        let mut limbs = [0; 20];
        limbs[0] = value as u64;
        limbs[1] = (value >> 64) as u64;
        Wide(limbs)
    }
}

impl Wide {
    fn multiply_by_five_to(&mut self, mut power: u32) {
        // 5^27 is the largest power of five within 64 bits.
        while power > 0 {
            let step = power.min(27);
            self.multiply(5_u64.pow(step));
            power -= step;
        }
    }

    fn multiply(&mut self, factor: u64) {
        let mut carry = 0_u128;
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
    }

    fn shift_left(&mut self, mut bits: u32) {
        while bits > 0 {
            let step = bits.min(63);
            self.multiply(1 << step);
            bits -= step;
        }
    }

    fn compare(&self, other: &Wide) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Number {
        Number::Decimal(DecimalParts::decode(text.parse().unwrap()))
    }

    fn check(a: Number, b: Number, expected: Ordering) {
        assert_eq!(a.compare(b), expected, "{a:?} against {b:?}");
        assert_eq!(b.compare(a), expected.reverse(), "{b:?} against {a:?}");
    }

    #[test]
    fn integers_and_doubles_compare_without_rounding() {
        use Number::{Double, Integer};
        const P53: i64 = 1 << 53;
        check(Integer(P53 + 1), Double(P53 as f64), Ordering::Greater);
        check(Integer(P53 - 1), Double(P53 as f64), Ordering::Less);
        check(Integer(P53), Double(P53 as f64), Ordering::Equal);
        check(Integer(i64::MAX), Double(i64::MAX as f64), Ordering::Less);
        check(Integer(i64::MIN), Double(i64::MIN as f64), Ordering::Equal);
        check(Integer(3), Double(3.5), Ordering::Less);
        check(Integer(-3), Double(-3.5), Ordering::Greater);
        check(Integer(0), Double(-0.0), Ordering::Equal);
        check(Integer(0), Double(-1e-300), Ordering::Greater);
        check(Integer(i64::MIN), Double(f64::NEG_INFINITY), Ordering::Greater);
        check(Integer(i64::MIN), Double(f64::NAN), Ordering::Greater);
    }

    #[test]
    fn nan_is_below_all_numbers_and_equals_itself_in_every_type() {
        use Number::Double;
        check(Double(f64::NAN), Double(-f64::NAN), Ordering::Equal);
        check(Double(f64::NAN), decimal("NaN"), Ordering::Equal);
        check(Double(f64::NAN), Double(f64::NEG_INFINITY), Ordering::Less);
        check(decimal("NaN"), Double(f64::NEG_INFINITY), Ordering::Less);
        check(Double(f64::NAN), decimal("-Infinity"), Ordering::Less);
    }

    #[test]
    fn decimals_compare_by_value_not_by_form() {
        check(decimal("1.0"), decimal("1.00"), Ordering::Equal);
        check(decimal("1E+3"), decimal("1000"), Ordering::Equal);
        check(decimal("-0"), decimal("0E+10"), Ordering::Equal);
        check(decimal("-1.5"), decimal("1.5"), Ordering::Less);
        check(decimal("-2"), decimal("-1.999"), Ordering::Less);
        check(decimal("9999999999999999999999999999999999"), decimal("1E+34"), Ordering::Less);
        check(decimal("Infinity"), decimal("9E+6110"), Ordering::Greater);
        check(decimal("1E-6176"), decimal("0"), Ordering::Greater);
    }

    #[test]
    fn decimals_compare_exactly_with_integers_and_doubles() {
        use Number::{Double, Integer};
        check(decimal("9223372036854775807.1"), Integer(i64::MAX), Ordering::Greater);
        check(decimal("9223372036854775807"), Integer(i64::MAX), Ordering::Equal);
        check(decimal("-5.00"), Integer(-5), Ordering::Equal);
        check(decimal("0.5"), Double(0.5), Ordering::Equal);
        // The double nearest to 0.1 is 0.1000000000000000055…
        check(decimal("0.1"), Double(0.1), Ordering::Less);
        check(decimal("0.10000000000000000555111512312578270"), Double(0.1), Ordering::Less);
        check(decimal("0.1000000000000000055511151231257828"), Double(0.1), Ordering::Greater);
        check(decimal("9007199254740993"), Double(9_007_199_254_740_992.0), Ordering::Greater);
        check(decimal("5E-324"), Double(5e-324), Ordering::Greater);
        check(decimal("4E-324"), Double(5e-324), Ordering::Less);
        check(decimal("1.797693134862315708145274237317043E+308"), Double(f64::MAX), Ordering::Less);
        check(decimal("1.797693134862315708145274237317044E+308"), Double(f64::MAX), Ordering::Greater);
        check(decimal("1E+6000"), Double(f64::MAX), Ordering::Greater);
        check(decimal("1E-6000"), Double(5e-324), Ordering::Less);
        check(decimal("Infinity"), Double(f64::INFINITY), Ordering::Equal);
        check(decimal("-Infinity"), Double(f64::MIN), Ordering::Less);
    }

    #[test]
    fn coefficients_beyond_34_digits_mean_zero() {
        let beyond = Decimal128::from_bytes(((0x3040_u128 << 112) | (MAX_COEFFICIENT + 1)).to_le_bytes());
        check(Number::Decimal(DecimalParts::decode(beyond)), Number::Integer(0), Ordering::Equal);
        let large_form = Decimal128::from_bytes((0b11_u128 << 125).to_le_bytes());
        check(Number::Decimal(DecimalParts::decode(large_form)), Number::Integer(0), Ordering::Equal);
    }
}
