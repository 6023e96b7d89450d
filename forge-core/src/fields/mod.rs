//! Typed handles on fields and relations: what the closures of the query builders receive.

mod embed;
mod field;
mod filter;
mod order;
mod relation;

pub use embed::{EmbedMany, EmbedOne};
pub use field::{Field, Place, Text};
pub use filter::Filter;
pub use order::{IntoSort, Order};
pub use relation::{ToMany, ToOne};
