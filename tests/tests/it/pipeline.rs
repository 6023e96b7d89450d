//! Typed pipelines: every stage, on every engine, and what live queries learn of what they read.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, doc};
use forge::adapter::{Exec, ReadLog};
use forge::ir::Operation;
use forge::prelude::*;
use forge::query::expr::{cond, lit, object, path, switch, var};
use forge::query::pipeline::{
    Buckets, Frame, Reach, asc, derivative, desc, document_number, exp_moving_avg, from_json, rank, shift,
    windows,
};
use forge::{ErrorCode, Result};
use forge_tests::models::{Author, Book, NewAuthor, NewBook, NewPlace, NewPublisher, Place, Publisher};
use forge_tests::{Fixture, conformance};
use serde::Deserialize;

/// A: Austen of UK with three books, one of them deleted; B: Bernhard of AT with two; C: Camus without country or books.
async fn fill(t: &Fixture) -> Result<()> {
    for (id, name, country) in [(1, "Austen", Some("UK")), (2, "Bernhard", Some("AT")), (3, "Camus", None)] {
        t.db.insert(NewAuthor { id, name: name.into(), country: country.map(Into::into) }).await?;
    }
    for name in ["P", "Q"] {
        t.db.insert(NewPublisher { name: name.into(), city: None }).await?;
    }
    let mut deleted = None;
    for (title, year, price, author, publisher) in [
        ("Emma", 1815, Some(8.0), 1, "P"),
        ("Persuasion", 1817, Some(10.0), 1, "Q"),
        ("Sanditon", 1817, Some(99.0), 1, "Q"),
        ("Frost", 1963, Some(12.0), 2, "P"),
        ("Beton", 1982, None, 2, "P"),
    ] {
        let book =
            t.db.insert(NewBook {
                id: None,
                title: title.into(),
                year,
                price,
                author_id: Some(author),
                publisher_id: publisher.into(),
            })
            .await?;
        deleted = (title == "Sanditon").then_some(book.id).or(deleted);
    }
    t.db.delete::<Book>(deleted.unwrap()).await?;
    Ok(())
}

