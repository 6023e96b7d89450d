//! The MongoDB adapter of Forge.

pub mod artifact;
mod driver;

pub use artifact::{Command, MongoArtifact, Reply};
pub use driver::Driver;
