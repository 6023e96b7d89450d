//! What `ctx.watch…` makes a query depend on, without reading it.

use bson::{Bson, doc};
use forge::ir::{Filter, Predicate};
use forge::prelude::*;
use forge::{Caller, Error, Registry, Result, Runtime};
use forge_tests::conformance;
use forge_tests::engine::Fixture;
use forge_tests::models::{Author, Book};
use forge_tests::schema_models::RegionTotal;

#[query]
async fn watching(ctx: &QueryCtx, what: String) -> Result<()> {
    match what.as_str() {
        "condition" => ctx.watch::<Author>(|a| a.country.eq("PT")),
        "all" => ctx.watch_all::<Author>(),
        "relation" => ctx.watch::<Book>(|b| b.author.is(|a| a.country.eq("PT")) & b.year.gt(2_000)),
        "pipeline" => {
            let books = ctx.db.pipeline::<Book>().match_(|b| b.year.gt(2_000)).lookup(|b| b.reviews);
            ctx.watch_pipeline(books.raw(doc! { "$unionWith": "archive" }))
        }
        "view" => ctx.watch_all::<RegionTotal>(),
        other => Err(Error::bad_request(format!("what is {other}?"))),
    }
}

/// The collections that `watching` depends on, and the conditions.
async fn watched(t: &Fixture, what: &str) -> Result<Vec<(String, Filter)>> {
    let runtime = Runtime::new(Registry::collect()?, t.db.clone());
    let args = serde_json::value::to_raw_value(&serde_json::json!({ "what": what }))?;
    t.driver.take();
    let answer = runtime.query("watching", args, Caller::default()).await?;
    answer.data?;
    assert!(t.driver.take().is_empty(), "nothing is read");
    Ok(answer.reads.into_iter().map(|read| (read.collection.into_owned(), read.filter)).collect())
}

fn all(of: &str) -> (String, Filter) {
    (of.to_owned(), Filter::All)
}

conformance! {
    async fn a_query_depends_on_the_conditions_it_watches(t) {
        let pt = Filter::Field("country".into(), Predicate::Eq(Bson::from("PT")));
        assert_eq!(watched(t, "condition").await?, [("authors".to_owned(), pt)]);
        assert_eq!(watched(t, "all").await?, [all("authors")]);
    }

    async fn a_condition_on_a_relation_depends_on_every_model_it_leads_through(t) {
        assert_eq!(watched(t, "relation").await?, [all("authors"), all("books")]);
    }

    async fn a_query_depends_on_what_a_pipeline_would_read(t) {
        let recent = Filter::Field("year".into(), Predicate::Gt(Bson::Int32(2_000)));
        assert_eq!(watched(t, "pipeline").await?, [("books".to_owned(), recent), all("reviews"), all("archive")]);
    }

    async fn a_view_that_is_watched_stands_for_what_it_is_made_of(t) {
        assert_eq!(watched(t, "view").await?, [all("sales")]);
    }
}
