//! `$` in updates and projections: the element of a list by which the filter found the document.

use bson::{Bson, Document, doc};
use forge::ErrorCode;
use forge_mongo::{Command, Reply};
use forge_tests::engine::skip;
use forge_tests::{Fixture, Result, conformance};

async fn fill(t: &Fixture) -> Result<()> {
    let items = [
        doc! { "_id": 1, "a": [1, 5, 9], "b": [{ "x": "p", "y": 1 }, { "x": "q", "y": 2 }] },
        doc! { "_id": 2, "a": [5, 5], "b": [{ "x": "q", "y": 3 }, { "x": "q", "y": 4 }] },
        doc! { "_id": 3, "c": { "x": ["m", "n"] } },
    ];
    t.seed("items", items).await
}

async fn update(t: &Fixture, filter: Document, update: Document) -> Result<(u64, u64)> {
    let command = Command::Update { filter, update: update.into(), many: true, upsert: false };
    let Reply::Updated { matched, modified, .. } = t.send("items", command).await? else { panic!() };
    Ok((matched, modified))
}

async fn stored(t: &Fixture, path: &str) -> Result<Vec<Option<Bson>>> {
    Ok(t.stored("items").await?.iter().map(|item| item.get(path).cloned()).collect())
}

conformance! {
    async fn the_element_that_was_found_is_changed(t) {
        fill(t).await?;
        assert_eq!(update(t, doc! { "a": 5 }, doc! { "$set": { "a.$": 50 } }).await?, (2, 2));
        assert_eq!(stored(t, "a").await?[..2], [Some(vec![1, 50, 9].into()), Some(vec![50, 5].into())], "the first one of each document");
        assert_eq!(update(t, doc! { "a": { "$elemMatch": { "$gte": 9, "$lt": 40 } } }, doc! { "$inc": { "a.$": 1 } }).await?, (1, 1));
        assert_eq!(stored(t, "a").await?[0], Some(vec![1, 50, 10].into()));
    }

    async fn fields_of_the_element_are_changed(t) {
        fill(t).await?;
        assert_eq!(update(t, doc! { "b.x": "q" }, doc! { "$set": { "b.$.y": 20 }, "$unset": { "b.$.x": "" } }).await?, (2, 2));
        let expected = vec![doc! { "x": "p", "y": 1 }, doc! { "y": 20 }];
        assert_eq!(stored(t, "b").await?[0], Some(expected.into()));
        let both = doc! { "b": { "$elemMatch": { "x": "q", "y": { "$gt": 3 } } } };
        assert_eq!(update(t, both, doc! { "$push": { "b.$.more": 1 } }).await?, (1, 1));
        let expected = vec![doc! { "y": 20 }, doc! { "x": "q", "y": 4, "more": [1] }];
        assert_eq!(stored(t, "b").await?[1], Some(expected.into()));
    }

    async fn one_document_is_changed_and_answered(t) {
        fill(t).await?;
        if t.stand_in {
            skip("the stand-in server has no `$` in findAndModify");
            return Ok(());
        }
        let command = Command::FindOneAndUpdate {
            filter: doc! { "b.y": 2 }, update: doc! { "$set": { "b.$": { "x": "new" } } }.into(), upsert: true, return_after: true, sort: None,
        };
        let Reply::Document(Some(after)) = t.send("items", command).await? else { panic!() };
        let expected = doc! { "_id": 1, "a": [1, 5, 9], "b": [{ "x": "p", "y": 1 }, { "x": "new" }] };
        assert_eq!(Document::try_from(&after)?, expected, "an upsert that finds its document is an update");
    }

    async fn without_an_element_nothing_is_changed(t) {
        fill(t).await?;
        let before = t.stored("items").await?;
        for filter in [doc! { "_id": 1 }, doc! { "a": { "$ne": 7 } }, doc! { "_id": 1, "a": { "$size": 3 } }] {
            // SecantusDB takes any element for one that is not equal.
            if t.stand_in && filter.get_document("a").is_ok_and(|a| a.contains_key("$ne")) {
                continue;
            }
            let error = update(t, filter.clone(), doc! { "$set": { "a.$": 0 } }).await.unwrap_err();
            assert_eq!((error.code(), error.server_code()), (ErrorCode::BadRequest, Some(2)), "{filter}: {error}");
        }
        assert_eq!(t.stored("items").await?, before);
        if t.stand_in {
            skip("the stand-in server makes documents by `$`");
            return Ok(());
        }
        let update = doc! { "$set": { "a.$": 0 } }.into();
        let upsert = Command::Update { filter: doc! { "a": 77 }, update, many: false, upsert: true };
        let error = t.send("items", upsert).await.unwrap_err();
        assert_eq!((error.code(), error.server_code()), (ErrorCode::BadRequest, Some(2)), "{error}");
        assert_eq!(t.stored("items").await?, before);
    }
}

