//! The server of Forge: HTTP, WebSocket and live queries.
//!
//! [`App`] is a program: it reads settings from the environment, connects, creates indexes and serves. [`Limits`] bounds
//! what clients may ask for. The crate knows no database: a [`Backend`] opens one.
//!
//! Inside, a request goes `http` or `ws` → `calls` → the handler. Subscriptions go to `live`: a state machine without IO
//! (`live::machine`) that decides when which query runs and who is sent what, and the tasks around it (`live::hub`).

mod app;
mod bind;
mod calls;
mod commands;
mod console;
mod http;
pub mod idempotency;
mod json;
mod limits;
mod live;
mod origin;
mod protocol;
mod server;
mod settings;
#[cfg(test)]
mod testing;
mod ws;

pub use app::{App, Backend, Connect};
/// The version of axum that [`App::router`] takes.
pub use axum;
pub use limits::Limits;
pub use server::Server;
