//! Pipelines that a search begins, and their scores. On servers only where they have such searches.

use std::time::Duration;

use bson::Document;
use forge::ErrorCode;
use forge::prelude::*;
use forge::query::expr::{path, root};
use forge_mongo::Command;
use forge_tests::models::Book;
use forge_tests::search::{Article, NewArticle, article};
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

type ArticleFields = <Article as forge::Model>::Fields;

/// Whether the engine searches values without an index. (A server's index is made in its own time, which no test waits for.)
fn has_values(t: &Fixture) -> bool {
    let has = t.db.adapter().name() == "embedded";
    if !has {
        forge_tests::engine::skip("$search: the server builds its indexes in the background, or has none");
    }
    has
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

async fn dated(t: &Fixture) -> forge::Result<()> {
    let made = [
        (1, 1990, "tea", Some(0)),
        (2, 2000, "coffee", Some(60)),
        (3, 2010, "coffee", None),
        (4, 2020, "water", Some(120)),
    ];
    t.db.insert_many(made.map(|(id, year, topic, minutes)| NewArticle {
        year,
        topic: Some(topic.into()),
        published: minutes.map(|minutes| DateTime::from_millis(minutes * 60_000)),
        ..article(id, "T", "")
    }))
    .await?;
    Ok(())
}

conformance! {
    async fn values_are_searched_where_no_index_is_needed(t) {
        if !has_values(t) {
            return Ok(());
        }
        dated(t).await?;
        let found = async |search: fn(&'static ArticleFields) -> Search<Article>| {
            let hits = t.db.find::<Article>().search(search).scored().await?;
            forge_tests::engine::done(hits.into_iter().map(|hit| (hit.document.id, hit.score)).collect::<Vec<_>>())
        };
        assert_eq!(found(|a| Search::range(a.year, 2000..2020)).await?, [(2, 1.0), (3, 1.0)]);
        assert_eq!(found(|a| Search::range(a.year, 2000..=2020)).await?.len(), 3);
        assert_eq!(found(|a| Search::range(a.year, ..2000)).await?, [(1, 1.0)]);
        assert_eq!(found(|a| Search::range(a.published, DateTime::from_millis(1)..)).await?, [(2, 1.0), (4, 1.0)]);
        assert_eq!(found(|a| Search::range(a.topic, "coffee".."tea")).await?, [(2, 1.0), (3, 1.0)]);
        assert_eq!(found(|a| Search::equals(a.topic, "coffee")).await?, [(2, 1.0), (3, 1.0)]);
        assert_eq!(found(|a| Search::is_in(a.year, [1990, 2020, 5])).await?, [(1, 1.0), (4, 1.0)]);
        assert_eq!(found(|a| Search::is_in(a.year, [0; 0])).await?, []);
        assert_eq!(found(|a| Search::exists(a.published)).await?.len(), 3);
        assert_eq!(found(|a| Search::near(a.year, 2000, 10.0)).await?, [(2, 1.0), (1, 0.5), (3, 0.5), (4, 10.0 / 30.0)]);
        let hour = |a: &'static ArticleFields| Search::near(a.published, DateTime::from_millis(0), Duration::from_secs(3_600));
        assert_eq!(found(hour).await?, [(1, 1.0), (2, 0.5), (4, 1.0 / 3.0)]);
        let several = found(|a| {
            Search::compound()
                .only(Search::range(a.year, 1995..))
                .should(Search::equals(a.topic, "coffee").boost(3.0))
                .should(Search::near(a.year, 2010, 10.0).constant(0.5))
                .must_not(Search::equals(a.year, 2020))
        });
        assert_eq!(several.await?, [(2, 3.5), (3, 3.5)]);
        let both = found(|a| {
            Search::compound()
                .should(Search::equals(a.topic, "coffee"))
                .should(Search::equals(a.year, 2010))
                .minimum_should_match(2)
        });
        assert_eq!(both.await?, [(3, 2.0)]);
        let hits: Vec<Hit> = t.db.pipeline::<Article>()
            .search(|a| Search::range(a.year, 2000..).boost(2.0))
            .match_(|a| a.topic.eq("coffee"))
            .set(|_| [score().named("score")])
            .fetch()
            .await?;
        assert_eq!((ids(&hits), hits[0].score), (vec![2, 3], 2.0));
        t.db.delete::<Article>(2).await?;
        assert_eq!(found(|a| Search::equals(a.topic, "coffee")).await?, [(3, 1.0)], "what is deleted is not found");
    }

    async fn a_list_is_in_a_range_by_one_of_its_values(t) {
        if !has_values(t) {
            return Ok(());
        }
        t.seed("articles", [
            bson::doc! { "_id": 1_i64, "year": [1990, 2030] },
            bson::doc! { "_id": 2_i64, "year": [1990.0, 2005.5] },
            bson::doc! { "_id": 3_i64, "year": "2005" },
            bson::doc! { "_id": 4_i64 },
        ]).await?;
        let found = t.db.find::<Article>().search(|a| Search::range(a.year, 2000..2020)).select(|a| a.id).await?;
        assert_eq!(found, [2]);
        let all = t.db.find::<Article>().search(|a| Search::near(a.year, 2005, 1.0)).select(|a| a.id).await?;
        assert_eq!(all, [2, 1]);
    }

    async fn what_an_index_is_needed_for_is_named(t) {
        if !has_values(t) {
            return Ok(());
        }
        let point = GeoPoint::new(16.0, 48.0)?;
        let find = || t.db.find::<Article>();
        for (error, name) in [
            (find().search(|a| Search::text("x", a.title)).await.unwrap_err(), "`text`"),
            (find().search(|a| Search::wildcard("x*", a.title)).await.unwrap_err(), "`wildcard`"),
            (find().search(|a| Search::regex("x.*", a.title)).await.unwrap_err(), "`regex`"),
            (find().search(|a| Search::within_circle(a.written_at, point, 5.0)).await.unwrap_err(), "`geoWithin`"),
            (find().search(|a| Search::near(a.written_at, point, 5.0)).await.unwrap_err(), "`near` of places"),
            (find().search(|a| Search::compound().must(Search::autocomplete("x", a.title))).await.unwrap_err(), "`autocomplete`"),
        ] {
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
            assert!(error.message().contains(name), "{error}");
        }
        let kept = find().search(|a| Search::equals(a.title, "x")).await.unwrap_err();
        assert!(kept.message().contains("search(token)"), "{kept}");
    }
}
