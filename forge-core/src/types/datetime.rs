use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::codec;

/// A moment, in milliseconds since 1970-01-01 UTC: a date in BSON, RFC 3339 in UTC with milliseconds in JSON.
///
/// ```
/// use forge_core::DateTime;
///
/// let at: DateTime = "2001-01-01T00:47:00+01:00".parse()?;
/// assert_eq!(at.to_string(), "2000-12-31T23:47:00.000Z");
/// # Ok::<(), forge_core::types::DateTimeParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(i64);

impl DateTime {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: DateTime = DateTime(0);

    /// The moment `millis` milliseconds after (before, where negative) the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This moment plus `duration`, at millisecond precision; saturates at the ends of the range.
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000) else {
            // Outside the years that RFC 3339 can write; only a hand-made document holds such a date.
            return write!(f, "{} ms since 1970-01-01T00:00:00Z", self.0);
        };
        let (date, time) = (at.date(), at.time());
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let (hour, minute, second, milli) = time.as_hms_milli();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl fmt::Debug for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DateTime({self})")
    }
}

/// The text is not an RFC 3339 date and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTimeParseError(String);

impl fmt::Display for DateTimeParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a date is RFC 3339, as in \"2001-01-01T00:47:00Z\", not {:?}", self.0)
    }
}
impl std::error::Error for DateTimeParseError {}

impl FromStr for DateTime {
    type Err = DateTimeParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|at| DateTime((at.unix_timestamp_nanos().div_euclid(1_000_000)) as i64))
            .map_err(|_| DateTimeParseError(text.chars().take(64).collect()))
    }
}

impl From<DateTime> for bson::DateTime {
    fn from(at: DateTime) -> Self {
        bson::DateTime::from_millis(at.0)
    }
}
impl From<bson::DateTime> for DateTime {
    fn from(at: bson::DateTime) -> Self {
        Self(at.timestamp_millis())
    }
}
impl From<DateTime> for bson::Bson {
    fn from(at: DateTime) -> Self {
        bson::Bson::DateTime(at.into())
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_newtype_struct(codec::DATE, &Stored(self.0))
        }
    }
}

/// As the codec takes it: the milliseconds. Every other binary format gets the form of `bson`.
struct Stored(i64);

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_i64(self.0)
        } else {
            bson::DateTime::from_millis(self.0).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl de::Visitor<'_> for TextVisitor {
            type Value = DateTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 date such as \"2001-01-01T00:47:00Z\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<DateTime, E> {
                text.parse().map_err(E::custom)
            }
        }
        struct StoredVisitor;
        impl<'de> de::Visitor<'de> for StoredVisitor {
            type Value = DateTime;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date")
            }
            fn visit_i64<E: de::Error>(self, millis: i64) -> Result<DateTime, E> {
                Ok(DateTime(millis))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<DateTime, D::Error> {
                bson::DateTime::deserialize(inner).map(Into::into)
            }
        }
        let deserializer = match codec::buffered(deserializer)? {
            Ok(bson::Bson::DateTime(at)) => return Ok(at.into()),
            Ok(other) => return Err(codec::not_a("a date", &other)),
            Err(deserializer) => deserializer,
        };
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(TextVisitor)
        } else {
            deserializer.deserialize_newtype_struct(codec::DATE, StoredVisitor)
        }
    }
}

impl JsonSchema for DateTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DateTime".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let json = json_schema!({ "type": "string", "format": "date-time" });
        crate::schema::stored_as(generator, "date").unwrap_or(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_over_the_whole_range_of_years() {
        for millis in [0, -1, 1, 978_310_020_000, -62_135_596_800_000, 253_402_300_799_999] {
            let at = DateTime::from_millis(millis);
            assert_eq!(at.to_string().parse::<DateTime>(), Ok(at), "{at}");
        }
    }

    #[test]
    fn offsets_and_fractions_are_understood() {
        let expected = DateTime::from_millis(978_306_420_123);
        for text in
            ["2000-12-31T23:47:00.123Z", "2001-01-01T00:47:00.1239+01:00", "2000-12-31t18:17:00.123-05:30"]
        {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "2001",
            "2001-02-29T00:00:00Z",
            "2001-01-01T24:00:00Z",
            "2001-01-01T00:00:00",
            "2001-01-01T00:00:00.Z",
            "2001-01-01T00:00:00Zx",
            "٢٠٠١-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<DateTime>().is_err(), "{text}");
        }
    }
}
