//! Streams of pipelines and of searches: batch by batch, whatever begins them.

use bson::doc;
use forge::ErrorCode;
use forge::prelude::*;
use forge::query::expr::{path, root};
use forge_tests::engine::done;
use forge_tests::models::{Author, NewAuthor};
use forge_tests::search::{Article, NewArticle, article};
use forge_tests::{Fixture, Result, conformance};
use futures_util::TryStreamExt;
use serde::Deserialize;

use crate::search::{has_search, has_text};

/// As many documents as a stream has in memory at a time.
const BATCH: usize = 1_000;

async fn authors(t: &Fixture, n: i64) -> Result<()> {
    let author = |id: i64| NewAuthor { id, name: format!("A{}", id % 7), country: Some("AT".into()) };
    t.db.insert_many((1..=n).map(author)).await?;
    t.driver.largest_batch();
    Ok(())
}

#[derive(Debug, PartialEq, Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    id: i64,
    n: i64,
}

conformance! {
    async fn a_pipeline_streams_what_it_answers(t) {
        authors(t, 2_500).await?;
        let all = || t.db.pipeline::<Author>().match_(|a| a.id.gt(10));
        let streamed: Vec<Author> = all().sort(|a| a.id.asc()).stream().try_collect().await?;
        assert_eq!(streamed, all().sort(|a| a.id.asc()).await?);
        assert_eq!(streamed.len(), 2_490);
        assert!((1..=BATCH).contains(&t.driver.largest_batch()));
        let rows = || all()
            .sort(|a| (a.name.desc(), a.id.asc()))
            .match_expr(|a| (a.id % 2).eq(0))
            .project(|a| [a.id.named("_id"), (a.id * 2).named("n")])
            .skip(50)
            .limit(1_100);
        let streamed: Vec<Row> = rows().stream_as().try_collect().await?;
        assert_eq!(streamed, rows().fetch::<Row>().await?);
        assert_eq!(streamed.len(), 1_100);
        assert!(t.driver.largest_batch() <= BATCH);
        let grouped = || all()
            .group(|a| [a.id.named("_id")], |_| [count().named("n")])
            .sort_by([forge::query::asc("_id")]);
        let streamed: Vec<Row> = grouped().stream_as().try_collect().await?;
        assert_eq!(streamed, grouped().fetch::<Row>().await?);
        assert!(t.driver.largest_batch() <= BATCH, "what a stage held back is handed out in batches too");
        assert!(all().limit(0).stream().next().await.is_none());
    }

    async fn few_documents_among_many_are_found_by_a_stream(t) {
        authors(t, 2_500).await?;
        let last = t.db.pipeline::<Author>().match_expr(|a| a.id.expr().gt(2_498)).sort(|a| a.id.asc());
        let last: Vec<Author> = last.stream().try_collect().await?;
        assert_eq!(last.iter().map(|a| a.id).collect::<Vec<_>>(), [2_499, 2_500]);
        let late = t.db.pipeline::<Author>()
            .sort(|a| a.id.asc())
            .set(|a| [(a.id - 2_400).named("n")])
            .match_expr(|_| path::<i64>("n").gt(0))
            .limit(3);
        let late: Vec<Row> = late.stream_as().try_collect().await?;
        assert_eq!(late, [1, 2, 3].map(|n| Row { id: 2_400 + n, n }));
    }

    async fn a_stream_of_a_pipeline_ends_with_its_error(t) {
        authors(t, 3).await?;
        t.seed("authors", [doc! { "_id": 9_i64, "name": 5 }, doc! { "_id": 10_i64, "name": "fine" }]).await?;
        let mut stream = t.db.pipeline::<Author>().match_(|a| a.id.gte(3)).sort(|a| a.id.asc()).stream();
        assert_eq!(stream.next().await.unwrap()?.id, 3, "what comes before it is given");
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(error.message().contains("is not a"), "{error}");
        assert!(stream.next().await.is_none());
        let mut refused = t.db.pipeline::<Author>().raw(doc! { "$out": "elsewhere" }).stream();
        assert_eq!(refused.next().await.unwrap().unwrap_err().code(), ErrorCode::Forbidden);
        assert!(refused.next().await.is_none());
        let mut unknown = t.db.pipeline::<Author>().match_(|a| a.id.lt(0)).raw(doc! { "$set": { "x": { "$nonsense": 1 } } }).stream();
        assert!(unknown.next().await.unwrap().is_err(), "also where no document gets there");
    }

    async fn a_stream_of_a_pipeline_sees_the_writes_of_its_transaction(t) {
        if !t.adapter.capabilities().transactions {
            return forge_tests::engine::unsupported(t, "transactions");
        }
        authors(t, 3).await?;
        t.db.transaction(async |tx| {
            tx.insert(NewAuthor { id: 9, name: "new".into(), country: None }).await?;
            let all: Vec<Author> = tx.pipeline::<Author>().stream().try_collect().await?;
            assert_eq!(all.len(), 4);
            done(())
        }).await?;
    }

    async fn a_stream_of_the_nearest_comes_in_batches(t) {
        if !has_search(t) {
            return Ok(());
        }
        t.push().await?;
        let one = |id: i64| NewArticle { place: Some(vec![id as f32, 0.0]), ..article(id, "T", "") };
        t.db.insert_many((1..=1_500).map(one)).await?;
        t.driver.largest_batch();
        let near = || t.db.find::<Article>().nearest_vector(|a| a.place, vec![0.0, 0.0]).limit(1_200);
        let found: Vec<Article> = near().stream().try_collect().await?;
        assert_eq!(found, near().await?);
        assert_eq!(found.iter().map(|a| a.id).collect::<Vec<_>>(), (1..=1_200).collect::<Vec<_>>());
        assert_eq!(t.driver.largest_batch(), BATCH);
        let rows: Vec<f64> = near().select(|_| score()).stream().try_collect().await?;
        assert!(rows.len() == 1_200 && rows.is_sorted_by(|a, b| a >= b), "{rows:?}");
        let near = || t.db.pipeline::<Article>()
            .nearest_vector(|a| a.place, vec![0.0, 0.0])
            .limit(1_200)
            .project(|a| [a.id.named("_id"), a.id.named("n"), score().named("score")])
            .match_expr(|_| path::<f64>("score").gt(0.0))
            .replace_root(|_| root::<Article>());
        let rows: Vec<Row> = near().stream_as().try_collect().await?;
        assert_eq!(rows, (1..=1_200).map(|n| Row { id: n, n }).collect::<Vec<_>>());
        assert_eq!(t.driver.largest_batch(), BATCH);
    }

    async fn a_stream_of_words_comes_in_batches_with_scores(t) {
        if !has_text(t) {
            return Ok(());
        }
        t.push().await?;
        t.db.insert_many((1..=1_500).map(|id| article(id, "Coffee", ""))).await?;
        t.driver.largest_batch();
        let found = t.db.pipeline::<Article>()
            .text("coffee")
            .sort(|a| (score(), a.id.asc()))
            .set(|a| [score().named("score"), a.id.named("n")])
            .match_expr(|_| path::<f64>("score").gt(5.0));
        let rows: Vec<Row> = found.stream_as().try_collect().await?;
        assert_eq!(rows, (1..=1_500).map(|n| Row { id: n, n }).collect::<Vec<_>>());
        assert!((1..=BATCH).contains(&t.driver.largest_batch()));
    }
}
