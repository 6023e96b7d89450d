//! What commands print. A closed pipe is no reason to fail.

use std::io::{IsTerminal as _, Write as _};

use forge_core::{Error, Result};
use tracing_subscriber::EnvFilter;

/// Prints a line to standard output.
pub(crate) fn out(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line about work under way to standard error, beside what a command answers.
pub(crate) fn progress(line: &str) {
    let _ = writeln!(std::io::stderr(), "… {line}");
}

/// Prints an error to standard error, as one line.
pub(crate) fn error(error: &Error) {
    let lines: Vec<_> = error.message().lines().map(str::trim).collect();
    let _ = writeln!(std::io::stderr(), "error: {}", lines.join(" "));
}

/// Starts logging to standard error, unless the program has done so itself.
///
/// # Errors
/// `bad_request` naming the variable whose filter is malformed.
pub(crate) fn init_logging() -> Result<()> {
    let variable = ["FORGE_LOG", "RUST_LOG"].into_iter().find(|name| std::env::var_os(name).is_some());
    let filter = match variable {
        None => EnvFilter::new("info"),
        Some(name) => EnvFilter::try_from_env(name).map_err(|error| {
            Error::bad_request(format!("{name} is no log filter, as in info,forge_server=debug: {error}"))
        })?,
    };
    let ansi = std::io::stderr().is_terminal();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .try_init();
    Ok(())
}
