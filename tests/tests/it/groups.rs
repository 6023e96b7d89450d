//! Groups and their computed values.

use bson::doc;
use forge::Id;
use forge::prelude::count;
use forge_tests::models::{NewPerson, Person, person};
use forge_tests::orders::{Member, NewMember, Team};
use forge_tests::{Fixture, Result, conformance};

/// new: 1, 2, 3; old: 10, 20; odd: 5 without an age.
async fn fill(t: &Fixture) -> Result<()> {
    let rows = [
        ("new", Some(1), 0.5),
        ("new", Some(2), 1.5),
        ("new", Some(3), 1.0),
        ("old", Some(10), 2.0),
        ("old", Some(20), 4.0),
        ("odd", None, 5.0),
    ];
    for (i, (status, age, score)) in rows.into_iter().enumerate() {
        let visits = Some(i as i64);
        t.db.insert(NewPerson {
            status: Some(status.into()),
            age,
            score: Some(score),
            visits,
            ..person(&format!("p{i}"))
        })
        .await?;
    }
    Ok(())
}

fn s(text: &str) -> String {
    text.to_owned()
}

conformance! {
    async fn every_aggregate_is_typed(t) {
        fill(t).await?;
        let groups = t.db.group_by::<Person, _>(|p| p.status)
            .select(|p| (count(), p.age.sum(), p.score.avg(), p.age.smallest(), p.name.largest()))
            .await?;
        assert_eq!(groups, [
            (s("new"), (3, 6, Some(1.0), Some(Some(1)), Some(s("p2")))),
            (s("odd"), (1, 0, Some(5.0), None, Some(s("p5")))),
            (s("old"), (2, 30, Some(3.0), Some(Some(10)), Some(s("p4")))),
        ]);
    }

    async fn a_relation_is_a_key_as_a_typed_id(t) {
        let team: Id<Team> = Id::from_object_id(bson::oid::ObjectId::from_bytes([7; 12]));
        for (id, team_id) in [(1, Some(team)), (2, None), (3, Some(team))] {
            t.db.insert(NewMember { id, name: "m".into(), team_id, leads_id: None }).await?;
        }
        let sizes: Vec<(Option<Id<Team>>, i64)> = t.db.group_by::<Member, _>(|m| m.team).select(|_| count()).await?;
        assert_eq!(sizes, [(None, 1), (Some(team), 2)]);
        let pairs = t.db.group_by::<Member, _>(|m| (m.team, m.name)).select(|m| m.id.sum()).await?;
        assert_eq!(pairs, [((None, s("m")), 2), ((Some(team), s("m")), 4)]);
    }

    async fn a_mean_without_numbers_is_none_and_a_sum_zero(t) {
        fill(t).await?;
        let odd = t.db.group_by::<Person, _>(|p| p.status).filter(|p| p.status.eq("odd")).select(|p| (p.age.avg(), p.visits.sum())).await?;
        assert_eq!(odd, [(s("odd"), (None, 5))]);
        let nobody = t.db.group_by::<Person, _>(|p| p.status).filter(|p| p.status.eq("?")).select(|_| count()).await?;
        assert!(nobody.is_empty());
    }

    async fn groups_are_filtered_sorted_and_paged(t) {
        fill(t).await?;
        let base = || t.db.group_by::<Person, _>(|p| p.status).select(|p| (count(), p.score.sum()));
        let names = |groups: Vec<(String, (i64, f64))>| groups.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(names(base().having(|(n, _)| n.gt(1)).await?), ["new", "old"]);
        assert_eq!(names(base().having(|(n, total)| n.lt(3) & total.gte(6.0)).await?), ["old"]);
        assert_eq!(names(base().having(|(n, total)| n.eq(3) | total.eq(5.0)).await?), ["new", "odd"]);
        assert_eq!(names(base().sort(|(n, _)| n.desc()).await?), ["new", "old", "odd"]);
        assert_eq!(names(base().sort(|(_, total)| total.asc()).limit(2).await?), ["new", "odd"]);
        assert_eq!(names(base().sort(|(_, total)| total.desc()).skip(1).limit(1).await?), ["odd"]);
        assert!(base().limit(0).await?.is_empty());
        assert_eq!(names(base().skip(1).await?), ["odd", "old"], "the key decides the order where nothing else does");
    }

    async fn several_keys_make_a_group(t) {
        fill(t).await?;
        let groups = t.db.group_by::<Person, _>(|p| (p.status, p.age)).filter(|p| p.visits.gt(2)).select(|_| count()).await?;
        assert_eq!(groups, [((s("odd"), None), 1), ((s("old"), Some(10)), 1), ((s("old"), Some(20)), 1)]);
        let pairs = || t.db.group_by::<Person, _>(|p| (p.status, p.age)).filter(|p| p.visits.gt(2));
        assert_eq!(pairs().count().await?, 3);
        assert_eq!((pairs().skip(1).count().await?, pairs().limit(2).count().await?, pairs().limit(0).count().await?), (2, 2, 0));
        let many = t.db.group_by::<Person, _>(|p| p.status).select(|_| count()).having(|n| n.gt(1));
        assert_eq!(many.count().await?, 2);
        assert_eq!(pairs().filter(|p| p.visits.gt(1_000)).count().await?, 0);
    }

    async fn null_and_missing_are_one_group(t) {
        fill(t).await?;
        let at = bson::DateTime::from_millis(0);
        t.seed("people", [doc! { "_id": bson::oid::ObjectId::from_bytes([1; 12]), "email": "n@example.org", "name": "n", "age": null, "tags": [], "score": 1.0, "visits": 0_i64, "status": "odd", "phones": [], "createdAt": at, "updatedAt": at }]).await?;
        let groups = t.db.group_by::<Person, _>(|p| p.age).filter(|p| p.status.eq("odd")).select(|_| count()).await?;
        assert_eq!(groups, [(None, 2)]);
    }

    async fn ids_and_dates_stay_what_they_are(t) {
        let ann = t.db.insert(person("Ann")).await?;
        let groups = t.db.group_by::<Person, _>(|p| p.id).select(|p| p.created_at.largest()).await?;
        assert_eq!(groups, [(ann.id, Some(t.clock.now()))]);
    }

    async fn sums_of_whole_numbers_do_not_overflow_silently(t) {
        for (i, visits) in [i64::from(i32::MAX), 1].into_iter().enumerate() {
            t.db.insert(NewPerson { visits: Some(visits), ..person(&format!("p{i}")) }).await?;
        }
        let groups = t.db.group_by::<Person, _>(|p| p.status).select(|p| p.visits.sum()).await?;
        assert_eq!(groups, [(s("new"), i64::from(i32::MAX) + 1)]);
    }

    async fn first_and_last_values_go_by_the_order_of_the_documents(t) {
        fill(t).await?;
        let groups = t.db.group_by::<Person, _>(|p| p.status)
            .order(|p| p.score.desc())
            .select(|p| (p.name.first(), p.name.last(), p.score.push()))
            .await?;
        assert_eq!(groups[0], (s("new"), (Some(s("p1")), Some(s("p0")), vec![1.5, 1.0, 0.5])));
        assert_eq!(groups[2], (s("old"), (Some(s("p4")), Some(s("p3")), vec![4.0, 2.0])));
    }

    async fn distinct_values_are_gathered_and_counted(t) {
        fill(t).await?;
        let everything = t.db.group_by::<Person, _>(|p| p.created_at)
            .select(|p| (p.status.add_to_set(), p.status.count_distinct(), p.age.count_distinct()))
            .await?;
        let (mut statuses, many, ages) = everything[0].1.clone();
        statuses.sort();
        assert_eq!((statuses, many, ages), (vec![s("new"), s("odd"), s("old")], 3, 5), "absent ages do not count");
    }

    async fn spreads_and_percentiles_are_told(t) {
        fill(t).await?;
        let spread = t.db.group_by::<Person, _>(|p| p.status).select(|p| (p.age.std_dev_pop(), p.age.std_dev_samp())).await?;
        assert_eq!(spread[2], (s("old"), (Some(5.0), Some(50_f64.sqrt()))));
        assert_eq!(spread[1], (s("odd"), (None, None)));
        if t.stand_in {
            return Ok(());
        }
        let percentiles = t.db.group_by::<Person, _>(|p| p.status)
            .select(|p| (p.age.median(), p.age.percentile(1.0), p.age.percentiles([0.0, 0.5, 0.9])))
            .await?;
        assert_eq!(percentiles[0], (s("new"), (Some(2.0), Some(3.0), vec![Some(1.0), Some(2.0), Some(3.0)])));
        assert_eq!(percentiles[1], (s("odd"), (None, None, vec![None, None, None])));
    }

    async fn a_percentile_is_within_0_and_1(t) {
        let error = t.db.group_by::<Person, _>(|p| p.status).select(|p| p.age.percentile(95.0)).await.unwrap_err();
        assert_eq!(error.code(), forge::ErrorCode::BadRequest);
        assert!(error.message().contains("95"), "{error}");
    }

    async fn computed_keys_make_groups(t) {
        for (i, seen) in ["2001-01-31T23:30:00Z", "2001-02-01T10:00:00Z", "2002-02-01T00:00:00Z"].into_iter().enumerate() {
            let seen = Some(seen.parse().unwrap());
            t.db.insert(NewPerson { seen, age: Some(10 * i as i32 + 7), ..person(&format!("p{i}")) }).await?;
        }
        let by_month = t.db.group_by::<Person, _>(|p| (p.seen.year(), p.seen.month())).select(|_| count()).await?;
        assert_eq!(by_month, [((2001, 1), 1), ((2001, 2), 1), ((2002, 2), 1)]);
        let by_age = t.db.group_by::<Person, _>(|p| p.age.bin(20)).select(|_| count()).await?;
        assert_eq!(by_age, [(Some(0), 2), (Some(20), 1)]);
        let by_letter = t.db.group_by::<Person, _>(|p| p.name.expr().upper().substr(0, 1)).select(|p| (p.age.expr() + 1).sum()).await?;
        assert_eq!(by_letter, [(s("P"), 54)]);
    }

    async fn days_begin_at_midnight_of_the_time_zone(t) {
        for (i, seen) in ["2001-01-31T22:30:00Z", "2001-01-31T23:30:00Z"].into_iter().enumerate() {
            t.db.insert(NewPerson { seen: Some(seen.parse().unwrap()), ..person(&format!("p{i}")) }).await?;
        }
        use forge::prelude::TimeUnit;
        let utc = t.db.group_by::<Person, _>(|p| p.seen.trunc(TimeUnit::Day)).select(|_| count()).await?;
        assert_eq!(utc, [("2001-01-31T00:00:00Z".parse().unwrap(), 2)]);
        let vienna = t.db.group_by::<Person, _>(|p| p.seen.in_zone("Europe/Vienna").trunc(TimeUnit::Day)).select(|_| count()).await?;
        assert_eq!(vienna, [("2001-01-30T23:00:00Z".parse().unwrap(), 1), ("2001-01-31T23:00:00Z".parse().unwrap(), 1)]);
    }
}
