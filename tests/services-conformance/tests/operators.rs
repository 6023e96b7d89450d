//! Operators that services allow: what they find, of which fields, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

mod support;

use forge::prelude::*;
use forge::server::axum::body::{Body, to_bytes};
use forge::server::axum::http::Request;
use forge::services::{Geo, Kind, Multi, Paginate, QueryFields, Service};
use forge::{App, server::Server};
use serde_json::{Value, json};
use support::ask;
use tower::ServiceExt as _;

const CANARY: &str = "canary-3b9";

#[derive(Debug, Clone, Model)]
#[model(
    collection = "stops",
    service(operators = [
        regex, options, exists, all, size, elemMatch, not, nor, "type", r#mod, bitsAnySet, near, nearSphere, geoWithin, geoIntersects
    ])
)]
pub struct Stop {
    #[model(id)]
    pub id: String,
    #[model(index = "2dsphere")]
    pub place: Option<GeoPoint>,
    pub area: Option<GeoPolygon>,
    #[model(default)]
    pub lines: Vec<i32>,
    #[model(default)]
    pub seats: i32,
    #[model(default)]
    pub exits: Vec<Exit>,
    #[model(private, default = CANARY)]
    pub code: String,
    pub street: Option<String>,
}

#[derive(Debug, Clone, Embed)]
pub struct Exit {
    pub street: String,
    #[model(private)]
    pub key: Option<String>,
}

async fn stops() -> Server {
    let app = App::new()
        .service(Service::<Stop>::declared().multi(Multi::ALL))
        .service(Service::<Stop>::declared().path("pages").paginate(Paginate::new(2)))
        .service(Service::<Stop>::new().path("plain"))
        .service(Service::raw("loose").multi(Multi::CREATE).operators(["$geoWithin", "$near", "$type"]))
        .service(
            Service::raw("typed").multi(Multi::CREATE).query_fields(
                QueryFields::new()
                    .field("_id", Kind::Key)
                    .field("place", Kind::Geo(Geo::Point))
                    .operators("place", ["$geoWithin", "$geoIntersects"]),
            ),
        );
    let server = app.database("memory:").build().await.unwrap();
    let point = |x: f64, y: f64| json!({ "type": "Point", "coordinates": [x, y] });
    let square =
        json!({ "type": "Polygon", "coordinates": [[[12, 41], [13, 41], [13, 42], [12, 42], [12, 41]]] });
    let stops = json!([
        { "id": "rome", "place": point(12.5, 41.9), "area": square, "lines": [1, 2], "seats": 6, "street": "Via Roma", "exits": [{ "street": "a" }] },
        { "id": "ostia", "place": point(12.3, 41.7), "lines": [2], "seats": 7 },
        { "id": "paris", "place": point(2.3, 48.9), "lines": [3, 4, 5], "seats": 9, "exits": [{ "street": "b" }, { "street": "c" }] },
        { "id": "nowhere" },
    ]);
    assert_eq!(ask(&server, "POST", "stops", stops).await.0, 201);
    for path in ["loose", "typed"] {
        let documents = json!([{ "_id": "rome", "place": point(12.5, 41.9) }, { "_id": "paris", "place": point(2.3, 48.9) }]);
        assert_eq!(ask(&server, "POST", path, documents).await.0, 201);
    }
    server
}

