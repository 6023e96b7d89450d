//! Deletes that take very many documents with them: in memory of bounded size, all or nothing.

use bson::{Bson, Document, doc};
use forge::error::Details;
use forge::{ErrorCode, Result};
use forge_mongo::Command;
use forge_tests::models::{
    Author, Folder, NewAuthor, NewBook, NewIndexed, NewItem, NewPublisher, NewReview, Publisher,
};
use forge_tests::{Engine, Fixture, conformance, engine};

const CHILDREN: usize = 50_000;
/// The most ids that are gathered before a delete goes by parts of a thousand.
const GATHERED: usize = 10_001;

/// One folder with very many folders in it, which hold a file each where `files` says so.
async fn wide(t: &Fixture, children: usize, files: usize) -> Result<()> {
    t.push().await?;
    t.seed("folders", [doc! { "_id": "root" }, doc! { "_id": "beside" }]).await?;
    for chunk in (0..children).collect::<Vec<_>>().chunks(10_000) {
        t.seed("folders", chunk.iter().map(|i| doc! { "_id": format!("f{i}"), "parent_id": "root" })).await?;
    }
    t.seed("files", (0..files).map(|i| doc! { "_id": format!("x{i}"), "folder_id": format!("f{i}") })).await
}

/// The longest list of values in a condition.
fn keys(filter: &Document) -> usize {
    let longest = |value: &Bson| match value {
        Bson::Document(inner) => keys(inner),
        Bson::Array(list) => {
            list.len().max(list.iter().filter_map(Bson::as_document).map(keys).max().unwrap_or(0))
        }
        _ => 1,
    };
    filter.iter().map(|(_, value)| longest(value)).max().unwrap_or(0)
}

/// The most keys that one command carried, and the most ids that one could have brought.
fn bounds(t: &Fixture) -> (usize, usize) {
    let (mut carried, mut brought) = (0, 0);
    for artifact in t.driver.take() {
        match &artifact.command {
            Command::Find { filter, limit, .. } => {
                carried = carried.max(keys(filter));
                brought = brought.max(limit.map_or(usize::MAX, |limit| limit as usize));
            }
            Command::Delete { filter, .. }
            | Command::Update { filter, .. }
            | Command::Count { filter, .. } => {
                carried = carried.max(keys(filter));
            }
            _ => {}
        }
    }
    (carried, brought)
}

