//! Which jobs this process runs, and when: events in, actions out, time passed in. It does no IO.
//!
//! Jobs are documents that every process sees. A process takes one by a compare-and-set on what it read of it, and holds
//! it for a lease that it renews while the job runs. A lease that ran out (the process died, or was cut off) makes the
//! job free again, so a job runs at least once; it runs exactly once where its handler is in a transaction, since the
//! end is recorded in the same one, under the same compare-and-set.
//!
//! What holds after every event:
//! - At most [`Config::capacity`] jobs are being taken or run.
//! - A job that was lost to another process is given up; its end is not recorded.
//! - While there is room, a look is under way or a time is set for the next.

use std::collections::BTreeMap;

use super::backoff;

/// Milliseconds since the epoch.
pub(super) type Moment = i64;

/// The times and bounds of a [`Machine`].
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// Jobs that run at the same time.
    pub(super) capacity: usize,
    /// How long a job is held without a renewal, in milliseconds.
    pub(super) lease: i64,
    /// The longest time between two looks, in milliseconds: what other processes schedule is found by looking.
    pub(super) poll: i64,
}

/// What a look finds of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate<I> {
    /// Its id.
    pub(super) id: I,
    /// How often it was taken: part of the compare-and-set.
    pub(super) attempts: i32,
    /// When it may be taken: when it is due or, of a job that somebody holds, when the lease ends.
    pub(super) free_at: Moment,
}

/// How a run that did not succeed ended. The end of success is written by the run itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It failed, and is tried again after this.
    Retry {
        /// When.
        due: Moment,
        /// Why it failed.
        error: String,
    },
    /// It failed for good.
    Failed {
        /// Why.
        error: String,
    },
}

/// What happens to a [`Machine`].
#[derive(Debug)]
pub(super) enum Event<I> {
    /// Time went by.
    Tick,
    /// Somebody in this process scheduled a job for this time.
    Scheduled(Moment),
    /// A look ended: the jobs that are free first, in that order, up to the number asked for.
    Found(Vec<Candidate<I>>),
    /// A look failed.
    Blind,
    /// An attempt to take a job ended; with `false` somebody else was faster.
    Taken { id: I, ours: bool, max_attempts: i32 },
    /// The renewal of a lease ended; with `false` the job is somebody else's.
    Renewed { id: I, ours: bool },
    /// A run ended.
    Ran { id: I, outcome: Result<(), Failure> },
    /// No more jobs are taken.
    Stop,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The message.
    pub(super) message: String,
    /// Whether another attempt can go better.
    pub(super) retry: bool,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action<I> {
    /// Read the jobs that are free first, at most this many; answer with [`Event::Found`] or [`Event::Blind`].
    Look { limit: usize },
    /// Take a job if it is as it was; answer with [`Event::Taken`].
    Take { job: Candidate<I>, until: Moment },
    /// Run a job that was taken; answer with [`Event::Ran`].
    Run { id: I, attempt: i32 },
    /// Hold a job longer; answer with [`Event::Renewed`].
    Renew { id: I, attempt: i32, until: Moment },
    /// Write down how a run ended, if the job is still ours.
    Record { id: I, attempt: i32, end: End },
    /// Stop a run: the job is somebody else's.
    Abandon { id: I },
}

#[derive(Debug)]
struct Held {
    attempt: i32,
    max_attempts: i32,
    running: bool,
    renewing: bool,
    renew_at: Moment,
}

/// The jobs of one process.
#[derive(Debug)]
pub(super) struct Machine<I> {
    config: Config,
    now: Moment,
    held: BTreeMap<I, Held>,
    looking: bool,
    /// Something was scheduled for this time while a look was under way, which may not have seen it.
    missed: Option<Moment>,
    look_at: Moment,
    stopping: bool,
    actions: Vec<Action<I>>,
}

impl<I: Ord + Clone> Machine<I> {
    /// A machine that looks at once.
    pub(super) fn new(config: Config, now: Moment) -> Self {
        Self {
            config,
            now,
            held: BTreeMap::new(),
            looking: false,
            missed: None,
            look_at: now,
            stopping: false,
            actions: Vec::new(),
        }
    }

