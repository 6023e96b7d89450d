//! Changes of every kind, as builders say them and as documents have them afterwards.

use bson::{Bson, bson, doc};
use forge::ir::End;
use forge::query::expr::{lit, object, root};
use forge::{DateTime, ErrorCode};
use forge_tests::orders::{NewOrder, Order, Parcel, Part, line, order};
use forge_tests::{Fixture, Result, conformance};

async fn lines(t: &Fixture) -> Result<Order> {
    let mut items = vec![line("a", 1), line("b", 6), line("c", 9)];
    items[1].parts = vec![Part { name: "x".into(), count: 1 }, Part { name: "y".into(), count: 2 }];
    items[2].parts = vec![Part { name: "x".into(), count: 3 }];
    items[2].marks = vec![1, 2, 3];
    t.db.insert(NewOrder { items: Some(items), scores: Some(vec![5, 1, 8]), ..order("1") }).await
}

fn quantities(order: &Order) -> Vec<i32> {
    order.items.iter().map(|item| item.qty).collect()
}

conformance! {
    async fn bits_are_set_kept_and_turned(t) {
        let order = t.db.insert(NewOrder { flags: Some(0b1010), ..order("1") }).await?;
        assert_eq!(t.db.update::<Order>(order.id).bit_or(|o| o.flags, 0b0101).await?.flags, 0b1111);
        assert_eq!(t.db.update::<Order>(order.id).bit_and(|o| o.flags, 0b0110).await?.flags, 0b0110);
        assert_eq!(t.db.update::<Order>(order.id).bit_xor(|o| o.flags, 0b1100).await?.flags, 0b1010);
    }

    async fn a_field_is_moved(t) {
        let order = t.db.insert(NewOrder { note: Some("n".into()), remark: Some("r".into()), ..order("1") }).await?;
        let moved = t.db.update::<Order>(order.id).rename(|o| o.note, |o| o.remark).await?;
        assert_eq!((moved.note, moved.remark.as_deref()), (None, Some("n")));
        let same = t.db.update::<Order>(order.id).rename(|o| o.note, |o| o.remark).await?;
        assert_eq!(same.remark.as_deref(), Some("n"), "nothing is there to move");
        let update = doc! { "$set": { "oldNote": "o" } }.into();
        t.send("orders", forge_mongo::Command::Update { filter: doc! {}, update, many: true, upsert: false }).await?;
        let moved = t.db.update::<Order>(order.id).rename_from("oldNote", |o| o.note).await?;
        assert_eq!(moved.note.as_deref(), Some("o"));
    }

    async fn a_moment_is_the_databases_own(t) {
        let order = t.db.insert(order("1")).await?;
        let paid = t.db.update::<Order>(order.id).current_date(|o| o.paid).await?.paid.unwrap();
        assert!((paid.millis() - t.clock.now().millis()).abs() < 3_600_000, "{paid}");
    }

    async fn a_list_grows_in_order_and_is_cut(t) {
        let order = lines(t).await?;
        let scores = async |t: &Fixture| Ok::<_, forge::Error>(t.db.get::<Order>(order.id).await?.unwrap().scores);
        t.db.update::<Order>(order.id).push_with(|o| o.scores, [9, 2], |push| push.descending().slice(3)).await?;
        assert_eq!(scores(t).await?, [9, 8, 5]);
        t.db.update::<Order>(order.id).push_with(|o| o.scores, [7], |push| push.position(0)).await?;
        assert_eq!(scores(t).await?, [7, 9, 8, 5]);
        t.db.update::<Order>(order.id).push_with(|o| o.scores, [6], |push| push.position(-1).slice(-3)).await?;
        assert_eq!(scores(t).await?, [8, 6, 5]);
        let sorted = t.db.update::<Order>(order.id)
            .push_with(|o| o.items, [line("d", 7)], |push| push.sort(|item| item.qty.desc()).slice(2))
            .await?;
        assert_eq!(quantities(&sorted), [9, 7]);
        let none: [i32; 0] = [];
        t.db.update::<Order>(order.id).push_with(|o| o.scores, none, forge::query::Push::ascending).await?;
        assert_eq!(scores(t).await?, [5, 6, 8]);
    }

    async fn lists_of_embeds_take_whole_embeds(t) {
        let order = lines(t).await?;
        let grown = t.db.update::<Order>(order.id).push(|o| o.items, line("d", 2)).await?;
        assert_eq!(quantities(&grown), [1, 6, 9, 2]);
        let same = t.db.update::<Order>(order.id).add_to_set(|o| o.items, line("d", 2)).await?;
        assert_eq!(same.items.len(), 4);
        let shorter = t.db.update::<Order>(order.id).pull(|o| o.items, line("d", 2)).pop(|o| o.scores, End::First).await?;
        assert_eq!((quantities(&shorter), shorter.scores), (vec![1, 6, 9], vec![1, 8]));
        let set = t.db.update::<Order>(order.id).set(|o| o.items, vec![line("z", 0)]).await?;
        assert_eq!(quantities(&set), [0]);
    }

    async fn lists_take_and_lose_several_elements_at_once(t) {
        let order = lines(t).await?;
        let update = || t.db.update::<Order>(order.id);
        assert_eq!(update().push_all(|o| o.scores, [8, 8, 2]).await?.scores, [5, 1, 8, 8, 8, 2]);
        assert_eq!(update().add_all_to_set(|o| o.scores, [2, 3, 3, 5, 4]).await?.scores, [5, 1, 8, 8, 8, 2, 3, 4]);
        assert_eq!(update().pull_all(|o| o.scores, [8, 7, 5]).await?.scores, [1, 2, 3, 4]);
        let none: [i32; 0] = [];
        let same = update().push_all(|o| o.scores, none).add_all_to_set(|o| o.items, []).await?;
        assert_eq!((same.scores, same.items.len()), (vec![1, 2, 3, 4], 3));
        assert_eq!(update().pull_all(|o| o.scores, none).await?.scores, [1, 2, 3, 4]);
        let grown = update().push_all(|o| o.items, [line("d", 2), line("e", 3)]).await?;
        assert_eq!(quantities(&grown), [1, 6, 9, 2, 3]);
        let grown = update().add_all_to_set(|o| o.items, [line("d", 2), line("f", 4)]).await?;
        assert_eq!(quantities(&grown), [1, 6, 9, 2, 3, 4]);
        let shorter = update().pull_all(|o| o.items, [line("a", 1), line("e", 3), line("f", 5)]).await?;
        assert_eq!(quantities(&shorter), [6, 9, 2, 4]);
    }

    async fn elements_go_by_condition(t) {
        let order = lines(t).await?;
        let left = t.db.update::<Order>(order.id).pull_where(|o| o.items, |item| item.qty.gt(5) & item.sku.ne("c")).await?;
        assert_eq!(quantities(&left), [1, 9]);
        let left = t.db.update::<Order>(order.id).pull_where(|o| o.scores, |score| score.gte(5)).await?;
        assert_eq!(left.scores, [1]);
        let left = t.db.update::<Order>(order.id).pull_where(|o| o.items, |item| item.parts.some(|p| p.count.eq(3))).await?;
        assert_eq!(quantities(&left), [1]);
        let left = t.db.update::<Order>(order.id).pull_where(|o| o.scores, |score| score.is_in([1, 2])).await?;
        assert_eq!(left.scores, [0; 0]);
    }

    async fn elements_that_match_are_changed_where_they_are(t) {
        let order = lines(t).await?;
        let changed = t.db.update::<Order>(order.id)
            .each(|o| o.items, |item| item.filter(|i| i.qty.gt(5)).set(|i| i.sku, "big").inc(|i| i.qty, 10))
            .each(|o| o.items, |item| item.filter(|i| i.sku.eq("a")).set(|i| i.qty, 0))
            .each_value(|o| o.scores, |score| score.filter(|s| s.lt(6)).set(6))
            .await?;
        assert_eq!(changed.items.iter().map(|i| (i.sku.as_str(), i.qty)).collect::<Vec<_>>(), [("a", 0), ("big", 16), ("big", 19)]);
        assert_eq!(changed.scores, [6, 6, 8]);
        let none = t.db.update::<Order>(order.id)
            .each(|o| o.items, |item| item.filter(|i| i.qty.gt(100)).set(|i| i.qty, 1))
            .await?;
        assert_eq!(quantities(&none), [0, 16, 19]);
    }

    async fn all_elements_and_elements_of_elements_are_changed(t) {
        let order = lines(t).await?;
        let changed = t.db.update::<Order>(order.id)
            .each(|o| o.items, |item| item.inc(|i| i.qty, 1))
            .each_value(|o| o.scores, |score| score.mul(2))
            .await?;
        assert_eq!((quantities(&changed), changed.scores), (vec![2, 7, 10], vec![10, 2, 16]));
        let bounded = t.db.update::<Order>(order.id)
            .each(|o| o.items, |item| item.min(|i| i.qty, 8).max(|i| i.sku, "b"))
            .each_value(|o| o.scores, |score| score.min(12))
            .await?;
        let items: Vec<_> = bounded.items.iter().map(|item| (item.sku.as_str(), item.qty)).collect();
        assert_eq!((items, bounded.scores), (vec![("b", 2), ("b", 7), ("c", 8)], vec![10, 2, 12]));
        let raised = t.db.update::<Order>(order.id).each_value(|o| o.scores, |score| score.max(5)).await?;
        assert_eq!(raised.scores, [10, 5, 12]);
        let changed = t.db.update::<Order>(order.id)
            .each(|o| o.items, |item| {
                item.filter(|i| i.qty.gte(7))
                    .each(|i| i.parts, |part| part.filter(|p| p.name.eq("x")).inc(|p| p.count, 100))
                    .each_value(|i| i.marks, |mark| mark.filter(|m| m.gt(1)).set(0))
            })
            .await?;
        let counts: Vec<Vec<i32>> = changed.items.iter().map(|i| i.parts.iter().map(|p| p.count).collect()).collect();
        assert_eq!(counts, [vec![], vec![101, 2], vec![103]]);
        assert_eq!(changed.items[2].marks, [1, 0, 0]);
    }

    async fn many_documents_change_their_elements_at_once(t) {
        lines(t).await?;
        t.db.insert(NewOrder { items: Some(vec![line("q", 50)]), ..order("2") }).await?;
        let matched = t.db.update_many::<Order>().all()
            .each(|o| o.items, |item| item.filter(|i| i.qty.gt(5)).set(|i| i.qty, 5))
            .await?;
        assert_eq!(matched, 2);
        let orders = t.db.find::<Order>().sort(|o| o.number.asc()).await?;
        assert_eq!(orders.iter().map(quantities).collect::<Vec<_>>(), [vec![1, 5, 5], vec![5]]);
    }

    async fn fields_of_embeds_are_set_alone_and_whole(t) {
        let parcel = Parcel { weight: 1.5, labels: vec!["a".into()] };
        let order = t.db.insert(NewOrder { parcel: Some(parcel), ..order("1") }).await?;
        let changed = t.db.update::<Order>(order.id).set(|o| o.parcel.weight, 2.5).push(|o| o.parcel.labels, "b").await?;
        assert_eq!(changed.parcel, Some(Parcel { weight: 2.5, labels: vec!["a".into(), "b".into()] }));
        let whole = Parcel { weight: 0.0, labels: vec![] };
        assert_eq!(t.db.update::<Order>(order.id).set(|o| o.parcel, whole.clone()).await?.parcel, Some(whole));
        assert_eq!(t.db.update::<Order>(order.id).unset(|o| o.parcel).await?.parcel, None);
    }

    async fn changes_that_touch_are_refused_before_they_are_sent(t) {
        let order = lines(t).await?;
        t.driver.take();
        let update = || t.db.update::<Order>(order.id);
        for (update, names) in [
            (update().set(|o| o.total, 1).inc(|o| o.total, 1), ["\"total\"", "twice"]),
            (update().set(|o| o.parcel.weight, 1.0).unset(|o| o.parcel), ["\"parcel\"", "\"parcel.weight\""]),
            (update().rename(|o| o.note, |o| o.remark).set(|o| o.remark, "r"), ["\"remark\"", "twice"]),
            (update().push(|o| o.items, line("z", 1)).each(|o| o.items, |i| i.set(|i| i.qty, 1)), ["\"items\"", "\"items.$[].qty\""]),
        ] {
            let error = update.await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadRequest, "{error:?}");
            assert!(error.message().contains("path collision"), "{error}");
            assert!(names.iter().all(|name| error.message().contains(name)), "{error}");
        }
        assert_eq!(t.driver.on("orders"), 0);
        let twice = update()
            .each(|o| o.items, |i| i.filter(|i| i.qty.gt(1)).set(|i| i.qty, 1))
            .each(|o| o.items, |i| i.filter(|i| i.qty.gt(2)).set(|i| i.qty, 2));
        if t.stand_in {
            // It does not notice.
            return Ok(());
        }
        let error = twice.await.unwrap_err();
        assert_ne!(error.code(), ErrorCode::Internal, "one element is changed twice: {error:?}");
        assert_eq!(quantities(&t.db.get::<Order>(order.id).await?.unwrap()), [1, 6, 9]);
    }

    async fn values_that_are_set_keep_the_rules_of_the_model(t) {
        let order = t.db.insert(order("1")).await?;
        let error = t.db.update::<Order>(order.id).set(|o| o.total, -1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        assert_eq!(error.messages().unwrap().keys().collect::<Vec<_>>(), ["total"]);
        let error = t.db.update_many::<Order>().all().set(|o| o.total, 2_000_000).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        let uncivil = t.db.update::<Order>(order.id).set(|o| o.remark, "now!").await.unwrap_err();
        assert_eq!(uncivil.messages().unwrap().keys().collect::<Vec<_>>(), ["remark"], "a rule of the program");
        assert_eq!(t.db.get::<Order>(order.id).await?, Some(order));
    }

    async fn stages_compute_the_new_state(t) {
        let first = lines(t).await?;
        t.clock.advance(1_000);
        let changed = t.db.update::<Order>(first.id)
            .update_with(|u| {
                u.raw(doc! { "$set": { "total": { "$add": ["$flags", 16] }, "note": { "$concat": ["no. ", "$number"] } } })
                    .set(|o| o.flags, |o| o.total + 1)
                    .unset(|o| o.remark)
                    .raw(doc! { "$unset": "scores" })
                    .set(|o| o.scores, |_| vec![1])
            })
            .await?;
        assert_eq!((changed.total, changed.flags, changed.note.as_deref()), (16, 17, Some("no. 1")));
        assert_eq!((changed.scores, changed.version, changed.updated_at), (vec![1], 2, t.clock.now()));
        let matched = t.db.update_many::<Order>().filter(|o| o.total.gt(5)).update_with(|u| u.set(|o| o.total, |_| 3)).await?;
        assert_eq!(matched, 1);
        let error = t.db.update_many::<Order>().all().update_with(|u| u.raw(doc! { "$match": {} })).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert!(error.message().contains("$replaceWith"), "{error}");
        let both = t.db.update::<Order>(first.id).set(|o| o.total, 1).update_with(|u| u.set(|o| o.flags, |_| 1));
        assert_eq!(both.await.unwrap_err().code(), ErrorCode::BadRequest);
    }

    async fn a_computed_document_takes_the_place_of_the_one_before(t) {
        let before = t.db.insert(NewOrder { note: Some("n".into()), flags: Some(2), ..order("1") }).await?;
        let changed = t.db.update::<Order>(before.id)
            .update_with(|u| u.replace_with(|o| {
                root::<Order>().merge(object([(o.flags + 5).named("total"), lit(true).named("reviewed")]))
            }))
            .await?;
        assert_eq!((changed.total, changed.flags, changed.reviewed, changed.note.as_deref()), (7, 2, true, Some("n")));
        assert_eq!((changed.id, changed.version), (before.id, before.version + 1));
        let replace = |u: forge::query::Stages<Order>| u.replace_with(|_| object([lit("2".to_owned()).named("number")])).set(|o| o.total, |_| 1);
        let bare = t.db.update_many::<Order>().all().update_with(replace).await?;
        let stored = t.stored("orders").await?.remove(0);
        assert_eq!((bare, stored.get_str("number")?, stored.get_i32("total")?), (1, "2", 1));
        assert!(stored.contains_key("_id") && !stored.contains_key("note") && !stored.contains_key("flags"), "{stored}");
    }

    async fn a_stage_replaces_the_document_but_its_id(t) {
        t.seed("items", [doc! { "_id": 1, "a": { "b": 2 }, "c": 3 }]).await?;
        let replace = vec![doc! { "$replaceWith": { "$mergeObjects": ["$a", { "_id": "$_id", "d": "$c" }] } }];
        let update = forge_mongo::artifact::Modification::Pipeline(replace);
        t.send("items", forge_mongo::Command::Update { filter: doc! {}, update, many: true, upsert: false }).await?;
        assert_eq!(t.stored("items").await?, [doc! { "_id": 1, "b": 2, "d": 3 }]);
    }

    async fn dates_and_numbers_are_bounded(t) {
        let order = t.db.insert(order("1")).await?;
        let at = |millis| DateTime::from_millis(millis);
        let order = t.db.update::<Order>(order.id).max(|o| o.paid, at(5)).max(|o| o.total, 7).await?;
        assert_eq!((order.paid, order.total), (Some(at(5)), 7));
        let order = t.db.update::<Order>(order.id).min(|o| o.paid, at(2)).min(|o| o.total, 9).await?;
        assert_eq!((order.paid, order.total), (Some(at(2)), 7));
    }

    async fn elements_of_raw_documents_follow_mongodb(t) {
        t.seed("items", [doc! { "_id": 1, "v": [1, [2, 3], { "a": 1 }, "x"] }]).await?;
        let apply = async |operators: bson::Document, array_filters: Vec<bson::Document>| {
            let update = forge_mongo::artifact::Modification::Elements { operators, array_filters };
            t.send("items", forge_mongo::Command::Update { filter: doc! {}, update, many: false, upsert: false }).await?;
            Ok::<Bson, forge::Error>(t.stored("items").await?.remove(0).remove("v").unwrap())
        };
        let after = apply(doc! { "$set": { "v.$[e]": 0 } }, vec![doc! { "e": { "$type": "string" } }]).await;
        // Not every engine has `$type`.
        if let Ok(after) = after {
            assert_eq!(after, bson!([1, [2, 3], { "a": 1 }, 0]));
        }
        let after = apply(doc! { "$set": { "v.$[e].b": 2 } }, vec![doc! { "e.a": 1 }]).await?;
        assert_eq!(after.as_array().unwrap()[2], bson!({ "a": 1, "b": 2 }));
        let unknown = apply(doc! { "$set": { "v.$[f]": 2 } }, vec![doc! { "e": 1 }]).await;
        assert!(unknown.is_err());
    }
}
