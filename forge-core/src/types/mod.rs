//! Scalar types with one meaning in BSON, JSON, JSON Schema and Rust.

mod any;
mod bytes;
mod calendar;
mod datetime;
mod decimal;
mod geo;
mod geojson;
mod id;
mod int64;
mod line;
mod multi;
pub(crate) mod part;
mod polygon;
mod shape;
pub(crate) mod sphere;
mod uuid;

pub use any::Any;
pub use bytes::Bytes;
pub use calendar::{CalendarParseError, Date, Time};
pub use datetime::{DateTime, DateTimeParseError};
pub use decimal::{Decimal, DecimalParseError};
pub use geo::{EARTH_RADIUS_METRES, GeoPoint};
pub use id::{Id, IdParseError};
pub use int64::Int64;
pub use line::GeoLine;
pub use multi::{GeoMultiLine, GeoMultiPoint, GeoMultiPolygon};
pub use polygon::GeoPolygon;
pub use shape::{GeoCollection, GeoShape};
pub use uuid::Uuid;
