//! Generated interleavings: a model database, a feed and runs with random delays, and clients that check what they get.

mod abroad;
mod client;
mod home;
mod ops;
mod queries;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use forge_core::adapter::Commit;
use forge_core::context::{More, Seen};
use forge_core::{Caller, Error};
use proptest::prelude::*;
use serde_json::Value;

use super::event::{Action, Data, Event, Failure, Frame, Outcome, RunId, SocketId, SubId, Wanted};
use super::machine::{Config, Machine};
use super::queue::Next;
use abroad::Abroad;
use client::{Client, ClientSub};
pub(super) use ops::Op;
use ops::op;
pub(super) use queries::read;
use queries::{Docs, Look, evaluate, halves, reads, received, wants_delta};

pub(super) const CONFIG: Config = Config {
    refresh_min: 50,
    refresh_max: 250,
    hold: 100,
    subscriptions: 50,
    window: 100,
    feeds: 2,
    feed_idle: 40,
};
const LONGEST_RUN: u64 = 60;
/// The longest that a slow client leaves frames unread.
const SLOW_READER: u64 = 150;
/// The longest that a change feed takes to open, once it has failed to or not.
const OPENING: u64 = 30;
/// What clients are told while a feed that was never open cannot be had.
const DOWN: &str = "the feed is down";
/// A feed that opens, and the run that knew of it; a run in flight, the throttle, a run that is withheld, one that is not, the wait for related results, and the reader.
const BOUND: u64 =
    2 * OPENING + LONGEST_RUN + LONGEST_RUN + 2 * LONGEST_RUN + 2 * LONGEST_RUN + CONFIG.hold + SLOW_READER;
const LANGUAGES: [&str; 2] = ["de", "en"];

#[derive(Debug)]
pub(super) enum Happening {
    Op(Op),
    Deliver(Arc<Commit>),
    Failed { feed: u64 },
    Opened { feed: u64 },
    DeliverAbroad { feed: u64, commit: Arc<Commit> },
    HistoryLost,
    Back,
    Step(RunId),
    Read { socket: u64, connection: u64 },
    Check { version: u64, abroad: usize, since: u64 },
}

struct Job {
    wanted: Wanted,
    look: Look,
    before: Option<Data>,
    steps: u32,
    seen: Vec<Docs>,
}

pub(super) struct World {
    machine: Machine,
    now: u64,
    random: u64,
    /// The state after each version.
    history: Vec<Docs>,
    abroad: Abroad,
    queue: BTreeMap<(u64, u64), Happening>,
    next: u64,
    delivered_until: u64,
    jobs: HashMap<RunId, Job>,
    clients: BTreeMap<u64, Client>,
    pub(super) runs: u64,
}

pub(super) fn wanted(query: &str, arg: i32) -> Wanted {
    Wanted { database: "db".into(), query: query.into(), args: arg.to_string().into() }
}

/// A longer window; some subscriptions go on at its end, others at its start.
fn longer(id: SubId, by: u64) -> More {
    if id.is_multiple_of(2) { More { after: by, before: 0 } } else { More { after: 0, before: by } }
}

