//! Several processes on one database, with delays at every step, failures and processes that die: every job ends, and
//! what it does happens once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::machine::{Action, Candidate, Config, End, Event, Failure, Machine, Moment};
use crate::testing::interleavings;

const CAPACITY: usize = 2;
const LEASE: Moment = 900;
const MAX_ATTEMPTS: i32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
}

#[derive(Debug, Clone)]
struct Row {
    state: State,
    due: Moment,
    lease: Moment,
    attempts: i32,
    /// How often a run's writes were committed.
    effects: u32,
    /// How many runs fail before one succeeds.
    failures: i32,
}

impl Row {
    fn free_at(&self) -> Option<Moment> {
        match self.state {
            State::Waiting => Some(self.due),
            State::Running => Some(self.lease),
            State::Done | State::Failed => None,
        }
    }
}

/// Something under way: first the database does it, then the process hears of it.
#[derive(Debug)]
struct Flight {
    process: usize,
    life: u32,
    applies: Moment,
    answers: Moment,
    action: Action<u32>,
    answer: Option<Event<u32>>,
}

struct World {
    now: Moment,
    seed: u64,
    rows: BTreeMap<u32, Row>,
    processes: Vec<(u32, Machine<u32>)>,
    flights: Vec<Flight>,
}

impl World {
    fn new(seed: u64, jobs: u32) -> Self {
        let mut world =
            Self { now: 0, seed, rows: BTreeMap::new(), processes: Vec::new(), flights: Vec::new() };
        for id in 0..jobs {
            let due = world.below(3_000);
            let failures = if world.below(4) == 0 { world.below(6) as i32 } else { 0 };
            let row = Row { state: State::Waiting, due, lease: 0, attempts: 0, effects: 0, failures };
            world.rows.insert(id, row);
        }
        for _ in 0..3 {
            let machine = Machine::new(config(), 0);
            world.processes.push((0, machine));
        }
        world
    }

