//! Points on the sphere and on the plane: reading them, cells for their indexes, areas as spans of cells.

use bson::{Bson, RawBsonRef, RawDocument};
use forge_core::ir::{Area, Geometry};
use forge_core::matcher::geo_point;
use forge_core::types::EARTH_RADIUS_METRES;
use forge_core::{GeoPoint, GeoPolygon, order};

use crate::keys::{self, class};

/// Bits of each coordinate in a cell: about 1 cm at the equator.
const BITS: u32 = 32;

/// A circle is covered by at most about this many cells in each direction.
const CELLS_A_SIDE: f64 = 8.0;

/// The value at a path; an array on the way there is the value.
pub(crate) fn value_at<'a>(document: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    let Some((head, rest)) = path.split_once('.') else { return document.get(path).ok().flatten() };
    match document.get(head).ok()?? {
        RawBsonRef::Document(inner) => value_at(inner, rest),
        array @ RawBsonRef::Array(_) => Some(array),
        _ => None,
    }
}

/// The pair of numbers that a list begins with, or that the first fields of a document are.
pub(crate) fn pair_of(value: &Bson) -> Option<[f64; 2]> {
    let number = |value: &Bson| keys::with_raw(value, order::as_f64).filter(|number| number.is_finite());
    match value {
        Bson::Array(pair) => Some([number(pair.first()?)?, number(pair.get(1)?)?]),
        Bson::Document(pair) => {
            let mut values = pair.values();
            Some([number(values.next()?)?, number(values.next()?)?])
        }
        _ => None,
    }
}

/// What a `2d` index holds of a pair of numbers.
pub(crate) fn planar_key(value: RawBsonRef<'_>) -> Option<Vec<u8>> {
    let number = |value: RawBsonRef<'_>| order::as_f64(value).is_some_and(f64::is_finite);
    let pair: Vec<bool> = match value {
        RawBsonRef::Array(pair) => pair.into_iter().flatten().take(3).map(number).collect(),
        RawBsonRef::Document(pair) => pair.iter().flatten().take(2).map(|(_, value)| number(value)).collect(),
        _ => return None,
    };
    let cell = || geo_point(value).map_or_else(|| vec![class::SHAPE], cell_key);
    (pair == [true, true]).then(cell)
}

/// What an index holds of a point.
pub(crate) fn cell_key(point: GeoPoint) -> Vec<u8> {
    [&[class::CELL], cell(point).to_be_bytes().as_slice()].concat()
}

/// The cell of a point: the bits of latitude and longitude interleaved, coarse ones first.
pub(crate) fn cell(point: GeoPoint) -> u64 {
    interleave(quantise(point.longitude(), 360.0), quantise(point.latitude(), 180.0))
}

/// `degrees` out of −`span`/2…`span`/2 as a 32-bit number.
fn quantise(degrees: f64, span: f64) -> u32 {
    let share = (degrees / span + 0.5).clamp(0.0, 1.0);
    // The cast saturates, so that the eastern and northern end fall into the last cell.
    (share * f64::from(u32::MAX) + share) as u32
}

fn interleave(x: u32, y: u32) -> u64 {
    spread(x) << 1 | spread(y)
}

