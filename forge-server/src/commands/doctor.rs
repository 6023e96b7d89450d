//! `doctor`: what there is, and what is wrong with it.

use forge_core::adapter::{Finding, Severity};
use forge_core::{Result, Runtime};
use serde::Serialize;

use crate::console;
use crate::settings::Settings;

/// The exit code where something costs more than it has to.
const WARNINGS: i32 = 3;
/// The exit code where something does not work.
const ERRORS: i32 = 4;

/// The arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Ask the running server which live queries cost the most; needs FORGE_OPERATOR_TOKEN
    #[arg(long)]
    pub(super) live: bool,
}

#[derive(Serialize)]
struct Report {
    facts: Vec<(String, String)>,
    findings: Vec<Finding>,
}

/// Prints settings, models, handlers, the database, and what was found about them. Changes nothing.
///
/// The exit code is 0 where nothing is worse than good to know, 3 with warnings, 4 with errors.
///
/// # Errors
/// What the database answers.
pub(super) async fn doctor(runtime: &Runtime, settings: &Settings, args: Args) -> Result<i32> {
    let db = runtime.db();
    let mut findings = db.adapter().examine(db.name(), db.catalog(), db.env().now()).await?;
    if runtime.registry().iter().next().is_none() {
        let message = "no handlers are linked in";
        let advice = "those of a library crate are linked only if the binary names it: `use mylib as _;`";
        findings.push(Finding::new(Severity::Info, "handlers", message).advise(advice));
    }
    let report = Report { facts: facts(runtime, settings).await?, findings };
    console::out(&if args.json { serde_json::to_string_pretty(&report)? } else { text(&report) });
    Ok(match report.findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Error) => ERRORS,
        Some(Severity::Warning) => WARNINGS,
        _ => 0,
    })
}

async fn facts(runtime: &Runtime, settings: &Settings) -> Result<Vec<(String, String)>> {
    let db = runtime.db();
    let adapter = db.adapter();
    let models: Vec<_> = db.catalog().models().iter().map(|model| model.name).collect();
    let handlers: Vec<_> = runtime.registry().iter().map(|handler| handler.name).collect();
    let mut facts = vec![
        ("listens on".to_owned(), format!("{}:{}", settings.host, settings.port)),
        (
            "database".to_owned(),
            format!("{} ({}, by {})", db.name(), adapter.name(), settings.database.variable),
        ),
        ("models".to_owned(), list(&models)),
        ("handlers".to_owned(), list(&handlers)),
    ];
    facts.extend(adapter.describe().await?);
    let capabilities = serde_json::to_value(adapter.capabilities())?;
    for (name, value) in capabilities.as_object().into_iter().flatten() {
        let word = if value == true { "yes" } else { "no" };
        facts.push((name.replace('_', " "), word.to_owned()));
    }
    Ok(facts)
}

fn text(report: &Report) -> String {
    let width = report.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut lines: Vec<String> =
        report.facts.iter().map(|(name, value)| format!("{name:<width$}{value}")).collect();
    lines.push(String::new());
    for Finding { severity, topic, message, advice, .. } in &report.findings {
        let word = match severity {
            Severity::Error => "ERROR",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        lines.push(format!("{word:<9}{topic}: {message}"));
        lines.extend(advice.iter().map(|advice| format!("         → {advice}")));
    }
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    lines.push(format!("{} errors, {} warnings", count(Severity::Error), count(Severity::Warning)));
    lines.join("\n")
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => format!("{} ({})", names.len(), names.join(", ")),
    }
}
