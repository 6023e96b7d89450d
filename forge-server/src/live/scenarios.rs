//! Single properties of the live-query machine, one scenario each.

mod databases;

use std::sync::Arc;

use bson::Bson;
use forge_core::Caller;
use forge_core::adapter::{ChangeEvent, ChangeKind, Commit, Read, ResumeToken};
use forge_core::context::Seen;
use forge_core::ir::{Filter, Predicate};
use serde_json::json;

use super::event::{Action, Content, Data, Event, Frame, Outcome, RunId, SocketId, SubId};
use super::machine::Machine;
use super::simulation::{CONFIG, Happening, Op, World, read, wanted};

fn subscribe(socket: u64, id: SubId, query: &'static str, arg: i32) -> Happening {
    Happening::Op(Op::Subscribe { socket, id, query, arg })
}

fn set(id: usize, group: i32, value: i32) -> Happening {
    Happening::Op(Op::Write { socket: None, changes: vec![(id, group, value)], pre_images: true })
}

#[test]
fn equal_subscriptions_cost_one_run_for_each_change() {
    let mut world = World::new(7);
    for socket in 0..100 {
        world.at(0, subscribe(socket, 1, "group", 0));
    }
    world.at(1_000, set(0, 0, 9));
    world.run();
    world.check_quiet();
    assert_eq!(world.runs, 2);
}

#[test]
fn unrelated_changes_cost_nothing() {
    let mut world = World::new(7);
    world.at(0, subscribe(0, 1, "group", 2));
    for time in 10..30 {
        world.at(time * 100, set(1, 1, time as i32));
    }
    world.run();
    assert_eq!(world.runs, 1);
}

#[test]
fn constant_writes_neither_starve_nor_flood() {
    let mut world = World::new(7);
    world.at(0, subscribe(0, 1, "all", 0));
    for time in 1..1_000 {
        world.at(1_000 + time * 2, set(1, 1, time as i32));
    }
    world.run();
    world.check_quiet();
    // Two seconds of writes: at least every 250 ms, and at most every 25 (one run in two may be withheld).
    assert!((8..=80).contains(&world.runs), "{} runs", world.runs);
}

#[test]
fn results_are_shared_among_callers_who_look_the_same() {
    let mut world = World::new(7);
    for socket in 0..10 {
        world.at(0, subscribe(socket, 1, "spoken", 0));
    }
    world.run();
    world.check_quiet();
    assert_eq!(world.runs, 2, "one for each language");
    world.at(1_000, subscribe(11, 1, "spoken", 0));
    world.run();
    world.check_quiet();
    assert_eq!(world.runs, 2, "a third caller shares with those of its language");
}

#[test]
fn one_commit_changes_everything_on_a_socket_in_one_frame() {
    let mut machine = Machine::new(CONFIG, "db".into());
    let socket = SocketId(1);
    machine.handle(0, Event::FeedUp { database: "db".into() });
    let mut runs = Vec::new();
    for id in 0..2 {
        let event = Event::Subscribe {
            socket,
            id,
            wanted: wanted("doc", id as i32),
            caller: Caller::default(),
            hash: None,
            delta: false,
        };
        runs.extend(run_of(machine.handle(0, event)));
    }
    for (run, arg) in runs.into_iter().zip(0..) {
        machine.handle(1, finished(run, arg, "old"));
    }
    let actions = machine.handle(1_000, deleted(5, 0..2));
    let runs: Vec<_> = run_of(actions).collect();
    assert_eq!(runs.len(), 2, "a quiet query runs at once");
    assert!(machine.handle(1_010, finished(runs[0], 0, "new")).is_empty(), "the first waits for the second");
    let actions = machine.handle(1_020, finished(runs[1], 1, "new"));
    match actions.as_slice() {
        [Action::Send { frame: Frame::Update { version: 5, results }, .. }] => assert_eq!(results.len(), 2),
        other => panic!("{other:?}"),
    }
}

fn deleted(version: u64, ids: std::ops::Range<i32>) -> Event {
    let changes = ids.map(|id| ChangeEvent {
        collection: "items".into(),
        kind: ChangeKind::Delete,
        id: Bson::Int32(id),
        before: None,
        after: None,
        touched: None,
        updated: None,
    });
    let commit = Commit { version, token: ResumeToken(Bson::Null), changes: changes.collect() };
    Event::Commit { database: "db".into(), commit: Arc::new(commit) }
}

