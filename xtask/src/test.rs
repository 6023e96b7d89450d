//! `cargo xtask test`: every test of the workspace, once, on the embedded engine and on a MongoDB-compatible server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::counts::{self, Counts};
use crate::process::{self, Context as _, Result};
use crate::report::Outcome;
use crate::servers::{APPLICATION_VARIABLES, Database};

/// Tells tests where a MongoDB-compatible server listens. Without it they skip what needs one.
pub(crate) const URI_VARIABLE: &str = "FORGE_TEST_MONGODB_URI";
/// Names a file to which a test that cannot run appends one line: why. (libtest hides what passing tests print.)
const SKIPPED_VARIABLE: &str = "FORGE_TEST_SKIPPED_FILE";

/// Says how many cases each test of generated operations makes; a case is between one and six operations.
const CASES_VARIABLE: &str = "FORGE_TEST_CASES";
/// More than 10,000 operations on the embedded engine and on the server each.
const CASES_IN_CI: &str = "3000";
/// Says what the generated operations begin with; without it each run has others.
const SEED_VARIABLE: &str = "FORGE_TEST_SEED";

/// Says how many interleavings the simulation of live queries goes through.
const INTERLEAVINGS_VARIABLE: &str = "FORGE_TEST_INTERLEAVINGS";
const INTERLEAVINGS_IN_CI: &str = "10000";

/// Names a FerretDB, which has text indexes where the other stand-ins have none. It has neither transactions nor change
/// streams, so only [`FERRETDB_TESTS`] run on it.
const FERRETDB_VARIABLE: &str = "FERRETDB_URI";
/// Left out: what FerretDB 2.7 does in its own way (options of `$text`, stems, lone negations, projected scores).
const FERRETDB_TESTS: [&str; 9] = [
    "-p",
    "forge-tests",
    "--test",
    "it",
    "--",
    "search::words_combine",
    "search::the_index_follows",
    "search::pipelines_see",
    "search::misplaced",
];

/// Subscribes and unsubscribes 200,000 times, and holds what is left against what was there before.
pub(crate) fn soak() -> Result<()> {
    let arguments = ["test", "--release", "-p", "forge-tests", "--test", "it", "--", "soak::", "--ignored"];
    process::run(&mut process::cargo(&arguments))
}

/// Runs the tests that `cargo` names, or all, and closes with the counts alone on a line.
pub(crate) fn command(cargo: &[String]) -> Result<bool> {
    let outcome = run(cargo);
    let (Outcome::Passed(counts) | Outcome::Failed(counts, _) | Outcome::Skipped(counts, _)) = &outcome;
    if let Outcome::Failed(_, reason) = &outcome {
        println!("FAILED: {reason}");
    }
    println!("{counts}");
    Ok(!matches!(outcome, Outcome::Failed(..)))
}

/// Runs the tests and prints which halves ran and what was skipped.
pub(crate) fn run(cargo: &[String]) -> Outcome {
    let database = Database::obtain();
    let missing = matches!(database, Database::Missing(_));
    match database.uri() {
        Some(_) => println!("MongoDB half: on {}", database.describe()),
        None => println!("MongoDB half: SKIPPED: {}", database.describe()),
    }
    let (mut counts, result) = match run_cargo(cargo, database.uri()) {
        Ok(ran) => ran,
        Err(reason) => {
            println!("\nembedded half: did not run\nMongoDB half: did not run");
            return Outcome::Failed(Counts::default().or_failed(false), reason);
        }
    };
    println!("\nembedded half: ran");
    println!("MongoDB half: {}{}", if missing { "SKIPPED: " } else { "ran on " }, database.describe());
    counts.skipped += u64::from(missing);
    let result = match cargo.is_empty() {
        true => result.and(ferretdb(&mut counts)),
        false => result,
    };
    outcome(counts, result, missing && process::in_ci())
}

/// Text search on a second kind of server, where there is one.
fn ferretdb(counts: &mut Counts) -> Result<()> {
    let Some(uri) = std::env::var(FERRETDB_VARIABLE).ok().filter(|uri| !uri.is_empty()) else {
        println!(
            "FerretDB lane: not run: {FERRETDB_VARIABLE} is not set (text search on a server is not covered)"
        );
        return Ok(());
    };
    println!("\nFerretDB lane: text search on the server of {FERRETDB_VARIABLE}");
    let (found, result) = run_cargo(&FERRETDB_TESTS.map(str::to_owned), Some(&uri))?;
    *counts += found;
    result
}

/// The verdict: failing tests fail the run, and so does a missing server where one must be had.
fn outcome(counts: Counts, result: Result<()>, server_required: bool) -> Outcome {
    match result {
        Err(reason) => Outcome::Failed(counts.or_failed(false), reason),
        Ok(()) if server_required => {
            let reason = "the MongoDB half must run where CI is set, and there is no server".to_owned();
            Outcome::Failed(counts.or_failed(false), reason)
        }
        Ok(()) => Outcome::Passed(counts),
    }
}

