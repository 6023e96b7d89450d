//! Live queries: nothing missed, nothing twice, one read for everybody.

use std::time::{Duration, Instant};

use forge_tests::app::{Note, new_note};
use forge_tests::engine::random;
use forge_tests::server::TestServer;
use futures_util::future::join_all;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

async fn add(server: &TestServer, board: &str, title: &str) -> Value {
    server.http().mutate("add_note", json!({ "note": { "board": board, "title": title } })).await
}

#[tokio::test]
async fn two_queries_changed_by_one_commit_come_in_one_frame() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    socket.follow(2, "note_count", json!({ "board": "c" })).await;
    server.http().mutate("add_to_both", json!({ "first": "b", "second": "c", "title": "t" })).await;
    let frame = socket.expect("update").await;
    let mut seen: Vec<(u64, Value)> = frame["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["id"].as_u64().unwrap(), r["data"].clone()))
        .collect();
    seen.sort_by_key(|(id, _)| *id);
    assert_eq!(seen, [(1, json!(1)), (2, json!(1))], "{frame}");
    socket.quiet().await;
}

/// Each frame, with what the socket holds after it, includes every write up to the frame's version, both halves of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_includes_all_writes_up_to_its_version_while_others_write() {
    // Many refreshes long: between the run of a query and its frame there are other writes.
    let end = Instant::now() + Duration::from_secs(1);
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(0, "note_count", json!({ "board": "b" })).await;
    socket.follow(1, "note_count", json!({ "board": "c" })).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let http = server.http();
            tokio::spawn(async move {
                let mut versions = Vec::new();
                while Instant::now() < end {
                    let title = format!("{writer} {}", versions.len());
                    let args = json!({ "first": "b", "second": "c", "title": title });
                    let answer = http.call("mutation", "add_to_both", &args).await;
                    assert_eq!(answer.status, 200);
                    versions.push(answer.header("x-forge-version").unwrap().parse::<u64>().unwrap());
                }
                versions
            })
        })
        .collect();
    let versions = tokio::spawn(join_all(writers));
    let mut held = [json!(0), json!(0)];
    let mut frames = Vec::new();
    let fresh = async || server.http().query("note_count", json!({ "board": "b" })).await;
    while !versions.is_finished() || held != [fresh().await, fresh().await] {
        let frame = socket.expect("update").await;
        for result in frame["results"].as_array().unwrap() {
            held[usize::try_from(result["id"].as_u64().unwrap()).unwrap()] = result["data"].clone();
        }
        frames.push((frame["version"].as_u64().unwrap(), held.clone()));
    }
    let versions: Vec<u64> = versions.await.unwrap().into_iter().flat_map(Result::unwrap).collect();
    assert!(versions.iter().max() <= frames.iter().map(|(version, _)| version).max());
    for (version, held) in frames {
        let written = versions.iter().filter(|written| **written <= version).count() as u64;
        let lacks = held.iter().any(|count| count.as_u64().unwrap() < written);
        assert!(!lacks, "at {version} there are {written} on each board, and the socket holds {held:?}");
    }
}

#[tokio::test]
async fn changes_of_other_documents_cost_nothing() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "notes", json!({ "board": "b" })).await;
    add(&server, "b", "t").await;
    socket.result(1).await;
    server.driver.take();
    for n in 0..5 {
        add(&server, "other", &format!("t{n}")).await;
    }
    socket.quiet().await;
    assert_eq!(server.driver.reads("notes"), 0, "the query did not have to run");
}

#[tokio::test]
async fn what_stays_beyond_a_full_page_costs_nothing() {
    let server = TestServer::start().await;
    for title in ["a", "b", "c", "x"] {
        add(&server, "b", title).await;
    }
    let mut socket = server.socket().await;
    assert_eq!(socket.follow(1, "pages", json!({ "board": "b" })).await, json!(["a", "b", "c"]));
    server.driver.take();
    let last = add(&server, "b", "y").await;
    let rename = |title: &str| json!({ "id": last["id"], "patch": { "title": title } });
    server.http().mutate("change_note", rename("z")).await;
    socket.quiet().await;
    assert_eq!(server.driver.reads("notes"), 0, "the query did not have to run");
    server.http().mutate("change_note", rename("bb")).await;
    assert_eq!(socket.result(1).await["data"], json!(["a", "b", "bb"]));
    server.http().mutate("remove_note", json!({ "id": last["id"] })).await;
    assert_eq!(socket.result(1).await["data"], json!(["a", "b", "c"]));
}

