//! Transactions: all or nothing, and alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forge::error::Retry;
use forge::transaction::{ReadConcern, TransactionOptions, WriteConcern};
use forge::{Error, ErrorCode};
use forge_tests::engine::unsupported;
use forge_tests::models::{Person, person};
use forge_tests::{Engine, Fixture, Result, conformance};

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

    async fn a_transaction_on_an_outer_handle_joins_the_one_around_it(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let error = t.db.transaction(async |_| {
            // A function that was given the database and starts a transaction of its own.
            t.db.transaction(async |tx| tx.insert(person("Ann")).await).await?;
            Err::<(), _>(Error::conflict("outer"))
        }).await.unwrap_err();
        assert_eq!(error.message(), "outer");
        assert_eq!(count(t).await?, 0);
    }

    async fn a_failure_inside_undoes_the_whole_even_where_it_is_ignored(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let error = t.db.transaction(async |tx| {
            tx.insert(person("Ann")).await?;
            let inner = tx.transaction(async |inner| {
                inner.insert(person("Bob")).await?;
                Err::<(), _>(Error::bad_request("inner"))
            }).await;
            assert!(inner.is_err());
            tx.insert(person("Cid")).await
        }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict);
        assert!(error.message().contains("(inner)"), "{error}");
        assert_eq!(count(t).await?, 0);
    }

    async fn effects_run_once_after_the_commit_and_in_order(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let (seen, runs) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
        t.db.transaction(async |tx| {
            tx.insert(person("Ann")).await?;
            for name in ["first", "second"] {
                let (seen, db) = (seen.clone(), t.db.clone());
                tx.after_commit(async move || {
                    let there = db.find::<Person>().count().await?;
                    seen.lock().unwrap().push((name, there));
                    Ok(())
                })?;
            }
            assert!(seen.lock().unwrap().is_empty(), "not before the commit");
            match runs.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Error::conflict("lost").with_retry(Retry::Transaction)),
                _ => Ok(()),
            }
        }).await?;
        assert_eq!(*seen.lock().unwrap(), [("first", 1), ("second", 1)], "not for the attempt that lost");
    }

    async fn effects_of_what_was_undone_never_run(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        let ran = Arc::new(AtomicUsize::new(0));
        let effect = || {
            let ran = ran.clone();
            async move || {
                ran.fetch_add(1, Ordering::SeqCst);
                Err(Error::internal("effects may fail"))
            }
        };
        t.db.transaction(async |tx| {
            tx.after_commit(effect())?;
            tx.transaction(async |inner| inner.after_commit(effect())).await?;
            Err::<(), _>(Error::conflict("no"))
        }).await.unwrap_err();
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        t.db.transaction(async |tx| {
            tx.after_commit(effect())?;
            tx.transaction(async |inner| inner.after_commit(effect())).await
        }).await?;
        assert_eq!(ran.load(Ordering::SeqCst), 2, "a failing effect undoes nothing and holds up no other");
        let error = t.db.after_commit(effect()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
    }

    async fn a_write_beside_the_transaction_does_not_wait_for_it(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let begun = std::time::Instant::now();
        let beside = t.db.transaction(async |tx| {
            tx.insert(person("Ann")).await?;
            forge_tests::engine::done(t.db.insert(person("Bob")).await)
        }).await?;
        match t.engine {
            // It has many writers, and the other write is none of the transaction's.
            Engine::Server => assert!(beside.is_ok(), "{beside:?}"),
            _ => {
                let error = beside.unwrap_err();
                assert!(error.message().contains("the handle that `transaction` gives"), "{error}");
                assert!(begun.elapsed() < Duration::from_secs(2), "it would wait forever, and says so at once");
            }
        }
    }

    async fn a_transaction_ends_at_its_deadline(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let options = TransactionOptions::new().deadline(Duration::from_millis(200));
        let error = t.db.transaction_with(options, async |tx| {
            tx.insert(person("Ann")).await?;
            std::future::pending::<Result<()>>().await
        }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Timeout, "{error:?}");
        assert_eq!(count(t).await?, 0);
        t.db.insert(person("Ann")).await?;
    }

    async fn attempts_are_limited_and_concerns_are_taken(t) {
        if lacks(t) {
            return unsupported(t, "transactions");
        }
        t.push().await?;
        let runs = AtomicUsize::new(0);
        let options = TransactionOptions::new()
            .max_attempts(3)
            .read_concern(ReadConcern::Majority)
            .write_concern(WriteConcern::majority().journal(true).timeout(Duration::from_secs(5)));
        let error = t.db.transaction_with(options.clone(), async |_| {
            runs.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(Error::conflict("lost").with_retry(Retry::Transaction))
        }).await.unwrap_err();
        assert_eq!((error.message(), runs.load(Ordering::SeqCst)), ("lost", 3));
        t.db.transaction_with(options, async |tx| tx.insert(person("Ann")).await).await?;
        assert_eq!(count(t).await?, 1);
        let options = TransactionOptions::new().read_concern(ReadConcern::Linearizable);
        let error = t.db.transaction_with(options, async |_| Ok(())).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
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
        assert!(t.engine == Engine::Server || version.is_some());
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
