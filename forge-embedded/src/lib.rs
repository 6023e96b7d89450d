//! The embedded engine of Forge.

mod aggregate;
mod catalog;
mod driver;
mod engine;
mod feed;
#[cfg(feature = "file")]
mod file;
mod filter;
mod geo;
mod index;
mod keys;
mod matching;
mod plan;
mod project;
mod queue;
mod read;
mod store;
mod tx;
mod update;
mod watch;
mod write;

pub use driver::EmbeddedDriver;
