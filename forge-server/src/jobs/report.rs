//! What operators see of jobs.

use std::collections::BTreeMap;

use forge_core::query::count;
use forge_core::{DateTime, Db, Result, Runtime};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::job::{Job, JobState};
use super::store::{Names, PATIENCE};
use super::{JobDatabase, mutations};

/// The most databases that one report tells of.
const MOST: u64 = 100;
/// How many of them are asked at a time.
const AT_ONCE: usize = 4;

/// The jobs of the program's databases.
#[derive(Debug, Serialize)]
pub(crate) struct JobReport {
    /// The default database first, then by name.
    databases: Vec<DatabaseJobs>,
    /// How many databases there was no room for.
    left_out: u64,
}

/// The jobs of one database.
#[derive(Debug, Serialize)]
struct DatabaseJobs {
    database: String,
    handlers: Vec<HandlerJobs>,
}

/// The jobs of one mutation.
#[derive(Debug, Default, Serialize)]
struct HandlerJobs {
    handler: String,
    /// Whether this program has it. It leaves jobs of others alone.
    known: bool,
    /// Jobs that wait, due or not.
    waiting: i64,
    /// Those of them that are due.
    due: i64,
    /// Since when the first of those was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_due: Option<DateTime>,
    /// How long ago that was, in milliseconds.
    late_ms: i64,
    /// When the first of those that are not due will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_due: Option<DateTime>,
    /// Jobs that a process runs, or did and died.
    running: i64,
    /// Jobs that failed for good, of the last seven days.
    failed: i64,
}

/// Counts the jobs of the default database and of those that are known to have jobs.
///
/// # Errors
/// What the database answers.
pub(crate) async fn report(runtime: &Runtime) -> Result<JobReport> {
    let (db, known) = (runtime.db(), mutations(runtime));
    let find = || db.find::<JobDatabase>().filter(|d| d.name.ne(db.name()));
    let others = find().sort(|d| d.name.asc()).limit(MOST).await?;
    let left_out = match others.len() as u64 {
        MOST => find().count().await?.saturating_sub(MOST),
        _ => 0,
    };
    let names = std::iter::once(db.name().to_owned()).chain(others.into_iter().map(|other| other.name));
    let asked = names.map(|name| of_database(db.database(&name), &known));
    let databases = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(JobReport { databases, left_out })
}

async fn of_database(db: Db, known: &Names) -> Result<DatabaseJobs> {
    let now = db.env().now();
    let mut handlers: BTreeMap<String, HandlerJobs> = BTreeMap::new();
    // The many that are done are left out: the others are found by the index of states.
    let open = [JobState::Waiting, JobState::Running, JobState::Failed];
    let counts = db.group_by::<Job, _>(|j| (j.handler, j.state)).filter(|j| j.state.is_in(open));
    for ((handler, state), jobs) in counts.select(|_| count()).max_time(PATIENCE).await? {
        let of = handlers.entry(handler).or_default();
        match state {
            JobState::Waiting => of.waiting = jobs,
            JobState::Running => of.running = jobs,
            JobState::Failed => of.failed = jobs,
            JobState::Done => {}
        }
    }
    let waiting = || db.group_by::<Job, _>(|j| j.handler).filter(|j| j.state.eq(JobState::Waiting));
    let due = waiting().filter(|j| j.due.lte(now)).select(|j| (count(), j.due.smallest()));
    for (handler, (jobs, oldest)) in due.max_time(PATIENCE).await? {
        let of = handlers.entry(handler).or_default();
        (of.due, of.oldest_due) = (jobs, oldest);
        of.late_ms = oldest.map_or(0, |oldest| now.millis().saturating_sub(oldest.millis()));
    }
    let later = waiting().filter(|j| j.due.gt(now)).select(|j| j.due.smallest());
    for (handler, next) in later.max_time(PATIENCE).await? {
        handlers.entry(handler).or_default().next_due = next;
    }
    let named = |(handler, jobs): (String, HandlerJobs)| HandlerJobs {
        known: known.contains(&&*handler),
        handler,
        ..jobs
    };
    let handlers = handlers.into_iter().map(named).collect();
    Ok(DatabaseJobs { database: db.name().to_owned(), handlers })
}
