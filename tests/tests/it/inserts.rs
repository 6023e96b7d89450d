//! Inserts: ids, defaults, timestamps, rules, unique indexes.

use forge::__private::{Kept, NewRecord};
use forge::ErrorCode;
use forge::error::Details;
use forge::prelude::*;
use forge_tests::models::{NewPerson, Person, person};
use forge_tests::{Fixture, Result, conformance};

/// Every value of it reads as what was stored, so that an insert answers without reading it back.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "readings", timestamps, soft_delete)]
#[allow(missing_docs, reason = "a test model")]
pub(crate) struct Reading {
    pub value: f64,
    #[model(id)]
    pub id: Id<Reading>,
    pub sensor: Uuid,
    pub notes: Vec<String>,
    pub unit: Option<String>,
    pub taken: Option<DateTime>,
    #[model(readonly, default = 7)]
    pub quality: i32,
    #[model(private)]
    pub secret: Option<String>,
    #[model(version)]
    pub version: i32,
    pub created_at: DateTime,
    pub updated_at: Option<DateTime>,
    pub deleted_at: Option<DateTime>,
}

fn reading() -> NewReading {
    NewReading {
        id: None,
        value: -0.0,
        sensor: Uuid::from_bytes([7; 16]),
        notes: vec![String::new(), "ü\0".into()],
        unit: None,
        taken: Some(DateTime::from_millis(-1)),
        quality: None,
        secret: Some("s".into()),
    }
}

async fn refused(t: &Fixture, new: NewPerson) -> forge::Error {
    t.db.insert(new).await.unwrap_err()
}

fn unique(error: &forge::Error) -> (&str, Vec<&str>) {
    assert_eq!(error.code(), ErrorCode::UniqueViolation, "{error:?}");
    assert_eq!(error.code().http_status(), 409);
    match error.details() {
        Details::Unique { model, fields } => (model, fields.iter().map(String::as_str).collect()),
        other => panic!("{other:?}"),
    }
}

async fn names(t: &Fixture) -> Result<Vec<String>> {
    Ok(t.db.find::<Person>().sort(|p| p.name.asc()).await?.into_iter().map(|p| p.name).collect())
}

