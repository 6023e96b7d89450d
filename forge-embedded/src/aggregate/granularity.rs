//! `granularity` of `$bucketAuto`: bounds that are round numbers, of one of the series of preferred numbers.

use bson::Bson;
use forge_core::{Error, Result, order};

use crate::keys;

/// The Renard series of 40 numbers a decade (ISO 3); the coarser ones leave numbers out.
const R40: [u16; 40] = [
    100, 106, 112, 118, 125, 132, 140, 150, 160, 170, 180, 190, 200, 212, 224, 236, 250, 265, 280, 300, 315,
    335, 355, 375, 400, 425, 450, 475, 500, 530, 560, 600, 630, 670, 710, 750, 800, 850, 900, 950,
];
/// What R80 has between those of R40: the numbers that MongoDB takes for R80.
const R80: [u16; 40] = [
    103, 109, 115, 122, 128, 136, 145, 155, 165, 175, 185, 195, 206, 218, 230, 243, 258, 272, 290, 307, 325,
    345, 365, 387, 412, 437, 462, 487, 515, 545, 575, 615, 650, 690, 730, 775, 825, 875, 925, 975,
];
/// The series of 24 numbers a decade (IEC 60063); the coarser ones leave numbers out.
const E24: [u16; 24] =
    [10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91];

/// Where bounds may be.
#[derive(Debug)]
pub(super) enum Granularity {
    /// The numbers of one decade, from small to large; the others are ten times as large or small, and so on.
    Decades(Vec<f64>),
    /// The powers of two.
    Two,
}

impl Granularity {
    /// The series of this name.
    pub(super) fn named(name: &Bson) -> Result<Self> {
        let every = |numbers: &[u16], step: usize| {
            Ok(Self::Decades(numbers.iter().step_by(step).map(|number| f64::from(*number)).collect()))
        };
        match name.as_str().unwrap_or_default() {
            "R5" => every(&R40, 8),
            "R10" => every(&R40, 4),
            "R20" => every(&R40, 2),
            "R40" => every(&R40, 1),
            "R80" => every(&R80, 1),
            "1-2-5" => every(&[10, 20, 50], 1),
            "E6" => every(&E24, 4),
            "E12" => every(&E24, 2),
            "E24" => every(&E24, 1),
            "E48" => every(&e192(), 4),
            "E96" => every(&e192(), 2),
            "E192" => every(&e192(), 1),
            "POWERSOF2" => Ok(Self::Two),
            _ => Err(Error::bad_request(format!(
                "the `granularity` of `$bucketAuto` is R5, R10, R20, R40, R80, 1-2-5, E6, E12, E24, E48, E96, E192 or \
                 POWERSOF2, not {name}"
            ))),
        }
    }

    /// The nearest bound above a number; 0 stays.
    pub(super) fn above(&self, value: &Bson) -> Result<Bson> {
        let Some(number) = positive(value)? else { return Ok(value.clone()) };
        Ok(like(
            value,
            match self {
                Self::Two => 2_f64.powf(number.log2().floor() + 1.0),
                Self::Decades(decade) => above(decade, number),
            },
        ))
    }

    /// The nearest bound below a number; 0 stays.
    pub(super) fn below(&self, value: &Bson) -> Result<Bson> {
        let Some(number) = positive(value)? else { return Ok(value.clone()) };
        Ok(like(
            value,
            match self {
                Self::Two => 2_f64.powf(number.log2().ceil() - 1.0),
                Self::Decades(decade) => below(decade, number),
            },
        ))
    }
}

/// IEC 60063: the 192nd roots of ten, to three digits, with its one exception.
fn e192() -> Vec<u16> {
    let root = |place: u16| (100.0 * 10_f64.powf(f64::from(place) / 192.0)).round() as u16;
    (0..192).map(root).map(|number| if number == 919 { 920 } else { number }).collect()
}

/// None for 0.
fn positive(value: &Bson) -> Result<Option<f64>> {
    match keys::with_raw(value, order::as_f64) {
        Some(0.0) => Ok(None),
        Some(number) if number > 0.0 && number.is_finite() => Ok(Some(number)),
        _ => Err(Error::bad_request(format!(
            "`$bucketAuto` with a `granularity` groups by finite numbers from 0, not by {value}"
        ))),
    }
}

/// A decimal where the value was one.
fn like(value: &Bson, bound: f64) -> Bson {
    let decimal = || crate::update::decimal(&Bson::Double(bound));
    match value {
        Bson::Decimal128(_) => decimal().map_or(Bson::Double(bound), Bson::from),
        _ => Bson::Double(bound),
    }
}

/// The scale in which a number is at least the first of the decade, and below ten times that.
fn scale(decade: &[f64], number: f64) -> f64 {
    let (first, mut scale) = (decade.first().copied().unwrap_or(1.0), 1.0);
    while number < first * scale {
        scale /= 10.0;
    }
    while number >= first * scale * 10.0 {
        scale *= 10.0;
    }
    scale
}

fn above(decade: &[f64], number: f64) -> f64 {
    let scale = scale(decade, number);
    let next = decade.iter().map(|bound| bound * scale).find(|bound| *bound > number);
    next.unwrap_or_else(|| decade.first().map_or(number, |first| first * scale * 10.0))
}

fn below(decade: &[f64], number: f64) -> f64 {
    let scale = scale(decade, number);
    let last = decade.iter().rev().map(|bound| bound * scale).find(|bound| *bound < number);
    last.unwrap_or_else(|| decade.last().map_or(number, |last| last * scale / 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(series: &str, number: f64) -> (f64, f64) {
        let series = Granularity::named(&series.into()).unwrap();
        let double = |bound: Result<Bson>| bound.unwrap().as_f64().unwrap();
        (double(series.below(&number.into())), double(series.above(&number.into())))
    }

    #[test]
    fn bounds_are_the_next_numbers_of_the_series() {
        for (series, number, bounds) in [
            ("R5", 20.0, (16.0, 25.0)),
            ("R5", 10.0, (6.3, 16.0)),
            ("R5", 70.0, (63.0, 100.0)),
            ("R10", 0.7, (0.63, 0.8)),
            ("R20", 59.0, (56.0, 63.0)),
            ("R40", 951.0, (950.0, 1000.0)),
            ("R80", 100.0, (97.5, 103.0)),
            ("1-2-5", 50.0, (20.0, 100.0)),
            ("E6", 0.8, (0.68, 1.0)),
            ("E12", 1_000_000.0, (820_000.0, 1_200_000.0)),
            ("E24", 59.0, (56.0, 62.0)),
            ("E48", 101.0, (100.0, 105.0)),
            ("E96", 101.0, (100.0, 102.0)),
            ("E192", 915.0, (909.0, 920.0)),
            ("POWERSOF2", 64.0, (32.0, 128.0)),
            ("POWERSOF2", 0.3, (0.25, 0.5)),
        ] {
            let (low, high) = around(series, number);
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * b;
            assert!(near(low, bounds.0) && near(high, bounds.1), "{number} in {series}: {low}, {high}");
        }
    }

    #[test]
    fn nothing_that_is_no_number_has_bounds() {
        let series = Granularity::named(&"R5".into()).unwrap();
        assert_eq!(series.above(&Bson::Int32(0)).unwrap(), Bson::Int32(0));
        for wrong in [Bson::Int32(-1), Bson::Double(f64::NAN), "1".into(), Bson::Null] {
            assert!(series.above(&wrong).is_err(), "{wrong}");
        }
        assert!(Granularity::named(&"R6".into()).is_err());
    }
}
