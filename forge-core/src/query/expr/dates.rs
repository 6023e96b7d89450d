use bson::{Bson, Document, doc};

use super::{Expr, IntoExpr, Parts, lit};
use crate::fields::Field;
use crate::types::{Date, DateTime};

/// Types of dates.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a date", label = "only dates have parts")]
pub trait Dated {}
impl Dated for DateTime {}
impl Dated for Option<DateTime> {}
impl Dated for Date {}
impl Dated for Option<Date> {}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeUnit {
    /// A year.
    Year,
    /// Three months.
    Quarter,
    /// A month.
    Month,
    /// Seven days from Sunday on; the ISO week begins on Monday: see [`TimeUnit::IsoWeek`].
    Week,
    /// Seven days from Monday on.
    IsoWeek,
    /// A day.
    Day,
    /// An hour.
    Hour,
    /// A minute.
    Minute,
    /// A second.
    Second,
    /// A millisecond.
    Millisecond,
}

impl TimeUnit {
    /// The name in MongoDB's language.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            TimeUnit::Year => "year",
            TimeUnit::Quarter => "quarter",
            TimeUnit::Month => "month",
            TimeUnit::Week | TimeUnit::IsoWeek => "week",
            TimeUnit::Day => "day",
            TimeUnit::Hour => "hour",
            TimeUnit::Minute => "minute",
            TimeUnit::Second => "second",
            TimeUnit::Millisecond => "millisecond",
        }
    }

    fn add_to(self, form: &mut Document) {
        form.insert("unit", self.name());
        if self == TimeUnit::IsoWeek {
            form.insert("startOfWeek", "monday");
        }
    }
}

/// A date as it is in a time zone: see [`Expr::in_zone`].
#[must_use = "a date in a zone does nothing by itself"]
pub struct Zoned {
    date: Expr<DateTime>,
    zone: String,
}

impl<T: Dated> Expr<T> {
    /// The date in a time zone, by name (`"Europe/Vienna"`) or offset (`"+01:00"`). Without one it is UTC.
    pub fn in_zone(self, zone: impl Into<String>) -> Zoned {
        Zoned { date: self.cast(), zone: zone.into() }
    }

    /// The moment `amount` units later; earlier, where negative.
    pub fn later(self, amount: impl IntoExpr<i64>, unit: TimeUnit) -> Expr<T> {
        Parts::default()
            .push(self)
            .push(lit(unit.name().to_owned()))
            .push(amount.into_expr())
            .named("$dateAdd", &["startDate", "unit", "amount"])
    }

    /// How many boundaries of the unit (UTC) lie between this date and a later one.
    pub fn until(self, end: impl IntoExpr<T>, unit: TimeUnit) -> Expr<i64> {
        let end = end.into_expr();
        let mut form = doc! { "startDate": self.bson, "endDate": end.bson };
        unit.add_to(&mut form);
        Expr { problem: self.problem.or(end.problem), ..Expr::new(doc! { "$dateDiff": form }) }
    }
}

impl Zoned {
    fn form(self) -> (Document, Option<std::sync::Arc<str>>) {
        (doc! { "date": self.date.bson, "timezone": Bson::String(self.zone) }, self.date.problem)
    }

    fn part<U>(self, operator: &str) -> Expr<U> {
        let (form, problem) = self.form();
        Expr { problem, ..Expr::new(doc! { operator: form }) }
    }
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident => $operator:literal;)*) => {
        impl<T: Dated> Expr<T> {
            $($(#[$doc])*
            pub fn $name(self) -> Expr<i32> {
                self.apply($operator)
            })*
        }
        impl<M, T: Dated> Field<M, T> {
            $($(#[$doc])*
            pub fn $name(self) -> Expr<i32> {
                self.expr().apply($operator)
            })*
        }
        impl Zoned {
            $($(#[$doc])*
            pub fn $name(self) -> Expr<i32> {
                self.part($operator)
            })*
        }
    };
}
parts! {
    /// The year.
    year => "$year";
    /// The month, from 1.
    month => "$month";
    /// The day of the month, from 1.
    day => "$dayOfMonth";
    /// The day of the year, from 1.
    day_of_year => "$dayOfYear";
    /// The day of the week, from 1 for Monday to 7 for Sunday.
    weekday => "$isoDayOfWeek";
    /// The week of the ISO year, from 1.
    iso_week => "$isoWeek";
    /// The hour, from 0.
    hour => "$hour";
    /// The minute, from 0.
    minute => "$minute";
}

fn truncated(
    mut form: Document,
    problem: Option<std::sync::Arc<str>>,
    unit: TimeUnit,
    count: u32,
) -> Expr<DateTime> {
    let zone = form.remove("timezone");
    unit.add_to(&mut form);
    if count != 1 {
        form.insert("binSize", i64::from(count));
    }
    form.extend(zone.map(|zone| ("timezone".to_owned(), zone)));
    Expr { problem, ..Expr::new(doc! { "$dateTrunc": form }) }
}

impl<T: Dated> Expr<T> {
    /// The beginning of the unit (UTC) that holds the date.
    pub fn trunc(self, unit: TimeUnit) -> Expr<DateTime> {
        self.trunc_by(1, unit)
    }

    /// The beginning of the bin of `count` units (UTC) that holds the date, counted from 2000-01-01.
    pub fn trunc_by(self, count: u32, unit: TimeUnit) -> Expr<DateTime> {
        truncated(doc! { "date": self.bson }, self.problem, unit, count)
    }

    /// The date as text in a format of `%Y %m %d %H %M %S %L %j %u %V %G %b %B %z %%` (UTC).
    pub fn format(self, format: impl Into<String>) -> Expr<Option<String>> {
        let form = doc! { "date": self.bson, "format": Bson::String(format.into()) };
        Expr { problem: self.problem, ..Expr::new(doc! { "$dateToString": form }) }
    }
}

impl<M, T: Dated> Field<M, T> {
    /// The beginning of the unit (UTC) that holds the date.
    pub fn trunc(self, unit: TimeUnit) -> Expr<DateTime> {
        self.expr().trunc(unit)
    }

    /// The date in a time zone, by name (`"Europe/Vienna"`) or offset (`"+01:00"`). Without one it is UTC.
    pub fn in_zone(self, zone: impl Into<String>) -> Zoned {
        self.expr().in_zone(zone)
    }
}

impl Zoned {
    /// The beginning of the unit that holds the date in the zone.
    pub fn trunc(self, unit: TimeUnit) -> Expr<DateTime> {
        self.trunc_by(1, unit)
    }

    /// The beginning of the bin of `count` units that holds the date in the zone, counted from 2000-01-01 there.
    pub fn trunc_by(self, count: u32, unit: TimeUnit) -> Expr<DateTime> {
        let (form, problem) = self.form();
        truncated(form, problem, unit, count)
    }

    /// The date in the zone as text: see [`Expr::format`].
    pub fn format(self, format: impl Into<String>) -> Expr<Option<String>> {
        let (mut form, problem) = self.form();
        form.insert("format", Bson::String(format.into()));
        Expr { problem, ..Expr::new(doc! { "$dateToString": form }) }
    }
}