/// Builds and runs the tests; lists what they skipped.
fn run_cargo(arguments: &[String], uri: Option<&str>) -> Result<(Counts, Result<()>)> {
    let skipped = skipped_file()?;
    let selection: Vec<&str> = match arguments.is_empty() {
        true => vec!["--workspace"],
        false => arguments.iter().map(String::as_str).collect(),
    };
    if arguments.is_empty() {
        // Binaries too: end-to-end tests start them. Same targets as below, so that nothing is built twice.
        process::run(&mut process::cargo(&["build", "--workspace", "--bins", "--tests", "--examples"]))?;
    }
    let mut command = process::cargo(&["test", "--no-fail-fast"]);
    command.args(selection);
    set_environment(&mut command, uri, &skipped);
    let mut counts = Counts::default();
    let status = process::stream(&mut command, |line| {
        if let Some(found) = counts::libtest(line) {
            counts += found;
        }
    })?;
    counts.skipped += list_skipped(&skipped);
    Ok((counts, process::check(&command, status)))
}

fn set_environment(command: &mut Command, uri: Option<&str>, skipped: &Path) {
    for variable in APPLICATION_VARIABLES {
        command.env_remove(variable);
    }
    command.env(SKIPPED_VARIABLE, skipped).env_remove(URI_VARIABLE);
    if let Some(uri) = uri {
        command.env(URI_VARIABLE, uri);
    }
    if process::in_ci() && std::env::var_os(CASES_VARIABLE).is_none() {
        command.env(CASES_VARIABLE, CASES_IN_CI);
    }
    if process::in_ci()
        && std::env::var_os(SEED_VARIABLE).is_none()
        && let Some(seed) = seed_of_the_tree()
    {
        println!("{SEED_VARIABLE}={seed}");
        command.env(SEED_VARIABLE, seed.to_string());
    }
    if process::in_ci() && std::env::var_os(INTERLEAVINGS_VARIABLE).is_none() {
        command.env(INTERLEAVINGS_VARIABLE, INTERLEAVINGS_IN_CI);
    }
}

/// A number made of what is committed: another tree is tested by other cases, and the same one by the same, so that a
/// failure is one of the tree and not of the run. None outside of a checkout.
fn seed_of_the_tree() -> Option<u64> {
    let tree = Command::new("git").args(["rev-parse", "HEAD^{tree}"]).output().ok()?;
    u64::from_str_radix(std::str::from_utf8(&tree.stdout).ok()?.get(..15)?, 16).ok()
}

/// An empty file for this run.
fn skipped_file() -> Result<PathBuf> {
    let file = process::target_dir("xtask")?.join(format!("skipped-{}.txt", std::process::id()));
    fs::write(&file, "").context(format_args!("writing {}", file.display()))?;
    Ok(file)
}

/// Prints each reason once with how often it was given, and returns how many tests gave one.
fn list_skipped(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let _ = fs::remove_file(file);
    let reasons = reasons(&text);
    for (reason, times) in &reasons {
        println!("SKIPPED: {reason} ({times} {})", if *times == 1 { "test" } else { "tests" });
    }
    reasons.values().sum()
}

fn reasons(text: &str) -> BTreeMap<&str, u64> {
    let mut reasons = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        *reasons.entry(line.strip_prefix("SKIPPED: ").unwrap_or(line)).or_default() += 1;
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Counts = Counts { passed: 2, failed: 0, skipped: 1 };

    #[test]
    fn equal_reasons_are_listed_once_and_counted() {
        let text = "SKIPPED: a server\na server\n\nno browser\n";
        assert_eq!(reasons(text), BTreeMap::from([("a server", 2), ("no browser", 1)]));
    }

    #[test]
    fn a_missing_server_fails_only_where_one_is_required() {
        assert_eq!(outcome(TWO, Ok(()), false), Outcome::Passed(TWO));
        assert!(matches!(outcome(TWO, Ok(()), true), Outcome::Failed(counts, _) if counts.failed == 1));
    }

    #[test]
    fn a_failed_run_is_a_failure_even_if_no_test_was_counted() {
        let failed = outcome(Counts::default(), Err("did not compile".into()), false);
        assert!(matches!(failed, Outcome::Failed(counts, _) if counts.failed == 1));
    }

    #[test]
    fn tests_see_the_test_server_and_not_the_developers_own_database() {
        let mut command = Command::new("cargo");
        set_environment(&mut command, Some("mongodb://127.0.0.1:1/"), Path::new("s.txt"));
        let variables: BTreeMap<_, _> = command.get_envs().collect();
        assert_eq!(variables["MONGODB_URI".as_ref() as &std::ffi::OsStr], None);
        assert_eq!(
            variables[URI_VARIABLE.as_ref() as &std::ffi::OsStr],
            Some("mongodb://127.0.0.1:1/".as_ref())
        );
    }
}
