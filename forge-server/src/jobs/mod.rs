//! Durable scheduling: mutations that run later, kept in the database, run by one process among many.

mod cron;
mod job;
mod machine;
mod report;
mod runner;
#[cfg(test)]
mod simulation;
mod store;
mod strangers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use forge_core::handler::HandlerKind;
use forge_core::schedule::{Later, Scheduler};
use forge_core::{DateTime, Db, Result, Runtime};
use forge_macros::Model;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use cron::Crons;
pub use job::{Job, JobState};
use machine::Config;
pub(crate) use report::report;
use runner::Runner;
use store::Names;
use strangers::Strangers;

use crate::gates::Gates;
use crate::metrics::Metrics;

/// How often the databases that have jobs are looked up.
const LEARN: Duration = Duration::from_secs(60);

/// A database that has jobs, as the default database of the program knows it.
#[derive(Debug, Clone, Model)]
#[model(crate = "forge_core", collection = "forge_job_databases")]
pub struct JobDatabase {
    /// Its name.
    #[model(id)]
    pub name: String,
}

/// Keeps jobs in the database of the request that schedules them, and runs those of every database that has any.
#[derive(Clone)]
pub(crate) struct Jobs(Arc<Shared>);

struct Shared {
    config: Config,
    metrics: Metrics,
    stop: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What jobs run with; none before [`Jobs::start`].
    runtime: Option<Runtime>,
    /// How many calls of a mutation run at a time; none before [`Jobs::start`].
    gates: Option<Gates>,
    /// Who is told of new jobs of a database.
    runners: HashMap<String, mpsc::UnboundedSender<DateTime>>,
    tasks: JoinSet<()>,
}

impl Jobs {
    /// A scheduler that runs nothing yet, and `jobs` at a time once it does, each held for `lease` at a time.
    pub(crate) fn new(jobs: usize, lease: Duration, metrics: Metrics) -> Self {
        // A process runs what it scheduled itself without looking: what looks find are the jobs of others that died.
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX).max(100);
        let config = Config { capacity: jobs, lease, poll: lease / 3 };
        let (stop, state) = (watch::Sender::new(false), Mutex::default());
        Self(Arc::new(Shared { config, metrics, stop, state }))
    }

    /// Runs the jobs of the program's databases from now on.
    ///
    /// # Errors
    /// `internal` where a cron expression is not right.
    pub(crate) fn start(&self, runtime: Runtime, gates: Gates) -> Result<()> {
        let crons = Crons::collect(runtime.registry())?;
        let db = runtime.db().clone();
        {
            let mut state = self.state();
            (state.runtime, state.gates) = (Some(runtime), Some(gates));
        }
        self.follow(db.name(), crons);
        let (jobs, stop) = (self.clone(), self.0.stop.subscribe());
        self.state().tasks.spawn(async move { jobs.learn(&db, stop).await });
        Ok(())
    }

    /// Takes no more jobs, and waits for those that run. What runs when this is dropped is stopped: another process, or
    /// the next start, runs it again.
    pub(crate) async fn stop(&self) {
        self.0.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut self.state().tasks);
        while tasks.join_next().await.is_some() {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the jobs of a database, unless that is done already.
    fn follow(&self, database: &str, crons: Crons) {
        let mut state = self.state();
        let (Some(runtime), Some(gates)) = (state.runtime.clone(), state.gates.clone()) else { return };
        if state.runners.contains_key(database) || *self.0.stop.borrow() {
            return;
        }
        let (sender, scheduled) = mpsc::unbounded_channel();
        state.runners.insert(database.to_owned(), sender);
        let db = runtime.db().database(database);
        let owner = db.env().uuid().to_string();
        let known = mutations(&runtime);
        let (strangers, metrics) = (Strangers::default(), self.0.metrics.clone());
        let runner = Runner { runtime, gates, db, owner, crons, known, strangers, metrics };
        state.tasks.spawn(runner.run(self.0.config.clone(), scheduled, self.0.stop.subscribe()));
    }

    /// Finds the databases that other processes, or earlier ones, scheduled jobs in.
    async fn learn(&self, db: &Db, mut stop: watch::Receiver<bool>) {
        loop {
            match db.find::<JobDatabase>().await {
                Ok(known) => known.iter().for_each(|found| self.follow(&found.name, Crons::none())),
                Err(error) => {
                    tracing::warn!(%error, "the databases with jobs could not be read; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LEARN) => {}
                () = runner::stopped(&mut stop) => return,
            }
        }
    }

    /// Has a new job of a database looked for when it is due.
    fn wake(&self, database: &str, due: DateTime) {
        let runner = self.state().runners.get(database).cloned();
        match runner {
            Some(runner) => drop(runner.send(due)),
            None => self.follow(database, Crons::none()),
        }
    }

    /// Lets every process know that a database has jobs, before it has one: whoever dies next, the others find the job.
    /// In a transaction of `db` it is part of that, since engines with one writer could not do it beside.
    async fn announce(&self, db: &Db) -> Result<()> {
        let default = match &*self.state() {
            // Whoever has a runner is the default database, or was read from there, or announced in a commit.
            state if state.runners.contains_key(db.name()) => return Ok(()),
            State { runtime: Some(runtime), .. } if runtime.db().name() != db.name() => {
                runtime.db().name().to_owned()
            }
            _ => return Ok(()),
        };
        let default = db.database(&default);
        // Not left to the duplicate: servers give a transaction up for one.
        if default.get::<JobDatabase>(db.name()).await?.is_none() {
            let name = db.name().to_owned();
            default.insert_many([NewJobDatabase { name }]).skip_duplicates().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Scheduler for Jobs {
    async fn schedule(&self, db: &Db, later: Later) -> Result<String> {
        self.announce(db).await.map_err(|error| error.context("announcing the jobs of a database"))?;
        let job = db.insert(store::new_job(db, later.handler, later.args.get(), later.due)).await?;
        let (jobs, database, due) = (self.clone(), db.name().to_owned(), later.due);
        // Before the commit nobody would find it.
        if db.in_transaction() {
            db.after_commit(move || async move {
                jobs.wake(&database, due);
                Ok(())
            })?;
        } else {
            jobs.wake(&database, due);
        }
        Ok(job.id.to_string())
    }

    async fn cancel(&self, db: &Db, id: &str) -> Result<bool> {
        store::cancel(db, store::parse_id(id)?).await
    }
}

/// The mutations that jobs can run here.
fn mutations(runtime: &Runtime) -> Arc<Names> {
    let mutations = runtime.registry().iter().filter(|handler| handler.kind == HandlerKind::Mutation);
    mutations.map(|handler| handler.name).collect()
}

/// How long to wait after a failed attempt, in milliseconds: 1 s, doubled each time, at most 10 minutes.
fn backoff(attempt: i32) -> i64 {
    const FIRST: i64 = 1_000;
    const LONGEST: i64 = 10 * 60 * 1_000;
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}
