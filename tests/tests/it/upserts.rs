//! Writes that find or make their document: upserts, replacements, the first of several, restored ones.

use bson::doc;
use forge::error::Details;
use forge::{ErrorCode, Result};
use forge_tests::courses::{NewTag, Tag};
use forge_tests::models::{Book, NewBook, NewPublisher, Person, person};
use forge_tests::orders::{NewOrder, NewTown, Order, Town, line, order};
use forge_tests::{Fixture, conformance};

async fn book(t: &Fixture, year: i32) -> Result<Book> {
    let publisher_id = "P".to_owned();
    t.db.insert(NewBook {
        id: None,
        title: format!("B{year}"),
        year,
        price: None,
        author_id: None,
        publisher_id,
    })
    .await
}

conformance! {
    async fn deleted_documents_are_passed_over_unless_asked_for(t) {
        let tag = |name: &str| NewTag { id: 1, name: name.into(), weight: None };
        t.db.insert(tag("old")).await?;
        t.db.delete::<Tag>(1).await?;
        let error = t.db.upsert(tag("new")).by(|t| t.id).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UniqueViolation, "{error}");
        let changed = t.db.upsert(tag("new")).by(|t| t.id).overwrite().with_deleted().await?;
        assert_eq!((changed.inserted, changed.document.name.as_str()), (false, "new"));
        assert_eq!(t.db.find::<Tag>().count().await?, 0, "it stays deleted");
        assert_eq!(t.db.find::<Tag>().with_deleted().one().await?.name, "new");
    }

    async fn an_upsert_inserts_and_then_changes(t) {
        t.push().await?;
        let first = t.db.upsert(NewOrder { total: 5, note: Some("n".into()), ..order("1") }).by(|o| o.number).inc(|o| o.total, 3).await?;
        assert!(first.inserted);
        let new = &first.document;
        assert_eq!((new.total, new.version, new.note.as_deref()), (3, 1, Some("n")), "the change stands for the value");
        t.clock.advance(1_000);
        let second = t.db.upsert(NewOrder { total: 5, note: Some("other".into()), ..order("1") }).by(|o| o.number).inc(|o| o.total, 3).await?;
        assert!(!second.inserted);
        let old = &second.document;
        assert_eq!((old.total, old.version, old.note.as_deref(), old.id), (6, 2, Some("n"), new.id));
        assert_eq!(old.updated_at, t.clock.now());
        let stored = t.stored("orders").await?;
        assert_eq!(stored.len(), 1);
        assert!(stored[0].get_datetime("createdAt")?.timestamp_millis() < t.clock.now().millis());
    }

    async fn an_upsert_without_changes_leaves_what_is_there(t) {
        t.push().await?;
        let first = t.db.upsert(NewOrder { total: 5, ..order("1") }).by(|o| o.number).await?;
        t.clock.advance(1_000);
        let second = t.db.upsert(NewOrder { total: 6, ..order("1") }).by(|o| o.number).await?;
        assert_eq!((first.inserted, second.inserted), (true, false));
        assert_eq!(second.document, first.document);
    }

    async fn an_upsert_overwrites_where_it_is_told_to(t) {
        t.push().await?;
        let first = t.db.insert(NewOrder { total: 5, note: Some("n".into()), flags: Some(3), ..order("1") }).await?;
        t.clock.advance(1_000);
        let new = NewOrder { total: 6, items: Some(vec![line("a", 1)]), ..order("1") };
        let second = t.db.upsert(new).by(|o| o.number).overwrite().bit_or(|o| o.flags, 4).await?;
        let order = second.document;
        assert!(!second.inserted);
        assert_eq!((order.id, order.total, order.items.len(), order.flags, order.version), (first.id, 6, 1, 7, 2));
        assert_eq!(order.note.as_deref(), Some("n"), "what the new one does not say stays");
    }

    async fn paths_of_changes_and_new_values_never_collide(t) {
        let new = || NewOrder {
            items: Some(vec![line("a", 1)]),
            parcel: Some(forge_tests::orders::Parcel { weight: 1.0, labels: vec!["x".into()] }),
            ..order("1")
        };
        let upsert = || t.db.upsert(new()).by(|o| o.number)
            .set(|o| o.parcel.weight, 2.0)
            .push(|o| o.items, line("b", 2))
            .set(|o| o.note, "n")
            .rename(|o| o.secret, |o| o.remark);
        let first = upsert().await?;
        let parcel = first.document.parcel.unwrap();
        assert_eq!((first.inserted, parcel.weight, parcel.labels.len(), first.document.items.len()), (true, 2.0, 1, 1));
        let second = upsert().await?;
        assert_eq!((second.inserted, second.document.items.len()), (false, 2));
    }

    async fn an_upsert_by_id_and_by_condition(t) {
        let town = || t.db.upsert(NewTown { code: "PDX".into() });
        assert!(town().await?.inserted);
        assert!(!town().await?.inserted);
        assert_eq!(t.db.find::<Town>().count().await?, 1);
        let error = t.db.upsert(order("1")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert!(error.message().contains(".by("), "{error}");
        let error = t.db.upsert(order("1")).by(|o| o.note).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "it has no note: {error}");
        t.db.insert(NewOrder { total: 9, ..order("1") }).await?;
        let found = t.db.upsert(order("2")).filter(|o| o.total.gt(5)).set(|o| o.note, "found").await?;
        assert_eq!((found.inserted, found.document.number.as_str()), (false, "1"));
        let made = t.db.upsert(order("2")).filter(|o| o.total.gt(50)).set(|o| o.note, "made").await?;
        assert_eq!((made.inserted, made.document.number.as_str(), made.document.total), (true, "2", 0));
    }

    async fn upserts_of_one_key_at_the_same_time_all_succeed(t) {
        t.push().await?;
        let hit = async |_| t.db.upsert(order("1")).by(|o| o.number).inc(|o| o.total, 1).await;
        let answers = futures_util::future::join_all((0..16).map(hit)).await;
        // A stand-in server may leave open what became of one that lost the race; MongoDB and the embedded engine do not.
        let open = answers.iter().filter_map(|answer| answer.as_ref().err());
        let open = open.inspect(|error| assert_eq!((error.code(), t.stand_in), (ErrorCode::Conflict, true), "{error}"));
        let made = 16 - open.count();
        let total = usize::try_from(t.db.find::<Order>().one().await?.total).unwrap();
        assert!((made..=16).contains(&total), "{made} of 16 were made, and {total} count");
        assert!(answers.iter().flatten().filter(|done| done.inserted).count() <= 1);
    }

    async fn an_upsert_keeps_the_rules(t) {
        t.push().await?;
        t.db.insert(order("1")).await?;
        let error = t.db.upsert(NewOrder { total: -1, ..order("2") }).by(|o| o.number).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        let error = t.db.upsert(order("2")).by(|o| o.number).set(|o| o.total, -1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        let error = t.db.upsert(order("1")).filter(|o| o.total.gt(50)).await.unwrap_err();
        assert!(matches!(error.details(), Details::Unique { fields, .. } if fields == &["number"]), "{error:?}");
    }

    async fn a_replacement_leaves_nothing_of_the_old_state_but_what_forge_keeps(t) {
        let old = t.db.insert(NewOrder { note: Some("n".into()), flags: Some(9), ..order("1") }).await?;
        let update = doc! { "$set": { "legacy": true } }.into();
        t.send("orders", forge_mongo::Command::Update { filter: doc! {}, update, many: true, upsert: false }).await?;
        let created = t.stored("orders").await?[0].get_datetime("createdAt")?.to_owned();
        t.clock.advance(1_000);
        let new = t.db.replace::<Order>(old.id, NewOrder { total: 4, ..order("2") }).await?;
        assert_eq!((new.id, new.number.as_str(), new.total, new.note.as_deref(), new.flags), (old.id, "2", 4, None, 0));
        assert_eq!((new.version, new.updated_at), (2, t.clock.now()));
        let stored = t.stored("orders").await?.remove(0);
        assert_eq!(stored.get_datetime("createdAt")?, &created);
        assert!(!stored.contains_key("legacy") && !stored.contains_key("note"), "{stored}");
        assert_eq!(stored.keys().next().unwrap(), "_id");
        assert_eq!(t.db.get::<Order>(old.id).await?, Some(new));
    }

    async fn a_replacement_needs_its_document_and_keeps_its_id(t) {
        let nobody = forge::Id::from_object_id(bson::oid::ObjectId::from_bytes([9; 12]));
        let error = t.db.replace::<Order>(nobody, order("1")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        t.db.insert(NewTown { code: "PDX".into() }).await?;
        let error = t.db.replace::<Town>("PDX", NewTown { code: "SFO".into() }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
        assert_eq!(t.db.replace::<Town>("PDX", NewTown { code: "PDX".into() }).await?.code, "PDX");
        let ann = t.db.insert(person("Ann")).await?;
        let error = t.db.replace::<Person>(ann.id, forge_tests::models::NewPerson { age: Some(-1), ..person("Bob") }).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        let error = t.db.replace::<Person>(ann.id, person("Bob")).filter(|p| p.age.gt(5)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        assert_eq!(t.db.get::<Person>(ann.id).await?, Some(ann));
    }

    async fn the_first_of_several_is_changed(t) {
        for (number, total) in [("1", 5), ("2", 1), ("3", 9)] {
            t.db.insert(NewOrder { total, ..order(number) }).await?;
        }
        let claim = || t.db.update_first::<Order>().filter(|o| o.note.is_null()).sort(|o| o.total.desc()).set(|o| o.note, "taken");
        let mut taken = Vec::new();
        while let Some(order) = claim().await? {
            taken.push((order.total, order.note.is_some()));
        }
        assert_eq!(taken, [(9, true), (5, true), (1, true)]);
        let before = t.db.update_first::<Order>().sort(|o| o.number.asc()).unset(|o| o.note).before().await?.unwrap();
        assert_eq!((before.number.as_str(), before.note.as_deref()), ("1", Some("taken")));
        assert_eq!(t.db.find::<Order>().filter(|o| o.note.is_null()).one().await?.number, "1");
    }

    async fn an_update_answers_with_the_state_asked_for(t) {
        let order = t.db.insert(order("1")).await?;
        assert_eq!(t.db.update::<Order>(order.id).set(|o| o.total, 5).before().await?, order);
        assert_eq!(t.db.update::<Order>(order.id).inc(|o| o.total, 1).await?.total, 6);
    }

    async fn deleted_documents_come_back(t) {
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        let (a, b) = (book(t, 1990).await?, book(t, 1991).await?);
        t.db.delete_many::<Book>().all().await?;
        t.clock.advance(1_000);
        let back = t.db.restore::<Book>(a.id).await?;
        assert_eq!((back.id, back.deleted_at, back.updated_at), (a.id, None, t.clock.now()));
        assert_eq!(t.db.find::<Book>().count().await?, 1);
        let error = t.db.restore::<Book>(a.id).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound, "it is not deleted");
        assert_eq!(t.db.restore_many::<Book>().await.unwrap_err().code(), ErrorCode::BadRequest);
        assert_eq!(t.db.restore_many::<Book>().filter(|b| b.year.gt(1990)).await?, 1);
        assert_eq!(t.db.get::<Book>(b.id).await?.unwrap().deleted_at, None);
        let error = t.db.restore::<Town>("PDX").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert!(error.message().contains("soft_delete"), "{error}");
    }

    async fn updates_reach_deleted_documents_only_where_told_to(t) {
        t.db.insert(NewPublisher { name: "P".into(), city: None }).await?;
        let deleted = book(t, 1990).await?;
        t.db.delete::<Book>(deleted.id).await?;
        assert_eq!(t.db.update::<Book>(deleted.id).set(|b| b.year, 1).await.unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(t.db.update::<Book>(deleted.id).with_deleted().set(|b| b.year, 1).await?.year, 1);
        assert_eq!(t.db.update_many::<Book>().all().inc(|b| b.year, 1).await?, 0);
        assert_eq!(t.db.update_many::<Book>().all().with_deleted().inc(|b| b.year, 1).await?, 1);
    }

    async fn everything_must_be_asked_for_by_name_however_it_is_said(t) {
        t.db.insert(order("1")).await?;
        let none: [i32; 0] = [];
        type Condition = fn(&'static <Order as forge::Model>::Fields) -> forge::query::Filter<Order>;
        let conditions: [Condition; 5] = [
            |_| forge::query::Filter::all([]),
            |_| !forge::query::Filter::any([]),
            |_| forge::query::Filter::everything(),
            |o| o.total.not_in([0; 0]),
            |o| o.total.not_in([0; 0]) | o.total.eq(77),
        ];
        for condition in conditions {
            let refused = [
                t.db.update_many::<Order>().filter(condition).set(|o| o.total, 1).await.map(|_| ()),
                t.db.delete_many::<Order>().filter(condition).await.map(|_| ()),
                t.db.delete_many::<Order>().filter(condition).dry_run().await.map(|_| ()),
            ];
            for refused in refused {
                let error = refused.unwrap_err();
                assert_eq!(error.code(), ErrorCode::BadRequest);
                assert!(error.message().contains(".all()"), "{error}");
            }
        }
        assert_eq!(t.db.delete_many::<Order>().filter(|o| o.total.is_in(none)).await?, 0);
        assert_eq!(t.db.find::<Order>().count().await?, 1);
    }
}
