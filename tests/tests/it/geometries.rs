//! Fields of every type of GeoJSON: what is stored, found and refused.

use bson::{Bson, bson, doc};
use forge::prelude::*;
use forge::{ErrorCode, GeoCollection, GeoLine, GeoMultiLine, GeoMultiPoint, GeoMultiPolygon, GeoShape};
use forge_tests::engine::{skip, unsupported};
use forge_tests::{Fixture, Result, conformance};
use serde::de::DeserializeOwned;

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "landmarks", json_schema(strict, error))]
pub(crate) struct Landmark {
    #[model(id)]
    pub id: String,
    #[model(index = "2dsphere")]
    pub shape: GeoShape,
    #[model(index = "2dsphere")]
    pub path: Option<GeoLine>,
    pub stops: Option<GeoMultiPoint>,
    pub network: Option<GeoMultiLine>,
    pub islands: Option<GeoMultiPolygon>,
    pub all: Option<GeoCollection>,
}

fn at(longitude: f64, latitude: f64) -> GeoPoint {
    GeoPoint::new(longitude, latitude).unwrap()
}

fn line(points: &[[f64; 2]]) -> GeoLine {
    GeoLine::new(points.iter().map(|[x, y]| at(*x, *y))).unwrap()
}

/// Two degrees wide and high.
fn square(west: f64) -> GeoPolygon {
    GeoPolygon::new([at(west, 0.0), at(west + 2.0, 0.0), at(west + 2.0, 2.0), at(west, 2.0)]).unwrap()
}

fn stops() -> GeoMultiPoint {
    GeoMultiPoint::new([at(21.0, 1.0), at(25.0, 1.0)]).unwrap()
}

fn network() -> GeoMultiLine {
    GeoMultiLine::new([line(&[[12.5, 0.0], [12.5, 5.0]]), line(&[[15.0, 0.0], [15.0, 5.0]])]).unwrap()
}

fn islands() -> GeoMultiPolygon {
    GeoMultiPolygon::new([square(30.0), square(40.0)]).unwrap()
}

fn all() -> GeoCollection {
    GeoCollection::new([at(33.0, 0.0).into(), line(&[[34.0, 0.0], [35.0, 1.0]]).into()]).unwrap()
}

fn landmark(id: &str, shape: impl Into<GeoShape>) -> NewLandmark {
    let shape = shape.into();
    NewLandmark { id: id.into(), shape, path: None, stops: None, network: None, islands: None, all: None }
}

/// One shape of each kind, some degrees apart.
async fn fill(t: &Fixture) -> Result<()> {
    // SecantusDB cannot index geometries of several parts.
    if !t.stand_in {
        t.push().await?;
    }
    t.db.insert_many([
        landmark("point", at(-5.0, 0.0)),
        landmark("line", line(&[[0.0, 0.0], [0.0, 5.0]])),
        landmark("polygon", square(10.0)),
        landmark("multiline", network()),
        landmark("multipoint", stops()),
        landmark("multipolygon", islands()),
        landmark("collection", all()),
    ])
    .await?;
    Ok(())
}

fn fields() -> &'static <Landmark as forge::Model>::Fields {
    <Landmark as forge::Model>::FIELDS
}

type Condition = forge::query::Filter<Landmark>;

async fn found(t: &Fixture, condition: Condition) -> Result<Vec<String>> {
    let found = t.db.find::<Landmark>().filter(|_| condition).sort(|l| l.id.asc()).await?;
    Ok(found.into_iter().map(|landmark| landmark.id).collect())
}

