//! `push` and `doctor`.

use std::fmt::Write as _;

use forge_core::adapter::{PushAction, PushPlan};
use forge_core::{Error, Result, Runtime};

use crate::console;
use crate::settings::Settings;

/// Compares the declared indexes with those of the database; without `dry_run` also creates what is missing.
///
/// # Errors
/// `conflict` where an index differs in a way that a person must decide about; what the database answers.
pub(crate) async fn push(runtime: &Runtime, dry_run: bool, json: bool) -> Result<()> {
    let db = runtime.db();
    let plan = db.adapter().push(db.name(), db.catalog(), !dry_run).await?;
    console::out(&if json { serde_json::to_string_pretty(&plan)? } else { describe(&plan, dry_run) });
    match count(&plan, PushAction::Conflict) {
        0 => Ok(()),
        conflicts => Err(Error::conflict(format!(
            "{conflicts} of the indexes differ from their declaration and were left alone; drop them by hand, then push again"
        ))),
    }
}

fn describe(plan: &PushPlan, dry_run: bool) -> String {
    let mut text = String::new();
    for step in plan.steps.iter().filter(|step| step.action != PushAction::Keep) {
        let action = match step.action {
            PushAction::Create => "create",
            PushAction::Rebuild => "rebuild",
            PushAction::Conflict => "CONFLICT",
            PushAction::Skip => "skip",
            PushAction::Extra => "extra",
            _ => "keep",
        };
        let _ = write!(text, "{action:<9}{}.{}", step.collection, step.index);
        if let Some(note) = &step.note {
            let _ = write!(text, "  ({note})");
        }
        text.push('\n');
    }
    let changes = count(plan, PushAction::Create) + count(plan, PushAction::Rebuild);
    let verb = if dry_run { "to create or rebuild" } else { "created or rebuilt" };
    let _ = write!(text, "{changes} {verb}, {} as declared", count(plan, PushAction::Keep));
    text
}

fn count(plan: &PushPlan, action: PushAction) -> usize {
    plan.steps.iter().filter(|step| step.action == action).count()
}

/// Prints what there is: settings, models, handlers, the database. Changes nothing.
///
/// # Errors
/// What the database answers.
pub(crate) async fn doctor(runtime: &Runtime, settings: &Settings) -> Result<()> {
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
    let plan = adapter.push(db.name(), db.catalog(), false).await?;
    facts.push(("indexes".to_owned(), describe(&plan, true).replace('\n', "; ")));
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    for (name, value) in facts {
        console::out(&format!("{name:<width$}{value}"));
    }
    Ok(())
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "none; those of a library crate are linked only if the binary names it: use mylib as _;"
            .to_owned();
    }
    format!("{} ({})", names.len(), names.join(", "))
}
