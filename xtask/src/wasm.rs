//! `cargo xtask wasm`: what must run in a browser builds for wasm32-unknown-unknown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{self, Context as _, Result};
use crate::report::Outcome;

const TARGET: &str = "wasm32-unknown-unknown";
const LIMIT: Duration = Duration::from_secs(300);

/// The packages that a browser runs, without the features that need a machine.
const PACKAGES: [&str; 7] = [
    "--package",
    "forge-core",
    "--package",
    "forge-mongo",
    "--package",
    "forge-embedded",
    "--no-default-features",
];
/// A package with a model and a handler, linked for the target: what the macros emit. Not part of the workspace.
const PROBE: &str = "tests/wasm-probe";

/// Where the target's standard library comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    /// The installed toolchain.
    Own,
    /// Debian's, in a folder below the build folder (`wasm-cargo.sh`).
    Debian,
}

/// Runs the check and tells how it ended.
pub(crate) fn command() -> Result<bool> {
    match check() {
        Outcome::Passed(_) => println!("ok: builds for {TARGET}"),
        Outcome::Skipped(_, reason) => println!("SKIPPED: {reason}"),
        Outcome::Failed(_, reason) => return Err(reason),
    }
    Ok(true)
}

/// Builds the packages and the probe, and runs the probe; skipped where no toolchain has the target.
pub(crate) fn check() -> Outcome {
    let toolchain = match toolchain() {
        Ok(toolchain) => toolchain,
        Err(reason) => return Outcome::skipped(reason),
    };
    process::run(&mut cargo(toolchain, &PACKAGES)).and_then(|()| probe(toolchain)).into()
}

/// Builds the probe and calls it as a browser would, where Node.js is installed.
fn probe(toolchain: Toolchain) -> Result<()> {
    let folder = process::root().join(PROBE);
    // The versions that the workspace is locked to.
    fs::copy(process::root().join("Cargo.lock"), folder.join("Cargo.lock")).context("copying Cargo.lock")?;
    process::run(&mut cargo(toolchain, &["--manifest-path", &format!("{PROBE}/Cargo.toml")]))?;
    if process::on_path("node").is_none() {
        eprintln!("SKIPPED: running the module: node is not installed");
        return Ok(());
    }
    let module = build_folder(toolchain)?.join(TARGET).join("debug/wasm_probe.wasm");
    let check = folder.join("check.mjs");
    process::run(process::program("node", &[]).arg(check).arg(module))
}

/// Where the toolchain builds: versions of the compiler do not share.
fn build_folder(toolchain: Toolchain) -> Result<PathBuf> {
    match toolchain {
        Toolchain::Own => Ok(process::build_dir()),
        Toolchain::Debian => process::target_dir("wasm"),
    }
}

/// The first toolchain that has the target or can be given it; else why there is none.
fn toolchain() -> Result<Toolchain> {
    if has_target() {
        return Ok(Toolchain::Own);
    }
    let added = process::run_within(&mut process::program("rustup", &["target", "add", TARGET]), LIMIT);
    match added {
        Ok(()) if has_target() => return Ok(Toolchain::Own),
        Ok(()) => {}
        Err(reason) => eprintln!("{reason}"),
    }
    let script = process::root().join("xtask/wasm-cargo.sh");
    process::run_within(&mut process::program(script, &["install"]), LIMIT)
        .map(|()| Toolchain::Debian)
        .map_err(|reason| format!("no toolchain with {TARGET}: rustup cannot add it, and {reason}"))
}

fn has_target() -> bool {
    process::output(&mut process::program("rustc", &["--print", "sysroot"]))
        .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir())
}

fn cargo(toolchain: Toolchain, build: &[&str]) -> Command {
    let mut command = match toolchain {
        Toolchain::Own => process::cargo(&["build"]),
        Toolchain::Debian => process::program(process::root().join("xtask/wasm-cargo.sh"), &["build"]),
    };
    command.args(["--target", TARGET]).args(build);
    // Random bytes come from the browser; the variable leaves build scripts and other targets alone.
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", r#"--cfg getrandom_backend="wasm_js""#);
    match toolchain {
        // The probe, a workspace of its own, would build into a folder of its own.
        Toolchain::Own => command.env("CARGO_TARGET_DIR", process::build_dir()),
        Toolchain::Debian => command.arg("--ignore-rust-version"),
    };
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_build_for_the_target_without_what_a_browser_lacks() {
        let command = process::describe(&cargo(Toolchain::Own, &PACKAGES));
        assert!(command.contains(TARGET) && command.ends_with("--no-default-features"), "{command}");
    }

    #[test]
    fn a_toolchain_of_another_version_may_build() {
        assert!(process::describe(&cargo(Toolchain::Debian, &PACKAGES)).ends_with("--ignore-rust-version"));
    }
}
