//! The core of Forge: models, typed fields, query IR, filter matching, handlers. It does no IO.

pub mod adapter;
pub mod catalog;
pub mod env;
pub mod error;
pub mod ir;
pub mod model;
pub mod order;
pub mod types;

pub use catalog::Catalog;
pub use env::Env;
pub use error::{Error, ErrorCode, Result};
pub use types::{DateTime, GeoPoint, Id, Uuid};
