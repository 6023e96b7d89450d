//! Scalar types with one meaning in BSON, JSON, JSON Schema and Rust.

mod datetime;
mod geo;
mod id;
mod uuid;

pub use datetime::{DateTime, DateTimeParseError};
pub use geo::GeoPoint;
pub use id::{Id, IdParseError};
pub use uuid::Uuid;
