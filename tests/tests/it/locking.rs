//! Versions: every change raises them, and a change of a loaded document finds out who was faster.

use bson::doc;
use forge::ErrorCode;
use forge::error::Details;
use forge_tests::conformance;
use forge_tests::orders::{Member, NewOrder, Order, OrderPatch, member, order};

conformance! {
    async fn versions_begin_at_one_and_every_change_raises_them(t) {
        let order = t.db.insert(order("1")).await?;
        assert_eq!(order.version, 1);
        assert_eq!(t.stored("orders").await?[0].get_i64("version")?, 1);
        assert_eq!(t.db.update::<Order>(order.id).set(|o| o.total, 5).await?.version, 2);
        assert_eq!(t.db.update::<Order>(order.id).await?.version, 2, "nothing was changed");
        t.db.update_many::<Order>().all().inc(|o| o.total, 1).await?;
        let patch = OrderPatch { total: Some(9), ..OrderPatch::default() };
        assert_eq!(t.db.update::<Order>(order.id).patch(patch).await?.version, 4);
        assert_eq!(t.db.update_many::<Order>().all().await?, 1);
        assert_eq!(t.db.get::<Order>(order.id).await?.unwrap().version, 4);
    }

    async fn a_change_of_a_loaded_document_finds_out_who_was_faster(t) {
        let loaded = t.db.insert(order("1")).await?;
        let changed = t.db.update::<Order>(loaded.id).if_unchanged(&loaded).set(|o| o.total, 1).await?;
        assert_eq!((changed.version, changed.total), (2, 1));
        for error in [
            t.db.update::<Order>(loaded.id).if_unchanged(&loaded).set(|o| o.total, 2).await.unwrap_err(),
            t.db.replace::<Order>(loaded.id, order("1")).if_unchanged(&loaded).await.unwrap_err(),
            t.db.delete::<Order>(loaded.id).if_unchanged(&loaded).await.unwrap_err(),
            t.db.save(&loaded).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), ErrorCode::Conflict, "{error:?}");
            let id = loaded.id.to_string();
            assert_eq!(error.details(), &Details::Version { model: "Order".into(), id: id.clone(), expected: 1, found: 2 });
            assert_eq!(error.message(), format!("the Order {id} was changed by somebody else: expected version 1, found 2"));
        }
        assert_eq!(t.db.get::<Order>(loaded.id).await?, Some(changed.clone()));
        assert_eq!(t.db.delete::<Order>(loaded.id).if_unchanged(&changed).await?.version, 2);
        let gone = t.db.update::<Order>(loaded.id).if_unchanged(&changed).set(|o| o.total, 2).await.unwrap_err();
        assert_eq!(gone.code(), ErrorCode::NotFound);
    }

    async fn one_of_many_writers_of_the_same_version_wins(t) {
        let loaded = t.db.insert(order("1")).await?;
        let write = async |n: i32| t.db.update::<Order>(loaded.id).if_unchanged(&loaded).set(|o| o.total, n).await;
        let answers = futures_util::future::join_all((0..8).map(write)).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "{answers:?}");
        assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|e| e.code() == ErrorCode::Conflict), "{answers:?}");
        assert_eq!(t.db.get::<Order>(loaded.id).await?.unwrap().version, 2);
    }

    async fn a_loaded_document_is_saved_as_it_is_now(t) {
        let mut loaded = t.db.insert(NewOrder { note: Some("n".into()), secret: Some("s".into()), ..order("1") }).await?;
        t.clock.advance(1_000);
        (loaded.total, loaded.note) = (7, None);
        let saved = t.db.save(&loaded).await?;
        assert_eq!((saved.total, saved.version, saved.updated_at), (7, 2, t.clock.now()));
        assert_eq!((saved.note.as_deref(), saved.secret.as_deref()), (None, Some("s")));
        assert_eq!(t.db.get::<Order>(loaded.id).await?, Some(saved.clone()));
        let stored = t.stored("orders").await?.remove(0);
        assert!(stored.get_datetime("createdAt")?.timestamp_millis() < t.clock.now().millis(), "{stored}");
        assert!(!stored.contains_key("note"), "{stored}");
        loaded = saved;
        loaded.total = -1;
        assert_eq!(t.db.save(&loaded).await.unwrap_err().code(), ErrorCode::Validation);
        loaded.total = 8;
        assert_eq!(t.db.save(&loaded).await?.version, 3);
    }

    async fn the_version_is_nobody_elses_to_change(t) {
        let loaded = t.db.insert(order("1")).await?;
        for update in [
            t.db.update::<Order>(loaded.id).set(|o| o.version, 9),
            t.db.update::<Order>(loaded.id).inc(|o| o.version, 9),
        ] {
            assert_eq!(update.await.unwrap_err().code(), ErrorCode::BadRequest);
        }
        let other = t.db.insert(order("2")).await?;
        let error = t.db.update::<Order>(loaded.id).if_unchanged(&other).set(|o| o.total, 1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        for field in ["version", "createdAt", "updated_at", "updatedAt", "reviewed", "secret", "id", "_id", "$set", "items.0.qty"] {
            let patch = format!(r#"{{"{field}": 1}}"#);
            assert!(serde_json::from_str::<OrderPatch>(&patch).is_err(), "{field} in a patch");
            let new = format!(r#"{{"number": "3", "total": 1, "{field}": 1}}"#);
            assert!(serde_json::from_str::<NewOrder>(&new).is_err() || field == "id", "{field} in a new order");
        }
    }

    async fn documents_from_before_there_was_a_version_have_none(t) {
        t.seed("members", [doc! { "_id": 1_i64, "name": "old" }]).await?;
        let update = doc! { "$set": { "createdAt": bson::DateTime::from_millis(0), "updatedAt": bson::DateTime::from_millis(0) } };
        t.send("members", forge_mongo::Command::Update { filter: doc! {}, update: update.into(), many: true, upsert: false }).await?;
        let old = t.db.get::<Member>(1).await?.unwrap();
        assert_eq!(old.version, 0);
        let changed = t.db.update::<Member>(1).if_unchanged(&old).set(|m| m.name, "new").await?;
        assert_eq!(changed.version, 1);
        let error = t.db.update::<Member>(1).if_unchanged(&old).set(|m| m.name, "newer").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Conflict);
    }

    async fn soft_deletes_and_restores_are_changes_too(t) {
        let member = t.db.insert(member(1)).await?;
        assert_eq!(member.version, 1);
        assert_eq!(t.db.delete::<Member>(1).await?.version, 2);
        assert_eq!(t.db.restore::<Member>(1).await?.version, 3);
    }

    async fn a_condition_that_fails_is_no_conflict(t) {
        let loaded = t.db.insert(order("1")).await?;
        let error = t.db.update::<Order>(loaded.id).if_unchanged(&loaded).filter(|o| o.total.gt(5)).set(|o| o.total, 1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound, "{error:?}");
    }
}
