//! Text search, vector search, and both at once. On servers only where they have them.

use bson::doc;
use forge::ErrorCode;
use forge::prelude::*;
use forge_mongo::{Command, Reply};
use forge_tests::search::{Article, NewArticle, article};
use forge_tests::{Fixture, Result, conformance};

/// Whether the engine has text indexes; says so where it has none.
pub(crate) fn has_text(t: &Fixture) -> bool {
    let has = t.db.adapter().capabilities().text;
    if !has {
        forge_tests::engine::skip("text search: the server has no text indexes");
    }
    has
}

pub(crate) fn has_search(t: &Fixture) -> bool {
    let has = t.db.adapter().capabilities().search;
    if !has {
        forge_tests::engine::skip("vector search: the server has no search indexes");
    }
    has
}

pub(crate) async fn fill(t: &Fixture) -> Result<()> {
    t.push().await?;
    t.db.insert_many([
        NewArticle { year: 1999, ..article(1, "Coffee shops of Vienna", "Where to drink a melange") },
        NewArticle {
            year: 2005,
            tags: vec!["coffee".into()],
            ..article(2, "Brewing at home", "Grind coffee, add hot water. Coffee!")
        },
        NewArticle { year: 2010, ..article(3, "Tea houses", "Not a place for coffee; hot WATER and leaves") },
        NewArticle { year: 2020, ..article(4, "Crème brûlée", "A dessert with the crust of sugar") },
    ])
    .await?;
    Ok(())
}

async fn found(t: &Fixture, query: impl Into<TextQuery>) -> Result<Vec<i64>> {
    let articles = t.db.find::<Article>().text(query).sort(|a| a.id.asc()).await?;
    Ok(articles.into_iter().map(|a| a.id).collect())
}

fn ids(articles: &[Article]) -> Vec<i64> {
    articles.iter().map(|a| a.id).collect()
}

