//! Policies: what a caller may not see is as if missing, and what they may not write is not written, through any door.

use std::sync::Arc;
use std::time::Duration;

use forge::prelude::*;
use forge::query::Page;
use forge::server::auth::Credentials;
use forge::watch::Event;
use forge::{Auth, Caller, ErrorCode};
use forge_tests::policies::{Letter, LetterPatch, Mailbox, NewMailbox, Reply, SEALED, letter, reply};
use forge_tests::server::TestServer;
use forge_tests::socket::Socket;
use forge_tests::{Engine, Fixture, Result, conformance};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

fn caller(name: &str) -> Caller {
    Caller { auth: Some(Arc::new(Auth::new(name))), ..Caller::default() }
}

fn editor() -> Caller {
    Caller { auth: Some(Arc::new(Auth::new("ed").role("editor"))), ..Caller::default() }
}

/// Ann and Bob each with a box; Ann is also a member of the box `both`. What is not Ann's to read is sealed.
async fn fill(t: &Fixture) -> Result<(Db, Db)> {
    t.push().await?;
    let all = t.db.without_policies();
    for (id, members) in [("ann", vec!["ann"]), ("bob", vec!["bob"]), ("both", vec!["ann", "bob"])] {
        let members = Some(members.into_iter().map(str::to_owned).collect());
        all.insert(NewMailbox { id: id.to_owned(), members }).await?;
    }
    for (id, author, mailbox, text) in [
        (1, "ann", "ann", "hers"),
        (2, "bob", "bob", SEALED),
        (3, "bob", "both", "shared"),
        (4, "cy", "bob", SEALED),
    ] {
        all.insert(letter(id, author, mailbox, text)).await?;
        all.insert(reply(id * 10, "ann", id, "from ann")).await?;
        all.insert(reply(id * 10 + 1, "bob", id, SEALED)).await?;
    }
    Ok((t.db.on_behalf_of(&caller("ann")), all))
}

fn clean(what: &impl std::fmt::Debug) {
    let text = format!("{what:?}");
    assert!(!text.contains(SEALED), "{text}");
}

fn has_transactions(t: &Fixture) -> bool {
    t.adapter.capabilities().transactions
}

