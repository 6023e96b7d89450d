//! The server of Forge: HTTP, WebSocket and live queries.
//!
//! [`App`] is a program: it reads settings from the environment, connects, creates indexes and serves. [`Limits`] bounds
//! what clients may ask for. The crate knows no database: a [`Platform`] opens one.
//!
//! Inside, a request goes `http` or `ws` → `calls` → the handler. Subscriptions go to `live`: a state machine without IO
//! (`live::machine`) that decides when which query runs and who is sent what, and the tasks around it (`live::hub`).

// The macros name the facade, which stands on this crate; for its own tests the core stands in.
#[cfg(test)]
extern crate forge_core as forge;

mod app;
pub mod auth;
mod bind;
mod calls;
mod carried;
mod commands;
mod connections;
mod console;
pub mod databases;
mod deflate;
#[cfg(feature = "redis")]
mod fanout;
mod gates;
mod http;
pub mod idempotency;
pub mod jobs;
mod json;
mod limits;
mod live;
mod metrics;
mod operators;
mod origin;
mod protocol;
mod server;
pub mod services;
mod settings;
#[cfg(feature = "socketio")]
mod socketio;
#[cfg(test)]
mod testing;
mod trace;
mod ws;
#[cfg(test)]
mod ws_auth_tests;
#[cfg(test)]
mod ws_tenant_tests;
#[cfg(test)]
mod ws_tests;
#[cfg(test)]
mod ws_wire_tests;

pub use app::{App, Platform};
/// The version of axum that [`App::router`] takes.
pub use axum;
#[cfg(feature = "redis")]
pub use fanout::RedisFanOut;
pub use limits::Limits;
pub use server::Server;
