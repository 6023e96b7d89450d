//! Typed change streams: what changed, whom it concerns, and handlers that outlive their process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bson::doc;
use forge::watch::{Change, ChangeStream, Event, ResumeToken, is_history_lost};
use forge::{DateTime, Error, ErrorCode};
use forge_tests::engine::{Fixture, unsupported};
use forge_tests::models::{Person, person};
use forge_tests::proxy::{Proxy, host_of};
use forge_tests::tenants::{Project, project};
use forge_tests::{Engine, Result, conformance};

type People = ChangeStream<Person>;

fn lacks(t: &Fixture) -> bool {
    !t.adapter.capabilities().change_streams
}

async fn next<M: forge::Model>(changes: &mut ChangeStream<M>) -> Result<Change<M>> {
    tokio::time::timeout(Duration::from_secs(10), changes.next())
        .await
        .expect("a change should come")
        .unwrap()
}

async fn silent(changes: &mut People) -> bool {
    tokio::time::timeout(Duration::from_millis(300), changes.next()).await.is_err()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}");
}

/// The ids that handlers saw, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn add(&self, change: &Change<Person>) {
        let name = match &change.event {
            Event::Insert(person) => person.name.clone(),
            other => panic!("{:?}", std::mem::discriminant(other)),
        };
        self.0.lock().unwrap().push(name);
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

