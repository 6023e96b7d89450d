use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A whole number of 64 bits that survives JavaScript: Int64 in BSON, a string of digits in JSON.
///
/// A plain `i64` is a number in JSON. Its digits are exact on the wire, but JavaScript reads numbers beyond ±2⁵³ as the
/// nearest double. Where such values occur (counters of other systems, snowflake ids), use this.
///
/// ```
/// use forge_core::Int64;
///
/// assert_eq!(serde_json::to_string(&Int64(9_007_199_254_740_993)).unwrap(), "\"9007199254740993\"");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Int64(pub i64);

impl From<i64> for Int64 {
    fn from(value: i64) -> Self {
        Self(value)
    }
}
impl From<Int64> for i64 {
    fn from(value: Int64) -> Self {
        value.0
    }
}
impl From<Int64> for bson::Bson {
    fn from(value: Int64) -> Self {
        bson::Bson::Int64(value.0)
    }
}
impl fmt::Display for Int64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl FromStr for Int64 {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonVisitor;
        impl de::Visitor<'_> for JsonVisitor {
            type Value = Int64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of 64 bits as a string of digits, or as a number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int64, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Int64, E> {
                Ok(Int64(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Int64, E> {
                i64::try_from(value)
                    .map(Int64)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(JsonVisitor)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

impl JsonSchema for Int64 {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Int64".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let json = json_schema!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$" });
        crate::schema::stored_as(generator, "long").unwrap_or(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_numbers_survive_both_ways() {
        for value in [i64::MIN, -1, 0, (1 << 53) + 1, i64::MAX] {
            let text = serde_json::to_string(&Int64(value)).unwrap();
            assert_eq!(text, format!("\"{value}\""));
            assert_eq!(serde_json::from_str::<Int64>(&text).unwrap(), Int64(value));
            assert_eq!(crate::value::to_bson(&Int64(value)).unwrap(), bson::Bson::Int64(value));
        }
        assert_eq!(serde_json::from_str::<Int64>("7").unwrap(), Int64(7));
        for text in ["\"9223372036854775808\"", "9223372036854775808", "1.5", "\"1.5\"", "\"\""] {
            assert!(serde_json::from_str::<Int64>(text).is_err(), "{text}");
        }
    }
}