conformance! {
    async fn reads_find_what_the_caller_may_see(t) {
        let (ann, all) = fill(t).await?;
        let found = ann.find::<Letter>().sort(|l| l.id.asc()).include(|l| l.replies).await?;
        assert_eq!(found.iter().map(|l| l.id).collect::<Vec<_>>(), [1, 3]);
        assert!(found.iter().all(|l| l.replies.get().len() == 1), "{found:?}");
        clean(&found);
        assert_eq!(ann.get::<Letter>(2).await?, None);
        assert_eq!(ann.find::<Letter>().count().await?, 2);
        assert!(!ann.find::<Letter>().filter(|l| l.text.eq(SEALED)).exists().await?);
        clean(&ann.find::<Letter>().distinct(|l| l.text).await?);
        clean(&ann.group_by::<Letter, _>(|l| l.text).select(|l| l.stamps.sum()).await?);
        clean(&ann.find::<Letter>().sort(|l| l.text.asc()).select(|l| l.text).await?);
        assert_eq!(ann.find::<Letter>().with_deleted().count().await?, 2);
        assert_eq!(all.find::<Letter>().count().await?, 4);
        assert_eq!(t.db.on_behalf_of(&editor()).find::<Letter>().count().await?, 4);
    }

    async fn includes_and_relation_filters_are_narrowed_at_each_depth(t) {
        let (ann, _) = fill(t).await?;
        let boxes = ann.find::<Mailbox>().sort(|b| b.id.asc()).include(|b| b.letters.include(|l| l.replies)).await?;
        clean(&boxes);
        assert_eq!(boxes.iter().map(|b| b.letters.get().len()).collect::<Vec<_>>(), [1, 0, 1]);
        let limited = ann.find::<Mailbox>().include(|b| b.letters.sort(|l| l.id.asc()).limit(1)).await?;
        clean(&limited);
        let oracle = ann.find::<Mailbox>().filter(|b| b.letters.some(|l| l.text.eq(SEALED))).count().await?;
        assert_eq!(oracle, 0);
        let nested = ann.find::<Mailbox>().filter(|b| b.letters.some(|l| l.replies.some(|r| r.text.eq(SEALED))));
        assert_eq!(nested.count().await?, 0);
        let replies = ann.find::<Reply>().include(|r| r.letter).await?;
        assert_eq!(replies.len(), 4);
        clean(&replies);
    }

    async fn streams_and_pages_are_narrowed(t) {
        let (ann, _) = fill(t).await?;
        let mut stream = ann.find::<Letter>().stream();
        let mut ids = Vec::new();
        while let Some(found) = futures_util::StreamExt::next(&mut stream).await {
            ids.push(found?.id);
        }
        ids.sort_unstable();
        assert_eq!(ids, [1, 3]);
    }

    async fn relations_of_policies_are_joined_by_the_server_where_their_keys_are_many(t) {
        if !t.adapter.capabilities().lookup {
            return forge_tests::engine::unsupported(t, "$lookup");
        }
        fill(t).await?;
        let ann = t.joining_above(0).on_behalf_of(&caller("ann"));
        t.driver.take();
        let find = || ann.find::<Letter>().sort(|l| l.id.desc());
        let found = find().include(|l| l.replies).await?;
        assert_eq!(found.iter().map(|l| l.id).collect::<Vec<_>>(), [3, 1]);
        assert!(found.iter().all(|l| l.replies.get().len() == 1), "{found:?}");
        clean(&found);
        let commands = t.driver.take();
        let joined = commands.iter().filter(|c| c.collection == "letters" && format!("{c:?}").contains("$lookup"));
        assert!(joined.count() > 0, "{commands:?}");
        assert_eq!(find().limit(1).await?[0].id, 3);
        assert_eq!(find().skip(1).limit(5).await?[0].id, 1);
        assert_eq!(ann.get::<Letter>(2).await?, None);
        assert_eq!((find().count().await?, find().limit(1).count().await?), (2, 1));
        assert!(!ann.find::<Letter>().filter(|l| l.text.eq(SEALED)).exists().await?);
        let mut texts = ann.find::<Letter>().distinct(|l| l.text).await?;
        texts.sort();
        assert_eq!(texts, ["hers", "shared"]);
        assert_eq!(ann.find::<Letter>().distinct(|l| l.text).count().await?, 2);
        assert_eq!(ann.group_by::<Letter, _>(|l| l.text).select(|l| l.stamps.sum()).await?.len(), 2);
        assert_eq!(find().select(|l| l.text).await?, ["shared", "hers"]);
        let streamed: Vec<Letter> = find().stream().try_collect().await?;
        assert_eq!(streamed.len(), 2);
        assert_eq!(find().page(Page::first(1)).await?.items[0].id, 3);
        let boxes = ann.find::<Mailbox>().sort(|b| b.id.asc()).include(|b| b.letters.include(|l| l.replies)).await?;
        clean(&boxes);
        assert_eq!(boxes.iter().map(|b| b.letters.get().len()).collect::<Vec<_>>(), [1, 0, 1]);
        assert_eq!(ann.find::<Mailbox>().filter(|b| b.letters.some(|l| l.text.eq(SEALED))).count().await?, 0);
        let rows = ann.pipeline::<Letter>().match_(|l| l.text.ne("hers")).sort(|l| l.id.asc()).await?;
        assert_eq!(rows.iter().map(|l| l.id).collect::<Vec<_>>(), [3]);
        let streamed: Vec<Letter> = ann.pipeline::<Letter>().match_(|l| l.text.ne("hers")).stream().try_collect().await?;
        assert_eq!(streamed.iter().map(|l| l.id).collect::<Vec<_>>(), [3]);
        if has_transactions(t) {
            assert_eq!(ann.update_many::<Letter>().filter(|l| l.id.lt(3)).set(|l| l.text, "changed").await?, 1);
            let refused = ann.update_many::<Letter>().all().set(|l| l.text, "forged").await.unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Forbidden);
            assert_eq!(ann.find::<Letter>().filter(|l| l.text.eq("changed")).count().await?, 1);
        }
    }

    async fn a_handle_that_speaks_for_nobody_is_refused(t) {
        fill(t).await?;
        let error = t.db.find::<Letter>().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(error.message().contains("without_policies"), "{error}");
        let stranger = t.db.on_behalf_of(&Caller::default());
        assert_eq!(stranger.find::<Letter>().await.unwrap_err().code(), ErrorCode::Unauthorized);
        assert_eq!(stranger.find::<Reply>().count().await?, 0);
        let error = stranger.find::<Mailbox>().filter(|b| b.letters.some(|l| l.id.gt(0))).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unauthorized);
    }

    async fn inserts_are_shown_to_the_policy(t) {
        let (ann, all) = fill(t).await?;
        ann.insert(letter(5, "ann", "bob", "to bob")).await?;
        let error = ann.insert(letter(6, "bob", "ann", "forged")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden);
        let many = ann.insert_many([letter(7, "ann", "ann", "x"), letter(8, "bob", "ann", "forged")]).await;
        assert_eq!(many.unwrap_err().code(), ErrorCode::Forbidden);
        assert_eq!(all.find::<Letter>().filter(|l| l.id.gt(5)).count().await?, 0);
    }

    async fn updates_reach_what_may_be_read_and_are_shown_with_both_states(t) {
        let (ann, all) = fill(t).await?;
        if !has_transactions(t) {
            return Ok(());
        }
        let changed = ann.update::<Letter>(1).set(|l| l.text, "new").await?;
        assert_eq!(changed.text, "new");
        let hidden = ann.update::<Letter>(2).set(|l| l.text, "stolen").await.unwrap_err();
        assert_eq!(hidden.code(), ErrorCode::NotFound, "what is hidden is missing");
        for id in [1, 3] {
            // Hers, given away; another's, taken.
            let error = ann.update::<Letter>(id).set(|l| l.author, if id == 1 { "bob" } else { "ann" }).await;
            assert_eq!(error.unwrap_err().code(), ErrorCode::Forbidden, "{id}");
        }
        let error = ann.update_many::<Letter>().all().inc(|l| l.stamps, 1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden, "one of them is not hers");
        let count = ann.update_many::<Letter>().filter(|l| l.author.eq("ann")).inc(|l| l.stamps, 1).await?;
        assert_eq!(count, 1);
        ann.update::<Letter>(1).patch(LetterPatch { text: Some("by patch".to_owned()), ..LetterPatch::default() }).await?;
        let stored = all.find::<Letter>().sort(|l| l.id.asc()).await?;
        assert_eq!(stored.iter().map(|l| l.stamps).collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert_eq!(stored[0].author, "ann");
        assert_eq!((stored[1].text.as_str(), stored[2].author.as_str()), (SEALED, "bob"));
    }

    async fn upserts_neither_take_over_nor_forge(t) {
        let (ann, all) = fill(t).await?;
        if !has_transactions(t) {
            return Ok(());
        }
        let error = ann.upsert(letter(2, "ann", "ann", "x")).set(|l| l.text, "x").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden);
        let error = ann.upsert(letter(9, "bob", "ann", "x")).set(|l| l.text, "x").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden);
        assert_eq!(all.find::<Letter>().count().await?, 4);
        let made = ann.upsert(letter(9, "ann", "ann", "x")).set(|l| l.text, "y").await?;
        assert_eq!(made.document.author, "ann");
        ann.upsert(letter(9, "ann", "ann", "x")).set(|l| l.text, "z").await?;
        assert_eq!(all.get::<Letter>(9).await?.map(|l| l.text).as_deref(), Some("z"));
    }

    async fn deletes_are_shown_to_the_policy_and_take_along_what_hangs_on(t) {
        let (ann, all) = fill(t).await?;
        if !has_transactions(t) {
            return Ok(());
        }
        assert_eq!(ann.delete::<Letter>(2).await.unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(ann.delete::<Letter>(3).await.unwrap_err().code(), ErrorCode::Forbidden);
        assert_eq!(ann.delete::<Reply>(11).await.unwrap_err().code(), ErrorCode::NotFound);
        ann.delete::<Letter>(1).purge().await?;
        // Bob's reply as well, which Ann cannot see: nothing refers to a missing letter.
        assert_eq!(all.find::<Reply>().filter(|r| r.letter_id.eq(1)).count().await?, 0);
        assert_eq!(ann.delete_many::<Reply>().all().await?, 3);
        assert_eq!(all.find::<Reply>().count().await?, 3);
        assert_eq!(all.find::<Letter>().count().await?, 3);
    }

    async fn what_is_refused_inside_a_transaction_undoes_it(t) {
        let (ann, all) = fill(t).await?;
        if !has_transactions(t) {
            return Ok(());
        }
        let outcome = ann
            .transaction(async |tx| {
                tx.update::<Letter>(1).set(|l| l.text, "first").await?;
                // The error is passed over, what it tells of is not.
                let _ = tx.update::<Letter>(1).set(|l| l.author, "bob").await;
                Ok(())
            })
            .await;
        assert_eq!(outcome.unwrap_err().code(), ErrorCode::Conflict);
        let stored = all.get::<Letter>(1).await?.unwrap();
        assert_eq!((stored.author.as_str(), stored.text.as_str()), ("ann", "hers"));
    }

    async fn change_streams_tell_what_the_caller_may_see(t) {
        if !t.adapter.capabilities().change_streams || t.engine == Engine::Server {
            return Ok(());
        }
        let (ann, all) = fill(t).await?;
        assert_eq!(ann.watch::<Letter>().await.err().map(|e| e.code()), Some(ErrorCode::Unsupported), "by relations");
        let mut changes = ann.watch::<Reply>().await?;
        all.insert(reply(90, "bob", 1, SEALED)).await?;
        all.insert(reply(91, "ann", 1, "hers")).await?;
        all.update::<Reply>(91).set(|r| r.author, "bob").set(|r| r.text, SEALED).await?;
        all.delete::<Reply>(90).await?;
        all.insert(reply(92, "ann", 1, "last")).await?;
        let mut told = Vec::new();
        for _ in 0..3 {
            let change = tokio::time::timeout(Duration::from_secs(10), changes.next()).await.unwrap().unwrap()?;
            told.push(match change.event {
                Event::Insert(reply) => format!("insert {}", reply.text),
                Event::Delete { .. } => "delete".to_owned(),
                _ => "else".to_owned(),
            });
        }
        assert_eq!(told, ["insert hers", "delete", "insert last"]);
    }
}

