//! Live results in Rust code: what a fresh query would give, and one feed for all of them.

use std::time::Duration;

use forge::ErrorCode;
use forge::query::Live;
use forge_tests::Result;
use forge_tests::conformance;
use forge_tests::engine::{Fixture, unsupported};
use forge_tests::models::{Person, person};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

async fn next<T>(live: &mut Live<T>) -> Result<T> {
    timeout(PATIENCE, live.next()).await.expect("a result should come").expect("the stream should go on")
}

async fn silent<T>(live: &mut Live<T>) -> bool {
    timeout(Duration::from_millis(300), live.next()).await.is_err()
}

fn names(people: Vec<Person>) -> Vec<String> {
    people.into_iter().map(|person| person.name).collect()
}

fn lacks(t: &Fixture) -> bool {
    !t.adapter.capabilities().change_streams
}

conformance! {
    async fn a_live_result_follows_what_enters_changes_and_leaves(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut old = t.db.find::<Person>().filter(|p| p.age.gt(60)).sort(|p| p.name.asc()).live();
        assert!(next(&mut old).await?.is_empty());
        let made = t.db.insert(forge_tests::models::NewPerson { age: Some(70), ..person("Ada") }).await?;
        assert_eq!(names(next(&mut old).await?), ["Ada"]);
        t.db.insert(forge_tests::models::NewPerson { age: Some(10), ..person("Kim") }).await?;
        assert!(silent(&mut old).await, "who is young makes no difference");
        t.db.update::<Person>(made.id).set(|p| p.name, "Eve").await?;
        assert_eq!(names(next(&mut old).await?), ["Eve"]);
        t.db.update::<Person>(made.id).set(|p| p.age, Some(5)).await?;
        assert!(next(&mut old).await?.is_empty());
    }

    async fn what_commits_while_nobody_asks_makes_one_result(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut count = t.db.find::<Person>().filter(|p| p.status.eq("new")).count().live();
        assert_eq!(next(&mut count).await?, 0);
        for n in 0..20 {
            t.db.insert(person(&format!("p{n}"))).await?;
        }
        let mut told = Vec::new();
        while told.last() != Some(&20) {
            told.push(next(&mut count).await?);
        }
        assert!(told.len() < 20, "{told:?}");
        assert!(silent(&mut count).await);
    }

    async fn a_live_result_of_anything_depends_on_all_that_it_read(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let mut both = t.db.live(|db| async move {
            let oldest = db.find::<Person>().filter(|p| p.age.gt(60)).select(|p| p.name).first().await?;
            Ok((oldest, db.find::<Person>().filter(|p| p.status.eq("gone")).count().await?))
        });
        assert_eq!(next(&mut both).await?, (None, 0));
        t.db.insert(forge_tests::models::NewPerson { age: Some(70), ..person("Ada") }).await?;
        assert_eq!(next(&mut both).await?, (Some("Ada".to_owned()), 0));
        t.db.insert(forge_tests::models::NewPerson { status: Some("gone".into()), ..person("Bo") }).await?;
        assert_eq!(next(&mut both).await?, (Some("Ada".to_owned()), 1));
        t.db.insert(person("Kim")).await?;
        assert!(silent(&mut both).await);
    }

    async fn a_live_result_follows_every_database_that_it_reads(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let other = t.db.database(&format!("{}_b", t.name()));
        let name = other.name().to_owned();
        let mut all = t.db.live(move |db| {
            let name = name.clone();
            async move {
                let here = db.find::<Person>().count().await?;
                // The other one is read only where there is somebody here.
                let there = if here > 0 { db.database(&name).find::<Person>().count().await? } else { 0 };
                Ok((here, there))
            }
        });
        assert_eq!(next(&mut all).await?, (0, 0));
        other.insert(person("Ada")).await?;
        assert!(silent(&mut all).await);
        t.db.insert(person("Bo")).await?;
        assert_eq!(next(&mut all).await?, (1, 1));
        other.insert(person("Kim")).await?;
        assert_eq!(next(&mut all).await?, (1, 2));
        t.db.delete_many::<Person>().all().await?;
        assert_eq!(next(&mut all).await?, (0, 0));
        other.delete_many::<Person>().all().await?;
        assert!(silent(&mut all).await);
    }

    async fn many_live_results_share_one_feed(t) {
        if lacks(t) {
            return unsupported(t, "change streams");
        }
        let before = t.driver.feeds();
        let mut all: Vec<_> = (0..20).map(|_| t.db.find::<Person>().select(|p| p.name).live()).collect();
        for live in &mut all {
            assert!(next(live).await?.is_empty());
        }
        t.db.insert(person("Ada")).await?;
        for live in &mut all {
            assert_eq!(next(live).await?, ["Ada"]);
        }
        assert_eq!(t.driver.feeds() - before, 1);
    }

    async fn a_live_result_in_a_transaction_is_refused(t) {
        if !t.adapter.capabilities().transactions {
            return unsupported(t, "transactions");
        }
        let refused = t.db.transaction(|tx| async move {
            Ok(tx.find::<Person>().live().next().await.expect("an answer").unwrap_err().code())
        });
        assert_eq!(refused.await?, ErrorCode::BadRequest);
    }
}

#[tokio::test]
async fn a_live_result_ends_when_the_database_is_closed() {
    let t = Fixture::open(forge_tests::Engine::Memory, "ends").await.unwrap().unwrap();
    let mut live = t.db.find::<Person>().live();
    assert!(next(&mut live).await.unwrap().is_empty());
    t.adapter.close().await;
    assert!(timeout(PATIENCE, live.next()).await.expect("it ends").is_none());
}