#[tokio::test]
async fn a_document_that_moves_out_of_view_is_noticed() {
    let server = TestServer::start().await;
    let made = add(&server, "b", "t").await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    socket.follow(2, "note_count", json!({ "board": "c" })).await;
    server.http().mutate("change_note", json!({ "id": made["id"], "patch": { "board": "c" } })).await;
    assert_eq!(socket.until(1, |data| *data == json!(0)).await["data"], json!(0));
    let mut other = server.socket().await;
    assert_eq!(other.follow(2, "note_count", json!({ "board": "c" })).await, json!(1));
}

#[tokio::test]
async fn related_documents_and_groups_are_live_too() {
    let server = TestServer::start().await;
    let made = add(&server, "b", "t").await;
    server.http().mutate("pin", json!({ "id": 1, "note_id": made["id"] })).await;
    let mut socket = server.socket().await;
    assert_eq!(socket.follow(1, "pins", json!({})).await[0]["note"]["votes"], 0);
    assert_eq!(socket.follow(2, "votes_by_board", json!({})).await, json!([["b", 0]]));
    server.http().mutate("vote", json!({ "id": made["id"], "by": 5 })).await;
    let frame = socket.expect("update").await;
    assert_eq!(frame["results"].as_array().unwrap().len(), 2, "{frame}");
    assert!(frame.to_string().contains(r#"["b",5]"#), "{frame}");
}

#[tokio::test]
async fn a_transaction_that_is_undone_is_never_seen() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "notes", json!({ "board": "b" })).await;
    assert_eq!(server.http().call("mutation", "add_and_fail", &json!({ "board": "b" })).await.status, 409);
    socket.quiet().await;
}

#[tokio::test]
async fn writes_past_the_handlers_are_seen_as_well() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    server.db.insert_many((0..10).map(|n| new_note("b", &format!("t{n}")))).await.unwrap();
    socket.until(1, |data| *data == json!(10)).await;
    server.db.delete_many::<Note>().all().await.unwrap();
    socket.until(1, |data| *data == json!(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sockets_on_one_query_cost_one_read_a_change() {
    let server = TestServer::start().await;
    let mut sockets = join_all((0..200).map(|_| server.socket())).await;
    for data in
        join_all(sockets.iter_mut().map(|socket| socket.follow(1, "notes", json!({ "board": "b" })))).await
    {
        assert_eq!(data, json!([]));
    }
    let first = server.driver.reads("notes");
    assert!(first <= 3, "{first} reads for 200 equal subscriptions");
    for round in 1..=3 {
        server.driver.take();
        add(&server, "b", &format!("t{round}")).await;
        for result in join_all(sockets.iter_mut().map(|socket| socket.result(1))).await {
            assert_eq!(result["data"].as_array().unwrap().len(), round);
        }
        assert_eq!(server.driver.reads("notes"), 1, "one change, one read");
        // Far enough apart that no two changes share a refresh.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test]
async fn a_query_without_subscribers_is_forgotten() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "notes", json!({ "board": "b" })).await;
    drop(socket);
    let begin = Instant::now();
    loop {
        server.driver.take();
        add(&server, "b", "t").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        if server.driver.reads("notes") == 0 {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "it still runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn constant_writes_do_not_starve_a_query() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    let db = server.db.clone();
    let writer = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        for n in 0..200 {
            ticks.tick().await;
            db.insert(new_note("b", &format!("t{n}"))).await.unwrap();
        }
    });
    // Every 250 ms would be 8 of them in two seconds; a trailing debounce would give none.
    let updates = socket.updates_within(Duration::from_secs(2)).await;
    assert!((4..=60).contains(&updates), "{updates} updates in two seconds");
    writer.await.unwrap();
    let mut fresh = server.socket().await;
    assert_eq!(fresh.follow(1, "note_count", json!({ "board": "b" })).await, json!(200));
}

/// After any writes, what a socket holds is what a fresh query answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_result_is_that_of_a_fresh_query() {
    let server = TestServer::start().await;
    let queries = [
        ("notes", json!({ "board": "a" })),
        ("top", json!({ "board": "a", "limit": 3 })),
        ("note_count", json!({ "board": "b" })),
        ("votes_by_board", json!({})),
        ("tagged", json!({ "tags": ["x", "y"] })),
        ("pins", json!({})),
    ];
    let mut socket = server.socket().await;
    let mut held = Vec::new();
    for (id, (name, args)) in queries.iter().enumerate() {
        held.push(socket.follow(id as u64, name, args.clone()).await);
    }
    let seed = random();
    let mut state = seed;
    let mut next = |below: u64| {
        // xorshift64*: the seed in the message of a failure repeats the run.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    };
    for round in 0..15 {
        for _ in 0..next(6) + 1 {
            write(&server, &mut next).await;
        }
        // A note that nothing else makes marks the end of the round for one query, the rest follow by comparison.
        for (id, (name, args)) in queries.iter().enumerate() {
            let fresh = server.http().query(name, args.clone()).await;
            while held[id] != fresh {
                let frame = socket.expect("update").await;
                for result in frame["results"].as_array().unwrap() {
                    let at = usize::try_from(result["id"].as_u64().unwrap()).unwrap();
                    held[at] = result["data"].clone();
                }
                println!("seed {seed} round {round}: {name} waits for {fresh}");
            }
        }
    }
}

#[tokio::test]
async fn a_feed_that_was_given_up_is_resumed_where_it_broke() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    let (args, other) = (json!({ "board": "b" }), json!({ "board": "other" }));
    assert_eq!(socket.follow(1, "note_count", args.clone()).await, json!(0));
    assert_eq!(socket.follow(2, "note_count", other).await, json!(0));
    add(&server, "b", "seen").await;
    assert_eq!(socket.result(1).await["data"], json!(1));
    for round in 0..2 {
        server.driver.cut_feeds();
        for n in 0..3 {
            add(&server, "b", &format!("missed {round} {n}")).await;
        }
        socket.quiet().await;
        server.driver.take();
        server.driver.mend_feeds();
        // Nobody writes any more: what was missed comes from the place where the feed broke, or never.
        socket.until(1, |count| *count == json!(4 + 3 * round)).await;
        let ran = format!("{:?}", server.driver.take());
        assert!(
            ran.contains("notes") && !ran.contains("other"),
            "it goes on, rather than that all runs afresh: {ran}"
        );
    }
}

#[tokio::test]
async fn differences_lead_to_what_a_fresh_query_answers() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(add(&server, "b", &format!("note {n:02}")).await["id"].clone());
    }
    let mut socket = server.socket().await;
    let args = json!({ "board": "b" });
    socket
        .send(json!({ "op": "subscribe", "id": 1, "query": "notes", "args": args.clone(), "delta": true }))
        .await;
    let mut held = socket.result(1).await["data"].clone();
    let http = server.http();
    for step in 0..4 {
        match step {
            0 => drop(http.mutate("vote", json!({ "id": ids[20], "by": 3 })).await),
            1 => drop(http.mutate("remove_note", json!({ "id": ids[4] })).await),
            2 => drop(add(&server, "b", "another").await),
            _ => drop(http.mutate("change_note", json!({ "id": ids[9], "patch": { "board": "c" } })).await),
        }
        let result = socket.result(1).await;
        assert!(result.get("data").is_none(), "a change of one note among thirty is a small one: {result}");
        let patch: json_patch::Patch = serde_json::from_value(result["delta"].clone()).unwrap();
        json_patch::patch(&mut held, &patch).unwrap();
        assert_eq!(held, http.query("notes", args.clone()).await, "{patch}");
    }
    http.mutate("clear_board", json!({ "board": "b" })).await;
    assert_eq!(socket.result(1).await["data"], json!([]), "what is shorter as a whole comes whole");
}

