//! Feathers, by npm.

use std::path::Path;
use std::process::{Command, Stdio};

use forge_benches::process::{Failure, Server};

/// Feathers over the same database.
///
/// # Errors
/// What keeps it from being installed or started: it is left out then.
pub(crate) fn start(uri: &str, database: &str) -> Result<Server, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/feathers");
    if !folder.join("node_modules").is_dir() {
        let install = ["ci", "--no-audit", "--no-fund"];
        let status = Command::new("npm").args(install).current_dir(&folder).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("npm ci failed ({status})").into());
        }
    }
    Server::start_as(Command::new("node").arg("main.mjs").args([uri, database]).current_dir(folder))
}
