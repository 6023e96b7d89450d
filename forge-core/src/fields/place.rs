use super::{Field, Filter};
use crate::error::Error;
use crate::ir::{Area, Geometry, Predicate};
use crate::types::{
    GeoCollection, GeoLine, GeoMultiLine, GeoMultiPoint, GeoMultiPolygon, GeoPoint, GeoPolygon, GeoShape,
};

/// Types of fields that hold a place: a point, a line, an area, or several of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a place",
    label = "only fields of GeoPoint and the other types of GeoJSON have this"
)]
pub trait Place {}

macro_rules! places {
    ($($type:ty),*) => { $(impl Place for $type {} impl Place for Option<$type> {})* };
}
places!(GeoPoint, GeoLine, GeoPolygon, GeoMultiPoint, GeoMultiLine, GeoMultiPolygon, GeoCollection, GeoShape);

impl<M, T: Place> Field<M, T> {
    /// Within `max_metres` of `point`, nearest first unless another order is asked for. What is no point is as far away as
    /// the nearest part of it.
    pub fn near(self, point: GeoPoint, max_metres: f64) -> Filter<M> {
        self.at_distance(point, None, Some(max_metres))
    }

    /// Between `min_metres` and `max_metres` from `point`, nearest first unless another order is asked for.
    pub fn near_between(self, point: GeoPoint, min_metres: f64, max_metres: f64) -> Filter<M> {
        self.at_distance(point, Some(min_metres), Some(max_metres))
    }

    /// Every place, nearest to `point` first: in a find, and beside other conditions only.
    pub fn nearest(self, point: GeoPoint) -> Filter<M> {
        self.at_distance(point, None, None)
    }

    fn at_distance(self, point: GeoPoint, min: Option<f64>, max: Option<f64>) -> Filter<M> {
        let point = [point.longitude(), point.latitude()];
        let wrong = [min, max].into_iter().flatten().find(|metres| metres.is_nan() || *metres < 0.0);
        let near = Predicate::Near { point, max_metres: max, min_metres: min };
        let predicate = wrong.map_or(Ok(near), |metres| Err(not_a_distance(self.path(), metres)));
        Filter::field(self.path(), predicate)
    }

    /// Within `metres` of `centre`, all of it, in no order.
    pub fn within_circle(self, centre: GeoPoint, metres: f64) -> Filter<M> {
        let centre = [centre.longitude(), centre.latitude()];
        Filter::field(self.path(), Ok(Predicate::WithinCircle { centre, metres }))
    }
}

fn not_a_distance(path: &str, metres: f64) -> Error {
    Error::bad_request(format!("the distance of `{path}` is {metres} metres; it must be at least 0"))
}

impl<M, T: Place> Field<M, T> {
    /// Inside of `area`, all of it, the edge included.
    pub fn within_polygon(self, area: GeoPolygon) -> Filter<M> {
        Filter::field(self.path(), Ok(Predicate::Within(Area::Polygon(area))))
    }

    /// Inside of one of several areas, their edges included; of several points, lines or areas each in one of them.
    pub fn within_polygons(self, areas: impl Into<GeoMultiPolygon>) -> Filter<M> {
        let areas = areas.into().polygons().to_vec();
        Filter::field(self.path(), Ok(Predicate::Within(Area::Polygons(areas))))
    }

    /// Between the parallels and meridians of two corners. A box whose western corner is east of the other one reaches
    /// across the date line.
    pub fn within_box(self, south_west: GeoPoint, north_east: GeoPoint) -> Filter<M> {
        let area = Area::Box {
            west: south_west.longitude(),
            south: south_west.latitude(),
            east: north_east.longitude(),
            north: north_east.latitude(),
        };
        Filter::field(self.path(), Ok(Predicate::Within(area)))
    }

    /// Shares a point with `shape`: with any part of it, where it has several.
    pub fn intersects(self, shape: impl Into<GeoShape>) -> Filter<M> {
        Filter::field(self.path(), Ok(Predicate::Intersects(shape.into().into())))
    }

    /// Is, or covers, `point`: which areas is it in?
    pub fn covers(self, point: GeoPoint) -> Filter<M> {
        Filter::field(self.path(), Ok(Predicate::Intersects(Geometry::Point(point))))
    }
}
