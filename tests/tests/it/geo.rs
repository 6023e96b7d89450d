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

    async fn stored_geometries_of_every_kind_meet_lie_within_and_are_near(t) {
        geometries(t).await?;
        let geometry = |kind: &str, coordinates: Bson| doc! { "$geometry": { "type": kind, "coordinates": coordinates } };
        let meets = |kind: &str, coordinates: Bson| doc! { "$geoIntersects": geometry(kind, coordinates) };
        let within = |kind: &str, coordinates: Bson| doc! { "$geoWithin": geometry(kind, coordinates) };
        for (condition, found) in [
            (meets("Point", bson::bson!([0, 3])), &["line"][..]),
            (meets("Point", bson::bson!([21, 1])), &["multipoint"]),
            (meets("LineString", bson::bson!([[-1, 1], [1, 1]])), &["line"]),
            (meets("LineString", bson::bson!([[9, 1], [13, 1]])), &["multiline", "polygon"]),
            (meets("MultiLineString", bson::bson!([[[32.5, 0], [33.5, 0]], [[-1, 1], [1, 1]]])), &["collection", "line"]),
            (meets("Polygon", bson::bson!([[[19, 0], [22, 0], [22, 2], [19, 2], [19, 0]]])), &["multipoint"]),
            (within("Polygon", bson::bson!([[[-1, -1], [6, -1], [6, 6], [-1, 6], [-1, -1]]])), &["line"]),
            (within("Polygon", bson::bson!([[[19, 0], [22, 0], [22, 2], [19, 2], [19, 0]]])), &[]),
            (within("Polygon", bson::bson!([[[19, -1], [26, -1], [26, 2], [19, 2], [19, -1]]])), &["multipoint"]),
            (within("Polygon", bson::bson!([[[8, -2], [50, -2], [50, 6], [8, 6], [8, -2]]])), &["collection", "multiline", "multipoint", "multipolygon", "polygon"]),
        ] {
            let found: Vec<_> = found.iter().filter(|id| !t.stand_in || **id != "collection").collect();
            assert_eq!(places(t, condition.clone()).await?.iter().collect::<Vec<_>>(), found, "{condition}");
        }
        let parts = bson::bson!([
            [[[19, 0], [22, 0], [22, 2], [19, 2], [19, 0]]],
            [[[24, 0], [26, 0], [26, 2], [24, 2], [24, 0]]]
        ]);
        assert_eq!(places(t, within("MultiPolygon", parts)).await?, ["multipoint"], "each part in one of the areas");
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "collections in areas, circles around lines and areas, and distances of them");
        }
        let collection = bson::bson!([{ "type": "Point", "coordinates": [0, 3] }, { "type": "LineString", "coordinates": [[9, 1], [10.5, 1]] }]);
        let collection = doc! { "$geoIntersects": { "$geometry": { "type": "GeometryCollection", "geometries": collection } } };
        assert_eq!(places(t, collection).await?, ["line", "polygon"]);
        let circle = |at: [f64; 2], degrees: f64| doc! { "$geoWithin": { "$centerSphere": [[at[0], at[1]], degrees.to_radians()] } };
        assert_eq!(places(t, circle([0.0, 2.5], 2.6)).await?, ["line"]);
        assert_eq!(places(t, circle([0.0, 2.5], 2.4)).await?, [""; 0], "its ends are farther");
        assert_eq!(places(t, circle([11.0, 1.0], 1.6)).await?, ["polygon"]);
    }

    async fn what_is_no_point_is_as_near_as_its_nearest_part(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "distances of lines and areas");
        }
        geometries(t).await?;
        let near = |at: [f64; 2], degrees: f64| {
            let point = doc! { "type": "Point", "coordinates": [at[0], at[1]] };
            doc! { "$nearSphere": { "$geometry": point, "$maxDistance": degrees.to_radians() * 6_378_100.0 } }
        };
        let order = async |condition: Document| -> Result<Vec<String>> {
            let find = Command::Find { filter: doc! { "at": condition }, projection: None, sort: None, skip: None, limit: None };
            let Reply::Documents(found) = t.send("shapes", find).await? else { panic!() };
            found.iter().map(|shape| Ok(shape.get_str("_id")?.to_owned())).collect()
        };
        assert_eq!(order(near([4.0, 2.0], 6.1)).await?, ["line", "polygon"]);
        assert_eq!(order(near([4.0, 2.0], 3.9)).await?, [""; 0]);
        assert_eq!(order(near([11.0, 1.0], 5.0)).await?, ["polygon", "multiline"], "what holds the point is there");
        let stage = doc! { "$geoNear": { "near": { "type": "Point", "coordinates": [4, 2] }, "distanceField": "far", "maxDistance": 500_000 } };
        let Reply::Documents(rows) = t.send("shapes", Command::Aggregate { pipeline: vec![stage] }).await? else { panic!() };
        assert_eq!(rows.len(), 1);
        let metres = rows[0].get_f64("far")?;
        let expected = 4_f64.to_radians() * 2_f64.to_radians().cos() * 6_378_100.0;
        assert!((metres / expected - 1.0).abs() < 1e-3, "{metres} {expected}");
    }

    async fn areas_leave_out_their_holes(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "holes in areas of conditions");
        }
        geometries(t).await?;
        let rings = |hole: [f64; 2]| {
            let [low, high] = hole;
            bson::bson!([
                [[9, -1], [13, -1], [13, 3], [9, 3], [9, -1]],
                [[9.0 + low, low], [9.0 + low, high], [9.0 + high, high], [9.0 + high, low], [9.0 + low, low]]
            ])
        };
        let area = |operator: &str, hole: [f64; 2]| doc! { operator: { "$geometry": { "type": "Polygon", "coordinates": rings(hole) } } };
        // The stored area is [10, 12] × [0, 2].
        assert_eq!(places(t, area("$geoWithin", [-0.9, -0.5])).await?, ["polygon"], "the hole is beside it");
        assert_eq!(places(t, area("$geoWithin", [1.5, 1.6])).await?, [""; 0], "the hole is inside of it");
        assert_eq!(places(t, area("$geoIntersects", [1.5, 1.6])).await?, ["multiline", "polygon"]);
        assert_eq!(places(t, doc! { "$geoIntersects": { "$geometry": { "type": "Polygon", "coordinates": [
            [[8, -3], [20, -3], [20, 3], [8, 3], [8, -3]],
            [[9, -1], [19.5, -1], [19.5, 2.9], [9, 2.9], [9, -1]],
        ] } } }).await?, ["multiline"], "all of the area is in the hole");
    }

    async fn a_document_that_begins_with_a_number_is_a_pair(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "pairs in documents of any names");
        }
        t.seed("shapes", [
            doc! { "_id": "pair", "at": { "x": 1, "y": 1, "type": "Point" } },
            doc! { "_id": "typed", "at": { "type": 1, "y": 1 } },
            doc! { "_id": "none", "at": { "type": true, "coordinates": [1, 1] } },
            doc! { "_id": "point", "at": { "type": "Point", "coordinates": [1, 1, 500] } },
        ]).await?;
        assert_eq!(places(t, doc! { "$geoWithin": { "$centerSphere": [[1, 1], 0.01] } }).await?, ["pair", "point", "typed"]);
        assert_eq!(places(t, doc! { "$geoWithin": { "$box": [[0, 0], [2, 2]] } }).await?, ["pair", "point", "typed"]);
        let sphere = doc! { "key": { "at": "2dsphere" }, "name": "at" };
        assert!(forge_mongo::Driver::create_index(&*t.driver, t.name(), "shapes", &sphere).await.is_err(), "`none` is nowhere");
    }

    async fn malformed_geometries_are_refused(t) {
        for geometry in [
            doc! { "type": "Line", "coordinates": [[0, 0], [1, 1]] },
            doc! { "type": "LineString", "coordinates": [[0, 0]] },
            doc! { "type": "MultiPoint", "coordinates": [] },
            doc! { "type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]] },
            doc! { "type": "Point", "coordinates": [0, 91] },
        ] {
            if t.stand_in {
                return forge_tests::engine::unsupported(t, "checks of geometries");
            }
            let error = places(t, doc! { "$geoIntersects": { "$geometry": geometry.clone() } }).await.unwrap_err();
            assert_eq!((error.code(), error.server_code()), (forge::ErrorCode::BadRequest, Some(2)), "{geometry}: {error}");
        }
    }
}

