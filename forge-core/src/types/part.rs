//! Geometries on the sphere: whether they meet, and how far away they are.

use std::f64::consts::PI;

use super::EARTH_RADIUS_METRES;
use super::sphere::{Line, Region, Vector, angle, unit};
use super::{GeoPoint, GeoPolygon};
use crate::ir::Geometry;

/// How near to a line (in radians) a point counts as on it: some millimetres, as the smallest cells of S2 are, by which
/// servers compare.
const ON_LINE: f64 = 1e-9;

/// A single point, line or area, made ready for questions.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Point(Vector),
    Line(Line),
    Area(Region),
}

impl Part {
    /// Makes what a geometry is made of ready.
    pub(crate) fn all_of(geometry: &Geometry) -> Vec<Self> {
        match geometry {
            Geometry::Point(point) => vec![Self::Point(unit(*point))],
            Geometry::Line(points) => vec![Self::Line(Line::new(points))],
            Geometry::Polygon(polygon) => vec![Self::Area(Region::new(polygon))],
            Geometry::Several(parts) => parts.iter().flat_map(Self::all_of).collect(),
        }
    }

    /// Whether the two share a point.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Point(a), Self::Point(b)) => angle(*a, *b) <= ON_LINE,
            (Self::Point(point), Self::Line(line)) | (Self::Line(line), Self::Point(point)) => {
                line.angle_to(*point) <= ON_LINE
            }
            (Self::Point(point), Self::Area(area)) | (Self::Area(area), Self::Point(point)) => {
                area.has(*point)
            }
            (Self::Line(a), Self::Line(b)) => a.meets(b),
            (Self::Line(line), Self::Area(area)) | (Self::Area(area), Self::Line(line)) => {
                area.meets_line(line)
            }
            (Self::Area(a), Self::Area(b)) => a.intersects(b),
        }
    }

    /// Whether all of it lies in `area`.
    pub(crate) fn is_inside(&self, area: &Region) -> bool {
        match self {
            Self::Point(point) => area.has(*point),
            Self::Line(line) => area.covers_line(line),
            Self::Area(other) => area.covers(other),
        }
    }

    /// The distance of its nearest point in metres.
    pub(crate) fn distance_to(&self, from: GeoPoint) -> f64 {
        self.angle_to(unit(from)) * EARTH_RADIUS_METRES
    }

    /// The distance of its farthest point in metres: what is nearest to the antipodes.
    pub(crate) fn reach_from(&self, from: GeoPoint) -> f64 {
        (PI - self.angle_to(unit(from).map(|coordinate| -coordinate))) * EARTH_RADIUS_METRES
    }

    fn angle_to(&self, from: Vector) -> f64 {
        match self {
            Self::Point(point) => angle(*point, from),
            Self::Line(line) => line.angle_to(from),
            Self::Area(area) => area.angle_to(from),
        }
    }
}

/// The corners of a geometry.
pub(crate) fn corners(geometry: &Geometry) -> Vec<GeoPoint> {
    match geometry {
        Geometry::Point(point) => vec![*point],
        Geometry::Line(points) => points.clone(),
        Geometry::Polygon(polygon) => GeoPolygon::rings(polygon).concat(),
        Geometry::Several(parts) => parts.iter().flat_map(corners).collect(),
    }
}
