//! Transactions: all or nothing, and alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use forge::{Error, ErrorCode};
use forge_tests::engine::unsupported;
use forge_tests::models::{Person, person};
use forge_tests::{Fixture, Result, conformance};

fn lacks(t: &Fixture) -> bool {
    !t.adapter.capabilities().transactions
}

async fn count(t: &Fixture) -> Result<u64> {
    t.db.find::<Person>().count().await
}

conformance! {
    async fn a_commit_shows_everything_at_once(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let answer = t.db.transaction(async |tx| {
            assert!(tx.in_transaction());
            tx.insert(person("Ann")).await?;
            tx.insert(person("Bob")).await?;
            assert_eq!(tx.find::<Person>().count().await?, 2, "it reads its own writes");
            assert_eq!(t.db.find::<Person>().count().await?, 0, "nobody else does");
            Ok(7)
        }).await?;
        assert_eq!((answer, count(t).await?), (7, 2));
    }

    async fn an_error_undoes_everything(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let ann = t.db.insert(person("Ann")).await?;
        let error = t.db.transaction(async |tx| {
            tx.insert(person("Bob")).await?;
            tx.update::<Person>(ann.id).set(|p| p.visits, 9).await?;
            tx.delete_many::<Person>().filter(|p| p.name.eq("Ann")).await?;
            Err::<(), _>(Error::bad_request("no"))
        }).await.unwrap_err();
        assert_eq!(error.message(), "no");
        assert_eq!(t.db.find::<Person>().await?, [ann]);
        t.db.insert(person("Bob")).await?;
    }

    async fn a_unique_violation_inside_undoes_the_rest(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        t.db.insert(person("Ann")).await?;
        let error = t.db.transaction(async |tx| {
            tx.insert(person("Bob")).await?;
            tx.insert(person("Ann")).await
        }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UniqueViolation, "{error:?}");
        assert_eq!(count(t).await?, 1);
    }

    async fn a_dropped_transaction_is_undone(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let work = t.db.transaction(async |tx| {
            tx.insert(person("Ann")).await?;
            std::future::pending::<Result<()>>().await
        });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(200), work).await.is_err());
        assert_eq!(count(t).await?, 0);
        t.db.transaction(async |tx| tx.insert(person("Ann")).await).await?;
        assert_eq!(count(t).await?, 1, "and the next one is not held up");
    }

    async fn conflicts_are_tried_again_and_no_increment_is_lost(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let ann = t.db.insert(person("Ann")).await?;
        let runs = AtomicUsize::new(0);
        let raise = async || {
            t.db.transaction(async |tx| {
                runs.fetch_add(1, Ordering::SeqCst);
                let now = tx.get::<Person>(ann.id).await?.unwrap().visits;
                tokio::task::yield_now().await;
                tx.update::<Person>(ann.id).set(|p| p.visits, now + 1).await
            }).await
        };
        let answers = futures_util::future::join_all((0..4).map(|_| raise())).await;
        for answer in &answers {
            assert!(answer.is_ok(), "{answer:?}");
        }
        assert_eq!(t.db.get::<Person>(ann.id).await?.unwrap().visits, 4, "after {} runs", runs.load(Ordering::SeqCst));
    }

    async fn a_nested_transaction_joins(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let error = t.db.transaction(async |tx| {
            tx.transaction(async |inner| inner.insert(person("Ann")).await).await?;
            Err::<(), _>(Error::conflict("outer"))
        }).await.unwrap_err();
        assert_eq!(error.message(), "outer");
        assert_eq!(count(t).await?, 0);
    }

    async fn the_error_of_the_work_is_the_answer(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        let runs = AtomicUsize::new(0);
        let error = t.db.transaction(async |_| {
            runs.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(Error::conflict("mine"))
        }).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (ErrorCode::Conflict, "mine"));
        assert_eq!(runs.load(Ordering::SeqCst), 1, "a handler's own conflict is not run again");
    }

    async fn a_commit_tells_its_version_where_the_engine_knows(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let begun = t.adapter.begin(&forge::adapter::Exec::default()).await?;
        let exec = forge::adapter::Exec { transaction: Some(begun.clone()), ..Default::default() };
        let document = bson::rawdoc! { "_id": 1 };
        let model = forge::model::ModelRef(<forge_tests::models::Item as forge::Model>::def());
        let insert = forge::ir::Insert { model, documents: vec![document], skip_duplicates: false };
        t.adapter.execute(&exec, forge::ir::Operation::Insert(insert)).await?;
        let mut feed = t.adapter.watch(t.name(), None).await?;
        let version = begun.commit().await?;
        let commit = futures_util::StreamExt::next(&mut feed).await.unwrap()?;
        assert_eq!(version.unwrap_or(commit.version), commit.version);
        assert!(t.engine == forge_tests::Engine::Server || version.is_some());
    }

    async fn databases_are_separate(t) {
        let other = t.db.database(&format!("{}_b", t.name()));
        t.db.insert(person("Ann")).await?;
        assert_eq!(other.find::<Person>().count().await?, 0);
        other.insert(person("Bob")).await?;
        assert_eq!(other.find::<Person>().one().await?.name, "Bob");
        assert_eq!(t.db.find::<Person>().one().await?.name, "Ann");
        forge_mongo::Driver::drop_database(&*t.driver, other.name()).await?;
        assert_eq!(other.find::<Person>().count().await?, 0);
        assert_eq!(count(t).await?, 1);
    }
}
