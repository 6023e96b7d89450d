//! Arithmetic of IEEE 754-2008 decimal128: exact, then rounded once, half to even, to 34 digits.
//!
//! A coefficient has at most 34 digits and fits a `u128`. What needs more is held as `high × 10³⁴ + low`.

use std::cmp::Ordering;

use crate::order::{DIGITS, DecimalParts, digits};

const LIMB: u128 = 10_u128.pow(34);
const HALF_LIMB: u128 = 10_u128.pow(17);
const MIN_EXPONENT: i32 = -6176;
const MAX_EXPONENT: i32 = 6111;

use DecimalParts::{Finite, Infinite, NaN};

/// `high × 10³⁴ + low`, with `low` below 10³⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Long {
    high: u128,
    low: u128,
}

impl Long {
    /// `coefficient × 10^power`, of 67 digits at most.
    fn scaled(coefficient: u128, power: u32) -> Self {
        match power {
            0 => Self { high: 0, low: coefficient },
            1..34 => {
                let split = 10_u128.pow(34 - power);
                Self { high: coefficient / split, low: (coefficient % split) * 10_u128.pow(power) }
            }
            _ => Self { high: coefficient * 10_u128.pow(power - 34), low: 0 },
        }
    }

    fn product(a: u128, b: u128) -> Self {
        let (a1, a0, b1, b0) = (a / HALF_LIMB, a % HALF_LIMB, b / HALF_LIMB, b % HALF_LIMB);
        let middle = a1 * b0 + a0 * b1;
        let low = a0 * b0 + (middle % HALF_LIMB) * HALF_LIMB;
        Self { high: a1 * b1 + middle / HALF_LIMB + low / LIMB, low: low % LIMB }
    }

    fn plus(self, other: Self) -> Self {
        let low = self.low + other.low;
        Self { high: self.high + other.high + low / LIMB, low: low % LIMB }
    }

    /// `self − other`, which is not larger.
    fn minus(self, other: Self) -> Self {
        if self.low >= other.low {
            Self { high: self.high - other.high, low: self.low - other.low }
        } else {
            Self { high: self.high - other.high - 1, low: self.low + LIMB - other.low }
        }
    }

    /// The number `self × 10^exponent`, rounded to 34 digits.
    fn finish(self, negative: bool, exponent: i32) -> DecimalParts {
        let surplus = digits(self.high);
        if surplus == 0 {
            return finish(negative, self.low, exponent);
        }
        let cut = 10_u128.pow(surplus as u32);
        let kept = self.high * 10_u128.pow((DIGITS - surplus) as u32) + self.low / cut;
        let kept = kept + u128::from(rounds_up(kept, self.low % cut, cut, false));
        finish(negative, kept, exponent + surplus)
    }
}

/// Whether a remainder of `unit` takes the digits before it up by one. `more`: something follows the remainder.
fn rounds_up(kept: u128, remainder: u128, unit: u128, more: bool) -> bool {
    match remainder.cmp(&(unit / 2)) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => more || kept % 2 == 1,
    }
}

/// Cuts `count` digits off, rounding.
fn shorten(coefficient: u128, count: u32) -> u128 {
    if count > 38 {
        return 0;
    }
    let unit = 10_u128.pow(count);
    let kept = coefficient / unit;
    kept + u128::from(rounds_up(kept, coefficient % unit, unit, false))
}

/// The number within the range of exponents: padded, rounded towards zero's neighbourhood, or infinite.
fn finish(negative: bool, coefficient: u128, exponent: i32) -> DecimalParts {
    if coefficient == 0 {
        return Finite { negative, coefficient, exponent: exponent.clamp(MIN_EXPONENT, MAX_EXPONENT) };
    }
    if digits(coefficient) > DIGITS {
        let surplus = digits(coefficient) - DIGITS;
        return finish(negative, shorten(coefficient, surplus as u32), exponent + surplus);
    }
    if exponent < MIN_EXPONENT {
        let coefficient = shorten(coefficient, (MIN_EXPONENT - exponent) as u32);
        return Finite { negative, coefficient, exponent: MIN_EXPONENT };
    }
    if exponent > MAX_EXPONENT {
        let padding = exponent - MAX_EXPONENT;
        if digits(coefficient) + padding > DIGITS {
            return Infinite { negative };
        }
        let coefficient = coefficient * 10_u128.pow(padding as u32);
        return Finite { negative, coefficient, exponent: MAX_EXPONENT };
    }
    Finite { negative, coefficient, exponent }
}

