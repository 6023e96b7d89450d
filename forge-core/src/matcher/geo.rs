//! Places: GeoJSON points and polygons, and legacy coordinate pairs, on the sphere or on a plane.

use std::ops::ControlFlow;

use bson::{RawArray, RawBsonRef, RawDocument};

use super::plane::{self, Figure, Pair, each_pair, each_place};
use crate::ir::{Area, Geometry};
use crate::order::{self, Found};
use crate::types::sphere::Region;
use crate::types::{GeoPoint, GeoPolygon};

/// From where distances are measured, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Centre {
    /// Along the surface of the Earth, in metres.
    Sphere(GeoPoint),
    /// Straight, in the unit of the coordinates.
    Plane([f64; 2]),
}

impl From<GeoPoint> for Centre {
    fn from(point: GeoPoint) -> Self {
        Centre::Sphere(point)
    }
}

impl Centre {
    /// Calls `visit` with the distance of the place that `value` is, or of those that it holds as an array.
    fn each_distance(self, value: RawBsonRef<'_>, visit: &mut impl FnMut(f64)) {
        match self {
            Centre::Sphere(centre) => each_point(value, &mut |point| visit(centre.distance_to(point))),
            Centre::Plane(centre) => each_pair(value, &mut |pair: Pair| visit(plane::distance(centre, pair))),
        }
    }
}

/// The places between two distances of a centre.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) centre: Centre,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Zone {
    /// The distance of the nearest place in `value` that lies in the zone.
    pub(super) fn distance(&self, value: RawBsonRef<'_>) -> Option<f64> {
        let mut nearest = None;
        self.centre.each_distance(value, &mut |distance| {
            if (self.least..=self.most).contains(&distance) {
                nearest = Some(nearest.map_or(distance, |nearest: f64| nearest.min(distance)));
            }
        });
        nearest
    }
}

/// What a stored geometry has to be inside of, or to touch.
#[derive(Debug)]
pub(super) enum Shape {
    Within(Region),
    /// West, south, east, north.
    Between([f64; 4]),
    Around(GeoPoint),
    Meeting(Region),
    /// On the plane, where there are points alone.
    Flat(Figure),
}

/// A geometry in a document.
enum Stored {
    Point(GeoPoint),
    Area(GeoPolygon),
}

impl Shape {
    pub(super) fn inside_of(area: &Area) -> Self {
        match area {
            Area::Polygon(polygon) => Shape::Within(Region::new(polygon)),
            Area::Box { west, south, east, north } => Shape::Between([*west, *south, *east, *north]),
            Area::Circle { centre, radius } => {
                Shape::Flat(Figure::Circle { centre: *centre, radius: *radius })
            }
            Area::Outline(corners) => Shape::Flat(Figure::Outline(corners.clone())),
            Area::Rectangle { low, high } => Shape::Flat(Figure::Rectangle { low: *low, high: *high }),
        }
    }

    pub(super) fn touching(geometry: &Geometry) -> Self {
        match geometry {
            Geometry::Point(point) => Shape::Around(*point),
            Geometry::Polygon(polygon) => Shape::Meeting(Region::new(polygon)),
        }
    }

    /// Whether the geometry that `value` is, or one of those that it holds as an array, fits.
    pub(super) fn accepts(&self, value: RawBsonRef<'_>) -> bool {
        if let Shape::Flat(figure) = self {
            let mut inside = false;
            each_pair(value, &mut |pair: Pair| inside |= figure.contains(pair));
            return inside;
        }
        match (stored(value), value) {
            (Some(stored), _) => self.fits(&stored),
            (None, RawBsonRef::Array(array)) => {
                array.into_iter().flatten().filter_map(stored).any(|stored| self.fits(&stored))
            }
            _ => false,
        }
    }

