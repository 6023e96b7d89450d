//! `cargo xtask bench NAME`: runs a bench as programs are built for production, with a server where it wants one.

use crate::process::{self, Context as _, Result};
use crate::servers::Database;

/// The benches that compare against a server.
const WITH_SERVER: [&str; 2] = ["orm", "services"];

/// Runs the bench `name` and shows what it prints.
pub(crate) fn command(name: &str, json: bool, fast: bool, arguments: &[String]) -> Result<()> {
    let obtain = if fast { Database::fast } else { Database::obtain };
    let database = WITH_SERVER.contains(&name).then(obtain);
    let uri = match &database {
        Some(database) => {
            let uri =
                database.uri().ok_or_else(|| format!("{name} needs a server: {}", database.describe()))?;
            eprintln!("on {}", database.describe());
            Some(uri)
        }
        None => None,
    };
    let build = ["run", "--quiet", "--profile", "production", "-p", "forge-benches", "--bin", name, "--"];
    let command = &mut process::cargo(&build);
    if json {
        command.arg("--json");
    }
    command.args(arguments);
    eprintln!("$ {}", process::describe(command));
    if let Some(uri) = uri {
        // Not announced: a given URI may hold a password.
        command.args(["--uri", uri]);
    }
    let status = command.status().context("cargo")?;
    if status.success() { Ok(()) } else { Err(format!("bench {name} failed ({status})")) }
}
