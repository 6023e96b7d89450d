//! `push`: a plan, and what it says.

use std::fmt::Write as _;
use std::sync::Arc;

use forge_core::adapter::{PushAction, PushPlan, PushSettings, PushStep};
use forge_core::{Error, Result, Runtime};

use crate::console;

/// The arguments of `push`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Hide indexes that no model declares, and drop those that an earlier push has hidden
    #[arg(long)]
    prune: bool,
    /// Shard the collections whose models have a shard key
    #[arg(long)]
    shard: bool,
    /// Rebuild this unique index, although nothing checks its rule meanwhile; may be repeated
    #[arg(long, value_name = "COLLECTION.INDEX")]
    rebuild: Vec<String>,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

/// Compares the declared schema with the database; without `--dry-run` also brings it about.
///
/// # Errors
/// `conflict` where something differs in a way that a person must decide about; what the database answers.
pub(super) async fn push(runtime: &Runtime, args: Args) -> Result<()> {
    let db = runtime.db();
    let mut settings = if args.dry_run { PushSettings::plan() } else { PushSettings::apply() };
    (settings.prune, settings.shard, settings.rebuild) = (args.prune, args.shard, args.rebuild);
    if !args.dry_run {
        // Building takes its time: each step is named before it begins.
        settings.progress = Some(Arc::new(|step| console::progress(&line(step))));
    }
    let plan = db.adapter().push_with(db.name(), db.catalog(), &settings).await?;
    console::out(&if args.json {
        serde_json::to_string_pretty(&plan)?
    } else {
        describe(&plan, args.dry_run)
    });
    match plan.count(PushAction::Conflict) {
        0 => Ok(()),
        conflicts => Err(Error::conflict(format!(
            "{conflicts} parts of the schema differ from their declaration and were left alone; the plan says what to do"
        ))),
    }
}

/// The plan without what stays as it is, and a line that sums up.
pub(super) fn describe(plan: &PushPlan, dry_run: bool) -> String {
    let mut text = String::new();
    for step in plan.steps.iter().filter(|step| step.action != PushAction::Keep) {
        text.push_str(&line(step));
        text.push('\n');
    }
    let changes = plan.steps.iter().filter(|step| step.action.changes()).count();
    let verb = if dry_run { "to change" } else { "changed" };
    let kept = plan.count(PushAction::Keep) + plan.count(PushAction::Adopt);
    let _ = write!(text, "{changes} {verb}, {kept} as declared");
    text
}

fn line(step: &PushStep) -> String {
    let action = match step.action {
        PushAction::Adopt => "adopt",
        PushAction::Create => "create",
        PushAction::Modify => "modify",
        PushAction::Rebuild => "rebuild",
        PushAction::Conflict => "CONFLICT",
        PushAction::Skip => "skip",
        PushAction::Extra => "extra",
        PushAction::Hide => "hide",
        PushAction::Drop => "drop",
        _ => "keep",
    };
    let note = step.note.as_ref().map_or(String::new(), |note| format!("  ({note})"));
    format!("{action:<9}{}.{}{note}", step.collection, step.index)
}
