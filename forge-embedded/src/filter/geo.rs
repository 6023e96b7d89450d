//! Conditions on places.

use bson::{Bson, Document};
use forge_core::ir::{Area, Geometry, Predicate};
use forge_core::{Error, GeoPoint, GeoPolygon, Result};

use super::unsupported;
use crate::geo::{self, EARTH_RADIUS_METRES};
use crate::keys;

pub(super) fn near(path: &str, operator: &str, value: &Bson, siblings: &Document) -> Result<Predicate> {
    let (point, limits, metres) = match value {
        Bson::Document(form) if form.contains_key("$geometry") => (form.get("$geometry"), form, 1.0),
        // Legacy points measure in radians, and only on the sphere.
        legacy if operator == "$nearSphere" => (Some(legacy), siblings, EARTH_RADIUS_METRES),
        _ => {
            return Err(Error::unsupported(format!(
                "the embedded engine has no planar `$near` (on `{path}`); use `$geometry` with a GeoJSON point"
            )));
        }
    };
    let point =
        point.and_then(|point| keys::with_raw(point, geo::point_of)).ok_or_else(|| bad_point(path, value))?;
    let distance = |name: &str| match limits.get(name) {
        None => Ok(None),
        Some(value) => {
            number(value).filter(|number| *number >= 0.0).map(|number| Some(number * metres)).ok_or_else(
                || Error::bad_request(format!("`{name}` on `{path}` is a number from 0, not {value}")),
            )
        }
    };
    Ok(Predicate::Near {
        point: [point.longitude(), point.latitude()],
        max_metres: distance("$maxDistance")?,
        min_metres: distance("$minDistance")?,
    })
}

pub(super) fn within(path: &str, value: &Bson) -> Result<Predicate> {
    let wrong = || bad_point(path, value);
    match value.as_document().and_then(|shape| shape.iter().next()) {
        Some((name, Bson::Array(circle))) if name == "$centerSphere" => sphere(path, circle, value),
        Some((name, Bson::Array(corners))) if name == "$box" => {
            let corner = |at: usize| corners.get(at).and_then(|corner| keys::with_raw(corner, geo::point_of));
            let (Some(first), Some(second), 2) = (corner(0), corner(1), corners.len()) else {
                return Err(wrong());
            };
            Ok(Predicate::Within(Area::Box {
                west: first.longitude().min(second.longitude()),
                south: first.latitude().min(second.latitude()),
                east: first.longitude().max(second.longitude()),
                north: first.latitude().max(second.latitude()),
            }))
        }
        Some((name, geometry)) if name == "$geometry" => {
            Ok(Predicate::Within(Area::Polygon(polygon(path, "$geoWithin", geometry)?)))
        }
        Some((name, _)) => Err(unsupported(&format!("$geoWithin {name}"))),
        None => Err(Error::bad_request(format!(
            "`$geoWithin` on `{path}` takes {{$centerSphere: […]}}, {{$box: […]}} or {{$geometry: {{…}}}}"
        ))),
    }
}

fn sphere(path: &str, circle: &[Bson], value: &Bson) -> Result<Predicate> {
    let wrong = || bad_point(path, value);
    let [centre, radians] = circle else { return Err(wrong()) };
    let centre: GeoPoint = keys::with_raw(centre, geo::point_of).ok_or_else(wrong)?;
    let radians = number(radians).filter(|radians| *radians >= 0.0).ok_or_else(wrong)?;
    Ok(Predicate::WithinCircle {
        centre: [centre.longitude(), centre.latitude()],
        metres: radians * EARTH_RADIUS_METRES,
    })
}

pub(super) fn intersects(path: &str, value: &Bson) -> Result<Predicate> {
    let geometry = value.as_document().and_then(|form| form.get("$geometry")).ok_or_else(|| {
        Error::bad_request(format!("`$geoIntersects` on `{path}` takes {{$geometry: {{…}}}}, not {value}"))
    })?;
    let kind = geometry.as_document().and_then(|geometry| geometry.get_str("type").ok());
    if kind == Some("Point") {
        let point = keys::with_raw(geometry, geo::point_of).ok_or_else(|| bad_point(path, value))?;
        return Ok(Predicate::Intersects(Geometry::Point(point)));
    }
    Ok(Predicate::Intersects(Geometry::Polygon(polygon(path, "$geoIntersects", geometry)?)))
}

fn polygon(path: &str, operator: &str, geometry: &Bson) -> Result<GeoPolygon> {
    let kind = geometry.as_document().and_then(|geometry| geometry.get_str("type").ok()).unwrap_or_default();
    if kind != "Polygon" {
        return Err(unsupported(&format!("{operator} with a {kind} (on `{path}`)")));
    }
    forge_core::value::from_bson(geometry.clone())
        .map_err(|error| Error::bad_request(format!("the area on `{path}` is no GeoJSON polygon: {error}")))
}

fn number(value: &Bson) -> Option<f64> {
    keys::with_raw(value, forge_core::order::as_f64)
}

fn bad_point(path: &str, value: &Bson) -> Error {
    Error::bad_request(format!(
        "the condition on `{path}` needs a point (longitude within ±180, latitude within ±90) and distances from 0: {value}"
    ))
}
