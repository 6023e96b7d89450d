//! Conditions of search indexes on values that are no words: numbers, dates, places, whole texts.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use bson::Bson;
use serde::Serialize;

use super::Search;
use crate::error::{Error, Result};
use crate::fields::{Field, Place};
use crate::ir::{Area, RangeEnd, SearchOperator};
use crate::types::{DateTime, GeoPoint, GeoPolygon};
use crate::value::{IntoValue, to_bson};

/// Types of fields whose values are near to each other or far away.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no distances",
    label = "only numbers, DateTime, GeoPoint and options of them have this"
)]
pub trait Distant {
    /// A distance: a number, a [`Duration`], metres.
    type Distance;
    #[doc(hidden)]
    fn measured(distance: Self::Distance) -> f64;
}

macro_rules! distant {
    ($($type:ty: $distance:ty, $measured:expr;)+) => {
        $(impl Distant for $type {
            type Distance = $distance;
            fn measured(distance: $distance) -> f64 {
                $measured(distance)
            }
        })+
    };
}
distant! {
    i32: f64, f64::from;
    u32: f64, f64::from;
    i64: f64, f64::from;
    f64: f64, f64::from;
    GeoPoint: f64, f64::from;
    DateTime: Duration, |distance: Duration| distance.as_secs_f64() * 1_000.0;
}

impl<T: Distant> Distant for Option<T> {
    type Distance = T::Distance;
    fn measured(distance: T::Distance) -> f64 {
        T::measured(distance)
    }
}

impl<M> Search<M> {
    /// Exactly one of `values`; an empty list finds nothing.
    pub fn is_in<T: Serialize + 'static, V: IntoValue<T>>(
        field: Field<M, T>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(|value| to_bson(&value.into_value())).collect::<Result<Vec<_>>>();
        Self::attempt(values.map(|values| SearchOperator::In { path: field.path().into(), values }))
    }

    /// A number, a date, an object id or a whole text in a range: `Search::range(p.year, 2000..2010)`.
    pub fn range<T: Serialize + 'static, V: IntoValue<T> + Clone>(
        field: Field<M, T>,
        range: impl RangeBounds<V>,
    ) -> Self {
        let ends = end(range.start_bound()).and_then(|low| Ok((low, end(range.end_bound())?)));
        Self::attempt(ends.and_then(|(low, high)| {
            if low.is_none() && high.is_none() {
                return Err(Error::bad_request(format!("the range of `{}` has no end", field.path())));
            }
            Ok(SearchOperator::Range { path: field.path().into(), low, high })
        }))
    }

    /// Documents with any value; the nearer it is to `origin`, the more it counts: all at `origin`, half at the distance
    /// `half`. Distances of numbers are numbers, of dates a [`Duration`], of places metres.
    pub fn near<T: Distant + Serialize + 'static>(
        field: Field<M, T>,
        origin: impl IntoValue<T>,
        half: T::Distance,
    ) -> Self {
        let pivot = T::measured(half);
        let near = to_bson(&origin.into_value()).and_then(|origin| match origin {
            Bson::Null => {
                Err(Error::bad_request(format!("there is nothing to be near to in `{}`", field.path())))
            }
            _ if !pivot.is_finite() || pivot <= 0.0 => Err(Error::bad_request(format!(
                "the distance at which `{}` counts half is above 0",
                field.path()
            ))),
            origin => Ok(SearchOperator::Near { path: field.path().into(), origin, pivot }),
        });
        Self::attempt(near)
    }

    /// Within `metres` of `centre`.
    pub fn within_circle<T: Place>(field: Field<M, T>, centre: GeoPoint, metres: f64) -> Self {
        let (path, centre) = (field.path().into(), [centre.longitude(), centre.latitude()]);
        Self::attempt(match metres >= 0.0 && metres.is_finite() {
            true => Ok(SearchOperator::WithinCircle { path, centre, metres }),
            false => Err(Error::bad_request(format!("the radius of a circle is {metres} metres"))),
        })
    }

    /// Inside of `area`.
    pub fn within_polygon<T: Place>(field: Field<M, T>, area: GeoPolygon) -> Self {
        Self::within(field, Area::Polygon(area))
    }

    /// Between the parallels and meridians of two corners.
    pub fn within_box<T: Place>(field: Field<M, T>, south_west: GeoPoint, north_east: GeoPoint) -> Self {
        let (west, south) = (south_west.longitude(), south_west.latitude());
        let (east, north) = (north_east.longitude(), north_east.latitude());
        Self::within(field, Area::Box { west, south, east, north })
    }

    fn within<T>(field: Field<M, T>, area: Area) -> Self {
        Self::attempt(Ok(SearchOperator::Within { path: field.path().into(), area }))
    }
}

fn end<T: Serialize + 'static, V: IntoValue<T> + Clone>(bound: Bound<&V>) -> Result<Option<Box<RangeEnd>>> {
    let (value, included) = match bound {
        Bound::Unbounded => return Ok(None),
        Bound::Included(value) => (value, true),
        Bound::Excluded(value) => (value, false),
    };
    Ok(Some(Box::new(RangeEnd { value: to_bson(&value.clone().into_value())?, included })))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct M;
    const YEAR: Field<M, i32> = Field::new("year");
    const AT: Field<M, Option<DateTime>> = Field::new("at");

    #[test]
    fn ranges_are_those_of_rust() {
        let ends = |range: Search<M>| match range.into_ir().unwrap() {
            SearchOperator::Range { low, high, .. } => {
                let end = |end: Box<RangeEnd>| (end.value, end.included);
                (low.map(end), high.map(end))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(ends(Search::range(YEAR, 1..5)), (Some((1.into(), true)), Some((5.into(), false))));
        assert_eq!(ends(Search::range(YEAR, ..=5)), (None, Some((5.into(), true))));
        let after = (Bound::Excluded(1), Bound::Unbounded);
        assert_eq!(ends(Search::range(YEAR, after)), (Some((1.into(), false)), None));
        let none: (Bound<i32>, Bound<i32>) = (Bound::Unbounded, Bound::Unbounded);
        assert!(Search::range(YEAR, none).into_ir().is_err());
    }

    #[test]
    fn distances_are_measured_by_their_type() {
        let near = Search::near(AT, DateTime::from_millis(5), Duration::from_secs(60)).into_ir().unwrap();
        assert!(matches!(near, SearchOperator::Near { pivot: 60_000.0, origin: Bson::DateTime(_), .. }));
        assert!(Search::near(YEAR, 2000, 0.0).into_ir().is_err());
        assert!(Search::near(AT, None, Duration::from_secs(60)).into_ir().is_err());
    }
}
