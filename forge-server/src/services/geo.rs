//! Conditions on places: `$near`, `$nearSphere`, `$geoWithin`, `$geoIntersects`, and places as values.

use bson::RawDocumentBuf;
use bson::raw::RawBsonRef;
use forge_core::GeoPoint;
use forge_core::ir::{Area, Filter, Geometry, Predicate};
use forge_core::matcher::geometries;
use forge_core::types::EARTH_RADIUS_METRES;
use serde_json::{Map, Value};

use super::place::Geo;

/// What a condition on places must be, where it is not.
pub(super) type Expected = &'static str;

const POINT: Expected = Geo::Point.expected();
const NEAR: Expected = "must be {$geometry: a GeoJSON point, $maxDistance: metres, $minDistance: metres}";
const NEAR_PLANE: Expected =
    "must be {$geometry: a GeoJSON point, …}, or [x, y] beside $maxDistance and $minDistance";
const WITHIN: Expected = "must be one of {$geometry: a GeoJSON polygon}, {$centerSphere: [[longitude, latitude], radians]}, \
                          {$box: [low, high]}, {$polygon: [corners]} and {$center: [[x, y], radius]}";
const INTERSECTS: Expected = "must be {$geometry: a GeoJSON geometry}";

/// A GeoJSON point. Text of numbers is taken for numbers, as it comes in URLs.
fn point(value: &Value) -> Result<GeoPoint, Expected> {
    match parts(value).as_deref() {
        Some([Geometry::Point(point)]) => Ok(*point),
        _ => Err(POINT),
    }
}

/// `$near` and `$nearSphere`. A pair in place of a point is one on a plane, or (`$nearSphere`) measures in radians, and is
/// for fields of which nothing is known: `pairs`.
pub(super) fn near(
    operator: &str,
    value: &Value,
    beside: &Map<String, Value>,
    pairs: bool,
) -> Result<Predicate, Expected> {
    let form = json_of(value);
    if let Some(form) = form.as_object() {
        let at = point(form.get("$geometry").ok_or(if pairs { NEAR_PLANE } else { NEAR })?)?;
        let (most, least) = (distance(form, "$maxDistance", 1.0)?, distance(form, "$minDistance", 1.0)?);
        let known = |name: &String| ["$geometry", "$maxDistance", "$minDistance"].contains(&name.as_str());
        return match form.keys().all(known) {
            true => Ok(on_sphere(at, most, least)),
            false => Err(NEAR),
        };
    }
    if !pairs {
        return Err(NEAR);
    }
    let [x, y] = pair(&form).ok_or(NEAR_PLANE)?;
    if operator == "$nearSphere" {
        let (most, least) = (
            distance(beside, "$maxDistance", EARTH_RADIUS_METRES)?,
            distance(beside, "$minDistance", EARTH_RADIUS_METRES)?,
        );
        return Ok(on_sphere(GeoPoint::new(x, y).map_err(|_| POINT)?, most, least));
    }
    let (max, min) = (distance(beside, "$maxDistance", 1.0)?, distance(beside, "$minDistance", 1.0)?);
    Ok(Predicate::NearOnPlane { point: [x, y], max, min })
}

fn on_sphere(at: GeoPoint, max_metres: Option<f64>, min_metres: Option<f64>) -> Predicate {
    Predicate::Near { point: [at.longitude(), at.latitude()], max_metres, min_metres }
}

fn distance(of: &Map<String, Value>, name: &str, unit: f64) -> Result<Option<f64>, Expected> {
    let Some(value) = of.get(name) else { return Ok(None) };
    let number = number(value).filter(|number| *number >= 0.0);
    number.map(|number| Some(number * unit)).ok_or("must have distances from 0")
}

/// `$geoWithin`.
pub(super) fn within(value: &Value) -> Result<Predicate, Expected> {
    let form = json_of(value);
    let mut forms = form.as_object().into_iter().flatten();
    let (Some((name, shape)), None) = (forms.next(), forms.next()) else { return Err(WITHIN) };
    Ok(Predicate::Within(match name.as_str() {
        "$geometry" => areas(shape).ok_or(WITHIN)?,
        "$centerSphere" => {
            let ([longitude, latitude], radians) = circle(shape).ok_or(WITHIN)?;
            GeoPoint::new(longitude, latitude).map_err(|_| POINT)?;
            let metres = radians * EARTH_RADIUS_METRES;
            return Ok(Predicate::WithinCircle { centre: [longitude, latitude], metres });
        }
        "$center" => {
            let (centre, radius) = circle(shape).ok_or(WITHIN)?;
            Area::Circle { centre, radius }
        }
        "$box" => rectangle(&pairs(shape).ok_or(WITHIN)?).ok_or(WITHIN)?,
        "$polygon" => Area::Outline(pairs(shape).filter(|corners| corners.len() > 2).ok_or(WITHIN)?),
        _ => return Err(WITHIN),
    }))
}

