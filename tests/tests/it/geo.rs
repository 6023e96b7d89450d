//! Places on the sphere.

use forge::GeoPoint;
use forge_tests::models::{NewPlace, Place};
use forge_tests::{Fixture, Result, conformance};

fn point(longitude: f64, latitude: f64) -> GeoPoint {
    GeoPoint::new(longitude, latitude).unwrap()
}

/// Around Portland (-122.6, 45.5): one degree of latitude is some 111 km.
async fn fill(t: &Fixture) -> Result<GeoPoint> {
    t.push().await?;
    let places = [
        ("here", -122.6, 45.5, true),
        ("near", -122.6, 45.6, false),
        ("far", -122.6, 47.5, true),
        ("east", 179.9, 0.0, true),
        ("west", -179.9, 0.0, true),
        ("pole", 10.0, 89.9, true),
    ];
    t.db.insert_many(places.map(|(id, longitude, latitude, open)| NewPlace {
        id: id.into(),
        location: point(longitude, latitude),
        open,
    }))
    .await?;
    Ok(point(-122.6, 45.5))
}

fn names(places: &[Place]) -> Vec<&str> {
    places.iter().map(|place| place.id.as_str()).collect()
}

conformance! {
    async fn near_is_sorted_by_distance_and_bounded(t) {
        let here = fill(t).await?;
        assert_eq!(names(&t.db.find::<Place>().filter(|p| p.location.near(here, 300_000.0)).await?), ["here", "near", "far"]);
        assert_eq!(names(&t.db.find::<Place>().filter(|p| p.location.near(here, 20_000.0)).await?), ["here", "near"]);
        assert_eq!(names(&t.db.find::<Place>().filter(|p| p.location.near(here, 1.0)).await?), ["here"]);
        assert_eq!(names(&t.db.find::<Place>().filter(|p| p.location.near(here, 300_000.0)).limit(2).await?), ["here", "near"]);
        assert_eq!(names(&t.db.find::<Place>().filter(|p| p.location.near(here, 300_000.0) & p.open.eq(true)).skip(1).await?), ["far"]);
        // `$nearSphere` sorts by distance; SecantusDB keeps the order of the collection.
        if !t.stand_in {
            let north = point(-122.6, 47.6);
            assert_eq!(names(&t.db.find::<Place>().filter(|p| p.location.near(north, 300_000.0)).await?), ["far", "near", "here"]);
        }
    }

    async fn near_counts_and_combines(t) {
        let here = fill(t).await?;
        assert_eq!(t.db.find::<Place>().filter(|p| p.location.near(here, 300_000.0)).count().await?, 3);
        let found = t.db.find::<Place>().filter(|p| p.location.near(here, 20_000.0) | p.id.eq("pole")).sort(|p| p.id.asc()).await?;
        assert_eq!(names(&found), ["here", "near", "pole"]);
        let sorted = t.db.find::<Place>().filter(|p| p.location.near(here, 300_000.0)).sort(|p| p.id.asc()).await?;
        assert_eq!(names(&sorted), ["far", "here", "near"], "another order, where it is asked for");
    }

    async fn within_a_circle_in_no_order(t) {
        let here = fill(t).await?;
        let within = async |centre, metres: f64| {
            let found = t.db.find::<Place>().filter(|p| p.location.within_circle(centre, metres)).sort(|p| p.id.asc()).await?;
            forge_tests::engine::done(found.into_iter().map(|p| p.id).collect::<Vec<_>>())
        };
        assert_eq!(within(here, 20_000.0).await?, ["here", "near"]);
        assert_eq!(within(here, 10.0).await?, ["here"]);
        assert_eq!(within(point(180.0, 0.0), 20_000.0).await?, ["east", "west"], "across the date line");
        assert_eq!(within(point(-170.0, 89.9), 50_000.0).await?, ["pole"], "across the pole");
        assert_eq!(within(point(0.0, -60.0), 1_000.0).await?, [""; 0]);
    }
}
