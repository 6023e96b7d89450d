//! Areas on the sphere whose edges are great-circle arcs.

use std::f64::consts::PI;

use super::{GeoPoint, GeoPolygon};

type Vector = [f64; 3];

/// How near to an edge (as the sine of the angle) a point counts as on it: some micrometres on the Earth.
const ON_EDGE: f64 = 1e-12;

/// A polygon made ready for many questions.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    outline: Ring,
    holes: Vec<Ring>,
}

/// Unit vectors of the corners, counterclockwise as seen from above, without the repeated last one.
#[derive(Debug, Clone)]
struct Ring(Vec<Vector>);

impl Region {
    pub(crate) fn new(polygon: &GeoPolygon) -> Self {
        let mut rings = polygon.rings().iter().map(|ring| Ring::new(ring));
        Self { outline: rings.next().unwrap_or(Ring(Vec::new())), holes: rings.collect() }
    }

    pub(crate) fn contains(&self, point: GeoPoint) -> bool {
        self.has(unit(point))
    }

    fn has(&self, point: Vector) -> bool {
        let in_hole = |hole: &Ring| hole.contains(point) && !hole.touches(point);
        self.outline.contains(point) && !self.holes.iter().any(in_hole)
    }

    fn rings(&self) -> impl Iterator<Item = &Ring> {
        std::iter::once(&self.outline).chain(&self.holes)
    }

    fn edges_cross(&self, other: &Self) -> bool {
        self.rings().any(|own| other.rings().any(|ring| own.crosses(ring)))
    }

    pub(crate) fn intersects(&self, other: &Self) -> bool {
        self.edges_cross(other)
            || other.outline.0.iter().any(|corner| self.has(*corner))
            || self.outline.0.iter().any(|corner| other.has(*corner))
    }

    /// Whether all of `other` lies in this region.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let hole_inside = |hole: &Ring| hole.0.iter().any(|corner| other.has(*corner));
        other.outline.0.iter().all(|corner| self.has(*corner))
            && !self.edges_cross(other)
            && !self.holes.iter().any(hole_inside)
    }
}

impl Ring {
    fn new(points: &[GeoPoint]) -> Self {
        let corners = points.len().saturating_sub(1);
        let mut corners: Vec<Vector> = points[..corners].iter().map(|point| unit(*point)).collect();
        if signed_area(&corners) < 0.0 {
            corners.reverse();
        }
        Self(corners)
    }

    fn edges(&self) -> impl Iterator<Item = (Vector, Vector)> {
        let next = self.0.iter().cycle().skip(1);
        self.0.iter().copied().zip(next.copied())
    }

    fn touches(&self, point: Vector) -> bool {
        self.edges().any(|edge| on_edge(edge, point))
    }

    /// The ring turns once around what is inside of it, counterclockwise; around the antipodes of that, clockwise.
    fn contains(&self, point: Vector) -> bool {
        let turned: f64 = self.edges().map(|(a, b)| turn(point, a, b)).sum();
        turned > PI || self.touches(point)
    }

    fn crosses(&self, other: &Self) -> bool {
        self.edges().any(|edge| other.edges().any(|their| arcs_cross(edge, their)))
    }
}