async fn check(t: &Fixture, cases: Vec<(&'static str, Condition, &[&str])>) -> Result<()> {
    for (name, condition, expected) in cases {
        // SecantusDB compares no collections.
        let known = |id: &&&str| !t.stand_in || **id != "collection";
        let expected: Vec<_> = expected.iter().filter(known).collect();
        assert_eq!(found(t, condition).await?.iter().collect::<Vec<_>>(), expected, "{name}");
    }
    Ok(())
}

conformance! {
    async fn every_geometry_is_stored_as_geojson_and_read_back(t) {
        let new = NewLandmark {
            path: Some(line(&[[0.0, 0.0], [0.0, 5.0], [0.0, 5.0]])),
            stops: Some(stops()),
            network: Some(network()),
            islands: Some(islands()),
            all: Some(all()),
            ..landmark("all", all())
        };
        let made = t.db.insert(new).await?;
        assert_eq!(t.db.get::<Landmark>("all".to_owned()).await?.as_ref(), Some(&made));
        let stored = t.stored("landmarks").await?.remove(0);
        assert_eq!(stored.get("path"), Some(&bson!({ "type": "LineString", "coordinates": [[0.0, 0.0], [0.0, 5.0], [0.0, 5.0]] })));
        assert_eq!(stored.get("stops"), Some(&bson!({ "type": "MultiPoint", "coordinates": [[21.0, 1.0], [25.0, 1.0]] })));
        let lines = bson!([[[12.5, 0.0], [12.5, 5.0]], [[15.0, 0.0], [15.0, 5.0]]]);
        assert_eq!(stored.get("network"), Some(&bson!({ "type": "MultiLineString", "coordinates": lines })));
        assert_eq!(stored.get("islands"), Some(&islands().into()));
        let collection = bson!({ "type": "GeometryCollection", "geometries": [
            { "type": "Point", "coordinates": [33.0, 0.0] }, { "type": "LineString", "coordinates": [[34.0, 0.0], [35.0, 1.0]] },
        ] });
        assert_eq!((stored.get("all"), stored.get("shape")), (Some(&collection), Some(&collection)));
        check(t, vec![
            ("by value", fields().path.eq(line(&[[0.0, 0.0], [0.0, 5.0], [0.0, 5.0]])), &["all"]),
            ("by another value", fields().shape.eq(GeoShape::from(at(33.0, 0.0))), &[]),
        ]).await?;
        let json = serde_json::to_string(&made)?;
        assert_eq!(serde_json::from_str::<Landmark>(&json)?, made);
        let changed = t.db.update::<Landmark>("all".to_owned()).set(|l| l.shape, GeoShape::from(square(1.0))).unset(|l| l.path).await?;
        assert_eq!((changed.shape, changed.path), (square(1.0).into(), None));
    }

    async fn shapes_meet_shapes_of_every_kind(t) {
        fill(t).await?;
        let shape = fields().shape;
        let across = line(&[[9.0, 1.0], [13.0, 1.0]]);
        check(t, vec![
            ("a point", shape.intersects(at(0.0, 3.0)), &["line"]),
            ("a point of several", shape.covers(at(21.0, 1.0)), &["multipoint"]),
            ("a line", shape.intersects(across.clone()), &["multiline", "polygon"]),
            ("an area", shape.intersects(square(20.0)), &["multipoint"]),
            ("several points", shape.intersects(GeoMultiPoint::new([at(0.0, 3.0), at(11.0, 1.0), at(41.0, 1.0)])?), &["line", "multipolygon", "polygon"]),
            ("several lines", shape.intersects(GeoMultiLine::new([line(&[[32.5, 0.0], [33.5, 0.0]]), line(&[[-1.0, 1.0], [1.0, 1.0]])])?), &["collection", "line"]),
            ("several areas", shape.intersects(GeoMultiPolygon::new([square(-1.0), square(24.0)])?), &["line", "multipoint"]),
            ("one of several", shape.intersects(GeoMultiPoint::from(at(-5.0, 0.0))), &["point"]),
            ("nothing", shape.intersects(at(80.0, 80.0)), &[]),
            ("not", !shape.intersects(square(-1.0)) & shape.intersects(GeoMultiPolygon::new([square(-1.0), square(24.0)])?), &["multipoint"]),
        ]).await?;
        if t.stand_in {
            return unsupported(t, "collections of geometries in conditions");
        }
        let mixed = GeoCollection::new([at(0.0, 3.0).into(), across.into(), square(-6.0).into()])?;
        assert_eq!(found(t, shape.intersects(mixed)).await?, ["line", "multiline", "point", "polygon"]);
    }

    async fn shapes_lie_within_areas_and_circles(t) {
        fill(t).await?;
        let shape = fields().shape;
        let wide = |west: f64, east: f64| GeoPolygon::new([at(west, -2.0), at(east, -2.0), at(east, 6.0), at(west, 6.0)]);
        check(t, vec![
            ("a polygon", shape.within_polygon(wide(-1.0, 6.0)?), &["line"]),
            ("part of them", shape.within_polygon(wide(19.0, 22.0)?), &[]),
            ("all of them", shape.within_polygon(wide(19.0, 26.0)?), &["multipoint"]),
            ("one of several each", shape.within_polygons(GeoMultiPolygon::new([wide(19.0, 22.0)?, wide(24.0, 26.0)?])?), &["multipoint"]),
            ("several", shape.within_polygons(GeoMultiPolygon::new([wide(-6.0, -4.0)?, wide(9.0, 13.0)?])?), &["point", "polygon"]),
        ]).await?;
        if t.stand_in {
            return unsupported(t, "circles around lines and areas");
        }
        let degree = 111_000.0;
        check(t, vec![
            ("a circle", shape.within_circle(at(0.0, 2.5), 2.7 * degree), &["line"]),
            ("a smaller circle", shape.within_circle(at(0.0, 2.5), 2.4 * degree), &[]),
            ("a box", shape.within_box(at(19.0, 0.0), at(26.0, 3.0)), &["multipoint"]),
        ]).await?;
    }

    async fn shapes_are_as_near_as_their_nearest_part(t) {
        if t.stand_in {
            return unsupported(t, "distances of lines and areas");
        }
        fill(t).await?;
        let degree = 111_000.0;
        let order = async |condition: Condition| {
            let found = t.db.find::<Landmark>().filter(|_| condition).await?;
            forge_tests::engine::done(found.into_iter().map(|landmark| landmark.id).collect::<Vec<_>>())
        };
        let shape = fields().shape;
        assert_eq!(order(shape.near(at(4.0, 2.0), 6.2 * degree)).await?, ["line", "polygon"]);
        assert_eq!(order(shape.near(at(11.0, 1.0), 5.0 * degree)).await?, ["polygon", "multiline"], "what holds the point is there");
        assert_eq!(order(shape.near_between(at(11.0, 1.0), degree, 5.0 * degree)).await?, ["multiline"]);
        t.db.update::<Landmark>("point".to_owned()).set(|l| l.path, line(&[[0.0, 0.0], [0.0, 9.0]])).await?;
        assert_eq!(order(fields().path.near(at(1.0, 8.0), 2.0 * degree)).await?, ["point"]);
        assert_eq!(order(fields().path.intersects(square(-1.0))).await?, ["point"]);
    }

    async fn a_validator_refuses_what_is_no_geojson(t) {
        let plan = t.adapter.push(t.name(), &forge_tests::engine::catalog(), true).await;
        if plan.is_err() && t.stand_in {
            return unsupported(t, "indexes of geometries of several parts");
        }
        let good = |shape: Bson| doc! { "_id": "x", "shape": shape };
        for (shape, fits) in [
            (bson!({ "type": "LineString", "coordinates": [[0.0, 0.0], [1.0, 1.0]] }), true),
            (bson!({ "type": "LineString", "coordinates": [[0.0, 0.0]] }), false),
            (bson!({ "type": "Line", "coordinates": [[0.0, 0.0], [1.0, 1.0]] }), false),
            (bson!({ "type": "Polygon", "coordinates": [[0.0, 0.0], [1.0, 1.0]] }), false),
            (bson!({ "type": "GeometryCollection", "geometries": [] }), false),
            (bson!({ "type": "GeometryCollection", "geometries": [{ "type": "Point", "coordinates": [1.0, 2.0] }] }), true),
            (bson!("here"), false),
        ] {
            let outcome = t.seed("landmarks", [good(shape.clone())]).await;
            if t.stand_in && outcome.is_ok() != fits {
                skip("the server checks documents otherwise");
                continue;
            }
            assert_eq!(outcome.is_ok(), fits, "{shape}: {outcome:?}");
            t.db.delete_many::<Landmark>().all().await?;
        }
    }
}

/// What a value is not, by a part of the message.
fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str, why: &str) {
    let error = serde_json::from_str::<T>(json).unwrap_err().to_string();
    assert!(error.contains(why), "{json}: {error}");
}

