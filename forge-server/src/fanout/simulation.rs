//! Processes that die, logs that are lost, answers that never arrive: nobody misses a commit unnoticed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bson::Bson;
use forge_core::adapter::ResumeToken;
use forge_core::feed::News;
use proptest::prelude::*;

use super::leader::{Done, Leader, Step};
use super::reader::Reader;
use super::{Place, Record};

const LEASE: u64 = 3_000;
const PROCESSES: usize = 3;
/// Records that the log keeps.
const RECORDS: usize = 8;

/// The database: commits are 1, 2, 3, …; those up to `forgotten` cannot be resumed from any more.
#[derive(Default)]
struct Database {
    last: u64,
    forgotten: u64,
    down: bool,
}

/// What is in Redis.
#[derive(Default)]
struct Log {
    lease: Option<(usize, u64)>,
    seq: Option<u64>,
    up: bool,
    token: Option<ResumeToken>,
    /// Records with their ids, which never repeat, and their numbers; none of what cannot be read.
    records: VecDeque<(u64, Option<u64>, Option<Record>)>,
    next_id: u64,
    generation: u64,
    down: bool,
}

impl Log {
    fn holds(&self, owner: usize, now: u64) -> bool {
        self.lease.is_some_and(|(holder, until)| holder == owner && until > now)
    }

    fn take(&mut self, owner: usize, now: u64) -> Option<Place> {
        if self.lease.is_some_and(|(holder, until)| holder != owner && until > now) {
            return None;
        }
        self.lease = Some((owner, now + LEASE));
        Some(Place { seq: self.seq, token: self.token.clone() })
    }

    fn add(&mut self, owner: usize, now: u64, record: Record) -> Option<u64> {
        if !self.holds(owner, now) {
            return None;
        }
        self.lease = Some((owner, now + LEASE));
        let seq = self.seq.unwrap_or(self.generation * 1_000_000) + 1;
        match &record {
            Record::Commit(commit) => self.token = Some(commit.token.clone()),
            other => self.up = !matches!(other, Record::Down(_)),
        }
        self.next_id += 1;
        self.seq = Some(seq);
        self.records.push_back((self.next_id, Some(seq), Some(record)));
        if self.records.len() > RECORDS {
            self.records.pop_front();
        }
        Some(seq)
    }

    /// Makes the last record unreadable, with its number or without.
    fn spoil(&mut self, number: bool) {
        if let Some((_, seq, record)) = self.records.back_mut() {
            *record = None;
            *seq = seq.filter(|_| !number);
        }
    }

    fn lose(&mut self) {
        let (next_id, generation) = (self.next_id, self.generation + 1);
        *self = Log { next_id, generation, down: self.down, ..Log::default() };
    }
}

/// One process: it may lead, it reads, and it keeps a result that is as fresh as its news make it.
struct Process {
    owner: usize,
    leader: Leader,
    step: Step,
    wakes: u64,
    /// Where its feed stands, where one is open.
    feed: Option<u64>,
    reader: Reader,
    connected: bool,
    id: u64,
    /// Everything up to this commit is in its result; none before the feed was open.
    fresh: Option<u64>,
}

impl Process {
    fn new(owner: usize) -> Self {
        let leader = Leader::new(Duration::from_millis(LEASE));
        let step = leader.start();
        let reader = Reader::default();
        Self { owner, leader, step, wakes: 0, feed: None, reader, connected: false, id: 0, fresh: None }
    }

    /// Takes one step as a leader; with `cut`, the answer of the log does not arrive.
    fn lead(&mut self, now: u64, database: &Database, log: &mut Log, cut: bool) {
        if now < self.wakes {
            return;
        }
        let out_of_reach = log.down;
        let done = match self.step.clone() {
            Step::Take | Step::Add(_) if out_of_reach => Done::Unreachable,
            Step::Take => Done::Taken(log.take(self.owner, now)),
            Step::Add(record) => Done::Added(log.add(self.owner, now, record)),
            Step::Open(_) if database.down => failed(false),
            Step::Open(Some(token)) => match version(&token) {
                version if version < database.forgotten || version > database.last => failed(true),
                version => {
                    self.feed = Some(version);
                    Done::Opened
                }
            },
            Step::Open(None) => {
                self.feed = Some(database.last);
                Done::Opened
            }
            Step::Read => match self.feed {
                _ if database.down => failed(false),
                Some(at) if at < database.forgotten => failed(true),
                Some(at) if at < database.last => {
                    self.feed = Some(at + 1);
                    Done::Came(Arc::new(crate::testing::commit(at + 1)))
                }
                Some(_) => Done::Quiet,
                None => panic!("it reads a feed that is not open"),
            },
            Step::Wait(_) => Done::Waited,
        };
        let asked_log = matches!(self.step, Step::Take | Step::Add(_));
        self.step = self.leader.after(if cut && asked_log { Done::Unreachable } else { done });
        if let Step::Wait(pause) = self.step {
            self.feed = None;
            self.wakes = now + u64::try_from(pause.as_millis()).unwrap();
        }
    }

