//! Scalar types with one meaning in BSON, JSON, JSON Schema and Rust.

mod any;
mod bytes;
mod calendar;
mod datetime;
mod decimal;
mod geo;
mod id;
mod int64;
pub(crate) mod part;
mod polygon;
pub(crate) mod sphere;
mod uuid;

pub use any::Any;
pub use bytes::Bytes;
pub use calendar::{CalendarParseError, Date, Time};
pub use datetime::{DateTime, DateTimeParseError};
pub use decimal::{Decimal, DecimalParseError};
pub use geo::GeoPoint;
pub use id::{Id, IdParseError};
pub use int64::Int64;
pub use polygon::GeoPolygon;
pub use uuid::Uuid;
