use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point on the Earth as GeoJSON: `{"type": "Point", "coordinates": [longitude, latitude]}`, WGS 84 degrees.
///
/// Source: RFC 7946, section 3.1.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoPoint {
    longitude: f64,
    latitude: f64,
}

/// Mean radius of the Earth in metres, as MongoDB uses it for spherical distances.
pub const EARTH_RADIUS_METRES: f64 = 6_378_100.0;

impl GeoPoint {
    /// A point from degrees: longitude in −180…180 and latitude in −90…90.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) where a coordinate is outside its range or not a number.
    pub fn new(longitude: f64, latitude: f64) -> crate::Result<Self> {
        Self::checked(longitude, latitude).map_err(crate::Error::bad_request)
    }

    fn checked(longitude: f64, latitude: f64) -> Result<Self, String> {
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(format!("longitude {longitude} is not within -180 and 180 degrees"));
        }
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(format!("latitude {latitude} is not within -90 and 90 degrees"));
        }
        Ok(Self { longitude, latitude })
    }

    /// Degrees east of Greenwich.
    pub const fn longitude(self) -> f64 {
        self.longitude
    }

    /// Degrees north of the equator.
    pub const fn latitude(self) -> f64 {
        self.latitude
    }

    /// The great-circle distance in metres (haversine formula).
    ///
    /// ```
    /// # use forge_core::GeoPoint;
    /// let jfk = GeoPoint::new(-73.7789, 40.6398)?;
    /// let lax = GeoPoint::new(-118.4081, 33.9425)?;
    /// assert!((jfk.distance_to(lax) / 1000.0 - 3978.0).abs() < 5.0);
    /// # Ok::<(), forge_core::Error>(())
    /// ```
    pub fn distance_to(self, other: GeoPoint) -> f64 {
        let (lat1, lat2) = (self.latitude.to_radians(), other.latitude.to_radians());
        let d_lat = lat2 - lat1;
        let d_lon = (other.longitude - self.longitude).to_radians();
        let a = (d_lat / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * (d_lon / 2.0).sin().powi(2);
        2.0 * EARTH_RADIUS_METRES * a.sqrt().min(1.0).asin()
    }
}

impl fmt::Display for GeoPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.longitude, self.latitude)
    }
}

impl From<GeoPoint> for bson::Bson {
    fn from(point: GeoPoint) -> Self {
        bson::bson!({ "type": "Point", "coordinates": [point.longitude, point.latitude] })
    }
}

impl Serialize for GeoPoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("GeoPoint", 2)?;
        out.serialize_field("type", "Point")?;
        out.serialize_field("coordinates", &[self.longitude, self.latitude])?;
        out.end()
    }
}

impl<'de> Deserialize<'de> for GeoPoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        enum Kind {
            Point,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            #[serde(rename = "type")]
            _kind: Kind,
            coordinates: [f64; 2],
        }
        let Raw { coordinates: [longitude, latitude], .. } = Raw::deserialize(deserializer)?;
        Self::checked(longitude, latitude).map_err(de::Error::custom)
    }
}

impl JsonSchema for GeoPoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GeoPoint".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A GeoJSON point: longitude, then latitude, in degrees.",
            "properties": {
                "type": { "const": "Point" },
                "coordinates": { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 }
            },
            "required": ["type", "coordinates"],
            "additionalProperties": false
        })
    }
}
