//! Several points, lines or areas as one value.

use schemars::json_schema;

use super::geojson::{Nested, geojson, line_schema, polygon_schema, position_schema, positions};
use super::{GeoLine, GeoPoint, GeoPolygon};

macro_rules! multi {
    ($(#[$doc:meta])* $name:ident($part:ty) $field:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $field: Vec<$part>,
        }

        impl $name {
            /// All of them as one value.
            ///
            /// # Errors
            /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) where there are none.
            pub fn new($field: impl IntoIterator<Item = $part>) -> crate::Result<Self> {
                Self::checked($field.into_iter().collect()).map_err(crate::Error::bad_request)
            }

            /// What it is made of; never empty.
            pub fn $field(&self) -> &[$part] {
                &self.$field
            }

            fn checked($field: Vec<$part>) -> Result<Self, String> {
                if $field.is_empty() {
                    return Err(concat!("a value of several ", $what, " has at least one").to_owned());
                }
                Ok(Self { $field })
            }
        }

        impl From<$part> for $name {
            fn from(one: $part) -> Self {
                Self { $field: vec![one] }
            }
        }
    };
}

multi! {
    /// Points on the Earth as GeoJSON: `{"type": "MultiPoint", "coordinates": [[longitude, latitude], …]}`.
    ///
    /// Source: RFC 7946, section 3.1.3.
    GeoMultiPoint(GeoPoint) points, "points"
}
multi! {
    /// Lines on the Earth as GeoJSON: `{"type": "MultiLineString", "coordinates": [[[longitude, latitude], …], …]}`.
    ///
    /// Source: RFC 7946, section 3.1.5.
    GeoMultiLine(GeoLine) lines, "lines"
}
multi! {
    /// Areas on the Earth as GeoJSON: `{"type": "MultiPolygon", "coordinates": [[[[longitude, latitude], …], …], …]}`.
    ///
    /// Source: RFC 7946, section 3.1.7.
    GeoMultiPolygon(GeoPolygon) polygons, "polygons"
}

impl GeoMultiPoint {
    pub(super) fn nested(&self) -> Nested {
        positions(&self.points)
    }

    pub(super) fn read(coordinates: Nested) -> Result<Self, String> {
        Self::checked(coordinates.points()?)
    }
}

impl GeoMultiLine {
    pub(super) fn nested(&self) -> Nested {
        Nested::List(self.lines.iter().map(GeoLine::nested).collect())
    }

    pub(super) fn read(coordinates: Nested) -> Result<Self, String> {
        Self::checked(coordinates.list()?.into_iter().map(GeoLine::read).collect::<Result<_, _>>()?)
    }
}

impl GeoMultiPolygon {
    pub(super) fn nested(&self) -> Nested {
        Nested::List(self.polygons.iter().map(GeoPolygon::nested).collect())
    }

    pub(super) fn read(coordinates: Nested) -> Result<Self, String> {
        Self::checked(coordinates.list()?.into_iter().map(GeoPolygon::read).collect::<Result<_, _>>()?)
    }
}

geojson!(
    GeoMultiPoint,
    "GeoMultiPoint",
    "MultiPoint",
    "GeoJSON points, each longitude, then latitude, in degrees.",
    json_schema!({ "type": "array", "minItems": 1, "items": position_schema() })
);
geojson!(
    GeoMultiLine,
    "GeoMultiLine",
    "MultiLineString",
    "GeoJSON lines of points, each longitude, then latitude, in degrees.",
    json_schema!({ "type": "array", "minItems": 1, "items": line_schema() })
);
geojson!(
    GeoMultiPolygon,
    "GeoMultiPolygon",
    "MultiPolygon",
    "GeoJSON polygons: rings of points, each longitude, then latitude, in degrees.",
    json_schema!({ "type": "array", "minItems": 1, "items": polygon_schema() })
);
