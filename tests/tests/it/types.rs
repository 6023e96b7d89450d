//! Every type of field: what is stored, what travels, and how it is compared, sorted, summed and changed.

#![allow(missing_docs, reason = "names of test models say what they are")]

use std::collections::{BTreeMap, HashMap};

use bson::{Bson, doc};
use forge::__private::schemars::{self, JsonSchema};
use forge::prelude::*;
use forge::{ErrorCode, Result};
use forge_tests::{Engine, Fixture, conformance};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Size {
    Small,
    VeryLarge,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Payment {
    Cash,
    Card {
        number: String,
        fee: Decimal,
        at: DateTime,
        day: Date,
        time: Time,
        uuid: Uuid,
        oid: Id<Thing>,
        blob: Bytes,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Shape {
    Nothing,
    Circle(f64),
    Box { width: i32, height: i32 },
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub(crate) struct Part {
    pub code: String,
    pub price: Decimal,
    #[model(embed_many, default)]
    pub parts: Vec<Part>,
}

/// A field of every type.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "things")]
pub(crate) struct Thing {
    #[model(id)]
    pub id: i32,
    pub oid: Id<Thing>,
    pub uuid: Uuid,
    pub at: DateTime,
    pub day: Date,
    pub time: Time,
    pub price: Decimal,
    pub big: i64,
    pub snowflake: Int64,
    pub count: u32,
    pub single: f32,
    pub double: f64,
    pub blob: Bytes,
    pub size: Size,
    pub payment: Payment,
    pub shape: Shape,
    pub sorted: BTreeMap<String, i32>,
    pub hashed: HashMap<String, String>,
    #[model(embed)]
    pub part: Part,
    #[model(embed_many)]
    pub parts: Vec<Part>,
    pub maybe: Option<String>,
    pub pair: (i32, String),
    pub place: GeoPoint,
}

fn part(code: &str, price: &str, parts: Vec<Part>) -> Part {
    Part { code: code.into(), price: dec(price), parts }
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn thing(id: i32, price: &str) -> NewThing {
    NewThing {
        id,
        oid: Id::from_object_id(bson::oid::ObjectId::from_bytes([id as u8; 12])),
        uuid: Uuid::from_bytes([id as u8; 16]),
        at: DateTime::from_millis(1_000 * i64::from(id) + 7),
        day: Date::new(2000, 2, 28 + id as u8 % 2).unwrap(),
        time: Time::new(id as u8, 30, 0).unwrap(),
        price: dec(price),
        big: i64::MAX - i64::from(id),
        snowflake: Int64(i64::MIN + i64::from(id)),
        count: u32::MAX - id as u32,
        single: 0.5,
        double: 0.1,
        blob: Bytes::from([0, 255, id as u8]),
        size: if id % 2 == 0 { Size::Small } else { Size::VeryLarge },
        payment: if id % 2 == 0 {
            Payment::Cash
        } else {
            Payment::Card {
                number: "1".into(),
                fee: dec("0.30"),
                at: DateTime::from_millis(5),
                day: Date::new(2001, 1, 1).unwrap(),
                time: Time::new(1, 2, 3).unwrap(),
                uuid: Uuid::from_bytes([3; 16]),
                oid: Id::from_object_id(bson::oid::ObjectId::from_bytes([4; 12])),
                blob: Bytes::from([1, 2]),
            }
        },
        shape: match id % 3 {
            0 => Shape::Nothing,
            1 => Shape::Circle(1.5),
            _ => Shape::Box { width: 2, height: 3 },
        },
        sorted: BTreeMap::from([("a b".into(), id), ("é".into(), 2)]),
        hashed: HashMap::from([("k".into(), "v".into())]),
        part: part("p", "1.10", vec![part("q", "2", vec![])]),
        parts: vec![part("a", "10", vec![]), part("b", "9.5", vec![part("c", "0.5", vec![])])],
        maybe: (id % 2 == 0).then(|| "m".to_owned()),
        pair: (id, "x".into()),
        place: GeoPoint::new(16.37, 48.2).unwrap(),
    }
}

/// 1: 9.50, 2: 10, 3: 100, 4: −0.001.
async fn fill(t: &Fixture) -> Result<()> {
    for (id, price) in [(1, "9.50"), (2, "10"), (3, "100"), (4, "-0.001")] {
        t.db.insert(thing(id, price)).await?;
    }
    Ok(())
}

type Wanted = fn(&'static <Thing as forge::Model>::Fields) -> forge::query::Filter<Thing>;

async fn check(t: &Fixture, filter: Wanted, wanted: &[i32]) -> Result<()> {
    let found = t.db.find::<Thing>().filter(filter).sort(|f| f.id.asc()).await?;
    let ids: Vec<i32> = found.iter().map(|thing| thing.id).collect();
    assert_eq!(ids, wanted, "{:?}", filter(<Thing as forge::Model>::FIELDS));
    Ok(())
}

conformance! {
    async fn every_type_comes_back_as_it_was(t) {
        for id in 1..=4 {
            let stored = t.db.insert(thing(id, "1.50")).await?;
            assert_eq!(t.db.get::<Thing>(id).await?.as_ref(), Some(&stored));
            assert_eq!(stored.price.to_string(), "1.50", "decimals keep their digits");
            assert_eq!(stored.big, i64::MAX - i64::from(id));
        }
    }

    async fn every_type_has_its_own_form_in_storage(t) {
        t.db.insert(thing(1, "1.50")).await?;
        let stored = t.stored("things").await?.remove(0);
        assert_eq!(stored.get("oid"), Some(&Bson::ObjectId(bson::oid::ObjectId::from_bytes([1; 12]))));
        assert_eq!(stored.get("uuid"), Some(&bson::Uuid::from_bytes([1; 16]).into()));
        assert_eq!(stored.get("at"), Some(&Bson::DateTime(bson::DateTime::from_millis(1_007))));
        assert_eq!(stored.get("day"), Some(&Bson::from(Date::new(2000, 2, 29).unwrap())));
        assert_eq!(stored.get("time"), Some(&Bson::Int32(5_400_000)));
        assert_eq!(stored.get("price"), Some(&Bson::Decimal128("1.50".parse().unwrap())));
        assert_eq!(stored.get("big"), Some(&Bson::Int64(i64::MAX - 1)));
        assert_eq!(stored.get("snowflake"), Some(&Bson::Int64(i64::MIN + 1)));
        assert_eq!(stored.get("count"), Some(&Bson::Int64(i64::from(u32::MAX) - 1)));
        assert_eq!(stored.get("single"), Some(&Bson::Double(0.5)));
        assert_eq!(stored.get("blob"), Some(&Bytes::from([0, 255, 1]).into()));
        assert_eq!(stored.get("size"), Some(&"very_large".into()));
        assert_eq!(stored.get_document("payment").unwrap().get_str("kind").unwrap(), "card");
        assert!(matches!(stored.get_document("payment").unwrap().get("fee"), Some(Bson::Decimal128(_))));
        assert_eq!(stored.get("shape"), Some(&doc! { "Circle": 1.5 }.into()));
        assert_eq!(stored.get("sorted"), Some(&doc! { "a b": 1, "é": 2 }.into()));
        assert_eq!(stored.get("pair"), Some(&bson::bson!([1, "x"])));
        assert!(!stored.contains_key("maybe"), "an option without a value is absent");
    }

    async fn bytes_keep_the_subtype_that_they_were_stored_with(t) {
        let sum = Bytes::from([7; 16]).with_subtype(5);
        let stored = t.db.insert(NewThing { blob: sum.clone(), ..thing(1, "1") }).await?;
        assert_eq!((stored.blob.clone(), t.db.get::<Thing>(1).await?.unwrap().blob), (sum.clone(), sum.clone()));
        assert_eq!(t.stored("things").await?[0].get("blob"), Some(&Bson::from(sum.clone())));
        t.db.insert(NewThing { blob: Bytes::from([7; 16]), ..thing(2, "1") }).await?;
        check(t, |f| f.blob.eq(Bytes::from([7; 16]).with_subtype(5)), &[1]).await?;
        check(t, |f| f.blob.eq(Bytes::from([7; 16])), &[2]).await?;
        let own = Bytes::from([1]).with_subtype(200);
        let changed = t.db.update::<Thing>(2).set(|f| f.blob, own.clone()).await?;
        assert_eq!(changed.blob, own);
        let found = t.db.find::<Thing>().filter(|f| f.id.eq(2)).select(|f| f.blob).await?;
        assert_eq!(found, [own]);
    }

    async fn every_type_travels_as_json_without_loss(t) {
        let stored = t.db.insert(thing(1, "1.50")).await?;
        let json = serde_json::to_value(&stored).unwrap();
        for (field, wanted) in [
            ("uuid", serde_json::json!("01010101-0101-0101-0101-010101010101")),
            ("at", serde_json::json!("1970-01-01T00:00:01.007Z")),
            ("day", serde_json::json!("2000-02-29")),
            ("time", serde_json::json!("01:30:00.000")),
            ("price", serde_json::json!("1.50")),
            ("big", serde_json::json!(i64::MAX - 1)),
            ("snowflake", serde_json::json!("-9223372036854775807")),
            ("blob", serde_json::json!("AP8B")),
            ("size", serde_json::json!("very_large")),
            ("payment", serde_json::json!({
                "kind": "card", "number": "1", "fee": "0.30", "at": "1970-01-01T00:00:00.005Z", "day": "2001-01-01",
                "time": "01:02:03.000", "uuid": "03030303-0303-0303-0303-030303030303", "oid": "040404040404040404040404",
                "blob": "AQI=",
            })),
            ("shape", serde_json::json!({ "Circle": 1.5 })),
            ("pair", serde_json::json!([1, "x"])),
        ] {
            assert_eq!(json[field], wanted, "{field}");
        }
        let back: Thing = serde_json::from_value(json).unwrap();
        assert_eq!(back, stored);
    }

    async fn every_type_is_found_by_its_value(t) {
        fill(t).await?;
        check(t, |f| f.oid.eq(Id::from_object_id(bson::oid::ObjectId::from_bytes([2; 12]))), &[2]).await?;
        check(t, |f| f.uuid.is_in([Uuid::from_bytes([1; 16]), Uuid::from_bytes([3; 16])]), &[1, 3]).await?;
        check(t, |f| f.at.gt(DateTime::from_millis(2_007)), &[3, 4]).await?;
        check(t, |f| f.day.eq(Date::new(2000, 2, 28).unwrap()), &[2, 4]).await?;
        check(t, |f| f.time.lte(Time::new(2, 30, 0).unwrap()), &[1, 2]).await?;
        check(t, |f| f.big.eq(i64::MAX - 2), &[2]).await?;
        check(t, |f| f.big.gt(i64::MAX - 3), &[1, 2]).await?;
        check(t, |f| f.snowflake.lt(Int64(i64::MIN + 2)), &[1]).await?;
        check(t, |f| f.count.gte(u32::MAX - 2), &[1, 2]).await?;
        check(t, |f| f.single.eq(0.5_f32), &[1, 2, 3, 4]).await?;
        check(t, |f| f.blob.eq(Bytes::from([0, 255, 3])), &[3]).await?;
        check(t, |f| f.size.eq(Size::Small), &[2, 4]).await?;
        check(t, |f| f.payment.eq(Payment::Cash), &[2, 4]).await?;
        check(t, |f| f.shape.eq(Shape::Nothing), &[3]).await?;
        check(t, |f| f.sorted.eq(BTreeMap::from([("a b".to_owned(), 4), ("é".to_owned(), 2)])), &[4]).await?;
        check(t, |f| f.parts.some(|p| p.price.lt(dec("9.51"))), &[1, 2, 3, 4]).await?;
        check(t, |f| f.part.price.eq(dec("1.1")), &[1, 2, 3, 4]).await?;
        check(t, |f| f.maybe.is_null(), &[1, 3]).await?;
        check(t, |f| f.maybe.exists(true), &[2, 4]).await?;
        check(t, |f| f.pair.eq((2, "x".to_owned())), &[2]).await?;
    }

    async fn decimals_are_compared_and_sorted_as_numbers(t) {
        fill(t).await?;
        check(t, |f| f.price.eq(dec("9.5")), &[1]).await?;
        check(t, |f| f.price.gt(dec("9.50")), &[2, 3]).await?;
        check(t, |f| f.price.lt(dec("0")), &[4]).await?;
        let sorted = t.db.find::<Thing>().sort(|f| f.price.desc()).await?;
        assert_eq!(sorted.iter().map(|thing| thing.id).collect::<Vec<_>>(), [3, 2, 1, 4]);
    }

    async fn decimals_are_summed_exactly(t) {
        for id in 1..=10 {
            t.db.insert(thing(id, "0.1")).await?;
        }
        let sums = t.db.group_by::<Thing, _>(|f| f.size).select(|f| (f.price.sum(), f.price.avg(), f.price.largest())).await?;
        let (fifth, tenth) = (dec("0.5"), dec("0.1"));
        assert_eq!(sums, [
            (Size::Small, (fifth, Some(tenth), Some(tenth))),
            (Size::VeryLarge, (fifth, Some(tenth), Some(tenth))),
        ]);
        let nobody = t.db.group_by::<Thing, _>(|f| f.size).filter(|f| f.id.gt(10)).select(|f| f.price.sum()).await?;
        assert!(nobody.is_empty());
    }

    async fn decimals_are_raised_exactly(t) {
        t.db.insert(thing(1, "0.1")).await?;
        let raised = t.db.update::<Thing>(1).inc(|f| f.price, dec("0.2")).await?;
        assert_eq!(raised.price.to_string(), "0.3");
        let product = t.db.update::<Thing>(1).mul(|f| f.price, dec("1.5")).await?;
        assert_eq!(product.price, dec("0.45"));
    }

    async fn every_type_can_be_set(t) {
        t.db.insert(thing(1, "1")).await?;
        let changed = t.db.update::<Thing>(1)
            .set(|f| f.uuid, Uuid::from_bytes([9; 16]))
            .set(|f| f.at, DateTime::from_millis(-1))
            .set(|f| f.day, Date::new(1969, 12, 31).unwrap())
            .set(|f| f.time, Time::new(0, 0, 0).unwrap())
            .set(|f| f.price, dec("-7.00"))
            .set(|f| f.big, i64::MIN)
            .set(|f| f.snowflake, Int64(i64::MAX))
            .set(|f| f.count, 0)
            .set(|f| f.blob, Bytes::default())
            .set(|f| f.size, Size::Small)
            .set(|f| f.payment, Payment::Cash)
            .set(|f| f.shape, Shape::Box { width: 1, height: 1 })
            .set(|f| f.sorted, BTreeMap::new())
            .set(|f| f.maybe, "x")
            .set(|f| f.pair, (0, String::new()))
            .await?;
        assert_eq!(t.db.get::<Thing>(1).await?.as_ref(), Some(&changed));
        assert_eq!((changed.price.to_string().as_str(), changed.big, changed.count), ("-7.00", i64::MIN, 0));
        let unset = t.db.update::<Thing>(1).unset(|f| f.maybe).await?;
        assert_eq!(unset.maybe, None);
        assert!(!t.stored("things").await?[0].contains_key("maybe"));
    }

    async fn numbers_beyond_numbers_are_stored(t) {
        for (id, value) in [(1, f64::INFINITY), (2, f64::NEG_INFINITY), (3, f64::NAN), (4, -0.0)] {
            t.db.insert(NewThing { double: value, ..thing(id, "1") }).await?;
        }
        let sorted = t.db.find::<Thing>().sort(|f| f.double.asc()).await?;
        assert_eq!(sorted.iter().map(|thing| thing.id).collect::<Vec<_>>(), [3, 2, 4, 1], "NaN comes first");
        assert!(t.db.get::<Thing>(3).await?.unwrap().double.is_nan());
        check(t, |f| f.double.gt(0.0), &[1]).await?;
    }

    async fn keys_that_would_be_paths_or_operators_are_refused(t) {
        t.db.insert(thing(1, "1")).await?;
        for key in ["$set", "a.b", "$"] {
            let map = BTreeMap::from([(key.to_owned(), 1)]);
            let error = t.db.insert(NewThing { sorted: map.clone(), ..thing(2, "1") }).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadRequest, "{key}");
            assert!(error.message().contains(key) && error.message().contains("sorted"), "{error}");
            let error = t.db.update::<Thing>(1).set(|f| f.sorted, map).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadRequest, "{key}");
        }
        assert_eq!(t.db.find::<Thing>().count().await?, 1);
    }

    async fn whole_numbers_of_64_bits_survive_every_way(t) {
        for (id, big) in [(1, i64::MAX), (2, i64::MIN), (3, (1 << 53) + 1)] {
            t.db.insert(NewThing { big, snowflake: Int64(big), ..thing(id, "1") }).await?;
            let stored = t.db.get::<Thing>(id).await?.unwrap();
            assert_eq!((stored.big, stored.snowflake.0), (big, big));
            let text = serde_json::to_string(&stored).unwrap();
            assert!(text.contains(&format!("\"big\":{big}")) && text.contains(&format!("\"snowflake\":\"{big}\"")), "{text}");
        }
        assert_eq!(t.db.find::<Thing>().filter(|f| f.big.eq((1 << 53) + 1)).count().await?, 1);
        assert_eq!(t.db.find::<Thing>().filter(|f| f.big.eq(1 << 53)).count().await?, 0);
    }

    async fn groups_by_every_type_have_typed_keys(t) {
        if t.stand_in && t.engine == Engine::Server {
            return Ok(());
        }
        fill(t).await?;
        let by_id = t.db.group_by::<Thing, _>(|f| f.oid).select(|_| count()).await?;
        assert_eq!(by_id[0], (Id::from_object_id(bson::oid::ObjectId::from_bytes([1; 12])), 1));
        let by_day = t.db.group_by::<Thing, _>(|f| (f.day, f.size)).select(|f| f.id.add_to_set()).await?;
        assert_eq!(by_day.len(), 2);
        assert_eq!(by_day[0].0, (Date::new(2000, 2, 28).unwrap(), Size::Small));
        let by_price = t.db.group_by::<Thing, _>(|f| f.price).select(|_| count()).await?;
        assert_eq!(by_price.iter().map(|(price, _)| price.to_string()).collect::<Vec<_>>(), ["-0.001", "9.50", "10", "100"]);
    }
}
