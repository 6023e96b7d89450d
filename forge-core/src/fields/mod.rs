//! Typed handles on fields and relations: what the closures of the query builders receive.

mod embed;
mod field;
mod filter;
mod list;
mod map;
mod order;
mod place;
mod relation;
mod text;
mod writable;

pub use embed::{EmbedMany, EmbedOne};
pub(crate) use embed::{fields_at, join};
pub use field::{Comparable, Field};
pub use filter::{Filter, all, any, none, text};
pub use list::Element;
pub use order::{IntoSort, Order, Score, score};
pub use place::Place;
pub use relation::{ToMany, ToOne};
pub use text::Text;
pub(crate) use writable::element_fields;
pub use writable::{Assign, List, Optional};
