//! The number of documents in a collection, which is kept and not looked up.

use std::path::Path;

use bson::{Document, doc};
use forge_core::adapter::Transaction;
use forge_embedded::EmbeddedDriver;
use forge_mongo::{Command, Driver, Reply};
use proptest::prelude::*;

use crate::support::*;

const COUNTS: redb::TableDefinition<'static, u32, u64> = redb::TableDefinition::new("counts");

fn count(limit: Option<u64>) -> Command {
    Command::Count { filter: doc! {}, limit, estimated: false }
}

fn number(reply: Reply) -> u64 {
    match reply {
        Reply::Count(count) => count,
        other => panic!("{other:?}"),
    }
}

/// Holds the count against the documents that there are.
async fn check(driver: &EmbeddedDriver, session: Option<&dyn Transaction>, after: &str) -> u64 {
    let answer = async |command| driver.run("db", artifact("c", command), session).await.unwrap().0;
    let found = documents(answer(find_command(doc! {})).await).len() as u64;
    assert_eq!(number(answer(count(None)).await), found, "after {after}");
    assert_eq!(number(answer(count(Some(3))).await), found.min(3), "after {after}, no further than 3");
    found
}

#[derive(Debug, Clone)]
enum Step {
    /// Ordered or not; ids and values may be taken.
    Insert {
        ids: Vec<i32>,
        ordered: bool,
    },
    /// More than are written one by one.
    InsertMany {
        from: i32,
    },
    /// Gives several documents one value of a unique field, which fails for more than one.
    Collide {
        from: i32,
    },
    Upsert {
        id: i32,
    },
    Delete {
        from: i32,
        many: bool,
    },
    /// Writes the collection to itself, less some.
    Out {
        from: i32,
    },
    Drop,
    /// Some of these in one transaction.
    Together {
        steps: Vec<Step>,
        commit: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..12_i32;
    let single = prop_oneof![
        (prop::collection::vec(id.clone(), 1..6), any::<bool>())
            .prop_map(|(ids, ordered)| Step::Insert { ids, ordered }),
        id.clone().prop_map(|from| Step::InsertMany { from }),
        id.clone().prop_map(|from| Step::Collide { from }),
        id.clone().prop_map(|id| Step::Upsert { id }),
        (id.clone(), any::<bool>()).prop_map(|(from, many)| Step::Delete { from, many }),
    ];
    let several = prop::collection::vec(single.clone(), 1..4);
    prop_oneof![
        8 => single,
        1 => id.prop_map(|from| Step::Out { from }),
        1 => Just(Step::Drop),
        3 => (several, any::<bool>()).prop_map(|(steps, commit)| Step::Together { steps, commit }),
    ]
}

fn command(step: &Step) -> Command {
    let rows = |ids: &mut dyn Iterator<Item = i32>| -> Vec<_> {
        ids.map(|id| raw(&doc! { "_id": id, "u": id % 10 })).collect()
    };
    let above = |from: i32| doc! { "_id": { "$gte": from } };
    match step {
        Step::Insert { ids, ordered } => {
            Command::Insert { documents: rows(&mut ids.iter().copied()), ordered: *ordered }
        }
        Step::InsertMany { from } => {
            let documents = (*from..from + 60).map(|id| raw(&doc! { "_id": id * 100 })).collect();
            Command::Insert { documents, ordered: false }
        }
        Step::Collide { from } => update_command(above(*from), doc! { "$set": { "u": 77 } }),
        Step::Upsert { id } => Command::Update {
            filter: doc! { "_id": id },
            update: doc! { "$inc": { "n": 1 } }.into(),
            many: false,
            upsert: true,
        },
        Step::Delete { from, many } => Command::Delete { filter: above(*from), many: *many },
        Step::Out { from } => {
            Command::Aggregate { pipeline: vec![doc! { "$match": above(*from) }, doc! { "$out": "c" }] }
        }
        Step::Drop | Step::Together { .. } => unreachable!("no single command"),
    }
}

async fn take(driver: &EmbeddedDriver, step: &Step) {
    match step {
        Step::Drop => {
            driver.drop_database("db").await.unwrap();
            index(driver).await;
        }
        Step::Together { steps, commit } => {
            let transaction = driver.begin("db").await.unwrap();
            for step in steps {
                let _ = driver.run("db", artifact("c", command(step)), Some(&*transaction)).await;
                check(driver, Some(&*transaction), &format!("{step:?} in a transaction")).await;
            }
            if *commit {
                transaction.commit().await.unwrap();
            } else {
                transaction.abort().await.unwrap();
            }
        }
        single => drop(run(driver, command(single)).await),
    }
}

async fn index(driver: &EmbeddedDriver) {
    let unique: Document = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true, "sparse": true };
    driver.create_index("db", "c", &unique).await.unwrap();
}

proptest! {
    #[test]
    fn the_count_is_that_of_the_documents_after_any_writes(steps in prop::collection::vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let driver = memory();
            index(&driver).await;
            for step in &steps {
                take(&driver, step).await;
                check(&driver, None, &format!("{step:?}")).await;
            }
        });
    }
}

async fn reopen(path: &Path, driver: EmbeddedDriver) -> EmbeddedDriver {
    driver.close().await;
    drop(driver);
    EmbeddedDriver::open(path, env()).unwrap()
}

#[tokio::test]
async fn stores_from_before_counts_were_kept_are_counted_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    insert(&driver, &[doc! { "_id": 1 }, doc! { "_id": 2 }]).await;
    let driver = reopen(&path, driver).await;
    assert_eq!(check(&driver, None, "a restart").await, 2);
    driver.close().await;
    drop(driver);
    let store = redb::Database::open(&path).unwrap();
    let txn = store.begin_write().unwrap();
    assert!(txn.delete_table(COUNTS).unwrap(), "it was there");
    txn.commit().unwrap();
    drop(store);
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    assert_eq!(check(&driver, None, "the counts are gone").await, 2);
    insert(&driver, &[doc! { "_id": 3 }]).await;
    assert_eq!(check(&driver, None, "an insert").await, 3);
}
