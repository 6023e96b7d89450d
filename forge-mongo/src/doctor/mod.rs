//! Doctor: what a person should know about a deployment.

mod indexes;

use bson::{Bson, Document, doc};
use forge_core::adapter::{Finding, PushAction, PushKind, PushSettings, PushStep, Severity};
use forge_core::{Catalog, DateTime, ErrorCode, Result};

use crate::artifact::{Command, MongoArtifact, Reply};
use crate::driver::Driver;
use crate::push;
use crate::push::shards::is_mongos;
use crate::scans::{SCANS, ScanLog};

/// Clocks further apart than this make times of documents surprising, in milliseconds.
const SKEW_WARNING: i64 = 2_000;
/// Clocks further apart than this make tokens and expiries wrong, in milliseconds.
const SKEW_ERROR: i64 = 60_000;
/// The oldest major version of the server that still gets fixes.
const OLDEST_SUPPORTED: u32 = 7;

/// Looks at everything; nothing that the user may not ask for is an error.
pub(crate) async fn examine(
    driver: &dyn Driver,
    database: &str,
    catalog: &Catalog,
    scans: &ScanLog,
    now: DateTime,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    topology(driver, &mut findings).await?;
    clock(driver, now, &mut findings).await?;
    let plan = push::push(driver, database, catalog, &PushSettings::plan()).await?;
    findings.extend(plan.steps.iter().filter_map(drift));
    indexes::examine(driver, database, catalog, now, &mut findings).await?;
    seen(driver, database, scans, &mut findings).await?;
    if catalog.models().iter().any(|model| model.shard_key.is_some()) && !is_mongos(driver).await? {
        let message = "models have shard keys, and the server is not a mongos of a sharded cluster";
        findings.push(Finding::new(Severity::Info, "sharding", message));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

async fn topology(driver: &dyn Driver, findings: &mut Vec<Finding>) -> Result<()> {
    let capabilities = driver.capabilities();
    if !capabilities.transactions || !capabilities.change_streams {
        let message =
            "the server has no transactions or no change streams: live queries and transactions do not work";
        findings.push(Finding::new(Severity::Error, "topology", message).advise(
            "run it as a replica set, of one member at least: `mongod --replSet rs0`, then `rs.initiate()` once in mongosh",
        ));
    }
    let Some(build) = asked(driver, "admin", &doc! { "buildInfo": 1 }).await? else { return Ok(()) };
    let version = build.get_str("version").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < OLDEST_SUPPORTED) && !build.contains_key("secantusVersion") {
        let message = format!("the server has version {version}, which gets no fixes any more");
        let advice = format!("upgrade it to {OLDEST_SUPPORTED}.0 or later");
        findings.push(Finding::new(Severity::Warning, "version", message).advise(advice));
    }
    Ok(())
}

async fn clock(driver: &dyn Driver, now: DateTime, findings: &mut Vec<Finding>) -> Result<()> {
    let Some(hello) = asked(driver, "admin", &doc! { "hello": 1 }).await? else { return Ok(()) };
    let Some(Bson::DateTime(there)) = hello.get("localTime") else { return Ok(()) };
    let apart = there.timestamp_millis().saturating_sub(now.millis());
    let severity = match apart.abs() {
        skew if skew >= SKEW_ERROR => Severity::Error,
        skew if skew >= SKEW_WARNING => Severity::Warning,
        _ => return Ok(()),
    };
    let side = if apart > 0 { "ahead of" } else { "behind" };
    let message = format!("the clock of the server is {} ms {side} the one of this machine", apart.abs());
    findings.push(Finding::new(severity, "clock", message).advise("keep both by NTP"));
    Ok(())
}

/// A step of the plan as a finding; none for what is as declared.
fn drift(step: &PushStep) -> Option<Finding> {
    let topic = match step.kind {
        PushKind::Index | PushKind::SearchIndex => "indexes",
        PushKind::Validator => "validators",
        PushKind::View => "views",
        PushKind::ShardKey => "sharding",
        _ => "schema",
    };
    let what = format!("{} {}", step.collection, step.index);
    let (severity, state, advice) = match step.action {
        PushAction::Create => (Severity::Warning, "is declared and missing", Some("run `push`")),
        PushAction::Rebuild | PushAction::Modify => {
            (Severity::Warning, "differs from its declaration", Some("run `push`"))
        }
        PushAction::Conflict => (Severity::Error, "is in conflict with its declaration", None),
        PushAction::Skip => (Severity::Info, "cannot be here", None),
        PushAction::Extra | PushAction::Hide | PushAction::Drop => (
            Severity::Info,
            "is declared by no model",
            Some("`push --prune` hides it, and drops it the next time"),
        ),
        _ => return None,
    };
    let note = step.note.as_ref().map_or(String::new(), |note| format!(": {note}"));
    let finding = Finding::new(severity, topic, format!("{what} {state}{note}"));
    Some(match advice {
        Some(advice) => finding.advise(advice),
        None => finding,
    })
}

/// What queries were seen to do: by this process, and by others that keep their log in the database.
async fn seen(
    driver: &dyn Driver,
    database: &str,
    scans: &ScanLog,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    findings.extend(scans.findings());
    let find =
        Command::Find { filter: Document::new(), projection: None, sort: None, skip: None, limit: Some(500) };
    let answer = driver.run(database, MongoArtifact::new(SCANS, find).into(), None).await;
    let documents = match answer {
        Ok((Reply::Documents(documents), _)) => documents,
        Ok(_) => return Ok(()),
        Err(error) if is_forbidden(error.code()) => return Ok(()),
        Err(error) => return Err(error),
    };
    for document in &documents {
        let finding = ScanLog::finding(&Document::try_from(document)?);
        if let Some(finding) = finding.filter(|finding| !findings.contains(finding)) {
            findings.push(finding);
        }
    }
    Ok(())
}

/// The answer to a command; none where the server has none such, or the user may not ask.
async fn asked(driver: &dyn Driver, database: &str, command: &Document) -> Result<Option<Document>> {
    match driver.admin(database, command).await {
        Ok(reply) => Ok(Some(reply)),
        Err(error) if is_forbidden(error.code()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_forbidden(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Forbidden | ErrorCode::Unsupported | ErrorCode::BadRequest | ErrorCode::Conflict
    )
}
