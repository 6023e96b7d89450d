//! Places on the sphere.

use bson::{Bson, Document, doc};
use forge::{GeoPoint, GeoPolygon};
use forge_mongo::{Command, Reply};
use forge_tests::models::{NewPlace, Place};
use forge_tests::search::{Zone, zone};
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

    async fn near_has_an_inner_edge_too(t) {
        let here = fill(t).await?;
        let between = t.db.find::<Place>().filter(|p| p.location.near_between(here, 5_000.0, 20_000.0)).await?;
        assert_eq!(names(&between), ["near"]);
        let counted = t.db.find::<Place>().filter(|p| p.location.near_between(here, 5_000.0, 300_000.0)).count().await?;
        assert_eq!(counted, 2);
        let wrong = t.db.find::<Place>().filter(|p| p.location.near_between(here, -1.0, 5.0)).await.unwrap_err();
        assert_eq!(wrong.code(), forge::ErrorCode::BadRequest);
        if !t.stand_in {
            let all = t.db.find::<Place>().filter(|p| p.location.nearest(here)).limit(3).await?;
            assert_eq!(names(&all), ["here", "near", "far"]);
        }
    }

    async fn within_a_polygon_and_a_box(t) {
        fill(t).await?;
        let oregon = [point(-124.5, 42.0), point(-117.0, 42.0), point(-117.0, 46.0), point(-124.5, 46.0)];
        let oregon = GeoPolygon::new(oregon)?;
        let found = async |filter: forge::query::Filter<Place>| {
            let found = t.db.find::<Place>().filter(|_| filter).sort(|p| p.id.asc()).await?;
            forge_tests::engine::done(found.into_iter().map(|p| p.id).collect::<Vec<_>>())
        };
        let location = <Place as forge::Model>::FIELDS.location;
        assert_eq!(found(location.within_polygon(oregon.clone())).await?, ["here", "near"]);
        assert_eq!(found(!location.within_polygon(oregon.clone())).await?, ["east", "far", "pole", "west"]);
        let without = oregon.with_hole([point(-123.0, 45.55), point(-122.0, 45.55), point(-122.0, 45.7), point(-123.0, 45.7)])?;
        if !t.stand_in {
            assert_eq!(found(location.within_polygon(without)).await?, ["here"], "holes are outside");
        }
        assert_eq!(found(location.within_box(point(-123.0, 45.0), point(-122.0, 48.0))).await?, ["far", "here", "near"]);
        assert_eq!(found(location.within_box(point(170.0, -5.0), point(-170.0, 5.0))).await?, ["east", "west"]);
        assert_eq!(found(!location.within_box(point(170.0, -5.0), point(-170.0, 5.0))).await?, ["far", "here", "near", "pole"]);
    }

    async fn areas_cover_and_meet(t) {
        t.push().await?;
        let square = |west: f64, size: f64| {
            GeoPolygon::new([point(west, 0.0), point(west + size, 0.0), point(west + size, size), point(west, size)])
        };
        t.db.insert_many([zone("a", square(0.0, 4.0)?), zone("b", square(2.0, 4.0)?), zone("c", square(20.0, 1.0)?)]).await?;
        assert_eq!(t.db.get::<Zone>("a".to_owned()).await?.map(|z| z.area), Some(square(0.0, 4.0)?), "as it was");
        let found = async |filter: forge::query::Filter<Zone>| {
            let found = match t.db.find::<Zone>().filter(|_| filter).sort(|z| z.id.asc()).await {
                Err(error) if t.stand_in => {
                    forge_tests::engine::skip(&format!("the server that stands in for MongoDB: {error}"));
                    return Ok(None);
                }
                found => found?,
            };
            forge_tests::engine::done(Some(found.into_iter().map(|z| z.id).collect::<Vec<_>>()))
        };
        let area = <Zone as forge::Model>::FIELDS.area;
        for (filter, wanted) in [
            (area.covers(point(3.0, 1.0)), &["a", "b"][..]),
            (area.covers(point(1.0, 1.0)), &["a"]),
            (area.covers(point(50.0, 1.0)), &[]),
            (area.intersects(square(3.5, 2.0)?), &["a", "b"]),
            (area.intersects(square(19.0, 3.0)?), &["c"]),
            (area.within_polygon(square(-1.0, 5.5)?), &["a"]),
        ] {
            if let Some(ids) = found(filter).await? {
                assert_eq!(ids, wanted);
            }
        }
    }

    async fn geometries_of_several_parts_meet_what_any_part_meets(t) {
        t.push().await?;
        let square = |west: f64| {
            GeoPolygon::new([point(west, 0.0), point(west + 1.0, 0.0), point(west + 1.0, 1.0), point(west, 1.0)])
        };
        t.db.insert_many([zone("a", square(0.0)?), zone("b", square(10.0)?), zone("c", square(20.0)?)]).await?;
        let found = async |condition: Document| {
            let (filter, sort) = (doc! { "area": condition }, Some(doc! { "_id": 1 }));
            let find = Command::Find { filter, projection: None, sort, skip: None, limit: None };
            let Reply::Documents(found) = t.send("zones", find).await? else { panic!() };
            forge_tests::engine::done(found.iter().map(|zone| zone.get_str("_id").unwrap().to_owned()).collect::<Vec<_>>())
        };
        let points = doc! { "type": "MultiPoint", "coordinates": [[0.5, 0.5], [20.5, 0.5]] };
        assert_eq!(found(doc! { "$geoIntersects": { "$geometry": points.clone() } }).await?, ["a", "c"]);
        let ring = |west: f64| Bson::from(vec![Bson::from(
            [[west, -1.0], [west + 2.0, -1.0], [west + 2.0, 2.0], [west, 2.0], [west, -1.0]].iter().map(|[x, y]| bson::bson!([*x, *y])).collect::<Vec<_>>(),
        )]);
        let areas = doc! { "type": "MultiPolygon", "coordinates": [ring(-0.5), ring(10.5)] };
        assert_eq!(found(doc! { "$geoIntersects": { "$geometry": areas.clone() } }).await?, ["a", "b"]);
        assert_eq!(found(doc! { "$geoWithin": { "$geometry": areas.clone() } }).await?, ["a"], "all of it");
        assert_eq!(found(doc! { "$not": { "$geoWithin": { "$geometry": areas.clone() } } }).await?, ["b", "c"]);
        if t.stand_in {
            forge_tests::engine::skip("the stand-in server knows no collections of geometries");
            return Ok(());
        }
        let all = doc! { "type": "GeometryCollection", "geometries": [points, areas] };
        assert_eq!(found(doc! { "$geoIntersects": { "$geometry": all } }).await?, ["a", "b", "c"]);
    }
}
