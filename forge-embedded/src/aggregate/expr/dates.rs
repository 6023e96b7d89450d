//! Operators on dates.

use std::borrow::Cow;
use std::fmt::Write as _;

use bson::{Bson, doc};
use forge_core::{Error, Result};
use jiff::{Timestamp, Zoned};

use super::zones::{TimeUnit, difference, local, out_of_range, shift, truncate, zone};
use super::{Apply, Named, Nulls, Operator, Value, argument, is_nothing, text, whole};

pub(super) static OPERATORS: [Operator; 2] = [
    Operator {
        name: "$tsSecond",
        least: 1,
        most: 1,
        nulls: Nulls::Null,
        apply: Apply::Alone(|values| {
            timestamp(argument(values, 0)).map(|at| Some(Bson::Int64(at.time.into())))
        }),
    },
    Operator {
        name: "$tsIncrement",
        least: 1,
        most: 1,
        nulls: Nulls::Null,
        apply: Apply::Alone(|values| {
            timestamp(argument(values, 0)).map(|at| Some(Bson::Int64(at.increment.into())))
        }),
    },
];

fn timestamp(value: &Bson) -> Result<bson::Timestamp> {
    match value {
        Bson::Timestamp(at) => Ok(*at),
        other => Err(Error::bad_request(format!("a timestamp is due, not {other}"))),
    }
}

macro_rules! parts {
    ($($name:literal => $part:expr;)*) => {
        [$(Named {
            name: $name,
            parameters: &["date", "timezone?"],
            apply: Apply::Alone(|values| match at(values)? {
                Some(at) => Ok(Some(($part)(&at))),
                None => Ok(Some(Bson::Null)),
            }),
        }),*]
    };
}

/// Parts of a date in a time zone. They take the date itself as well.
static PARTS: [Named; 13] = parts! {
    "$year" => |at: &Zoned| Bson::Int32(at.year().into());
    "$month" => |at: &Zoned| Bson::Int32(at.month().into());
    "$dayOfMonth" => |at: &Zoned| Bson::Int32(at.day().into());
    "$dayOfYear" => |at: &Zoned| Bson::Int32(at.day_of_year().into());
    "$dayOfWeek" => |at: &Zoned| Bson::Int32(at.weekday().to_sunday_one_offset().into());
    "$isoDayOfWeek" => |at: &Zoned| Bson::Int32(at.weekday().to_monday_one_offset().into());
    "$week" => |at: &Zoned| Bson::Int32(week(at));
    "$isoWeek" => |at: &Zoned| Bson::Int32(at.date().iso_week_date().week().into());
    "$isoWeekYear" => |at: &Zoned| Bson::Int64(at.date().iso_week_date().year().into());
    "$hour" => |at: &Zoned| Bson::Int32(at.hour().into());
    "$minute" => |at: &Zoned| Bson::Int32(at.minute().into());
    "$second" => |at: &Zoned| Bson::Int32(at.second().into());
    "$millisecond" => |at: &Zoned| Bson::Int32(at.millisecond().into());
};

/// The operator on a part of a date.
pub(super) fn part(operator: &str) -> Option<&'static Named> {
    PARTS.iter().find(|part| part.name == operator)
}

/// The operand of a part as arguments with names.
pub(super) fn part_operand(operand: &Bson) -> Cow<'_, Bson> {
    match operand {
        Bson::Document(form) if form.contains_key("date") => Cow::Borrowed(operand),
        Bson::Array(list) if list.len() == 1 => Cow::Owned(doc! { "date": list[0].clone() }.into()),
        other => Cow::Owned(doc! { "date": other.clone() }.into()),
    }
}

/// Weeks begin on Sunday; days before the first one are in week 0.
fn week(at: &Zoned) -> i32 {
    (i32::from(at.day_of_year()) + 6 - i32::from(at.weekday().to_sunday_zero_offset())) / 7
}

