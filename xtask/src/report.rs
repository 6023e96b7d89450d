//! Steps of a long run: announced, timed, and summed up at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::process::Result;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It held; a step that runs tests tells how many.
    Passed(Counts),
    /// It did not, and why. What it counted includes at least one failure.
    Failed(Counts, String),
    /// It could not run here, and why. What it counted includes at least one skip.
    Skipped(Counts, String),
}

impl Outcome {
    /// A step that could not run here.
    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(Counts { skipped: 1, ..Counts::default() }, reason.into())
    }

    /// What the step counted.
    pub(crate) fn counts(&self) -> Counts {
        match self {
            Self::Passed(counts) | Self::Failed(counts, _) | Self::Skipped(counts, _) => *counts,
        }
    }
}

impl From<Result<()>> for Outcome {
    /// A check: nothing to count unless it failed.
    fn from(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed(Counts::default()),
            Err(reason) => Self::Failed(Counts::default().or_failed(false), reason),
        }
    }
}

struct Step {
    name: String,
    outcome: Outcome,
    took: Duration,
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Performs a step and remembers how it ended.
    pub(crate) fn step(&mut self, name: &str, perform: impl FnOnce() -> Outcome) {
        eprintln!("\n== {name}");
        let started = Instant::now();
        let outcome = perform();
        let took = started.elapsed();
        eprintln!("{}", line(name, &outcome, took));
        self.steps.push(Step { name: name.to_owned(), outcome, took });
    }

    /// Whether no step failed.
    pub(crate) fn succeeded(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.outcome, Outcome::Failed(..)))
    }

    /// All steps, one a line; then the sum of what they counted, alone on the last line.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::from("\n== summary\n");
        for Step { name, outcome, took } in &self.steps {
            let _ = writeln!(text, "{}", line(name, outcome, *took));
        }
        let counts: Counts = self.steps.iter().map(|step| step.outcome.counts()).sum();
        let _ = write!(text, "{counts}");
        text
    }
}

fn line(name: &str, outcome: &Outcome, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    match outcome {
        Outcome::Passed(_) => format!("ok       {seconds:7.1} s  {name}"),
        Outcome::Failed(_, reason) => format!("FAILED   {seconds:7.1} s  {name}: {reason}"),
        Outcome::Skipped(_, reason) => format!("SKIPPED  {seconds:7.1} s  {name}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_closes_with_the_sum_of_all_steps() {
        let mut report = Report::default();
        report.step("tests", || Outcome::Passed(Counts { passed: 5, failed: 0, skipped: 1 }));
        report.step("wasm", || Outcome::skipped("no target"));
        assert!(report.succeeded());
        report.step("clippy", || Err("a warning".to_owned()).into());
        assert!(!report.succeeded());
        let summary = report.summary();
        assert!(summary.contains("SKIPPED") && summary.contains("wasm: no target"), "{summary}");
        assert_eq!(summary.lines().last(), Some("5 passed, 1 failed, 2 skipped"));
    }
}
