//! Moments in time zones, and units of time.

use bson::Bson;
use forge_core::{Error, Result};
use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, Zoned};

use super::{Value, text};

pub(super) const DAY: i64 = 86_400_000;

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aggregate) enum TimeUnit {
    /// So many months: a month, a quarter, a year.
    Months(i64),
    /// Weeks that begin on a day.
    Week(Weekday),
    /// Days of the calendar.
    Day,
    /// So many milliseconds: an hour, a minute, a second, a millisecond.
    Millis(i64),
}

impl TimeUnit {
    /// Reads the name of a unit.
    pub(in crate::aggregate) fn parse(value: &Bson) -> Result<Self> {
        Self::parse_from(value, &None)
    }

    pub(super) fn parse_from(value: &Bson, week_start: &Value) -> Result<Self> {
        Ok(match value.as_str().unwrap_or_default() {
            "year" => Self::Months(12),
            "quarter" => Self::Months(3),
            "month" => Self::Months(1),
            "week" => Self::Week(weekday(week_start)?),
            "day" => Self::Day,
            "hour" => Self::Millis(3_600_000),
            "minute" => Self::Millis(60_000),
            "second" => Self::Millis(1_000),
            "millisecond" => Self::Millis(1),
            _ => {
                return Err(Error::bad_request(format!(
                    "a unit is year, quarter, month, week, day, hour, minute, second or millisecond, not {value}"
                )));
            }
        })
    }

    /// Milliseconds, of units that always have as many.
    pub(in crate::aggregate) fn millis(self) -> Option<i64> {
        match self {
            Self::Months(_) => None,
            Self::Week(_) => Some(7 * DAY),
            Self::Day => Some(DAY),
            Self::Millis(millis) => Some(millis),
        }
    }
}

fn weekday(value: &Value) -> Result<Weekday> {
    let Some(value) = value else { return Ok(Weekday::Sunday) };
    let name = text(value)?.to_ascii_lowercase();
    Ok(match name.get(..3).unwrap_or_default() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return Err(Error::bad_request(format!("`startOfWeek` is a day of the week, not {value}"))),
    })
}

/// The time zone of that name (`"Europe/Vienna"`) or offset (`"+01:00"`, `"-0530"`, `"+01"`); UTC without one.
pub(super) fn zone(value: &Value) -> Result<TimeZone> {
    let Some(value) = value else { return Ok(TimeZone::UTC) };
    let name = text(value)?;
    if matches!(name, "UTC" | "GMT" | "Z") {
        return Ok(TimeZone::UTC);
    }
    let unknown =
        || Error::bad_request(format!("{name:?} is no time zone; one is \"Europe/Vienna\" or \"+01:00\""));
    if let Some((sign, digits)) = offset_parts(name) {
        let number = |range: std::ops::Range<usize>| {
            digits.get(range).map_or(Some(0), |part| part.parse::<i32>().ok())
        };
        let hours = number(0..2).ok_or_else(unknown)?;
        let minutes = number(2..4).ok_or_else(unknown)?;
        let offset = Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).map_err(|_| unknown())?;
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| unknown())
}