#[test]
fn a_result_that_lacks_what_the_socket_was_told_is_not_sent() {
    let mut machine = Machine::new(CONFIG, "db".into());
    machine.handle(0, Event::FeedUp { database: "db".into() });
    let subscribe = |machine: &mut Machine, now, id: SubId| {
        let (wanted, caller) = (wanted("doc", id as i32), Caller::default());
        let event = Event::Subscribe { socket: SocketId(1), id, wanted, caller, hash: None, delta: false };
        run_of(machine.handle(now, event)).next().unwrap()
    };
    let quick = subscribe(&mut machine, 0, 0);
    machine.handle(1, finished(quick, 0, "old"));
    let slow = subscribe(&mut machine, 1_000, 1);
    let quick = run_of(machine.handle(1_001, deleted(5, 0..2))).next().unwrap();
    let told = machine.handle(1_010, finished(quick, 0, "new"));
    assert!(
        matches!(told.as_slice(), [Action::Send { frame: Frame::Update { version: 5, .. }, .. }]),
        "{told:?}"
    );
    // Too late to be withheld in favour of the next run, and read before version 5.
    let late = machine.handle(1_400, finished(slow, 1, "old"));
    assert!(matches!(late.as_slice(), [Action::Run { .. }]), "{late:?}");
}

#[test]
fn the_most_expensive_and_the_least_selective_come_first() {
    let mut machine = Machine::new(CONFIG, "db".into());
    machine.handle(0, Event::FeedUp { database: "db".into() });
    let subscribe = |machine: &mut Machine, id: SubId, filter: Filter| {
        let (wanted, caller) = (wanted("doc", id as i32), Caller::default());
        let event = Event::Subscribe { socket: SocketId(1), id, wanted, caller, hash: None, delta: false };
        let run = run_of(machine.handle(id * 1_000, event)).next().unwrap();
        let outcome =
            Outcome { reads: vec![read(filter)], seen: Seen::default(), result: Ok(Data::new("x")) };
        machine.handle(id * 1_001, Event::RunFinished { run, outcome });
    };
    for id in 1..=25 {
        subscribe(&mut machine, id, Filter::eq("_id", id as i32));
    }
    let other = Filter::Field("group".into(), Predicate::Ne(Bson::Int32(0)));
    subscribe(&mut machine, 30, other);
    for version in 5..8 {
        let change = ChangeEvent {
            collection: "items".into(),
            kind: ChangeKind::Insert,
            id: Bson::Int32(99),
            before: None,
            after: Some(bson::rawdoc! { "_id": 99, "group": 0 }),
            touched: None,
            updated: None,
        };
        let commit = Commit { version, token: ResumeToken(Bson::Null), changes: vec![change] };
        machine.handle(100_000, Event::Commit { database: "db".into(), commit: Arc::new(commit) });
    }
    machine.handle(101_000, deleted(9, 1..2));
    let report = machine.report();
    assert_eq!(report.live_queries, 26);
    let expensive: Vec<_> = report.expensive.iter().map(|cost| (&*cost.args, cost.millis)).collect();
    assert_eq!(expensive.len(), 20);
    assert_eq!(expensive[..2], [("30", 30), ("25", 25)]);
    let [broad] = report.unselective.as_slice() else { panic!("{report:?}") };
    assert_eq!((&*broad.args, broad.broad, broad.tested, broad.affected), ("30", true, 4, 1));
    assert_eq!(broad.reads.iter().collect::<Vec<_>>(), ["items by group"]);
}

fn run_of(actions: Vec<Action>) -> impl Iterator<Item = RunId> {
    actions.into_iter().filter_map(|action| match action {
        Action::Run { run, .. } => Some(run),
        _ => None,
    })
}

fn finished(run: RunId, arg: i32, text: &str) -> Event {
    let reads = vec![read(Filter::eq("_id", arg))];
    Event::RunFinished { run, outcome: Outcome { reads, seen: Seen::default(), result: Ok(Data::new(text)) } }
}

