//! Collations of writes and of conditions on relations; and that what somebody may see and change is not more under one.

use std::sync::Arc;

use bson::{Bson, doc};
use forge::ir::{Collation, Filter};
use forge::prelude::*;
use forge::{Auth, Caller, ErrorCode, Registry, Runtime};
use forge_tests::engine::unsupported;
use forge_tests::models::{
    Author, Book, File, Folder, NewAuthor, NewBook, NewFile, NewFolder, NewPerson, NewPublisher, Person,
    Phone, Publisher, person,
};
use forge_tests::policies::{Reply, reply};
use forge_tests::tenants::{Project, project};
use forge_tests::{Fixture, Result, conformance};

fn letters() -> Collation {
    Collation::letters("en")
}

async fn people(t: &Fixture, names: &[&str]) -> Result<()> {
    for (n, name) in names.iter().enumerate() {
        let new = NewPerson { email: format!("p{n}@example.org"), visits: Some(0), ..person(name) };
        t.db.insert(new).await?;
    }
    Ok(())
}

async fn visited(t: &Fixture) -> Result<Vec<String>> {
    let found = t.db.find::<Person>().filter(|p| p.visits.gt(0)).sort(|p| p.email.asc());
    found.select(|p| p.name).await
}

/// Two publishers, one of Paris and one of Rome, each with a book.
async fn publishers(t: &Fixture, ids: [&str; 2]) -> Result<()> {
    for (name, city) in ids.into_iter().zip(["Paris", "Rome"]) {
        t.db.insert(NewPublisher { name: name.into(), city: Some(city.into()) }).await?;
        let (title, publisher_id) = ("Zoé".to_owned(), name.to_owned());
        t.db.insert(NewBook { id: None, title, year: 1, price: None, author_id: None, publisher_id }).await?;
    }
    Ok(())
}

#[query]
async fn titled(ctx: &QueryCtx, title: String) -> Result<u64> {
    ctx.db.find::<Author>().filter(|a| a.books.some(|b| b.title.eq(title))).collation(letters()).count().await
}

