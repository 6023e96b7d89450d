//! The embedded engine through the driver seam, as the executor uses it.

mod commands;
mod crash;
mod feed;
mod files;
mod indexes;
mod support;
mod transactions;