pub(super) static NAMED: [Named; 8] = [
    Named {
        name: "$dateTrunc",
        parameters: &["date", "unit", "binSize?", "timezone?", "startOfWeek?"],
        apply: Apply::Alone(|values| {
            if values.iter().any(is_null) {
                return Ok(Some(Bson::Null));
            }
            let Some(at) = moment(&values[0])? else { return Ok(Some(Bson::Null)) };
            let unit = TimeUnit::parse_from(argument(values, 1), &values[4])?;
            let size = values[2].as_ref().map_or(Ok(1), whole)?;
            if size < 1 {
                return Err(Error::bad_request("`binSize` is a whole number from 1"));
            }
            date(truncate(at, unit, size, &zone(&values[3])?)?)
        }),
    },
    Named {
        name: "$dateAdd",
        parameters: &["startDate", "unit", "amount", "timezone?"],
        apply: Apply::Alone(|v| add(v, 1)),
    },
    Named {
        name: "$dateSubtract",
        parameters: &["startDate", "unit", "amount", "timezone?"],
        apply: Apply::Alone(|v| add(v, -1)),
    },
    Named {
        name: "$dateDiff",
        parameters: &["startDate", "endDate", "unit", "timezone?", "startOfWeek?"],
        apply: Apply::Alone(|values| {
            if values.iter().any(is_null) {
                return Ok(Some(Bson::Null));
            }
            let (Some(start), Some(end)) = (moment(&values[0])?, moment(&values[1])?) else {
                return Ok(Some(Bson::Null));
            };
            let unit = TimeUnit::parse_from(argument(values, 2), &values[4])?;
            Ok(Some(Bson::Int64(difference(start, end, unit, &zone(&values[3])?)?)))
        }),
    },
    Named {
        name: "$dateToString",
        parameters: &["date", "format?", "timezone?", "onNull?"],
        apply: Apply::Alone(|values| {
            let on_null = || values[3].clone().or(Some(Bson::Null));
            let Some(millis) = moment(&values[0])? else { return Ok(on_null()) };
            if values[1..3].iter().any(is_null) {
                return Ok(Some(Bson::Null));
            }
            let format = match &values[1] {
                Some(format) => text(format)?,
                None if values[2].is_none() => "%Y-%m-%dT%H:%M:%S.%LZ",
                None => "%Y-%m-%dT%H:%M:%S.%L",
            };
            Ok(Some(formatted(&local(millis, &zone(&values[2])?)?, format)?.into()))
        }),
    },
    Named {
        name: "$dateFromString",
        parameters: &["dateString", "format?", "timezone?", "onError?", "onNull?"],
        apply: Apply::Alone(|values| {
            if is_nothing(&values[0]) {
                return Ok(values[4].clone().or(Some(Bson::Null)));
            }
            let format = values[1].as_ref().map(text).transpose()?;
            let parsed =
                text(argument(values, 0)).and_then(|text| from_text(text, format, values[2].as_ref()));
            match (parsed, &values[3]) {
                (Err(_), Some(value)) => Ok(Some(value.clone())),
                (parsed, _) => parsed.map(Some),
            }
        }),
    },
    Named {
        name: "$dateToParts",
        parameters: &["date", "timezone?", "iso8601?"],
        apply: Apply::Alone(|values| {
            let Some(at) = at(&values[..2])? else { return Ok(Some(Bson::Null)) };
            let mut out = if super::truthy(values[2].as_ref()) {
                let iso = at.date().iso_week_date();
                doc! {
                    "isoWeekYear": i32::from(iso.year()),
                    "isoWeek": i32::from(iso.week()),
                    "isoDayOfWeek": i32::from(iso.weekday().to_monday_one_offset()),
                }
            } else {
                doc! { "year": i32::from(at.year()), "month": i32::from(at.month()), "day": i32::from(at.day()) }
            };
            out.extend(doc! {
                "hour": i32::from(at.hour()),
                "minute": i32::from(at.minute()),
                "second": i32::from(at.second()),
                "millisecond": i32::from(at.millisecond()),
            });
            Ok(Some(out.into()))
        }),
    },
    Named {
        name: "$dateFromParts",
        parameters: &["year", "month?", "day?", "hour?", "minute?", "second?", "millisecond?", "timezone?"],
        apply: Apply::Alone(from_parts),
    },
];

fn is_null(value: &Value) -> bool {
    matches!(value, Some(Bson::Null | Bson::Undefined))
}

/// The milliseconds of what can stand for a date; none of nothing.
fn moment(value: &Value) -> Result<Option<i64>> {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(None),
        Some(Bson::DateTime(at)) => Ok(Some(at.timestamp_millis())),
        Some(Bson::ObjectId(id)) => Ok(Some(id.timestamp().timestamp_millis())),
        Some(Bson::Timestamp(at)) => Ok(Some(i64::from(at.time) * 1_000)),
        Some(other) => Err(Error::bad_request(format!("a date is due, not {other}"))),
    }
}

/// The first argument in the time zone of the second; none where one of them is null.
fn at(values: &[Value]) -> Result<Option<Zoned>> {
    if is_null(&values[1]) {
        return Ok(None);
    }
    moment(&values[0])?.map(|millis| local(millis, &zone(&values[1])?)).transpose()
}