async fn count(t: &Fixture, collection: &str) -> Result<u64> {
    match t.send(collection, Command::Count { filter: doc! {}, limit: None, estimated: false }).await? {
        forge_mongo::Reply::Count(count) => Ok(count),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fifty_thousand_children_go_by_parts() {
    engine::run(Engine::Memory, module_path!(), |t| {
        Box::pin(async move {
            wide(t, CHILDREN, 3_000).await?;
            t.driver.take();
            t.db.delete::<Folder>("root").await?;
            let (carried, brought) = bounds(t);
            assert!(carried <= 1_000, "{carried} keys in one command");
            assert!(brought <= GATHERED + 1, "{brought} ids in one answer");
            assert_eq!((count(t, "folders").await?, count(t, "files").await?), (1, 0));
            Ok(())
        })
    });
}

#[test]
fn leaves_are_never_gathered_however_many_there_are() {
    engine::run(Engine::Memory, module_path!(), |t| {
        Box::pin(async move {
            t.push().await?;
            let author = t.db.insert(NewAuthor { id: 1, name: "A".into(), country: None }).await?;
            let ids = (0..CHILDREN as i64).map(|i| doc! { "_id": i, "text": "x", "author_id": 1_i64 });
            t.seed("bios", ids).await?;
            t.driver.take();
            t.db.delete::<Author>(author.id).await?;
            let commands = t.driver.take();
            assert!(
                commands.iter().all(|a| a.collection != "bios" || a.command.name() == "delete"),
                "{commands:?}"
            );
            assert_eq!(count(t, "bios").await?, 0);
            Ok(())
        })
    });
}

#[test]
fn a_refusal_among_very_many_undoes_all_of_it() {
    engine::run(Engine::Memory, module_path!(), |t| {
        Box::pin(async move {
            wide(t, 12_000, 12_000).await?;
            t.seed("locks", [doc! { "_id": "l", "file_id": "x11999" }]).await?;
            let error = t.db.delete::<Folder>("root").await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Restricted, "{error:?}");
            assert_eq!(error.details(), &Details::Restricted { relation: "Lock.file".into(), count: 1 });
            assert_eq!((count(t, "folders").await?, count(t, "files").await?), (12_002, 12_000));
            t.send("locks", Command::Delete { filter: doc! {}, many: true }).await?;
            assert_eq!(t.db.delete_many::<Folder>().filter(|f| f.id.ne("beside")).await?, 12_001);
            assert_eq!((count(t, "folders").await?, count(t, "files").await?), (1, 0));
            Ok(())
        })
    });
}

#[test]
fn rings_among_very_many_end() {
    engine::run(Engine::Memory, module_path!(), |t| {
        Box::pin(async move {
            wide(t, 11_000, 0).await?;
            for (id, parent) in [("root", "f5"), ("f6", "f5"), ("f7", "f7")] {
                let update = doc! { "$set": { "parent_id": parent } }.into();
                let filter = doc! { "_id": id };
                t.send("folders", Command::Update { filter, update, many: false, upsert: false }).await?;
            }
            assert_eq!(t.db.delete::<Folder>("f5").await?.id, "f5");
            assert_eq!(count(t, "folders").await?, 2, "f7 is its own parent, and beside is beside");
            Ok(())
        })
    });
}

#[test]
fn a_long_chain_needs_no_stack() {
    engine::run(Engine::Memory, module_path!(), |t| {
        Box::pin(async move {
            t.push().await?;
            let folder = |i: usize| match i {
                0 => doc! { "_id": "f0" },
                i => doc! { "_id": format!("f{i}"), "parent_id": format!("f{}", i - 1) },
            };
            t.seed("folders", (0..3_000).map(folder)).await?;
            t.db.delete::<Folder>("f0").await?;
            assert_eq!(count(t, "folders").await?, 0);
            Ok(())
        })
    });
}

#[test]
fn an_insert_of_any_size_goes_in_parts() {
    engine::run(Engine::Memory, module_path!(), |t| {
        Box::pin(async move {
            let ids = (0..100_002_i64).chain([5, 7]);
            let done = t.db.insert_many(ids.map(|id| NewItem { id })).skip_duplicates().await?;
            let skipped: Vec<_> =
                done.skipped.iter().map(|skipped| (skipped.position, skipped.fields.clone())).collect();
            let id = || vec!["_id".to_owned()];
            assert_eq!((done.count, skipped), (100_002, vec![(100_002, id()), (100_003, id())]));
            let sizes: Vec<_> = t
                .driver
                .take()
                .iter()
                .map(|artifact| match &artifact.command {
                    Command::Insert { documents, .. } => documents.len(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(sizes, [100_000, 4]);
            let big = |i: i64| NewIndexed {
                id: i,
                group: "x".repeat(4_000_000),
                code: i.to_string(),
                rank: 1,
                note: None,
                expires: None,
            };
            assert_eq!(t.db.insert_many((0..9).map(big)).await?, 9);
            assert_eq!(t.driver.take().len(), 2, "a part has some sixteen megabytes");
            Ok(())
        })
    });
}

conformance! {
    async fn one_and_a_hundred_and_a_thousand_are_five_commands(t) {
        t.push().await?;
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        t.db.insert(NewAuthor { id: 1, name: "A".into(), country: None }).await?;
        t.seed("folders", [doc! { "_id": "a" }]).await?;
        t.seed("folders", (0..100).map(|i| doc! { "_id": format!("b{i}"), "parent_id": "a" })).await?;
        t.driver.take();
        let new = |i: i32| NewBook { id: None, title: format!("B{i}"), year: i, price: None, author_id: Some(1), publisher_id: "P".into() };
        let mut books = Vec::new();
        for i in 0..100 {
            books.push(t.db.insert(new(i)).await?.id);
        }
        t.db.insert_many((0..1_000).map(|i| NewReview { id: i, stars: 1, book_id: books[(i % 100) as usize] })).await?;
        t.driver.take();
        assert_eq!(t.db.delete_many::<forge_tests::models::Book>().all().await?, 100);
        let commands = t.driver.take();
        assert!(commands.len() <= 3, "{commands:#?}");
        assert_eq!(count(t, "reviews").await?, 0);
    }

    async fn a_dry_run_tells_what_would_go_and_changes_nothing(t) {
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        t.db.insert(NewAuthor { id: 1, name: "A".into(), country: None }).await?;
        let new = |year| NewBook { id: None, title: "B".into(), year, price: None, author_id: Some(1), publisher_id: "P".into() };
        let book = t.db.insert(new(1)).await?;
        t.db.insert(new(2)).await?;
        t.db.insert_many((0..7).map(|id| NewReview { id, stars: 5, book_id: book.id })).await?;
        t.driver.take();
        let forecast = t.db.delete::<Author>(1).dry_run().await?;
        let told: Vec<_> = forecast.models.iter().map(|a| (a.model.name, a.relation, format!("{:?}", a.fate), a.count)).collect();
        assert_eq!(told, [("Book", Some("author"), "Cleared".to_owned(), 2), ("Author", None, "Removed".to_owned(), 1)]);
        assert!(forecast.restricted.is_empty() && forecast.complete);
        let forecast = t.db.delete::<forge_tests::models::Book>(book.id).dry_run().await?;
        let told: Vec<_> = forecast.models.iter().map(|a| (a.model.name, format!("{:?}", a.fate), a.count, a.sample.len())).collect();
        assert_eq!(told, [("Review", "Removed".to_owned(), 7, 5), ("Book", "SoftDeleted".to_owned(), 1, 1)]);
        let forecast = t.db.delete_many::<Publisher>().all().dry_run().await?;
        assert_eq!(forecast.restricted.len(), 1);
        let refused = &forecast.restricted[0];
        assert_eq!((refused.model.name, refused.relation, refused.count, refused.sample.len()), ("Book", Some("publisher"), 2, 2));
        let nothing = t.db.delete::<Author>(9).dry_run().await?;
        assert!(nothing.models.is_empty() && nothing.complete);
        let commands = t.driver.take();
        assert!(commands.iter().all(|a| matches!(a.command.name(), "find" | "count" | "aggregate")), "{commands:?}");
        let json = serde_json::to_value(&forecast).unwrap();
        assert_eq!(json["restricted"][0]["fate"], "restricts");
    }
}
