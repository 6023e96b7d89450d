//! The server of Forge: HTTP, WebSocket and live queries.

mod calls;
mod http;
pub mod idempotency;
mod json;
mod limits;
mod live;
mod origin;
mod protocol;
#[cfg(test)]
mod testing;
mod ws;

pub use limits::Limits;
