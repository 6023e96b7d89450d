//! Places: GeoJSON geometries and legacy coordinate pairs, on the sphere or on a plane.

use std::ops::ControlFlow;

use bson::{RawBsonRef, RawDocument};

use super::geojson::{geo_point, geometries};
use super::plane::{self, Figure, Pair, each_pair, each_place};
use crate::ir::{Area, Geometry};
use crate::order::{self, Found};
use crate::types::GeoPoint;
use crate::types::part::{Part, corners};
use crate::types::sphere::{Region, unit};

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
            Centre::Sphere(centre) => {
                each_place(value, stored, &mut |stored: Stored| visit(stored.distance_to(centre)));
            }
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
    Within(Vec<Region>),
    /// West, south, east, north.
    Between([f64; 4]),
    /// All of it within metres of a centre.
    Round(GeoPoint, f64),
    Around(GeoPoint),
    Meeting(Vec<Part>),
    /// On the plane, where there are points alone.
    Flat(Figure),
}

/// A geometry in a document.
enum Stored {
    Point(GeoPoint),
    Parts(Vec<Geometry>),
}

impl Stored {
    /// The distance of its nearest point in metres.
    fn distance_to(&self, centre: GeoPoint) -> f64 {
        match self {
            Self::Point(point) => centre.distance_to(*point),
            Self::Parts(parts) => {
                let distances = parts.iter().flat_map(Part::all_of).map(|part| part.distance_to(centre));
                distances.fold(f64::INFINITY, f64::min)
            }
        }
    }
}

impl Shape {
    pub(super) fn inside_of(area: &Area) -> Self {
        match area {
            Area::Polygon(polygon) => Shape::Within(vec![Region::new(polygon)]),
            Area::Polygons(polygons) => Shape::Within(polygons.iter().map(Region::new).collect()),
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
            other => Shape::Meeting(Part::all_of(other)),
        }
    }

    /// Whether the geometry that `value` is, or one of those that it holds as an array, fits.
    pub(super) fn accepts(&self, value: RawBsonRef<'_>) -> bool {
        if let Shape::Flat(figure) = self {
            let mut inside = false;
            each_pair(value, &mut |pair: Pair| inside |= figure.contains(pair));
            return inside;
        }
        let mut fits = false;
        each_place(value, stored, &mut |stored: Stored| fits = fits || self.fits(&stored));
        fits
    }

    fn fits(&self, stored: &Stored) -> bool {
        let parts = match stored {
            Stored::Point(point) => return self.fits_point(*point),
            Stored::Parts(parts) => parts,
        };
        let mut ready = parts.iter().flat_map(Part::all_of);
        match self {
            Shape::Within(regions) => ready.all(|part| regions.iter().any(|region| part.is_inside(region))),
            Shape::Between(limits) => parts.iter().flat_map(corners).all(|point| between(limits, point)),
            Shape::Round(centre, metres) => ready.all(|part| part.reach_from(*centre) <= *metres),
            Shape::Around(point) => {
                let point = point_of(*point);
                ready.any(|part| part.meets(&point))
            }
            Shape::Meeting(own) => ready.any(|part| own.iter().any(|own| part.meets(own))),
            Shape::Flat(_) => false,
        }
    }

    fn fits_point(&self, point: GeoPoint) -> bool {
        match self {
            Shape::Within(regions) => regions.iter().any(|region| region.contains(point)),
            Shape::Between(limits) => between(limits, point),
            Shape::Round(centre, metres) => centre.distance_to(point) <= *metres,
            Shape::Around(own) => *own == point,
            Shape::Meeting(own) => {
                let point = point_of(point);
                own.iter().any(|own| own.meets(&point))
            }
            Shape::Flat(_) => false,
        }
    }
}

fn point_of(point: GeoPoint) -> Part {
    Part::Point(unit(point))
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

/// The place that `value` is, or the parts of its geometry.
fn stored(value: RawBsonRef<'_>) -> Option<Stored> {
    geo_point(value).map(Stored::Point).or_else(|| geometries(value).map(Stored::Parts))
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
