//! Whatever a query reads by: a change that makes a fresh result another one is among those that it depends on.

use std::time::Duration;

use bson::doc;
use forge::feed::{Dependencies, News};
use forge::prelude::*;
use forge::query::{Page, Paged, count, whole};
use forge::{Caller, Error, Registry, Result, Runtime};
use forge_tests::conformance;
use forge_tests::engine::{Engine, Fixture};
use forge_tests::models::{
    Author, Book, NewAuthor, NewBio, NewBook, NewLock, NewPublisher, NewReview, Publisher, Review,
};
use forge_tests::schema_models::{BigRegion, NewSale, RegionTotal};
use serde_json::{Value, json, to_value};

/// A way to read.
#[query]
async fn reading(ctx: &QueryCtx, way: String) -> Result<Value> {
    let (authors, books) = (|| ctx.db.find::<Author>().sort(|a| a.id.asc()), || ctx.db.find::<Book>());
    Ok(match way.as_str() {
        "find" => to_value(books().filter(|b| b.year.gt(2_000)).sort(|b| b.id.asc()).await?)?,
        "or" => {
            to_value(books().filter(|b| b.year.lt(1_990) | b.price.gt(15.0)).sort(|b| b.id.asc()).await?)?
        }
        "not" => to_value(books().filter(|b| !b.year.is_in([1_990, 2_001])).sort(|b| b.id.asc()).await?)?,
        "null" => to_value(books().filter(|b| b.price.is_null()).sort(|b| b.id.asc()).await?)?,
        "text" => to_value(books().filter(|b| b.title.starts_with("t1")).sort(|b| b.id.asc()).await?)?,
        "deleted" => to_value(books().with_deleted().sort(|b| b.id.asc()).await?)?,
        "window" => to_value(books().sort(|b| b.year.desc()).limit(3).await?)?,
        "nulls in a window" => to_value(books().sort(|b| b.price.asc()).limit(3).await?)?,
        "skip" => to_value(books().sort(|b| b.year.asc()).skip(1).limit(2).await?)?,
        "no order" => to_value(books().filter(|b| b.year.gt(2_000)).limit(1).exists().await?)?,
        "part" => {
            let parts = books().sort(|b| (b.year.desc(), b.id.asc())).limit(2).select(|b| (b.title, b.year));
            to_value(parts.await? as Vec<(String, i32)>)?
        }
        "whole and part" => {
            let rows = authors().select(|a| (whole(), a.books.filter(|b| b.year.gt(2_000)).count()));
            to_value(rows.await? as Vec<(Author, u64)>)?
        }
        "include" => {
            to_value(authors().include(|a| (a.books.sort(|b| b.year.desc()).limit(1), a.bio)).await?)?
        }
        "nested include" => {
            to_value(authors().include(|a| a.books.include(|b| (b.reviews, b.publisher))).await?)?
        }
        "include of few" => {
            to_value(authors().limit(1).include(|a| a.books.filter(|b| b.year.gt(2_000)).count()).await?)?
        }
        "is" => {
            to_value(books().filter(|b| b.author.is(|a| a.country.eq("PT"))).sort(|b| b.id.asc()).await?)?
        }
        "is not" => {
            to_value(books().filter(|b| b.author.is_not(|a| a.country.eq("PT"))).sort(|b| b.id.asc()).await?)?
        }
        "some" => to_value(authors().filter(|a| a.books.some(|b| b.year.gt(2_000))).await?)?,
        "none" => to_value(authors().filter(|a| a.books.none(|b| b.year.gt(2_000))).await?)?,
        "every" => to_value(authors().filter(|a| a.books.every(|b| b.year.gt(2_000))).await?)?,
        "some of some" => {
            to_value(authors().filter(|a| a.books.some(|b| b.reviews.some(|r| r.stars.gt(3)))).await?)?
        }
        "count" => to_value(books().filter(|b| b.year.gt(2_000)).count().await?)?,
        "count of relation" => {
            to_value(books().filter(|b| b.publisher.is(|p| p.city.eq("Porto"))).count().await?)?
        }
        "first" => to_value(books().sort(|b| b.year.desc()).first().await?)?,
        "last" => to_value(books().sort(|b| b.year.desc()).last().await?)?,
        "get" => to_value(ctx.db.get::<Author>(1).await?)?,
        "distinct" => to_value(books().filter(|b| b.price.gt(10.0)).distinct(|b| b.year).await?)?,
        "group" => {
            let groups = ctx.db.group_by::<Book, _>(|b| b.publisher_id).filter(|b| b.year.gt(1_995));
            let groups = groups.select(|b| (count(), b.year.largest())).having(|(n, _)| n.gte(1));
            let mut rows: Vec<(String, (i64, Option<i32>))> = groups.await?;
            rows.sort();
            to_value(rows)?
        }
        "page" => {
            let page: Paged<Book> =
                books().sort(|b| (b.year.desc(), b.id.asc())).page(Page::first(2).with_total()).await?;
            let next = match page.next.clone() {
                Some(next) => {
                    books()
                        .sort(|b| (b.year.desc(), b.id.asc()))
                        .page(Page::first(2).after(next))
                        .await?
                        .items
                }
                None => Vec::new(),
            };
            json!([page, next])
        }
        "stream" => {
            let mut titles = Vec::new();
            let mut all = authors().include(|a| a.books.sort(|b| b.id.asc())).stream();
            while let Some(author) = all.next().await {
                titles.push(to_value(author?)?);
            }
            to_value(titles)?
        }
        "lenient" => {
            to_value(books().filter(|b| b.year.gt(2_000)).sort(|b| b.id.asc()).lenient().await?.items)?
        }
        "pipeline" => {
            let books = ctx.db.pipeline::<Book>().match_(|b| b.year.gt(1_995)).lookup(|b| b.reviews);
            to_value(books.raw(doc! { "$sort": { "_id": 1 } }).fetch::<bson::Document>().await?)?
        }
        "union" => {
            let books = ctx.db.pipeline::<Book>().raw(doc! { "$unionWith": "reviews" });
            to_value(books.raw(doc! { "$sort": { "_id": 1 } }).fetch::<bson::Document>().await?)?
        }
        "view" => {
            let totals = ctx.db.find::<RegionTotal>().filter(|t| t.total.gt(50)).sort(|t| t.region.asc());
            to_value(totals.await?)?
        }
        "view of a view" => to_value(ctx.db.find::<BigRegion>().sort(|t| t.region.asc()).await?)?,
        other => return Err(Error::bad_request(format!("which way is {other}?"))),
    })
}

