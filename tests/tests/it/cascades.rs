//! What becomes of documents that refer to deleted ones.

use std::collections::BTreeMap;

use bson::{Document, doc};
use forge::error::Details;
use forge::{ErrorCode, Result};
use forge_tests::courses::{Binder, Drawer, NewBinder, NewDrawer, NewSheet, Sheet};
use forge_tests::models::{Author, Book, Folder, NewAuthor, NewBook, NewPublisher, NewReview, Publisher};
use forge_tests::orders::{
    Member, NewContract, NewMedley, NewMember, NewPlaylist, Playlist, Song, Team, member, song, team,
};
use forge_tests::{Fixture, conformance};

/// How many documents there are by collection, zeros left out.
async fn counts(t: &Fixture) -> Result<BTreeMap<&'static str, usize>> {
    let mut counts = BTreeMap::new();
    for name in
        ["authors", "bios", "books", "publishers", "reviews", "folders", "files", "locks", "bookmarks"]
    {
        let count = t.stored(name).await?.len();
        if count > 0 {
            counts.insert(name, count);
        }
    }
    Ok(counts)
}

/// Publisher P with a book of author 1, who has a bio; the book has two reviews.
async fn library(t: &Fixture) -> Result<Book> {
    t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
    t.db.insert(NewAuthor { id: 1, name: "A".into(), country: None }).await?;
    t.db.insert(forge_tests::models::NewBio { id: None, text: "x".into(), author_id: 1 }).await?;
    let new = NewBook {
        id: None,
        title: "B".into(),
        year: 1,
        price: None,
        author_id: Some(1),
        publisher_id: "P".into(),
    };
    let book = t.db.insert(new).await?;
    t.db.insert_many([1, 2].map(|id| NewReview { id, stars: 5, book_id: book.id })).await?;
    Ok(book)
}

fn folder(id: &str, parent: Option<&str>) -> Document {
    match parent {
        Some(parent) => doc! { "_id": id, "parent_id": parent },
        None => doc! { "_id": id },
    }
}

/// a ─ b ─ c, with a file in each; d stands beside.
async fn tree(t: &Fixture) -> Result<()> {
    t.seed("folders", [folder("a", None), folder("b", Some("a")), folder("c", Some("b")), folder("d", None)])
        .await?;
    t.seed("files", ["a", "b", "c", "d"].map(|f| doc! { "_id": format!("{f}1"), "folder_id": f })).await
}

/// Drawer 1 with the binders 1 and 2, drawer 2 with 3; the sheets 10 and 11 in binder 1, 20 in 2, 30 in 3.
async fn drawers(t: &Fixture) -> Result<()> {
    t.db.insert_many([1_i64, 2].map(|id| NewDrawer { id })).await?;
    t.db.insert_many([(1_i64, 1), (2, 1), (3, 2)].map(|(id, drawer_id)| NewBinder { id, drawer_id })).await?;
    t.db.insert_many(
        [(10_i64, 1), (11, 1), (20, 2), (30, 3)].map(|(id, binder_id)| NewSheet { id, binder_id }),
    )
    .await?;
    Ok(())
}

async fn filed(t: &Fixture) -> Result<(Vec<i64>, Vec<i64>, Vec<i64>)> {
    let drawers = t.db.find::<Drawer>().sort(|d| d.id.asc()).select(|d| d.id).await?;
    let binders = t.db.find::<Binder>().sort(|b| b.id.asc()).select(|b| b.id).await?;
    Ok((drawers, binders, t.db.find::<Sheet>().sort(|s| s.id.asc()).select(|s| s.id).await?))
}