conformance! {
    async fn updates_find_by_the_collation(t) {
        people(t, &["resume", "Résumé", "RESUME", "zoe"]).await?;
        let plain = t.db.update_many::<Person>().filter(|p| p.name.eq("Resume")).inc(|p| p.visits, 1).await?;
        assert_eq!(plain, 0);
        let folded = t.db.update_many::<Person>().filter(|p| p.name.eq("Resume")).collation(Collation::ignore_case("en")).inc(|p| p.visits, 1);
        assert_eq!(folded.await?, 2);
        assert_eq!(visited(t).await?, ["resume", "RESUME"]);
        assert_eq!(t.db.update_many::<Person>().filter(|p| p.name.eq("resume")).collation(letters()).inc(|p| p.visits, 1).await?, 3);
        let counted = t.db.update_many::<Person>().filter(|p| p.name.eq("RÉSUMÉ")).collation(letters());
        assert_eq!(counted.await?, 3, "without changes it only counts");
        let wrong = t.db.update_many::<Person>().all().collation(Collation { locale: "en".into(), strength: 7 }).inc(|p| p.visits, 1);
        assert_eq!(wrong.await.unwrap_err().code(), ErrorCode::BadRequest);
    }

    async fn the_first_of_a_collated_order_is_changed(t) {
        people(t, &["Zoe", "apple", "Äpfel"]).await?;
        let first = || t.db.update_first::<Person>().sort(|p| p.name.asc()).inc(|p| p.visits, 1);
        assert_eq!(first().await?.unwrap().name, "Zoe", "capitals come first by their bytes");
        if t.stand_in {
            return unsupported(t, "orders of writes under a collation");
        }
        assert_eq!(first().collation(letters()).await?.unwrap().name, "Äpfel");
        let before = first().filter(|p| p.name.eq("APPLE")).collation(letters()).before().await?.unwrap();
        assert_eq!((before.name.as_str(), before.visits), ("apple", 0));
    }

    async fn upserts_find_by_the_collation(t) {
        t.push().await?;
        people(t, &["Ann"]).await?;
        let new = |name: &str, email: &str| NewPerson { email: email.into(), ..person(name) };
        let upsert = |name: &str, email: &str| t.db.upsert(new(name, email)).by(|p| p.name).inc(|p| p.visits, 1).collation(letters());
        let found = upsert("ANN", "x@example.org").await?;
        assert_eq!((found.inserted, found.document.name.as_str(), found.document.visits), (false, "Ann", 1));
        let made = upsert("Bob", "b@example.org").await?;
        assert_eq!((made.inserted, made.document.name.as_str()), (true, "Bob"));
        let again = upsert("bob", "c@example.org").await?;
        assert_eq!((again.inserted, again.document.id), (false, made.document.id));
        if t.stand_in {
            return unsupported(t, "ids under a collation");
        }
        let by_id = |name: &str, city: &str| {
            let new = NewPublisher { name: name.into(), city: Some(city.into()) };
            t.db.upsert(new).overwrite().collation(letters())
        };
        assert!(by_id("Knopf", "X").await?.inserted);
        let same = by_id("KNOPF", "Y").await?;
        assert_eq!((same.inserted, same.document.name.as_str(), same.document.city.as_deref()), (false, "Knopf", Some("Y")));
    }

    async fn deletes_find_by_the_collation(t) {
        people(t, &["ann", "Ánn", "Bob"]).await?;
        assert_eq!(t.db.delete_many::<Person>().filter(|p| p.name.eq("ANN")).await?, 0);
        let forecast = t.db.delete_many::<Person>().filter(|p| p.name.eq("ANN")).collation(letters()).dry_run().await?;
        assert_eq!(forecast.models[0].count, 2);
        assert_eq!(t.db.delete_many::<Person>().filter(|p| p.name.eq("ANN")).collation(letters()).await?, 2);
        assert_eq!(t.db.find::<Person>().select(|p| p.name).await?, ["Bob"]);
        publishers(t, ["P", "Q"]).await?;
        assert_eq!(t.db.delete_many::<Book>().filter(|b| b.title.eq("zoe")).collation(letters()).await?, 2, "marked, not removed");
        assert_eq!(t.db.find::<Book>().with_deleted().count().await?, 2);
    }

    async fn a_cascade_follows_the_ids_as_they_are(t) {
        for id in ["a", "A", "b"] {
            t.db.insert(NewFolder { id: id.into(), parent_id: None }).await?;
            t.db.insert(NewFile { id: format!("file of {id}"), folder_id: id.into() }).await?;
        }
        t.db.insert(NewFolder { id: "x".into(), parent_id: Some("Root".into()) }).await?;
        t.db.insert(NewFolder { id: "X".into(), parent_id: None }).await?;
        let gone = t.db.delete_many::<Folder>().filter(|f| f.parent_id.eq("root".to_owned())).collation(letters()).await?;
        assert_eq!(gone, 1);
        assert!(t.db.get::<Folder>("X").await?.is_some(), "its id is equal to that of what went");
        if t.stand_in {
            return unsupported(t, "ids under a collation");
        }
        assert_eq!(t.db.delete_many::<Folder>().filter(|f| f.id.eq("a")).collation(letters()).await?, 2);
        assert_eq!(t.db.find::<File>().select(|f| f.id).await?, ["file of b"]);
    }

    async fn changes_of_lists_compare_by_the_collation(t) {
        let phone = |kind: &str| Phone { kind: kind.into(), digits: "1".into() };
        let tags = ["Red", "blue", "RED"].map(str::to_owned).to_vec();
        t.db.insert(NewPerson { tags: Some(tags), phones: Some(vec![phone("Home"), phone("work")]), ..person("Ann") }).await?;
        let ann = || t.db.update_many::<Person>().filter(|p| p.name.eq("ANN"));
        let stored = async || t.db.find::<Person>().one().await;
        if t.stand_in {
            return unsupported(t, "changes of lists under a collation");
        }
        ann().collation(letters()).add_to_set(|p| p.tags, "BLUE").await?;
        assert_eq!(stored().await?.tags, ["Red", "blue", "RED"]);
        ann().collation(letters()).each(|p| p.phones, |phone| phone.filter(|f| f.kind.eq("HOME")).set(|f| f.digits, "2")).await?;
        assert_eq!(stored().await?.phones[0].digits, "2");
        ann().collation(letters()).pull(|p| p.tags, "red").await?;
        assert_eq!(stored().await?.tags, ["blue"]);
        ann().collation(letters()).pull_where(|p| p.phones, |f| f.kind.eq("WORK")).await?;
        assert_eq!(stored().await?.phones.len(), 1);
    }

    async fn conditions_on_relations_are_under_the_collation_of_the_read(t) {
        publishers(t, ["P", "Q"]).await?;
        let found = |db: &Db| db.find::<Publisher>().filter(|p| p.books.some(|b| b.title.eq("zoe"))).collation(letters());
        assert_eq!(found(&t.db).count().await?, 2);
        assert_eq!(t.db.find::<Publisher>().filter(|p| p.books.some(|b| b.title.eq("zoe"))).count().await?, 0);
        let written = t.db.update_many::<Publisher>().filter(|p| p.books.some(|b| b.title.eq("zoe"))).collation(letters()).set(|p| p.city, "X".to_owned());
        assert_eq!(written.await?, 2);
        if t.stand_in {
            return unsupported(t, "joins under a collation");
        }
        assert_eq!(found(&t.joining_above(0)).await?.len(), 2);
    }

    async fn what_a_join_found_is_written_by_its_own_id(t) {
        publishers(t, ["P", "p"]).await?;
        if t.stand_in {
            return unsupported(t, "joins under a collation");
        }
        let db = t.joining_above(0);
        let wanted = |p: &'static <Publisher as forge::Model>::Fields| p.city.eq("PARIS".to_owned()) & p.books.some(|b| b.title.eq("zoe"));
        assert_eq!(db.update_many::<Publisher>().filter(wanted).collation(letters()).set(|p| p.city, "New".to_owned()).await?, 1);
        let cities = t.db.find::<Publisher>().sort(|p| p.name.asc()).select(|p| p.city).await?;
        assert_eq!(cities, [Some("New".to_owned()), Some("Rome".to_owned())]);
    }

    async fn a_live_query_under_a_collation_depends_on_all_of_what_it_asks(t) {
        t.db.insert(NewAuthor { id: 1, name: "A".into(), country: None }).await?;
        let runtime = Runtime::new(Registry::collect()?, t.db.clone());
        let args = serde_json::value::to_raw_value(&serde_json::json!({ "title": "zoe" }))?;
        let answer = runtime.query("titled", args, Caller::default()).await?;
        answer.data?;
        let reads: Vec<_> = answer.reads.into_iter().map(|read| (read.collection.into_owned(), read.filter)).collect();
        assert_eq!(reads, [("books".to_owned(), Filter::All), ("authors".to_owned(), Filter::All)], "its texts are not matched by their bytes");
    }

    async fn a_tenant_stays_apart_from_one_that_is_equal_under_a_collation(t) {
        let (low, high) = (t.db.tenant("acme"), t.db.tenant("ACME"));
        for db in [&low, &high] {
            db.insert(project("Zoé")).await?;
        }
        let other = async || high.find::<Project>().one().await;
        let before = other().await?;
        let found = low.find::<Project>().filter(|p| p.name.eq("zoe")).collation(letters()).await?;
        assert_eq!(found.iter().map(|p| p.org.as_str()).collect::<Vec<_>>(), ["acme"]);
        assert_eq!(low.find::<Project>().collation(letters()).count().await?, 1);
        assert_eq!(low.find::<Project>().collation(letters()).distinct(|p| p.org).await?, ["acme"]);
        assert_eq!(low.pipeline::<Project>().collation(letters()).await?.len(), 1);
        assert_eq!(low.find::<Project>().collation(letters()).stream().lenient().next().await.unwrap()?.org, "acme");
        assert_eq!(low.update_many::<Project>().all().collation(letters()).inc(|p| p.points, 1).await?, 1);
        let upsert = low.upsert(project("ZOÉ")).by(|p| p.name).inc(|p| p.points, 1).collation(letters()).await?;
        assert_eq!((upsert.inserted, upsert.document.org.as_str(), upsert.document.points), (false, "acme", 2));
        let new = low.upsert(project("new")).by(|p| p.name).collation(letters()).await?;
        assert_eq!((new.inserted, new.document.org.as_str()), (true, "acme"));
        assert_eq!(low.delete_many::<Project>().all().collation(letters()).await?, 2);
        assert_eq!(other().await?, before);
    }

    async fn a_policy_means_the_same_under_a_collation(t) {
        let all = t.db.without_policies();
        for (id, author) in [(1, "ann"), (2, "ANN"), (3, "bob")] {
            all.insert(reply(id, author, 1, "Zoé")).await?;
        }
        let ann = t.db.on_behalf_of(&Caller { auth: Some(Arc::new(Auth::new("ann"))), ..Caller::default() });
        let found = ann.find::<Reply>().filter(|r| r.text.eq("zoe")).collation(letters()).await?;
        assert_eq!(found.iter().map(|r| r.id).collect::<Vec<_>>(), [1]);
        assert_eq!(ann.find::<Reply>().collation(letters()).count().await?, 1);
        if !t.adapter.capabilities().transactions {
            return unsupported(t, "transactions");
        }
        assert_eq!(ann.update_many::<Reply>().filter(|r| r.text.eq("zoe")).collation(letters()).set(|r| r.text, "new").await?, 1);
        assert_eq!(ann.delete_many::<Reply>().filter(|r| r.text.eq("NEW")).collation(letters()).await?, 1);
        assert_eq!(t.stored("replies").await?.iter().map(|r| r.get("_id").cloned()).collect::<Vec<_>>(), [Some(Bson::Int64(2)), Some(Bson::Int64(3))]);
        t.seed("replies", [doc! { "_id": 9_i64, "author": "ANN", "letter_id": 1_i64, "text": "taken" }]).await?;
        let taken = ann.upsert(reply(10, "ann", 1, "TAKEN")).by(|r| r.text).inc(|r| r.letter_id, 1).collation(letters()).await;
        assert_eq!(taken.unwrap_err().code(), ErrorCode::Forbidden, "it is there, and not the caller's to change");
    }
}
