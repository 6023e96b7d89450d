//! The embedded engine through the driver seam, as the executor uses it.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod commands;
mod counts;
mod crash;
mod feed;
mod files;
mod indexes;
mod results;
mod speed;
mod support;
mod transactions;
