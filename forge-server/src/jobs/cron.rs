//! Jobs that come round: the next one of each is always in the database, once for all processes.

use std::str::FromStr as _;

use chrono::{DateTime as Date, Utc};
use croner::Cron;
use forge_core::handler::HandlerDef;
use forge_core::{DateTime, Db, Error, Registry, Result};

use super::job::{Job, JobState};
use super::store;

/// The mutations with a `cron` expression, and when they run. Times are UTC.
#[derive(Debug, Clone)]
pub(super) struct Crons(Vec<(&'static HandlerDef, Cron)>);

impl Crons {
    /// Reads the expressions of all handlers.
    ///
    /// # Errors
    /// `internal`, naming the handler whose expression is not right or never comes.
    pub(super) fn collect(registry: &Registry) -> Result<Self> {
        let mut crons = Vec::new();
        for handler in registry.iter() {
            let Some(expression) = handler.cron else { continue };
            let wrong = |why: &dyn std::fmt::Display| {
                Error::internal(format!(
                    "the cron expression \"{expression}\" of {} is not right: {why}; write minute, hour, day of the \
                     month, month and day of the week, as in \"30 3 * * 1\"",
                    handler.name
                ))
            };
            let cron = Cron::from_str(expression).map_err(|error| wrong(&error))?;
            crons.push((handler, cron));
        }
        Ok(Self(crons))
    }

    /// Of databases where nothing comes round.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes sure that the next job of each is there. Answers with when to do so again.
    ///
    /// # Errors
    /// What the database answers.
    pub(super) async fn plant(&self, db: &Db) -> Result<Option<DateTime>> {
        let now = db.env().now();
        let mut again: Option<DateTime> = None;
        for (handler, cron) in &self.0 {
            let Some(due) = next(cron, now) else { continue };
            let (key, name) = (format!("cron:{}:{}", handler.name, due.millis()), handler.name);
            // A job that an older expression left behind, or that a clock put far off. One that was begun stays, however
            // late its next attempt is: the job of another time does not make up for it.
            let stale = db.delete_many::<Job>().filter(move |j| {
                j.handler.eq(name)
                    & j.state.eq(JobState::Waiting)
                    & j.key.starts_with("cron:")
                    & j.due.gt(due)
                    & j.attempts.eq(0)
            });
            stale.await?;
            let mut job = store::new_job(db, handler.name, "{}", due);
            job.key = Some(key);
            db.insert_many([job]).skip_duplicates().await?;
            again = Some(again.map_or(due, |at| at.min(due)));
        }
        Ok(again)
    }
}

/// The first time after `now`.
fn next(cron: &Cron, now: DateTime) -> Option<DateTime> {
    let now = Date::<Utc>::from_timestamp_millis(now.millis())?;
    let next = cron.find_next_occurrence(&now, false).ok()?;
    Some(DateTime::from_millis(next.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_after_now_in_utc() {
        let cron = Cron::from_str("30 3 * * 1").unwrap();
        let monday: DateTime = "2026-03-02T03:30:00.000Z".parse().unwrap();
        let before = DateTime::from_millis(monday.millis() - 1);
        assert_eq!(next(&cron, before), Some(monday));
        let week = DateTime::from_millis(monday.millis() + 7 * 24 * 3_600_000);
        assert_eq!(next(&cron, monday), Some(week));
    }
}