/// What a find shows of the documents, by their numbers.
async fn shown(t: &Fixture, filter: Document, projection: Document) -> Result<Vec<Document>> {
    let sort = Some(doc! { "_id": 1 });
    let find = Command::Find { filter, projection: Some(projection), sort, skip: None, limit: None };
    let Reply::Documents(documents) = t.send("items", find).await? else { panic!() };
    documents.iter().map(|document| Ok(Document::try_from(document)?)).collect()
}

conformance! {
    async fn the_element_that_was_found_is_shown(t) {
        fill(t).await?;
        let found = shown(t, doc! { "b.x": "q" }, doc! { "b.$": 1 }).await?;
        assert_eq!(found, [doc! { "_id": 1, "b": [{ "x": "q", "y": 2 }] }, doc! { "_id": 2, "b": [{ "x": "q", "y": 3 }] }]);
        // SecantusDB leaves out a list of plain values that `$elemMatch` found.
        if !t.stand_in {
            let found = shown(t, doc! { "a": { "$elemMatch": { "$gt": 5 } } }, doc! { "_id": 0, "a.$": 1, "b.y": 1 }).await?;
            assert_eq!(found, [doc! { "a": [9], "b": [{ "y": 1 }, { "y": 2 }] }]);
        }
        let error = shown(t, doc! { "_id": 1 }, doc! { "a.$": 1 }).await.unwrap_err();
        assert_eq!(error.server_code(), Some(51246), "{error}");
        for (projection, code) in [(doc! { "a.$": 1, "b.$": 1 }, 31276), (doc! { "a.$": 0 }, 31395)] {
            assert_eq!(shown(t, doc! { "a": 5 }, projection).await.unwrap_err().server_code(), Some(code));
        }
    }

    async fn parts_of_lists_are_shown(t) {
        fill(t).await?;
        let first = shown(t, doc! { "_id": { "$lt": 3 } }, doc! { "b": { "$elemMatch": { "y": { "$gte": 2, "$lt": 4 } } } }).await?;
        assert_eq!(first, [doc! { "_id": 1, "b": [{ "x": "q", "y": 2 }] }, doc! { "_id": 2, "b": [{ "x": "q", "y": 3 }] }]);
        let none = shown(t, doc! { "_id": 2 }, doc! { "a": { "$elemMatch": { "$gt": 5 } } }).await?;
        assert_eq!(none, [doc! { "_id": 2 }]);
        let sliced = shown(t, doc! { "_id": 1 }, doc! { "a": { "$slice": -2 } }).await?;
        assert_eq!(sliced, [doc! { "_id": 1, "a": [5, 9], "b": [{ "x": "p", "y": 1 }, { "x": "q", "y": 2 }] }], "by itself it leaves nothing out");
        let sliced = shown(t, doc! { "_id": 1 }, doc! { "a": { "$slice": [1, 1] }, "b.x": 1 }).await?;
        assert_eq!(sliced, [doc! { "_id": 1, "a": [5], "b": [{ "x": "p" }, { "x": "q" }] }]);
        let sliced = shown(t, doc! { "_id": 1 }, doc! { "a": { "$slice": 1 }, "b": 0 }).await?;
        assert_eq!(sliced, [doc! { "_id": 1, "a": [1] }]);
        let nested = shown(t, doc! { "_id": 3 }, doc! { "c.x": { "$slice": 1 } }).await?;
        assert_eq!(nested, [doc! { "_id": 3, "c": { "x": ["m"] } }]);
    }

    async fn finds_compute_fields(t) {
        fill(t).await?;
        let computed = shown(t, doc! { "_id": 1 }, doc! { "n": { "$size": "$a" }, "first": { "$first": "$a" } }).await?;
        assert_eq!(computed, [doc! { "_id": 1, "n": 3, "first": 1 }]);
        let computed = shown(t, doc! { "_id": 3 }, doc! { "_id": 0, "c": 1, "id": "$_id", "gone": "$nothing" }).await?;
        assert_eq!(computed, [doc! { "c": { "x": ["m", "n"] }, "id": 3 }]);
    }
}
