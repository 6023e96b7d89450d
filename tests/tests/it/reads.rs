//! The ways to read.

use forge::ErrorCode;
use forge_tests::models::{
    Author, Book, NewAuthor, NewBook, NewPerson, NewPublisher, Person, Publisher, person,
};
use forge_tests::{Engine, Fixture, Result, conformance};

async fn fill(t: &Fixture) -> Result<Vec<Person>> {
    let mut people = Vec::new();
    for (name, age) in [("Ann", Some(20)), ("Bob", Some(30)), ("Cid", Some(30)), ("Dan", None)] {
        people.push(t.db.insert(NewPerson { age, ..person(name) }).await?);
    }
    Ok(people)
}

conformance! {
    async fn the_driver_below_reads_the_same_documents(t) {
        t.db.insert(person("Ann")).await?;
        let raw = t.db.raw::<forge::mongodb::Database>();
        if t.engine != Engine::Server {
            let error = raw.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported);
            assert_eq!(error.message(), "embedded has no mongodb::db::Database below");
            return Ok(());
        }
        let people = raw?.collection::<bson::Document>("people");
        let ann = people.find_one(bson::doc! {}).await.map_err(|e| forge::Error::internal(e.to_string()))?;
        assert_eq!(ann.unwrap().get_str("name")?, "Ann");
        // A client of the program's own, in place of a URL.
        let driver = forge_mongo::OfficialDriver::with_client(people.client().clone(), Some(t.name())).await?;
        let adapter = forge_mongo::MongoAdapter::new(std::sync::Arc::new(driver), forge_tests::engine::catalog());
        let db = forge::Db::new(std::sync::Arc::new(adapter), forge_tests::engine::catalog(), t.db.env().clone());
        assert_eq!(db.find::<Person>().one().await?.name, "Ann");
    }

    async fn get_finds_by_id_or_says_none(t) {
        let people = fill(t).await?;
        assert_eq!(t.db.get::<Person>(people[1].id).await?.as_ref(), Some(&people[1]));
        let unknown = forge::Id::from_object_id(bson::oid::ObjectId::from_bytes([9; 12]));
        assert_eq!(t.db.get::<Person>(unknown).await?, None);
    }

    async fn first_one_exists_and_count_agree(t) {
        fill(t).await?;
        let thirty = || t.db.find::<Person>().filter(|p| p.age.eq(30)).sort(|p| p.name.desc());
        assert_eq!(thirty().first().await?.unwrap().name, "Cid");
        assert_eq!(thirty().one().await?.name, "Cid");
        assert_eq!(thirty().count().await?, 2);
        assert!(thirty().exists().await?);
        let nobody = || t.db.find::<Person>().filter(|p| p.age.gt(99));
        assert_eq!(nobody().first().await?, None);
        let error = nobody().one().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        assert!(error.message().contains("Person"), "{error}");
        assert_eq!(nobody().count().await?, 0);
        assert!(!nobody().exists().await?);
    }

    async fn first_respects_skip_and_a_limit_of_none(t) {
        fill(t).await?;
        let by_name = || t.db.find::<Person>().sort(|p| p.name.asc());
        assert_eq!(by_name().skip(2).first().await?.unwrap().name, "Cid");
        assert_eq!(by_name().limit(0).first().await?, None);
    }

    async fn several_filters_all_hold(t) {
        fill(t).await?;
        let found = t.db.find::<Person>().filter(|p| p.age.eq(30)).filter(|p| p.name.ne("Bob")).await?;
        assert_eq!(found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["Cid"]);
    }

    async fn distinct_is_typed(t) {
        fill(t).await?;
        let ages = t.db.find::<Person>().filter(|p| p.age.exists(true)).distinct(|p| p.age).await?;
        assert_eq!(ages, [Some(20), Some(30)]);
    }

    async fn null_and_missing_are_told_apart_only_by_exists(t) {
        fill(t).await?;
        t.driver.run(t.name(), set_null("Dan").into(), None).await?;
        assert_eq!(t.db.find::<Person>().filter(|p| p.age.is_null()).count().await?, 1);
        assert_eq!(t.db.find::<Person>().filter(|p| p.age.eq(None)).count().await?, 1);
        assert_eq!(t.db.find::<Person>().filter(|p| p.age.exists(true)).count().await?, 4);
        assert_eq!(t.db.find::<Person>().filter(|p| p.nickname.exists(true)).count().await?, 0);
        assert_eq!(t.db.find::<Person>().filter(|p| p.age.ne(30)).count().await?, 2);
    }

    async fn a_document_that_is_not_its_model_is_named(t) {
        t.seed("authors", [bson::doc! { "_id": 7_i64, "name": 5 }]).await?;
        let error = t.db.find::<Author>().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains('7') && text.contains("authors") && text.contains("name"), "{text}");
    }

    async fn soft_deleted_documents_are_out_of_sight(t) {
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        t.db.insert(NewAuthor { id: 1, name: "A".into(), country: None }).await?;
        let mut books = Vec::new();
        for year in [1990, 1991, 1992] {
            books.push(t.db.insert(book(year)).await?);
        }
        t.clock.advance(5_000);
        let gone = t.db.delete::<Book>(books[0].id).await?;
        assert_eq!(gone.deleted_at, Some(t.clock.now()));
        assert_eq!(gone.updated_at, t.clock.now());
        assert_eq!(t.db.find::<Book>().count().await?, 2);
        assert_eq!(t.db.find::<Book>().with_deleted().count().await?, 3);
        assert_eq!(t.db.get::<Book>(books[0].id).await?, None);
        assert_eq!(t.db.find::<Book>().distinct(|b| b.year).await?, [1991, 1992]);
        let groups = t.db.group_by::<Book, _>(|b| b.publisher_id).select(|_| forge::prelude::count()).await?;
        assert_eq!(groups, [("P".to_owned(), 2)]);
        let publisher = t.db.find::<Publisher>().include(|p| p.books).one().await?;
        assert_eq!(publisher.books.get().len(), 2);
        let publisher = t.db.find::<Publisher>().include(|p| p.books.with_deleted()).one().await?;
        assert_eq!(publisher.books.get().len(), 3);
        assert!(!t.db.find::<Publisher>().filter(|p| p.books.some(|b| b.year.eq(1990))).exists().await?);
        assert!(t.db.find::<Author>().filter(|a| a.books.every(|b| b.year.gt(1990))).exists().await?);
        assert_eq!(t.db.update::<Book>(books[0].id).set(|b| b.year, 5).await.unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(t.db.update_many::<Book>().filter(|b| b.year.lt(2000)).set(|b| b.year, 5).await?, 2);
        assert_eq!(t.db.delete::<Book>(books[0].id).await.unwrap_err().code(), ErrorCode::NotFound);
    }
}

use forge_mongo::Driver as _;

fn set_null(name: &str) -> forge_mongo::MongoArtifact {
    let command = forge_mongo::Command::Update {
        filter: bson::doc! { "name": name },
        update: bson::doc! { "$set": { "age": null } }.into(),
        many: false,
        upsert: false,
    };
    forge_mongo::MongoArtifact::new("people", command)
}

fn book(year: i32) -> NewBook {
    NewBook {
        id: None,
        title: format!("B{year}"),
        year,
        price: None,
        author_id: Some(1),
        publisher_id: "P".into(),
    }
}
