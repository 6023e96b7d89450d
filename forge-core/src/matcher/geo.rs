//! Places on the sphere: GeoJSON points and polygons, and legacy coordinate pairs.

use std::ops::ControlFlow;

use bson::{RawArray, RawBsonRef, RawDocument};

use crate::ir::{Area, Geometry};
use crate::order::{self, Found};
use crate::types::sphere::Region;
use crate::types::{GeoPoint, GeoPolygon};

/// The points between two distances of a centre.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) centre: GeoPoint,
    pub(super) min_metres: f64,
    pub(super) max_metres: f64,
}

impl Zone {
    /// The distance of the nearest point in `value` that lies in the zone.
    pub(super) fn distance(&self, value: RawBsonRef<'_>) -> Option<f64> {
        let mut nearest = None;
        each_point(value, &mut |point| {
            let distance = self.centre.distance_to(point);
            if (self.min_metres..=self.max_metres).contains(&distance) {
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

/// The distance in metres from `centre` to the nearest point of `document` at `path`; none where there is no point.
/// Documents that `Near` finds are sorted by it.
pub fn distance_at(document: &RawDocument, path: &str, centre: GeoPoint) -> Option<f64> {
    let everywhere = Zone { centre, min_metres: 0.0, max_metres: f64::INFINITY };
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
    if let Some(point) = point(value) {
        visit(point);
    } else if let RawBsonRef::Array(array) = value {
        array.into_iter().flatten().filter_map(point).for_each(visit);
    }
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
fn pair_of<'a>(mut values: impl Iterator<Item = RawBsonRef<'a>>) -> Option<GeoPoint> {
    let longitude = order::as_f64(values.next()?)?;
    let latitude = order::as_f64(values.next()?)?;
    GeoPoint::new(longitude, latitude).ok()
}
