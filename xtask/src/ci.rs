//! `cargo xtask ci`: everything that must hold before a change is merged, in one run.

use std::path::Path;
use std::process::Command;

use crate::counts::{self, Counts};
use crate::process::{self, Result};
use crate::report::{Outcome, Report};
use crate::servers::Database;
use crate::{test, wasm};

/// The feature sets that users choose, beside the default one, which the step over the whole workspace covers.
const FEATURE_SETS: [&[&str]; 9] = [
    &["forge-mongo", "--no-default-features"],
    &["forge-embedded", "--no-default-features"],
    &["forge", "--no-default-features"],
    &["forge", "--no-default-features", "--features", "embedded"],
    &["forge", "--no-default-features", "--features", "mongodb"],
    &["forge", "--no-default-features", "--features", "server"],
    &["forge", "--no-default-features", "--features", "embedded,server"],
    &["forge", "--no-default-features", "--features", "mongodb,server"],
    &["forge", "--no-default-features", "--features", "embedded,socketio"],
];

const TYPESCRIPT: &str = "clients/typescript";
const BROWSER: &str = "tests/browser";
const FEATHERS: &str = "tests/feathers";

/// Runs the steps whose name contains one of the words in `only` (all, when there are none) and sums them up.
pub(crate) fn command(only: &[String]) -> Result<bool> {
    let mut report = Report::default();
    for (name, perform) in steps() {
        if only.is_empty() || only.iter().any(|word| name.contains(word.as_str())) {
            report.step(&name, perform);
        }
    }
    println!("{}", report.summary());
    Ok(report.succeeded())
}

type Step = (String, Box<dyn FnOnce() -> Outcome>);

fn steps() -> Vec<Step> {
    let mut steps = vec![
        check("rustfmt", process::cargo(&["fmt", "--all", "--check"])),
        check("clippy workspace", clippy(&["--workspace", "--all-targets"])),
    ];
    for set in FEATURE_SETS {
        let arguments: Vec<_> = ["--lib", "--package"].iter().chain(set).copied().collect();
        steps.push(check(&format!("clippy {}", set.join(" ")), clippy(&arguments)));
    }
    let mut doc = process::cargo(&["doc", "--locked", "--no-deps", "--workspace"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(check("rustdoc", doc));
    steps.push(("wasm".into(), Box::new(wasm::check)));
    steps.push(("test".into(), Box::new(|| test::run(&[]))));
    if exists(TYPESCRIPT) {
        steps.push((
            "typescript client".into(),
            Box::new(|| package(TYPESCRIPT, &["typecheck", "test"], None)),
        ));
    }
    if exists(BROWSER) {
        steps.push(("browser".into(), Box::new(browser)));
    }
    if exists(FEATHERS) {
        steps.push(("feathers".into(), Box::new(feathers)));
    }
    steps
}

/// A step that holds when its command succeeds.
fn check(name: &str, mut command: Command) -> Step {
    (name.to_owned(), Box::new(move || process::run(&mut command).into()))
}

fn clippy(arguments: &[&str]) -> Command {
    let mut command = process::cargo(&["clippy", "--locked"]);
    command.args(arguments).args(["--", "-D", "warnings"]);
    command
}

fn exists(package: &str) -> bool {
    process::root().join(package).join("package.json").is_file()
}

fn browser() -> Outcome {
    if process::on_path("chromium").is_none() {
        return lacks("chromium");
    }
    match process::run(&mut process::cargo(&["build", "--workspace", "--bins", "--tests", "--examples"])) {
        Ok(()) => package(BROWSER, &["test"], None),
        failed => failed.into(),
    }
}

/// Feathers' own test suite against the services, on the embedded engine and on a server.
fn feathers() -> Outcome {
    match process::run(&mut process::cargo(&["build", "--package", "services-conformance"])) {
        Ok(()) => package(FEATHERS, &["test"], Database::obtain().uri()),
        failed => failed.into(),
    }
}

/// A program that the step needs is missing: on a person's machine the step is skipped, in CI that is a failure.
fn lacks(program: &str) -> Outcome {
    let reason = format!("{program} is not installed");
    if process::in_ci() { Err(reason).into() } else { Outcome::skipped(reason) }
}

/// Installs the npm package in `folder` as its lock file says and runs `scripts`, counting the tests they report. They are
/// told of the server at `uri`.
fn package(folder: &str, scripts: &[&str], uri: Option<&str>) -> Outcome {
    let folder = process::root().join(folder);
    if process::on_path("npm").is_none() {
        return lacks("npm");
    }
    let mut counts = Counts::default();
    let result = npm(&folder, &["ci", "--no-audit", "--no-fund"], uri, &mut counts).and_then(|()| {
        scripts.iter().try_for_each(|script| npm(&folder, &["run", "--if-present", script], uri, &mut counts))
    });
    match result {
        Ok(()) => Outcome::Passed(counts),
        Err(reason) => Outcome::Failed(counts.or_failed(false), reason),
    }
}

fn npm(folder: &Path, arguments: &[&str], uri: Option<&str>, counts: &mut Counts) -> Result<()> {
    let mut command = process::program("npm", arguments);
    command.current_dir(folder);
    if let Some(uri) = uri {
        command.env(test::URI_VARIABLE, uri);
    }
    let status = process::stream(&mut command, |line| {
        if let Some(found) = counts::javascript(line) {
            *counts += found;
        }
    })?;
    process::check(&command, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_set_has_a_step_of_its_own() {
        let names: Vec<_> = steps().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"clippy forge --no-default-features --features embedded".to_owned()));
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
