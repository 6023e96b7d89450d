//! Live queries that read more than one database.

use super::*;

/// Subscribes to what reads a document of "db" and one of "tenant", and answers its run.
fn subscribe(machine: &mut Machine, now: u64, id: SubId) -> RunId {
    let (wanted, caller) = (wanted("doc", id as i32), Caller::default());
    let event = Event::Subscribe { socket: SocketId(1), id, wanted, caller, hash: None, delta: false };
    run_of(machine.handle(now, event)).next().unwrap()
}

fn both(run: RunId, arg: i32, text: &str) -> Event {
    let reads = vec![read(Filter::eq("_id", arg)), Read::new("tenant", "items", Filter::eq("_id", arg))];
    Event::RunFinished { run, outcome: Outcome { reads, seen: Seen::default(), result: Ok(Data::new(text)) } }
}

fn tenant(version: u64, ids: std::ops::Range<i32>) -> Event {
    let Event::Commit { commit, .. } = deleted(version, ids) else { unreachable!() };
    Event::Commit { database: "tenant".into(), commit }
}

fn machine() -> Machine {
    let mut machine = Machine::new(CONFIG);
    machine.handle(0, Event::FeedUp { database: "db".into() });
    machine.handle(0, Event::FeedUp { database: "tenant".into() });
    machine
}

fn told(actions: &[Action]) -> Option<u64> {
    actions.iter().find_map(|action| match action {
        Action::Send { frame: Frame::Update { version, .. }, .. } => Some(*version),
        _ => None,
    })
}

#[test]
fn constant_commits_of_another_database_do_not_starve() {
    let mut machine = machine();
    machine.handle(0, deleted(7, 0..0));
    let run = subscribe(&mut machine, 0, 0);
    assert_eq!(told(&machine.handle(1, both(run, 0, "0"))), Some(7));
    let mut run = run_of(machine.handle(1_000, tenant(100, 0..1))).next().unwrap();
    let mut results = 0;
    for round in 1..20 {
        let now = 1_000 + round * 1_000;
        // Each run overlaps one more of them, and takes too long to be withheld.
        machine.handle(now, tenant(100 + round, 0..1));
        let mut actions = machine.handle(now + 300, both(run, 0, &round.to_string()));
        results += usize::from(told(&actions) == Some(7));
        actions.extend(machine.handle(now + 900, Event::Tick));
        run = run_of(actions).next().unwrap();
    }
    assert_eq!(results, 19);
}

#[test]
fn one_commit_of_another_database_changes_everything_on_a_socket_in_one_frame() {
    let mut machine = machine();
    machine.handle(0, deleted(7, 0..0));
    for id in 0..2 {
        let run = subscribe(&mut machine, 0, id);
        machine.handle(1, both(run, id as i32, "old"));
    }
    let runs: Vec<_> = run_of(machine.handle(1_000, tenant(100, 0..2))).collect();
    assert!(machine.handle(1_010, both(runs[0], 0, "new")).is_empty(), "the first waits for the second");
    match machine.handle(1_020, both(runs[1], 1, "new")).as_slice() {
        [Action::Send { frame: Frame::Update { version: 7, results }, .. }] => assert_eq!(results.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_another_database_changed_first_does_not_hide_a_commit_of_the_own() {
    let mut machine = machine();
    machine.handle(0, deleted(7, 0..0));
    let run = subscribe(&mut machine, 0, 0);
    machine.handle(1, tenant(100, 0..1));
    machine.handle(2, deleted(8, 0..1));
    machine.handle(3, deleted(9, 0..0));
    // Read before all of them, and too late to be withheld.
    let told = told(&machine.handle(1_000, both(run, 0, "old")));
    assert_eq!(told, Some(7), "the result lacks version 8");
}
