//! Fields of every type of GeoJSON: what clients send, ask and read about them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use forge::prelude::*;
use forge::server::axum::body::{Body, to_bytes};
use forge::server::axum::http::Request;
use forge::services::{Multi, Service};
use forge::{
    App, GeoCollection, GeoLine, GeoMultiLine, GeoMultiPoint, GeoMultiPolygon, GeoShape, server::Server,
};
use serde_json::{Value, json};
use support::ask;
use tower::ServiceExt as _;

#[derive(Debug, Clone, Model)]
#[model(collection = "trails", service(operators = [near, geoWithin, geoIntersects, exists]))]
pub struct Trail {
    #[model(id)]
    pub id: String,
    pub route: Option<GeoLine>,
    pub huts: Option<GeoMultiPoint>,
    pub loops: Option<GeoMultiLine>,
    pub zones: Option<GeoMultiPolygon>,
    pub parts: Option<GeoCollection>,
    #[model(index = "2dsphere")]
    pub shape: Option<GeoShape>,
}

const FIELDS: [&str; 6] = ["route", "huts", "loops", "zones", "parts", "shape"];

/// A value of every field, near a place.
fn near(x: i32, y: i32) -> Value {
    let line = json!([[x, y], [x + 1, y + 1]]);
    let ring = json!([[x, y], [x + 1, y], [x + 1, y + 1], [x, y]]);
    let of = |name: &str, coordinates: Value| json!({ "type": name, "coordinates": coordinates });
    json!({
        "route": of("LineString", line.clone()),
        "huts": of("MultiPoint", line.clone()),
        "loops": of("MultiLineString", json!([line])),
        "zones": of("MultiPolygon", json!([[ring]])),
        "parts": { "type": "GeometryCollection", "geometries": [of("Point", json!([x, y]))] },
        "shape": of("LineString", line),
    })
}

async fn trails() -> Server {
    let app = App::new().service(Service::<Trail>::declared().multi(Multi::ALL));
    let server = app.database("memory:").build().await.unwrap();
    for (id, x, y) in [("alps", 10, 46), ("andes", -70, -20)] {
        let mut trail = near(x, y);
        trail["id"] = id.into();
        let (status, text) = ask(&server, "POST", "trails", trail).await;
        assert_eq!(status, 201, "{text}");
    }
    assert_eq!(ask(&server, "POST", "trails", json!({ "id": "none" })).await.0, 201);
    server
}

/// The ids of what `query` finds, whose text is put into a URL as it must be.
async fn found(server: &Server, query: &str) -> Vec<String> {
    let query = query.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
    let (status, text) = ask(server, "GET", &format!("trails?{query}"), Value::Null).await;
    assert_eq!(status, 200, "{query}: {text}");
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    list.iter().map(|trail| trail["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_geometry_is_found_by_nearness_areas_and_equality() {
    let server = trails().await;
    let area = r#"{"type":"Polygon","coordinates":[[[9,45],[12,45],[12,48],[9,48],[9,45]]]}"#;
    let start = r#"{"type":"Point","coordinates":[10,46]}"#;
    let same = near(10, 46);
    for field in FIELDS {
        assert_eq!(
            found(&server, &format!("{field}[$geoWithin][$geometry]={area}")).await,
            ["alps"],
            "{field}"
        );
        assert_eq!(
            found(&server, &format!("{field}[$geoIntersects][$geometry]={start}")).await,
            ["alps"],
            "{field}"
        );
        assert_eq!(
            found(&server, &format!("{field}[$near]={{\"$geometry\":{start}}}")).await,
            ["alps", "andes"],
            "{field}"
        );
        assert_eq!(found(&server, &format!("{field}={}", same[field])).await, ["alps"], "{field}");
        let kind = same[field]["type"].as_str().unwrap();
        assert_eq!(
            found(&server, &format!("{field}.type={kind}&$sort[id]=1")).await,
            ["alps", "andes"],
            "{field}"
        );
    }
}

#[tokio::test]
async fn what_is_no_such_geometry_is_refused_with_the_field() {
    let server = trails().await;
    for field in FIELDS {
        let polygon = r#"{"type":"Polygon","coordinates":[[[9,45],[12,45],[12,48],[9,45]]]}"#;
        let wrong = [
            if field == "shape" { "x" } else { polygon },
            r#"{"type":"LineString","coordinates":[[0,91],[0,0]]}"#,
        ];
        for value in wrong {
            let value = value.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
            let (status, text) = ask(&server, "GET", &format!("trails?{field}={value}"), Value::Null).await;
            assert_eq!(status, 400, "{field} {text}");
            let failure: Value = serde_json::from_str(&text).unwrap();
            assert!(failure["errors"][field].as_str().unwrap().starts_with("must be "), "{text}");
        }
    }
}

#[tokio::test]
async fn openapi_describes_every_geometry() {
    let server = trails().await;
    let request = Request::get("/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = server.router().oneshot(request).await.unwrap();
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let described: Value = serde_json::from_slice(&text).unwrap();
    let parameters = described["paths"]["/services/trails"]["get"]["parameters"].as_array().unwrap();
    let sample = near(10, 46);
    for field in FIELDS.into_iter().filter(|field| *field != "shape") {
        let parameter = parameters.iter().find(|one| one["name"] == field).unwrap();
        let (value, operators) = (&parameter["schema"]["anyOf"][0], &parameter["schema"]["anyOf"][1]);
        assert_eq!(value["properties"]["type"], json!({ "const": sample[field]["type"] }), "{field}");
        assert_eq!(operators["properties"]["$near"]["type"], "object", "{field}");
        assert_eq!(parameter["example"]["type"], sample[field]["type"], "{field}");
    }
    let shape = parameters.iter().find(|one| one["name"] == "shape").unwrap();
    assert_eq!(shape["example"]["type"], "Point");
}