fn unit(point: GeoPoint) -> Vector {
    let (longitude, latitude) = (point.longitude().to_radians(), point.latitude().to_radians());
    [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The angle under which `point` sees the way from `a` to `b`, counterclockwise positive.
fn turn(point: Vector, a: Vector, b: Vector) -> f64 {
    dot(point, cross(a, b)).atan2(dot(a, b) - dot(point, a) * dot(point, b))
}

/// The area of a ring in steradians: positive counterclockwise. A fan of triangles.
fn signed_area(corners: &[Vector]) -> f64 {
    let Some((first, rest)) = corners.split_first() else { return 0.0 };
    let excess = |pair: &[Vector]| {
        let (b, c) = (pair[0], pair[1]);
        let scale = 1.0 + dot(*first, b) + dot(b, c) + dot(c, *first);
        2.0 * dot(*first, cross(b, c)).atan2(scale)
    };
    rest.windows(2).map(excess).sum()
}

fn on_edge((a, b): (Vector, Vector), point: Vector) -> bool {
    let normal = cross(a, b);
    let length = dot(normal, normal).sqrt();
    let apart = dot(normal, point).abs();
    // Between the two ends, or at one of them.
    let between = dot(cross(normal, a), point) >= -ON_EDGE && dot(cross(b, normal), point) >= -ON_EDGE;
    apart <= ON_EDGE * length.max(ON_EDGE) && between && dot(point, a) + dot(point, b) > 0.0
}

/// Whether two arcs meet inside of both.
fn arcs_cross((a, b): (Vector, Vector), (c, d): (Vector, Vector)) -> bool {
    let (first, second) = (cross(a, b), cross(c, d));
    let apart = dot(first, c) * dot(first, d) < 0.0 && dot(second, a) * dot(second, b) < 0.0;
    // The great circles meet twice; the arcs must be at the same one of the two places.
    let meeting = cross(first, second);
    let side = |x: Vector, y: Vector| dot(meeting, x) + dot(meeting, y) > 0.0;
    apart && side(a, b) == side(c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(longitude: f64, latitude: f64) -> GeoPoint {
        GeoPoint::new(longitude, latitude).unwrap()
    }

    fn polygon(points: &[(f64, f64)]) -> GeoPolygon {
        GeoPolygon::new(points.iter().map(|(x, y)| at(*x, *y))).unwrap()
    }

    fn square(west: f64, south: f64, size: f64) -> GeoPolygon {
        polygon(&[(west, south), (west + size, south), (west + size, south + size), (west, south + size)])
    }

    #[test]
    fn either_way_round_the_smaller_area_is_meant() {
        let clockwise = polygon(&[(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)]);
        for area in [square(0.0, 0.0, 10.0), clockwise] {
            assert!(area.contains(at(5.0, 5.0)));
            assert!(!area.contains(at(15.0, 5.0)));
            assert!(!area.contains(at(-175.0, -5.0)), "the antipodes");
            assert!(area.contains(at(0.0, 0.0)) && area.contains(at(0.0, 5.0)), "corners and edges");
        }
    }

    #[test]
    fn areas_reach_across_the_date_line_and_the_pole() {
        let pacific = polygon(&[(170.0, -10.0), (-170.0, -10.0), (-170.0, 10.0), (170.0, 10.0)]);
        assert!(pacific.contains(at(180.0, 0.0)) && pacific.contains(at(-179.0, 3.0)));
        assert!(!pacific.contains(at(0.0, 0.0)));
        let arctic = polygon(&[(0.0, 80.0), (90.0, 80.0), (180.0, 80.0), (-90.0, 80.0)]);
        assert!(arctic.contains(at(33.0, 90.0)) && !arctic.contains(at(45.0, 60.0)));
    }

    #[test]
    fn edges_are_shortest_lines() {
        // The shortest way between two points of a northern parallel is north of it.
        let area = polygon(&[(-60.0, 40.0), (60.0, 40.0), (60.0, 0.0), (-60.0, 0.0)]);
        assert!(area.contains(at(0.0, 55.0)));
    }

    #[test]
    fn concave_outlines_and_holes_leave_out() {
        let u = polygon(&[
            (0.0, 0.0),
            (9.0, 0.0),
            (9.0, 9.0),
            (6.0, 9.0),
            (6.0, 3.0),
            (3.0, 3.0),
            (3.0, 9.0),
            (0.0, 9.0),
        ]);
        assert!(u.contains(at(1.0, 8.0)) && u.contains(at(8.0, 8.0)) && !u.contains(at(4.5, 8.0)));
        let hole = [at(4.0, 4.0), at(6.0, 4.0), at(6.0, 6.0), at(4.0, 6.0)];
        let ring = square(0.0, 0.0, 10.0).with_hole(hole).unwrap();
        assert!(ring.contains(at(1.0, 1.0)) && !ring.contains(at(5.0, 5.0)));
    }

    #[test]
    fn areas_overlap_cover_and_keep_apart() {
        let region = |polygon: GeoPolygon| Region::new(&polygon);
        let (big, small, far) = (square(0.0, 0.0, 10.0), square(4.0, 4.0, 2.0), square(40.0, 0.0, 2.0));
        let across = polygon(&[(-5.0, 4.0), (15.0, 4.0), (15.0, 5.0), (-5.0, 5.0)]);
        assert!(big.intersects(&small) && small.intersects(&big) && big.intersects(&across));
        assert!(!big.intersects(&far) && !far.intersects(&across));
        assert!(region(big.clone()).covers(&region(small.clone())));
        assert!(!region(small).covers(&region(big.clone())) && !region(big).covers(&region(across)));
    }

    #[test]
    fn fewer_than_three_points_are_no_area() {
        assert!(GeoPolygon::new([at(0.0, 0.0), at(1.0, 1.0), at(0.0, 0.0)]).is_err());
    }

    #[test]
    fn polygons_are_geojson() {
        let text = r#"{"type":"Polygon","coordinates":[[[0.0,0.0],[1.0,0.0],[1.0,1.0],[0.0,0.0]]]}"#;
        let read: GeoPolygon = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(serde_json::from_str::<GeoPolygon>(&text.replace("1.0]", "91.0]")).is_err());
        assert!(serde_json::from_str::<GeoPolygon>(r#"{"type":"Polygon","coordinates":[]}"#).is_err());
    }
}