pub(super) fn negate(value: DecimalParts) -> DecimalParts {
    match value {
        NaN => NaN,
        Infinite { negative } => Infinite { negative: !negative },
        Finite { negative, coefficient, exponent } => Finite { negative: !negative, coefficient, exponent },
    }
}

pub(super) fn add(a: DecimalParts, b: DecimalParts) -> DecimalParts {
    match (a, b) {
        (NaN, _) | (_, NaN) => NaN,
        (Infinite { negative: a }, Infinite { negative: b }) if a != b => NaN,
        (Infinite { .. }, _) => a,
        (_, Infinite { .. }) => b,
        (Finite { exponent: x, .. }, Finite { exponent: y, .. }) if x < y => add_finite(b, a),
        _ => add_finite(a, b),
    }
}

/// The sum of finite numbers, of which `a` has the larger exponent.
fn add_finite(a: DecimalParts, b: DecimalParts) -> DecimalParts {
    let (
        Finite { negative: a_negative, coefficient: a, exponent: a_exponent },
        Finite { negative: b_negative, coefficient: mut b, exponent: mut b_exponent },
    ) = (a, b)
    else {
        return NaN;
    };
    if a == 0 {
        return Finite {
            negative: b_negative && (b != 0 || a_negative),
            coefficient: b,
            exponent: b_exponent,
        };
    }
    let room = if b == 0 { DIGITS } else { 2 * DIGITS - 1 } - digits(a);
    if a_exponent - b_exponent > room {
        // Too far below to be added digit by digit; that it is there at all decides between equal halves.
        (b, b_exponent) = (b.min(1), a_exponent - room);
    }
    let a = Long::scaled(a, (a_exponent - b_exponent) as u32);
    let b = Long { high: 0, low: b };
    if a_negative == b_negative {
        return a.plus(b).finish(a_negative, b_exponent);
    }
    match a.cmp(&b) {
        Ordering::Equal => Finite { negative: false, coefficient: 0, exponent: b_exponent },
        Ordering::Greater => a.minus(b).finish(a_negative, b_exponent),
        Ordering::Less => b.minus(a).finish(b_negative, b_exponent),
    }
}

pub(super) fn multiply(a: DecimalParts, b: DecimalParts) -> DecimalParts {
    match (a, b) {
        (NaN, _) | (_, NaN) => NaN,
        (Infinite { .. }, Finite { coefficient: 0, .. })
        | (Finite { coefficient: 0, .. }, Infinite { .. }) => NaN,
        (Infinite { .. }, _) | (_, Infinite { .. }) => {
            Infinite { negative: is_negative(a) != is_negative(b) }
        }
        (
            Finite { coefficient: x, exponent: x_exponent, .. },
            Finite { coefficient: y, exponent: y_exponent, .. },
        ) => Long::product(x, y).finish(is_negative(a) != is_negative(b), x_exponent + y_exponent),
    }
}

pub(super) fn divide(a: DecimalParts, b: DecimalParts) -> DecimalParts {
    let negative = is_negative(a) != is_negative(b);
    match (a, b) {
        (NaN, _) | (_, NaN) | (Infinite { .. }, Infinite { .. }) => NaN,
        (Finite { coefficient: 0, .. }, Finite { coefficient: 0, .. }) => NaN,
        (Infinite { .. }, _) | (_, Finite { coefficient: 0, .. }) => Infinite { negative },
        (_, Infinite { .. }) => Finite { negative, coefficient: 0, exponent: MIN_EXPONENT },
        (
            Finite { coefficient: x, exponent: x_exponent, .. },
            Finite { coefficient: y, exponent: y_exponent, .. },
        ) => {
            let (mut quotient, mut rest, mut exponent) = (x / y, x % y, x_exponent - y_exponent);
            // One digit more than is kept: it and what is left decide the rounding.
            while rest != 0 && digits(quotient) <= DIGITS {
                quotient = quotient * 10 + rest * 10 / y;
                rest = rest * 10 % y;
                exponent -= 1;
            }
            if digits(quotient) <= DIGITS {
                return finish(negative, quotient, exponent);
            }
            let kept = quotient / 10;
            let kept = kept + u128::from(rounds_up(kept, quotient % 10, 10, rest != 0));
            finish(negative, kept, exponent + 1)
        }
    }
}

