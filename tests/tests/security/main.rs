//! What an attacker tries, by every door of a server: HTTP, WebSocket, services, and what operators read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names of test models say what they are")]

mod app;
mod canary;
mod injection;
mod limits;
mod logs;
mod origins;
mod tenants;
