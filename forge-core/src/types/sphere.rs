//! Lines and areas on the sphere whose edges are great-circle arcs, as vectors from the middle of the Earth.

use std::f64::consts::PI;

use super::{GeoPoint, GeoPolygon};

/// A point of the unit sphere, or a direction.
pub(crate) type Vector = [f64; 3];
type Edge = (Vector, Vector);

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

    pub(super) fn has(&self, point: Vector) -> bool {
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
    pub(super) fn covers(&self, other: &Self) -> bool {
        let hole_inside = |hole: &Ring| hole.inside().is_some_and(|point| other.has(point));
        other.outline.edges().all(|edge| self.covers_edge(edge)) && !self.holes.iter().any(hole_inside)
    }

    /// Whether all of `line` lies in this region.
    pub(super) fn covers_line(&self, line: &Line) -> bool {
        line.edges().all(|edge| self.covers_edge(edge))
    }

    /// Whether it crosses no edge, and lies inside between the corners that it touches.
    fn covers_edge(&self, edge: Edge) -> bool {
        let (a, b) = edge;
        if !self.has(a)
            || !self.has(b)
            || self.rings().any(|ring| ring.edges().any(|own| arcs_cross(own, edge)))
        {
            return false;
        }
        let corners = self.rings().flat_map(|ring| &ring.0).copied();
        let mut stops: Vec<Vector> = corners.filter(|corner| on_edge(edge, *corner)).chain([a, b]).collect();
        stops.sort_by(|x, y| angle(a, *x).total_cmp(&angle(a, *y)));
        stops.windows(2).all(|pair| self.has(middle(&[pair[0], pair[1]])))
    }

    pub(super) fn meets_line(&self, line: &Line) -> bool {
        line.0.iter().any(|corner| self.has(*corner))
            || self.rings().any(|ring| line.edges().any(|edge| ring.meets_edge(edge)))
    }

    /// The angle between `point` and the nearest point of the region.
    pub(super) fn angle_to(&self, point: Vector) -> f64 {
        if self.has(point) {
            return 0.0;
        }
        let edges = self.rings().flat_map(Ring::edges);
        edges.map(|edge| angle_to_edge(edge, point)).fold(f64::INFINITY, f64::min)
    }
}

/// A line from corner to corner.
#[derive(Debug, Clone)]
pub(crate) struct Line(Vec<Vector>);

impl Line {
    pub(super) fn new(points: &[GeoPoint]) -> Self {
        Self(points.iter().map(|point| unit(*point)).collect())
    }

    fn edges(&self) -> impl Iterator<Item = Edge> {
        self.0.windows(2).map(|pair| (pair[0], pair[1]))
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.edges().any(|own| other.edges().any(|their| arcs_meet(own, their)))
    }

