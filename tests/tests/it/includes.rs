//! Relations read along: one command for each level, whatever the options.

use bson::{doc, oid::ObjectId};
use forge_tests::models::{Author, Bio, Book, Folder, Publisher, Review};
use forge_tests::{Fixture, Result, conformance};

/// `authors` authors with 5 books each (years 0–4, the newest by publisher Q), each book with 2 reviews.
async fn fill(t: &Fixture, authors: i64) -> Result<()> {
    let at = bson::DateTime::from_millis(0);
    let book_id = |author: i64, year: i64| {
        ObjectId::from_bytes(
            [[0; 4], u32::to_be_bytes(author as u32), u32::to_be_bytes(year as u32)]
                .concat()
                .try_into()
                .unwrap(),
        )
    };
    let years = || (1..=authors).flat_map(|a| (0..5).map(move |y| (a, y)));
    t.seed("publishers", ["P", "Q"].map(|name| doc! { "_id": name })).await?;
    t.seed("authors", (1..=authors).map(|id| doc! { "_id": id, "name": format!("A{id}") })).await?;
    t.seed("books", years().map(|(a, y)| doc! {
        "_id": book_id(a, y), "title": "t", "year": y as i32, "author_id": a, "publisher_id": if y == 4 { "Q" } else { "P" }, "updatedAt": at,
    })).await?;
    t.seed(
        "reviews",
        years().flat_map(|(a, y)| {
            [1, 2].map(|n| {
                doc! {
                    "_id": a * 100 + y * 10 + n, "stars": n as i32, "book_id": book_id(a, y),
                }
            })
        }),
    )
    .await
}

fn years(author: &Author) -> Vec<i32> {
    author.books.get().iter().map(|book| book.year).collect()
}