conformance! {
    async fn a_restore_brings_back_exactly_what_went_along(t) {
        drawers(t).await?;
        let all = filed(t).await?;
        // In the same millisecond, by another delete.
        t.db.delete::<Sheet>(11).await?;
        t.db.delete::<Drawer>(1).await?;
        assert_eq!(filed(t).await?, (vec![2], vec![3], vec![30]));
        assert_eq!(t.db.restore::<Drawer>(1).await?.id, 1);
        assert_eq!(filed(t).await?, (vec![1, 2], vec![1, 2, 3], vec![10, 20, 30]));
        t.db.restore::<Sheet>(11).await?;
        assert_eq!(filed(t).await?, all);
        for collection in ["drawers", "binders", "sheets"] {
            let marked = t.stored(collection).await?.into_iter().find(|one| one.keys().any(|key| key.starts_with("deleted")));
            assert_eq!(marked, None, "{collection}");
        }
    }

    async fn each_of_several_deleted_documents_brings_back_its_own(t) {
        drawers(t).await?;
        let all = filed(t).await?;
        assert_eq!(t.db.delete_many::<Drawer>().all().await?, 2);
        assert_eq!(filed(t).await?, (vec![], vec![], vec![]));
        t.db.restore::<Drawer>(2).await?;
        assert_eq!(filed(t).await?, (vec![2], vec![3], vec![30]));
        t.db.restore::<Binder>(1).await?;
        assert_eq!(filed(t).await?, (vec![2], vec![1, 3], vec![10, 11, 30]), "a child that comes back alone");
        assert_eq!(t.db.restore_many::<Drawer>().all().await?, 1);
        assert_eq!(filed(t).await?, all);
        let error = t.db.restore::<Drawer>(1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
    }

    async fn cascades_reach_grandchildren_and_nothing_else(t) {
        tree(t).await?;
        t.db.delete::<Folder>("a").await?;
        assert_eq!(t.stored("folders").await?, [folder("d", None)]);
        assert_eq!(t.stored("files").await?, [doc! { "_id": "d1", "folder_id": "d" }]);
    }

    async fn rings_of_cascades_end(t) {
        t.seed("folders", [folder("a", Some("c")), folder("b", Some("a")), folder("c", Some("b")), folder("me", Some("me"))]).await?;
        t.seed("files", [doc! { "_id": "f", "folder_id": "b" }]).await?;
        assert_eq!(t.db.delete::<Folder>("b").await?.id, "b");
        assert_eq!(counts(t).await?, BTreeMap::from([("folders", 1)]));
        t.db.delete::<Folder>("me").await?;
        assert_eq!(counts(t).await?, BTreeMap::new());
    }

    async fn children_go_before_their_parents(t) {
        tree(t).await?;
        t.driver.take();
        t.db.delete::<Folder>("a").await?;
        let deletes = t.driver.take().into_iter().filter(|a| matches!(a.command.name(), "delete" | "findAndModify"));
        let order: Vec<String> = deletes.map(|artifact| artifact.collection).collect();
        let last_file = order.iter().rposition(|name| name == "files").unwrap();
        let last_folder = order.iter().rposition(|name| name == "folders").unwrap();
        assert!(last_file < last_folder, "{order:?}");
    }

    async fn many_cascade_as_one_does(t) {
        tree(t).await?;
        assert_eq!(t.db.delete_many::<Folder>().filter(|f| f.id.is_in(["a", "d"])).await?, 2);
        assert_eq!(counts(t).await?, BTreeMap::new());
    }

    async fn restrict_restricts_and_undoes_everything(t) {
        library(t).await?;
        let before = counts(t).await?;
        let error = t.db.delete::<Publisher>("P").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Restricted);
        assert_eq!(error.details(), &Details::Restricted { relation: "Book.publisher".into(), count: 1 });
        assert_eq!(t.db.delete_many::<Publisher>().all().await.unwrap_err().code(), ErrorCode::Restricted);
        assert_eq!(counts(t).await?, before);
    }

    async fn restrict_deep_inside_a_cascade_stops_all_of_it(t) {
        tree(t).await?;
        t.seed("locks", [doc! { "_id": "l", "file_id": "c1" }]).await?;
        let error = t.db.delete::<Folder>("a").await.unwrap_err();
        assert_eq!(error.details(), &Details::Restricted { relation: "Lock.file".into(), count: 1 });
        assert_eq!(counts(t).await?, BTreeMap::from([("files", 4), ("folders", 4), ("locks", 1)]));
    }

    async fn set_null_and_cascade_side_by_side(t) {
        let book = library(t).await?;
        t.db.delete::<Author>(1).await?;
        assert_eq!(counts(t).await?, BTreeMap::from([("books", 1), ("publishers", 1), ("reviews", 2)]));
        assert_eq!(t.db.get::<Book>(book.id).await?.unwrap().author_id, None);
        assert!(!t.stored("books").await?[0].contains_key("author_id"), "null would be a key of unique indexes");
        assert_eq!(t.db.find::<Book>().filter(|b| b.author_id.is_null()).count().await?, 1);
    }

    async fn no_action_leaves_the_key_dangling(t) {
        tree(t).await?;
        t.seed("bookmarks", [doc! { "_id": "m", "file_id": "c1" }]).await?;
        t.db.delete::<Folder>("a").await?;
        assert_eq!(t.stored("bookmarks").await?, [doc! { "_id": "m", "file_id": "c1" }]);
    }

    async fn lists_of_keys_lose_go_along_or_refuse(t) {
        t.db.insert_many((1..=3).map(song)).await?;
        t.db.insert(NewPlaylist { id: 1, song_ids: Some(vec![1, 2, 3, 1]) }).await?;
        t.db.insert(NewMedley { id: 1, song_ids: vec![3, 1] }).await?;
        t.db.insert(NewMedley { id: 2, song_ids: vec![3] }).await?;
        t.db.insert(NewContract { id: 1, song_ids: vec![2] }).await?;
        t.clock.advance(1_000);
        t.db.delete::<Song>(1).await?;
        let list = t.db.get::<Playlist>(1).await?.unwrap();
        assert_eq!((list.song_ids, list.version), (vec![2, 3], 2), "a list loses every mention");
        assert_eq!(t.stored("playlists").await?[0].get_datetime("updatedAt")?.timestamp_millis(), t.clock.now().millis());
        assert_eq!(t.stored("medleys").await?.len(), 1);
        let error = t.db.delete::<Song>(2).await.unwrap_err();
        assert_eq!(error.details(), &Details::Restricted { relation: "Contract.songs".into(), count: 1 });
        assert_eq!(t.db.get::<Playlist>(1).await?.unwrap().song_ids, [2, 3]);
    }

    async fn what_a_set_null_changes_counts_as_changed(t) {
        let red = t.db.insert(team("red")).await?;
        t.db.insert(NewMember { team_id: Some(red.id), ..member(1) }).await?;
        t.clock.advance(1_000);
        t.db.delete::<Team>(red.id).await?;
        let left = t.db.get::<Member>(1).await?.unwrap();
        assert_eq!((left.team_id, left.version), (None, 2));
    }

    async fn a_soft_delete_takes_its_children_along(t) {
        let book = library(t).await?;
        t.db.delete::<Book>(book.id).await?;
        assert_eq!(counts(t).await?.get("reviews"), None);
        assert_eq!(t.stored("books").await?.len(), 1);
    }

    async fn a_cascade_inside_a_transaction_is_rolled_back_with_it(t) {
        if !t.adapter.capabilities().transactions {
            return forge_tests::engine::unsupported(t, "transactions");
        }
        tree(t).await?;
        let error = t.db.transaction(async |tx| {
            tx.delete::<Folder>("a").await?;
            assert_eq!(tx.find::<Folder>().count().await?, 1);
            Err::<(), _>(forge::Error::conflict("no"))
        }).await.unwrap_err();
        assert_eq!(error.message(), "no");
        assert_eq!(counts(t).await?, BTreeMap::from([("files", 4), ("folders", 4)]));
    }

    async fn a_lone_delete_with_children_is_atomic(t) {
        if !t.adapter.capabilities().transactions {
            return forge_tests::engine::unsupported(t, "transactions");
        }
        tree(t).await?;
        let mut feed = t.adapter.watch(t.name(), None).await?;
        t.db.delete::<Folder>("a").await?;
        let commit = futures_util::StreamExt::next(&mut feed).await.unwrap()?;
        assert_eq!(commit.changes.len(), 6, "all in one commit: {commit:?}");
    }
}
