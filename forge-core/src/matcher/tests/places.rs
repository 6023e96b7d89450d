//! Distances and areas, on the sphere and on a plane.

use super::*;
use crate::ir::Area;

const JFK: [f64; 2] = [-73.7789, 40.6398];

fn near(min_metres: Option<f64>, max_metres: Option<f64>) -> Filter {
    field("at", Predicate::Near { point: JFK, max_metres, min_metres })
}

#[test]
fn near_measures_points_and_pairs_on_the_sphere() {
    // Newark is 33.4 km from JFK.
    let newark = [-74.1687, 40.6925];
    let point = rawdoc! { "at": { "type": "Point", "coordinates": [newark[0], newark[1]] } };
    let pair = rawdoc! { "at": [newark[0], newark[1]] };
    let named = rawdoc! { "at": { "lng": newark[0], "lat": newark[1] } };
    for document in [point.clone(), pair, named] {
        for (min, max, expected) in [
            (None, None, true),
            (None, Some(34_000.0), true),
            (None, Some(33_000.0), false),
            (Some(33_000.0), None, true),
            (Some(34_000.0), None, false),
        ] {
            check(&near(min, max), &[(document.clone(), expected)]);
        }
    }
    check(&field("at", Predicate::WithinCircle { centre: JFK, metres: 34_000.0 }), &[(point.clone(), true)]);
    check(&field("at", Predicate::WithinCircle { centre: JFK, metres: 33_000.0 }), &[(point.clone(), false)]);
    let centre = GeoPoint::new(JFK[0], JFK[1]).unwrap();
    let exact = centre.distance_to(GeoPoint::new(newark[0], newark[1]).unwrap());
    assert_eq!(distance_at(&point, "at", centre), Some(exact));
    check(&near(Some(exact), Some(exact)), &[(point, true)]);
}

#[test]
fn near_needs_a_point() {
    check(
        &near(None, None),
        &[
            (rawdoc! {}, false),
            (rawdoc! { "at": null }, false),
            (rawdoc! { "at": [] }, false),
            (rawdoc! { "at": ["x", "y"] }, false),
            (rawdoc! { "at": [200, 0] }, false),
            (rawdoc! { "at": { "type": "Point" } }, false),
            (rawdoc! { "at": { "type": "LineString", "coordinates": [0, 0] } }, false),
            (rawdoc! { "at": [[1, 2], [3, 4]] }, true),
        ],
    );
}

#[test]
fn the_nearest_of_several_points_counts() {
    let centre = GeoPoint::new(0.0, 0.0).unwrap();
    let document = rawdoc! { "stops": [{ "at": [10, 0] }, { "at": [1, 0] }, { "at": [5, 0] }] };
    let degree = centre.distance_to(GeoPoint::new(1.0, 0.0).unwrap());
    assert_eq!(distance_at(&document, "stops.at", centre), Some(degree));
    assert_eq!(distance_at(&document, "at", centre), None);
}

#[test]
fn distances_on_a_plane_are_straight_and_have_no_limits() {
    let near = |min, max| field("at", Predicate::NearOnPlane { point: [500.0, 300.0], max, min });
    let pair = rawdoc! { "at": [503.0, 304.0] };
    let named = rawdoc! { "at": { "x": 503, "y": 304_i64 } };
    let point = rawdoc! { "at": { "type": "Point", "coordinates": [503, 304] } };
    for document in [&pair, &named, &point] {
        for (min, max, expected) in
            [(None, None, true), (None, Some(5.0), true), (None, Some(4.9), false), (Some(5.1), None, false)]
        {
            check(&near(min, max), &[(document.clone(), expected)]);
        }
    }
    assert_eq!(distance_at(&pair, "at", Centre::Plane([500.0, 300.0])), Some(5.0));
    let several = rawdoc! { "at": [[500, 310], [500, 302]] };
    assert_eq!(distance_at(&several, "at", Centre::Plane([500.0, 300.0])), Some(2.0));
    check(
        &near(None, None),
        &[(rawdoc! { "at": ["x", 1] }, false), (rawdoc! { "at": [1] }, false), (rawdoc! {}, false)],
    );
    assert!(Matcher::new(&near(None, Some(-1.0))).is_err());
}

#[test]
fn figures_of_the_plane_hold_points_with_their_edges() {
    let at = |x: f64, y: f64| rawdoc! { "at": [x, y] };
    let within = |area| field("at", Predicate::Within(area));
    let circle = within(Area::Circle { centre: [0.0, 0.0], radius: 5.0 });
    check(&circle, &[(at(3.0, 4.0), true), (at(3.1, 4.0), false)]);
    let rectangle = within(Area::Rectangle { low: [-1000.0, 0.0], high: [0.0, 10.0] });
    check(&rectangle, &[(at(-1000.0, 10.0), true), (at(-500.0, 5.0), true), (at(0.1, 5.0), false)]);
    // An arrow head, pointing up, with a notch below.
    let outline = within(Area::Outline(vec![[0.0, 0.0], [4.0, 8.0], [8.0, 0.0], [4.0, 2.0]]));
    check(
        &outline,
        &[
            (at(4.0, 4.0), true),
            (at(4.0, 2.0), true),
            (at(4.0, 1.9), false),
            (at(2.0, 4.0), true),
            (at(1.9, 4.0), false),
            (at(0.0, 0.0), true),
            (at(8.0, 0.0), true),
            (at(-1.0, 0.0), false),
            (at(4.0, 0.0), false),
            (rawdoc! { "at": [[90, 90], [4, 4]] }, true),
            (
                rawdoc! { "at": { "type": "Polygon", "coordinates": [[[4, 4], [4, 5], [5, 5], [4, 4]]] } },
                false,
            ),
        ],
    );
}