fn s(text: &str) -> String {
    text.to_owned()
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub(crate) struct ByCountry {
    /// The country of the author.
    pub country: Option<String>,
    /// How many books.
    pub books: i64,
    /// Their mean price.
    pub price: Option<f64>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Titled {
    title: String,
}

async fn titles<R: forge::query::pipeline::Columns, A>(
    pipeline: forge::query::Pipeline<R, forge::query::pipeline::Whole<A>>,
) -> Result<Vec<String>> {
    Ok(pipeline.fetch::<Titled>().await?.into_iter().map(|row| row.title).collect())
}

conformance! {
    async fn models_come_back_as_themselves(t) {
        fill(t).await?;
        let books: Vec<Book> = t.db.pipeline::<Book>().match_(|b| b.year.lt(1900)).sort(|b| b.title.asc()).await?;
        assert_eq!(books.iter().map(|b| b.title.as_str()).collect::<Vec<_>>(), ["Emma", "Persuasion"]);
        assert_eq!(t.db.pipeline::<Book>().with_deleted().match_(|b| b.year.lt(1900)).await?.len(), 3);
        assert!(t.db.pipeline::<Book>().limit(0).await?.is_empty());
        assert_eq!(titles(t.db.pipeline::<Book>().sort(|b| b.title.asc()).skip(1).limit(2)).await?, ["Emma", "Frost"]);
        assert_eq!(t.db.pipeline::<Book>().sample(3).await?.len(), 3);
    }

    async fn joins_groups_and_shapes_are_typed(t) {
        fill(t).await?;
        let rows: Vec<ByCountry> = t.db.pipeline::<Book>()
            .lookup(|b| b.author)
            .group(
                |b| [b.author.joined(|a| a.country).named("country")],
                |b| [count().named("books"), b.price.avg().named("price")],
            )
            .shaped::<ByCountry>()
            .match_(|r| r.books.gt(0))
            .sort(|r| r.country.asc())
            .await?;
        assert_eq!(rows, [
            ByCountry { country: Some(s("AT")), books: 2, price: Some(12.0) },
            ByCountry { country: Some(s("UK")), books: 2, price: Some(9.0) },
        ]);
    }

    async fn joined_lists_go_through_stages_of_their_own(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { name: String, books: Vec<Titled> }
        let rows: Vec<Row> = t.db.pipeline::<Author>()
            .lookup_with(|a| a.books, |books| books.match_(|b| b.year.gt(1815)).sort(|b| b.year.desc()).limit(1))
            .sort(|a| a.name.asc())
            .fetch()
            .await?;
        let wanted = [("Austen", vec!["Persuasion"]), ("Bernhard", vec!["Beton"]), ("Camus", vec![])];
        let wanted = wanted.map(|(name, books)| Row { name: s(name), books: books.into_iter().map(|title| Titled { title: s(title) }).collect() });
        assert_eq!(rows, wanted, "the deleted book is not joined");
    }

    async fn joins_by_any_condition_see_variables(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { title: String, later: Vec<Titled> }
        let rows: Vec<Row> = t.db.pipeline::<Book>()
            .lookup_where::<Book, _, _>(
                "later",
                |b| [b.year.named("year"), b.author_id.named("author")],
                |books| books
                    .match_expr(|b| b.author_id.expr().eq(var("author")) & b.year.expr().gt(var("year")))
                    .sort(|b| b.year.asc()),
            )
            .sort(|b| b.year.asc())
            .fetch()
            .await?;
        let later: Vec<_> = rows.iter().map(|row| (row.title.as_str(), row.later.iter().map(|b| b.title.as_str()).collect::<Vec<_>>())).collect();
        assert_eq!(later, [("Emma", vec!["Persuasion"]), ("Persuasion", vec![]), ("Frost", vec!["Beton"]), ("Beton", vec![])]);
    }

    async fn expressions_compute_fields(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { label: String, century: i64, net: f64, class: String, one: i32, parts: Vec<String> }
        let rows: Vec<Row> = t.db.pipeline::<Book>()
            .sort(|b| b.year.asc())
            .limit(1)
            .project(|b| [
                b.title.expr().upper().concat(", ").concat(b.year.expr().to_text().or("")).named("label"),
                ((b.year / 100).floor() + 1.0).to_i64().named("century"),
                (b.price.expr().or(0.0) * 0.9).round(1).named("net"),
                switch().case(b.price.expr().gt(10.0), "dear").case(b.price.expr().gt(5.0), "fair").otherwise("cheap").named("class"),
                lit(1).named("one"),
                lit(s("a-b")).split("-").map(forge::query::Expr::upper).named("parts"),
            ])
            .fetch()
            .await?;
        assert_eq!(rows, [Row { label: s("EMMA, 1815"), century: 19, net: 7.2, class: s("fair"), one: 1, parts: vec![s("A"), s("B")] }]);
    }

    async fn lists_are_kept_mapped_and_folded(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { name: String, old: Vec<String>, sum: i64, count: i32, any: bool }
        let rows: Vec<Row> = t.db.pipeline::<Author>()
            .match_(|a| a.id.lt(3))
            .lookup_with(|a| a.books, |books| books.sort(|b| b.year.asc()))
            .set(|_| {
                let books = || path::<Vec<Book>>("books");
                [
                    books().keep(|b| b.get::<i32>("year").lt(1817)).map(|b| b.get::<String>("title")).named("old"),
                    books().fold(0_i64, |sum, b| sum + b.get::<i64>("year")).named("sum"),
                    books().len().named("count"),
                    books().map(|b| b.get::<i32>("year")).holds(1963).named("any"),
                ]
            })
            .sort(|a| a.name.asc())
            .fetch()
            .await?;
        assert_eq!(rows[0], Row { name: s("Austen"), old: vec![s("Emma")], sum: 1815 + 1817, count: 2, any: false });
        assert_eq!(rows[1], Row { name: s("Bernhard"), old: vec![], sum: 1963 + 1982, count: 2, any: true });
    }

    async fn lists_are_unwound_and_roots_replaced(t) {
        fill(t).await?;
        let unwound = t.db.pipeline::<Author>().lookup(|a| a.books).unwind("books").replace_root(|a| a.books.joined_whole::<Book>());
        assert_eq!(titles(unwound.sort_by([asc("title")])).await?, ["Beton", "Emma", "Frost", "Persuasion"]);
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { name: String, at: Option<i64> }
        let kept: Vec<Row> = t.db.pipeline::<Author>()
            .match_(|a| a.id.gt(1))
            .lookup_with(|a| a.books, |books| books.sort(|b| b.year.asc()))
            .unwind_all("books", Some("at"))
            .sort_by([asc("name"), desc("at")])
            .fetch()
            .await?;
        assert_eq!(kept, [("Bernhard", Some(1)), ("Bernhard", Some(0)), ("Camus", None)].map(|(name, at)| Row { name: s(name), at }));
    }

    async fn fields_are_left_out(t) {
        fill(t).await?;
        let emma = t.db.pipeline::<Book>().match_(|b| b.title.eq("Emma")).set(|b| [object::<Document>([b.year.named("y"), b.title.named("t")]).named("o")]);
        let left: Option<Document> = emma.unset(["o.t", "year", "nowhere"]).fetch_one().await?;
        let left = left.unwrap();
        assert_eq!(left.get_document("o")?, &doc! { "y": 1815 });
        assert!(left.contains_key("title") && !left.contains_key("year"), "{left}");
    }

    async fn facets_answer_several_questions_at_once(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Publishers { publisher: String, n: i64 }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Headline { books: i64, dearest: Option<f64> }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Dashboard { publishers: Vec<Publishers>, newest: Vec<Titled>, headline: Vec<Headline> }
        let dashboard: Dashboard = t.db.pipeline::<Book>()
            .match_(|b| b.year.gt(1815))
            .facet(|f| f
                .branch("publishers", |p| p.group(|b| [b.publisher_id.named("publisher")], |_| [count().named("n")]).sort_by([asc("publisher")]))
                .branch("newest", |p| p.match_(|b| b.year.lt(1980)).sort(|b| b.year.desc()).limit(1))
                .branch("headline", |p| p.group(|_| [], |b| [count().named("books"), b.price.largest().named("dearest")])))
            .fetch_one()
            .await?
            .unwrap();
        assert_eq!(dashboard, Dashboard {
            publishers: vec![Publishers { publisher: s("P"), n: 2 }, Publishers { publisher: s("Q"), n: 1 }],
            newest: vec![Titled { title: s("Frost") }],
            headline: vec![Headline { books: 3, dearest: Some(12.0) }],
        });
        let empty: Dashboard = t.db.pipeline::<Book>().match_(|b| b.year.is_in([0; 0]))
            .facet(|f| f.branch("publishers", |p| p).branch("newest", |p| p).branch("headline", |p| p))
            .fetch_one().await?.unwrap();
        assert!(empty.newest.is_empty(), "a facet over nothing is one document of empty lists");
    }

    async fn buckets_are_ranges(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Bucket { #[serde(rename = "_id")] from: bson::Bson, n: i64, titles: Vec<String> }
        let rows: Vec<Bucket> = t.db.pipeline::<Book>()
            .sort(|b| b.title.asc())
            .bucket(|b| b.year.expr(), Buckets::at([1800, 1817, 1900]).otherwise("later"), |b| [count().named("n"), b.title.push().named("titles")])
            .fetch()
            .await?;
        let seen: Vec<_> = rows.iter().map(|row| (row.from.clone(), row.n)).collect();
        assert_eq!(seen, [(1800.into(), 1), (1817.into(), 1), ("later".into(), 2)]);
        #[derive(Debug, PartialEq, Deserialize)]
        struct Range { min: i32, max: i32 }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Auto { #[serde(rename = "_id")] range: Range, n: i64 }
        let auto: Vec<Auto> = t.db.pipeline::<Book>().bucket(|b| b.year.expr(), Buckets::auto(2), |_| [count().named("n")]).fetch().await?;
        assert_eq!(auto, [Auto { range: Range { min: 1815, max: 1963 }, n: 2 }, Auto { range: Range { min: 1963, max: 1982 }, n: 2 }]);
    }

    async fn counts_are_sorted(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { #[serde(rename = "_id")] publisher: String, count: i64 }
        let rows: Vec<Row> = t.db.pipeline::<Book>().sort_by_count(|b| b.publisher_id.expr()).fetch().await?;
        assert_eq!(rows, [("P", 3), ("Q", 1)].map(|(publisher, count)| Row { publisher: s(publisher), count }));
        #[derive(Debug, PartialEq, Deserialize)]
        struct Count { n: i64 }
        assert_eq!(t.db.pipeline::<Book>().count("n").fetch::<Count>().await?, [Count { n: 4 }]);
    }

    async fn windows_see_their_neighbours(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { title: String, rank: i64, number: i64, sum: f64, pair: f64, next: Option<String>, all: i64 }
        let rows: Vec<Row> = t.db.pipeline::<Book>()
            .window(|b| windows()
                .partition(b.publisher_id)
                .sort(b.year.asc())
                .value(rank().named("rank"))
                .value(document_number().named("number"))
                .value(b.price.sum().over(Frame::so_far()).named("sum"))
                .value(b.price.sum().over(Frame::documents(-1, 0)).named("pair"))
                .value(shift(b.title, 1).named("next"))
                .value(count().named("all")))
            .sort(|b| (b.publisher_id.asc(), b.year.asc()))
            .fetch()
            .await?;
        let row = |title: &str, rank, sum, pair, next: Option<&str>, all| Row { title: s(title), rank, number: rank, sum, pair, next: next.map(s), all };
        assert_eq!(rows, [
            row("Emma", 1, 8.0, 8.0, Some("Frost"), 3),
            row("Frost", 2, 20.0, 20.0, Some("Beton"), 3),
            row("Beton", 3, 20.0, 12.0, None, 3),
            row("Persuasion", 1, 10.0, 10.0, None, 1),
        ]);
    }

    async fn windows_of_ranges_measure_distance(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { title: String, near: i64, slope: Option<f64>, average: Option<f64> }
        let rows: Vec<Row> = t.db.pipeline::<Book>()
            .match_(|b| b.price.gt(0.0))
            .window(|b| windows()
                .sort(b.year.asc())
                .value(count().over(Frame::range(-2, 2)).named("near"))
                .value(derivative(b.price, Frame::documents(-1, 0), None).named("slope"))
                .value(exp_moving_avg(b.price, 3).named("average")))
            .sort(|b| b.year.asc())
            .fetch()
            .await?;
        let row = |title: &str, near, slope, average| Row { title: s(title), near, slope, average: Some(average) };
        assert_eq!(rows, [
            row("Emma", 2, None, 8.0),
            row("Persuasion", 2, Some(1.0), 9.0),
            row("Frost", 1, Some(2.0 / 146.0), 10.5),
        ]);
    }

    async fn graphs_are_followed(t) {
        use forge_tests::models::Renamed;
        for (code, parent) in [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", Some("c")), ("x", Some("x"))] {
            let at = bson::DateTime::from_millis(0);
            let mut document = doc! { "_id": code, "firstName": code, "homeBase": { "streetName": "s", "no": 1 }, "createdAt": at, "updatedAt": at };
            document.extend(parent.map(|parent| ("parentCode".to_owned(), parent.into())));
            t.seed("renamed", [document]).await?;
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Up { #[serde(rename = "_id")] code: String, step: i64 }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { #[serde(rename = "_id")] code: String, up: Vec<Up> }
        let rows = |reach: Reach<Renamed>| {
            t.db.pipeline::<Renamed>()
                .graph_lookup("up", |r| r.parent_code.expr(), |r: &'static <Renamed as forge::Model>::Fields| r.parent_code, |r: &'static <Renamed as forge::Model>::Fields| r.short_code, reach.depth("step"))
                .sort(|r| r.short_code.asc())
                .fetch::<Row>()
        };
        let ancestors = |row: &Row| {
            let mut up: Vec<_> = row.up.iter().map(|up| (up.step, up.code.clone())).collect();
            up.sort();
            up.into_iter().map(|(_, code)| code).collect::<Vec<_>>().join("")
        };
        let all = rows(Reach::everything()).await?;
        assert_eq!(all.iter().map(ancestors).collect::<Vec<_>>(), ["", "a", "ba", "cba", "x"], "cycles end");
        let near = rows(Reach::everything().steps(0)).await?;
        assert_eq!(near.iter().map(ancestors).collect::<Vec<_>>(), ["", "a", "b", "c", "x"]);
        // SecantusDB does not restrict what it goes through.
        if t.stand_in {
            return Ok(());
        }
        let filtered = rows(Reach::<Renamed>::everything().filter(|r| r.short_code.ne("b"))).await?;
        assert_eq!(filtered.iter().map(ancestors).collect::<Vec<_>>(), ["", "a", "", "c", "x"]);
    }

    async fn unions_add_other_models(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Named { name: String }
        let rows: Vec<Named> = t.db.pipeline::<Author>()
            .match_(|a| a.id.eq(3))
            .project(|a| [a.name.named("name")])
            .union_with::<Publisher, _>(|p| p.match_(|p| p.name.eq("P")).project(|p| [p.name.named("name")]))
            .union_with::<Book, _>(|p| p.match_(|b| b.year.eq(1817)).project(|b| [b.title.named("name")]))
            .fetch()
            .await?;
        assert_eq!(rows, ["Camus", "P", "Persuasion"].map(|name| Named { name: s(name) }), "deleted books are left out of unions too");
    }

    async fn places_are_found_by_distance(t) {
        t.push().await?;
        for (id, longitude, latitude) in [("centre", 16.37, 48.21), ("suburb", 16.30, 48.20), ("sea", 13.77, 45.65)] {
            t.db.insert(NewPlace { id: id.into(), location: GeoPoint::new(longitude, latitude)?, open: id != "suburb" }).await?;
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { #[serde(rename = "_id")] id: String, metres: f64 }
        let here = GeoPoint::new(16.36, 48.2)?;
        let near = t.db.pipeline::<Place>().geo_near(|p| p.location, here, "metres", Some(20_000.0)).fetch::<Row>().await?;
        assert_eq!(near.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["centre", "suburb"]);
        assert!((1_000.0..2_000.0).contains(&near[0].metres), "{near:?}");
        let open = t.db.pipeline::<Place>().match_(|p| p.open.eq(true)).geo_near(|p| p.location, here, "metres", None).fetch::<Row>().await?;
        assert_eq!(open.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["centre", "sea"]);
    }

    async fn relations_narrow_pipelines(t) {
        fill(t).await?;
        let by = t.db.pipeline::<Book>().match_(|b| b.author.is(|a| a.country.eq("AT"))).sort(|b| b.title.asc());
        assert_eq!(titles(by).await?, ["Beton", "Frost"]);
        let later = t.db.pipeline::<Book>().sort(|b| b.title.asc()).skip(1).match_(|b| b.author.is(|a| a.country.eq("AT")));
        assert_eq!(titles(later).await?, ["Frost"]);
    }

    async fn conditions_by_expressions_hold_in_any_place(t) {
        fill(t).await?;
        let first = t.db.pipeline::<Book>().match_expr(|b| (b.price.expr().or(0.0) * 100.0).lt(b.year.expr().cast::<f64>())).sort(|b| b.title.asc());
        assert_eq!(titles(first).await?, ["Beton", "Emma", "Frost", "Persuasion"]);
        let none = t.db.pipeline::<Book>().match_expr(|b| b.title.expr().chars().gt(4) & b.price.expr().is_null());
        assert_eq!(titles(none).await?, ["Beton"]);
        let failing = t.db.pipeline::<Book>().match_expr(|b| (b.year / 0).gt(1.0));
        assert!(titles(failing).await.is_err(), "a failing expression is an error, not a document that does not match");
    }

    async fn raw_stages_are_taken_and_checked(t) {
        fill(t).await?;
        let raw = t.db.pipeline::<Book>().raw(doc! { "$match": { "year": { "$gte": 1963 } } }).sort(|b| b.title.asc());
        assert_eq!(titles(raw).await?, ["Beton", "Frost"]);
        let json = t.db.pipeline::<Book>()
            .raw_json(r#"[{ "$match": { "year": { "$in": [{ "$numberInt": "1815" }, 1817] } } }, { "$sort": { "title": 1 } }]"#);
        assert_eq!(titles(json).await?, ["Emma", "Persuasion"]);
        for stage in [doc! { "$out": "x" }, doc! { "$match": { "$where": "1" } }] {
            let error = titles(t.db.pipeline::<Book>().raw(stage)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Forbidden);
        }
        assert_eq!(from_json(r#"[{ "$group": { "_id": { "$function": {} } } }]"#).unwrap_err().code(), ErrorCode::Forbidden);
        for json in ["{}", "[1]", "[", r#"[{ "$a": 1, "$b": 2 }]"#] {
            assert_eq!(from_json(json).unwrap_err().code(), ErrorCode::BadRequest, "{json}");
        }
    }

    async fn pipelines_write_only_where_they_are_asked_to(t) {
        fill(t).await?;
        assert_eq!(t.db.pipeline::<Book>().write(doc! { "$match": {} }).await.unwrap_err().code(), ErrorCode::BadRequest);
    }

    async fn gaps_are_closed_in_documents_and_between_them(t) {
        fill(t).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { year: i32, title: Option<String>, price: Option<f64> }
        let row = |year, title: Option<&str>, price| Row { year, title: title.map(s), price };
        let densify = doc! { "$densify": { "field": "year", "range": { "step": 20, "bounds": [1943, 1990] } } };
        let added = t.db.pipeline::<Book>().match_(|b| b.author_id.eq(2)).raw(densify);
        let rows: Vec<Row> = added.raw(doc! { "$sort": { "year": 1 } }).fetch().await?;
        let wanted = [row(1943, None, None), row(1963, Some("Frost"), Some(12.0)), row(1982, Some("Beton"), None), row(1983, None, None)];
        assert_eq!(rows, wanted);
        let filled = doc! { "$fill": { "sortBy": { "year": 1 }, "partitionByFields": ["author_id"], "output": { "price": { "method": "locf" } } } };
        let rows: Vec<Row> = t.db.pipeline::<Book>().raw(filled).raw(doc! { "$sort": { "year": 1 } }).fetch().await?;
        let prices: Vec<_> = rows.iter().map(|row| row.price).collect();
        assert_eq!(prices, [Some(8.0), Some(10.0), Some(12.0), Some(12.0)]);
    }

    async fn live_queries_learn_what_a_pipeline_read(t) {
        fill(t).await?;
        let pipeline = t.db.pipeline::<Book>()
            .match_(|b| b.year.gt(1900))
            .match_(|b| b.publisher_id.eq("P"))
            .lookup_with(|b| b.author, |a| a.match_(|a| a.country.eq("AT")))
            .union_with::<Place, _>(|p| p.match_expr(|p| p.open.expr()))
            .raw(doc! { "$lookup": { "from": "reviews", "as": "reviews", "pipeline": [{ "$unionWith": "bios" }] } })
            .to_ir()?;
        let log = Arc::new(ReadLog::default());
        let exec = Exec { reads: Some(log.clone()), ..Exec::default() };
        t.adapter.execute(&exec, forge_core::plan::plan(Operation::Pipeline(pipeline), t.clock.now())).await?;
        let reads = log.take();
        let seen: Vec<_> = reads.iter().map(|read| (&*read.collection, serde_json::to_string(&read.filter).unwrap())).collect();
        assert_eq!(seen.iter().map(|(collection, _)| *collection).collect::<Vec<_>>(), ["books", "authors", "places", "reviews", "bios"]);
        assert!(seen[0].1.contains("1900") && seen[0].1.contains("publisher_id") && seen[0].1.contains("deletedAt"), "{seen:?}");
        assert!(seen[1].1.contains("AT"), "{seen:?}");
        assert_eq!([&seen[2].1, &seen[3].1], ["\"all\"", "\"all\""], "what cannot be told by value is the whole collection");
    }

    async fn pipelines_are_explained_and_bounded(t) {
        fill(t).await?;
        let explained = t.db.pipeline::<Book>().match_(|b| b.year.gt(1900)).lookup(|b| b.author).explain().await?;
        assert_eq!(explained.steps.len(), 1);
        assert_eq!(explained.steps[0].collection, "books");
        let bounded = t.db.pipeline::<Book>().max_time(Duration::from_secs(5)).allow_disk_use().comment("test");
        assert_eq!(bounded.await?.len(), 4);
    }

    async fn names_that_would_be_operators_are_refused(t) {
        for name in ["", "$x", "a.$b", "a..b"] {
            let error = titles(t.db.pipeline::<Book>().set(|b| [b.title.named(name)])).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadRequest, "{name:?}");
        }
        let error = titles(t.db.pipeline::<Book>().group(|b| [b.year.named("a.b")], |_| [])).await.unwrap_err();
        assert!(error.message().contains("a.b"), "{error}");
    }

    async fn values_are_never_taken_for_operators(t) {
        t.db.insert(NewAuthor { id: 1, name: "$name".into(), country: None }).await?;
        #[derive(Debug, PartialEq, Deserialize)]
        struct Row { same: bool, quoted: String, object: Inner }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Inner { name: String }
        let rows: Vec<Row> = t.db.pipeline::<Author>()
            .project(|a| [
                a.name.expr().eq("$name").named("same"),
                cond(lit(true), "$name", "x").named("quoted"),
                object::<Inner>([a.name.named("name")]).named("object"),
            ])
            .fetch()
            .await?;
        assert_eq!(rows, [Row { same: true, quoted: s("$name"), object: Inner { name: s("$name") } }]);
    }
}
