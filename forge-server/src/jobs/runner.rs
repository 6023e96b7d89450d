//! Runs the jobs of one database: performs what the machine asks for.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use forge_core::context::Caller;
use forge_core::handler::HandlerKind;
use forge_core::{DateTime, Db, Error, ErrorCode, Id, Result, Runtime};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::job::Job;
use super::machine::{Action, Candidate, Config, End, Event, Failure, Machine, Moment};
use super::store::{self, Names};
use super::{cron::Crons, strangers::Strangers};
use crate::gates::Gates;
use crate::metrics::Metrics;

type JobId = Id<Job>;
/// What the machine asked for, under way. With the event comes the job that was taken.
type Work = FuturesUnordered<BoxFuture<'static, (Event<JobId>, Option<Job>)>>;

/// The jobs of one database in this process.
pub(super) struct Runner {
    pub(super) runtime: Runtime,
    pub(super) gates: Gates,
    pub(super) db: Db,
    /// Who holds a job.
    pub(super) owner: String,
    pub(super) crons: Crons,
    /// The mutations of the program. Jobs of others are left to other versions of it.
    pub(super) known: Arc<Names>,
    pub(super) strangers: Strangers,
    pub(super) metrics: Metrics,
}

/// How often is looked for jobs that this program cannot run.
const ASK: Duration = Duration::from_secs(60);

struct State {
    machine: Machine<JobId>,
    work: Work,
    /// Jobs that were taken, until they run.
    taken: HashMap<JobId, Job>,
    running: HashMap<JobId, AbortHandle>,
}

impl Runner {
    /// Runs jobs until `stop`, and then those to their end that were begun.
    pub(super) async fn run(
        self,
        config: Config,
        mut scheduled: mpsc::UnboundedReceiver<DateTime>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut state = State {
            machine: Machine::new(config, self.now()),
            work: FuturesUnordered::new(),
            taken: HashMap::new(),
            running: HashMap::new(),
        };
        let mut planting = Instant::now();
        // Not at once: while programs are replaced, the new version is seldom far.
        let mut asking = Instant::now() + ASK;
        let mut stopping = false;
        self.tell(&mut state, Event::Tick);
        while !(stopping && state.machine.is_idle()) {
            let tick = state.machine.next_deadline().map_or(planting, |at| self.instant(at));
            let event = tokio::select! {
                Some((event, job)) = state.work.next() => {
                    state.taken.extend(job.map(|job| (job.id, job)));
                    event
                }
                Some(due) = scheduled.recv() => Event::Scheduled(due.millis()),
                () = sleep_until(planting), if !stopping && !self.crons.is_empty() => {
                    let due = self.plant().await;
                    planting = self.instant(due.millis());
                    Event::Scheduled(due.millis())
                }
                () = sleep_until(asking), if !stopping => {
                    asking = Instant::now() + ASK;
                    let (strangers, db, known) = (self.strangers.clone(), self.db.clone(), self.known.clone());
                    let ask = async move { strangers.ask(&db, &known).await };
                    state.work.push(ask.map(|()| alone(Event::Tick)).boxed());
                    Event::Tick
                }
                () = sleep_until(tick) => Event::Tick,
                () = stopped(&mut stop), if !stopping => {
                    stopping = true;
                    Event::Stop
                }
            };
            self.tell(&mut state, event);
        }
    }

    fn now(&self) -> Moment {
        self.db.env().now().millis()
    }

    fn instant(&self, at: Moment) -> Instant {
        let wait = u64::try_from(at.saturating_sub(self.now())).unwrap_or(0);
        // A deadline that the clock rounds down would be asked for over and over.
        Instant::now() + Duration::from_millis(wait.clamp(1, 60_000))
    }

    async fn plant(&self) -> DateTime {
        let now = self.db.env().now();
        match self.crons.plant(&self.db).await {
            Ok(next) => next.unwrap_or(now.saturating_add(Duration::from_secs(60))),
            Err(error) => {
                tracing::warn!(%error, "the next cron jobs could not be scheduled; trying again");
                now.saturating_add(Duration::from_secs(5))
            }
        }
    }

    fn tell(&self, state: &mut State, event: Event<JobId>) {
        if let Event::Ran { id, .. } = &event {
            state.running.remove(id);
        }
        for action in state.machine.handle(self.now(), event) {
            self.perform(state, action);
        }
    }

    fn perform(&self, state: &mut State, action: Action<JobId>) {
        let db = self.db.clone();
        let work = match action {
            Action::Look { limit } => look(db, self.known.clone(), limit).map(alone).boxed(),
            Action::Take { job, until } => take(db, job, self.owner.clone(), until).boxed(),
            Action::Run { id, attempt } => match state.taken.remove(&id) {
                Some(job) => self.begin(state, job, attempt).map(alone).boxed(),
                None => return,
            },
            Action::Renew { id, attempt, until } => renew(db, id, attempt, until).map(alone).boxed(),
            Action::Record { id, attempt, end } => record(db, id, attempt, end).map(alone).boxed(),
            Action::Abandon { id } => {
                tracing::warn!(%id, "a job was taken over by another process and is stopped here");
                if let Some(task) = state.running.remove(&id) {
                    task.abort();
                }
                return;
            }
        };
        state.work.push(work);
    }