conformance! {
    async fn words_are_found_in_any_form_and_field(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        assert_eq!(found(t, "coffee").await?, [1, 2, 3]);
        assert_eq!(found(t, "COFFEES").await?, [1, 2, 3]);
        assert_eq!(found(t, "shop brew").await?, [1, 2]);
        assert_eq!(found(t, "creme brulee").await?, [4]);
        assert_eq!(found(t, "the of a").await?, [0; 0], "stop words find nothing");
        assert_eq!(found(t, "").await?, [0; 0]);
        assert_eq!(found(t, "espresso").await?, [0; 0]);
    }

    async fn phrases_must_be_there_and_negated_words_must_not(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        assert_eq!(found(t, "\"hot water\"").await?, [2, 3]);
        assert_eq!(found(t, "coffee \"hot water\"").await?, [2, 3]);
        assert_eq!(found(t, "coffee -leaves").await?, [1, 2]);
        assert_eq!(found(t, "coffee -\"hot water\"").await?, [1]);
        assert_eq!(found(t, "-coffee").await?, [0; 0]);
    }

    async fn case_accents_and_language_are_options(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        assert_eq!(found(t, TextQuery::new("water").case_sensitive()).await?, [2]);
        assert_eq!(found(t, TextQuery::new("WATER").case_sensitive()).await?, [3]);
        assert_eq!(found(t, TextQuery::new("creme").diacritic_sensitive()).await?, [0; 0]);
        assert_eq!(found(t, TextQuery::new("crème").diacritic_sensitive()).await?, [4]);
        assert_eq!(found(t, TextQuery::new("brewing").language("none")).await?, [0; 0], "no stem, so no entry");
        let error = found(t, TextQuery::new("x").language("klingon")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
    }

    async fn the_best_come_first_and_say_how_good(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        let best = t.db.find::<Article>().text("coffee").sort(|a| (score(), a.id.asc())).await?;
        assert_eq!(ids(&best), [1, 2, 3], "a word in the title counts ten times");
        let scored = t.db.find::<Article>().text("coffee").sort(|_| score()).limit(2).scored().await?;
        assert_eq!(scored.iter().map(|s| s.document.id).collect::<Vec<_>>(), [1, 2]);
        assert!(scored[0].score > scored[1].score && scored[1].score > 0.0, "{scored:?}");
        // Once among three words that are no stop words: 10 × (0.5 / 3 + 0.5).
        assert!((scored[0].score - 10.0 * (0.5 / 3.0 + 0.5)).abs() < 1e-9, "{}", scored[0].score);
        let rows: Vec<(i64, f64, Article)> = t.db.find::<Article>().text("coffee")
            .sort(|a| (score(), a.id.asc()))
            .select(|a| (a.id, score(), whole()))
            .await?;
        assert_eq!(rows.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), ids(&best));
        assert!(rows.iter().zip(&scored).all(|((_, score, found), hit)| *score == hit.score && *found == hit.document));
        let only = t.db.find::<Article>().text("coffee").sort(|_| score()).select(|_| score()).limit(1).one().await?;
        assert_eq!(only, rows[0].1);
        let error = t.db.find::<Article>().select(|_| score()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        let error = t.db.find::<Article>().sort(|_| score()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
        assert_eq!(t.db.find::<Article>().scored().await.unwrap_err().code(), ErrorCode::BadRequest);
    }

    async fn words_combine_with_other_conditions_counts_and_writes(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        let find = || t.db.find::<Article>().text("coffee");
        assert_eq!(find().count().await?, 3);
        assert_eq!(find().filter(|a| a.year.gt(2000)).count().await?, 2);
        assert!(find().filter(|a| a.year.gt(2015)).one().await.is_err());
        assert_eq!(find().distinct(|a| a.year).await?, [1999, 2005, 2010]);
        assert_eq!(ids(&find().sort(|a| a.year.desc()).skip(1).limit(1).await?), [2]);
        t.db.delete::<Article>(2).await?;
        assert_eq!(find().count().await?, 2, "what is deleted is not found");
        assert_eq!(find().with_deleted().count().await?, 3);
        let changed = t.db.update_many::<Article>().filter(|a| text("coffee") & a.year.lt(2000)).set(|a| a.year, 1998).await?;
        assert_eq!(changed, 1);
        let years = t.db.group_by::<Article, _>(|a| a.year).filter(|_| text("coffee")).select(|_| count());
        assert_eq!(years.await?.len(), 2);
        let misplaced = t.db.find::<Article>().filter(|a| text("coffee") | a.year.gt(0)).await.unwrap_err();
        assert_eq!(misplaced.code(), ErrorCode::Unsupported, "{misplaced}");
        assert_eq!(t.db.delete_many::<Article>().filter(|_| text("coffee")).await?, 2);
        assert_eq!(find().count().await?, 0);
    }

    async fn the_index_follows_every_change(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        t.db.update::<Article>(1).set(|a| a.title, "Chocolate").await?;
        assert_eq!(found(t, "vienna").await?, [0; 0]);
        assert_eq!(found(t, "chocolates").await?, [1]);
        t.db.update::<Article>(2).unset(|a| a.body).await?;
        assert_eq!(found(t, "grind").await?, [0; 0]);
        assert_eq!(found(t, "coffee").await?, [2, 3], "the tag is still there");
        if t.db.adapter().capabilities().transactions {
            let outcome = t.db.transaction(async |tx| {
                tx.insert(article(9, "Marzipan", "sweet")).await?;
                let inside = tx.find::<Article>().text("marzipan").count().await?;
                assert_eq!(inside, 1);
                Err::<(), _>(forge::Error::conflict("changed my mind"))
            }).await;
            assert!(outcome.is_err());
            assert_eq!(found(t, "marzipan").await?, [0; 0]);
        }
    }

    async fn an_index_made_later_knows_what_is_there(t) {
        if !has_text(t) {
            return Ok(());
        }
        t.db.insert(article(1, "Early bird", "before the index")).await?;
        let error = found(t, "bird").await.unwrap_err();
        assert!(!error.to_string().is_empty());
        t.push().await?;
        assert_eq!(found(t, "bird").await?, [1]);
        let again = t.push().await?;
        assert!(again.is_settled(), "{again:?}");
    }

    async fn pipelines_see_the_score(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        let pipeline = vec![
            doc! { "$match": { "$text": { "$search": "coffee" } } },
            doc! { "$sort": { "s": { "$meta": "textScore" } } },
            doc! { "$project": { "s": { "$meta": "textScore" } } },
        ];
        let forge_mongo::Reply::Documents(rows) = t.send("articles", Command::Aggregate { pipeline }).await? else { panic!() };
        let ids: Vec<i64> = rows.iter().map(|row| row.get_i64("_id").unwrap()).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert!(rows.iter().all(|row| row.get_f64("s").unwrap() > 0.0 && row.iter().count() == 2), "{rows:?}");
    }

    async fn words_may_be_one_of_several_alternatives_with_indexes(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        let index = doc! { "key": { "year": 1 }, "name": "year" };
        forge_mongo::Driver::create_index(&*t.driver, t.name(), "articles", &index).await?;
        let run = async |filter: bson::Document, sort: bson::Document| -> Result<Vec<(i64, bool)>> {
            let pipeline = vec![doc! { "$match": filter }, doc! { "$sort": sort }, doc! { "$set": { "score": { "$meta": "textScore" } } }];
            match t.send("articles", Command::Aggregate { pipeline }).await? {
                Reply::Documents(rows) => rows.iter().map(|row| Ok((row.get_i64("_id")?, row.get("score")?.is_some()))).collect(),
                other => panic!("{other:?}"),
            }
        };
        let words = |words: &str| doc! { "$text": { "$search": words } };
        let by_id = || doc! { "_id": 1 };
        let either = doc! { "$or": [words("home"), { "year": { "$gte": 2010 } }] };
        assert_eq!(run(either.clone(), by_id()).await?, [(2, true), (3, false), (4, false)]);
        let best = doc! { "score": { "$meta": "textScore" }, "_id": -1 };
        assert_eq!(run(either.clone(), best).await?, [(2, true), (4, false), (3, false)]);
        let narrowed = doc! { "$and": [either.clone()], "_id": { "$lt": 4_i64 } };
        assert_eq!(run(narrowed, by_id()).await?, [(2, true), (3, false)]);
        let both = doc! { "$or": [{ "$and": [words("coffee"), { "year": { "$lt": 2005 } }] }, { "_id": 4_i64 }] };
        assert_eq!(run(both, by_id()).await?, [(1, true), (4, false)]);
        assert_eq!(run(doc! { "$or": [words("nothing"), { "year": 1999 }] }, by_id()).await?, [(1, false)]);
        let count = Command::Count { filter: either, limit: None, estimated: false };
        assert!(matches!(t.send("articles", count).await?, Reply::Count(3)));
        for (filter, code) in [
            (doc! { "$or": [words("home"), { "title": "Tea houses" }] }, 291),
            (doc! { "$or": [words("home"), words("coffee")] }, 2),
            (doc! { "$nor": [words("home")] }, 2),
        ] {
            let error = run(filter.clone(), by_id()).await.unwrap_err();
            assert_eq!(error.server_code(), Some(code), "{filter}: {error}");
        }
        let late = vec![doc! { "$limit": 1 }, doc! { "$match": words("home") }];
        let error = t.send("articles", Command::Aggregate { pipeline: late }).await.unwrap_err();
        assert_eq!(error.server_code(), Some(17313), "{error}");
    }

    async fn misplaced_words_are_an_error(t) {
        if !has_text(t) {
            return Ok(());
        }
        fill(t).await?;
        let text = forge::ir::Filter::Text(TextQuery::new("coffee"));
        for filter in [text.clone().or(forge::ir::Filter::eq("year", 1)), text.clone().negate(), text.clone().and(text)] {
            let error = t.ids(<Article as forge::Model>::def(), filter).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        }
    }
}

pub(crate) async fn vectors(t: &Fixture) -> Result<()> {
    t.push().await?;
    let made = [
        (1, 2000, Some(vec![1.0, 0.0, 0.0]), vec![0.0, 0.0]),
        (2, 2010, Some(vec![0.9, 0.1, 0.0]), vec![3.0, 4.0]),
        (3, 2010, Some(vec![0.0, 1.0, 0.0]), vec![1.0, 0.0]),
        (4, 2020, Some(vec![-1.0, 0.0, 0.0]), vec![0.0, 0.5]),
        (5, 2020, None, vec![9.0, 9.0]),
    ];
    t.db.insert_many(made.map(|(id, year, embedding, place)| NewArticle {
        year,
        embedding,
        place: Some(place),
        ..article(id, if id == 3 { "Coffee" } else { "Other" }, "")
    }))
    .await?;
    Ok(())
}

conformance! {
    async fn the_nearest_vectors_come_first(t) {
        if !has_search(t) {
            return Ok(());
        }
        vectors(t).await?;
        let near = || t.db.find::<Article>().nearest_vector(|a| a.embedding, vec![1.0, 0.0, 0.0]);
        assert_eq!(ids(&near().await?), [1, 2, 3, 4], "what has no vector is not found");
        assert_eq!(ids(&near().limit(2).await?), [1, 2]);
        assert_eq!(ids(&near().skip(1).limit(2).await?), [2, 3]);
        assert_eq!(ids(&near().limit(0).await?), [0; 0]);
        assert_eq!(ids(&near().filter(|a| a.year.gte(2010)).limit(2).num_candidates(50).await?), [2, 3], "filtered before");
        assert_eq!(ids(&near().limit(3).sort(|a| a.id.desc()).exact().await?), [3, 2, 1]);
        let scored = near().limit(1).scored().await?;
        assert_eq!((scored[0].document.id, scored[0].score), (1, 1.0));
        let places = t.db.find::<Article>().nearest_vector(|a| a.place, vec![0.0, 0.0]).limit(3).scored().await?;
        assert_eq!(places.iter().map(|s| s.document.id).collect::<Vec<_>>(), [1, 4, 3]);
        assert_eq!(places[2].score, 0.5);
        t.db.delete::<Article>(1).await?;
        assert_eq!(ids(&near().limit(1).await?), [2], "what is deleted is not found");
    }

    async fn vectors_that_do_not_fit_are_refused(t) {
        if !has_search(t) {
            return Ok(());
        }
        vectors(t).await?;
        let find = || t.db.find::<Article>();
        let wrong = [
            find().nearest_vector(|a| a.embedding, vec![1.0]).await.unwrap_err(),
            find().nearest_vector(|a| a.embedding, vec![f32::NAN, 0.0, 0.0]).await.unwrap_err(),
            find().nearest_vector(|a| a.embedding, vec![1.0, 0.0, 0.0]).filter(|a| a.title.eq("x")).await.unwrap_err(),
            find().nearest_vector(|a| a.embedding, vec![1.0, 0.0, 0.0]).count().await.unwrap_err(),
            find().num_candidates(5).await.unwrap_err(),
        ];
        for error in wrong {
            assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
        }
    }

    async fn rankings_join(t) {
        if !has_search(t) || !has_text(t) {
            return Ok(());
        }
        vectors(t).await?;
        let fused = async |text: f64, vector: f64| {
            t.db.find::<Article>()
                .rank_fusion(|a| [
                    Ranked::text("coffee").weight(text),
                    Ranked::vector(a.embedding, vec![1.0, 0.0, 0.0]).weight(vector).limit(3),
                ])
                .limit(3)
                .scored()
                .await
        };
        let both = fused(1.0, 1.0).await?;
        assert_eq!(both.iter().map(|s| s.document.id).collect::<Vec<_>>(), [3, 1, 2], "3 stands in both");
        assert!((both[0].score - (1.0 / 61.0 + 1.0 / 63.0)).abs() < 1e-12, "{}", both[0].score);
        let near = fused(0.0, 1.0).await?;
        assert_eq!(near.iter().map(|s| s.document.id).collect::<Vec<_>>(), [1, 2, 3]);
    }

    async fn push_makes_vector_indexes_once(t) {
        if !has_search(t) {
            return Ok(());
        }
        let step = |plan: &forge::adapter::PushPlan, index: &str| {
            plan.steps.iter().find(|step| step.index == index).map(|step| step.action)
        };
        use forge::adapter::PushAction;
        let first = t.push().await?;
        assert_eq!(step(&first, "embedding_vector_index"), Some(PushAction::Create), "{first:?}");
        let second = t.push().await?;
        assert_eq!(step(&second, "embedding_vector_index"), Some(PushAction::Keep), "{second:?}");
    }
}

conformance! {
    async fn what_a_server_lacks_is_named(t) {
        if !t.db.adapter().capabilities().index_search {
            let plan = t.push().await?;
            let step = plan.steps.iter().find(|step| step.index == "forge_articles_search");
            assert_eq!(step.map(|step| step.action), Some(forge::adapter::PushAction::Skip), "{plan:?}");
        }
        if !t.db.adapter().capabilities().text {
            let error = t.db.find::<Article>().text("x").await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported);
            assert!(error.message().contains("$text"), "{error}");
        }
        if !t.db.adapter().capabilities().search {
            let error = t.db.find::<Article>().nearest_vector(|a| a.embedding, vec![0.0; 3]).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported);
            assert!(error.message().contains("$vectorSearch"), "{error}");
        }
        if t.db.adapter().name() == "embedded" {
            let error = t.db.find::<Article>().search(|a| Search::text("x", a.title)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported);
            assert!(error.message().contains("$search"), "{error}");
        }
    }
}
