use std::path::Path;

use bson::doc;
use forge_core::ErrorCode;
use forge_embedded::EmbeddedDriver;
use forge_mongo::Driver;

use crate::support::*;

#[tokio::test]
async fn a_store_is_kept_between_processes_with_its_folders_and_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/store.redb");
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    driver.create_index("db", "c", &doc! { "key": { "n": 1 }, "name": "n_1", "unique": true }).await.unwrap();
    let partial = doc! { "key": { "p": -1 }, "name": "p", "unique": true, "expireAfterSeconds": 60,
    "partialFilterExpression": { "live": true } };
    driver.create_index("db", "c", &partial).await.unwrap();
    insert(&driver, &[doc! { "_id": 1, "n": [1, 2], "p": 1 }]).await;
    let described = driver.list_indexes("db", "c").await.unwrap();
    driver.close().await;
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    assert_eq!(ids(&driver, doc! { "n": 2 }).await, [1]);
    assert_eq!(insert(&driver, &[doc! { "_id": 2, "n": 2 }]).await.len(), 1);
    assert!(insert(&driver, &[doc! { "_id": 3, "n": 3, "p": 1 }]).await.is_empty());
    assert_eq!(driver.list_indexes("db", "c").await.unwrap(), described);
    assert_eq!(described[2].get_document("partialFilterExpression").unwrap(), &doc! { "live": true });
}

#[tokio::test]
async fn a_folder_means_a_file_in_it() {
    let folder = tempfile::tempdir().unwrap();
    EmbeddedDriver::open(folder.path(), env()).unwrap();
    assert!(folder.path().join("forge.redb").is_file());
}

#[tokio::test]
async fn a_second_holder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let _first = EmbeddedDriver::open(&path, env()).unwrap();
    let error = EmbeddedDriver::open(&path, env()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert!(
        error.message().contains(path.to_str().unwrap()) && error.message().contains("another process"),
        "{error}"
    );
}

async fn filled(path: &Path) -> Vec<u8> {
    let driver = EmbeddedDriver::open(path, env()).unwrap();
    let rows: Vec<_> = (0..2_000).map(|i| doc! { "_id": i, "s": "x".repeat(100) }).collect();
    insert(&driver, &rows).await;
    driver.close().await;
    drop(driver);
    std::fs::read(path).unwrap()
}

fn refused(path: &Path, what: &str) {
    let error = EmbeddedDriver::open(path, env()).err().unwrap_or_else(|| panic!("{what} was accepted"));
    assert_eq!(error.code(), ErrorCode::Unavailable, "{what}: {error}");
    assert!(error.message().contains(path.to_str().unwrap()), "{what}: {error}");
}

#[tokio::test]
async fn what_is_no_store_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::write(&path, b"not a database, but long enough to look at").unwrap();
    refused(&path, "a text");
    let mut state = 1_u64;
    let garbage: Vec<u8> = (0..100_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    std::fs::write(&path, garbage).unwrap();
    refused(&path, "garbage");
    let other = redb::Database::create(folder.path().join("other")).unwrap();
    let txn = other.begin_write().unwrap();
    txn.open_table(redb::TableDefinition::<u64, u64>::new("x")).unwrap();
    txn.commit().unwrap();
    drop(other);
    refused(&folder.path().join("other"), "the store of another program");
}

#[tokio::test]
async fn a_damaged_store_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let whole = filled(&path).await;
    for length in [1, 64, 511, 4_096, 10_000, whole.len() / 2] {
        std::fs::write(&path, &whole[..length.min(whole.len())]).unwrap();
        refused(&path, &format!("the first {length} bytes"));
    }
    // A flipped bit may be healed, found, or lie where nothing looks; it must not end the process.
    for position in (0..512).chain((512..whole.len()).step_by(whole.len() / 40)) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        std::fs::write(&path, &damaged).unwrap();
        if let Err(error) = EmbeddedDriver::open(&path, env()) {
            assert!(error.message().contains(path.to_str().unwrap()), "{position}: {error}");
        }
    }
}

/// Rewrites what a closed store says of its indexes.
fn edited(path: &Path, edit: impl Fn(&mut bson::Document)) {
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let file = redb::Database::open(path).unwrap();
    let txn = file.begin_write().unwrap();
    {
        use redb::ReadableTable;
        let mut table = txn.open_table(meta).unwrap();
        let rows: Vec<_> = table
            .iter()
            .unwrap()
            .map(Result::unwrap)
            .filter(|(key, _)| key.value().starts_with("c:"))
            .map(|(key, row)| (key.value().to_owned(), bson::Document::from_reader(row.value()).unwrap()))
            .collect();
        for (key, mut row) in rows {
            for index in row.get_array_mut("indexes").unwrap() {
                edit(index.as_document_mut().unwrap().get_document_mut("spec").unwrap());
            }
            table.insert(key.as_str(), row.to_vec().unwrap().as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
}

#[tokio::test]
async fn indexes_of_another_edition_of_collations_are_built_again_and_broken_rules_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    let letters = doc! { "locale": "en", "strength": 3 };
    let spec = |name: &str, unique: bool| {
        doc! { "key": { "s": 1 }, "name": name, "unique": unique, "collation": letters.clone() }
    };
    driver.create_index("db", "c", &spec("plain", false)).await.unwrap();
    driver.create_index("db", "c", &spec("rule", true)).await.unwrap();
    insert(&driver, &[doc! { "_id": 1, "s": "a" }, doc! { "_id": 2, "s": "A" }]).await;
    driver.close().await;
    drop(driver);
    // The strength stands for what another edition would change.
    edited(&path, |spec| {
        let collation = doc! { "locale": "en", "strength": 1, "version": "icu4x-1" };
        spec.insert("collation", collation);
    });
    let driver = EmbeddedDriver::open(&path, env()).unwrap();
    let indexes = driver.list_indexes("db", "c").await.unwrap();
    let names: Vec<_> = indexes.iter().map(|index| index.get_str("name").unwrap()).collect();
    assert_eq!(names, ["_id_", "plain"]);
    assert_ne!(indexes[1].get_document("collation").unwrap().get_str("version").unwrap(), "icu4x-1");
    let mut read = artifact("c", find_command(doc! { "s": "a" }));
    read.options.collation = Some(forge_core::ir::Collation::letters("en"));
    assert_eq!(driver.explain("db", &read).await.unwrap().index.as_deref(), Some("plain"));
    assert_eq!(documents(driver.run("db", read, None).await.unwrap().0).len(), 2);
}