/// `$geoIntersects`: a geometry of several parts meets what any of them meets.
pub(super) fn intersects(value: &Value) -> Result<Vec<Predicate>, Expected> {
    let form = json_of(value);
    let geometry = form.as_object().filter(|form| form.len() == 1).and_then(|form| form.get("$geometry"));
    let parts = geometry.and_then(parts).ok_or(INTERSECTS)?;
    Ok(parts.into_iter().map(Predicate::Intersects).collect())
}

/// The same condition without an order, for where databases take none: nearness is no condition but where it has an end.
pub(super) fn without_order(filter: Filter) -> Filter {
    let has_place = |path| Filter::Field(path, Predicate::Exists(true));
    match filter {
        Filter::And(list) => list.into_iter().map(without_order).fold(Filter::All, Filter::and),
        Filter::Field(path, Predicate::Near { point: centre, max_metres: None, min_metres }) => {
            let closer =
                |metres| Filter::Field(path.clone(), Predicate::WithinCircle { centre, metres }).negate();
            has_place(path.clone()).and(min_metres.map_or(Filter::All, closer))
        }
        Filter::Field(path, Predicate::NearOnPlane { point: centre, max: None, min }) => {
            let closer = |radius| {
                let circle = Area::Circle { centre, radius };
                Filter::Field(path.clone(), Predicate::Within(circle)).negate()
            };
            has_place(path.clone()).and(min.map_or(Filter::All, closer))
        }
        other => other,
    }
}

fn areas(value: &Value) -> Option<Area> {
    let polygons = parts(value)?.into_iter().map(|part| match part {
        Geometry::Polygon(polygon) => Some(polygon),
        _ => None,
    });
    let mut polygons = polygons.collect::<Option<Vec<_>>>()?;
    match polygons.len() {
        0 => None,
        1 => polygons.pop().map(Area::Polygon),
        _ => Some(Area::Polygons(polygons)),
    }
}

/// A box within the degrees of the Earth is one there: areas that lie in it are found as well as points.
fn rectangle(corners: &[[f64; 2]]) -> Option<Area> {
    let &[a, b] = corners else { return None };
    let (low, high) = ([a[0].min(b[0]), a[1].min(b[1])], [a[0].max(b[0]), a[1].max(b[1])]);
    Some(match (GeoPoint::new(low[0], low[1]), GeoPoint::new(high[0], high[1])) {
        (Ok(_), Ok(_)) => Area::Box { west: low[0], south: low[1], east: high[0], north: high[1] },
        _ => Area::Rectangle { low, high },
    })
}

fn circle(value: &Value) -> Option<([f64; 2], f64)> {
    let [centre, radius] = value.as_array()?.as_slice() else { return None };
    Some((pair(centre)?, number(radius).filter(|radius| *radius >= 0.0)?))
}

fn pairs(value: &Value) -> Option<Vec<[f64; 2]>> {
    value.as_array()?.iter().map(pair).collect()
}

fn pair(value: &Value) -> Option<[f64; 2]> {
    let [x, y] = value.as_array()?.as_slice() else { return None };
    Some([number(x)?, number(y)?])
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// The points, lines and polygons of a GeoJSON geometry.
fn parts(value: &Value) -> Option<Vec<Geometry>> {
    let document: bson::Document = serde_json::from_value(geometry(value)?).ok()?;
    geometries(RawBsonRef::Document(&RawDocumentBuf::try_from(&document).ok()?))
}

/// A geometry, with numbers in its coordinates where it came as text.
pub(super) fn geometry(value: &Value) -> Option<Value> {
    with_numbers(&json_of(value), false).filter(Value::is_object)
}

/// JSON in text, as URLs carry what has more brackets than they nest.
fn json_of(value: &Value) -> Value {
    let read = value.as_str().filter(|text| text.trim_start().starts_with(['{', '[']));
    read.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| value.clone())
}

