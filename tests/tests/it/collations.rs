//! Strings that compare by the rules of a language: in distinct values, groups, joins, stages and expressions.

use bson::{Bson, Document, doc};
use forge::ErrorCode;
use forge::ir::{Collation, ReadOptions};
use forge_mongo::Driver;
use forge_mongo::artifact::{Command, MongoArtifact, Reply};
use forge_tests::models::{Author, NewAuthor, NewBook, NewPerson, NewPublisher, Person, person};
use forge_tests::{Engine, Fixture, Result, conformance};

fn strength(strength: u8) -> Collation {
    Collation { locale: "en".into(), strength }
}

async fn run(t: &Fixture, collection: &str, command: Command, collation: Collation) -> Result<Reply> {
    let options = ReadOptions { collation: Some(collation), ..Default::default() };
    let artifact = MongoArtifact { options, ..MongoArtifact::new(collection, command) };
    Ok(t.driver.run(t.name(), artifact.into(), None).await?.0)
}

async fn aggregate(t: &Fixture, pipeline: Vec<Document>, collation: Collation) -> Result<Vec<Document>> {
    match run(t, "words", Command::Aggregate { pipeline }, collation).await? {
        Reply::Documents(rows) => rows.iter().map(|row| Ok(Document::try_from(&**row)?)).collect(),
        other => panic!("{other:?}"),
    }
}

async fn fill(t: &Fixture) -> Result<()> {
    let words = [
        (1, "resume", 1),
        (2, "Résumé", 2),
        (3, "RESUME", 3),
        (4, "résumé", 4),
        (5, "zoe", 5),
        (6, "Äpfel", 6),
        (7, "apple", 7),
    ];
    t.seed("words", words.map(|(id, word, n)| doc! { "_id": id, "w": word, "n": n, "in": { "w": word } }))
        .await?;
    t.seed("notes", [doc! { "_id": 1, "of": "RÉSUMÉ" }, doc! { "_id": 2, "of": ["x", "ZOE"] }]).await
}

fn sorted(mut values: Vec<i32>) -> Vec<i32> {
    values.sort_unstable();
    values
}

/// The `_id`s of rows, or what is at another path.
fn numbers(rows: &[Document], path: &str) -> Vec<i32> {
    let number = |row: &Document| match row.get(path) {
        Some(Bson::Int64(n)) => i32::try_from(*n).unwrap(),
        value => value.and_then(Bson::as_i32).unwrap(),
    };
    rows.iter().map(number).collect()
}

