//! Days without a time, and times without a day.

use std::fmt;
use std::str::FromStr;

use bson::Bson;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::DateTime;
use crate::codec;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// A day of the calendar: a date at midnight UTC in BSON, `"2001-01-31"` in JSON.
///
/// It is the same day everywhere, whatever the time zone of who looks at it: a birthday, not a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(time::Date);

impl Date {
    /// The day; none where there is no such day, or the year is not within 0 and 9999.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let month = time::Month::try_from(month).ok()?;
        let date = time::Date::from_calendar_date(year, month, day).ok()?;
        (0..=9999).contains(&year).then_some(Self(date))
    }

    /// The year, 0 to 9999.
    pub fn year(self) -> i32 {
        self.0.year()
    }

    /// The month, from 1.
    pub fn month(self) -> u8 {
        self.0.month().into()
    }

    /// The day of the month, from 1.
    pub fn day(self) -> u8 {
        self.0.day()
    }

    /// The moment at which the day begins in UTC.
    pub fn midnight(self) -> DateTime {
        let days = self.0.to_julian_day()
            - time::Date::from_ordinal_date(1970, 1).map_or(0, time::Date::to_julian_day);
        DateTime::from_millis(i64::from(days) * MILLIS_PER_DAY)
    }

    /// The day of a moment in UTC; none outside the years 0 to 9999.
    pub fn of(at: DateTime) -> Option<Self> {
        let at = time::OffsetDateTime::from_unix_timestamp(at.millis().div_euclid(1_000)).ok()?;
        (0..=9999).contains(&at.year()).then_some(Self(at.date()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year(), self.month(), self.day())
    }
}
impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Date({self})")
    }
}
impl From<Date> for bson::Bson {
    fn from(date: Date) -> Self {
        date.midnight().into()
    }
}

/// A time of the day, to the millisecond: milliseconds since midnight (Int32) in BSON, `"14:30:00.000"` in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i32);

impl Time {
    /// The time `millis` milliseconds after midnight; none beyond a day.
    pub fn from_millis(millis: u32) -> Option<Self> {
        i32::try_from(millis).ok().filter(|millis| i64::from(*millis) < MILLIS_PER_DAY).map(Self)
    }

    /// Hours, minutes and seconds; none where one of them is too large.
    pub fn new(hour: u8, minute: u8, second: u8) -> Option<Self> {
        (hour < 24 && minute < 60 && second < 60)
            .then(|| Self((i32::from(hour) * 3_600 + i32::from(minute) * 60 + i32::from(second)) * 1_000))
    }

    /// Milliseconds since midnight.
    pub const fn millis(self) -> u32 {
        self.0.unsigned_abs()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1_000, self.0 % 1_000);
        write!(f, "{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}
impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({self})")
    }
}
impl From<Time> for bson::Bson {
    fn from(time: Time) -> Self {
        bson::Bson::Int32(time.0)
    }
}

/// The text is no day, or no time, in ISO 8601's extended form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarParseError {
    wanted: &'static str,
    text: String,
}

impl fmt::Display for CalendarParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, not {:?}", self.wanted, self.text)
    }
}
impl std::error::Error for CalendarParseError {}

fn wrong(wanted: &'static str, text: &str) -> CalendarParseError {
    CalendarParseError { wanted, text: text.chars().take(64).collect() }
}

/// The number that exactly `width` digits make.
fn number(text: &str, width: usize) -> Option<u16> {
    (text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

impl FromStr for Date {
    type Err = CalendarParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let mut next = |width| parts.next().and_then(|part| number(part, width));
        match (next(4), next(2), next(2), parts.next()) {
            (Some(year), Some(month), Some(day), None) => Self::new(year.into(), month as u8, day as u8),
            _ => None,
        }
        .ok_or_else(|| wrong("a day is written as in \"2001-01-31\"", text))
    }
}

impl FromStr for Time {
    type Err = CalendarParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let mut parts = clock.split(':');
        let mut next = || parts.next().map(|part| number(part, 2));
        let time = match (next(), next(), next(), next()) {
            (Some(Some(hour)), Some(Some(minute)), None, None) if clock == text => {
                Self::new(hour as u8, minute as u8, 0)
            }
            (Some(Some(hour)), Some(Some(minute)), Some(Some(second)), None) => {
                Self::new(hour as u8, minute as u8, second as u8)
            }
            _ => None,
        };
        let millis =
            (1..=9).contains(&fraction.len()).then(|| number(&format!("{fraction:0<3}")[..3], 3)).flatten();
        let rest = fraction.bytes().all(|byte| byte.is_ascii_digit());
        match (time, millis) {
            (Some(Self(base)), Some(millis)) if rest => Ok(Self(base + i32::from(millis))),
            _ => Err(wrong("a time is written as in \"14:30\" or \"14:30:00.000\"", text)),
        }
    }
}

macro_rules! text_in_json {
    ($type:ident, $format:literal, $stored:ty, $write:expr, $read:expr, $buffered:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    ($write)(*self).serialize(serializer)
                }
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let deserializer = match codec::buffered(deserializer)? {
                    Ok(value) => {
                        return ($buffered)(&value).ok_or_else(|| codec::not_a($format, &value));
                    }
                    Err(deserializer) => deserializer,
                };
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    return text.parse().map_err(de::Error::custom);
                }
                let stored = <$stored>::deserialize(deserializer)?;
                ($read)(stored)
                    .ok_or_else(|| de::Error::custom(format_args!("{stored} is outside of what {} holds", $format)))
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}
text_in_json!(Date, "date", DateTime, Date::midnight, Date::of, |value: &Bson| match value {
    Bson::DateTime(at) => Date::of((*at).into()),
    _ => None,
});
text_in_json!(Time, "time", i32, |time: Time| time.0, time_of, |value: &Bson| match value {
    Bson::Int32(millis) => time_of(*millis),
    Bson::Int64(millis) => i32::try_from(*millis).ok().and_then(time_of),
    _ => None,
});

fn time_of(millis: i32) -> Option<Time> {
    u32::try_from(millis).ok().and_then(Time::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_round_trip() {
        for text in ["0000-01-01", "1969-12-31", "1970-01-01", "2000-02-29", "9999-12-31"] {
            let date: Date = text.parse().unwrap();
            assert_eq!(date.to_string(), text);
            assert_eq!(Date::of(date.midnight()), Some(date));
            assert_eq!(crate::value::from_bson::<Date>(date.into()).unwrap(), date);
            assert_eq!(crate::value::to_bson(&date).unwrap(), date.midnight().into());
        }
        for text in ["2001-02-29", "2001-1-1", "20010101", "2001-01-01T00:00:00Z", "+001-01-01", ""] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert_eq!(Date::of(DateTime::from_millis(-1)), Date::new(1969, 12, 31));
    }

    #[test]
    fn times_round_trip() {
        for (text, millis) in
            [("00:00", 0), ("14:30", 52_200_000), ("23:59:59.999", 86_399_999), ("01:02:03.5", 3_723_500)]
        {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.millis(), millis, "{text}");
            assert_eq!(time.to_string().parse(), Ok(time));
            assert_eq!(crate::value::from_bson::<Time>(time.into()).unwrap(), time);
        }
        for text in
            ["24:00", "1:00", "12:60", "12:00:60", "12:00.5", "12:00:00.", "12", "-1:00", "12:00:00.x"]
        {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        assert!(crate::value::from_bson::<Time>(bson::Bson::Int32(-1)).is_err());
    }
}