async fn found(server: &Server, path: &str) -> Vec<String> {
    let (status, text) = ask(server, "GET", path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {text}");
    assert!(!text.contains(CANARY), "{path}");
    let found: Value = serde_json::from_str(&text).unwrap();
    let list = found.as_array().or_else(|| found["data"].as_array()).unwrap();
    let id = |stop: &Value| stop.get("id").or(stop.get("_id")).and_then(Value::as_str).unwrap().to_owned();
    list.iter().map(id).collect()
}

const NEAR_ROME: &str = "place[$near][$geometry][type]=Point&place[$near][$geometry][coordinates][]=12.5&\
                         place[$near][$geometry][coordinates][]=41.9";

#[tokio::test]
async fn places_are_found_by_nearness_and_areas() {
    let server = stops().await;
    let json_text = |text: &str| text.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
    let square = json_text(r#"{"type":"Polygon","coordinates":[[[12,41],[13,41],[13,42],[12,42],[12,41]]]}"#);
    let inside = json_text(r#"{"type":"Point","coordinates":[12.5,41.5]}"#);
    for (query, expected) in [
        (NEAR_ROME.to_owned(), vec!["rome", "ostia", "paris"]),
        (format!("{NEAR_ROME}&place[$near][$maxDistance]=50000"), vec!["rome", "ostia"]),
        (format!("{NEAR_ROME}&place[$near][$minDistance]=1000&place[$near][$maxDistance]=50000"), vec!["ostia"]),
        (format!("{NEAR_ROME}&seats[$gt]=6&$limit=1"), vec!["ostia"]),
        (format!("place[$geoWithin][$geometry]={square}&$sort[id]=1"), vec!["ostia", "rome"]),
        ("place[$geoWithin][$box][0][0]=0&place[$geoWithin][$box][0][1]=40&place[$geoWithin][$box][1][0]=5&place[$geoWithin][$box][1][1]=50".to_owned(), vec!["paris"]),
        ("place[$geoWithin][$centerSphere][0][0]=12.5&place[$geoWithin][$centerSphere][0][1]=41.9&place[$geoWithin][$centerSphere][1]=0.001".to_owned(), vec!["rome"]),
        (format!("area[$geoIntersects][$geometry]={inside}"), vec!["rome"]),
        (format!("place[$not][$geoWithin][$geometry]={square}&place[$exists]=true"), vec!["paris"]),
        ("place[type]=Point&place[coordinates][]=2.3&place[coordinates][]=48.9".to_owned(), vec!["paris"]),
    ] {
        assert_eq!(found(&server, &format!("stops?{query}")).await, expected, "{query}");
    }
    assert_eq!(found(&server, &format!("loose?place[$geoWithin][$geometry]={square}")).await, ["rome"]);
    assert_eq!(found(&server, &format!("typed?place[$geoWithin][$geometry]={square}")).await, ["rome"]);
}

#[tokio::test]
async fn pages_of_what_is_near_count_all_of_it() {
    let server = stops().await;
    let (_, text) = ask(&server, "GET", &format!("pages?{NEAR_ROME}"), Value::Null).await;
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&page["total"], page["data"].as_array().unwrap().len()), (&json!(3), 2), "{page}");
    let one = ask(&server, "GET", &format!("stops/paris?{NEAR_ROME}"), Value::Null).await;
    assert_eq!(one.0, 200, "{}", one.1);
    assert_eq!(ask(&server, "GET", &format!("stops/nowhere?{NEAR_ROME}"), Value::Null).await.0, 404);
    let removed =
        ask(&server, "DELETE", &format!("stops?{NEAR_ROME}&place[$near][$maxDistance]=9"), Value::Null).await;
    assert!(removed.0 == 200 && removed.1.contains("rome"), "{removed:?}");
}

#[tokio::test]
async fn other_operators_find_what_they_say() {
    let server = stops().await;
    for (query, expected) in [
        ("place[$type]=object", vec!["ostia", "paris", "rome"]),
        ("lines[$type]=array&lines[$size]=1", vec!["ostia"]),
        ("seats[$mod][]=3&seats[$mod][]=0&seats[$gt]=0", vec!["paris", "rome"]),
        ("seats[$bitsAnySet][]=0", vec!["ostia", "paris"]),
        ("lines[$all][]=1&lines[$all][]=2", vec!["rome"]),
        ("lines[$elemMatch][$gt]=1&lines[$elemMatch][$lt]=3", vec!["ostia", "rome"]),
        ("exits[$elemMatch][street]=c", vec!["paris"]),
        ("place[$exists]=false", vec!["nowhere"]),
        ("street[$regex]=^VIA&street[$options]=igm", vec!["rome"]),
        ("seats[$not][$gte]=7", vec!["nowhere", "rome"]),
        ("$nor[0][seats]=6&$nor[1][seats]=7", vec!["nowhere", "paris"]),
        ("$or[0][$nor][0][seats][$lt]=9&$or[1][id]=rome", vec!["paris", "rome"]),
    ] {
        assert_eq!(found(&server, &format!("stops?{query}&$sort[id]=1")).await, expected, "{query}");
    }
}

#[tokio::test]
async fn what_is_not_allowed_or_does_not_fit_is_refused() {
    let server = stops().await;
    for path in [
        "plain?seats[$mod][]=3&seats[$mod][]=0",
        "plain?place[$geoWithin][$box]=1",
        "plain?$nor[0][seats]=1",
        "typed?place[$near][]=1",
        "typed?place[$type]=object",
        "stops?seats[$near][]=1&seats[$near][]=2",
        "stops?id[$geoIntersects][$geometry][type]=Point",
        "stops?id[$mod][]=3&id[$mod][]=0",
        "stops?seats[$mod][]=0&seats[$mod][]=0",
        "stops?seats[$type]=text",
        "stops?seats[$bitsAnySet]=-1",
        "stops?place[$near][]=1&place[$near][]=2",
        "stops?place[$maxDistance]=3",
        "stops?place[$geoWithin][$geometry]=x",
        "stops?place[$geoWithin][$where]=x",
        "stops?place=x",
        "stops?place[type]=Point&place[coordinates][]=300&place[coordinates][]=0",
        &format!("stops?{}", NEAR_ROME.replace("place[", "$or[0][place][")),
        &format!("stops?{}", NEAR_ROME.replace("[$near]", "[$not][$near]")),
        &format!("stops?{NEAR_ROME}&{}", NEAR_ROME.replace("place[", "area[")),
        &format!("stops?{NEAR_ROME}&{}", NEAR_ROME.replace("place[", "$and[0][area][")),
        "stops?street[$regex]=(x",
        "stops?$or[0][street][$regex]=(x&$or[0][street][$options]=g",
        "stops?exits[$elemMatch][key]=x",
        "stops?exits[$elemMatch][key][$type]=string",
        "stops?code[$type]=string",
        "stops?$nor[0][code]=x",
        "loose?$nor[0][a]=1",
    ] {
        let (status, text) = ask(&server, "GET", path, Value::Null).await;
        assert_eq!(status, 400, "{path}: {text}");
        let failure: Value = serde_json::from_str(&text).unwrap();
        assert!(failure["errors"].as_object().is_some_and(|errors| errors.len() == 1), "{path}: {text}");
    }
}

#[tokio::test]
async fn openapi_says_which_operators_a_field_takes_and_what_places_are() {
    let server = stops().await;
    let request = Request::get("/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = server.router().oneshot(request).await.unwrap();
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let described: Value = serde_json::from_slice(&text).unwrap();
    let operators = |path: &str| {
        let parameters = described["paths"][format!("/services/{path}")]["get"]["parameters"].clone();
        let place =
            parameters.as_array().unwrap().iter().find(|one| one["name"] == "place").cloned().unwrap();
        assert_eq!(place["example"]["type"], "Point", "{path}");
        assert_eq!(place["schema"]["anyOf"][0]["properties"]["type"], json!({ "const": "Point" }), "{path}");
        place["schema"]["anyOf"][1]["properties"].clone()
    };
    assert_eq!(operators("stops")["$near"]["properties"]["$maxDistance"]["type"], "number");
    assert_eq!(operators("stops").get("$nor"), None, "it is no operator of a field");
    assert!(operators("typed").get("$geoWithin").is_some() && operators("typed").get("$near").is_none());
    assert!(operators("plain").get("$near").is_none());
}
