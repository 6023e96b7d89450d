//! What a process does to lead, step by step: no IO, one thing at a time.

use std::sync::Arc;
use std::time::Duration;

use forge_core::adapter::{Commit, ResumeToken};

use super::{Place, Record};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to do next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Take or keep the lease: [`Done::Taken`].
    Take,
    /// Open the change feed of the database after this place: [`Done::Opened`] or [`Done::Failed`].
    Open(Option<ResumeToken>),
    /// Wait for the next commit of the open feed, for a third of the lease at most: [`Done::Came`], [`Done::Quiet`] or
    /// [`Done::Failed`].
    Read,
    /// Add a record to the log, if the lease is still held: [`Done::Added`].
    Add(Record),
    /// Close the feed, where it is open, and wait: [`Done::Waited`].
    Wait(Duration),
}

/// How a step ended.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    /// Where the log stands, for who holds the lease; none where another process does.
    Taken(Option<Place>),
    /// The feed is open.
    Opened,
    /// The feed brought a commit.
    Came(Arc<Commit>),
    /// Nothing happened.
    Quiet,
    /// The feed broke, or could not be opened.
    Failed {
        /// Whether the history after the place is gone.
        lost: bool,
        /// Why.
        why: Arc<str>,
    },
    /// The number of the record; none where the lease is not held any more.
    Added(Option<u64>),
    /// Time passed.
    Waited,
    /// The log could not be reached: whether the step was done is not known.
    Unreachable,
}

/// A process that leads where it can.
#[derive(Debug)]
pub(crate) struct Leader {
    /// How long a process that is silent keeps the lease.
    lease: Duration,
    state: State,
    /// The number of the last record, as far as this process knows.
    seq: Option<u64>,
    /// Where the feed goes on.
    token: Option<ResumeToken>,
    pause: Duration,
}

#[derive(Debug, Clone)]
enum State {
    /// It does not lead.
    Standby,
    /// The feed is being opened; `resumed` by a token.
    Opening { resumed: bool },
    /// The feed is open.
    Leading,
    /// A record is being added; the token is the place after it.
    Adding { token: Option<ResumeToken>, then: Then },
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Read,
    Pause,
}

impl Leader {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, state: State::Standby, seq: None, token: None, pause: FIRST_PAUSE }
    }

    /// The first step.
    pub(crate) fn start(&self) -> Step {
        Step::Take
    }

    /// What comes after a step that ended so.
    pub(crate) fn after(&mut self, done: Done) -> Step {
        match (std::mem::replace(&mut self.state, State::Standby), done) {
            (_, Done::Unreachable) => self.pause(),
            (_, Done::Waited) => Step::Take,
            (_, Done::Taken(None)) => Step::Wait(self.lease / 3),
            (State::Leading, Done::Taken(Some(place))) if place.seq == self.seq => {
                self.state = State::Leading;
                Step::Read
            }
            (_, Done::Taken(Some(place))) => self.take_over(place),
            (State::Opening { resumed }, Done::Opened) => {
                let record = if resumed { Record::Up } else { Record::Afresh };
                self.add(record, None, Then::Read)
            }
            (State::Opening { resumed: true }, Done::Failed { lost: true, .. }) => {
                self.token = None;
                self.open()
            }
            // A token of a feed that told nothing before it broke leads nowhere either.
            (State::Leading, Done::Failed { lost: true, .. }) => {
                self.token = None;
                self.open()
            }
            (State::Opening { .. } | State::Leading, Done::Failed { why, .. }) => {
                self.add(Record::Down(why), None, Then::Pause)
            }
            (State::Leading, Done::Came(commit)) => {
                let token = commit.token.clone();
                self.add(Record::Commit(commit), Some(token), Then::Read)
            }
            (State::Leading, Done::Quiet) => {
                self.state = State::Leading;
                Step::Take
            }
            (State::Adding { token, then }, Done::Added(Some(seq))) => {
                self.seq = Some(seq);
                self.token = token.or(self.token.take());
                match then {
                    Then::Pause => self.pause(),
                    Then::Read => {
                        self.pause = FIRST_PAUSE;
                        self.state = State::Leading;
                        Step::Read
                    }
                }
            }
            // Another process leads by now, or something came out of turn.
            _ => Step::Wait(self.lease / 3),
        }
    }

    fn take_over(&mut self, place: Place) -> Step {
        (self.seq, self.token) = (place.seq, place.token);
        self.open()
    }

    fn open(&mut self) -> Step {
        self.state = State::Opening { resumed: self.token.is_some() };
        Step::Open(self.token.clone())
    }

    fn add(&mut self, record: Record, token: Option<ResumeToken>, then: Then) -> Step {
        self.state = State::Adding { token, then };
        Step::Add(record)
    }

    fn pause(&mut self) -> Step {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Step::Wait(pause)
    }
}
