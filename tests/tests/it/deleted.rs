//! Soft-deleted documents: out of sight wherever documents are read or written, and how each place asks for them.

use forge::ErrorCode;
use forge::prelude::*;
use forge::query::Filter;
use forge::query::pipeline::Reach;
use forge_tests::courses::{
    Binder, Drawer, Enrolment, Memo, NewBinder, NewCourse, NewDrawer, NewEnrolment, NewMemo, NewStudent,
    NewTag, Student, Tag,
};
use forge_tests::models::{Author, Book, NewAuthor, NewBook, NewPublisher, NewReview, Review};
use forge_tests::{Fixture, Result, conformance};

/// | author | books |
/// |---|---|
/// | 1 | 1990 (deleted), 2000 |
/// | 2 | 1990 (deleted) |
/// | 3 | |
async fn fill(t: &Fixture) -> Result<Vec<Book>> {
    t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
    t.db.insert_many((1..=3).map(|id| NewAuthor { id, name: format!("A{id}"), country: None })).await?;
    let mut books = Vec::new();
    for (year, author) in [(1990, 1), (2000, 1), (1990, 2)] {
        let (title, publisher_id) = (format!("B{year}"), "P".to_owned());
        let new = NewBook { id: None, title, year, price: None, author_id: Some(author), publisher_id };
        books.push(t.db.insert(new).await?);
    }
    t.db.delete_many::<Book>().filter(|b| b.year.eq(1990)).await?;
    Ok(books)
}

async fn authors(db: &Db, filter: Filter<Author>) -> Result<Vec<i64>> {
    db.find::<Author>().filter(|_| filter).sort(|a| a.id.asc()).select(|a| a.id).await
}

