//! Conditions on places.

use bson::{Bson, Document};
use forge_core::ir::{Area, Filter, Geometry, Predicate};
use forge_core::matcher::{geo_point, geometries};
use forge_core::types::EARTH_RADIUS_METRES;
use forge_core::{Error, GeoPoint, Result};

use super::{on, unsupported};
use crate::geo;
use crate::keys;

/// What names the reference system in which the direction of a ring tells its inside: areas of more than half the Earth.
const STRICT_WINDING: &str = "strictwinding";
/// The server's code for operands that mean nothing.
const BAD_VALUE: i32 = 2;

/// `$near` and `$nearSphere`. GeoJSON points measure in metres; pairs on a plane, or (`$nearSphere`) in radians.
pub(super) fn near(path: &str, operator: &str, value: &Bson, siblings: &Document) -> Result<Predicate> {
    let distance = |limits: &Document, name: &str, unit: f64| match limits.get(name) {
        None => Ok(None),
        Some(value) => {
            number(value).filter(|number| *number >= 0.0).map(|number| Some(number * unit)).ok_or_else(|| {
                let text = format!("`{name}` on `{path}` is a number from 0, not {value}");
                Error::bad_request(text).with_server_code(BAD_VALUE)
            })
        }
    };
    let on_sphere = |point: &Bson, limits: &Document, unit: f64| {
        let point = keys::with_raw(point, geo_point).ok_or_else(|| bad_point(path, value))?;
        Ok(Predicate::Near {
            point: [point.longitude(), point.latitude()],
            max_metres: distance(limits, "$maxDistance", unit)?,
            min_metres: distance(limits, "$minDistance", unit)?,
        })
    };
    if let Bson::Document(form) = value {
        if let Some(point) = form.get("$geometry") {
            return on_sphere(point, form, 1.0);
        }
        if form.contains_key("coordinates") {
            return on_sphere(value, siblings, 1.0);
        }
    }
    let mut limits = siblings.clone();
    // The largest distance may be the third number of the pair.
    if let Some(most) = value.as_array().and_then(|pair| pair.get(2)) {
        limits.entry("$maxDistance".to_owned()).or_insert_with(|| most.clone());
    }
    let point = geo::pair_of(value).ok_or_else(|| bad_pair(path, value))?;
    if operator == "$nearSphere" {
        let [longitude, latitude] = point;
        return on_sphere(&bson::bson!([longitude, latitude]), &limits, EARTH_RADIUS_METRES);
    }
    let (max, min) = (distance(&limits, "$maxDistance", 1.0)?, distance(&limits, "$minDistance", 1.0)?);
    Ok(Predicate::NearOnPlane { point, max, min })
}

/// `$geoWithin`.
pub(super) fn within(path: &str, value: &Bson) -> Result<Filter> {
    let shape = value.as_document().and_then(|form| form.iter().find(|(name, _)| *name != "$uniqueDocs"));
    let area = match shape {
        Some((name, Bson::Array(circle))) if name == "$centerSphere" => {
            return sphere(path, circle, value).map(|circle| on(path, circle));
        }
        Some((name, geometry)) if name == "$geometry" => {
            let polygons = parts_of(path, geometry)?.into_iter().filter_map(|part| match part {
                Geometry::Polygon(polygon) => Some(polygon),
                _ => None,
            });
            let mut polygons: Vec<_> = polygons.collect();
            match polygons.len() {
                0 => return Err(no_area(path, geometry)),
                1 => Area::Polygon(polygons.remove(0)),
                _ => Area::Polygons(polygons),
            }
        }
        Some((name, Bson::Array(circle))) if name == "$center" => {
            let [centre, radius] = circle.as_slice() else { return Err(bad_pair(path, value)) };
            let radius = number(radius).filter(|radius| *radius >= 0.0);
            let centre = geo::pair_of(centre).zip(radius);
            let (centre, radius) = centre.ok_or_else(|| bad_pair(path, value))?;
            Area::Circle { centre, radius }
        }
        Some((name, corners)) if name == "$box" => rectangle(&pairs(path, corners, value)?, path, value)?,
        Some((name, corners)) if name == "$polygon" => {
            let corners = pairs(path, corners, value)?;
            if corners.len() < 3 {
                let text = format!("a polygon on `{path}` has at least three corners, not {}", corners.len());
                return Err(Error::bad_request(text).with_server_code(BAD_VALUE));
            }
            Area::Outline(corners)
        }
        Some((name, _)) => return Err(unsupported(&format!("$geoWithin {name}"))),
        None => {
            let text = format!(
                "`$geoWithin` on `{path}` takes {{$geometry: {{…}}}}, {{$centerSphere: […]}}, {{$center: […]}}, {{$box: […]}} \
                 or {{$polygon: […]}}"
            );
            return Err(Error::bad_request(text).with_server_code(BAD_VALUE));
        }
    };
    Ok(on(path, Predicate::Within(area)))
}