const WAYS: [&str; 35] = [
    "find",
    "or",
    "not",
    "null",
    "text",
    "deleted",
    "window",
    "nulls in a window",
    "skip",
    "no order",
    "part",
    "whole and part",
    "include",
    "nested include",
    "include of few",
    "is",
    "is not",
    "some",
    "none",
    "every",
    "some of some",
    "count",
    "count of relation",
    "first",
    "last",
    "get",
    "distinct",
    "group",
    "page",
    "stream",
    "lenient",
    "pipeline",
    "union",
    "view",
    "view of a view",
];

/// What each way reads now, and what that depends on. Ways that the engine does not know are none.
async fn read(t: &Fixture, db: &Db) -> Result<Vec<(&'static str, Value, Dependencies)>> {
    let runtime = Runtime::new(Registry::collect()?, db.clone());
    let mut all = Vec::new();
    for way in WAYS {
        let args = serde_json::value::to_raw_value(&json!({ "way": way }))?;
        let answer = runtime.query("reading", args, Caller::default()).await?;
        let data = match answer.data {
            Ok(data) => data,
            Err(error) if t.stand_in => {
                assert_ne!(error.code(), forge::ErrorCode::BadRequest, "{way}: {error}");
                continue;
            }
            Err(error) => return Err(error.context(way)),
        };
        all.push((way, serde_json::from_str(&data.0)?, Dependencies::new(answer.reads)));
    }
    Ok(all)
}

async fn seed(db: &Db) -> Result<()> {
    for (name, city) in [("p1", Some("Porto")), ("p2", None)] {
        db.insert(NewPublisher { name: name.into(), city: city.map(str::to_owned) }).await?;
    }
    for id in 1..5 {
        let country = ["PT", "ES"].get(id as usize % 3).map(|country| (*country).to_owned());
        db.insert(NewAuthor { id, name: format!("a{id}"), country }).await?;
    }
    Ok(())
}

