//! Updates, operator by operator.

use bson::{Bson, DateTime, Document, bson, doc};
use forge::adapter::Exec;
use forge::ir::{Change, End, Filter, Operation, Outcome, Returning, Update};
use forge::model::ModelRef;
use forge::{ErrorCode, Model};
use forge_tests::models::{Address, Country, Item, NewPerson, Person, PersonPatch, person};
use forge_tests::{Fixture, Result, conformance};

async fn apply(t: &Fixture, filter: Filter, changes: Vec<Change>, many: bool) -> Result<Outcome> {
    let returning = if many { Returning::Nothing } else { Returning::After };
    let model = ModelRef(Item::def());
    let update = Update { changes, many, returning, ..Update::new(model, filter) };
    t.adapter.execute(&Exec::default(), Operation::Update(update)).await
}

/// `change` turns `before` into `after`.
async fn check(t: &Fixture, before: Bson, change: Change, after: Option<Bson>) -> Result<()> {
    let shown = format!("{change:?} on {before}");
    let mut document = doc! { "_id": 1 };
    if before != Bson::Undefined {
        document.insert("v", before);
    }
    t.seed("items", [document]).await?;
    let outcome = apply(t, Filter::eq("_id", 1), vec![change], false).await?;
    let Outcome::Written { matched: 1, document: Some(answer), .. } = outcome else {
        panic!("{shown}: {outcome:?}")
    };
    let stored = t.stored("items").await?.remove(0);
    assert_eq!(Document::try_from(&answer)?, stored, "{shown}: the answer is the state after");
    assert_eq!(stored.get("v").cloned(), after, "{shown}");
    let delete = forge_mongo::Command::Delete { filter: doc! {}, many: true };
    t.send("items", delete).await?;
    Ok(())
}

fn v() -> std::borrow::Cow<'static, str> {
    "v".into()
}

fn home() -> Address {
    Address { city: "Here".into(), zip: Some("1".into()), country: Country { code: "DE".into() } }
}

/// No value at all.
const MISSING: Bson = Bson::Undefined;

async fn ann(t: &Fixture) -> Result<Person> {
    t.db.insert(NewPerson { age: Some(20), tags: Some(vec!["a".into(), "b".into()]), ..person("Ann") }).await
}