conformance! {
    async fn what_is_not_given_is_filled_in(t) {
        let ann = t.db.insert(person("Ann")).await?;
        assert_eq!((ann.score, ann.visits, ann.status.as_str(), ann.tags.len()), (1.0, 0, "new", 0));
        assert_eq!((ann.created_at, ann.updated_at), (t.clock.now(), t.clock.now()));
        let bob = t.db.insert(person("Bob")).await?;
        assert_ne!(ann.id, bob.id);
        assert_eq!(t.db.get::<Person>(ann.id).await?, Some(ann), "the answer is what was stored");
        let stored = &t.stored("people").await?[0];
        assert_eq!(stored.keys().next().unwrap(), "_id");
        assert!(stored.get_object_id("_id").is_ok() && stored.get_datetime("createdAt").is_ok(), "{stored}");
        assert!(!stored.contains_key("age"), "absent values are not stored: {stored}");
    }

    async fn an_answer_made_without_reading_is_what_is_read(t) {
        let answer = t.db.insert(reading()).await?;
        assert_eq!((answer.version, answer.quality, answer.created_at), (1, 7, t.clock.now()));
        let read = t.db.get::<Reading>(answer.id).await?.unwrap();
        assert_eq!(read, answer);
        assert!(read.value.is_sign_negative() && answer.value.is_sign_negative());
    }

    async fn what_is_given_is_kept(t) {
        let id = forge::Id::from_object_id(bson::oid::ObjectId::from_bytes([3; 12]));
        let new = NewPerson { id: Some(id), score: Some(0.0), visits: Some(i64::MAX), status: Some(String::new()), ..person("Ann") };
        let ann = t.db.insert(new).await?;
        assert_eq!((ann.id, ann.score, ann.visits, ann.status.as_str()), (id, 0.0, i64::MAX, ""));
        assert_eq!(t.db.get::<Person>(id).await?, Some(ann));
    }

    async fn every_broken_rule_is_reported_at_once(t) {
        let new = NewPerson { email: "nope".into(), age: Some(200), name: String::new(), ..person("Ann") };
        let error = refused(t, new).await;
        assert_eq!(error.code(), ErrorCode::Validation);
        assert!(error.message().starts_with("Validation failed for Person.insert: "), "{error}");
        let paths: Vec<&str> = error.messages().unwrap().keys().map(String::as_str).collect();
        assert_eq!(paths, ["age", "email", "name"]);
        assert_eq!(t.stored("people").await?.len(), 0);
    }

    async fn one_bad_document_keeps_all_from_being_sent(t) {
        let error = t.db.insert_many([person("Ann"), NewPerson { age: Some(-1), ..person("Bob") }]).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
        assert_eq!(t.stored("people").await?.len(), 0);
    }

    async fn a_unique_index_is_named_by_model_and_fields(t) {
        t.push().await?;
        t.db.insert(NewPerson { nickname: Some("annie".into()), ..person("Ann") }).await?;
        let error = refused(t, person("Ann")).await;
        assert_eq!(unique(&error), ("Person", vec!["email"]));
        assert!(!error.message().contains("ann@example.org"), "the value is not repeated: {error}");
        let error = refused(t, NewPerson { nickname: Some("annie".into()), ..person("Bob") }).await;
        assert_eq!(unique(&error), ("Person", vec!["nickname"]));
        assert_eq!(names(t).await?, ["Ann"]);
    }

    async fn an_id_is_unique_without_a_push(t) {
        let ann = t.db.insert(person("Ann")).await?;
        let error = refused(t, NewPerson { id: Some(ann.id), ..person("Bob") }).await;
        assert_eq!(unique(&error), ("Person", vec!["_id"]));
    }

    async fn a_unique_optional_field_may_be_absent_often(t) {
        t.push().await?;
        assert_eq!(t.db.insert_many([person("Ann"), person("Bob"), person("Cid")]).await?, 3);
    }

    async fn updates_keep_unique_indexes_too(t) {
        t.push().await?;
        let ann = t.db.insert(person("Ann")).await?;
        t.db.insert(person("Bob")).await?;
        let error = t.db.update::<Person>(ann.id).set(|p| p.email, "bob@example.org").await.unwrap_err();
        assert_eq!(unique(&error), ("Person", vec!["email"]));
        let same = t.db.update::<Person>(ann.id).set(|p| p.email, "ann@example.org").await?;
        assert_eq!(same.email, "ann@example.org", "a document does not collide with itself");
        t.db.delete::<Person>(ann.id).await?;
        t.db.insert(person("Ann")).await?;
    }

    async fn many_are_inserted_in_order_up_to_the_first_duplicate(t) {
        t.push().await?;
        assert_eq!(t.db.insert_many(Vec::<NewPerson>::new()).await?, 0);
        let error = t.db.insert_many([person("Ann"), person("Bob"), person("Ann"), person("Cid")]).await.unwrap_err();
        assert_eq!(unique(&error), ("Person", vec!["email"]));
        assert_eq!(names(t).await?, ["Ann", "Bob"]);
    }

    async fn duplicates_can_be_passed_over(t) {
        t.push().await?;
        t.db.insert(person("Bob")).await?;
        let new = [person("Ann"), person("Bob"), person("Cid"), person("Ann")];
        let done = t.db.insert_many(new).skip_duplicates().await?;
        let skipped: Vec<_> = done.skipped.iter().map(|skipped| (skipped.position, skipped.fields.as_slice())).collect();
        assert_eq!((done.count, skipped), (2, vec![(1, &["email".to_owned()][..]), (3, &["email".to_owned()][..])]));
        assert_eq!(names(t).await?, ["Ann", "Bob", "Cid"]);
    }

    async fn thousands_go_in_with_one_command(t) {
        t.driver.take();
        let people = (0..3_000).map(|i| NewPerson { email: format!("p{i}@example.org"), ..person("P") });
        assert_eq!(t.db.insert_many(people).await?, 3_000);
        assert_eq!(t.driver.on("people"), 1);
        assert_eq!(t.db.find::<Person>().count().await?, 3_000);
    }

    async fn keys_of_operators_are_only_text(t) {
        let new = NewPerson { tags: Some(vec!["$gt".into(), "a.b".into(), String::new()]), ..person("Ann") };
        let ann = t.db.insert(new).await?;
        assert_eq!(t.db.find::<Person>().filter(|p| p.tags.has("$gt")).one().await?, ann);
    }
}

#[test]
fn only_models_of_exact_values_are_made_without_reading() {
    let kept = Kept { at: Some(DateTime::from_millis(5)) };
    let mut new = reading();
    assert_eq!(new.clone().stored(&kept), None, "nothing is made up for what was not filled in");
    new.fill(&forge::system_env());
    let made = new.stored(&kept).unwrap();
    assert_eq!((made.created_at, made.updated_at, made.deleted_at), (kept.at.unwrap(), kept.at, None));
    let mut person = person("Ann");
    person.fill(&forge::system_env());
    assert_eq!(person.stored(&kept), None, "an embed may read back as something else");
}