#[test]
fn a_known_hash_is_answered_with_unchanged() {
    let mut machine = Machine::new(CONFIG, "db".into());
    machine.handle(0, Event::FeedUp { database: "db".into() });
    let hash = Some(Data::new("same").hash);
    let event = Event::Subscribe {
        socket: SocketId(1),
        id: 1,
        wanted: wanted("doc", 1),
        caller: Caller::default(),
        hash,
        delta: false,
    };
    let run = run_of(machine.handle(0, event)).next().unwrap();
    match machine.handle(1, finished(run, 1, "same")).as_slice() {
        [Action::Send { frame: Frame::Update { results, .. }, .. }] => {
            assert_eq!(results[0].content, Content::Unchanged);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_difference_is_sent_to_those_who_asked_and_have_what_it_is_from() {
    let mut machine = Machine::new(CONFIG, "db".into());
    machine.handle(0, Event::FeedUp { database: "db".into() });
    let text = |n: i32| json!({ "n": n, "pad": "x".repeat(99) }).to_string();
    let (old, new) = (text(1), text(2));
    let mut run = None;
    for (socket, delta, hash) in [(1, true, None), (2, false, None), (3, true, Some(Data::new("other").hash))]
    {
        let (socket, wanted, caller) = (SocketId(socket), wanted("doc", 1), Caller::default());
        let event = Event::Subscribe { socket, id: 1, wanted, caller, hash, delta };
        run = run_of(machine.handle(0, event)).next().or(run);
    }
    machine.handle(1, finished(run.unwrap(), 1, &old));
    let (mut run, mut before) = (None, None);
    for action in machine.handle(1_000, deleted(5, 1..2)) {
        if let Action::Run { run: id, before: data, .. } = action {
            (run, before) = (Some(id), data);
        }
    }
    let data = Data::new(new).after(&before.unwrap());
    let outcome = Outcome { reads: Vec::new(), seen: Seen::default(), result: Ok(data) };
    let actions = machine.handle(1_010, Event::RunFinished { run: run.unwrap(), outcome });
    let patched = actions.iter().map(|action| match action {
        Action::Send { frame: Frame::Update { results, .. }, .. } => {
            matches!(&results[0].content, Content::Patched(steps) if steps.len() == 1)
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(patched.collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn the_last_subscriber_takes_the_query_along() {
    let mut machine = Machine::new(CONFIG, "db".into());
    machine.handle(0, Event::FeedUp { database: "db".into() });
    let socket = SocketId(1);
    let event = Event::Subscribe {
        socket,
        id: 1,
        wanted: wanted("doc", 1),
        caller: Caller::default(),
        hash: None,
        delta: false,
    };
    let run = run_of(machine.handle(0, event)).next().unwrap();
    let actions = machine.handle(1, Event::SocketClosed { socket });
    assert!(matches!(actions.as_slice(), [Action::Cancel { run: cancelled }] if *cancelled == run));
    assert_eq!(machine.entries(), 0);
    assert!(machine.handle(2, finished(run, 1, "late")).is_empty());
}

#[test]
fn nothing_runs_before_the_feed_is_open_and_a_second_database_opens_its_own() {
    let mut machine = Machine::new(CONFIG, "db".into());
    let event = Event::Subscribe {
        socket: SocketId(1),
        id: 1,
        wanted: wanted("doc", 1),
        caller: Caller::default(),
        hash: None,
        delta: false,
    };
    assert!(machine.handle(0, event).is_empty(), "the default database is followed anyway");
    let run = run_of(machine.handle(1, Event::FeedUp { database: "db".into() })).next().unwrap();
    let reads = vec![Read::new("tenant", "items", Filter::All)];
    let outcome = Outcome { reads, seen: Seen::default(), result: Ok(Data::new("early")) };
    let actions = machine.handle(2, Event::RunFinished { run, outcome });
    assert!(
        matches!(actions.as_slice(), [Action::OpenFeed { database }] if &**database == "tenant"),
        "{actions:?}"
    );
    assert_eq!(run_of(machine.handle(3, Event::FeedUp { database: "tenant".into() })).count(), 1);
}

#[test]
fn a_run_is_for_one_socket_alone_until_another_wants_the_same() {
    let mut machine = Machine::new(CONFIG, "db".into());
    machine.handle(0, Event::FeedUp { database: "db".into() });
    let subscribe = |socket| {
        let (socket, wanted, caller) = (SocketId(socket), wanted("doc", 1), Caller::default());
        Event::Subscribe { socket, id: 1, wanted, caller, hash: None, delta: false }
    };
    let first = machine.handle(0, subscribe(1));
    let [Action::Run { run, alone: Some(SocketId(1)), .. }] = first.as_slice() else { panic!("{first:?}") };
    machine.handle(1, finished(*run, 1, "null"));
    machine.handle(2, subscribe(2));
    let both = machine.handle(1_000, deleted(5, 1..2));
    assert!(matches!(both.as_slice(), [Action::Run { alone: None, .. }]), "{both:?}");
}