/// The sign and the two or four digits of an offset.
fn offset_parts(name: &str) -> Option<(i32, String)> {
    let (sign, rest) = match name.as_bytes().first()? {
        b'+' => (1, &name[1..]),
        b'-' => (-1, &name[1..]),
        _ => return None,
    };
    let digits = rest.replacen(':', "", 1);
    (matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some((sign, digits))
}

/// The moment in a time zone.
///
/// # Errors
/// `bad_request` outside of the years −9999 to 9999.
pub(super) fn local(millis: i64, zone: &TimeZone) -> Result<Zoned> {
    Timestamp::from_millisecond(millis).map(|at| at.to_zoned(zone.clone())).map_err(|_| out_of_range())
}

pub(super) fn out_of_range() -> Error {
    Error::bad_request("the date is outside of the years -9999 to 9999")
}

/// The moment of local midnight of a day, or of what comes first after it where the clock is put forward then.
fn midnight(date: Date, zone: &TimeZone) -> Result<i64> {
    let start = date.to_zoned(zone.clone()).map_err(|_| out_of_range())?;
    Ok(start.timestamp().as_millisecond())
}

/// The day `days` days after another one.
fn later(date: Date, days: i64) -> Result<Date> {
    let span = Span::new().try_days(days).map_err(|_| out_of_range())?;
    date.checked_add(span).map_err(|_| out_of_range())
}

fn months_of(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

fn first_of_month(months: i64) -> Result<Date> {
    let year = i16::try_from(months.div_euclid(12)).map_err(|_| out_of_range())?;
    Date::new(year, (months.rem_euclid(12) + 1) as i8, 1).map_err(|_| out_of_range())
}

fn day_number(date: Date) -> i64 {
    let epoch = jiff::civil::date(2000, 1, 1);
    epoch.until(date).map_or(0, |span| i64::from(span.get_days()))
}

/// 2000-01-01, or the first day of a week from then on.
fn first_week(start: Weekday) -> i64 {
    // That day was a Saturday.
    i64::from(Weekday::Saturday.until(start))
}

fn local_millis(at: &Zoned) -> i64 {
    at.timestamp().as_millisecond() + i64::from(at.offset().seconds()) * 1_000
}

/// The beginning of the bin of `size` units, counted from 2000-01-01 in the zone, that holds the moment.
pub(super) fn truncate(millis: i64, unit: TimeUnit, size: i64, zone: &TimeZone) -> Result<i64> {
    let at = local(millis, zone)?;
    let floor = |value: i64, step: i64| value.div_euclid(step) * step;
    match unit {
        TimeUnit::Months(months) => {
            let base = 2000 * 12;
            let step = months.checked_mul(size).ok_or_else(out_of_range)?;
            midnight(first_of_month(base + floor(months_of(at.date()) - base, step))?, zone)
        }
        TimeUnit::Week(start) => {
            let base = first_week(start);
            let days =
                base + floor(day_number(at.date()) - base, size.checked_mul(7).ok_or_else(out_of_range)?);
            midnight(later(jiff::civil::date(2000, 1, 1), days)?, zone)
        }
        TimeUnit::Day => {
            let days = floor(day_number(at.date()), size);
            midnight(later(jiff::civil::date(2000, 1, 1), days)?, zone)
        }
        TimeUnit::Millis(length) => {
            const BASE: i64 = 946_684_800_000;
            let step = length.checked_mul(size).ok_or_else(out_of_range)?;
            let local = local_millis(&at);
            Ok(millis - (local - BASE).rem_euclid(step))
        }
    }
}

/// How many boundaries of the unit lie between two moments.
pub(super) fn difference(start: i64, end: i64, unit: TimeUnit, zone: &TimeZone) -> Result<i64> {
    let (a, b) = (local(start, zone)?, local(end, zone)?);
    Ok(match unit {
        TimeUnit::Months(months) => {
            months_of(b.date()).div_euclid(months) - months_of(a.date()).div_euclid(months)
        }
        TimeUnit::Week(day) => {
            let week = |date: Date| (day_number(date) - first_week(day)).div_euclid(7);
            week(b.date()) - week(a.date())
        }
        TimeUnit::Day => day_number(b.date()) - day_number(a.date()),
        TimeUnit::Millis(length) => {
            // Hours that the clock was put forward or back are no hours that passed.
            let offset = i64::from(a.offset().seconds()) * 1_000;
            (end + offset).div_euclid(length) - (start + offset).div_euclid(length)
        }
    })
}

/// The moment `amount` units later; months and days keep the time of the clock.
pub(super) fn shift(millis: i64, unit: TimeUnit, amount: i64, zone: &TimeZone) -> Result<i64> {
    let at = local(millis, zone)?;
    let product = |factor: i64| amount.checked_mul(factor).ok_or_else(out_of_range);
    let span = match unit {
        TimeUnit::Months(months) => Span::new().try_months(product(months)?),
        TimeUnit::Week(_) => Span::new().try_days(product(7)?),
        TimeUnit::Day => Span::new().try_days(amount),
        TimeUnit::Millis(length) => Span::new().try_milliseconds(product(length)?),
    };
    let later = span.and_then(|span| at.checked_add(span)).map_err(|_| out_of_range())?;
    Ok(later.timestamp().as_millisecond())
}

/// As [`shift`], in UTC.
pub(in crate::aggregate) fn shift_utc(millis: i64, unit: TimeUnit, amount: i64) -> Result<i64> {
    shift(millis, unit, amount, &TimeZone::UTC)
}
