//! What pipelines write: `$out` and `$merge`, and how they choose at random.

use bson::doc;
use forge::{ErrorCode, Result};
use forge_tests::engine::unsupported;
use forge_tests::models::{Book, NewBook};
use forge_tests::{Fixture, conformance};

async fn fill(t: &Fixture) -> Result<()> {
    let books = [("Emma", 1815), ("Persuasion", 1817), ("Frost", 1963), ("Beton", 1982)];
    let book = |(title, year): (&str, i32)| NewBook {
        id: None,
        title: title.into(),
        year,
        price: None,
        author_id: None,
        publisher_id: "P".into(),
    };
    t.db.insert_many(books.map(book)).await.map(drop)
}

conformance! {
    async fn a_result_is_merged_or_takes_the_place_of_what_is_there(t) {
        fill(t).await?;
        t.db.pipeline::<Book>().match_(|b| b.year.lt(1900)).write(doc! { "$merge": { "into": "copies" } }).await?;
        assert_eq!(t.stored("copies").await?.len(), 2);
        t.db.pipeline::<Book>().match_(|b| b.year.gt(1970)).write(doc! { "$out": "copies" }).await?;
        let stored = t.stored("copies").await?;
        assert_eq!(stored.len(), 1, "{stored:?}");
        assert_eq!(stored[0].get_str("title").unwrap(), "Beton");
    }

    async fn results_meet_what_is_there(t) {
        fill(t).await?;
        let old = || [doc! { "_id": 1815, "title": "old", "kept": true }, doc! { "_id": 1, "title": "other" }];
        let by_year = || t.db.pipeline::<Book>().match_(|b| b.year.lt(1816))
            .raw(doc! { "$project": { "_id": "$year", "title": 1 } });
        let (other, emma) = (doc! { "_id": 1, "title": "other" }, doc! { "_id": 1815, "title": "Emma", "kept": true });
        let joined = doc! { "_id": 1815, "title": "old and Emma", "kept": true };
        let join = vec![doc! { "$set": { "title": { "$concat": ["$title", " and ", "$$new.title"] } } }];
        for (name, stage, expected) in [
            ("merge", doc! {}, emma.clone()),
            ("replace", doc! { "whenMatched": "replace" }, doc! { "_id": 1815, "title": "Emma" }),
            ("keep", doc! { "whenMatched": "keepExisting" }, old()[0].clone()),
            ("stages", doc! { "whenMatched": join }, joined),
        ] {
            t.seed(name, old()).await?;
            let mut whole = doc! { "into": name };
            whole.extend(stage);
            by_year().write(doc! { "$merge": whole }).await?;
            let mut stored = t.stored(name).await?;
            stored.sort_by_key(|one| one.get_i32("_id").unwrap());
            assert_eq!(stored, [other.clone(), expected], "{name}");
        }
        t.seed("fails", old()).await?;
        let error = by_year().write(doc! { "$merge": { "into": "fails", "whenMatched": "fail" } }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UniqueViolation);
        by_year().write(doc! { "$merge": { "into": "fails", "whenMatched": "merge", "whenNotMatched": "discard" } }).await?;
        assert_eq!(t.stored("fails").await?.len(), 2);
    }

    async fn random_numbers_choose(t) {
        fill(t).await?;
        if t.stand_in {
            return unsupported(t, "$rand");
        }
        let chosen = |below: f64| t.db.pipeline::<Book>().raw(doc! { "$match": { "$expr": { "$lt": [{ "$rand": {} }, below] } } });
        assert_eq!(chosen(0.0).fetch::<bson::Document>().await?, []);
        assert_eq!(chosen(1.0).fetch::<bson::Document>().await?.len(), 4);
    }
}
