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
