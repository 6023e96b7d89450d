//! Jobs in a database. Every change is a compare-and-set on the attempt, so that processes cannot get in each other's way.

use std::time::Duration;

use forge_core::DateTime;
use forge_core::query::{Update, count};
use forge_core::{Db, Error, ErrorCode, Id, Model, Result};

use super::job::{Job, JobState, NewJob};
use super::machine::{Candidate, End, Moment};

type Fields = <Job as Model>::Fields;

/// How often a job is tried.
const MAX_ATTEMPTS: i32 = 10;
/// The longest that counting may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// The longest error text that is kept, in bytes.
const MAX_ERROR: usize = 2_000;

/// A job as it is scheduled.
pub(super) fn new_job(db: &Db, handler: &str, args: &str, due: DateTime) -> NewJob {
    NewJob {
        id: None,
        handler: handler.to_owned(),
        args: Some(args.to_owned()),
        state: JobState::Waiting,
        due,
        attempts: None,
        max_attempts: MAX_ATTEMPTS,
        owner: None,
        lease: None,
        error: None,
        key: None,
        scheduled: db.env().now(),
        ended: None,
    }
}

/// The names of mutations.
pub(super) type Names = [&'static str];

/// The jobs that are free first, of the mutations `known`.
pub(super) async fn look(db: &Db, known: &Names, limit: usize) -> Result<Vec<Candidate<Id<Job>>>> {
    let limit = limit as u64;
    let of = |state| move |j: &'static Fields| j.state.eq(state) & j.handler.is_in(known.iter().copied());
    let waiting = db.find::<Job>().filter(of(JobState::Waiting)).sort(|j| j.due.asc()).limit(limit);
    let running = db.find::<Job>().filter(of(JobState::Running)).sort(|j| j.lease.asc()).limit(limit);
    let mut jobs: Vec<_> = waiting.await?.iter().chain(&running.await?).map(candidate).collect();
    jobs.sort_by_key(|job| job.free_at);
    Ok(jobs)
}

/// How many jobs of a mutation wait for their turn, and since when the first was due.
pub(super) struct Overdue {
    pub(super) handler: String,
    pub(super) jobs: i64,
    pub(super) oldest: DateTime,
}

/// The jobs that are due, of mutations that are not `known`.
pub(super) async fn strangers(db: &Db, known: &Names) -> Result<Vec<Overdue>> {
    let now = db.env().now();
    let due = db
        .group_by::<Job, _>(|j| j.handler)
        .filter(|j| j.state.eq(JobState::Waiting) & j.due.lte(now) & j.handler.not_in(known.iter().copied()));
    let due = due.select(|j| (count(), j.due.smallest())).max_time(PATIENCE).await?;
    let overdue = |(handler, (jobs, oldest)): (_, (_, Option<_>))| Overdue {
        handler,
        jobs,
        oldest: oldest.unwrap_or(now),
    };
    Ok(due.into_iter().map(overdue).collect())
}

fn candidate(job: &Job) -> Candidate<Id<Job>> {
    let free_at = if job.state == JobState::Running { job.lease.unwrap_or(job.due) } else { job.due };
    Candidate { id: job.id, attempts: job.attempts, free_at: free_at.millis() }
}

/// Takes a job if it is as it was.
pub(super) async fn take(
    db: &Db,
    job: &Candidate<Id<Job>>,
    owner: &str,
    until: Moment,
) -> Result<Option<Job>> {
    let free_at = DateTime::from_millis(job.free_at);
    let free = move |j: &'static Fields| {
        let waiting = j.state.eq(JobState::Waiting) & j.due.eq(free_at);
        let left = j.state.eq(JobState::Running) & j.lease.eq(free_at);
        j.attempts.eq(job.attempts) & (waiting | left)
    };
    let update = db.update::<Job>(job.id).filter(free);
    let update = update.set(|j| j.state, JobState::Running).set(|j| j.owner, owner);
    found(update.set(|j| j.lease, DateTime::from_millis(until)).inc(|j| j.attempts, 1).await)
}

/// Holds a job longer; `false` where it is somebody else's.
pub(super) async fn renew(db: &Db, id: Id<Job>, attempt: i32, until: Moment) -> Result<bool> {
    let update = db.update::<Job>(id).filter(move |j| j.attempts.eq(attempt) & j.state.eq(JobState::Running));
    found(update.set(|j| j.lease, DateTime::from_millis(until)).await).map(|job| job.is_some())
}

/// Writes down that a run succeeded; `false` where the job is somebody else's.
pub(super) async fn done(db: &Db, id: Id<Job>, attempt: i32) -> Result<bool> {
    let update = let_go(db, id, attempt).set(|j| j.state, JobState::Done).unset(|j| j.error);
    found(update.set(|j| j.ended, db.env().now()).await).map(|job| job.is_some())
}

/// Writes down how a run failed; `false` where the job is somebody else's.
pub(super) async fn fail(db: &Db, id: Id<Job>, attempt: i32, end: &End) -> Result<bool> {
    let update = let_go(db, id, attempt);
    let update = match end {
        End::Retry { due, error } => update
            .set(|j| j.state, JobState::Waiting)
            .set(|j| j.due, DateTime::from_millis(*due))
            .set(|j| j.error, shortened(error)),
        End::Failed { error } => update
            .set(|j| j.state, JobState::Failed)
            .set(|j| j.ended, db.env().now())
            .set(|j| j.error, shortened(error)),
    };
    found(update.await).map(|job| job.is_some())
}

/// The end of holding a job, where it is still held.
fn let_go(db: &Db, id: Id<Job>, attempt: i32) -> Update<Job> {
    let held = move |j: &'static Fields| j.attempts.eq(attempt) & j.state.eq(JobState::Running);
    db.update::<Job>(id).filter(held).unset(|j| j.owner).unset(|j| j.lease)
}

/// Forgets a job that was not begun.
pub(super) async fn cancel(db: &Db, id: Id<Job>) -> Result<bool> {
    let waiting = db.delete_many::<Job>().filter(move |j| j.id.eq(id) & j.state.eq(JobState::Waiting));
    Ok(waiting.await? > 0)
}

fn found(result: Result<Job>) -> Result<Option<Job>> {
    match result {
        Ok(job) => Ok(Some(job)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn shortened(error: &str) -> String {
    let end = (0..=MAX_ERROR.min(error.len())).rev().find(|end| error.is_char_boundary(*end)).unwrap_or(0);
    error[..end].to_owned()
}

/// The id that a client or a handler wrote.
pub(super) fn parse_id(id: &str) -> Result<Id<Job>> {
    id.parse().map_err(|_| {
        Error::bad_request(format!("`{}` is not the id of a job", id.chars().take(64).collect::<String>()))
    })
}