async fn write(server: &TestServer, next: &mut impl FnMut(u64) -> u64) {
    let db = &server.db;
    let ids: Vec<_> =
        db.find::<Note>().sort(|n| n.id.asc()).await.unwrap().into_iter().map(|n| n.id).collect();
    let board = ["a", "b", "c"][next(3) as usize];
    let any = |next: &mut dyn FnMut(u64) -> u64| ids.get(next(ids.len().max(1) as u64) as usize).copied();
    match (next(8), any(next)) {
        (0 | 1, _) | (_, None) => drop(db.insert(new_note(board, &format!("t{}", next(9)))).await.unwrap()),
        (2, Some(id)) => drop(db.update::<Note>(id).inc(|n| n.votes, next(5) as i32).await.unwrap()),
        (3, Some(id)) => drop(db.update::<Note>(id).set(|n| n.board, board).await.unwrap()),
        (4, Some(id)) => drop(
            db.update::<Note>(id).add_to_set(|n| n.tags, ["x", "y", "z"][next(3) as usize]).await.unwrap(),
        ),
        (5, Some(id)) => drop(db.delete::<Note>(id).await),
        (6, Some(id)) => {
            let pin = forge_tests::app::NewPin { id: next(5) as i64, note_id: id };
            drop(db.insert(pin).await);
        }
        (_, Some(id)) => {
            let by = next(3) as i32;
            db.transaction(async |tx| {
                tx.update::<Note>(id).inc(|n| n.votes, by).await?;
                tx.update_many::<Note>().filter(|n| n.board.eq(board)).inc(|n| n.votes, 1).await
            })
            .await
            .unwrap();
        }
    }
}