/// The same, where in `coordinates` text is taken for numbers.
fn with_numbers(value: &Value, numbers: bool) -> Option<Value> {
    Some(match value {
        Value::Object(fields) if !numbers => {
            let fields = fields
                .iter()
                .map(|(name, value)| Some((name.clone(), with_numbers(value, name == "coordinates")?)));
            fields.collect::<Option<Map<_, _>>>()?.into()
        }
        Value::Array(items) => items.iter().map(|item| with_numbers(item, numbers)).collect::<Option<_>>()?,
        value if numbers => number(value)?.into(),
        Value::String(text) => text.clone().into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_read_from_json_and_from_the_text_of_urls() {
        let rome = GeoPoint::new(12.5, 41.9).unwrap();
        for form in [
            json!({ "type": "Point", "coordinates": [12.5, 41.9] }),
            json!({ "type": "Point", "coordinates": ["12.5", "41.9"] }),
            json!(r#"{"type":"Point","coordinates":[12.5,41.9]}"#),
        ] {
            assert_eq!(point(&form), Ok(rome), "{form}");
        }
        let near_rome = json!({ "$geometry": { "type": "Point", "coordinates": ["12.5", "41.9"] }, "$maxDistance": "50" });
        let expected = Predicate::Near { point: [12.5, 41.9], max_metres: Some(50.0), min_metres: None };
        assert_eq!(near("$near", &near_rome, &Map::new(), false), Ok(expected));
        let area = json!(r#"{"$geometry":{"type":"Polygon","coordinates":[[[0,0],[2,0],[0,2],[0,0]]]}}"#);
        assert!(matches!(within(&area), Ok(Predicate::Within(Area::Polygon(_)))));
        assert_eq!(
            within(&json!({ "$box": [["2", "2"], ["0", "0"]] })),
            Ok(Predicate::Within(Area::Box { west: 0.0, south: 0.0, east: 2.0, north: 2.0 }))
        );
        let lines = json!({ "$geometry": { "type": "MultiPoint", "coordinates": [[0, 0], [1, 1]] } });
        assert_eq!(intersects(&lines).map(|parts| parts.len()), Ok(2));
    }

    #[test]
    fn pairs_measure_on_a_plane_or_in_radians() {
        let beside = json!({ "$near": [1, 2], "$maxDistance": "3" });
        let beside = beside.as_object().unwrap();
        let flat = Predicate::NearOnPlane { point: [1.0, 2.0], max: Some(3.0), min: None };
        assert_eq!(near("$near", &json!(["1", 2]), beside, true), Ok(flat));
        let Ok(Predicate::Near { max_metres: Some(metres), .. }) =
            near("$nearSphere", &json!([1, 2]), beside, true)
        else {
            panic!("on the sphere");
        };
        assert!((metres - 3.0 * EARTH_RADIUS_METRES).abs() < 1.0);
        assert_eq!(near("$near", &json!([1, 2]), beside, false), Err(NEAR));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for wrong in [
            json!(null),
            json!("{"),
            json!({ "type": "Point", "coordinates": [200, 0] }),
            json!({ "type": "Point", "coordinates": ["x", 0] }),
            json!({ "type": "Point", "coordinates": [{ "$where": 1 }, 0] }),
            json!({ "type": "Line" }),
        ] {
            assert!(point(&wrong).is_err(), "{wrong}");
            let wrapped = json!({ "$geometry": wrong });
            assert!(near("$near", &wrapped, &Map::new(), true).is_err(), "{wrong}");
            assert!(within(&wrapped).is_err() && intersects(&wrapped).is_err(), "{wrong}");
        }
        for wrong in
            [json!({ "$box": [[0, 0]] }), json!({ "$center": [[0, 0], -1] }), json!({ "$polygon": [[0, 0]] })]
        {
            assert!(within(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nearness_without_an_end_is_no_condition_on_its_own() {
        let near = |max_metres, min_metres| {
            Filter::Field("at".into(), Predicate::Near { point: [1.0, 2.0], max_metres, min_metres })
        };
        let exists = Filter::Field("at".into(), Predicate::Exists(true));
        assert_eq!(without_order(near(None, None).and(Filter::eq("a", 1))), exists.and(Filter::eq("a", 1)));
        assert_eq!(without_order(near(Some(5.0), None)), near(Some(5.0), None));
        assert!(matches!(without_order(near(None, Some(5.0))), Filter::And(list) if list.len() == 2));
    }
}