    /// As [`Region::angle_to`].
    pub(super) fn angle_to(&self, point: Vector) -> f64 {
        self.edges().map(|edge| angle_to_edge(edge, point)).fold(f64::INFINITY, f64::min)
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

    fn edges(&self) -> impl Iterator<Item = Edge> {
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

    fn meets_edge(&self, edge: Edge) -> bool {
        self.edges().any(|own| arcs_meet(own, edge))
    }

    /// A point inside, on no edge: the middle of three corners in a row that lies there, of which every ring has some
    /// (the two ears theorem of G. H. Meisters).
    fn inside(&self) -> Option<Vector> {
        let corner = |at: usize| self.0[at % self.0.len()];
        let middles = (0..self.0.len()).map(|at| middle(&[corner(at), corner(at + 1), corner(at + 2)]));
        middles.into_iter().find(|point| self.contains(*point) && !self.touches(*point))
    }

    fn crosses(&self, other: &Self) -> bool {
        self.edges().any(|edge| other.edges().any(|their| arcs_cross(edge, their)))
    }
}

pub(crate) fn unit(point: GeoPoint) -> Vector {
    let (longitude, latitude) = (point.longitude().to_radians(), point.latitude().to_radians());
    [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The middle of points that are no antipodes.
fn middle(points: &[Vector]) -> Vector {
    let sum =
        points.iter().fold([0.0; 3], |sum, point| [sum[0] + point[0], sum[1] + point[1], sum[2] + point[2]]);
    let length = dot(sum, sum).sqrt();
    sum.map(|coordinate| coordinate / length)
}

/// The angle between two points, exact for small and for large ones (W. Kahan).
pub(super) fn angle(a: Vector, b: Vector) -> f64 {
    let across = cross(a, b);
    dot(across, across).sqrt().atan2(dot(a, b))
}

/// The angle between `point` and the nearest point of an edge: along the perpendicular, or to an end.
fn angle_to_edge((a, b): Edge, point: Vector) -> f64 {
    let normal = cross(a, b);
    let length = dot(normal, normal).sqrt();
    let between = dot(cross(normal, a), point) >= 0.0 && dot(cross(b, normal), point) >= 0.0;
    if between && length > 0.0 {
        return (dot(normal, point) / length).abs().min(1.0).asin();
    }
    angle(a, point).min(angle(b, point))
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

/// Whether two arcs share a point, ends included.
fn arcs_meet(one: Edge, other: Edge) -> bool {
    let touches =
        on_edge(one, other.0) || on_edge(one, other.1) || on_edge(other, one.0) || on_edge(other, one.1);
    touches || arcs_cross(one, other)
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

    /// An outline like the letter, open to the north.
    const U: [(f64, f64); 8] =
        [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (6.0, 9.0), (6.0, 3.0), (3.0, 3.0), (3.0, 9.0), (0.0, 9.0)];

    #[test]
    fn edges_are_shortest_lines() {
        // The shortest way between two points of a northern parallel is north of it.
        let area = polygon(&[(-60.0, 40.0), (60.0, 40.0), (60.0, 0.0), (-60.0, 0.0)]);
        assert!(area.contains(at(0.0, 55.0)));
    }

    #[test]
    fn concave_outlines_and_holes_leave_out() {
        let u = polygon(&U);
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
    fn lines_lie_in_areas_meet_them_and_keep_a_distance() {
        let u = Region::new(&polygon(&U));
        let line =
            |points: &[(f64, f64)]| Line::new(&points.iter().map(|(x, y)| at(*x, *y)).collect::<Vec<_>>());
        assert!(u.covers_line(&line(&[(1.0, 8.0), (1.0, 1.0), (8.0, 1.0), (8.0, 8.0)])));
        assert!(!u.covers_line(&line(&[(1.0, 8.0), (8.0, 8.0)])), "across the gap");
        assert!(!u.covers_line(&line(&[(3.0, 9.0), (6.0, 9.0)])), "from corner to corner beside it");
        assert!(
            u.meets_line(&line(&[(1.0, 8.0), (8.0, 8.0)])) && u.meets_line(&line(&[(4.0, 3.0), (5.0, 6.0)]))
        );
        assert!(!u.meets_line(&line(&[(4.0, 6.0), (5.0, 8.0)])));
        let equator = line(&[(0.0, 0.0), (10.0, 0.0)]);
        assert!(
            equator.meets(&line(&[(5.0, -1.0), (5.0, 1.0)]))
                && equator.meets(&line(&[(10.0, 0.0), (10.0, 5.0)]))
        );
        assert!(!equator.meets(&line(&[(11.0, -1.0), (11.0, 1.0)])));
        let degrees = |angle: f64| (angle.to_degrees() * 1e9).round() / 1e9;
        assert_eq!(degrees(equator.angle_to(unit(at(5.0, 3.0)))), 3.0);
        assert_eq!(degrees(equator.angle_to(unit(at(-2.0, 0.0)))), 2.0);
        assert_eq!(degrees(u.angle_to(unit(at(1.0, -2.0)))), 2.0);
        assert_eq!(u.angle_to(unit(at(1.0, 1.0))), 0.0);
    }

    #[test]
    fn an_area_with_a_hole_covers_itself_and_not_what_fills_the_hole() {
        let hole = [at(4.0, 4.0), at(6.0, 4.0), at(6.0, 6.0), at(4.0, 6.0)];
        let ring = Region::new(&square(0.0, 0.0, 10.0).with_hole(hole).unwrap());
        assert!(ring.covers(&ring));
        assert!(!ring.covers(&Region::new(&square(4.0, 4.0, 2.0))));
        assert!(!ring.covers(&Region::new(&square(3.0, 3.0, 4.0))));
        assert!(ring.covers(&Region::new(&square(1.0, 1.0, 2.0))));
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