fn caller(socket: u64, language: &str) -> Caller {
    let headers = [("lang", language), ("key", &socket.to_string())].into_iter().collect();
    Caller { headers, ..Caller::default() }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut machine = Machine::new(CONFIG, "db".into());
        machine.handle(0, Event::FeedUp { database: "db".into() });
        Self {
            machine,
            now: 0,
            random: seed | 1,
            history: vec![Docs { items: vec![(0, 0); 5], abroad: vec![0; 3] }],
            abroad: Abroad::default(),
            queue: BTreeMap::new(),
            next: 0,
            delivered_until: 0,
            jobs: HashMap::new(),
            clients: BTreeMap::new(),
            runs: 0,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    pub(super) fn at(&mut self, time: u64, what: Happening) {
        self.next += 1;
        self.queue.insert((time, self.next), what);
    }

    fn docs(&self) -> &Docs {
        self.history.last().unwrap()
    }

    fn version(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    fn feed(&mut self, event: Event) {
        for action in self.machine.handle(self.now, event) {
            match action {
                Action::Run { run, wanted, caller, before, .. } => self.start(run, wanted, &caller, before),
                Action::Cancel { run } => drop(self.jobs.remove(&run)),
                Action::OpenFeed { database } => self.open_feed(&database),
                Action::CloseFeed { database } => self.close_feed(&database),
                Action::Send { socket, frame } => self.send(socket.0, frame),
            }
        }
    }

    fn start(&mut self, run: RunId, wanted: Wanted, caller: &Caller, before: Option<Data>) {
        let language = LANGUAGES.into_iter().find(|known| caller.headers.get("lang") == Some(known)).unwrap();
        let look = Look { language, more: caller.more.total() };
        // Those that look at their caller are served by several entries.
        let looks = ["spoken", "windowed"].contains(&&*wanted.query);
        let twin = |job: &Job| job.wanted == wanted && !looks;
        assert!(!self.jobs.values().any(twin), "two runs of {wanted:?} in flight");
        self.runs += 1;
        let job = Job { wanted, look, before, steps: 0, seen: Vec::new() };
        self.jobs.insert(run, job);
        let time = self.now + self.below(LONGEST_RUN / 3);
        self.at(time, Happening::Step(run));
    }

    /// A run reads, reads again, and ends.
    fn step(&mut self, run: RunId) {
        let docs = self.docs().clone();
        let Some(job) = self.jobs.get_mut(&run) else { return };
        job.steps += 1;
        if job.steps < 3 {
            job.seen.push(docs);
            let time = self.now + self.below(LONGEST_RUN / 3);
            return self.at(time, Happening::Step(run));
        }
        let job = self.jobs.remove(&run).unwrap();
        let arg = job.wanted.args.parse().unwrap();
        let result = evaluate(&job.wanted.query, arg, job.look, &job.seen[0], &job.seen[1]);
        let result = result
            .map(|json| match &job.before {
                Some(before) => Data::new(json).after(before),
                None => Data::new(json),
            })
            .map_err(|message| Failure { error: Arc::new(Error::conflict(message)), transient: false });
        let mut seen = Seen::default();
        if &*job.wanted.query == "spoken" {
            seen.headers.insert("lang".into());
        }
        seen.window = &*job.wanted.query == "windowed";
        seen.window_before = seen.window;
        let reads = reads(&job.wanted.query, arg, job.look, &job.seen[0]);
        self.feed(Event::RunFinished { run, outcome: Outcome { reads, seen, result } });
    }

    /// Frames wait until their client gets around to them, as they do for a real socket.
    fn send(&mut self, socket: u64, frame: Frame) {
        let delay = self.below(if socket == 3 { SLOW_READER } else { SLOW_READER / 10 });
        let client = self.clients.get_mut(&socket).expect("frames only go to open sockets");
        client.queue.frame(frame);
        let connection = client.connection;
        if !std::mem::replace(&mut client.reads, true) {
            self.at(self.now + delay, Happening::Read { socket, connection });
        }
    }

    fn read(&mut self, socket: u64, connection: u64) {
        let Some(client) = self.clients.get_mut(&socket) else { return };
        if client.connection != connection {
            return;
        }
        client.reads = false;
        while let Some(Next::Text(text)) = self.clients.get_mut(&socket).and_then(|client| client.queue.pop())
        {
            self.receive(socket, &serde_json::from_str(&text.pieces().concat()).unwrap());
        }
    }

    fn receive(&mut self, socket: u64, frame: &Value) {
        let client = self.clients.get_mut(&socket).unwrap();
        let id = || frame["id"].as_u64().unwrap();
        match frame["op"].as_str().unwrap() {
            "ready" => {}
            "unsubscribed" => *client.ended.get_mut(&id()).unwrap() -= 1,
            "error" => {
                let message = frame["error"]["message"].as_str().unwrap().to_owned();
                client.take(id(), |_| Err(message));
            }
            "update" => {
                let version = frame["version"].as_u64().unwrap();
                assert!(version >= client.version, "the version of a socket went back");
                client.version = version;
                for result in frame["results"].as_array().unwrap() {
                    let id = result["id"].as_u64().unwrap();
                    client.take(id, |held| Ok(received(held, result, wants_delta(socket))));
                }
                self.check_includes(socket, version);
            }
            other => panic!("{other}"),
        }
    }

    /// Every result that the client has includes everything up to `version`.
    fn check_includes(&self, socket: u64, version: u64) {
        for (id, sub) in &self.clients[&socket].subs {
            let Some((result, look)) = &sub.result else { continue };
            assert!(
                self.is_from(sub, *look, result, version, 0),
                "{}({}) of {socket}/{id} is {result:?} at {version}, which lacks an earlier commit",
                sub.query,
                sub.arg
            );
        }
    }

    /// Whether `result` is what the query answers in some state from `version` on, and of the other database from `abroad`.
    fn is_from(
        &self,
        sub: &ClientSub,
        look: Look,
        result: &Result<String, String>,
        version: u64,
        abroad: usize,
    ) -> bool {
        if sub.query == "abroad" {
            if *result == Err(DOWN.to_owned()) {
                return self.abroad.has_failed();
            }
            let (own, other) = halves(result);
            let group = |docs: &Docs| evaluate("group", sub.arg, look, docs, docs).unwrap() == own;
            return self.history[version as usize..].iter().any(group)
                && self.abroad.had(abroad, sub.arg as usize, other);
        }
        let mut states = self.history[version as usize..].iter();
        let single = sub.query != "follow";
        // What was on its way when a longer window was asked for has the shorter one.
        let windows = if sub.query == "windowed" { 0..=look.more } else { look.more..=look.more };
        let answers = |docs: &Docs| {
            windows
                .clone()
                .any(|more| evaluate(&sub.query, sub.arg, Look { more, ..look }, docs, docs) == *result)
        };
        !single || states.any(answers)
    }

    fn check(&self, version: u64, abroad: usize, since: u64) {
        for (socket, client) in &self.clients {
            for sub in client.subs.values().filter(|sub| sub.since < since) {
                let (result, _) = sub.result.as_ref().expect("subscribed long ago, and not answered");
                assert_ne!(*result, Err(DOWN.to_owned()), "the feed is back");
                assert!(
                    self.is_from(sub, client.look(sub), result, version, abroad),
                    "{}({}) of {socket} is {result:?}, without version {version} ({abroad} abroad) of {since}, at {}",
                    sub.query,
                    sub.arg,
                    self.now
                );
            }
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Step(run) => self.step(run),
            Happening::Read { socket, connection } => self.read(socket, connection),
            Happening::Deliver(commit) => {
                let version = commit.version;
                self.feed(Event::Commit { database: "db".into(), commit });
                self.at(self.now + BOUND, Happening::Check { version, abroad: 0, since: self.now });
            }
            Happening::Failed { feed } => self.failed(feed),
            Happening::Opened { feed } => self.opened(feed),
            Happening::DeliverAbroad { feed, commit } => self.deliver_abroad(feed, commit),
            Happening::Back => self.feed(Event::FeedUp { database: "db".into() }),
            Happening::HistoryLost => self.feed(Event::HistoryLost { database: "db".into() }),
            Happening::Check { version, abroad, since } => self.check(version, abroad, since),
            Happening::Op(op) => self.operate(op),
        }
    }

    fn operate(&mut self, op: Op) {
        match op {
            Op::Subscribe { socket, id, query, arg } => {
                let (language, connection) = (LANGUAGES[(socket % 2) as usize], self.next);
                let client = self.clients.entry(socket).or_insert_with(|| Client::new(language, connection));
                let language = client.language;
                if client.subs.contains_key(&id) {
                    return;
                }
                let sub = ClientSub {
                    query: query.into(),
                    arg,
                    more: 0,
                    since: self.now,
                    result: None,
                    held: None,
                };
                client.subs.insert(id, sub);
                let (wanted, caller) = (wanted(query, arg), caller(socket, language));
                let (hash, delta) = (None, wants_delta(socket));
                self.feed(Event::Subscribe { socket: SocketId(socket), id, wanted, caller, hash, delta });
            }
            Op::Unsubscribe { socket, id } => {
                let Some(client) = self.clients.get_mut(&socket) else { return };
                if client.subs.remove(&id).is_some() {
                    *client.ended.entry(id).or_default() += 1;
                    self.feed(Event::Unsubscribe { socket: SocketId(socket), id });
                }
            }
            Op::Page { socket, id } => {
                let sub = self.clients.get_mut(&socket).and_then(|client| client.subs.get_mut(&id));
                if let Some(sub) = sub.filter(|sub| sub.query == "windowed" && sub.more < 10) {
                    (sub.more, sub.since) = (sub.more + 2, self.now);
                    self.feed(Event::Page { socket: SocketId(socket), id, more: longer(id, 2) });
                }
            }
            Op::Identify { socket, language } => {
                let Some(client) = self.clients.get_mut(&socket) else { return };
                let another =
                    std::mem::replace(&mut client.language, LANGUAGES[language]) != LANGUAGES[language];
                for sub in client.subs.values_mut() {
                    sub.since = self.now;
                    // What another caller was shown counts for nothing any more.
                    sub.result.take_if(|_| another && sub.query == "spoken");
                }
                let caller = caller(socket, LANGUAGES[language]);
                self.feed(Event::Identify { socket: SocketId(socket), caller, session: Some("s".into()) });
            }
            Op::Close { socket } => {
                self.clients.remove(&socket);
                self.feed(Event::SocketClosed { socket: SocketId(socket) });
            }
            Op::Reconnect { socket } => self.reconnect(socket),
            Op::Write { socket, changes, pre_images } => self.write(socket, &changes, pre_images),
            Op::WriteAbroad { id, value } => self.write_abroad(id, value),
            Op::LoseHistory => self.lose_history(),
            Op::FailFeed { lasts } => self.fail_feed(lasts),
        }
    }

    /// The connection breaks, whatever was on its way; the client comes back with what it holds.
    fn reconnect(&mut self, socket: u64) {
        let Some(old) = self.clients.remove(&socket) else { return };
        self.feed(Event::SocketClosed { socket: SocketId(socket) });
        let language = old.language;
        let mut client = Client::new(language, self.next);
        let mut again = Vec::new();
        for (id, sub) in old.subs {
            let held = match sub.result {
                Some((Ok(json), _)) => Some(json),
                Some((Err(_), _)) => None,
                None => sub.held,
            };
            again.push((id, wanted(&sub.query, sub.arg), sub.more, held.clone()));
            client.subs.insert(id, ClientSub { since: self.now, result: None, held, ..sub });
        }
        again.sort_by_key(|(id, ..)| *id);
        self.clients.insert(socket, client);
        for (id, wanted, more, held) in again {
            let caller = Caller { more: longer(id, more), ..caller(socket, language) };
            let (hash, delta) = (held.map(|json| Data::new(json).hash), wants_delta(socket));
            self.feed(Event::Subscribe { socket: SocketId(socket), id, wanted, caller, hash, delta });
        }
    }

    /// Runs until nothing is left to happen.
    pub(super) fn run(&mut self) {
        loop {
            let next = self.queue.first_key_value().map(|((time, _), _)| *time);
            let tick = self.machine.next_deadline();
            match (next, tick) {
                (None, None) => return,
                (Some(time), tick) if tick.is_none_or(|tick| time <= tick) => {
                    self.now = time;
                    let (_, what) = self.queue.pop_first().unwrap();
                    self.happen(what);
                }
                (_, tick) => {
                    self.now = tick.unwrap().max(self.now);
                    self.feed(Event::Tick);
                }
            }
        }
    }

    /// After everything: every client has what a fresh query answers, and knows of its own last write.
    pub(super) fn check_quiet(&self) {
        assert!(self.jobs.is_empty());
        for (socket, client) in &self.clients {
            assert!(
                client.version >= client.awaits,
                "{socket} was not told that {} is reached",
                client.awaits
            );
            for (id, sub) in &client.subs {
                let fresh = evaluate(&sub.query, sub.arg, client.look(sub), self.docs(), self.docs());
                assert_eq!(
                    sub.result.as_ref().map(|(result, _)| result),
                    Some(&fresh),
                    "{}({}) of {socket}/{id}",
                    sub.query,
                    sub.arg
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::testing::interleavings(400), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_converges(
        seed in any::<u64>(),
        pace in prop::sample::select(vec![3_u64, 20, 120]),
        loses in any::<bool>(),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut world = World::new(seed);
        let mut time = 0;
        let mut lost = false;
        for op in ops {
            if !loses && matches!(op, Op::LoseHistory) {
                continue;
            }
            lost |= matches!(op, Op::LoseHistory);
            time += world.below(pace) + 1;
            world.at(time, Happening::Op(op));
        }
        if lost {
            // Versions that only the lost history held are known from the next commit on.
            world.at(time + 1_000, Happening::Op(Op::Write { socket: None, changes: vec![(0, 0, 0)], pre_images: true }));
        }
        world.run();
        world.check_quiet();
    }
}
