//! Pipelines that a search begins, and their scores. On servers only where they have such searches.

use bson::Document;
use forge::ErrorCode;
use forge::prelude::*;
use forge::query::expr::{path, root};
use forge_mongo::Command;
use forge_tests::models::Book;
use forge_tests::search::Article;
use forge_tests::{Fixture, conformance};
use serde::Deserialize;

use crate::search::{fill, has_search, has_text, vectors};

#[derive(Debug, PartialEq, Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: i64,
    score: f64,
}

fn ids(hits: &[Hit]) -> Vec<i64> {
    hits.iter().map(|hit| hit.id).collect()
}

/// The stages of the last command.
fn stages(t: &Fixture) -> Vec<Document> {
    match t.driver.take().pop().map(|artifact| artifact.command) {
        Some(Command::Aggregate { pipeline }) => pipeline,
        other => panic!("{other:?}"),
    }
}

conformance! {
    async fn a_pipeline_begins_with_words_and_knows_their_score(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        let coffee = || t.db.pipeline::<Article>().text("coffee");
        let found = t.db.find::<Article>().text("coffee").sort(|a| (score(), a.id.asc())).scored().await?;
        let found: Vec<Hit> = found.into_iter().map(|hit| Hit { id: hit.document.id, score: hit.score }).collect();
        let hits: Vec<Hit> = coffee()
            .sort(|a| (score(), a.id.asc()))
            .project(|a| [a.id.named("_id"), score().named("score")])
            .fetch()
            .await?;
        assert_eq!(hits, found);
        let articles: Vec<Article> = coffee().match_(|a| a.year.gte(2000)).sort(|a| (score(), a.id.asc())).await?;
        assert_eq!(articles.iter().map(|a| a.id).collect::<Vec<_>>(), [2, 3], "conditions narrow it");
        let good: Vec<Hit> = coffee()
            .match_expr(|_| score().expr().gt(3.0))
            .set(|_| [score().named("score")])
            .fetch()
            .await?;
        assert_eq!(ids(&good), [1]);
        t.db.delete::<Article>(1).await?;
        assert!(coffee().match_expr(|_| score().expr().gt(3.0)).await?.is_empty(), "what is deleted is not found");
    }

    async fn a_score_stays_until_documents_are_made_anew(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        let coffee = || t.db.pipeline::<Article>().text("coffee").sort(|a| (score(), a.id.asc()));
        let late: Vec<Hit> = coffee()
            .project(|a| [a.id.named("_id"), a.year.named("year")])
            .replace_root(|_| root::<Article>())
            .set(|_| [score().named("score")])
            .fetch()
            .await?;
        assert_eq!(ids(&late), [1, 2, 3]);
        #[derive(Debug, Deserialize)]
        struct Best { best: f64, all: Vec<Document> }
        let best: Option<Best> = coffee()
            .group(|_| [], |_| [
                score().expr().largest().named("best"),
                root::<Document>().push().named("all"),
            ])
            .fetch_one()
            .await?;
        let best = best.unwrap();
        assert!(best.best == late[0].score && best.all.len() == 3, "{best:?}");
        assert!(best.all.iter().all(|row| !row.keys().any(|name| name.contains("score"))), "{best:?}");
        let gone = coffee().count("n").set(|_| [score().named("score")]).fetch::<Document>().await.unwrap_err();
        assert_eq!(gone.code(), ErrorCode::BadRequest);
        assert!(gone.message().contains("$count"), "{gone}");
    }

    async fn a_pipeline_begins_with_the_nearest_vectors(t) {
        if !has_search(t) {
            return Ok(());
        }
        vectors(t).await?;
        let near = || t.db.pipeline::<Article>().nearest_vector(|a| a.embedding, vec![1.0, 0.0, 0.0]);
        let hits: Vec<Hit> = near().project(|a| [a.id.named("_id"), score().named("score")]).fetch().await?;
        assert_eq!((ids(&hits), hits[0].score), (vec![1, 2, 3, 4], 1.0));
        let two: Vec<Article> = near().exact().skip(1).limit(2).await?;
        assert_eq!(two.iter().map(|a| a.id).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(stages(t)[0].get_document("$vectorSearch")?.get_i64("limit")?, 3, "as many as the stages behind take");
        let narrowed: Vec<Article> = near().num_candidates(50).match_(|a| a.year.gte(2010)).limit(2).await?;
        assert_eq!(narrowed.iter().map(|a| a.id).collect::<Vec<_>>(), [2, 3], "narrowed before");
        let after: Vec<Article> = near().limit(2).match_(|a| a.title.eq("Other")).sort(|a| a.id.desc()).await?;
        assert_eq!(after.iter().map(|a| a.id).collect::<Vec<_>>(), [2, 1], "behind the limit any field is compared");
        let good: Vec<Article> = near().match_expr(|_| score().expr().gt(0.9)).sort(|_| score()).await?;
        assert_eq!(good.iter().map(|a| a.id).collect::<Vec<_>>(), [1, 2]);
        assert!(near().limit(0).set(|_| [score().named("score")]).fetch::<Hit>().await?.is_empty());
    }

    async fn a_pipeline_begins_with_joined_rankings(t) {
        if !has_search(t) || !has_text(t) {
            return Ok(());
        }
        vectors(t).await?;
        let hits: Vec<Hit> = t.db.pipeline::<Article>()
            .rank_fusion(|a| [
                Ranked::text("coffee"),
                Ranked::vector(a.embedding, vec![1.0, 0.0, 0.0]).limit(3),
            ])
            .set(|_| [(score().expr() * 2.0).named("score")])
            .sort_by([forge::query::desc("score")])
            .fetch()
            .await?;
        assert_eq!(ids(&hits), [3, 1, 2]);
        assert!((hits[0].score - 2.0 * (1.0 / 61.0 + 1.0 / 63.0)).abs() < 1e-12, "{hits:?}");
    }

    async fn a_search_is_the_first_stage_and_the_only_one(t) {
        let begin = || t.db.pipeline::<Article>();
        let vector = || vec![1.0, 0.0, 0.0];
        for wrong in [
            begin().limit(5).text("coffee"),
            begin().unwind("tags").nearest_vector(|a| a.embedding, vector()),
            begin().set(|_| []).search(|a| Search::text("coffee", a.title)),
            begin().skip(1).rank_fusion(|_| [Ranked::text("coffee")]),
            begin().text("coffee").text("tea"),
            begin().nearest_vector(|a| a.embedding, vector()).search(|a| Search::text("coffee", a.title)),
            begin().nearest_vector(|a| a.embedding, vec![f32::NAN]),
            begin().num_candidates(5),
            begin().text("coffee").search_index("own"),
            begin().sort(|_| score()),
            begin().match_expr(|_| score().expr().gt(1.0)),
        ] {
            let error = wrong.await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
        }
        let error = begin().limit(5).text("coffee").await.unwrap_err();
        assert!(error.message().contains("text is the first stage"), "{error}");
        let error = t.db.pipeline::<Book>().set(|_| [score().named("score")]).fetch::<Document>().await.unwrap_err();
        assert!(error.message().contains("only in a search"), "{error}");
        let named = path::<f64>("score");
        assert_eq!(begin().limit(5).match_expr(|_| named.gt(1.0)).await?, [], "a field of that name is no score");
    }

    async fn pipelines_name_the_search_that_a_server_lacks(t) {
        let capabilities = t.db.adapter().capabilities();
        if !capabilities.text {
            let error = t.db.pipeline::<Article>().text("x").await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        }
        if !capabilities.search {
            let near = t.db.pipeline::<Article>().nearest_vector(|a| a.embedding, vec![0.0; 3]);
            assert_eq!(near.await.unwrap_err().code(), ErrorCode::Unsupported);
            return Ok(());
        }
        let words = t.db.pipeline::<Article>().search(|a| Search::text("x", a.title)).set(|_| [score().named("s")]);
        let asked = words.fetch::<Document>().await;
        assert_eq!(serde_json::to_string(&stages(t))?, r#"[{"$search":{"index":"forge_articles_search","text":{"query":"x","path":"title"}}},{"$match":{"deletedAt":null}},{"$set":{"s":{"$meta":"searchScore"}}}]"#);
        if !capabilities.index_search {
            let error = asked.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
            assert!(error.message().contains("$search"), "{error}");
        }
    }
}
