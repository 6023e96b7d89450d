//! The MongoDB adapter of Forge: [`compile`] turns the IR into [`MongoArtifact`]s, [`MongoAdapter`] runs them over a
//! [`Driver`], and with the feature `driver` `OfficialDriver` is one.

pub mod artifact;
pub mod compile;
mod doctor;
mod driver;
mod exec;
mod faults;
#[cfg(feature = "driver")]
mod official;
mod pull;
mod push;
mod refusal;
mod scans;
#[cfg(test)]
mod testing;

pub use artifact::{Command, MongoArtifact, Reply};
pub use driver::Driver;
pub use exec::MongoAdapter;
#[cfg(feature = "driver")]
pub use mongodb;
#[cfg(feature = "driver")]
pub use official::OfficialDriver;
pub use refusal::Refusal;
pub use scans::ScanLogging;