/// A server whose tokens are names; the editor is called `ed`.
async fn server() -> TestServer {
    let names = async |credentials: Credentials| {
        Ok(credentials
            .token
            .map(|name| if name == "ed" { Auth::new(name).role("editor") } else { Auth::new(name) }))
    };
    TestServer::with_archive(|app| app.auth(names)).await
}

#[tokio::test]
async fn policies_hold_in_other_clusters() {
    let server = server().await;
    let hers = json!({ "reply": { "id": 1, "author": "ann", "letter_id": 1, "text": SEALED } });
    assert_eq!(server.http().signed("mutation", "archive_reply", "bob", &hers).await.status, 403);
    assert_eq!(server.http().signed("mutation", "archive_reply", "ann", &hers).await.status, 200);
    for (name, expected) in [("ann", vec![1]), ("bob", vec![])] {
        // Live results of two callers are no more shared than those of this cluster.
        let mut socket = sign_in(&server, name).await;
        let data = socket.follow(1, "archived_replies", json!({})).await;
        assert_eq!(ids(&data), expected, "{name}");
    }
}

async fn sign_in(server: &TestServer, name: &str) -> Socket {
    let mut socket = server.socket().await;
    socket.send(json!({ "op": "auth", "token": name })).await;
    socket.expect("ready").await;
    socket
}

