//! Conditions on two fields at once, on elements of lists of values, on null and absent, and at any depth of embeds.

use bson::{Bson, doc};
use forge::Model;
use forge::ir::{Comparison, Filter, Predicate};
use forge::prelude::*;
use forge_tests::models::{Item, NewPerson, Person, Phone, person};
use forge_tests::search::{NewZone, Zone, zone};
use forge_tests::{Engine, Fixture, Result, conformance};

fn area(west: f64) -> GeoPolygon {
    let at = |x, y| GeoPoint::new(x, y).unwrap();
    GeoPolygon::new([at(west, 0.0), at(west + 1.0, 0.0), at(west + 1.0, 1.0), at(west, 1.0)]).unwrap()
}

async fn zones(t: &Fixture) -> Result<()> {
    t.db.insert_many([
        NewZone {
            open_until: Some(18),
            last_seen: Some(9),
            scores: vec![1, 9],
            names: vec!["Ann".into()],
            ..zone("a", area(0.0))
        },
        NewZone {
            open_until: Some(8),
            last_seen: Some(8),
            scores: vec![4, 6],
            names: vec!["bob".into(), "Ann".into()],
            ..zone("b", area(5.0))
        },
        NewZone { open_until: Some(7), scores: vec![5], ..zone("c", area(9.0)) },
        zone("d", area(20.0)),
    ])
    .await?;
    Ok(())
}