conformance! {
    async fn conditions_on_relations_see_deleted_documents_where_asked(t) {
        fill(t).await?;
        let a = <Author as forge::Model>::FIELDS;
        // By the keys of what was found, and joined by the server.
        for db in [&t.db, &t.joining_above(0)] {
            assert_eq!(authors(db, a.books.some(|b| b.year.eq(1990))).await?, [0; 0]);
            assert_eq!(authors(db, a.books.with_deleted().some(|b| b.year.eq(1990))).await?, [1, 2]);
            assert_eq!(authors(db, a.books.none(|b| b.year.eq(1990))).await?, [1, 2, 3]);
            assert_eq!(authors(db, a.books.with_deleted().none(|b| b.year.eq(1990))).await?, [3]);
            assert_eq!(authors(db, a.books.every(|b| b.year.gt(1995))).await?, [1, 2, 3]);
            assert_eq!(authors(db, a.books.with_deleted().every(|b| b.year.gt(1995))).await?, [3]);
        }
        assert_eq!(t.db.update_many::<Author>().filter(|a| a.books.with_deleted().some(|b| b.year.eq(1990))).set(|a| a.name, "x").await?, 2);
    }

    async fn each_level_of_a_condition_asks_for_itself(t) {
        let books = fill(t).await?;
        t.db.insert(NewReview { id: 1, stars: 5, book_id: books[0].id }).await?;
        let stars = |filter: Filter<Review>| t.db.find::<Review>().filter(|_| filter).count();
        let r = <Review as forge::Model>::FIELDS;
        assert_eq!(stars(r.book.is(|b| b.year.eq(1990))).await?, 0);
        assert_eq!(stars(r.book.is_not(|b| b.year.eq(1990))).await?, 1);
        assert_eq!(stars(r.book.with_deleted().is(|b| b.year.eq(1990))).await?, 1);
        assert_eq!(stars(r.book.with_deleted().is_not(|b| b.year.eq(1990))).await?, 0);
        let a = <Author as forge::Model>::FIELDS;
        let five = |b: &'static <Book as forge::Model>::Fields| b.reviews.some(|r| r.stars.eq(5));
        assert_eq!(authors(&t.db, a.books.some(five)).await?, [0; 0]);
        assert_eq!(authors(&t.db, a.books.with_deleted().some(five)).await?, [1]);
        let inner = |a: &'static <Author as forge::Model>::Fields| a.books.some(|b| b.year.eq(1990));
        assert_eq!(stars(r.book.with_deleted().is(|b| b.author.is(inner))).await?, 0, "the books of the author are asked for by themselves");
    }

    async fn a_deleted_link_leads_nowhere_and_a_deleted_document_where_asked(t) {
        t.db.insert(NewStudent { id: 1, name: "S".into() }).await?;
        t.db.insert(NewCourse { id: "C".into(), hours: 2 }).await?;
        t.db.insert(NewEnrolment { id: 1, student_id: 1, course_id: "C".into(), grade: None }).await?;
        t.db.delete::<Enrolment>(1).await?;
        assert_eq!(t.db.find::<Student>().filter(|s| s.courses.with_deleted().some(|c| c.hours.eq(2))).count().await?, 0);
        t.db.insert(NewTag { id: 1, name: "old".into(), weight: None }).await?;
        t.db.insert(NewMemo { id: 1, title: "M".into(), secret: None, tag_ids: Some(vec![1]), place: None }).await?;
        // `set_null` takes the tag out of the list: it is put back as somebody who restores a backup would.
        t.db.delete::<Tag>(1).await?;
        t.db.update::<Memo>(1).set(|m| m.tag_ids, vec![1]).await?;
        assert_eq!(t.db.find::<Memo>().filter(|m| m.tags.some(|g| g.name.eq("old"))).count().await?, 0);
        assert_eq!(t.db.find::<Memo>().filter(|m| m.tags.with_deleted().some(|g| g.name.eq("old"))).count().await?, 1);
    }

    async fn parts_and_joins_see_deleted_documents_where_asked(t) {
        fill(t).await?;
        let parts: Vec<(i64, Vec<i32>, u64, Vec<Book>)> = t.db.find::<Author>()
            .sort(|a| a.id.asc())
            .select(|a| (a.id, a.books.with_deleted().sort(|b| b.year.asc()).select(|b| b.year), a.books.with_deleted().count(), a.books.with_deleted()))
            .await?;
        let counted: Vec<_> = parts.iter().map(|(id, years, count, books)| (*id, years.len(), *count, books.len())).collect();
        assert_eq!(counted, [(1, 2, 2, 2), (2, 1, 1, 1), (3, 0, 0, 0)]);
        let included = t.db.find::<Author>().sort(|a| a.id.asc()).include(|a| (a.books.with_deleted(), a.books.count())).await?;
        assert_eq!(included.iter().map(|a| (a.books.get().len(), a.books.count())).collect::<Vec<_>>(), [(2, Some(1)), (1, Some(0)), (0, Some(0))]);
        #[derive(Debug, serde::Deserialize)]
        struct Row { books: Vec<bson::Document> }
        for (with_deleted, sizes) in [(false, [1, 0, 0]), (true, [2, 1, 0])] {
            let rows: Vec<Row> = t.db.pipeline::<Author>()
                .sort(|a| a.id.asc())
                .lookup(|a| if with_deleted { a.books.with_deleted() } else { a.books })
                .fetch()
                .await?;
            assert_eq!(rows.iter().map(|row| row.books.len()).collect::<Vec<_>>(), sizes);
        }
    }

    async fn recursive_lookups_go_through_deleted_documents_where_asked(t) {
        t.db.insert(NewDrawer { id: 1 }).await?;
        t.db.insert_many([1, 2].map(|id| NewBinder { id, drawer_id: 1 })).await?;
        t.db.delete::<Binder>(1).await?;
        #[derive(Debug, serde::Deserialize)]
        struct Row { binders: Vec<bson::Document> }
        let reached = async |reach: Reach<Binder>| -> Result<usize> {
            let rows: Vec<Row> = t.db.pipeline::<Drawer>()
                .graph_lookup(
                    "binders",
                    |d| d.id.expr(),
                    |b: &'static <Binder as forge::Model>::Fields| b.drawer_id,
                    |b: &'static <Binder as forge::Model>::Fields| b.drawer_id,
                    reach,
                )
                .fetch()
                .await?;
            Ok(rows[0].binders.len())
        };
        assert_eq!(reached(Reach::everything().with_deleted()).await?, 2);
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "conditions of recursive lookups");
        }
        assert_eq!(reached(Reach::everything()).await?, 1);
    }

    async fn a_deleted_document_is_replaced_where_asked_and_stays_deleted(t) {
        t.db.insert(NewTag { id: 1, name: "old".into(), weight: Some(1) }).await?;
        t.db.delete::<Tag>(1).await?;
        let new = || NewTag { id: 1, name: "new".into(), weight: None };
        assert_eq!(t.db.replace::<Tag>(1, new()).await.unwrap_err().code(), ErrorCode::NotFound);
        let replaced = t.db.replace::<Tag>(1, new()).with_deleted().await?;
        assert_eq!((replaced.name.as_str(), replaced.weight), ("new", None));
        assert_eq!(t.db.find::<Tag>().count().await?, 0, "it stays deleted");
        let mut deleted = t.db.find::<Tag>().with_deleted().one().await?;
        deleted.name = "saved".into();
        assert_eq!(t.db.save(&deleted).await.unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(t.db.save(&deleted).with_deleted().await?.name, "saved");
    }

    async fn related_documents_that_are_deleted_are_connected_where_asked(t) {
        if !t.adapter.capabilities().transactions {
            return forge_tests::engine::unsupported(t, "transactions");
        }
        let books = fill(t).await?;
        let gone = books[2].id;
        let error = t.db.update::<Author>(3).with(|a| a.books.connect([gone])).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        t.db.update::<Author>(3).with(|a| a.books.with_deleted().connect([gone])).await?;
        let of = |author: i64| t.db.find::<Book>().with_deleted().filter(move |b| b.author_id.eq(author)).count();
        assert_eq!((of(2).await?, of(3).await?), (0, 1));
        t.db.update::<Author>(3).with(|a| a.books.disconnect([gone])).await?;
        assert_eq!(of(3).await?, 1, "it was not seen");
        t.db.update::<Author>(3).with(|a| a.books.with_deleted().disconnect([gone])).await?;
        assert_eq!(of(3).await?, 0);
    }
}