    /// A number below `n` (SplitMix64, as Steele et al. published it in 2014).
    fn below(&mut self, n: u64) -> Moment {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n) as Moment
    }

    fn tell(&mut self, process: usize, event: Event<u32>) {
        let (life, machine) = &mut self.processes[process];
        let life = *life;
        for action in machine.handle(self.now, event) {
            if matches!(action, Action::Abandon { .. }) {
                self.abandon(process, &action);
                continue;
            }
            let applies =
                self.now + self.below(if matches!(action, Action::Run { .. }) { 2_500 } else { 120 });
            let answers = applies + self.below(60);
            self.flights.push(Flight { process, life, applies, answers, action, answer: None });
        }
    }

    /// A run that is abandoned does not end; its transaction is aborted.
    fn abandon(&mut self, process: usize, action: &Action<u32>) {
        let Action::Abandon { id: lost } = action else { return };
        self.flights.retain(|flight| {
            flight.process != process || !matches!(&flight.action, Action::Run { id, .. } if id == lost)
        });
    }

    fn apply(&mut self, action: &Action<u32>) -> Option<Event<u32>> {
        if matches!(action, Action::Look { .. } | Action::Take { .. }) && self.below(20) == 0 {
            return Some(match action {
                Action::Take { job, .. } => Event::Taken { id: job.id, ours: false, max_attempts: 0 },
                _ => Event::Blind,
            });
        }
        match action {
            Action::Look { limit } => {
                let mut jobs: Vec<_> = self
                    .rows
                    .iter()
                    .filter_map(|(id, row)| {
                        Some(Candidate { id: *id, attempts: row.attempts, free_at: row.free_at()? })
                    })
                    .collect();
                jobs.sort_by_key(|job| (job.free_at, job.id));
                jobs.truncate(*limit);
                Some(Event::Found(jobs))
            }
            Action::Take { job, until } => {
                let row = self.rows.get_mut(&job.id).unwrap();
                let ours = row.attempts == job.attempts && row.free_at() == Some(job.free_at);
                if ours {
                    (row.state, row.lease, row.attempts) = (State::Running, *until, job.attempts + 1);
                }
                Some(Event::Taken { id: job.id, ours, max_attempts: MAX_ATTEMPTS })
            }
            Action::Run { id, attempt } => {
                let row = self.rows.get_mut(id).unwrap();
                let outcome = if row.failures >= *attempt {
                    Err(Failure { message: "no".into(), retry: true })
                } else if row.state == State::Running && row.attempts == *attempt {
                    (row.state, row.effects) = (State::Done, row.effects + 1);
                    Ok(())
                } else {
                    Err(Failure { message: "lost".into(), retry: false })
                };
                Some(Event::Ran { id: *id, outcome })
            }
            Action::Renew { id, attempt, until } => {
                let row = self.rows.get_mut(id).unwrap();
                let ours = row.state == State::Running && row.attempts == *attempt;
                if ours {
                    row.lease = *until;
                }
                Some(Event::Renewed { id: *id, ours })
            }
            Action::Record { id, attempt, end } => {
                let row = self.rows.get_mut(id).unwrap();
                if row.state == State::Running && row.attempts == *attempt {
                    match end {
                        End::Retry { due, .. } => (row.state, row.due) = (State::Waiting, *due),
                        End::Failed { .. } => row.state = State::Failed,
                    }
                }
                None
            }
            Action::Abandon { .. } => None,
        }
    }

    /// Goes on to the next moment at which something happens.
    fn step(&mut self) {
        let flights = self.flights.iter().map(|f| if f.answer.is_some() { f.answers } else { f.applies });
        let timers = self.processes.iter().filter_map(|(_, machine)| machine.next_deadline());
        let next = flights.chain(timers).min().unwrap_or(self.now + 1);
        self.now = self.now.max(next) + Moment::from(next <= self.now);
        let mut i = 0;
        while i < self.flights.len() {
            let flight = &self.flights[i];
            let alive = self.processes[flight.process].0 == flight.life;
            if flight.answer.is_none() && flight.applies <= self.now {
                // What a dead process sent may still arrive; what it computed is gone.
                if !alive && (matches!(flight.action, Action::Run { .. }) || self.seed.is_multiple_of(2)) {
                    self.flights.remove(i);
                    continue;
                }
                let flight = self.flights.remove(i);
                let answer = self.apply(&flight.action);
                if let Some(answer) = answer {
                    self.flights.insert(i, Flight { answer: Some(answer), ..flight });
                    i += 1;
                }
            } else if flight.answers <= self.now && flight.answer.is_some() {
                let flight = self.flights.remove(i);
                if alive && let Some(answer) = flight.answer {
                    self.tell(flight.process, answer);
                }
            } else {
                i += 1;
            }
        }
        for process in 0..self.processes.len() {
            self.tell(process, Event::Tick);
        }
    }

    fn crash(&mut self) {
        let process = self.below(3) as usize;
        let life = self.processes[process].0 + 1;
        self.processes[process] = (life, Machine::new(config(), self.now));
    }

    fn is_over(&self) -> bool {
        self.rows.values().all(|row| row.free_at().is_none())
    }
}

fn config() -> Config {
    Config { capacity: CAPACITY, lease: LEASE, poll: 400 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: interleavings(2_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_ends_and_takes_effect_once_whatever_dies(seed: u64, jobs in 1_u32..12, crashes in 0_u32..6) {
        let mut world = World::new(seed, jobs);
        let mut crashes_left = crashes;
        let mut steps = 0;
        while !world.is_over() {
            steps += 1;
            prop_assert!(steps < 20_000, "stuck: {:?}", world.rows);
            if crashes_left > 0 && world.below(40) == 0 {
                crashes_left -= 1;
                world.crash();
            }
            world.step();
        }
        for (id, row) in &world.rows {
            let succeeds = row.failures < MAX_ATTEMPTS && crashes == 0;
            prop_assert!(row.effects <= 1, "job {} took effect {} times", id, row.effects);
            prop_assert!(row.effects == 1 || row.state == State::Failed, "job {} is lost", id);
            if succeeds {
                prop_assert_eq!(row.effects, 1, "job {} was given up without a reason: {:?}", id, row);
            }
        }
    }
}
