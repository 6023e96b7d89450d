//! What Forge promises, on every engine and over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cascades;
mod compares;
mod deletes;
mod depends;
mod ends;
mod feed;
mod filters;
mod generated;
mod geo;
mod groups;
mod includes;
mod indexes;
mod inserts;
mod lists;
mod locking;
mod mass;
mod names;
mod nested;
mod observe;
mod operators;
mod pages;
mod pipeline;
mod policies;
mod pull;
mod reads;
mod relations;
mod results;
mod schema;
mod search;
mod selects;
mod shapes;
mod sorts;
mod strings;
mod tenants;
mod transactions;
mod types;
mod updates;
mod upserts;
mod views;
mod watch;

mod auth;
mod fanout;
mod faults;
mod handlers;
mod hostile;
mod http;
mod jobs;
mod live;
mod live_streams;
mod operators_view;
mod process;
mod soak;
mod ws;