#[test]
fn geometries_that_cannot_be_are_refused_with_the_reason() {
    let bad = [
        GeoLine::new([at(1.0, 1.0), at(1.0, 1.0)]).map(|_| ()),
        GeoLine::new([at(10.0, 20.0), at(-170.0, -20.0)]).map(|_| ()),
        GeoMultiPoint::new([]).map(|_| ()),
        GeoMultiLine::new([]).map(|_| ()),
        GeoMultiPolygon::new([]).map(|_| ()),
        GeoCollection::new([]).map(|_| ()),
        GeoCollection::new([all().into()]).map(|_| ()),
        GeoPoint::try_from(GeoShape::from(all())).map(|_| ()),
    ];
    let reasons = [
        "two different",
        "opposite",
        "at least one",
        "at least one",
        "at least one",
        "at least one",
        "no other collection",
        "GeometryCollection",
    ];
    for (made, reason) in bad.into_iter().zip(reasons) {
        let error = made.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert!(error.message().contains(reason), "{error} says {reason}");
    }
    refused::<GeoShape>(r#"{ "type": "Circle", "coordinates": [1, 2] }"#, "\"Circle\" is no type");
    refused::<GeoShape>(r#"{ "type": "LineString" }"#, "a GeoJSON LineString has `coordinates`");
    refused::<GeoShape>(r#"{ "type": "LineString", "coordinates": [[0, 0], [0, 91]] }"#, "latitude 91");
    refused::<GeoShape>(r#"{ "type": "LineString", "coordinates": [[0, 0], [0, 1, 2]] }"#, "two numbers");
    refused::<GeoShape>(
        r#"{ "type": "LineString", "coordinates": [0, 1] }"#,
        "a list of coordinates is expected, not 0",
    );
    refused::<GeoShape>(r#"{ "type": "MultiPolygon", "coordinates": [[[[[1]]]]] }"#, "too deep");
    refused::<GeoShape>(
        r#"{ "type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]] }"#,
        "three different points",
    );
    refused::<GeoShape>(r#"{ "type": "Point", "geometries": [] }"#, "no `geometries`");
    refused::<GeoShape>(r#"{ "type": "GeometryCollection", "coordinates": [1, 2] }"#, "no `coordinates`");
    let nested = r#"{ "type": "GeometryCollection", "geometries": [{ "type": "GeometryCollection", "geometries": [] }] }"#;
    refused::<GeoShape>(nested, "no other collection");
    refused::<GeoLine>(r#"{ "type": "Point", "coordinates": [1, 2] }"#, "a GeoJSON Point is not a GeoLine");
    refused::<GeoMultiPoint>(r#"{ "type": "MultiPoint", "coordinates": [], "crs": {} }"#, "crs");
    refused::<GeoPolygon>(
        r#"{ "type": "Polygon", "coordinates": "x" }"#,
        "a number, or a list of coordinates",
    );
}

#[test]
fn shapes_know_what_they_meet_and_how_far_they_are() {
    let shape = GeoShape::from(network());
    assert_eq!(shape.kind(), "MultiLineString");
    assert!(
        shape.intersects(&line(&[[14.0, 1.0], [16.0, 1.0]]).into())
            && !shape.intersects(&square(20.0).into())
    );
    let far = shape.distance_to(at(14.0, 0.0));
    assert!((far / at(14.0, 0.0).distance_to(at(15.0, 0.0)) - 1.0).abs() < 1e-6, "{far}");
    assert_eq!(GeoShape::from(islands()).distance_to(at(41.0, 1.0)), 0.0);
}