conformance! {
    async fn typed_reads_take_collations(t) {
        for name in ["Ann", "ANN", "Ánn", "Bob"] {
            let email = format!("{}@example.org", name.bytes().map(|byte| format!("{byte:x}")).collect::<String>());
            t.db.insert(NewPerson { email, visits: Some(1), ..person(name) }).await?;
        }
        let letters = || Collation::letters("en");
        assert_eq!(t.db.find::<Person>().collation(letters()).distinct(|p| p.name).count().await?, 2);
        let values = t.db.find::<Person>().collation(strength(2)).distinct(|p| p.name).await?;
        assert_eq!(values.len(), 3, "{values:?}");
        let groups = t.db.group_by::<Person, _>(|p| p.name).select(|p| p.visits.sum()).collation(letters());
        let mut visits: Vec<i64> = groups.await?.into_iter().map(|(_, visits)| visits).collect();
        visits.sort_unstable();
        assert_eq!(visits, [1, 3]);
        let pipeline = t.db.pipeline::<Person>().match_(|p| p.name.eq("ann")).collation(letters());
        assert_eq!(pipeline.await?.len(), 3);
        let none = Collation { locale: "en".into(), strength: 0 };
        assert_eq!(t.db.group_by::<Person, _>(|p| p.name).collation(none).count().await.unwrap_err().code(), ErrorCode::BadRequest);
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "limits per parent under a collation");
        }
        t.db.insert(NewAuthor { id: 1, name: "A".into(), country: None }).await?;
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        for title in ["Zoe", "apple"] {
            let book = NewBook { id: None, title: title.into(), year: 1, price: None, author_id: Some(1), publisher_id: "P".into() };
            t.db.insert(book).await?;
        }
        let first = t.db.find::<Author>().include(|a| a.books.sort(|b| b.title.asc()).limit(1)).collation(letters());
        assert_eq!(first.one().await?.books.get()[0].title, "apple", "also where each parent has its limit");
    }

    async fn distinct_values_and_groups_are_one_for_equal_strings(t) {
        fill(t).await?;
        for (level, classes) in [(1, 4), (2, 5), (3, 7)] {
            let distinct = Command::Distinct { key: "w".into(), filter: doc! {} };
            let Reply::Values(values) = run(t, "words", distinct, strength(level)).await? else { panic!() };
            assert_eq!(values.len(), classes, "{values:?}");
            let groups = vec![doc! { "$group": { "_id": "$w", "n": { "$sum": "$n" } } }];
            let groups = aggregate(t, groups, strength(level)).await?;
            assert_eq!(groups.len(), classes, "{groups:?}");
            let largest = numbers(&groups, "n").into_iter().max();
            assert_eq!(largest, Some(match level { 1 => 10, _ => 7 }));
        }
        let counted = aggregate(t, vec![doc! { "$sortByCount": "$w" }], strength(1)).await?;
        assert_eq!(numbers(&counted, "count"), [4, 1, 1, 1]);
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "groups by documents under a collation");
        }
        let inner = aggregate(t, vec![doc! { "$group": { "_id": { "a": "$in.w", "b": ["$w"] } } }], strength(2)).await?;
        assert_eq!(inner.len(), 5);
    }

    async fn stages_sort_and_match_as_the_collation_says(t) {
        fill(t).await?;
        let pipeline = vec![doc! { "$sort": { "w": 1, "_id": 1 } }];
        assert_eq!(numbers(&aggregate(t, pipeline.clone(), strength(1)).await?, "_id"), [6, 7, 1, 2, 3, 4, 5]);
        assert_eq!(numbers(&aggregate(t, pipeline, strength(3)).await?, "_id"), [6, 7, 1, 3, 4, 2, 5]);
        let later = |condition: Document| {
            vec![doc! { "$set": { "later": true } }, doc! { "$match": condition }, doc! { "$sort": { "_id": 1 } }]
        };
        for (condition, found) in [
            (doc! { "w": "RESUME" }, vec![1, 3]),
            (doc! { "w": { "$in": ["RÉSUMÉ", "APPLE"] } }, vec![2, 4, 7]),
            (doc! { "w": { "$ne": "ZOE" } }, vec![1, 2, 3, 4, 6, 7]),
            (doc! { "w": { "$gt": "RESUME" } }, vec![2, 4, 5]),
        ] {
            if t.stand_in && condition.get_document("w").is_ok_and(|w| w.contains_key("$gt")) {
                return forge_tests::engine::unsupported(t, "ranges by the order of a collation");
            }
            assert_eq!(numbers(&aggregate(t, later(condition.clone()), strength(2)).await?, "_id"), found, "{condition}");
            let first = vec![doc! { "$match": condition.clone() }, doc! { "$sort": { "_id": 1 } }];
            assert_eq!(numbers(&aggregate(t, first, strength(2)).await?, "_id"), found, "{condition}");
        }
    }

    async fn expressions_compare_as_the_collation_says(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "expressions under a collation");
        }
        fill(t).await?;
        let value = async |expression: Bson| -> Result<Bson> {
            let pipeline = vec![doc! { "$match": { "_id": 1 } }, doc! { "$project": { "v": expression } }];
            Ok(aggregate(t, pipeline, strength(1)).await?.remove(0).remove("v").unwrap_or(Bson::Null))
        };
        let yes = Bson::Boolean(true);
        for expression in [
            doc! { "$eq": ["$w", "RÉSUMÉ"] },
            doc! { "$in": ["RÉSUMÉ", ["x", "$w"]] },
            doc! { "$lte": ["$w", "RESUME"] },
            doc! { "$setEquals": [["$w", "b"], ["B", "RÉSUMÉ"]] },
            doc! { "$setIsSubset": [["B"], ["a", "b"]] },
            doc! { "$eq": [{ "a": ["$w"] }, { "a": ["RESUME"] }] },
        ] {
            assert_eq!(value(expression.clone().into()).await?, yes, "{expression}");
        }
        for (expression, expected) in [
            (doc! { "$cmp": ["É", "e"] }, Bson::Int32(0)),
            (doc! { "$indexOfArray": [["a", "B"], "b"] }, Bson::Int32(1)),
            (doc! { "$setUnion": [["a"], ["A"]] }, Bson::Array(vec!["a".into()])),
            (doc! { "$setDifference": [["a", "b"], ["A"]] }, Bson::Array(vec!["b".into()])),
            (doc! { "$max": ["Z", "a", "É"] }, "Z".into()),
            (doc! { "$min": ["Z", "b", "Á"] }, "Á".into()),
            (doc! { "$sortArray": { "input": ["Z", "b", "Á"], "sortBy": 1 } }, Bson::Array(vec!["Á".into(), "b".into(), "Z".into()])),
            // Functions on characters see them as they are.
            (doc! { "$indexOfCP": ["resume", "R"] }, Bson::Int32(-1)),
        ] {
            assert_eq!(value(expression.clone().into()).await?, expected, "{expression}");
        }
        let found = vec![doc! { "$match": { "$expr": { "$eq": ["$w", "RESUME"] } } }];
        assert_eq!(sorted(numbers(&aggregate(t, found, strength(1)).await?, "_id")), [1, 2, 3, 4]);
        let sets = doc! { "$group": { "_id": null, "all": { "$addToSet": "$w" }, "least": { "$min": "$w" }, "most": { "$max": "$w" } } };
        let row = aggregate(t, vec![sets], strength(1)).await?.remove(0);
        let (all, least, most) = (row.get_array("all")?.len(), row.get_str("least")?, row.get_str("most")?);
        assert_eq!((all, least, most), (4, "Äpfel", "zoe"));
        let buckets = doc! { "$bucket": { "groupBy": "$w", "boundaries": ["A", "B", "ZZ"] } };
        assert_eq!(numbers(&aggregate(t, vec![buckets], strength(1)).await?, "count"), [2, 5]);
    }

    async fn joins_compare_as_the_collation_says(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "joins under a collation");
        }
        fill(t).await?;
        let by_fields = doc! { "from": "notes", "localField": "w", "foreignField": "of", "as": "notes" };
        let by_pipeline = doc! {
            "from": "notes", "let": { "w": "$w" }, "as": "notes",
            "pipeline": [{ "$match": { "$expr": { "$or": [{ "$eq": ["$of", "$$w"] }, { "$in": ["$$w", { "$cond": [{ "$isArray": "$of" }, "$of", []] }] }] } } }],
        };
        for join in [by_fields, by_pipeline] {
            let joined = doc! { "$match": { "notes": { "$ne": [] } } };
            let rows = aggregate(t, vec![doc! { "$lookup": join }, joined], strength(1)).await?;
            assert_eq!(sorted(numbers(&rows, "_id")), [1, 2, 3, 4, 5]);
        }
        let graph = doc! { "from": "words", "startWith": "RESUME", "connectFromField": "none", "connectToField": "w", "as": "all" };
        let row = aggregate(t, vec![doc! { "$match": { "_id": 1 } }, doc! { "$graphLookup": graph }], strength(1)).await?.remove(0);
        assert_eq!(row.get_array("all").unwrap().len(), 4);
        let both = doc! { "$unionWith": { "coll": "notes", "pipeline": [{ "$match": { "of": "zoe" } }] } };
        let rows = aggregate(t, vec![doc! { "$match": { "w": "ZOE" } }, both], strength(1)).await?;
        assert_eq!(numbers(&rows, "_id"), [5, 2]);
    }

    async fn patterns_see_strings_as_they_are(t) {
        fill(t).await?;
        let find = |filter: Document| Command::Find { filter, projection: None, sort: Some(doc! { "_id": 1 }), skip: None, limit: None };
        let found = async |filter: Document| -> Result<Vec<i32>> {
            let Reply::Documents(rows) = run(t, "words", find(filter), strength(1)).await? else { panic!() };
            rows.iter().map(|row| Ok(row.get_i32("_id")?)).collect()
        };
        assert_eq!(found(doc! { "w": { "$regex": "^r" } }).await?, [1, 4]);
        assert_eq!(found(doc! { "w": { "$regex": "^r", "$eq": "RESUME" } }).await?, [1, 4]);
        assert_eq!(found(doc! { "w": { "$in": [bson::Regex { pattern: bson::raw::cstr!("^R").into(), options: bson::raw::cstr!("").into() }, "ZOE"] } }).await?, [2, 3, 5]);
    }

    async fn the_fourth_level_is_that_of_scripts_and_the_fifth_of_bytes(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "collations of strength 4 and 5");
        }
        t.seed("words", [doc! { "_id": 1, "w": "あ" }, doc! { "_id": 2, "w": "ア" }, doc! { "_id": 3, "w": "a" }, doc! { "_id": 4, "w": "a\u{1}" }]).await?;
        let same = async |word: &str, locale: &str, strength: u8| -> Result<usize> {
            let count = vec![doc! { "$match": { "w": word } }, doc! { "$group": { "_id": "$w" } }];
            let found = vec![count[0].clone()];
            let collation = || Collation { locale: locale.into(), strength };
            let classes = aggregate(t, count, collation()).await?.len();
            assert_eq!(classes, 1, "equal strings are one group");
            Ok(aggregate(t, found, collation()).await?.len())
        };
        assert_eq!(same("あ", "ja", 3).await?, 2);
        assert_eq!(same("あ", "ja", 4).await?, 1);
        assert_eq!(same("a", "en", 4).await?, 2, "what is ignored at every level");
        assert_eq!(same("a", "en", 5).await?, 1);
    }

    async fn a_locale_that_is_none_is_refused(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "checks of locales");
        }
        fill(t).await?;
        let nowhere = Collation { locale: "no such place".into(), strength: 1 };
        assert_eq!(aggregate(t, vec![], nowhere).await.unwrap_err().code(), ErrorCode::BadRequest);
        let swedish = Collation { locale: "sv".into(), strength: 3 };
        let pipeline = vec![doc! { "$sort": { "w": 1 } }, doc! { "$limit": 1 }];
        assert_eq!(numbers(&aggregate(t, pipeline.clone(), swedish).await?, "_id"), [7], "Ä stands behind Z");
        let german = Collation { locale: "de".into(), strength: 3 };
        assert_eq!(numbers(&aggregate(t, pipeline, german).await?, "_id"), [6]);
    }

    async fn elements_are_met_as_the_collation_says(t) {
        if t.stand_in {
            return forge_tests::engine::unsupported(t, "`$` in projections under a collation");
        }
        t.seed("words", [doc! { "_id": 1, "tags": ["x", "Zoé", "y"] }]).await?;
        let find = Command::Find {
            filter: doc! { "tags": "ZOE" }, projection: Some(doc! { "tags.$": 1 }), sort: None, skip: None, limit: None,
        };
        let Reply::Documents(rows) = run(t, "words", find, strength(1)).await? else { panic!() };
        assert_eq!(Document::try_from(&*rows[0])?, doc! { "_id": 1, "tags": ["Zoé"] });
    }

    async fn an_index_of_sort_keys_serves_what_compares_alike(t) {
        if t.engine == Engine::Server {
            return forge_tests::engine::unsupported(t, "the counts of an explanation, which servers word otherwise");
        }
        fill(t).await?;
        let spec = doc! { "key": { "w": 1 }, "name": "words", "collation": { "locale": "en", "strength": 4, "alternate": "shifted" } };
        t.driver.create_index(t.name(), "words", &spec).await?;
        let same = doc! { "key": { "w": 1 }, "name": "plain", "collation": { "locale": "en", "strength": 1 } };
        t.driver.create_index(t.name(), "words", &same).await?;
        for (pipeline, used) in [
            (vec![doc! { "$match": { "w": "RESUME" } }, doc! { "$count": "n" }], Some("plain")),
            (vec![doc! { "$match": { "w": { "$regex": "^r" } } }], None),
        ] {
            let options = ReadOptions { collation: Some(strength(1)), ..Default::default() };
            let artifact = MongoArtifact { options, ..MongoArtifact::new("words", Command::Aggregate { pipeline }) };
            assert_eq!(t.driver.explain(t.name(), &artifact).await?.index.as_deref(), used);
        }
    }
}
