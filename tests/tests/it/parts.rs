//! Conditions on, and changes of, what has no fields of its own: keys of maps, enums with data, tuples, lists that may be absent.

#![allow(missing_docs, reason = "names of test models say what they are")]

use std::collections::BTreeMap;

use bson::doc;
use forge::__private::schemars::{self, JsonSchema};
use forge::prelude::*;
use forge::query::Filter;
use forge_tests::{Fixture, Result, conformance};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Payment {
    Cash,
    Card { number: String, fee: i32 },
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "parcels")]
struct Parcel {
    #[model(id)]
    pub id: i32,
    pub rates: BTreeMap<String, f64>,
    pub limits: Option<BTreeMap<String, i64>>,
    pub payment: Payment,
    pub spot: (i32, i32),
    pub tags: Option<Vec<String>>,
    pub weight: u8,
    pub total: u64,
}

async fn fill(t: &Fixture) -> Result<()> {
    for id in 1..=3_i32 {
        let card = Payment::Card { number: format!("n{id}"), fee: id };
        t.db.insert(NewParcel {
            id,
            rates: BTreeMap::from([("eur".into(), f64::from(id)), ("usd".into(), 1.5)]),
            limits: (id > 1).then(|| BTreeMap::from([("day".into(), i64::from(id))])),
            payment: if id == 1 { Payment::Cash } else { card },
            spot: (id, -id),
            tags: (id > 1).then(|| (1..id).map(|n| format!("t{n}")).collect()),
            weight: 200,
            total: 7,
        })
        .await?;
    }
    Ok(())
}

type Wanted = fn(&'static <Parcel as forge::Model>::Fields) -> Filter<Parcel>;

async fn check(t: &Fixture, wanted: &[i32], filter: Wanted) -> Result<()> {
    let found = t.db.find::<Parcel>().filter(filter).sort(|p| p.id.asc()).await?;
    let ids: Vec<_> = found.iter().map(|parcel| parcel.id).collect();
    assert_eq!(ids, wanted, "{:?}", filter(<Parcel as forge::Model>::FIELDS));
    Ok(())
}

conformance! {
    async fn keys_of_maps_are_fields(t) {
        fill(t).await?;
        check(t, &[2, 3], |p| p.rates.key("eur").gt(1.5)).await?;
        check(t, &[1], |p| p.limits.key("day").is_null()).await?;
        check(t, &[3], |p| p.limits.key("day").eq(3)).await?;
        check(t, &[], |p| p.rates.key("gbp").exists(true)).await?;
        let sorted = t.db.find::<Parcel>().sort(|p| p.rates.key("eur").desc()).select(|p| p.rates.key("eur")).await?;
        assert_eq!(sorted, [3.0, 2.0, 1.0]);
        let changed = t.db.update::<Parcel>(1).inc(|p| p.rates.key("eur"), 0.5).set(|p| p.limits.key("week"), 9).await?;
        assert_eq!((changed.rates["eur"], changed.rates["usd"]), (1.5, 1.5), "the other keys stay");
        assert_eq!(changed.limits, Some(BTreeMap::from([("week".into(), 9)])));
        assert_eq!(t.db.find::<Parcel>().distinct(|p| p.rates.key("usd")).await?, [1.5]);
    }

    async fn parts_of_enums_and_tuples_are_named_by_their_path(t) {
        fill(t).await?;
        check(t, &[2, 3], |p| p.payment.at_path::<String>("kind").eq("card")).await?;
        check(t, &[3], |p| p.payment.at_path::<i32>("fee").gt(2)).await?;
        check(t, &[2], |p| p.spot.at_path::<i32>("1").eq(-2)).await?;
        let changed = t.db.update::<Parcel>(2).inc(|p| p.payment.at_path::<i32>("fee"), 10).await?;
        assert_eq!(changed.payment, Payment::Card { number: "n2".into(), fee: 12 });
    }

    async fn lists_that_may_be_absent_have_the_conditions_of_lists(t) {
        fill(t).await?;
        check(t, &[2, 3], |p| p.tags.has("t1")).await?;
        check(t, &[3], |p| p.tags.has_every(["t1", "t2"])).await?;
        check(t, &[3], |p| p.tags.has_some(["t2", "t9"])).await?;
        check(t, &[3], |p| p.tags.size(2)).await?;
        check(t, &[3], |p| p.tags.some(|tag| tag.gt("t1"))).await?;
        check(t, &[1, 2], |p| p.tags.none(|tag| tag.eq("t2"))).await?;
        check(t, &[1, 2], |p| p.tags.every(|tag| tag.eq("t1"))).await?;
        check(t, &[3], |p| p.tags.at(1).eq("t2")).await?;
        check(t, &[], |p| p.tags.is_empty()).await?;
    }

    async fn numbers_of_every_size_are_raised(t) {
        fill(t).await?;
        let changed = t.db.update::<Parcel>(1).inc(|p| p.weight, 5_u8).mul(|p| p.total, 3_u64).await?;
        assert_eq!((changed.weight, changed.total), (205, 21));
        assert_eq!(t.stored("parcels").await?[0].get("rates"), Some(&doc! { "eur": 1.0, "usd": 1.5 }.into()));
    }
}
