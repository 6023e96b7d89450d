//! Every filter operator of the IR, over values of every kind.

use bson::{Bson, DateTime, Document, bson, doc};
use forge::Model;
use forge::ir::{Filter, Predicate};
use forge_tests::models::Item;
use forge_tests::{Fixture, Result, conformance};

/// Finds exactly `wanted`, whichever way the condition is asked.
async fn check(t: &Fixture, filter: Filter, wanted: &[i32]) -> Result<()> {
    let shown = format!("{filter:?}");
    let wanted: Vec<Bson> = wanted.iter().map(|id| (*id).into()).collect();
    let found = match t.ids(Item::def(), filter.clone()).await {
        Err(error) if t.stand_in && error.code() == forge::ErrorCode::Unsupported => {
            forge_tests::engine::skip(&format!("the server that stands in for MongoDB: {error}"));
            return Ok(());
        }
        found => found?,
    };
    assert_eq!(found, wanted, "{shown}");
    let all = t.ids(Item::def(), Filter::All).await?;
    let rest: Vec<Bson> = all.into_iter().filter(|id| !wanted.contains(id)).collect();
    // Written out: `negate` would take a double negation away before the engine sees it.
    assert_eq!(t.ids(Item::def(), Filter::Not(Box::new(filter))).await?, rest, "not {shown}");
    Ok(())
}

fn v(predicate: Predicate) -> Filter {
    at("v", predicate)
}

fn at(path: &'static str, predicate: Predicate) -> Filter {
    Filter::Field(path.into(), predicate)
}

fn values() -> Vec<Document> {
    vec![
        doc! { "_id": 1, "v": 1 },
        doc! { "_id": 2, "v": 2_i64 },
        doc! { "_id": 3, "v": 2.5 },
        doc! { "_id": 4, "v": "b" },
        doc! { "_id": 5, "v": null },
        doc! { "_id": 6 },
        doc! { "_id": 7, "v": [1, 5] },
        doc! { "_id": 8, "v": [] },
        doc! { "_id": 9, "v": { "a": 1 } },
        doc! { "_id": 10, "v": true },
        doc! { "_id": 11, "v": DateTime::from_millis(1_000) },
        doc! { "_id": 12, "v": [null] },
        doc! { "_id": 13, "v": "B" },
        doc! { "_id": 14, "v": 2.0 },
        doc! { "_id": 15, "v": [[1, 5], "b"] },
    ]
}