/// What is left of `a` after whole `b`s were taken away; it has the sign of `a`.
pub(super) fn remainder(a: DecimalParts, b: DecimalParts) -> DecimalParts {
    match (a, b) {
        (Finite { .. }, Infinite { .. }) => a,
        (
            Finite { negative, coefficient: x, exponent: x_exponent },
            Finite { coefficient: y, exponent: y_exponent, .. },
        ) if y != 0 => {
            let shift = x_exponent - y_exponent;
            if shift < 0 {
                if digits(y) - shift > DIGITS {
                    return a;
                }
                return finish(negative, x % (y * 10_u128.pow(shift.unsigned_abs())), x_exponent);
            }
            let rest = (0..shift).fold(x % y, |rest, _| rest * 10 % y);
            finish(negative, rest, y_exponent)
        }
        _ => NaN,
    }
}

/// How a number is brought to fewer digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the nearest, halves to the even neighbour.
    HalfEven,
    /// Towards zero.
    Down,
    /// Towards negative infinity.
    Floor,
    /// Towards positive infinity.
    Ceiling,
}

/// The number with `places` digits behind the point, or before it where negative.
pub(super) fn round(value: DecimalParts, places: i32, rounding: Rounding) -> DecimalParts {
    let Finite { negative, coefficient, exponent } = value else { return value };
    let surplus = -places.clamp(-MAX_EXPONENT, -MIN_EXPONENT) - exponent;
    if surplus <= 0 {
        return value;
    }
    let unit = 10_u128.checked_pow(surplus as u32);
    let kept = unit.map_or(0, |unit| coefficient / unit);
    let rest = unit.map_or(coefficient, |unit| coefficient % unit);
    let up = match rounding {
        Rounding::HalfEven => unit.is_some_and(|unit| rounds_up(kept, rest, unit, false)),
        Rounding::Down => false,
        Rounding::Floor => negative && rest != 0,
        Rounding::Ceiling => !negative && rest != 0,
    };
    finish(negative, kept + u128::from(up), exponent + surplus)
}

/// The same number with the fewest digits.
pub(super) fn normalized(value: DecimalParts) -> DecimalParts {
    let Finite { negative, mut coefficient, mut exponent } = value else { return value };
    if coefficient == 0 {
        return Finite { negative: false, coefficient, exponent: 0 };
    }
    while coefficient % 10 == 0 && exponent < MAX_EXPONENT {
        coefficient /= 10;
        exponent += 1;
    }
    Finite { negative, coefficient, exponent }
}

/// The square root, of a number that is not negative; NaN otherwise.
pub(super) fn square_root(value: DecimalParts) -> DecimalParts {
    match value {
        Infinite { negative: false } => value,
        Finite { coefficient: 0, exponent, negative } => {
            Finite { negative, coefficient: 0, exponent: exponent.div_euclid(2) }
        }
        Finite { negative: false, coefficient, exponent } => {
            // An even exponent, and as many digits as fit: the integer root then has 17 good ones to start from.
            let mut padding = DIGITS - digits(coefficient);
            if (exponent - padding) % 2 != 0 {
                padding -= 1;
            }
            let padded =
                if padding >= 0 { coefficient * 10_u128.pow(padding as u32) } else { coefficient * 10 };
            let padding = if padding >= 0 { padding } else { 1 };
            let start = Finite {
                negative: false,
                coefficient: padded.isqrt(),
                exponent: (exponent - padding).div_euclid(2),
            };
            let half = Finite { negative: false, coefficient: 5, exponent: -1 };
            let wanted = Finite { negative: false, coefficient, exponent };
            // Newton's steps double the good digits: two of them pass 34.
            let step = |root| multiply(half, add(root, divide(wanted, root)));
            normalized(step(step(step(start))))
        }
        _ => NaN,
    }
}

fn is_negative(value: DecimalParts) -> bool {
    match value {
        NaN => false,
        Infinite { negative } | Finite { negative, .. } => negative,
    }
}

/// IEEE 754-2008 decimal128 in its binary integer form.
pub(super) fn encode(value: DecimalParts) -> bson::Decimal128 {
    let bits = match value {
        NaN => 0b1_1111 << 122,
        Infinite { negative } => u128::from(negative) << 127 | 0b1_1110 << 122,
        Finite { negative, coefficient, exponent } => {
            u128::from(negative) << 127 | ((exponent - MIN_EXPONENT) as u128) << 113 | coefficient
        }
    };
    bson::Decimal128::from_bytes(bits.to_le_bytes())
}