/// Puts a zero bit before every bit.
fn spread(value: u32) -> u64 {
    let mut v = u64::from(value);
    v = (v | v << 16) & 0x0000_ffff_0000_ffff;
    v = (v | v << 8) & 0x00ff_00ff_00ff_00ff;
    v = (v | v << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    v = (v | v << 2) & 0x3333_3333_3333_3333;
    (v | v << 1) & 0x5555_5555_5555_5555
}

/// Inclusive spans of cells, ascending and apart, that hold every point within `metres` of `centre`.
pub(crate) fn cover(centre: GeoPoint, metres: f64) -> Vec<(u64, u64)> {
    // A margin for rounding, far above the size of a cell.
    let angle = (metres.max(0.0) / EARTH_RADIUS_METRES) * 1.000_001 + 1e-8;
    let mut spans = Vec::new();
    for (west, east, south, north) in boxes(centre, angle) {
        cover_box(west, east, south, north, &mut spans);
    }
    merged(spans)
}

fn merged(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match merged.last_mut() {
            Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// As [`cover`], of every point in `area`; none where too little is known.
pub(crate) fn cover_area(area: &Area) -> Option<Vec<(u64, u64)>> {
    match area {
        Area::Polygon(polygon) => cover_polygon(polygon),
        Area::Polygons(polygons) => {
            let covers = polygons.iter().map(cover_polygon).collect::<Option<Vec<_>>>()?;
            Some(merged(covers.concat()))
        }
        Area::Box { west, south, east, north } if west <= east => {
            let mut spans = Vec::new();
            cover_box(*west, *east, *south, *north, &mut spans);
            Some(merged(spans))
        }
        Area::Circle { centre, radius } => Some(cover_circle(*centre, *radius)),
        Area::Outline(corners) => {
            let reach = |pick: fn(f64, f64) -> f64, start| {
                corners.iter().fold([start; 2], |at, [x, y]| [pick(at[0], *x), pick(at[1], *y)])
            };
            Some(cover_rectangle(reach(f64::min, f64::INFINITY), reach(f64::max, f64::NEG_INFINITY)))
        }
        Area::Rectangle { low, high } => Some(cover_rectangle(*low, *high)),
        _ => None,
    }
}

/// As [`cover`], of every pair within `radius` of `centre` on a plane.
pub(crate) fn cover_circle([x, y]: [f64; 2], radius: f64) -> Vec<(u64, u64)> {
    cover_rectangle([x - radius, y - radius], [x + radius, y + radius])
}

/// As [`cover`], of every pair between two corners. What is no place on the Earth is in no cell.
fn cover_rectangle(low: [f64; 2], high: [f64; 2]) -> Vec<(u64, u64)> {
    // A margin for rounding, far above the size of a cell.
    let clamped =
        |at: f64, margin: f64, limit: f64| (at + margin * (1e-6 + at.abs() * 1e-12)).clamp(-limit, limit);
    let (west, south) = (clamped(low[0], -1.0, 180.0), clamped(low[1], -1.0, 90.0));
    let (east, north) = (clamped(high[0], 1.0, 180.0), clamped(high[1], 1.0, 90.0));
    let mut spans = Vec::new();
    cover_box(west, east, south, north, &mut spans);
    merged(spans)
}

/// As [`cover`], of every point that a geometry has.
pub(crate) fn cover_geometry(geometry: &Geometry) -> Option<Vec<(u64, u64)>> {
    match geometry {
        Geometry::Point(point) => Some(cover(*point, 0.0)),
        Geometry::Line(points) => cover_edges(points),
        Geometry::Polygon(polygon) => cover_polygon(polygon),
        Geometry::Several(parts) => {
            let covers = parts.iter().map(cover_geometry).collect::<Option<Vec<_>>>()?;
            Some(merged(covers.concat()))
        }
        _ => None,
    }
}

fn cover_polygon(polygon: &GeoPolygon) -> Option<Vec<(u64, u64)>> {
    cover_edges(polygon.rings().first()?)
}

/// The circle around the middle of the corners that holds them all holds the edges as well: shorter lines than half
/// around the Earth do not leave it.
fn cover_edges(outline: &[GeoPoint]) -> Option<Vec<(u64, u64)>> {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for corner in outline {
        let (longitude, latitude) = (corner.longitude().to_radians(), corner.latitude().to_radians());
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    let middle = GeoPoint::new(y.atan2(x).to_degrees(), z.atan2(x.hypot(y)).to_degrees()).ok()?;
    let radius = outline.iter().map(|corner| middle.distance_to(*corner)).fold(0.0, f64::max);
    // Beyond a quarter of the way around, a circle is no longer convex.
    (radius < EARTH_RADIUS_METRES * 1.5).then(|| cover(middle, radius))
}

/// The bounding boxes (west, east, south, north in degrees) of a circle; two where it crosses the antimeridian.
///
/// Source: J. P. Matuschek, "Finding Points Within a Distance of a Latitude/Longitude Using Bounding Coordinates".
fn boxes(centre: GeoPoint, angle: f64) -> Vec<(f64, f64, f64, f64)> {
    let (latitude, longitude) = (centre.latitude().to_radians(), centre.longitude());
    let (south, north) = ((latitude - angle).to_degrees(), (latitude + angle).to_degrees());
    if south <= -90.0 || north >= 90.0 {
        return vec![(-180.0, 180.0, south.max(-90.0), north.min(90.0))];
    }
    let half = (angle.sin() / latitude.cos()).clamp(-1.0, 1.0).asin().to_degrees() + 1e-7;
    let (west, east) = (longitude - half, longitude + half);
    if west < -180.0 {
        vec![(west + 360.0, 180.0, south, north), (-180.0, east, south, north)]
    } else if east > 180.0 {
        vec![(west, 180.0, south, north), (-180.0, east - 360.0, south, north)]
    } else {
        vec![(west, east, south, north)]
    }
}

fn cover_box(west: f64, east: f64, south: f64, north: f64, spans: &mut Vec<(u64, u64)>) {
    let (west, east) = (quantise(west, 360.0), quantise(east, 360.0));
    let (south, north) = (quantise(south, 180.0), quantise(north, 180.0));
    let side = f64::from((east - west).max(north - south));
    // The coarsest level whose cells are at least an eighth of the box.
    let level =
        (0..=BITS).find(|&level| side / 2_f64.powi(level as i32) <= CELLS_A_SIDE).unwrap_or(BITS).min(31);
    let (first_x, last_x) = (west >> level, east >> level);
    let (first_y, last_y) = (south >> level, north >> level);
    for x in first_x..=last_x {
        for y in first_y..=last_y {
            let start = interleave(x << level, y << level);
            spans.push((start, start | ((1_u64 << (2 * level)) - 1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(longitude: f64, latitude: f64) -> GeoPoint {
        GeoPoint::new(longitude, latitude).unwrap()
    }

    fn covered(spans: &[(u64, u64)], at: GeoPoint) -> bool {
        let cell = cell(at);
        spans.iter().any(|&(start, end)| (start..=end).contains(&cell))
    }

    #[test]
    fn a_small_circle_touches_few_cells_and_leaves_the_rest_out() {
        let spans = cover(point(-73.7789, 40.6398), 10_000.0);
        assert!(spans.len() <= 100, "{}", spans.len());
        assert!(covered(&spans, point(-73.8, 40.6)));
        assert!(!covered(&spans, point(-74.5, 40.6)));
        assert!(!covered(&spans, point(-118.4, 33.9)));
    }

    #[test]
    fn circles_reach_across_the_antimeridian_and_over_the_poles() {
        assert!(covered(&cover(point(179.9, 10.0), 50_000.0), point(-179.9, 10.0)));
        assert!(covered(&cover(point(-180.0, 0.0), 1_000.0), point(180.0, 0.0)));
        assert!(covered(&cover(point(10.0, 89.9), 50_000.0), point(-170.0, 89.9)));
        assert!(covered(&cover(point(0.0, 90.0), 0.0), point(77.0, 90.0)));
    }

    #[test]
    fn an_area_is_covered_and_what_is_far_is_not() {
        let corners =
            [(-124.5, 42.0), (-117.0, 42.0), (-117.0, 46.0), (-124.5, 46.0)].map(|(x, y)| point(x, y));
        let oregon = Area::Polygon(GeoPolygon::new(corners).unwrap());
        let states = Area::Box { west: -125.0, south: 42.0, east: -117.0, north: 49.0 };
        for spans in [cover_area(&oregon).unwrap(), cover_area(&states).unwrap()] {
            assert!(covered(&spans, point(-122.6, 45.5)));
            assert!(!covered(&spans, point(-73.8, 40.6)));
        }
        let halves = Area::Box { west: 170.0, south: 0.0, east: -170.0, north: 1.0 };
        assert_eq!(cover_area(&halves), None, "a box across the date line is two");
    }

    #[test]
    fn figures_of_the_plane_are_covered_as_far_as_the_cells_go() {
        let spans = cover_circle([10.0, 20.0], 2.0);
        assert!(covered(&spans, point(11.9, 20.0)) && covered(&spans, point(8.0, 20.0)));
        assert!(!covered(&spans, point(15.0, 20.0)));
        let beyond = cover_area(&Area::Rectangle { low: [170.0, -500.0], high: [500.0, 0.0] }).unwrap();
        assert!(covered(&beyond, point(180.0, -90.0)) && !covered(&beyond, point(0.0, 0.0)));
        let outline = cover_area(&Area::Outline(vec![[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])).unwrap();
        assert!(covered(&outline, point(1.0, 1.0)) && !covered(&outline, point(-5.0, 1.0)));
    }

    fn any_point() -> impl Strategy<Value = GeoPoint> {
        (-180.0..=180.0_f64, -90.0..=90.0_f64).prop_map(|(longitude, latitude)| point(longitude, latitude))
    }

    proptest! {
        #[test]
        fn a_cover_holds_every_point_of_its_circle(a in any_point(), b in any_point(), slack in 1.0..1.2_f64) {
            let metres = a.distance_to(b) * slack;
            prop_assert!(covered(&cover(a, metres), b), "{a} to {b}: {metres} m");
        }
    }
}