/// The corners of an area: a list of pairs, or a document of them.
fn pairs(path: &str, corners: &Bson, value: &Bson) -> Result<Vec<[f64; 2]>> {
    let corners: Vec<&Bson> = match corners {
        Bson::Array(corners) => corners.iter().collect(),
        Bson::Document(corners) => corners.values().collect(),
        _ => Vec::new(),
    };
    let corners: Option<Vec<_>> = corners.into_iter().map(geo::pair_of).collect();
    corners.ok_or_else(|| bad_pair(path, value))
}

/// A box within the degrees of the Earth is one there: areas that lie in it are found as well as points.
fn rectangle(corners: &[[f64; 2]], path: &str, value: &Bson) -> Result<Area> {
    let &[a, b] = corners else { return Err(bad_pair(path, value)) };
    let (low, high) = ([a[0].min(b[0]), a[1].min(b[1])], [a[0].max(b[0]), a[1].max(b[1])]);
    Ok(match (GeoPoint::new(low[0], low[1]), GeoPoint::new(high[0], high[1])) {
        (Ok(_), Ok(_)) => Area::Box { west: low[0], south: low[1], east: high[0], north: high[1] },
        _ => Area::Rectangle { low, high },
    })
}

fn sphere(path: &str, circle: &[Bson], value: &Bson) -> Result<Predicate> {
    let wrong = || bad_point(path, value);
    let [centre, radians] = circle else { return Err(wrong()) };
    let centre: GeoPoint = keys::with_raw(centre, geo_point).ok_or_else(wrong)?;
    let radians = number(radians).filter(|radians| *radians >= 0.0).ok_or_else(wrong)?;
    Ok(Predicate::WithinCircle {
        centre: [centre.longitude(), centre.latitude()],
        metres: radians * EARTH_RADIUS_METRES,
    })
}

/// `$geoIntersects`: a geometry of several parts meets what any of them meets.
pub(super) fn intersects(path: &str, value: &Bson) -> Result<Filter> {
    let geometry = value.as_document().and_then(|form| form.get("$geometry")).ok_or_else(|| {
        Error::bad_request(format!("`$geoIntersects` on `{path}` takes {{$geometry: {{…}}}}, not {value}"))
    })?;
    Ok(on(path, Predicate::Intersects(Geometry::of(parts_of(path, geometry)?))))
}

/// The points, lines and polygons that a GeoJSON geometry is made of.
fn parts_of(path: &str, geometry: &Bson) -> Result<Vec<Geometry>> {
    let crs = geometry.as_document().and_then(|form| form.get_document("crs").ok());
    if let Some(system) = crs.filter(|system| system.to_string().contains(STRICT_WINDING)) {
        return Err(Error::unsupported(format!(
            "the embedded engine has no `$geometry` in the reference system {system} (on `{path}`)"
        )));
    }
    keys::with_raw(geometry, geometries).ok_or_else(|| {
        let text = format!(
            "the condition on `{path}` needs a GeoJSON geometry of longitudes within ±180 and latitudes within ±90: {geometry}"
        );
        Error::bad_request(text).with_server_code(BAD_VALUE)
    })
}

fn number(value: &Bson) -> Option<f64> {
    keys::with_raw(value, forge_core::order::as_f64)
}

fn no_area(path: &str, geometry: &Bson) -> Error {
    let text = format!("`$geoWithin` on `{path}` takes a polygon, or several of them, not {geometry}");
    Error::bad_request(text).with_server_code(BAD_VALUE)
}

fn bad_pair(path: &str, value: &Bson) -> Error {
    let text =
        format!("the condition on `{path}` needs pairs of numbers, as [x, y], and distances from 0: {value}");
    Error::bad_request(text).with_server_code(BAD_VALUE)
}

fn bad_point(path: &str, value: &Bson) -> Error {
    let text = format!(
        "the condition on `{path}` needs a point (longitude within ±180, latitude within ±90) and distances from 0: {value}"
    );
    Error::bad_request(text).with_server_code(BAD_VALUE)
}
