use super::GeoPoint;
use super::geojson::{Nested, geojson, polygon_schema, positions};
use super::sphere::Region;

/// An area on the Earth as GeoJSON: `{"type": "Polygon", "coordinates": [[[longitude, latitude], …], …]}`.
///
/// The first ring is the outline, the others are holes. Edges are shortest lines on the sphere. An outline may go
/// either way round: of the two areas that it divides the sphere into, the smaller one is meant.
///
/// Source: RFC 7946, section 3.1.6.
///
/// ```
/// # use forge_core::{GeoPoint, types::GeoPolygon};
/// let at = |longitude, latitude| GeoPoint::new(longitude, latitude);
/// let oregon = GeoPolygon::new([at(-124.5, 42.0)?, at(-117.0, 42.0)?, at(-117.0, 46.0)?, at(-124.5, 46.0)?])?;
/// assert!(oregon.contains(at(-122.6, 45.5)?));
/// assert!(!oregon.contains(at(-122.4, 37.8)?));
/// # Ok::<(), forge_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GeoPolygon {
    /// Closed rings: the last point of each is its first.
    rings: Vec<Vec<GeoPoint>>,
}

impl GeoPolygon {
    /// The area inside of `outline`, which is closed where it is not.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) for fewer than three different points.
    pub fn new(outline: impl IntoIterator<Item = GeoPoint>) -> crate::Result<Self> {
        let ring = closed(outline.into_iter().collect()).map_err(crate::Error::bad_request)?;
        Ok(Self { rings: vec![ring] })
    }

    /// The same area without what is inside of `ring`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_hole(mut self, ring: impl IntoIterator<Item = GeoPoint>) -> crate::Result<Self> {
        self.rings.push(closed(ring.into_iter().collect()).map_err(crate::Error::bad_request)?);
        Ok(self)
    }

    /// The outline, then the holes; the last point of each ring is its first.
    pub fn rings(&self) -> &[Vec<GeoPoint>] {
        &self.rings
    }

    /// Whether `point` lies in the area or on its edge.
    pub fn contains(&self, point: GeoPoint) -> bool {
        Region::new(self).contains(point)
    }

    /// Whether the two areas share a point.
    pub fn intersects(&self, other: &GeoPolygon) -> bool {
        Region::new(self).intersects(&Region::new(other))
    }

    pub(crate) fn from_rings(rings: Vec<Vec<GeoPoint>>) -> Result<Self, String> {
        if rings.is_empty() {
            return Err("a polygon has at least one ring".to_owned());
        }
        Ok(Self { rings: rings.into_iter().map(closed).collect::<Result<_, _>>()? })
    }

    pub(super) fn nested(&self) -> Nested {
        Nested::List(self.rings.iter().map(|ring| positions(ring)).collect())
    }

    pub(super) fn read(coordinates: Nested) -> Result<Self, String> {
        let rings = coordinates.list()?.into_iter().map(Nested::points);
        Self::from_rings(rings.collect::<Result<_, _>>()?)
    }
}

fn closed(mut ring: Vec<GeoPoint>) -> Result<Vec<GeoPoint>, String> {
    if ring.len() > 1 && ring.first() == ring.last() {
        ring.pop();
    }
    ring.dedup();
    if ring.len() < 3 {
        return Err(format!("a ring of a polygon has at least three different points, not {}", ring.len()));
    }
    ring.push(ring[0]);
    Ok(ring)
}

geojson!(
    GeoPolygon,
    "GeoPolygon",
    "Polygon",
    "A GeoJSON polygon: rings of points, each longitude, then latitude, in degrees.",
    polygon_schema(),
);
