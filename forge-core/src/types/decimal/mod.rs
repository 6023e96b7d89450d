mod arithmetic;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::str::FromStr;

use bson::raw::RawBsonRef;
use bson::{Bson, Decimal128};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::codec;
use crate::order::DecimalParts;
use arithmetic::Rounding;

/// A decimal number of 34 digits: Decimal128 in BSON, a string in JSON.
///
/// It is exact where doubles are not (money), is compared and sorted as a number (`1.0` equals `1.00`), and keeps the
/// digits that it was written with. Arithmetic rounds to 34 digits, half to even, and never fails: what is divided by
/// zero is infinite or NaN, as in IEEE 754. NaN equals itself and comes before every number, as in the database.
///
/// ```
/// use forge_core::Decimal;
///
/// let price: Decimal = "19.90".parse()?;
/// assert_eq!(price * Decimal::from(3), "59.7".parse()?);
/// assert_eq!((price / Decimal::from(3)).round(2).to_string(), "6.63");
/// assert_eq!(serde_json::to_string(&price).unwrap(), "\"19.90\"");
/// # Ok::<(), forge_core::types::DecimalParseError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Decimal([u8; 16]);

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal((6176_u128 << 113).to_le_bytes());
    /// One.
    pub const ONE: Decimal = Decimal((6176_u128 << 113 | 1).to_le_bytes());

    fn of(parts: DecimalParts) -> Self {
        Self(arithmetic::encode(parts).bytes())
    }

    fn parts(self) -> DecimalParts {
        DecimalParts::decode(self.into())
    }

    /// Whether it is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        matches!(self.parts(), DecimalParts::Finite { .. })
    }

    /// Whether it is no number, as 0 ÷ 0.
    pub fn is_nan(self) -> bool {
        self.parts() == DecimalParts::NaN
    }

    /// The number with at most `places` digits behind the point (before it, where negative), halves to the even
    /// neighbour.
    pub fn round(self, places: i32) -> Self {
        Self::of(arithmetic::round(self.parts(), places, Rounding::HalfEven))
    }

    /// The number with at most `places` digits behind the point, the rest cut off.
    pub fn trunc(self, places: i32) -> Self {
        Self::of(arithmetic::round(self.parts(), places, Rounding::Down))
    }

    /// The largest whole number that is not above it.
    pub fn floor(self) -> Self {
        Self::of(arithmetic::round(self.parts(), 0, Rounding::Floor))
    }

    /// The smallest whole number that is not below it.
    pub fn ceil(self) -> Self {
        Self::of(arithmetic::round(self.parts(), 0, Rounding::Ceiling))
    }

    /// The number without its sign.
    pub fn abs(self) -> Self {
        if self < Self::ZERO { -self } else { self }
    }

    /// The square root; NaN of a negative number.
    pub fn sqrt(self) -> Self {
        Self::of(arithmetic::square_root(self.parts()))
    }

    /// The same number with the fewest digits: 1.50 becomes 1.5, 100 becomes 1E+2.
    pub fn normalized(self) -> Self {
        Self::of(arithmetic::normalized(self.parts()))
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        self.parts().to_f64()
    }

    /// The whole number, its fraction cut off, where an i64 holds it.
    pub fn to_i64(self) -> Option<i64> {
        let DecimalParts::Finite { negative, coefficient, exponent } =
            arithmetic::normalized(self.trunc(0).parts())
        else {
            return None;
        };
        let power = 10_u128.checked_pow(exponent.try_into().ok()?)?;
        let magnitude = i128::try_from(coefficient.checked_mul(power)?).ok()?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    }

    /// A double as databases turn it into a decimal: rounded to 15 significant digits, which hides its binary form.
    pub fn from_f64(value: f64) -> Self {
        if value.is_nan() {
            return Self::of(DecimalParts::NaN);
        }
        if value.is_infinite() {
            return Self::of(DecimalParts::Infinite { negative: value < 0.0 });
        }
        // The range of doubles is well inside that of decimals.
        format!("{value:.14E}").parse().unwrap_or(Self::ZERO)
    }
}

impl From<Decimal128> for Decimal {
    fn from(value: Decimal128) -> Self {
        Self(value.bytes())
    }
}
impl From<Decimal> for Decimal128 {
    fn from(value: Decimal) -> Self {
        Decimal128::from_bytes(value.0)
    }
}
impl From<Decimal> for bson::Bson {
    fn from(value: Decimal) -> Self {
        bson::Bson::Decimal128(value.into())
    }
}
impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self::of(DecimalParts::from(value))
    }
}
impl From<i32> for Decimal {
    fn from(value: i32) -> Self {
        i64::from(value).into()
    }
}
impl From<u32> for Decimal {
    fn from(value: u32) -> Self {
        i64::from(value).into()
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $function:ident;)*) => {
        $(impl $trait for Decimal {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Self::of(arithmetic::$function(self.parts(), other.parts()))
            }
        })*
    };
}
operators! {
    Add add add;
    Mul mul multiply;
    Div div divide;
    Rem rem remainder;
}
impl Sub for Decimal {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}
impl Neg for Decimal {
    type Output = Self;
    fn neg(self) -> Self {
        Self::of(arithmetic::negate(self.parts()))
    }
}
impl Sum for Decimal {
    fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
        values.fold(Self::ZERO, Add::add)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Decimal {}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().compare(other.parts())
    }
}
impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal numbers have one shortest form.
        self.normalized().0.hash(state);
    }
}
impl Default for Decimal {
    fn default() -> Self {
        Self::ZERO
    }
}
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Decimal128::from(*self), f)
    }
}
impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

/// The text is no decimal number, or one of more than 34 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecimalParseError(String);

impl fmt::Display for DecimalParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a decimal has at most 34 digits, as in \"19.90\" or \"1.5E+3\"; this is {:?}", self.0)
    }
}
impl std::error::Error for DecimalParseError {}

impl FromStr for Decimal {
    type Err = DecimalParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || DecimalParseError(text.chars().take(64).collect());
        // What the BSON parser makes of longer texts costs time by their length.
        if text.len() > 128 || !text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return Err(wrong());
        }
        text.parse::<Decimal128>().map(Into::into).map_err(|_| wrong())
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            Decimal128::from(*self).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonVisitor;
        impl de::Visitor<'_> for JsonVisitor {
            type Value = Decimal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal as a string such as \"19.90\", or a whole number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                Ok(value.into())
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
                value.to_string().parse().map_err(E::custom)
            }
        }
        let deserializer = match codec::buffered(deserializer)? {
            Ok(Bson::Decimal128(value)) => return Ok(value.into()),
            Ok(Bson::Int32(value)) => return Ok(value.into()),
            Ok(Bson::Int64(value)) => return Ok(value.into()),
            Ok(Bson::Double(value)) => return Ok(Decimal::from_f64(value)),
            Ok(other) => return Err(codec::not_a("a decimal", &other)),
            Err(deserializer) => deserializer,
        };
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(JsonVisitor);
        }
        match RawBsonRef::deserialize(deserializer)? {
            RawBsonRef::Decimal128(value) => Ok(value.into()),
            // What others stored before the field was a decimal, and sums of nothing.
            RawBsonRef::Int32(value) => Ok(value.into()),
            RawBsonRef::Int64(value) => Ok(value.into()),
            RawBsonRef::Double(value) => Ok(Decimal::from_f64(value)),
            other => {
                Err(de::Error::custom(format_args!("expected a decimal, found {:?}", other.element_type())))
            }
        }
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let json = json_schema!({ "type": "string", "format": "decimal" });
        crate::schema::stored_as(generator, "decimal").unwrap_or(json)
    }
}
