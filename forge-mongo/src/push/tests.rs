use std::sync::atomic::Ordering;

use bson::{Document, doc};
use forge_core::adapter::{Adapter, PushAction, PushPlan};

use crate::testing::{Fake, catalog};

async fn push(fake: Fake, apply: bool) -> (PushPlan, std::sync::Arc<Fake>) {
    let (adapter, fake) = fake.adapter();
    (adapter.push("test", &catalog(), apply).await.unwrap(), fake)
}

fn with(indexes: Vec<Document>) -> Fake {
    let fake = Fake::new([]);
    fake.indexes.lock().unwrap().insert("airports".into(), indexes);
    fake
}

fn action(plan: &PushPlan, index: &str) -> PushAction {
    let step = plan.steps.iter().find(|step| step.index == index);
    step.unwrap_or_else(|| panic!("{index} is not in {plan:?}")).action
}

#[tokio::test]
async fn a_dry_run_says_what_is_missing_and_creates_nothing() {
    let (plan, fake) = push(Fake::new([]), false).await;
    let created: Vec<_> = plan.steps.iter().map(|step| step.index.as_str()).collect();
    let expected = [
        "name_1",
        "state_-1",
        "forge_airports_fts",
        "createdAt_1",
        "updatedAt_1",
        "deletedAt_1",
        "origin_id_1",
        "destination_id_1",
        "flight_id_1",
        "rebooked_id_1",
    ];
    assert_eq!(created, expected);
    assert!(plan.steps.iter().all(|step| step.action == PushAction::Create));
    assert!(fake.indexes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn pushing_again_keeps_everything() {
    let (_, fake) = push(Fake::new([]), true).await;
    let count = |fake: &Fake| fake.indexes.lock().unwrap().values().map(Vec::len).sum::<usize>();
    let before = count(&fake);
    let adapter = crate::MongoAdapter::new(fake.clone(), catalog());
    let again = adapter.push("test", &catalog(), true).await.unwrap();
    assert!(again.steps.iter().all(|step| step.action == PushAction::Keep), "{again:?}");
    assert_eq!((before, count(&fake)), (10, 10));
    assert_eq!(fake.begun.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_text_fields_of_a_model_are_one_index_with_their_weights() {
    let (_, fake) = push(Fake::new([]), true).await;
    let indexes = fake.indexes.lock().unwrap();
    let text: Vec<_> = indexes["airports"].iter().filter(|index| index.contains_key("weights")).collect();
    assert_eq!(text.len(), 1);
    assert_eq!(text[0].get_document("weights").unwrap(), &doc! { "name": 10_i64, "state": 2_i64 });
}

#[tokio::test]
async fn an_equal_index_of_another_name_is_adopted() {
    let there = vec![doc! { "v": 2, "key": { "name": 1.0 }, "name": "by_hand", "unique": true, "ns": "x.y" }];
    let (plan, fake) = push(with(there), true).await;
    assert_eq!(action(&plan, "name_1"), PushAction::Keep);
    assert!(plan.steps.iter().any(|step| step.note.as_deref() == Some("it is there as by_hand")));
    assert_eq!(
        fake.indexes.lock().unwrap()["airports"].iter().filter(|i| i.contains_key("unique")).count(),
        1
    );
}

#[tokio::test]
async fn an_index_with_other_options_is_rebuilt() {
    let there = vec![doc! { "key": { "state": -1 }, "name": "state_-1", "expireAfterSeconds": 30 }];
    let (plan, fake) = push(with(there), true).await;
    assert_eq!(action(&plan, "state_-1"), PushAction::Rebuild);
    let indexes = fake.indexes.lock().unwrap();
    let rebuilt: Vec<_> =
        indexes["airports"].iter().filter(|i| i.get_str("name").unwrap() == "state_-1").collect();
    assert_eq!(rebuilt.len(), 1);
    assert_eq!(rebuilt[0].get_f64("expireAfterSeconds").unwrap(), 60.0);
}

#[tokio::test]
async fn a_unique_index_is_never_rebuilt_silently() {
    let there = vec![doc! { "key": { "name": 1 }, "name": "name_1" }];
    let (plan, fake) = push(with(there), true).await;
    let step = plan.steps.iter().find(|step| step.index == "name_1").unwrap();
    assert_eq!(step.action, PushAction::Conflict);
    assert!(step.note.as_ref().unwrap().contains("dropIndex(\"name_1\")"), "{step:?}");
    assert!(!fake.indexes.lock().unwrap()["airports"][0].contains_key("unique"));
}

#[tokio::test]
async fn indexes_of_nobody_are_left_alone() {
    let there = vec![
        doc! { "key": { "_id": 1 }, "name": "_id_" },
        doc! { "key": { "name": 1 }, "name": "mine", "unique": true, "partialFilterExpression": { "state": "CA" } },
    ];
    let (plan, fake) = push(with(there), true).await;
    assert_eq!(action(&plan, "mine"), PushAction::Extra);
    assert_eq!(action(&plan, "name_1"), PushAction::Create);
    assert!(plan.steps.iter().all(|step| step.index != "_id_"));
    assert!(fake.indexes.lock().unwrap()["airports"].iter().any(|i| i.get_str("name").unwrap() == "mine"));
}

#[tokio::test]
async fn text_indexes_are_skipped_where_there_are_none() {
    let mut fake = Fake::new([]);
    fake.capabilities.text = false;
    let (plan, fake) = push(fake, true).await;
    assert_eq!(action(&plan, "forge_airports_fts"), PushAction::Skip);
    assert!(fake.indexes.lock().unwrap()["airports"].iter().all(|i| !i.contains_key("weights")));
}