type BooksOf = fn(&'static <Author as forge::Model>::Fields) -> forge::query::Include<Author, Book>;

conformance! {
    async fn a_hundred_parents_with_a_limit_cost_one_command_a_level(t) {
        fill(t, 100).await?;
        t.driver.take();
        let authors = t.db.find::<Author>().sort(|a| a.id.asc())
            .include(|a| a.books.sort(|b| b.year.desc()).limit(2).include(|b| (b.reviews.sort(|r| r.stars.desc()).limit(1), b.publisher)))
            .await?;
        let commands: Vec<String> = t.driver.take().into_iter().map(|a| a.collection).collect();
        assert_eq!(commands, ["authors", "books", "reviews", "publishers"]);
        assert_eq!(authors.len(), 100);
        for author in &authors {
            assert_eq!(years(author), [4, 3]);
            assert!(author.books.get().iter().all(|b| b.author_id == Some(author.id)), "somebody else's books");
            assert!(author.books.get().iter().all(|b| b.reviews.get().len() == 1 && b.reviews.get()[0].stars == 2));
            let publishers = author.books.get().iter().map(|b| b.publisher.get().unwrap().name.as_str());
            assert_eq!(publishers.collect::<Vec<_>>(), ["Q", "P"]);
        }
    }

    async fn without_an_include_nothing_is_loaded(t) {
        fill(t, 1).await?;
        let author = t.db.find::<Author>().one().await?;
        assert!(!author.books.is_loaded());
        assert!(author.books.require().is_err());
        assert_eq!(serde_json::to_value(&author).unwrap(), serde_json::json!({ "id": 1, "name": "A1", "country": null }));
        let author = t.db.find::<Author>().include(|a| a.bio).one().await?;
        assert_eq!(serde_json::to_value(&author).unwrap()["bio"], serde_json::Value::Null);
    }

    async fn options_count_per_parent(t) {
        fill(t, 3).await?;
        let cases: [(_, BooksOf); 8] = [
            (&[0, 1, 2, 3, 4][..], |a| a.books.sort(|b| b.year.asc())),
            (&[4, 3, 2], |a| a.books.sort(|b| b.year.desc()).limit(3)),
            (&[3, 2], |a| a.books.sort(|b| b.year.desc()).skip(1).limit(2)),
            (&[2, 3, 4], |a| a.books.sort(|b| b.year.asc()).skip(2)),
            (&[], |a| a.books.sort(|b| b.year.asc()).limit(0)),
            (&[], |a| a.books.sort(|b| b.year.asc()).skip(9)),
            (&[2, 3], |a| a.books.filter(|b| b.year.gt(1)).sort(|b| b.year.asc()).limit(2)),
            (&[4], |a| a.books.filter(|b| b.publisher.is(|p| p.name.eq("Q")))),
        ];
        for (wanted, include) in cases {
            let authors = t.db.find::<Author>().include(include).await?;
            assert_eq!(authors.len(), 3);
            for author in &authors {
                assert_eq!(years(author), wanted);
                assert!(author.books.get().iter().all(|b| b.author_id == Some(author.id)));
            }
        }
    }

    async fn parents_without_related_documents_have_none(t) {
        t.seed("authors", [doc! { "_id": 1_i64, "name": "x" }]).await?;
        t.driver.take();
        let author = t.db.find::<Author>().include(|a| (a.books, a.bio)).one().await?;
        assert!(author.books.is_loaded() && author.books.get().is_empty());
        assert!(author.bio.is_loaded() && author.bio.get().is_none());
        assert_eq!(author.bio.require().unwrap_err().code(), forge::ErrorCode::NotFound);
        let nobody = t.db.find::<Author>().filter(|a| a.id.eq(9)).include(|a| a.books).await?;
        assert!(nobody.is_empty());
    }

    async fn to_one_from_both_sides(t) {
        fill(t, 2).await?;
        let bio = t.db.insert(forge_tests::models::NewBio { id: None, text: "hello".into(), author_id: 2 }).await?;
        let authors = t.db.find::<Author>().sort(|a| a.id.asc()).include(|a| a.bio).await?;
        assert!(authors[0].bio.get().is_none());
        assert_eq!(authors[1].bio.get(), Some(&bio));
        let found = t.db.find::<Bio>().include(|b| b.author.include(|a| a.books.sort(|b| b.year.asc()).limit(1))).one().await?;
        assert_eq!(found.author.require()?.id, 2);
        assert_eq!(years(found.author.get().unwrap()), [0]);
    }

    async fn one_related_document_is_shared_by_many_parents(t) {
        fill(t, 4).await?;
        t.driver.take();
        let books = t.db.find::<Book>().include(|b| b.publisher).await?;
        assert_eq!(t.driver.take().len(), 2);
        assert!(books.iter().all(|b| b.publisher.get().map(|p| p.name.as_str()) == Some(b.publisher_id.as_str())));
    }

    async fn keys_that_lead_nowhere_are_loaded_as_none(t) {
        let id = |n| ObjectId::from_bytes([n; 12]);
        let at = bson::DateTime::from_millis(0);
        t.seed("books", [
            doc! { "_id": id(1), "title": "x", "year": 1, "author_id": 77_i64, "publisher_id": "?", "updatedAt": at },
            doc! { "_id": id(2), "title": "x", "year": 2, "author_id": null, "publisher_id": "?", "updatedAt": at },
            doc! { "_id": id(3), "title": "x", "year": 3, "publisher_id": "?", "updatedAt": at },
        ]).await?;
        t.seed("authors", [doc! { "_id": 1_i64, "name": "x" }]).await?;
        let books = t.db.find::<Book>().include(|b| (b.author, b.publisher)).await?;
        assert_eq!(books.len(), 3);
        assert!(books.iter().all(|b| b.author.is_loaded() && b.author.get().is_none() && b.publisher.get().is_none()));
    }

    async fn deleted_documents_are_not_included(t) {
        fill(t, 2).await?;
        assert_eq!(t.db.delete_many::<Book>().filter(|b| b.year.gt(2)).await?, 4);
        let author = || t.db.find::<Author>().filter(|a| a.id.eq(1));
        let sorted = author().include(|a| a.books.sort(|b| b.year.desc()).limit(2)).one().await?;
        assert_eq!(years(&sorted), [2, 1]);
        let all = author().include(|a| a.books.with_deleted().sort(|b| b.year.desc()).limit(2)).one().await?;
        assert_eq!(years(&all), [4, 3]);
        let mut reviews = t.db.find::<Review>().include(|r| r.book).await?;
        reviews.retain(|r| r.book.get().is_some());
        assert!(reviews.iter().all(|r| r.book.get().unwrap().year <= 2));
    }

    async fn a_model_may_include_itself(t) {
        t.seed("folders", [doc! { "_id": "a" }, doc! { "_id": "b", "parent_id": "a" }, doc! { "_id": "c", "parent_id": "b" }]).await?;
        t.driver.take();
        let root = t.db.find::<Folder>().filter(|f| f.parent_id.is_null())
            .include(|f| f.children.include(|c| (c.children, c.parent)))
            .one().await?;
        assert_eq!(t.driver.take().len(), 4);
        let child = &root.children.get()[0];
        assert_eq!((child.id.as_str(), child.children.get()[0].id.as_str()), ("b", "c"));
        assert_eq!(child.parent.get().unwrap().id, "a");
    }

    async fn pages_of_parents_include_only_their_own(t) {
        fill(t, 10).await?;
        let page = t.db.find::<Author>().sort(|a| a.id.asc()).skip(3).limit(2).include(|a| a.books).await?;
        assert_eq!(page.iter().map(|a| (a.id, a.books.get().len())).collect::<Vec<_>>(), [(4, 5), (5, 5)]);
        let empty = t.db.find::<Publisher>().limit(0).include(|p| p.books).await?;
        assert!(empty.is_empty());
    }
}