    /// Reads what the log has.
    fn read(&mut self, database: &Database, log: &Log) {
        if log.down {
            if std::mem::replace(&mut self.connected, false) {
                let news = self.reader.broken(forge_core::Error::unavailable("gone"));
                self.hear(vec![news], database);
            }
            return;
        }
        if !std::mem::replace(&mut self.connected, true) {
            let (news, goes_on) = self.reader.connected(log.seq, log.up);
            self.hear(news.into_iter().collect(), database);
            if !goes_on {
                self.id = log.records.back().map_or(0, |(id, ..)| *id);
            }
        }
        for (id, seq, record) in &log.records {
            if *id > self.id {
                self.id = *id;
                let news = match (seq, record) {
                    (Some(seq), Some(record)) => self.reader.hear(*seq, record.clone()),
                    (seq, _) => vec![self.reader.hear_nothing(*seq)],
                };
                self.hear(news, database);
            }
        }
    }

    fn hear(&mut self, news: Vec<News>, database: &Database) {
        for news in news {
            match news {
                // The first results are read when the feed is open, and all of them after a gap.
                News::Up if self.fresh.is_none() => self.fresh = Some(database.last),
                News::Afresh => {
                    assert!(self.fresh.is_some(), "there is nothing to read afresh before the feed was open");
                    self.fresh = Some(database.last);
                }
                News::Commit(commit) => {
                    let fresh = self.fresh.expect("a commit before the feed was open");
                    assert!(commit.version <= fresh + 1, "{} came after {fresh}", commit.version);
                    self.fresh = Some(fresh.max(commit.version));
                }
                _ => {}
            }
        }
    }
}

fn version(token: &ResumeToken) -> u64 {
    match token.0 {
        Bson::Int64(version) => u64::try_from(version).unwrap(),
        ref other => panic!("{other:?}"),
    }
}

fn failed(lost: bool) -> Done {
    Done::Failed { lost, why: "as told".into() }
}

#[derive(Debug, Clone)]
enum Event {
    Commit,
    Lead { process: usize, cut: bool },
    Read { process: usize },
    Kill { process: usize },
    Pass { millis: u64 },
    LoseLog,
    Spoil { number: bool },
    Log { down: bool },
    Database { down: bool },
    Forget,
}

fn event() -> impl Strategy<Value = Event> {
    let process = 0..PROCESSES;
    prop_oneof![
        10 => Just(Event::Commit),
        30 => (process.clone(), proptest::bool::weighted(0.1)).prop_map(|(process, cut)| Event::Lead { process, cut }),
        15 => process.clone().prop_map(|process| Event::Read { process }),
        2 => process.prop_map(|process| Event::Kill { process }),
        8 => (1_u64..4_000).prop_map(|millis| Event::Pass { millis }),
        1 => Just(Event::LoseLog),
        3 => any::<bool>().prop_map(|number| Event::Spoil { number }),
        2 => any::<bool>().prop_map(|down| Event::Log { down }),
        2 => any::<bool>().prop_map(|down| Event::Database { down }),
        1 => Just(Event::Forget),
    ]
}

fn run(events: Vec<Event>) {
    let (mut database, mut log, mut now, mut owners) = (Database::default(), Log::default(), 0, PROCESSES);
    let mut processes: Vec<_> = (0..PROCESSES).map(Process::new).collect();
    for event in events {
        match event {
            Event::Commit => database.last += u64::from(!database.down),
            Event::Lead { process, cut } => processes[process].lead(now, &database, &mut log, cut),
            Event::Read { process } => processes[process].read(&database, &log),
            Event::Kill { process } => {
                processes[process] = Process::new(owners);
                owners += 1;
            }
            Event::Pass { millis } => now += millis,
            Event::LoseLog => log.lose(),
            Event::Spoil { number } => log.spoil(number),
            Event::Log { down } => log.down = down,
            Event::Database { down } => database.down = down,
            Event::Forget => database.forgotten = database.last,
        }
    }
    (log.down, database.down) = (false, false);
    database.last += 1;
    for _ in 0..200 {
        now += 500;
        for process in &mut processes {
            for _ in 0..4 {
                process.lead(now, &database, &mut log, false);
                process.read(&database, &log);
            }
        }
    }
    for process in &processes {
        assert_eq!(process.fresh, Some(database.last), "a process has an old result");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::testing::interleavings(1_000), max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_result_becomes_fresh_and_no_commit_is_missed(events in proptest::collection::vec(event(), 0..120)) {
        run(events);
    }
}

#[test]
fn who_takes_over_goes_on_where_the_dead_leader_was() {
    let lead = |process| Event::Lead { process, cut: false };
    let read = |process| Event::Read { process };
    // The second dies before it adds what it has read.
    let events = vec![
        lead(0),
        lead(0),
        lead(0),
        read(1),
        read(2),
        Event::Commit,
        lead(0),
        lead(0),
        Event::Commit,
        lead(0),
        Event::Kill { process: 0 },
        Event::Pass { millis: 3_500 },
        lead(1),
        lead(1),
        lead(1),
        lead(1),
        lead(1),
        read(1),
        read(2),
    ];
    run(events);
}
