//! Live queries that read more than one database.

use super::*;
use forge_core::Error;

use crate::live::event::Wanted;

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

/// Somebody reads "tenant" already, and goes on reading.
fn machine() -> Machine {
    let mut machine = Machine::new(CONFIG, "db".into());
    machine.handle(0, Event::FeedUp { database: "db".into() });
    assert_eq!(feeds(&own(&mut machine, 0, 9, "tenant")), ["+tenant"]);
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

/// Feeds that were opened, and closed, in this order.
fn feeds(actions: &[Action]) -> Vec<String> {
    let feeds = actions.iter().filter_map(|action| match action {
        Action::OpenFeed { database } => Some(format!("+{database}")),
        Action::CloseFeed { database } => Some(format!("-{database}")),
        _ => None,
    });
    feeds.collect()
}

/// Subscribes over a socket of `database`.
fn own(machine: &mut Machine, now: u64, socket: u64, database: &str) -> Vec<Action> {
    let wanted = Wanted { database: database.into(), ..wanted("doc", 0) };
    let (socket, caller) = (SocketId(socket), Caller::default());
    machine.handle(now, Event::Subscribe { socket, id: 1, wanted, caller, hash: None, delta: false })
}

fn answered(actions: &[Action], text: &str) -> Event {
    let (run, database) = actions.iter().find_map(started).unwrap();
    let reads = vec![Read::new(database, "items", Filter::eq("_id", 0))];
    Event::RunFinished { run, outcome: Outcome { reads, seen: Seen::default(), result: Ok(Data::new(text)) } }
}

fn started(action: &Action) -> Option<(RunId, Arc<str>)> {
    match action {
        Action::Run { run, wanted, .. } => Some((*run, wanted.database.clone())),
        _ => None,
    }
}

fn up(machine: &mut Machine, now: u64, database: &str) -> Vec<Action> {
    machine.handle(now, Event::FeedUp { database: database.into() })
}

fn gone(machine: &mut Machine, now: u64, socket: u64) -> Vec<Action> {
    machine.handle(now, Event::SocketClosed { socket: SocketId(socket) })
}

#[test]
fn a_feed_is_closed_a_while_after_its_last_reader_and_opens_as_the_first_time() {
    let mut machine = Machine::new(CONFIG, "db".into());
    up(&mut machine, 0, "db");
    assert_eq!(feeds(&own(&mut machine, 0, 1, "tenant")), ["+tenant"]);
    let run = up(&mut machine, 1, "tenant");
    machine.handle(2, answered(&run, "old"));
    machine.handle(3, tenant(70, 5..6));
    gone(&mut machine, 10, 1);
    assert!(feeds(&machine.handle(10 + CONFIG.feed_idle - 1, Event::Tick)).is_empty());
    // Somebody comes just in time, and the time begins anew.
    let again = own(&mut machine, 10 + CONFIG.feed_idle - 1, 2, "tenant");
    assert_eq!((again.iter().filter_map(started).count(), feeds(&again).len()), (1, 0));
    gone(&mut machine, 100, 2);
    let kept = own(&mut machine, 101, 3, "db");
    assert_eq!(kept.iter().filter_map(started).count(), 1);
    gone(&mut machine, 102, 3);
    assert_eq!(feeds(&machine.handle(100 + CONFIG.feed_idle, Event::Tick)), ["-tenant"]);
    assert_eq!(machine.feeds().map(|(database, ..)| &**database).collect::<Vec<_>>(), ["db"]);
    assert_eq!(machine.next_deadline(), None);
    let reopened = own(&mut machine, 1_000, 4, "tenant");
    assert_eq!(
        (feeds(&reopened), reopened.len()),
        (vec!["+tenant".to_owned()], 1),
        "nothing runs before it is open"
    );
    assert_eq!(up(&mut machine, 1_001, "tenant").iter().filter_map(started).count(), 1);
}

#[test]
fn a_feed_that_opens_again_does_not_go_back_for_an_open_socket() {
    let mut machine = Machine::new(CONFIG, "db".into());
    own(&mut machine, 0, 1, "tenant");
    let run = up(&mut machine, 1, "tenant");
    machine.handle(2, answered(&run, "old"));
    assert_eq!(told(&machine.handle(3, Event::Wrote { socket: SocketId(1), version: 70 })), None);
    assert_eq!(told(&machine.handle(4, tenant(70, 5..6))), Some(70));
    machine.handle(5, Event::Unsubscribe { socket: SocketId(1), id: 1 });
    assert_eq!(feeds(&machine.handle(5 + CONFIG.feed_idle, Event::Tick)), ["-tenant"]);
    own(&mut machine, 1_000, 1, "tenant");
    own(&mut machine, 1_000, 2, "tenant");
    let run = up(&mut machine, 1_001, "tenant");
    let actions = machine.handle(1_002, answered(&run, "new"));
    let versions = actions.iter().filter_map(|action| told(std::slice::from_ref(action)));
    assert_eq!(versions.collect::<Vec<_>>(), [70, 70]);
}

#[test]
fn what_was_read_before_a_feed_was_open_is_read_again() {
    let mut machine = Machine::new(CONFIG, "db".into());
    up(&mut machine, 0, "db");
    let early = subscribe(&mut machine, 0, 0);
    // Another one has the feed opened while this one runs: it may have missed what was committed before.
    own(&mut machine, 1, 2, "tenant");
    up(&mut machine, 2, "tenant");
    let actions = machine.handle(3, both(early, 0, "early"));
    assert_eq!((told(&actions), actions.iter().filter_map(started).count()), (None, 1), "{actions:?}");
}

#[test]
fn a_database_too_many_is_refused_until_there_is_room() {
    let mut machine = Machine::new(CONFIG, "db".into());
    up(&mut machine, 0, "db");
    for (socket, database) in [(1, "a"), (2, "b")] {
        assert_eq!(feeds(&own(&mut machine, 0, socket, database)).len(), 1);
        let run = up(&mut machine, 1, database);
        machine.handle(2, answered(&run, "x"));
    }
    let refused = own(&mut machine, 3, 3, "c");
    match refused.as_slice() {
        [Action::Send { frame: Frame::Error { id: 1, error }, .. }] => {
            assert_eq!(error.code(), forge_core::ErrorCode::Unavailable);
            assert!(error.message().contains("2 databases"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        own(&mut machine, 4, 4, "db").iter().filter_map(started).count(),
        1,
        "the default one counts for nothing"
    );
    // What nobody reads makes room before its time.
    assert_eq!(feeds(&gone(&mut machine, 5, 1)), ["-a", "+c"]);
    let run = up(&mut machine, 6, "c");
    assert_eq!(told(&machine.handle(7, answered(&run, "x"))), Some(0));
    assert_eq!(machine.feeds().count(), 3);
}

/// As where the feed fails, is open, or has lost its history in the step in which it is closed.
#[test]
fn what_a_feed_tells_as_it_is_closed_does_not_pass_for_one_that_is_followed() {
    let (database, error) = (Arc::<str>::from("tenant"), Arc::new(Error::unavailable("the feed is down")));
    let last_words = [
        Event::FeedUp { database: database.clone() },
        Event::HistoryLost { database: database.clone() },
        Event::FeedFailed { database, error },
    ];
    for last_words in last_words {
        let mut machine = Machine::new(CONFIG, "db".into());
        machine.handle(0, Event::FeedUp { database: "db".into() });
        assert_eq!(feeds(&own(&mut machine, 0, 1, "tenant")), ["+tenant"]);
        machine.handle(1, Event::SocketClosed { socket: SocketId(1) });
        let due = 1 + CONFIG.feed_idle;
        assert_eq!(feeds(&machine.handle(due, last_words)), ["-tenant"]);
        let again = own(&mut machine, due + 1, 2, "tenant");
        assert_eq!(feeds(&again), ["+tenant"], "nobody follows it");
        assert!(again.iter().all(|action| started(action).is_none()), "nothing is read before");
    }
}