/// The `n`th change: of every kind, here and there.
async fn change(db: &Db, n: i64, random: &mut impl FnMut(i64) -> i64) -> Result<()> {
    let books = db.find::<Book>().with_deleted().sort(|b| b.id.asc()).await?;
    let book = (!books.is_empty()).then(|| &books[random(books.len() as i64) as usize]);
    let id = 1 + random(4);
    match (random(13), book) {
        (0..=2, _) | (_, None) => {
            let book = NewBook {
                id: None,
                title: format!("t{n}"),
                year: 1_980 + random(40) as i32,
                price: (random(3) > 0).then(|| random(30) as f64),
                author_id: (random(4) > 0).then_some(id),
                publisher_id: format!("p{}", 1 + random(2)),
            };
            db.insert(book).await.map(drop)
        }
        (3, Some(book)) => db
            .update_many::<Book>()
            .with_deleted()
            .filter(|b| b.id.eq(book.id))
            .set(|b| b.year, 1_980 + random(40) as i32)
            .set(|b| b.title, format!("u{n}"))
            .await
            .map(drop),
        (4, Some(book)) => {
            let update = db.update_many::<Book>().with_deleted().filter(|b| b.id.eq(book.id));
            update
                .set(|b| b.title, format!("t{n}"))
                .set(|b| b.price, (random(2) > 0).then_some(20.0))
                .await
                .map(drop)
        }
        (5, Some(book)) => {
            let update = db.update_many::<Book>().with_deleted().filter(|b| b.id.eq(book.id));
            update
                .set(|b| b.title, format!("t{n}"))
                .set(|b| b.author_id, (random(3) > 0).then_some(id))
                .await
                .map(drop)
        }
        (6, Some(book)) if book.deleted_at.is_none() => db.delete::<Book>(book.id).await.map(drop),
        (6, Some(book)) => db.restore::<Book>(book.id).await.map(drop),
        (7 | 8, Some(book)) => {
            db.insert(NewReview { id: n, stars: random(6) as i32, book_id: book.id }).await.map(drop)
        }
        (9, _) => match db.find::<Review>().first().await? {
            Some(review) => db.delete::<Review>(review.id).await.map(drop),
            None => Ok(()),
        },
        (10, _) => {
            let country = ["PT", "ES", "FR"][random(3) as usize];
            db.update::<Author>(id)
                .set(|a| a.country, country)
                .set(|a| a.name, format!("a{n}"))
                .await
                .map(drop)
        }
        (11, _) => {
            let city = ["Porto", "Lyon"][random(2) as usize];
            db.update::<Publisher>("p1").set(|p| p.city, city).await?;
            db.insert(NewBio { id: None, text: format!("b{n}"), author_id: id }).await.map(drop)
        }
        _ => {
            let region = ["north", "south"][random(2) as usize].to_owned();
            db.insert(NewSale { id: n, region, amount: random(90) as i32 }).await.map(drop)
        }
    }
}

/// The commits up to that of the lock `id`.
async fn until(feed: &mut forge::feed::Feed, id: &str) -> Vec<std::sync::Arc<forge::adapter::Commit>> {
    let mut commits = Vec::new();
    loop {
        let news = tokio::time::timeout(Duration::from_secs(60), feed.next()).await.unwrap();
        let Some(News::Commit(commit)) = news else { continue };
        if commit.changes.iter().any(|change| &*change.collection == "locks" && change.id == id.into()) {
            return commits;
        }
        commits.push(commit);
    }
}

/// Holds `changes` changes against what each way of reading depends on.
async fn check(t: &Fixture, db: &Db, changes: i64) -> Result<()> {
    seed(db).await?;
    let mut seed = 11_u64;
    let mut random = move |below: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((seed >> 33) % u64::try_from(below).unwrap()).unwrap()
    };
    let mut feed = db.feed();
    let mark = async |id: String| db.insert(NewLock { id, file_id: String::new() }).await.map(drop);
    // What is read from here on is followed.
    while !matches!(feed.next().await, Some(News::Up)) {}
    mark("begin".into()).await?;
    until(&mut feed, "begin").await;
    let (mut before, mut differing) = (read(t, db).await?, 0);
    for n in 0..changes {
        change(db, n, &mut random).await?;
        mark(n.to_string()).await?;
        let commits = until(&mut feed, &n.to_string()).await;
        let now = read(t, db).await?;
        for ((way, old, dependencies), (_, new, _)) in before.iter().zip(&now) {
            let affected = commits.iter().any(|commit| dependencies.affected_by(t.name(), commit));
            differing += i64::from(old != new);
            assert!(affected || old == new, "change {n} is passed over by {way}: {old}\n{new}\n{commits:?}");
        }
        before = now;
    }
    assert!(differing > changes, "the changes make a difference: {differing}");
    Ok(())
}

conformance! {
    async fn every_change_of_a_result_is_one_that_its_query_depends_on(t) {
        let changes = if t.engine == Engine::Memory { 200 } else { 30 };
        check(t, &t.db, changes).await?;
    }

    async fn what_servers_join_is_depended_on_like_what_is_sent(t) {
        check(t, &t.joining_above(0), 30).await?;
    }
}
