//! `cargo xtask wasm`: what must run in a browser builds for wasm32-unknown-unknown.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, Result};
use crate::report::Outcome;

const TARGET: &str = "wasm32-unknown-unknown";
const LIMIT: Duration = Duration::from_secs(300);

/// What builds for the target, as arguments of cargo: the packages without the features that need a machine.
const BUILDS: [&[&str]; 2] = [
    &[
        "--package",
        "forge-core",
        "--package",
        "forge-mongo",
        "--package",
        "forge-embedded",
        "--no-default-features",
    ],
    &["--manifest-path", PROBE],
];
/// A program with a model, linked for the target: what the macros emit.
const PROBE: &str = "tests/wasm-probe/Cargo.toml";

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

/// Builds everything in [`BUILDS`], skipped where no toolchain has the target.
pub(crate) fn check() -> Outcome {
    let toolchain = match toolchain() {
        Ok(toolchain) => toolchain,
        Err(reason) => return Outcome::skipped(reason),
    };
    BUILDS
        .iter()
        .filter(|build| is_present(build))
        .try_for_each(|build| process::run(&mut cargo(toolchain, build)))
        .into()
}

/// Whether the manifest that the build names, if it names one, exists.
fn is_present(build: &[&str]) -> bool {
    build.iter().filter(|word| word.ends_with(".toml")).all(|path| process::root().join(path).is_file())
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
    if toolchain == Toolchain::Debian {
        command.arg("--ignore-rust-version");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_build_leaves_out_what_a_browser_lacks() {
        let crates = BUILDS[0];
        assert!(crates.contains(&"--no-default-features"));
        for build in BUILDS {
            assert!(process::describe(&cargo(Toolchain::Own, build)).contains(TARGET));
        }
    }

    #[test]
    fn a_toolchain_of_another_version_may_build() {
        assert!(process::describe(&cargo(Toolchain::Debian, BUILDS[0])).ends_with("--ignore-rust-version"));
    }
}