    /// Takes note of `event` at `now` and says what to do. A clock that goes back stands still.
    pub(super) fn handle(&mut self, now: Moment, event: Event<I>) -> Vec<Action<I>> {
        self.now = self.now.max(now);
        match event {
            Event::Tick => {}
            Event::Scheduled(due) if self.looking => {
                self.missed = Some(self.missed.map_or(due, |at| at.min(due)));
            }
            Event::Scheduled(due) => self.look_at = self.look_at.min(due),
            Event::Found(jobs) => self.found(jobs),
            Event::Blind => {
                self.looking = false;
                self.look_at = self.now + self.config.poll;
            }
            Event::Taken { id, ours, max_attempts } => self.taken(id, ours, max_attempts),
            Event::Renewed { id, ours } => self.renewed(id, ours),
            Event::Ran { id, outcome } => self.ran(id, outcome),
            Event::Stop => self.stopping = true,
        }
        self.renew();
        self.look();
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let renewals =
            self.held.values().filter(|held| held.running && !held.renewing).map(|held| held.renew_at);
        let look = (!self.stopping && !self.looking && self.room() > 0).then_some(self.look_at);
        renewals.chain(look).min()
    }

    /// Whether no job is held.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    fn room(&self) -> usize {
        self.config.capacity.saturating_sub(self.held.len())
    }

    fn look(&mut self) {
        let limit = self.room();
        if self.stopping || self.looking || limit == 0 || self.look_at > self.now {
            return;
        }
        self.looking = true;
        self.actions.push(Action::Look { limit });
    }

    fn found(&mut self, jobs: Vec<Candidate<I>>) {
        self.looking = false;
        self.look_at = self.now + self.config.poll;
        if let Some(due) = self.missed.take() {
            self.look_at = self.look_at.min(due);
        }
        if self.stopping {
            return;
        }
        for job in jobs {
            if job.free_at > self.now {
                self.look_at = self.look_at.min(job.free_at);
                continue;
            }
            if self.held.contains_key(&job.id) || self.room() == 0 {
                continue;
            }
            let until = self.now + self.config.lease;
            let attempt = job.attempts.saturating_add(1);
            let held =
                Held { attempt, max_attempts: 0, running: false, renewing: false, renew_at: Moment::MAX };
            self.held.insert(job.id.clone(), held);
            self.actions.push(Action::Take { job, until });
        }
    }

    fn taken(&mut self, id: I, ours: bool, max_attempts: i32) {
        let renew_at = self.now + self.config.lease / 3;
        // There may be more than the look had room for.
        self.look_at = self.look_at.min(self.now);
        let Some(held) = self.held.get_mut(&id) else { return };
        if !ours {
            self.held.remove(&id);
            return;
        }
        (held.running, held.renew_at, held.max_attempts) = (true, renew_at, max_attempts);
        let attempt = held.attempt;
        if attempt > max_attempts {
            // Whoever ran it last died of it, or with it.
            self.held.remove(&id);
            let error = format!("it was begun {max_attempts} times and never ended");
            self.actions.push(Action::Record { id, attempt, end: End::Failed { error } });
            return;
        }
        self.actions.push(Action::Run { id, attempt });
    }

    fn renew(&mut self) {
        let until = self.now + self.config.lease;
        for (id, held) in &mut self.held {
            if held.running && !held.renewing && held.renew_at <= self.now {
                held.renewing = true;
                self.actions.push(Action::Renew { id: id.clone(), attempt: held.attempt, until });
            }
        }
    }

    fn renewed(&mut self, id: I, ours: bool) {
        let renew_at = self.now + self.config.lease / 3;
        let Some(held) = self.held.get_mut(&id) else { return };
        (held.renewing, held.renew_at) = (false, renew_at);
        if !ours {
            self.held.remove(&id);
            self.actions.push(Action::Abandon { id });
        }
    }

    fn ran(&mut self, id: I, outcome: Result<(), Failure>) {
        let Some(held) = self.held.remove(&id) else { return };
        self.look_at = self.look_at.min(self.now);
        let Err(Failure { message: error, retry }) = outcome else { return };
        let end = if retry && held.attempt < held.max_attempts {
            End::Retry { due: self.now + backoff(held.attempt), error }
        } else {
            End::Failed { error }
        };
        self.actions.push(Action::Record { id, attempt: held.attempt, end });
    }
}