    /// Runs a job in a task of its own, so that none delays another.
    fn begin(&self, state: &mut State, job: Job, attempt: i32) -> impl Future<Output = Event<JobId>> + use<> {
        let id = job.id;
        let late = u64::try_from(self.now().saturating_sub(job.due.millis())).unwrap_or(0);
        let mut running = self.metrics.runs_job(&job.handler, Duration::from_millis(late));
        let gates = self.gates.clone();
        let handler = job.handler.clone();
        let attempt = run(self.runtime.clone(), self.db.clone(), job, attempt);
        let task = tokio::spawn(async move {
            let _turn = gates.wait(&handler).await;
            let outcome = attempt.await;
            running.ends(outcome.is_ok());
            outcome
        });
        state.running.insert(id, task.abort_handle());
        async move {
            let outcome = task.await.unwrap_or_else(|stopped| {
                Err(Failure { message: format!("the run was cut off: {stopped}"), retry: true })
            });
            Event::Ran { id, outcome }
        }
    }
}

pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Where nobody is left to say so, it is the end as well.
    drop(stop.wait_for(|stop| *stop).await);
}

fn alone(event: Event<JobId>) -> (Event<JobId>, Option<Job>) {
    (event, None)
}

async fn look(db: Db, known: Arc<Names>, limit: usize) -> Event<JobId> {
    match store::look(&db, &known, limit).await {
        Ok(jobs) => Event::Found(jobs),
        Err(error) => {
            tracing::warn!(%error, "the jobs could not be read; trying again");
            Event::Blind
        }
    }
}

async fn take(db: Db, job: Candidate<JobId>, owner: String, until: Moment) -> (Event<JobId>, Option<Job>) {
    let taken = store::take(&db, &job, &owner, until).await.unwrap_or_else(|error| {
        tracing::warn!(%error, id = %job.id, "a job could not be taken");
        None
    });
    let max_attempts = taken.as_ref().map_or(0, |job| job.max_attempts);
    (Event::Taken { id: job.id, ours: taken.is_some(), max_attempts }, taken)
}

async fn renew(db: Db, id: JobId, attempt: i32, until: Moment) -> Event<JobId> {
    let ours = store::renew(&db, id, attempt, until).await.unwrap_or_else(|error| {
        // It is ours until the lease ends; the next renewal may get through.
        tracing::warn!(%error, %id, "the lease of a job could not be renewed");
        true
    });
    Event::Renewed { id, ours }
}

async fn record(db: Db, id: JobId, attempt: i32, end: End) -> Event<JobId> {
    match &end {
        End::Failed { error } => tracing::error!(%id, attempt, error, "a job failed for good"),
        End::Retry { error, .. } => tracing::warn!(%id, attempt, error, "a job failed and is tried again"),
    }
    if let Err(error) = store::fail(&db, id, attempt, &end).await {
        tracing::warn!(%error, %id, "the end of a job could not be written; it runs again when its lease ends");
    }
    Event::Tick
}

/// One attempt: the handler and the mark that it is done, in one transaction where the handler has one.
async fn run(runtime: Runtime, db: Db, job: Job, attempt: i32) -> Result<(), Failure> {
    let id = job.id;
    let done = move |db: Db| async move {
        match store::done(&db, id, attempt).await? {
            true => Ok(()),
            false => Err(Error::conflict("another process took the job over")),
        }
    };
    let args = serde_json::value::RawValue::from_string(job.args)
        .map_err(|error| Failure { message: format!("the arguments are not JSON: {error}"), retry: false })?;
    let caller = Caller { database: Some(db.name().into()), ..Caller::default() };
    let work = AssertUnwindSafe(runtime.scheduled(&job.handler, args, caller, done)).catch_unwind();
    match in_time(&runtime, &job.handler, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure { retry: may_go_better(&error), message: error.to_string() }),
        Err(_) => Err(Failure { message: "the handler panicked".to_owned(), retry: true }),
    }
}

/// What `work` answers, where the mutation has no deadline of its own or keeps to it. One with a transaction sees to that
/// itself, and is undone.
async fn in_time<T>(
    runtime: &Runtime,
    name: &str,
    work: impl Future<Output = std::thread::Result<Result<T>>>,
) -> std::thread::Result<Result<T>> {
    let handler = runtime.registry().any(HandlerKind::Mutation, name).ok();
    let deadline = handler.filter(|handler| !handler.transaction).and_then(|handler| handler.limits.deadline);
    let Some(deadline) = deadline else { return work.await };
    let late = || {
        Error::timeout(format!(
            "the mutation {name} took longer than {} s and was cut off",
            deadline.as_secs_f32()
        ))
    };
    timeout(deadline, work).await.unwrap_or_else(|_| Ok(Err(late())))
}

/// Whether the same call can succeed later. What is wrong with the call itself stays wrong.
fn may_go_better(error: &Error) -> bool {
    let code = error.code();
    ![ErrorCode::BadRequest, ErrorCode::Validation, ErrorCode::Unsupported, ErrorCode::NotFound]
        .contains(&code)
}
