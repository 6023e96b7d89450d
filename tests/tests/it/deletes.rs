//! Deletes of one and of many.

use forge::ErrorCode;
use forge_tests::models::{Book, NewBook, NewPublisher, Person, person};
use forge_tests::{Fixture, Result, conformance};

async fn books(t: &Fixture) -> Result<Vec<Book>> {
    t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
    let mut books = Vec::new();
    for year in [1990, 1991, 1992] {
        let title = format!("B{year}");
        let new = NewBook { id: None, title, year, price: None, author_id: None, publisher_id: "P".into() };
        books.push(t.db.insert(new).await?);
    }
    Ok(books)
}

conformance! {
    async fn a_delete_gives_the_document_back(t) {
        let ann = t.db.insert(person("Ann")).await?;
        assert_eq!(t.db.delete::<Person>(ann.id).await?, ann);
        let error = t.db.delete::<Person>(ann.id).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        assert_eq!(t.stored("people").await?.len(), 0);
    }

    async fn many_are_deleted_only_when_asked_for(t) {
        t.db.insert_many([person("Ann"), person("Bob"), person("Cid")]).await?;
        let nothing: [&str; 0] = [];
        for delete in [t.db.delete_many::<Person>(), t.db.delete_many::<Person>().filter(|p| p.tags.has_every(nothing))] {
            let error = delete.await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadRequest);
            assert!(error.message().contains(".all()"), "{error}");
        }
        assert_eq!(t.db.delete_many::<Person>().filter(|p| p.name.is_in(nothing)).await?, 0);
        assert_eq!(t.db.delete_many::<Person>().filter(|p| p.name.lt("Cid")).await?, 2);
        assert_eq!(t.db.delete_many::<Person>().all().await?, 1);
        assert_eq!(t.db.delete_many::<Person>().all().await?, 0);
    }

    async fn a_soft_delete_keeps_the_document_and_a_purge_does_not(t) {
        let books = books(t).await?;
        assert_eq!(t.db.delete_many::<Book>().filter(|b| b.year.lt(1992)).await?, 2);
        assert_eq!(t.db.delete_many::<Book>().filter(|b| b.year.lt(1992)).await?, 0, "they are deleted already");
        assert_eq!(t.stored("books").await?.len(), 3);
        assert_eq!(t.db.delete::<Book>(books[0].id).purge().await?.id, books[0].id, "a purge reaches deleted documents");
        assert_eq!(t.stored("books").await?.len(), 2);
        assert_eq!(t.db.delete_many::<Book>().all().purge().await?, 2);
        assert_eq!(t.stored("books").await?.len(), 0);
    }

    async fn thousands_are_deleted_without_naming_them(t) {
        let people = (0..3_000).map(|i| forge_tests::models::NewPerson { email: format!("p{i}@example.org"), ..person("P") });
        t.db.insert_many(people).await?;
        t.driver.take();
        assert_eq!(t.db.delete_many::<Person>().filter(|p| p.name.eq("P")).await?, 3_000);
        assert_eq!(t.driver.on("people"), 1, "one command, whatever there is to delete");
    }
}