type ZoneFilter = fn(&'static <Zone as Model>::Fields) -> forge::query::Filter<Zone>;

async fn check(t: &Fixture, filter: ZoneFilter, wanted: &[&str]) -> Result<()> {
    let shown = format!("{:?}", filter(Zone::FIELDS));
    let found = t.db.find::<Zone>().filter(filter).sort(|z| z.id.asc()).await?;
    assert_eq!(found.iter().map(|z| z.id.as_str()).collect::<Vec<_>>(), wanted, "{shown}");
    assert_eq!(t.db.find::<Zone>().filter(filter).count().await?, wanted.len() as u64, "{shown}");
    Ok(())
}

conformance! {
    async fn fields_compare_with_each_other(t) {
        zones(t).await?;
        check(t, |z| z.open_from.eq_field(z.open_until), &["b"]).await?;
        check(t, |z| z.open_from.ne_field(z.open_until), &["a", "c", "d"]).await?;
        check(t, |z| z.open_from.lt_field(z.open_until), &["a"]).await?;
        check(t, |z| z.open_from.lte_field(z.open_until), &["a", "b"]).await?;
        check(t, |z| z.open_from.gt_field(z.open_until), &["c"]).await?;
        check(t, |z| z.open_until.gt_field(z.open_from), &["a"]).await?;
        check(t, |z| z.open_until.gte_field(z.open_from) & z.id.ne("a"), &["b"]).await?;
        check(t, |z| !z.open_from.gt_field(z.open_until), &["a", "b", "d"]).await?;
        check(t, |z| z.open_from.gt_field(z.open_until) | z.id.eq("d"), &["c", "d"]).await?;
    }

    async fn nothing_equals_nothing_and_is_below_everything(t) {
        zones(t).await?;
        check(t, |z| z.open_until.eq_field(z.last_seen), &["b", "d"]).await?;
        check(t, |z| z.open_until.gt_field(z.last_seen), &["a"]).await?;
        check(t, |z| z.last_seen.lt_field(z.open_until), &["a"]).await?;
        t.seed("items", [
            doc! { "_id": 1, "a": null },
            doc! { "_id": 2, "b": 1 },
            doc! { "_id": 3, "a": [1, 2], "b": [1, 2] },
            doc! { "_id": 4, "a": { "x": 1 }, "b": { "x": 1.0 } },
            doc! { "_id": 5, "a": [{ "x": 1 }, { "x": 2 }], "b": [1, 2] },
        ]).await?;
        let ids = async |filter: Filter| t.ids(Item::def(), filter).await;
        let compare = |a: &'static str, comparison, b: &'static str| Filter::Compare(a.into(), comparison, b.into());
        assert_eq!(ids(compare("a", Comparison::Eq, "b")).await?, [1, 3, 4].map(Bson::Int32));
        assert_eq!(ids(compare("a", Comparison::Lt, "b")).await?, [Bson::Int32(2)]);
        if !t.stand_in {
            assert_eq!(ids(compare("a.x", Comparison::Eq, "b")).await?, [1, 5].map(Bson::Int32));
        }
    }

    async fn elements_of_lists_match_as_a_whole(t) {
        zones(t).await?;
        check(t, |z| z.scores.some(|s| s.gt(3) & s.lt(7)), &["b", "c"]).await?;
        check(t, |z| z.scores.some(|s| s.lt(2) | s.eq(6)), &["a", "b"]).await?;
        check(t, |z| z.scores.every(|s| s.gte(4)), &["b", "c", "d"]).await?;
        check(t, |z| z.scores.every(|s| s.gte(4)) & !z.scores.is_empty(), &["b", "c"]).await?;
        check(t, |z| z.scores.none(|s| s.is_in([5, 9])), &["b", "d"]).await?;
        check(t, |z| z.names.some(|n| n.eq_ignore_case("ANN")), &["a", "b"]).await?;
        check(t, |z| z.names.some(|n| !n.starts_with("A")), &["b"]).await?;
        check(t, |z| z.names.at(0).eq("Ann"), &["a"]).await?;
        check(t, |z| z.scores.at(1).gt(6), &["a"]).await?;
    }

    async fn empty_lists_of_conditions_keep_their_promise(t) {
        zones(t).await?;
        check(t, |_| any([]), &[]).await?;
        check(t, |_| all([]), &["a", "b", "c", "d"]).await?;
        check(t, |_| none([]), &["a", "b", "c", "d"]).await?;
        check(t, |z| any([]) | z.id.eq("a"), &["a"]).await?;
        check(t, |z| any([]) & z.id.eq("a"), &[]).await?;
        check(t, |z| z.id.is_in(["a", "b"]) & any([]), &[]).await?;
        check(t, |z| any([z.id.eq("a"), z.id.eq("b")]) & none([z.open_until.eq(8)]), &["a"]).await?;
    }

    async fn null_is_told_apart_from_absent(t) {
        t.seed("zones", [
            doc! { "_id": "absent", "open_from": 1, "area": area(0.0), "scores": [], "names": [] },
            doc! { "_id": "null", "open_from": 1, "open_until": null, "area": area(0.0), "scores": [], "names": [] },
            doc! { "_id": "set", "open_from": 1, "open_until": 2, "area": area(0.0), "scores": [], "names": [] },
        ]).await?;
        check(t, |z| z.open_until.is_none(), &["absent", "null"]).await?;
        check(t, |z| z.open_until.is_some(), &["set"]).await?;
        check(t, |z| z.open_until.is_absent(), &["absent"]).await?;
        check(t, |z| z.open_until.is_stored_null(), &["null"]).await?;
        check(t, |z| !z.open_until.is_stored_null(), &["absent", "set"]).await?;
    }

    async fn embeds_match_at_any_depth(t) {
        let phone = |kind: &str, digits: &str| Phone { kind: kind.into(), digits: digits.into() };
        t.db.insert_many([
            NewPerson { phones: Some(vec![phone("home", "1"), phone("work", "2")]), ..person("Ann") },
            NewPerson { phones: Some(vec![phone("home", "2")]), ..person("Bob") },
            person("Cy"),
        ]).await?;
        let names = async |filter: fn(&'static <Person as Model>::Fields) -> forge::query::Filter<Person>| {
            let found = t.db.find::<Person>().filter(filter).sort(|p| p.name.asc()).await?;
            forge_tests::engine::done(found.into_iter().map(|p| p.name).collect::<Vec<_>>())
        };
        assert_eq!(names(|p| p.phones.some(|x| x.kind.eq("home") & x.digits.eq("2"))).await?, ["Bob"]);
        assert_eq!(names(|p| p.phones.every(|x| x.kind.eq_ignore_case("HOME"))).await?, ["Bob", "Cy"]);
        assert_eq!(names(|p| p.phones.none(|x| x.digits.eq("1"))).await?, ["Bob", "Cy"]);
        assert_eq!(names(|p| p.phones.at(0).digits.eq("1")).await?, ["Ann"]);
        assert_eq!(names(|p| p.phones.size(2)).await?, ["Ann"]);
        assert_eq!(names(|p| p.phones.is_empty()).await?, ["Cy"]);
        assert_eq!(names(|p| p.phones.some(|x| !(x.kind.eq("home") | x.digits.eq("9")))).await?, ["Ann"]);
    }
}

#[tokio::test]
async fn what_mongodb_cannot_ask_is_an_error_on_every_engine() {
    let t = Fixture::open(Engine::Memory, module_path!()).await.unwrap().unwrap();
    let element = Filter::Compare("a".into(), Comparison::Eq, "b".into());
    let inside = Filter::Field("v".into(), Predicate::Element(Box::new(element)));
    assert_eq!(t.ids(Item::def(), inside).await.unwrap_err().code(), forge::ErrorCode::Unsupported);
}