fn date(millis: i64) -> Result<Value> {
    Ok(Some(Bson::DateTime(bson::DateTime::from_millis(millis))))
}

fn add(values: &[Value], sign: i64) -> Result<Value> {
    if values.iter().any(is_null) {
        return Ok(Some(Bson::Null));
    }
    let Some(start) = moment(&values[0])? else { return Ok(Some(Bson::Null)) };
    let amount = whole(argument(values, 2))?.checked_mul(sign).ok_or_else(out_of_range)?;
    date(shift(start, TimeUnit::parse(argument(values, 1))?, amount, &zone(&values[3])?)?)
}

fn from_parts(values: &[Value]) -> Result<Value> {
    if values.iter().any(is_null) {
        return Ok(Some(Bson::Null));
    }
    let zone = zone(&values[7])?;
    let part = |at: usize, otherwise: i64| values[at].as_ref().map_or(Ok(otherwise), whole);
    let year = i16::try_from(part(0, 0)?).ok().filter(|year| (1..=9999).contains(year));
    let year = year.ok_or_else(|| Error::bad_request("`year` is within 1 and 9999"))?;
    let start = jiff::civil::date(year, 1, 1).to_zoned(zone.clone()).map_err(|_| out_of_range())?;
    // Parts beyond their range carry over: month 14 is February of the next year.
    let mut millis = start.timestamp().as_millisecond();
    let day = TimeUnit::Day;
    millis = shift(millis, TimeUnit::Months(1), part(1, 1)? - 1, &zone)?;
    millis = shift(millis, day, part(2, 1)? - 1, &zone)?;
    let clock = part(3, 0)? * 3_600_000 + part(4, 0)? * 60_000 + part(5, 0)? * 1_000 + part(6, 0)?;
    date(shift(millis, TimeUnit::Millis(1), clock, &zone)?)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn formatted(at: &Zoned, format: &str) -> Result<String> {
    let mut out = String::with_capacity(format.len() + 8);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let iso = at.date().iso_week_date();
        let month = MONTHS[usize::from(at.month().unsigned_abs()).clamp(1, 12) - 1];
        let offset = at.offset().seconds() / 60;
        // Writing into a string cannot fail.
        let _ = match chars.next() {
            Some('%') => write!(out, "%"),
            Some('Y') => write!(out, "{:04}", at.year()),
            Some('G') => write!(out, "{:04}", iso.year()),
            Some('m') => write!(out, "{:02}", at.month()),
            Some('b') => write!(out, "{}", &month[..3]),
            Some('B') => write!(out, "{month}"),
            Some('d') => write!(out, "{:02}", at.day()),
            Some('j') => write!(out, "{:03}", at.day_of_year()),
            Some('H') => write!(out, "{:02}", at.hour()),
            Some('M') => write!(out, "{:02}", at.minute()),
            Some('S') => write!(out, "{:02}", at.second()),
            Some('L') => write!(out, "{:03}", at.millisecond()),
            Some('u') => write!(out, "{}", at.weekday().to_monday_one_offset()),
            Some('w') => write!(out, "{}", at.weekday().to_sunday_one_offset()),
            Some('U') => write!(out, "{:02}", week(at)),
            Some('V') => write!(out, "{:02}", iso.week()),
            Some('Z') => write!(out, "{offset}"),
            Some('z') => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(out, "{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60)
            }
            other => {
                return Err(Error::bad_request(format!(
                    "the format {format:?} has an unknown `%{}`",
                    other.map(String::from).unwrap_or_default()
                )));
            }
        };
    }
    Ok(out)
}

/// The parts of a date that were read from a text.
#[derive(Default)]
struct Reading {
    year: i64,
    month: i64,
    day: i64,
    millis: i64,
    offset: Option<i64>,
}