fn ids(data: &Value) -> Vec<i64> {
    data.as_array().unwrap().iter().map(|reply| reply["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_live_result_is_shared_by_those_whom_the_policy_sees_alike_and_nobody_else() {
    let server = server().await;
    let mut sockets = Vec::new();
    for name in ["ann", "ann", "bob"] {
        let mut socket = sign_in(&server, name).await;
        // The handler itself looks at nothing of its caller.
        assert_eq!(socket.follow(1, "my_replies", json!({})).await, json!([]));
        sockets.push(socket);
    }
    for (id, name, text) in [(1, "ann", "hers"), (2, "bob", SEALED), (3, "ann", "hers too")] {
        let reply = json!({ "reply": { "id": id, "author": name, "letter_id": 1, "text": text } });
        assert_eq!(server.http().signed("mutation", "send_reply", name, &reply).await.status, 200);
    }
    for (socket, expected) in sockets.iter_mut().zip([vec![1, 3], vec![1, 3], vec![2]]) {
        let last = socket.until(1, |data| {
            assert!(ids(data).iter().all(|id| expected.contains(id)), "{data}");
            ids(data) == expected
        });
        last.await;
    }
    // The same socket as somebody else.
    sockets[0].send(json!({ "op": "auth", "token": "bob" })).await;
    sockets[0].expect("ready").await;
    let data = sockets[0].result(1).await["data"].clone();
    assert_eq!(ids(&data), [2]);
}

#[tokio::test]
async fn a_live_result_follows_the_relations_that_a_policy_asks() {
    let server = server().await;
    let all = server.db.without_policies();
    all.insert(NewMailbox { id: "box".to_owned(), members: None }).await.unwrap();
    all.insert(letter(1, "bob", "box", "for members")).await.unwrap();
    let mut ann = sign_in(&server, "ann").await;
    assert_eq!(ann.follow(1, "letters", json!({})).await, json!([]));
    all.update::<Mailbox>("box".to_owned()).add_to_set(|b| b.members, "ann").await.unwrap();
    assert_eq!(ids(&ann.result(1).await["data"]), [1]);
    all.update::<Mailbox>("box".to_owned()).set(|b| b.members, Vec::<String>::new()).await.unwrap();
    assert_eq!(ids(&ann.result(1).await["data"]), [0; 0]);
}

#[tokio::test]
async fn a_handler_that_passes_over_a_refusal_writes_nothing() {
    let server = server().await;
    let all = server.db.without_policies();
    all.insert(reply(1, "ann", 1, "hers")).await.unwrap();
    let theft = json!({ "id": 1, "thief": "bob" });
    let answer = server.http().signed("mutation", "steal_quietly", "ann", &theft).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "conflict"), "{answer:?}");
    let forged = json!({ "reply": { "id": 2, "author": "bob", "letter_id": 1, "text": "forged" } });
    assert_eq!(server.http().signed("mutation", "send_reply", "ann", &forged).await.status, 403);
    let change = json!({ "id": 1, "patch": { "text": "theirs" } });
    let hidden = server.http().signed("mutation", "change_reply", "bob", &change).await;
    assert_eq!((hidden.status, hidden.code().as_str()), (404, "not_found"), "{hidden:?}");
    assert_eq!(all.find::<Reply>().one().await.unwrap().author, "ann");
}
