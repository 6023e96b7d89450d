use super::GeoPoint;
use super::geojson::{Nested, geojson, line_schema, positions};

/// A line on the Earth as GeoJSON: `{"type": "LineString", "coordinates": [[longitude, latitude], …]}`.
///
/// From each point the shortest line on the sphere goes to the next one.
///
/// Source: RFC 7946, section 3.1.4.
///
/// ```
/// # use forge_core::{GeoPoint, GeoLine};
/// let at = |longitude, latitude| GeoPoint::new(longitude, latitude);
/// let route = GeoLine::new([at(-122.6, 45.5)?, at(-122.4, 37.8)?, at(-118.2, 34.1)?])?;
/// assert_eq!(route.points().len(), 3);
/// assert!(GeoLine::new([at(-122.6, 45.5)?]).is_err());
/// # Ok::<(), forge_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GeoLine {
    points: Vec<GeoPoint>,
}

impl GeoLine {
    /// The line through `points`.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) for fewer than two different points, and for two points
    /// in a row that are opposite each other: there is no shortest line between them.
    pub fn new(points: impl IntoIterator<Item = GeoPoint>) -> crate::Result<Self> {
        Self::checked(points.into_iter().collect()).map_err(crate::Error::bad_request)
    }

    /// From where to where it goes.
    pub fn points(&self) -> &[GeoPoint] {
        &self.points
    }

    pub(super) fn checked(points: Vec<GeoPoint>) -> Result<Self, String> {
        if !points.windows(2).any(|pair| pair[0] != pair[1]) {
            let many = usize::from(!points.is_empty());
            return Err(format!("a line has at least two different points, not {many}"));
        }
        if let Some(pair) = points.windows(2).find(|pair| opposite(pair[0], pair[1])) {
            let [a, b] = [pair[0], pair[1]];
            return Err(format!("{a} and {b} are opposite each other: no line between them is the shortest"));
        }
        Ok(Self { points })
    }

    pub(super) fn nested(&self) -> Nested {
        positions(&self.points)
    }

    pub(super) fn read(coordinates: Nested) -> Result<Self, String> {
        Self::checked(coordinates.points()?)
    }
}

fn opposite(a: GeoPoint, b: GeoPoint) -> bool {
    let at_poles = a.latitude().abs() == 90.0;
    a.latitude() == -b.latitude() && (at_poles || (a.longitude() - b.longitude()).abs() == 180.0)
}

geojson!(
    GeoLine,
    "GeoLine",
    "LineString",
    "A GeoJSON line: points, each longitude, then latitude, in degrees.",
    line_schema()
);
