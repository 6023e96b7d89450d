//! Areas.

use bson::{Bson, Document, doc};
use forge_core::Result;
use forge_core::ir::{Area, Geometry};

use super::filter::{Condition, operator};

/// `$geoWithin`.
pub(super) fn within(area: &Area) -> Result<Condition> {
    Ok(match area {
        Area::Polygon(polygon) => operator("$geoWithin", geometry(polygon.clone())),
        Area::Box { west, south, east, north } => {
            operator("$geoWithin", doc! { "$box": [[*west, *south], [*east, *north]] })
        }
        other => return Err(super::filter::unknown(other)),
    })
}

/// `$geoIntersects`.
pub(super) fn intersects(with: &Geometry) -> Result<Condition> {
    Ok(match with {
        Geometry::Point(point) => operator("$geoIntersects", geometry(*point)),
        Geometry::Polygon(polygon) => operator("$geoIntersects", geometry(polygon.clone())),
        other => return Err(super::filter::unknown(other)),
    })
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
