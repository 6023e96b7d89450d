//! The change feed: everything that commits, once, in order.

use std::time::Duration;

use bson::{Bson, Document, doc};
use forge::adapter::{ChangeKind, Commit, ResumeToken, is_history_lost};
use forge_tests::engine::unsupported;
use forge_tests::models::{Person, person};
use forge_tests::{Engine, Fixture, Result, conformance};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;

type Feed = BoxStream<'static, Result<Commit>>;

fn lacks(t: &Fixture) -> bool {
    !t.adapter.capabilities().change_streams
}

async fn next(feed: &mut Feed) -> Result<Commit> {
    tokio::time::timeout(Duration::from_secs(10), feed.next()).await.expect("a commit should come").unwrap()
}

async fn silent(feed: &mut Feed) -> bool {
    tokio::time::timeout(Duration::from_millis(300), feed.next()).await.is_err()
}

fn kinds(commit: &Commit) -> Vec<ChangeKind> {
    commit.changes.iter().map(|change| change.kind).collect()
}

fn document(raw: Option<&bson::RawDocumentBuf>) -> Option<Document> {
    raw.map(|raw| Document::try_from(raw).unwrap())
}

conformance! {
    async fn a_feed_opened_before_a_write_sees_it(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        t.db.insert(person("Before")).await?;
        let mut feed = t.adapter.watch(t.name(), None).await?;
        let ann = t.db.insert(person("Ann")).await?;
        let commit = next(&mut feed).await?;
        assert_eq!((kinds(&commit), &*commit.changes[0].collection), (vec![ChangeKind::Insert], "people"));
        assert_eq!(commit.changes[0].id, Bson::ObjectId(ann.id.object_id()));
        assert!(silent(&mut feed).await, "what was there before is not a change");
    }

    async fn changes_come_in_order_with_growing_versions(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut feed = t.adapter.watch(t.name(), None).await?;
        for id in 0..20 {
            t.seed("items", [doc! { "_id": id }]).await?;
        }
        let mut last = 0;
        for id in 0..20 {
            let commit = next(&mut feed).await?;
            assert_eq!(commit.changes[0].id, Bson::Int32(id));
            assert!(commit.version > last && commit.version < 1 << 53, "{} after {last}", commit.version);
            last = commit.version;
        }
    }

    async fn every_kind_of_change_has_its_states(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let ann = t.db.insert(person("Ann")).await?;
        let mut feed = t.adapter.watch(t.name(), None).await?;
        t.db.update::<Person>(ann.id).set(|p| p.visits, 5).await?;
        t.db.delete::<Person>(ann.id).await?;
        let (update, delete) = (next(&mut feed).await?, next(&mut feed).await?);
        assert_eq!((kinds(&update), kinds(&delete)), (vec![ChangeKind::Update], vec![ChangeKind::Delete]));
        let change = &update.changes[0];
        if let Some(after) = document(change.after.as_ref()) {
            assert_eq!(after.get_i64("visits").unwrap(), 5);
        }
        if let Some(touched) = &change.touched {
            assert!(touched.iter().any(|path| path == "visits") && !touched.iter().any(|path| path == "name"), "{touched:?}");
        }
        if t.adapter.capabilities().always_pre_images {
            assert_eq!(document(change.before.as_ref()).unwrap().get_i64("visits").unwrap(), 0);
            assert_eq!(document(delete.changes[0].before.as_ref()).unwrap().get_i64("visits").unwrap(), 5);
        } else {
            assert_eq!(t.engine, Engine::Server);
        }
        assert_eq!(document(delete.changes[0].after.as_ref()), None);
    }

    async fn a_transaction_is_one_commit(t) {
        if lacks(t) || !t.adapter.capabilities().transactions {
            return unsupported(t, "transactions in change streams");
        }
        t.push().await?;
        let mut feed = t.adapter.watch(t.name(), None).await?;
        t.db.transaction(async |tx| {
            let ann = tx.insert(person("Ann")).await?;
            tx.insert(person("Bob")).await?;
            tx.update::<Person>(ann.id).set(|p| p.visits, 5).await
        }).await?;
        t.db.transaction(async |tx| {
            tx.insert(person("Cid")).await?;
            Err::<(), _>(forge::Error::conflict("no"))
        }).await.unwrap_err();
        t.db.insert(person("Dan")).await?;
        let first = next(&mut feed).await?;
        assert_eq!(kinds(&first), [ChangeKind::Insert, ChangeKind::Insert, ChangeKind::Update]);
        let second = next(&mut feed).await?;
        assert_eq!(document(second.changes[0].after.as_ref()).unwrap().get_str("name").unwrap(), "Dan", "what was undone never happened");
    }

    async fn writes_that_change_nothing_are_silent(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        t.seed("items", [doc! { "_id": 1, "v": 1 }]).await?;
        let mut feed = t.adapter.watch(t.name(), None).await?;
        for (filter, update) in [(doc! { "_id": 1 }, doc! { "$set": { "v": 1 } }), (doc! { "_id": 9 }, doc! { "$set": { "v": 2 } })] {
            t.send("items", forge_mongo::Command::Update { filter, update: update.into(), many: false, upsert: false }).await?;
        }
        t.send("items", forge_mongo::Command::Delete { filter: doc! { "_id": 9 }, many: true }).await?;
        assert!(silent(&mut feed).await);
    }

    async fn a_feed_resumes_after_its_token(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut feed = t.adapter.watch(t.name(), None).await?;
        for id in 0..5 {
            t.seed("items", [doc! { "_id": id }]).await?;
        }
        next(&mut feed).await?;
        let second = next(&mut feed).await?;
        drop(feed);
        t.seed("items", [doc! { "_id": 5 }]).await?;
        let mut feed = t.adapter.watch(t.name(), Some(second.token)).await?;
        for id in 2..=5 {
            let commit = next(&mut feed).await?;
            assert_eq!(commit.changes[0].id, Bson::Int32(id));
            assert!(commit.version > second.version);
        }
        assert!(silent(&mut feed).await, "nothing twice");
    }

    async fn two_feeds_see_the_same(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut one = t.adapter.watch(t.name(), None).await?;
        let mut two = t.adapter.watch(t.name(), None).await?;
        t.seed("items", [doc! { "_id": 1 }]).await?;
        let (one, two) = (next(&mut one).await?, next(&mut two).await?);
        assert_eq!((one.version, &one.token), (two.version, &two.token));
    }

    async fn a_token_from_elsewhere_is_lost_history(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let foreign = ResumeToken(bson::bson!({ "_data": "82FFFFFFFF000000012B0229296E04" }));
        let error = match t.adapter.watch(t.name(), Some(foreign)).await {
            Err(error) => Some(error),
            Ok(mut feed) => {
                t.seed("items", [doc! { "_id": 1 }]).await?;
                match tokio::time::timeout(Duration::from_secs(2), feed.next()).await {
                    Ok(Some(Err(error))) => Some(error),
                    _ => None,
                }
            }
        };
        match error {
            Some(error) => assert!(is_history_lost(&error), "{error:?}"),
            None => assert_eq!(t.engine, Engine::Server, "the embedded engine can tell"),
        }
    }

    async fn other_databases_are_not_in_the_feed(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut feed = t.adapter.watch(t.name(), None).await?;
        let other = t.db.database(&format!("{}_b", t.name()));
        other.insert(person("Ann")).await?;
        assert!(silent(&mut feed).await);
        forge_mongo::Driver::drop_database(&*t.driver, other.name()).await?;
    }
}
