//! What Forge promises, on every engine and over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cascades;
mod deletes;
mod feed;
mod filters;
mod generated;
mod geo;
mod groups;
mod includes;
mod indexes;
mod inserts;
mod names;
mod reads;
mod relations;
mod shapes;
mod sorts;
mod strings;
mod transactions;
mod updates;

mod auth;
mod hostile;
mod http;
mod live;
mod process;
mod ws;