    fn fits(&self, stored: &Stored) -> bool {
        match (self, stored) {
            (Shape::Within(region) | Shape::Meeting(region), Stored::Point(point)) => region.contains(*point),
            (Shape::Within(region), Stored::Area(area)) => region.covers(&Region::new(area)),
            (Shape::Between(limits), Stored::Point(point)) => between(limits, *point),
            (Shape::Between(limits), Stored::Area(area)) => {
                area.rings().iter().flatten().all(|point| between(limits, *point))
            }
            (Shape::Around(own), Stored::Point(point)) => own == point,
            (Shape::Around(own), Stored::Area(area)) => area.contains(*own),
            (Shape::Meeting(region), Stored::Area(area)) => region.intersects(&Region::new(area)),
            (Shape::Flat(_), _) => false,
        }
    }
}

fn between([west, south, east, north]: &[f64; 4], point: GeoPoint) -> bool {
    let longitude = point.longitude();
    let columns = if west <= east {
        (*west..=*east).contains(&longitude)
    } else {
        longitude >= *west || longitude <= *east
    };
    columns && (*south..=*north).contains(&point.latitude())
}

fn stored(value: RawBsonRef<'_>) -> Option<Stored> {
    point(value).map(Stored::Point).or_else(|| polygon(value).map(Stored::Area))
}

/// The GeoJSON polygon that `value` is.
fn polygon(value: RawBsonRef<'_>) -> Option<GeoPolygon> {
    let document = value.as_document()?;
    if document.get_str("type").ok()? != "Polygon" {
        return None;
    }
    let rings = document.get_array("coordinates").ok()?.into_iter().map(|ring| {
        let points = ring.ok()?.as_array()?.into_iter();
        points.map(|pair| pair_of(pair.ok()?.as_array()?.into_iter().flatten())).collect()
    });
    GeoPolygon::from_rings(rings.collect::<Option<_>>()?).ok()
}

/// The distance from `centre` (a [`GeoPoint`] or a [`Centre`]) to the nearest place of `document` at `path`; none where
/// there is none. Documents that `Near` and `NearOnPlane` find are sorted by it.
pub fn distance_at(document: &RawDocument, path: &str, centre: impl Into<Centre>) -> Option<f64> {
    let everywhere = Zone { centre: centre.into(), least: 0.0, most: f64::INFINITY };
    let mut nearest: Option<f64> = None;
    let _ = order::visit(document, path, |found| {
        if let Found::Value(value) | Found::Indexed(value) = found
            && let Some(distance) = everywhere.distance(value)
        {
            nearest = Some(nearest.map_or(distance, |nearest| nearest.min(distance)));
        }
        ControlFlow::<()>::Continue(())
    });
    nearest
}

/// Calls `visit` with the point that `value` is, or with those that it holds as an array.
fn each_point(value: RawBsonRef<'_>, visit: &mut impl FnMut(GeoPoint)) {
    each_place(value, point, visit);
}

fn point(value: RawBsonRef<'_>) -> Option<GeoPoint> {
    match value {
        RawBsonRef::Array(pair) => pair_of(pair.into_iter().flatten()),
        RawBsonRef::Document(document) => match document.get("type") {
            Ok(Some(kind)) => geo_json(kind, document),
            // A legacy pair may be spelt as a document: its first two fields, whatever their names.
            _ => pair_of(document.iter().flatten().map(|(_, value)| value)),
        },
        _ => None,
    }
}

fn geo_json(kind: RawBsonRef<'_>, document: &RawDocument) -> Option<GeoPoint> {
    let coordinates: &RawArray = document.get("coordinates").ok()??.as_array()?;
    if kind.as_str()? == "Point" { pair_of(coordinates.into_iter().flatten()) } else { None }
}

/// Longitude, then latitude. Coordinates out of range are no point.
fn pair_of<'a>(values: impl Iterator<Item = RawBsonRef<'a>>) -> Option<GeoPoint> {
    let [longitude, latitude] = plane::pair_of(values)?;
    GeoPoint::new(longitude, latitude).ok()
}
