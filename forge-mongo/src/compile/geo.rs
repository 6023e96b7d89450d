//! Areas.

use bson::{Bson, Document, doc};
use forge_core::ir::{Area, Geometry};
use forge_core::types::EARTH_RADIUS_METRES;
use forge_core::{Error, GeoPoint, GeoPolygon, Result};

use super::filter::{Condition, operator};

/// `$geoWithin`.
pub(super) fn within(area: &Area) -> Result<Condition> {
    Ok(match area {
        Area::Polygon(polygon) => operator("$geoWithin", geometry(polygon.clone())),
        Area::Polygons(polygons) => {
            let areas: Vec<Bson> = polygons.iter().map(|polygon| Bson::Array(rings(polygon))).collect();
            operator("$geoWithin", geometry(doc! { "type": "MultiPolygon", "coordinates": areas }))
        }
        Area::Box { west, south, east, north } => {
            operator("$geoWithin", doc! { "$box": [[*west, *south], [*east, *north]] })
        }
        Area::Circle { centre, radius } => operator("$geoWithin", circle(*centre, *radius)),
        Area::Outline(corners) => {
            let corners: Vec<Bson> = corners.iter().map(|[x, y]| bson::bson!([*x, *y])).collect();
            operator("$geoWithin", doc! { "$polygon": corners })
        }
        Area::Rectangle { low, high } => {
            operator("$geoWithin", doc! { "$box": [[low[0], low[1]], [high[0], high[1]]] })
        }
        other => return Err(super::filter::unknown(other)),
    })
}

/// A circle on the sphere.
pub(super) fn cap(centre: [f64; 2], metres: f64) -> Document {
    doc! { "$centerSphere": [[centre[0], centre[1]], metres / EARTH_RADIUS_METRES] }
}

/// A circle on the plane.
pub(super) fn circle(centre: [f64; 2], radius: f64) -> Document {
    doc! { "$center": [[centre[0], centre[1]], radius] }
}

/// What lies between two distances, in no order.
pub(super) fn between(
    max: Option<f64>,
    min: Option<f64>,
    circle: impl Fn(f64) -> Document,
) -> Result<Document> {
    let Some(max) = max else {
        return Err(Error::unsupported(
            "near without a largest distance only works in find, once, and outside of or, not and every: MongoDB \
             allows $near and $nearSphere nowhere else; give it a largest distance",
        ));
    };
    let mut within = doc! { "$geoWithin": circle(max) };
    if let Some(min) = min {
        within.insert("$not", doc! { "$geoWithin": circle(min) });
    }
    Ok(within)
}

/// `$geoIntersects`.
pub(super) fn intersects(with: &Geometry) -> Result<Condition> {
    Ok(operator("$geoIntersects", geometry(geojson(with)?)))
}

/// Several parts of one kind are one geometry of that kind; others are a collection.
fn geojson(geometry: &Geometry) -> Result<Document> {
    Ok(match geometry {
        Geometry::Point(point) => doc! { "type": "Point", "coordinates": pair(*point) },
        Geometry::Line(points) => doc! { "type": "LineString", "coordinates": pairs(points) },
        Geometry::Polygon(polygon) => doc! { "type": "Polygon", "coordinates": rings(polygon) },
        Geometry::Several(parts) => {
            let mut parts = parts.iter().map(geojson).collect::<Result<Vec<_>>>()?;
            let kind =
                parts.first().and_then(|part| part.get_str("type").ok()).unwrap_or_default().to_owned();
            if !parts.iter().all(|part| part.get_str("type").is_ok_and(|own| own == kind)) {
                return Ok(doc! { "type": "GeometryCollection", "geometries": parts });
            }
            let coordinates: Vec<Bson> =
                parts.iter_mut().filter_map(|part| part.remove("coordinates")).collect();
            doc! { "type": format!("Multi{kind}"), "coordinates": coordinates }
        }
        other => return Err(super::filter::unknown(other)),
    })
}

fn rings(polygon: &GeoPolygon) -> Vec<Bson> {
    polygon.rings().iter().map(|ring| Bson::Array(pairs(ring))).collect()
}

fn pair(point: GeoPoint) -> Bson {
    bson::bson!([point.longitude(), point.latitude()])
}

fn pairs(points: &[GeoPoint]) -> Vec<Bson> {
    points.iter().copied().map(pair).collect()
}

fn geometry(geometry: impl Into<Bson>) -> Document {
    doc! { "$geometry": geometry.into() }
}

/// The two boxes that a box across the date line is; none for any other area.
pub(super) fn halves(area: &Area) -> Option<[Area; 2]> {
    match *area {
        Area::Box { west, south, east, north } if west > east => Some([
            Area::Box { west, south, east: 180.0, north },
            Area::Box { west: -180.0, south, east, north },
        ]),
        _ => None,
    }
}