conformance! {
    async fn each_kind_of_change_is_told_with_its_document(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        t.push().await?;
        // The tenant's models keep before-images on every engine that can.
        let db = t.db.across_tenants();
        let mut changes = db.watch::<Project>().await?;
        let mut new = project("one");
        new.org = Some("a".to_owned());
        let made = db.insert(new).await?;
        db.update::<Project>(made.id).inc(|p| p.points, 5).set(|p| p.slug, "s".to_owned()).await?;
        db.update::<Project>(made.id).unset(|p| p.slug).await?;
        db.delete::<Project>(made.id).purge().await?;
        match next(&mut changes).await?.event {
            Event::Insert(document) => assert_eq!(document, made),
            _ => panic!("no insert"),
        }
        let Event::Update(update) = next(&mut changes).await?.event else { panic!("no update") };
        assert_eq!(update.id, made.id);
        assert!(update.changed.has(|p| p.points) && !update.changed.has(|p| p.name), "{:?}", update.changed);
        assert_eq!(update.changed.get(|p| p.points)?, Some(5));
        assert_eq!(update.changed.get(|p| p.slug)?, Some(Some("s".to_owned())));
        assert_eq!(update.changed.get(|p| p.name)?, None);
        let exact = t.adapter.capabilities().pre_images;
        if exact {
            assert_eq!(update.before.unwrap().points, 0);
            assert_eq!(update.document.unwrap().slug.as_deref(), Some("s"), "though it is gone by now");
        }
        let Event::Update(update) = next(&mut changes).await?.event else { panic!("no update") };
        assert_eq!(update.changed.removed().collect::<Vec<_>>(), ["slug"]);
        assert_eq!(update.changed.get(|p| p.slug)?, None);
        let Event::Delete { id, before } = next(&mut changes).await?.event else { panic!("no delete") };
        assert_eq!(id, made.id);
        assert!(!exact || before.is_some_and(|before| before.points == 5));
    }

    async fn a_filter_tells_who_comes_and_goes(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let (ann, bob) = (t.db.insert(person("Ann")).await?, t.db.insert(person("Bob")).await?);
        let mut changes = t.db.watch::<Person>().filter(|p| p.visits.gt(5)).await?;
        t.db.update::<Person>(bob.id).set(|p| p.name, "Robert").await?;
        t.db.update::<Person>(ann.id).set(|p| p.visits, 9).await?;
        let change = next(&mut changes).await?;
        let Event::Update(update) = &change.event else { panic!("no update") };
        assert_eq!((update.id, change.matches_now), (ann.id, Some(true)), "Bob never matched");
        t.db.update::<Person>(ann.id).set(|p| p.visits, 1).await?;
        let change = next(&mut changes).await?;
        assert_eq!(change.matches_now, Some(false));
        if t.adapter.capabilities().always_pre_images {
            assert!(change.left() && !change.entered());
        }
        assert!(silent(&mut changes).await);
    }

    async fn tokens_are_saved_and_resumed(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut changes = t.db.watch::<Person>().await?;
        for name in ["Ann", "Bob", "Cid"] {
            t.db.insert(person(name)).await?;
        }
        let token = next(&mut changes).await?.token.unwrap();
        assert_eq!(changes.token(), Some(&token));
        let saved = bson::serialize_to_vec(&token).map_err(|e| Error::internal(e.to_string()))?;
        let token: ResumeToken = bson::deserialize_from_slice(&saved).unwrap();
        drop(changes);
        t.db.insert(person("Dan")).await?;
        let mut changes = t.db.watch::<Person>().resume_after(token).await?;
        for expected in ["Bob", "Cid", "Dan"] {
            let Event::Insert(person) = next(&mut changes).await?.event else { panic!("no insert") };
            assert_eq!(person.name, expected);
        }
        assert!(silent(&mut changes).await);
    }

    async fn only_the_last_change_of_a_transaction_is_a_place_to_resume(t) {
        if lacks(t) || !t.adapter.capabilities().transactions {
            return unsupported(t, "transactions in change streams");
        }
        t.push().await?;
        let mut changes = t.db.watch::<Person>().await?;
        t.db.transaction(async |tx| {
            tx.insert(person("Ann")).await?;
            tx.insert(person("Bob")).await
        }).await?;
        let (first, second) = (next(&mut changes).await?, next(&mut changes).await?);
        assert_eq!(first.version, second.version);
        assert!(first.token.is_none() && second.token.is_some());
    }

    async fn a_stream_begins_at_a_moment(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        // The embedded engine goes by the fixture's clock, a server by its own.
        t.db.insert(person("Before")).await?;
        t.clock.advance(10_000);
        let start = if t.engine == Engine::Server {
            tokio::time::sleep(Duration::from_millis(2_100)).await;
            let now = forge::system_env().now();
            DateTime::from_millis(now.millis() - 500)
        } else {
            t.clock.now()
        };
        t.db.insert(person("Ann")).await?;
        let mut changes = t.db.watch::<Person>().start_at(start).await?;
        let Event::Insert(person) = next(&mut changes).await?.event else { panic!("no insert") };
        assert_eq!(person.name, "Ann");
    }

    async fn a_document_that_does_not_fit_is_named_and_the_stream_goes_on(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut changes = t.db.watch::<Person>().await?;
        let mut lenient = t.db.watch::<Person>().lenient().await?;
        t.seed("people", [doc! { "_id": "legacy", "name": 7 }]).await?;
        t.db.insert(person("Ann")).await?;
        let error = next(&mut changes).await.unwrap_err();
        assert!(error.message().contains("legacy") && error.message().contains("people"), "{error}");
        assert!(matches!(next(&mut changes).await?.event, Event::Insert(_)));
        assert!(matches!(next(&mut lenient).await?.event, Event::Insert(person) if person.name == "Ann"));
    }

    async fn lost_history_ends_the_stream_and_says_so(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let foreign = ResumeToken(bson::bson!({ "_data": "82FFFFFFFF000000012B0229296E04" }));
        let error = match t.db.watch::<Person>().resume_after(foreign).await {
            Err(error) => Some(error),
            Ok(mut changes) => {
                t.db.insert(person("Ann")).await?;
                tokio::time::timeout(Duration::from_secs(2), changes.next()).await.ok().flatten().and_then(Result::err)
            }
        };
        match error {
            Some(error) => assert!(is_history_lost(&error), "{error:?}"),
            None => assert_eq!(t.engine, Engine::Server, "the embedded engine can tell"),
        }
    }

    async fn conditions_on_relations_are_refused(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let watch = t.db.watch::<forge_tests::models::Author>().filter(|a| a.books.some(|b| b.year.gt(1)));
        assert_eq!(watch.await.err().unwrap().code(), ErrorCode::Unsupported);
    }

    async fn a_durable_watch_goes_on_where_it_was(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let seen = Seen::default();
        let run = |seen: Seen| {
            let watch = t.db.watch::<Person>().durable("mails").lease(Duration::from_millis(300));
            async move {
                watch.run(|change| {
                    let seen = seen.clone();
                    async move {
                        seen.add(&change);
                        Ok(())
                    }
                }).await
            }
        };
        let first = tokio::spawn(run(seen.clone()));
        wait_for_record(t).await;
        t.db.insert(person("Ann")).await?;
        until("Ann is handed over", || seen.names() == ["Ann"]).await;
        wait_for_place(t).await;
        end(first).await;
        t.db.insert(person("Bob")).await?;
        // Its lease runs out.
        t.clock.advance(1_000);
        let second = tokio::spawn(run(seen.clone()));
        t.db.insert(person("Cid")).await?;
        until("what came meanwhile is handed over", || seen.names().len() >= 3).await;
        let names = seen.names();
        let rest: Vec<_> = names.iter().skip_while(|name| *name == "Ann").collect();
        assert_eq!(rest, ["Bob", "Cid"], "at least once, in order: {names:?}");
        end(second).await;
    }

    async fn a_durable_watch_whose_place_is_lost_ends_or_starts_over(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let place = doc! { "_data": "82FFFFFFFF000000012B0229296E04" };
        let long_ago = bson::DateTime::from_millis(0);
        t.seed("forge_watch", [doc! { "_id": "lost", "owner": "nobody", "until": long_ago, "token": place.clone() }]).await?;
        let watch = || t.db.watch::<Person>().durable("lost");
        let ended = watch().run(async |_| Ok(()));
        let ended = if t.engine == Engine::Server {
            tokio::time::timeout(Duration::from_secs(2), ended).await
        } else {
            Ok(ended.await)
        };
        let Ok(ended) = ended else { return unsupported(t, "places that it has forgotten") };
        let error = ended.unwrap_err();
        assert!(is_history_lost(&error) && error.message().contains("\"lost\""), "{error:?}");
        let (seen, over) = (Seen::default(), watch().start_over_when_lost());
        let run = tokio::spawn({
            let seen = seen.clone();
            async move {
                over.run(|change| {
                    let seen = seen.clone();
                    async move {
                        seen.add(&change);
                        Ok(())
                    }
                }).await
            }
        });
        for _ in 0..500 {
            let record = t.stored("forge_watch").await?.remove(0);
            if record.get_document("token").is_ok_and(|token| *token != place) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        t.db.insert(person("Ann")).await?;
        until("what comes from now on is handed over", || seen.names() == ["Ann"]).await;
        end(run).await;
    }

    async fn one_process_runs_a_durable_watch_and_others_stand_by(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let (mut runs, counts) = (Vec::new(), [(); 2].map(|()| Arc::new(AtomicUsize::new(0))));
        for count in &counts {
            let watch = t.db.watch::<Person>().durable("one").lease(Duration::from_millis(300));
            let count = count.clone();
            runs.push(tokio::spawn(async move {
                watch.run(|_| {
                    let count = count.clone();
                    async move {
                        count.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    }
                }).await
            }));
            wait_for_record(t).await;
        }
        t.db.insert(person("Ann")).await?;
        until("the first has it", || counts[0].load(Ordering::SeqCst) == 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(counts[1].load(Ordering::SeqCst), 0, "the second stands by");
        end(runs.remove(0)).await;
        t.clock.advance(1_000);
        t.db.insert(person("Bob")).await?;
        until("the second takes over", || counts[1].load(Ordering::SeqCst) >= 1).await;
        end(runs.remove(0)).await;
    }

    async fn a_handler_that_fails_is_called_again_and_nothing_is_passed_over(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let (seen, failures) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let watch = t.db.watch::<Person>().durable("failing");
        let run = tokio::spawn({
            let (seen, failures) = (seen.clone(), failures.clone());
            async move {
                watch.run(|change| {
                    let (seen, failures) = (seen.clone(), failures.clone());
                    async move {
                        if failures.fetch_add(1, Ordering::SeqCst) < 2 {
                            return Err(Error::unavailable("the mail server is down"));
                        }
                        seen.add(&change);
                        Ok(())
                    }
                }).await
            }
        });
        wait_for_record(t).await;
        t.db.insert(person("Ann")).await?;
        t.db.insert(person("Bob")).await?;
        until("both are handed over", || seen.names() == ["Ann", "Bob"]).await;
        assert_eq!(failures.load(Ordering::SeqCst), 4);
        end(run).await;
        t.clock.advance(60_000);
        let watch = t.db.watch::<Person>().durable("failing").max_attempts(2);
        t.db.insert(person("Cid")).await?;
        let error = watch.run(async |_| Err(Error::conflict("never"))).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict);
        assert!(error.message().contains("\"failing\"") && error.message().contains("never"), "{error}");
    }
}

/// The server's side alone: the embedded engine has no connections to lose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_over_broken_connections() -> Result<()> {
    let Ok(uri) = std::env::var(forge_tests::engine::URI_VARIABLE) else {
        forge_tests::engine::skip_without_server();
        return Ok(());
    };
    let proxy = Proxy::to(&host_of(&uri)).await;
    let (catalog, env) = (forge_tests::engine::catalog(), forge::system_env());
    let adapter = forge::connect(&proxy.through(&uri), catalog.clone(), &env).await?;
    if !adapter.capabilities().change_streams {
        forge_tests::engine::skip("the server has no change streams");
        return Ok(());
    }
    let name = format!("t_broken_{:08x}", forge_tests::engine::random() as u32);
    let db = forge::Db::new(adapter, catalog.clone(), env.clone()).database(&name);
    let direct =
        forge::Db::new(forge::connect(&uri, catalog, &env).await?, db.catalog().clone(), env).database(&name);
    let mut changes = db.watch::<Person>().await?;
    for round in 0..3 {
        direct.insert(person(&format!("before{round}"))).await?;
        assert!(proxy.cut() > 0);
        direct.insert(person(&format!("after{round}"))).await?;
        for expected in ["before", "after"] {
            let Event::Insert(person) = next(&mut changes).await?.event else { panic!("no insert") };
            assert_eq!(person.name, format!("{expected}{round}"), "each once, in order");
        }
    }
    assert!(silent(&mut changes).await);
    direct.delete_many::<Person>().all().await?;
    Ok(())
}

/// Ends a watch as the end of its process would: it keeps nothing more.
async fn end(run: tokio::task::JoinHandle<Result<()>>) {
    run.abort();
    assert!(run.await.is_err_and(|error| error.is_cancelled()), "it goes on for ever");
}

/// Waits until a durable watch has begun.
async fn wait_for_record(t: &Fixture) {
    for _ in 0..500 {
        let records = t.stored("forge_watch").await.unwrap();
        if records.iter().any(|record| record.contains_key("token")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the watch does not begin");
}

/// Waits until the place after what was handed over is kept.
async fn wait_for_place(t: &Fixture) {
    let first = t.stored("forge_watch").await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if t.stored("forge_watch").await.unwrap() != first {
            return;
        }
    }
}