/// A geometry of each kind that is no point, some degrees apart, with an index over them.
async fn geometries(t: &Fixture) -> Result<()> {
    // SecantusDB cannot index geometries of several parts.
    if !t.stand_in {
        let index = doc! { "key": { "at": "2dsphere" }, "name": "at" };
        forge_mongo::Driver::create_index(&*t.driver, t.name(), "shapes", &index).await?;
    }
    let square = |x: f64| bson::bson!([[[x, 0], [x + 2.0, 0], [x + 2.0, 2], [x, 2], [x, 0]]]);
    let shape = |id: &str, kind: &str, coordinates: Bson| {
        doc! { "_id": id, "at": { "type": kind, "coordinates": coordinates } }
    };
    let collection = bson::bson!([
        { "type": "Point", "coordinates": [33, 0] }, { "type": "LineString", "coordinates": [[34, 0], [35, 1]] }
    ]);
    t.seed(
        "shapes",
        [
            shape("line", "LineString", bson::bson!([[0, 0], [0, 5]])),
            shape("polygon", "Polygon", square(10.0)),
            shape("multiline", "MultiLineString", bson::bson!([[[12.5, 0], [12.5, 5]], [[15, 0], [15, 5]]])),
            shape("multipoint", "MultiPoint", bson::bson!([[21, 1], [25, 1]])),
            shape("multipolygon", "MultiPolygon", Bson::Array(vec![square(30.0), square(40.0)])),
            doc! { "_id": "collection", "at": { "type": "GeometryCollection", "geometries": collection } },
        ],
    )
    .await
}

/// The ids of the shapes that a condition finds, by name.
async fn places(t: &Fixture, condition: Document) -> Result<Vec<String>> {
    let (filter, sort) = (doc! { "at": condition }, Some(doc! { "_id": 1 }));
    let find = Command::Find { filter, projection: None, sort, skip: None, limit: None };
    let Reply::Documents(found) = t.send("shapes", find).await? else { panic!() };
    found.iter().map(|shape| Ok(shape.get_str("_id")?.to_owned())).collect()
}