conformance! {
    async fn equality_crosses_number_types_and_looks_into_arrays(t) {
        t.seed("items", values()).await?;
        let cases: Vec<(Bson, &[i32])> = vec![
            (1.into(), &[1, 7]),
            (bson!(1.0), &[1, 7]),
            (Bson::Int64(2), &[2, 14]),
            (bson!(2.5), &[3]),
            ("b".into(), &[4, 15]),
            (Bson::Null, &[5, 6, 12]),
            (bson!([1, 5]), &[7, 15]),
            (bson!([5, 1]), &[]),
            (bson!([]), &[8]),
            (bson!({ "a": 1 }), &[9]),
            (bson!({ "a": 1, "b": 2 }), &[]),
            (true.into(), &[10]),
            (false.into(), &[]),
            (DateTime::from_millis(1_000).into(), &[11]),
            (DateTime::from_millis(1_001).into(), &[]),
        ];
        for (value, wanted) in cases {
            check(t, v(Predicate::Eq(value.clone())), wanted).await?;
            let others: Vec<i32> = (1..=15).filter(|id| !wanted.contains(id)).collect();
            check(t, v(Predicate::Ne(value)), &others).await?;
        }
    }

    async fn comparisons_stay_inside_their_type(t) {
        t.seed("items", values()).await?;
        for (predicate, wanted) in [
            (Predicate::Gt(1.into()), &[2, 3, 7, 14][..]),
            (Predicate::Gte(bson!(1.0)), &[1, 2, 3, 7, 14]),
            (Predicate::Lt(Bson::Int64(2)), &[1, 7]),
            (Predicate::Lte(bson!(2.0)), &[1, 2, 7, 14]),
            (Predicate::Gt(bson!(2.25)), &[3, 7]),
            (Predicate::Lt(1.into()), &[]),
            (Predicate::Gt("B".into()), &[4, 15]),
            (Predicate::Lte("b".into()), &[4, 13, 15]),
            (Predicate::Lt("B".into()), &[]),
            (Predicate::Lt(DateTime::from_millis(1_001).into()), &[11]),
            (Predicate::Gt(DateTime::from_millis(1_000).into()), &[]),
            (Predicate::Gte(true.into()), &[10]),
            (Predicate::Lt(true.into()), &[]),
        ] {
            check(t, v(predicate), wanted).await?;
        }
    }

    async fn lists_of_alternatives_may_be_empty_and_mixed(t) {
        t.seed("items", values()).await?;
        let everything: Vec<i32> = (1..=15).collect();
        check(t, v(Predicate::In(vec![])), &[]).await?;
        check(t, v(Predicate::NotIn(vec![])), &everything).await?;
        check(t, v(Predicate::In(vec![1.into(), "b".into()])), &[1, 4, 7, 15]).await?;
        check(t, v(Predicate::In(vec![Bson::Null])), &[5, 6, 12]).await?;
        check(t, v(Predicate::In(vec![Bson::Null, bson!(2.5)])), &[3, 5, 6, 12]).await?;
        check(t, v(Predicate::In(vec![bson!([]), bson!([1, 5])])), &[7, 8, 15]).await?;
        check(t, v(Predicate::NotIn(vec![1.into(), Bson::Null])), &[2, 3, 4, 8, 9, 10, 11, 13, 14, 15]).await?;
        let many: Vec<Bson> = (100..2_000).map(Bson::Int32).chain([Bson::Int64(1)]).collect();
        check(t, v(Predicate::In(many)), &[1, 7]).await?;
    }

    async fn existence_is_not_nullness(t) {
        t.seed("items", values()).await?;
        let present: Vec<i32> = (1..=15).filter(|id| *id != 6).collect();
        check(t, v(Predicate::Exists(true)), &present).await?;
        check(t, v(Predicate::Exists(false)), &[6]).await?;
        check(t, at("v.a", Predicate::Exists(true)), &[9]).await?;
    }

    async fn arrays_have_sizes_and_members(t) {
        t.seed("items", values()).await?;
        for (predicate, wanted) in [
            (Predicate::Size(0), &[8][..]),
            (Predicate::Size(1), &[12]),
            (Predicate::Size(2), &[7, 15]),
            (Predicate::Size(3), &[]),
            (Predicate::HasEvery(vec![1.into(), 5.into()]), &[7]),
            (Predicate::HasEvery(vec![5.into()]), &[7]),
            (Predicate::HasEvery(vec![1.into()]), &[1, 7]),
            (Predicate::HasEvery(vec![1.into(), 9.into()]), &[]),
        ] {
            check(t, v(predicate), wanted).await?;
        }
        // `$all: [null]` is `$eq: null`, which also finds documents without the field; SecantusDB does not.
        if !t.stand_in {
            check(t, v(Predicate::HasEvery(vec![Bson::Null])), &[5, 6, 12]).await?;
        }
    }

    async fn patterns_find_strings_only(t) {
        t.seed("items", values()).await?;
        t.seed("items", [doc! { "_id": 20, "v": "a.b" }, doc! { "_id": 21, "v": "a\nb" }, doc! { "_id": 22, "v": ["xb", 1] }])
            .await?;
        for (pattern, options, wanted) in [
            ("^b", "", &[4, 15][..]),
            ("^b", "i", &[4, 13, 15]),
            ("b$", "", &[4, 15, 20, 21, 22]),
            ("^a.b$", "", &[20]),
            ("^a.b$", "s", &[20, 21]),
            ("^b$", "m", &[4, 15, 21]),
            ("a\\.b", "", &[20]),
            ("", "", &[4, 13, 15, 20, 21, 22]),
            ("[0-9]", "", &[]),
        ] {
            check(t, v(Predicate::Regex { pattern: pattern.into(), options: options.into() }), wanted).await?;
        }
    }

    async fn dotted_paths_go_through_documents_and_arrays(t) {
        t.seed("items", [
            doc! { "_id": 1, "a": { "b": 1 } },
            doc! { "_id": 2, "a": [{ "b": 1 }, { "b": 2 }] },
            doc! { "_id": 3, "a": [{ "b": 3 }, { "c": 1 }] },
            doc! { "_id": 4, "a": 1 },
            doc! { "_id": 5 },
            doc! { "_id": 6, "a": {} },
            doc! { "_id": 8, "a": { "b": null } },
            doc! { "_id": 9, "a": { "b": [1, 2] } },
        ]).await?;
        let b = |predicate| at("a.b", predicate);
        check(t, b(Predicate::Eq(1.into())), &[1, 2, 9]).await?;
        check(t, b(Predicate::Ne(1.into())), &[3, 4, 5, 6, 8]).await?;
        check(t, b(Predicate::Gt(1.into())), &[2, 3, 9]).await?;
        check(t, b(Predicate::Exists(true)), &[1, 2, 3, 8, 9]).await?;
        check(t, b(Predicate::Eq(Bson::Null)), &[3, 4, 5, 6, 8]).await?;
        check(t, at("a.0.b", Predicate::Eq(1.into())), &[2]).await?;
        check(t, at("a.b.1", Predicate::Eq(2.into())), &[9]).await?;
        check(t, at("a.1.b", Predicate::Exists(true)), &[2]).await?;
    }

    async fn an_element_matches_as_a_whole(t) {
        t.seed("items", [
            doc! { "_id": 1, "legs": [{ "d": 1, "k": "x" }, { "d": 9, "k": "y" }] },
            doc! { "_id": 2, "legs": [{ "d": 9, "k": "x" }] },
            doc! { "_id": 3, "legs": [] },
            doc! { "_id": 4 },
            doc! { "_id": 5, "legs": [{ "d": 1 }, 5] },
            doc! { "_id": 6, "legs": { "d": 9, "k": "x" } },
        ]).await?;
        let long = || at("d", Predicate::Gt(5.into()));
        let x = || Filter::eq("k", "x");
        let element = |filter| at("legs", Predicate::Element(Box::new(filter)));
        check(t, element(long().and(x())), &[2]).await?;
        check(t, at("legs.d", Predicate::Gt(5.into())).and(Filter::eq("legs.k", "x")), &[1, 2, 6]).await?;
        check(t, element(Filter::Or(vec![long(), x()])), &[1, 2]).await?;
        check(t, element(Filter::Not(Box::new(x()))), &[1, 5]).await?;
        check(t, element(Filter::Nothing), &[]).await?;
        check(t, element(Filter::eq("k", Bson::Null)), &[5]).await?;
    }

    async fn conditions_nest(t) {
        t.seed("items", (1..=6).map(|n| doc! { "_id": n, "n": n, "even": n % 2 == 0 })).await?;
        t.seed("items", [doc! { "_id": 7 }]).await?;
        let n = |predicate: fn(Bson) -> Predicate, value: i32| at("n", predicate(value.into()));
        let (gt, lt, eq) = (Predicate::Gt as fn(Bson) -> _, Predicate::Lt as fn(Bson) -> _, Predicate::Eq as fn(Bson) -> _);
        let not = |filter| Filter::Not(Box::new(filter));
        for (filter, wanted) in [
            (Filter::And(vec![]), &[1, 2, 3, 4, 5, 6, 7][..]),
            (Filter::Or(vec![]), &[]),
            (Filter::And(vec![n(gt, 2), n(lt, 5)]), &[3, 4]),
            (Filter::And(vec![n(gt, 2), n(gt, 4)]), &[5, 6]),
            (Filter::And(vec![n(eq, 2), n(eq, 3)]), &[]),
            (Filter::Or(vec![n(eq, 1), n(eq, 6)]), &[1, 6]),
            (Filter::Or(vec![Filter::Nothing, n(eq, 1)]), &[1]),
            (Filter::Or(vec![Filter::All, n(eq, 1)]), &[1, 2, 3, 4, 5, 6, 7]),
            (Filter::And(vec![Filter::Or(vec![]), n(eq, 1)]), &[]),
            (Filter::And(vec![Filter::Or(vec![n(eq, 1), n(eq, 2)]), Filter::Or(vec![n(eq, 2), n(eq, 3)])]), &[2]),
            (not(n(gt, 3)), &[1, 2, 3, 7]),
            (not(not(n(gt, 3))), &[4, 5, 6]),
            (not(Filter::And(vec![n(gt, 1), Filter::eq("even", true)])), &[1, 3, 5, 7]),
            (not(Filter::Or(vec![n(lt, 3), n(gt, 4)])), &[3, 4, 7]),
            (Filter::And(vec![not(n(gt, 4)), not(n(lt, 2))]), &[2, 3, 4, 7]),
            (Filter::And(vec![not(Filter::And(vec![n(gt, 1), n(lt, 4)])), not(Filter::And(vec![n(eq, 6), Filter::All]))]), &[1, 4, 5, 7]),
        ] {
            check(t, filter, wanted).await?;
        }
    }
}
