//! Order, pages and projections.

use bson::{Bson, DateTime, Document, bson, doc};
use forge::Model;
use forge::ir::{Filter, Predicate, Projection, Select, SortKey};
use forge::model::ModelRef;
use forge_tests::models::{Author, Item, Person, person};
use forge_tests::{Fixture, Result, conformance};

async fn check(t: &Fixture, keys: &[(&'static str, bool)], wanted: &[i32]) -> Result<()> {
    let sort =
        keys.iter().map(|(path, descending)| SortKey { path: (*path).into(), descending: *descending });
    let found = t
        .select_ids(Select { sort: sort.collect(), limit: Some(100), ..Select::new(ModelRef(Item::def())) })
        .await?;
    assert_eq!(found, wanted.iter().map(|id| Bson::Int32(*id)).collect::<Vec<_>>(), "{keys:?}");
    Ok(())
}

async fn page(t: &Fixture, skip: Option<u64>, limit: Option<u64>) -> Result<Vec<i32>> {
    let sort = vec![SortKey { path: "same".into(), descending: false }];
    let select = Select { sort, skip, limit, ..Select::new(ModelRef(Item::def())) };
    Ok(t.select_ids(select).await?.iter().filter_map(Bson::as_i32).collect())
}

conformance! {
    async fn values_of_all_types_have_one_order(t) {
        t.seed("items", [
            doc! { "_id": 1, "v": DateTime::from_millis(5) },
            doc! { "_id": 2, "v": true },
            doc! { "_id": 3, "v": "b" },
            doc! { "_id": 4, "v": { "a": 1 } },
            doc! { "_id": 5, "v": 2.5 },
            doc! { "_id": 6, "v": 2_i64 },
            doc! { "_id": 7, "v": null },
            doc! { "_id": 8 },
            doc! { "_id": 9, "v": "a" },
            doc! { "_id": 10, "v": 1 },
            doc! { "_id": 11, "v": bson::oid::ObjectId::from_bytes([1; 12]) },
        ]).await?;
        check(t, &[("v", false)], &[7, 8, 10, 6, 5, 9, 3, 4, 11, 2, 1]).await?;
        check(t, &[("v", true)], &[1, 2, 11, 4, 3, 9, 5, 6, 10, 7, 8]).await?;
    }

    async fn arrays_sort_by_their_smallest_up_and_their_largest_down(t) {
        t.seed("items", [
            doc! { "_id": 1, "v": [3, 9] },
            doc! { "_id": 2, "v": 4 },
            doc! { "_id": 3, "v": [1, 5] },
            doc! { "_id": 4, "v": [] },
            doc! { "_id": 5, "v": null },
        ]).await?;
        check(t, &[("v", false)], &[4, 5, 3, 1, 2]).await?;
        check(t, &[("v", true)], &[1, 3, 2, 5, 4]).await?;
    }

    async fn later_keys_decide_ties_and_then_the_id(t) {
        t.seed("items", [
            doc! { "_id": 4, "a": 1, "b": 1 },
            doc! { "_id": 3, "a": 1, "b": 2 },
            doc! { "_id": 2, "a": 0, "b": 1 },
            doc! { "_id": 1, "a": 1, "b": 1 },
        ]).await?;
        check(t, &[("a", false), ("b", true)], &[2, 3, 1, 4]).await?;
        check(t, &[("a", true), ("b", false)], &[1, 4, 3, 2]).await?;
        check(t, &[("a", false)], &[2, 1, 3, 4]).await?;
        check(t, &[("_id", true)], &[4, 3, 2, 1]).await?;
    }

    async fn pages_over_ties_neither_skip_nor_repeat(t) {
        t.seed("items", (1..=20).rev().map(|id| doc! { "_id": id, "same": 1 })).await?;
        let mut seen = Vec::new();
        for start in (0..20).step_by(3) {
            seen.extend(page(t, Some(start), Some(3)).await?);
        }
        assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    }

    async fn limits_and_skips_at_their_edges(t) {
        t.seed("items", (1..=5).map(|id| doc! { "_id": id, "same": 1 })).await?;
        assert_eq!(page(t, None, Some(0)).await?, [0; 0], "0 is none, not all");
        assert_eq!(page(t, None, Some(2)).await?, [1, 2]);
        assert_eq!(page(t, None, Some(99)).await?, [1, 2, 3, 4, 5]);
        assert_eq!(page(t, Some(3), None).await?.len(), 2);
        assert_eq!(page(t, Some(5), Some(5)).await?, [0; 0]);
        assert_eq!(page(t, Some(0), Some(1)).await?, [1]);
        assert_eq!(page(t, Some(u64::from(u32::MAX)), Some(1)).await?, [0; 0]);
    }

    async fn a_projection_keeps_the_keys_that_joins_need(t) {
        t.seed("authors", [doc! { "_id": 1_i64, "name": "Ann" }]).await?;
        let bio = Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] });
        t.seed("bios", [doc! { "_id": bio, "text": "x", "author_id": 1_i64 }]).await?;
        let mut include = Select::new(ModelRef(forge_tests::models::Bio::def()));
        include.projection = Projection::Only(vec!["text".into()]);
        let mut select = Select::new(ModelRef(Author::def()));
        select.projection = Projection::Only(vec!["name".into()]);
        let (relation, _) = Author::def().relation("bio").unwrap();
        select.include = vec![forge::ir::Include { relation, select: include, count: false }];
        let outcome = t.adapter.execute(&Default::default(), forge::ir::Operation::Select(select)).await?;
        let forge::ir::Outcome::Rows(rows) = outcome else { panic!("{outcome:?}") };
        assert_eq!(rows.included[0].groups, [[0]], "the relation came back empty");
        assert_eq!(rows.included[0].rows.documents[0].get_str("text").unwrap(), "x");
    }

    async fn a_projection_gives_the_paths_asked_for_and_the_id(t) {
        t.seed("items", [doc! { "_id": 1, "a": { "b": 1, "c": 2 }, "d": 3, "e": [{ "f": 1, "g": 2 }] }]).await?;
        for (paths, wanted) in [
            (&["d"][..], doc! { "_id": 1, "d": 3 }),
            (&["a.b"], doc! { "_id": 1, "a": { "b": 1 } }),
            (&["a", "a.b"], doc! { "_id": 1, "a": { "b": 1, "c": 2 } }),
            (&["e.f"], doc! { "_id": 1, "e": [{ "f": 1 }] }),
            (&["nothing"], doc! { "_id": 1 }),
            (&[], doc! { "_id": 1 }),
        ] {
            let mut select = Select::new(ModelRef(Item::def()));
            select.projection = Projection::Only(paths.iter().map(|path| (*path).into()).collect());
            let outcome = t.adapter.execute(&Default::default(), forge::ir::Operation::Select(select)).await?;
            let forge::ir::Outcome::Rows(rows) = outcome else { panic!("{outcome:?}") };
            assert_eq!(Document::try_from(&rows.documents[0])?, wanted, "{paths:?}");
        }
    }

    async fn distinct_values_are_in_order_and_reach_into_arrays(t) {
        t.seed("items", [
            doc! { "_id": 1, "v": [3, 1] },
            doc! { "_id": 2, "v": 2 },
            doc! { "_id": 3, "v": 1.0 },
            doc! { "_id": 4 },
            doc! { "_id": 5, "v": "x" },
        ]).await?;
        let distinct = forge::ir::Distinct::new(ModelRef(Item::def()), "v");
        let outcome = t.adapter.execute(&Default::default(), forge::ir::Operation::Distinct(distinct)).await?;
        let forge::ir::Outcome::Values(values) = outcome else { panic!("{outcome:?}") };
        assert_eq!(values.len(), 4, "{values:?}");
        let numbers: Vec<f64> = values.iter().take(3).map(|v| v.as_f64().or_else(|| v.as_i32().map(f64::from)).unwrap()).collect();
        assert_eq!(numbers, [1.0, 2.0, 3.0]);
        assert_eq!(values[3], bson!("x"));
    }

    async fn typed_sorts_take_several_keys(t) {
        for (name, age) in [("Cy", Some(30)), ("Al", None), ("Bo", Some(30))] {
            t.db.insert(forge_tests::models::NewPerson { age, ..person(name) }).await?;
        }
        let found = t.db.find::<Person>().sort(|p| (p.age.desc(), p.name.asc())).await?;
        assert_eq!(found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["Bo", "Cy", "Al"]);
        let tied = t.db.find::<Person>().sort(|p| p.age.desc()).sort(|p| p.name.desc()).limit(1).await?;
        assert_eq!(tied[0].name, "Cy");
    }

    async fn a_negative_size_finds_nothing(t) {
        t.seed("items", [doc! { "_id": 1, "v": [] }]).await?;
        assert_eq!(t.ids(Item::def(), Filter::Field("v".into(), Predicate::Size(-1))).await?, []);
    }
}
