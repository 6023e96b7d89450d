//! The server of Forge: HTTP, WebSocket and live queries.

mod json;
mod limits;
mod live;

pub use limits::Limits;
