//! Reading GeoJSON as documents hold it.

use bson::{RawArray, RawBsonRef, RawDocument};

use super::plane;
use crate::ir::Geometry;
use crate::types::{GeoPoint, GeoPolygon};

/// How deep collections of geometries may be nested.
const MAX_COLLECTIONS: usize = 8;

/// The names of the reference system that coordinates are in without saying.
const WGS84: [&str; 2] = ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"];

/// The points, lines and polygons that a GeoJSON geometry is made of (RFC 7946, section 3.1); none where it is none, has
/// coordinates that no place has, or says another reference system.
///
/// ```
/// use bson::{RawBsonRef, rawdoc};
/// use forge_core::matcher::geometries;
///
/// let two = rawdoc! { "type": "MultiPoint", "coordinates": [[1, 2], [3, 4]] };
/// assert_eq!(geometries(RawBsonRef::Document(&two)).map(|parts| parts.len()), Some(2));
/// ```
pub fn geometries(value: RawBsonRef<'_>) -> Option<Vec<Geometry>> {
    let mut parts = Vec::new();
    gather(value.as_document()?, 0, &mut parts)?;
    (!parts.is_empty()).then_some(parts)
}

/// The place that a value is on the sphere: a GeoJSON point, or a pair of numbers in a list or as the first fields of a
/// document, longitude first.
pub fn geo_point(value: RawBsonRef<'_>) -> Option<GeoPoint> {
    plane::pair(value).and_then(place)
}

fn place([longitude, latitude]: [f64; 2]) -> Option<GeoPoint> {
    GeoPoint::new(longitude, latitude).ok()
}

fn gather(document: &RawDocument, depth: usize, parts: &mut Vec<Geometry>) -> Option<()> {
    if depth > MAX_COLLECTIONS || !has_usual_coordinates(document) {
        return None;
    }
    let kind = document.get_str("type").ok()?;
    if kind == "GeometryCollection" {
        let mut inner = document.get_array("geometries").ok()?.into_iter();
        return inner.try_for_each(|part| gather(part.ok()?.as_document()?, depth + 1, parts));
    }
    let coordinates = document.get_array("coordinates").ok()?;
    match kind.strip_prefix("Multi") {
        Some(kind) => {
            for part in coordinates {
                parts.push(single(kind, part.ok()?.as_array()?)?);
            }
        }
        None => parts.push(single(kind, coordinates)?),
    }
    Some(())
}

fn single(kind: &str, coordinates: &RawArray) -> Option<Geometry> {
    Some(match kind {
        "Point" => Geometry::Point(point(coordinates)?),
        "LineString" => {
            let mut line = points(coordinates)?;
            line.dedup();
            Geometry::Line(Some(line).filter(|line| line.len() > 1)?)
        }
        "Polygon" => {
            let rings = coordinates.into_iter().map(|ring| points(ring.ok()?.as_array()?));
            Geometry::Polygon(GeoPolygon::from_rings(rings.collect::<Option<_>>()?).ok()?)
        }
        _ => return None,
    })
}

fn points(coordinates: &RawArray) -> Option<Vec<GeoPoint>> {
    coordinates.into_iter().map(|pair| point(pair.ok()?.as_array()?)).collect()
}

fn point(pair: &RawArray) -> Option<GeoPoint> {
    plane::pair_of(pair.into_iter().flatten()).and_then(place)
}

fn has_usual_coordinates(document: &RawDocument) -> bool {
    match document.get_document("crs") {
        Err(_) => matches!(document.get("crs"), Ok(None)),
        Ok(system) => {
            let name =
                system.get_document("properties").ok().and_then(|properties| properties.get_str("name").ok());
            name.is_some_and(|name| WGS84.contains(&name))
        }
    }
}