conformance! {
    async fn what_is_set_to_none_is_not_stored(t) {
        let people = [("Ann", "a"), ("Bob", "b")];
        for (name, nickname) in people {
            t.db.insert(NewPerson { nickname: Some(nickname.into()), address: Some(home()), ..person(name) }).await?;
        }
        // Null would be a value of the unique index, which only one may have.
        let all = t.db.update_many::<Person>().all();
        let changed = all.set(|p| p.nickname, None::<String>).set(|p| p.address.zip, None::<String>).await?;
        assert_eq!(changed, 2);
        for stored in t.stored("people").await? {
            assert!(!stored.contains_key("nickname"), "{stored}");
            assert_eq!(stored.get_document("address")?, &doc! { "city": "Here", "country": { "code": "DE" } });
        }
        let cid = NewPerson { nickname: Some("c".into()), ..person("Cid") };
        t.db.insert(cid.clone()).await?;
        let cid = t.db.upsert(cid).by(|p| p.email).set(|p| p.nickname, None::<String>).await?;
        assert_eq!(cid.document.nickname, None);
    }

    async fn numbers_are_raised_multiplied_and_bounded(t) {
        for (before, change, after) in [
            (bson!(1), Change::Inc(v(), 2.into()), bson!(3)),
            (MISSING, Change::Inc(v(), 2.into()), bson!(2)),
            (bson!(1), Change::Inc(v(), bson!(0.5)), bson!(1.5)),
            (Bson::Int64(1), Change::Inc(v(), 2.into()), Bson::Int64(3)),
            (bson!(i32::MAX), Change::Inc(v(), 1.into()), Bson::Int64(i64::from(i32::MAX) + 1)),
            (bson!(3), Change::Mul(v(), 2.into()), bson!(6)),
            (MISSING, Change::Mul(v(), 2.into()), bson!(0)),
            (bson!(3), Change::Mul(v(), bson!(0.5)), bson!(1.5)),
            (bson!(5), Change::Min(v(), 3.into()), bson!(3)),
            (bson!(5), Change::Min(v(), 7.into()), bson!(5)),
            (MISSING, Change::Min(v(), 7.into()), bson!(7)),
            (bson!(5), Change::Max(v(), 7.into()), bson!(7)),
            (bson!(5), Change::Max(v(), 3.into()), bson!(5)),
            (MISSING, Change::Max(v(), 3.into()), bson!(3)),
            (bson!("a"), Change::Max(v(), "b".into()), bson!("b")),
            (bson!(5), Change::Max(v(), "b".into()), bson!("b")),
            (bson!(DateTime::from_millis(5)), Change::Max(v(), DateTime::from_millis(9).into()), bson!(DateTime::from_millis(9))),
        ] {
            check(t, before, change, Some(after)).await?;
        }
    }

    async fn values_are_set_and_removed(t) {
        check(t, bson!(1), Change::Set(v(), "x".into()), Some(bson!("x"))).await?;
        check(t, MISSING, Change::Set(v(), Bson::Null), Some(Bson::Null)).await?;
        check(t, MISSING, Change::Set("v.a.b".into(), 1.into()), Some(bson!({ "a": { "b": 1 } }))).await?;
        check(t, bson!({ "a": 1 }), Change::Set("v.b".into(), 2.into()), Some(bson!({ "a": 1, "b": 2 }))).await?;
        check(t, bson!([1, 2, 3]), Change::Set("v.1".into(), 9.into()), Some(bson!([1, 9, 3]))).await?;
        check(t, bson!(1), Change::Unset(v()), None).await?;
        check(t, MISSING, Change::Unset(v()), None).await?;
        check(t, bson!({ "a": 1, "b": 2 }), Change::Unset("v.a".into()), Some(bson!({ "b": 2 }))).await?;
    }

    async fn lists_grow_and_shrink(t) {
        let each = |values: &[i32]| values.iter().map(|n| Bson::Int32(*n)).collect::<Vec<_>>();
        for (before, change, after) in [
            (bson!([1]), Change::Push(v(), each(&[2, 1])), bson!([1, 2, 1])),
            (MISSING, Change::Push(v(), each(&[2])), bson!([2])),
            (bson!([1]), Change::Push(v(), each(&[])), bson!([1])),
            (bson!([1]), Change::AddToSet(v(), each(&[1, 2, 2])), bson!([1, 2])),
            (bson!([1.0]), Change::AddToSet(v(), each(&[1])), bson!([1.0])),
            (MISSING, Change::AddToSet(v(), each(&[1])), bson!([1])),
            (bson!([1, 2, 1, 3]), Change::Pull(v(), each(&[1, 3])), bson!([2])),
            (bson!([1, 2]), Change::Pull(v(), each(&[9])), bson!([1, 2])),
            (bson!([1, 2, 3]), Change::Pop(v(), End::Last), bson!([1, 2])),
            (bson!([1, 2, 3]), Change::Pop(v(), End::First), bson!([2, 3])),
            (bson!([]), Change::Pop(v(), End::First), bson!([])),
        ] {
            check(t, before, change, Some(after)).await?;
        }
    }

    async fn operators_refuse_values_of_the_wrong_type(t) {
        t.seed("items", [doc! { "_id": 1, "v": "text" }]).await?;
        for change in [
            Change::Inc(v(), 1.into()),
            Change::Mul(v(), 1.into()),
            Change::Push(v(), vec![1.into()]),
            Change::AddToSet(v(), vec![1.into()]),
            Change::Pull(v(), vec![1.into()]),
            Change::Pop(v(), End::Last),
            Change::Set("v.a".into(), 1.into()),
        ] {
            let shown = format!("{change:?}");
            let error = apply(t, Filter::eq("_id", 1), vec![change], false).await.unwrap_err();
            assert_ne!(error.code(), ErrorCode::Internal, "{shown}: {error:?}");
        }
        assert_eq!(t.stored("items").await?, [doc! { "_id": 1, "v": "text" }]);
    }

    async fn several_changes_are_one(t) {
        t.seed("items", [doc! { "_id": 1, "a": 1, "b": 1, "c": [1] }]).await?;
        let changes = vec![
            Change::Inc("a".into(), 1.into()),
            Change::Unset("b".into()),
            Change::Push("c".into(), vec![2.into()]),
            Change::Set("d".into(), 4.into()),
        ];
        apply(t, Filter::eq("_id", 1), changes, false).await?;
        assert_eq!(t.stored("items").await?, [doc! { "_id": 1, "a": 2, "c": [1, 2], "d": 4 }]);
        let twice = vec![Change::Inc("a".into(), 1.into()), Change::Set("a".into(), 1.into())];
        let error = apply(t, Filter::eq("_id", 1), twice, false).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
    }

    async fn typed_changes_reach_the_document(t) {
        let ann = ann(t).await?;
        t.clock.advance(1_000);
        let changed = t.db.update::<Person>(ann.id)
            .inc(|p| p.visits, 5)
            .mul(|p| p.score, 2.5)
            .max(|p| p.age, 30)
            .push(|p| p.tags, "c")
            .set(|p| p.status, "old")
            .set(|p| p.nickname, "annie")
            .await?;
        assert_eq!((changed.visits, changed.score, changed.age), (5, 2.5, Some(30)));
        assert_eq!((changed.tags.len(), changed.status.as_str(), changed.nickname.as_deref()), (3, "old", Some("annie")));
        assert_eq!(changed.created_at, ann.created_at);
        assert_eq!(changed.updated_at, t.clock.now());
        let changed = t.db.update::<Person>(ann.id).unset(|p| p.nickname).pull(|p| p.tags, "a").await?;
        assert_eq!((changed.nickname, changed.tags.len()), (None, 2));
        let changed = t.db.update::<Person>(ann.id).pop(|p| p.tags, End::Last).await?;
        assert_eq!(changed.tags, ["b"]);
        let changed = t.db.update::<Person>(ann.id).add_to_set(|p| p.tags, "b").min(|p| p.age, 5).await?;
        assert_eq!((changed.tags.len(), changed.age), (1, Some(5)));
    }

    async fn an_update_with_nothing_to_set_changes_nothing(t) {
        let ann = ann(t).await?;
        t.clock.advance(1_000);
        assert_eq!(t.db.update::<Person>(ann.id).await?, ann);
        assert_eq!(t.db.update::<Person>(ann.id).patch(PersonPatch::default()).await?, ann);
        assert_eq!(t.db.update_many::<Person>().all().await?, 1);
        assert_eq!(t.db.get::<Person>(ann.id).await?, Some(ann));
    }

    async fn an_update_of_nobody_is_not_found(t) {
        ann(t).await?;
        let nobody = forge::Id::from_object_id(bson::oid::ObjectId::from_bytes([9; 12]));
        for update in [t.db.update::<Person>(nobody), t.db.update::<Person>(nobody).set(|p| p.visits, 1)] {
            let error = update.await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::NotFound);
            assert!(error.message().contains("Person"), "{error}");
        }
    }

    async fn compare_and_set_lets_one_writer_win(t) {
        let ann = ann(t).await?;
        let claim = |who: &str| t.db.update::<Person>(ann.id).filter(|p| p.status.eq("new")).set(|p| p.status, who);
        let answers = futures_util::future::join_all(["x", "y", "z"].map(async |who| claim(who).await)).await;
        let winners: Vec<_> = answers.iter().filter_map(|a| a.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|e| matches!(e.code(), ErrorCode::NotFound)), "{answers:?}");
        assert_eq!(t.db.get::<Person>(ann.id).await?.as_ref(), Some(winners[0]));
    }

    async fn concurrent_increments_are_all_counted(t) {
        let ann = ann(t).await?;
        let answers = futures_util::future::join_all((0..40).map(async |_| t.db.update::<Person>(ann.id).inc(|p| p.visits, 1).await)).await;
        for answer in answers {
            answer?;
        }
        assert_eq!(t.db.get::<Person>(ann.id).await?.unwrap().visits, 40);
    }

    async fn many_are_updated_only_when_asked_for(t) {
        t.db.insert_many([person("Ann"), person("Bob"), person("Cid")]).await?;
        let error = t.db.update_many::<Person>().set(|p| p.visits, 1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert!(error.message().contains(".all()"), "{error}");
        let nothing: [&str; 0] = [];
        let error = t.db.update_many::<Person>().filter(|p| p.tags.has_every(nothing)).set(|p| p.visits, 1).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "a filter that came out empty");
        assert_eq!(t.db.update_many::<Person>().filter(|p| p.name.is_in(nothing)).set(|p| p.visits, 1).await?, 0);
        assert_eq!(t.db.update_many::<Person>().filter(|p| p.name.gt("Ann")).set(|p| p.visits, 1).await?, 2);
        assert_eq!(t.db.find::<Person>().filter(|p| p.visits.eq(1)).count().await?, 2);
        assert_eq!(t.db.update_many::<Person>().all().inc(|p| p.visits, 1).await?, 3);
        assert_eq!(t.db.find::<Person>().distinct(|p| p.visits).await?, [1, 2]);
    }

    async fn a_patch_tells_null_from_absent(t) {
        let ann = t.db.insert(NewPerson { nickname: Some("annie".into()), ..person("Ann") }).await?;
        let patch = PersonPatch { age: Some(Some(21)), ..PersonPatch::default() };
        let changed = t.db.update::<Person>(ann.id).patch(patch).await?;
        assert_eq!((changed.age, changed.nickname.as_deref()), (Some(21), Some("annie")));
        let patch: PersonPatch = serde_json::from_str(r#"{"nickname":null}"#).unwrap();
        let changed = t.db.update::<Person>(ann.id).patch(patch).await?;
        assert_eq!((changed.age, changed.nickname), (Some(21), None));
        assert!(!t.stored("people").await?[0].contains_key("nickname"), "null removes an optional field");
    }

    async fn a_patch_keeps_the_rules_of_the_model(t) {
        let ann = ann(t).await?;
        let patch = PersonPatch { age: Some(Some(500)), name: Some(String::new()), ..PersonPatch::default() };
        let error = t.db.update::<Person>(ann.id).patch(patch).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        assert_eq!(error.messages().unwrap().keys().collect::<Vec<_>>(), ["age", "name"]);
        assert_eq!(t.db.get::<Person>(ann.id).await?, Some(ann));
    }
}