/// The date that a text is, in a format or in ISO 8601; the zone is that of texts without an offset.
pub(super) fn from_text(source: &str, format: Option<&str>, timezone: Option<&Bson>) -> Result<Bson> {
    let wrong = || {
        Error::bad_request(format!(
            "{source:?} is no date{}",
            format.map_or(String::new(), |f| format!(" as {f:?}"))
        ))
    };
    let reading = match format {
        Some(format) => read(source, format),
        None => ["%Y-%m-%dT%H:%M:%S.%L%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%d"]
            .iter()
            .find_map(|format| read(&source.replacen(' ', "T", 1), format)),
    };
    let reading = reading.ok_or_else(wrong)?;
    let year = i16::try_from(reading.year).map_err(|_| wrong())?;
    let day = jiff::civil::Date::new(year, reading.month as i8, reading.day as i8).map_err(|_| wrong())?;
    let timezone = timezone.filter(|zone| !matches!(zone, Bson::Null)).cloned();
    let millis = match reading.offset {
        Some(_) if timezone.is_some() => {
            return Err(Error::bad_request("the text has an offset of its own beside `timezone`"));
        }
        Some(minutes) => {
            let start = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
            start.timestamp().as_millisecond() + reading.millis - minutes * 60_000
        }
        None => {
            let start = day.to_datetime(jiff::civil::Time::midnight());
            let clock = jiff::SignedDuration::from_millis(reading.millis);
            let at = start.checked_add(clock).map_err(|_| wrong())?;
            at.to_zoned(zone(&timezone)?).map_err(|_| wrong())?.timestamp().as_millisecond()
        }
    };
    Timestamp::from_millisecond(millis).map_err(|_| wrong())?;
    Ok(Bson::DateTime(bson::DateTime::from_millis(millis)))
}

fn read(source: &str, format: &str) -> Option<Reading> {
    let mut reading = Reading { year: 1970, month: 1, day: 1, ..Reading::default() };
    let mut rest = source;
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            rest = rest.strip_prefix(c)?;
            continue;
        }
        match chars.next()? {
            '%' => rest = rest.strip_prefix('%')?,
            'Y' => reading.year = digits(&mut rest, 4, 4)?,
            'm' => reading.month = digits(&mut rest, 1, 2)?,
            'd' => reading.day = digits(&mut rest, 1, 2)?,
            'H' => reading.millis += digits(&mut rest, 1, 2).filter(|hour| *hour < 24)? * 3_600_000,
            'M' => reading.millis += digits(&mut rest, 1, 2).filter(|minute| *minute < 60)? * 60_000,
            'S' => reading.millis += digits(&mut rest, 1, 2).filter(|second| *second < 60)? * 1_000,
            'L' => {
                let before = rest.len();
                let fraction = digits(&mut rest, 1, 9)?;
                let width = (before - rest.len()) as u32;
                reading.millis += fraction * 1_000 / 10_i64.pow(width);
            }
            'b' | 'B' => {
                let name = |month: &&str| {
                    rest.len() >= 3
                        && rest.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(&month[..3]))
                };
                let at = MONTHS.iter().position(name)?;
                let full = MONTHS[at];
                let whole_name = rest.get(..full.len()).is_some_and(|start| start.eq_ignore_ascii_case(full));
                rest = &rest[if whole_name { full.len() } else { 3 }..];
                reading.month = at as i64 + 1;
            }
            'z' => reading.offset = offset(&mut rest)?,
            'Z' => {
                let sign = if rest.starts_with('-') { -1 } else { 1 };
                rest = rest.trim_start_matches(['+', '-']);
                reading.offset = Some(sign * digits(&mut rest, 1, 4)?);
            }
            _ => return None,
        }
    }
    rest.is_empty().then_some(reading)
}

/// An offset in minutes: `Z`, `+01:00`, `-0530`, `+01`; none at the end of the text.
#[allow(clippy::option_option, reason = "no offset is not a malformed one")]
fn offset(rest: &mut &str) -> Option<Option<i64>> {
    if rest.is_empty() {
        return Some(None);
    }
    if let Some(after) = rest.strip_prefix(['Z', 'z']) {
        *rest = after;
        return Some(Some(0));
    }
    let sign = match rest.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let hours = digits(rest, 2, 2)?;
    *rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = if rest.is_empty() { 0 } else { digits(rest, 2, 2)? };
    Some(Some(sign * (hours * 60 + minutes)))
}

/// A number of `least` to `most` digits at the beginning.
fn digits(rest: &mut &str, least: usize, most: usize) -> Option<i64> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let number = (count >= least).then(|| rest[..count].parse().ok()).flatten()?;
    *rest = &rest[count..];
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Bson {
        from_text(text, None, None).unwrap()
    }

    #[test]
    fn texts_are_dates_in_iso_8601_with_or_without_time_and_offset() {
        let noon = at("2024-02-29T12:00:00.000Z");
        for text in
            ["2024-02-29T12:00:00Z", "2024-02-29 12:00", "2024-02-29T13:00:00+01:00", "2024-02-29T06:30-0530"]
        {
            assert_eq!(at(text), noon, "{text}");
        }
        for text in ["", "2024", "2023-02-29", "2024-02-29T24:00", "2024-02-29T12:00:00+1", "x"] {
            assert!(from_text(text, None, None).is_err(), "{text}");
        }
    }
}
