use std::sync::atomic::Ordering;

use bson::{Document, doc};
use forge_core::adapter::{Adapter, PushAction, PushPlan, PushSettings};
use forge_core::model::{FieldDef, IndexDef, IndexKey, ModelDef, ShardKeyDef, ValidatorDef, ViewDef};
use forge_core::schema::Stages;
use forge_core::{Catalog, ErrorCode};

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
    assert_eq!(action(&plan, "name_1"), PushAction::Adopt);
    assert!(plan.steps.iter().any(|step| step.note.as_ref().is_some_and(|note| note.contains("by_hand"))));
    assert_eq!(
        fake.indexes.lock().unwrap()["airports"].iter().filter(|i| i.contains_key("unique")).count(),
        1
    );
}

#[tokio::test]
async fn a_time_to_live_is_changed_in_place() {
    let there =
        vec![doc! { "key": { "state": -1 }, "name": "by_hand", "expireAfterSeconds": 30, "hidden": true }];
    let (plan, fake) = push(with(there), true).await;
    assert_eq!(action(&plan, "state_-1"), PushAction::Modify);
    let change = doc! { "name": "by_hand", "expireAfterSeconds": 60_i64, "hidden": false };
    let sent = fake.admin.lock().unwrap();
    assert!(
        sent.iter().any(|(_, c)| *c == doc! { "collMod": "airports", "index": change.clone() }),
        "{sent:?}"
    );
}

#[tokio::test]
async fn an_index_with_other_keys_is_rebuilt_and_told_before() {
    let (adapter, fake) = with(vec![doc! { "key": { "other": 1 }, "name": "state_-1", "v": 2 }]).adapter();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut settings = PushSettings::apply();
    let listener = told.clone();
    settings.progress =
        Some(std::sync::Arc::new(move |step| listener.lock().unwrap().push(step.index.clone())));
    let plan = adapter.push_with("test", &catalog(), &settings).await.unwrap();
    assert_eq!(action(&plan, "state_-1"), PushAction::Rebuild);
    assert!(told.lock().unwrap().contains(&"state_-1".to_owned()));
    let indexes = fake.indexes.lock().unwrap();
    let rebuilt: Vec<_> =
        indexes["airports"].iter().filter(|i| i.get_str("name").unwrap() == "state_-1").collect();
    assert_eq!(rebuilt.len(), 1);
    assert_eq!(rebuilt[0].get_f64("expireAfterSeconds").unwrap(), 60.0);
}

#[tokio::test]
async fn an_index_that_cannot_be_rebuilt_is_there_again() {
    let fake = with(vec![doc! { "key": { "other": 1 }, "name": "state_-1", "v": 2 }]);
    fake.refused.lock().unwrap().insert("state_-1".into(), 67);
    let (plan, fake) = push(fake, true).await;
    assert_eq!(action(&plan, "state_-1"), PushAction::Conflict);
    let indexes = fake.indexes.lock().unwrap();
    assert!(indexes["airports"].iter().any(|i| i.get_document("key").unwrap().contains_key("other")));
}

#[tokio::test]
async fn a_unique_index_is_rebuilt_where_it_is_named() {
    let (adapter, fake) = with(vec![doc! { "key": { "name": 1 }, "name": "name_1" }]).adapter();
    let mut settings = PushSettings::apply();
    settings.rebuild = vec!["airports.name_1".into()];
    let plan = adapter.push_with("test", &catalog(), &settings).await.unwrap();
    assert_eq!(action(&plan, "name_1"), PushAction::Rebuild);
    let indexes = fake.indexes.lock().unwrap();
    assert!(indexes["airports"].iter().any(|i| i.get_bool("unique").is_ok()));
}

#[tokio::test]
async fn refusals_of_the_server_are_explained() {
    for (code, said) in [(85, "another name (85)"), (86, "(86): drop it"), (68, "(68)"), (67, "(67)")] {
        let fake = Fake::new([]);
        fake.refused.lock().unwrap().insert("state_-1".into(), code);
        let (plan, _) = push(fake, true).await;
        let step = plan.steps.iter().find(|step| step.index == "state_-1").unwrap();
        assert_eq!(step.action, PushAction::Conflict);
        assert!(step.note.as_ref().unwrap().contains(said), "{step:?}");
        assert_eq!(action(&plan, "createdAt_1"), PushAction::Create, "the others are made all the same");
    }
}

#[tokio::test]
async fn pruning_hides_first_and_drops_later() {
    let (adapter, fake) = with(vec![doc! { "key": { "other": 1 }, "name": "mine" }]).adapter();
    let mut settings = PushSettings::apply();
    settings.prune = true;
    let first = adapter.push_with("test", &catalog(), &settings).await.unwrap();
    assert_eq!(action(&first, "mine"), PushAction::Hide);
    assert!(fake.indexes.lock().unwrap()["airports"].iter().any(|i| i.get_bool("hidden").unwrap_or(false)));
    let second = adapter.push_with("test", &catalog(), &settings).await.unwrap();
    assert_eq!(action(&second, "mine"), PushAction::Drop);
    let third = adapter.push_with("test", &catalog(), &settings).await.unwrap();
    assert!(third.is_settled() && third.steps.iter().all(|step| step.index != "mine"), "{third:?}");
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

const FIELDS: &[FieldDef] = &[
    FieldDef::new("id", "_id", "id", forge_core::record::schema_of::<String>),
    FieldDef::new("tenant", "tenant", "tenant", forge_core::record::schema_of::<String>),
];

static EVENT: ModelDef = ModelDef {
    json_schema: Some(ValidatorDef { strict: false, refuse: false }),
    shard_key: Some(ShardKeyDef {
        keys: &[("tenant", IndexKey::Ascending), ("_id", IndexKey::Hashed)],
        unique: false,
    }),
    indexes: &[IndexDef::new(&[("tenant", IndexKey::Ascending), ("_id", IndexKey::Hashed)])],
    ..ModelDef::new("Event", "events", FIELDS, 0)
};

static BUSY: ModelDef = ModelDef {
    view: Some(ViewDef {
        source: || &EVENT,
        pipeline: |source| vec![doc! { "$match": { "tenant": "a" } }].over(source),
        refresh: None,
    }),
    ..ModelDef::new("Busy", "busy", FIELDS, 0)
};

async fn push_events(fake: &std::sync::Arc<Fake>, settings: &PushSettings) -> PushPlan {
    let catalog = std::sync::Arc::new(Catalog::new([&EVENT, &BUSY]).unwrap());
    crate::MongoAdapter::new(fake.clone(), catalog.clone())
        .push_with("test", &catalog, settings)
        .await
        .unwrap()
}

#[tokio::test]
async fn collections_and_views_are_created_as_declared() {
    let fake = std::sync::Arc::new(Fake::new([]));
    push_events(&fake, &PushSettings::apply()).await;
    let sent: Vec<Document> = fake.admin.lock().unwrap().iter().map(|(_, command)| command.clone()).collect();
    let schema = doc! {
        "bsonType": "object",
        "required": ["_id", "tenant"],
        "properties": { "_id": { "bsonType": "string" }, "tenant": { "bsonType": "string" } },
    };
    let create = doc! {
        "create": "events", "validator": { "$jsonSchema": schema.clone() },
        "validationLevel": "moderate", "validationAction": "warn",
    };
    assert!(sent.contains(&create), "{sent:?}");
    let pipeline = vec![doc! { "$match": { "tenant": "a" } }];
    assert!(
        sent.contains(&doc! { "create": "busy", "viewOn": "events", "pipeline": pipeline.clone() }),
        "{sent:?}"
    );
    // As servers list what was made.
    let events = doc! { "validator": { "$jsonSchema": schema }, "validationLevel": "moderate", "validationAction": "warn" };
    let listed = [
        doc! { "name": "events", "type": "collection", "options": events },
        doc! { "name": "busy", "type": "view", "options": { "viewOn": "events", "pipeline": pipeline } },
    ];
    let batch = doc! { "cursor": { "firstBatch": listed.to_vec() } };
    fake.replies.lock().unwrap().insert("listCollections", batch);
    let again = push_events(&fake, &PushSettings::apply()).await;
    assert!(again.is_settled(), "{again:?}");
}

#[tokio::test]
async fn shard_keys_are_issued_through_a_mongos_only() {
    let fake = std::sync::Arc::new(Fake::new([]));
    let mut settings = PushSettings::apply();
    settings.shard = true;
    let plan = push_events(&fake, &settings).await;
    assert_eq!(action(&plan, "shard key"), PushAction::Skip);
    assert!(plan.steps.iter().any(|step| step.note.as_ref().is_some_and(|note| note.contains("mongos"))));
    fake.replies.lock().unwrap().insert("hello", doc! { "msg": "isdbgrid" });
    fake.admin.lock().unwrap().clear();
    let plan = push_events(&fake, &settings).await;
    assert_eq!(action(&plan, "shard key"), PushAction::Create);
    let sent = fake.admin.lock().unwrap().clone();
    let shard = doc! { "shardCollection": "test.events", "key": { "tenant": 1, "_id": "hashed" } };
    let wanted = [("admin".to_owned(), doc! { "enableSharding": "test" }), ("admin".to_owned(), shard)];
    assert!(sent.windows(2).any(|pair| pair == wanted), "{sent:?}");
    let there = doc! { "_id": "test.events", "key": { "tenant": 1.0, "_id": "hashed" } };
    fake.replies.lock().unwrap().insert("find", doc! { "cursor": { "firstBatch": [there] } });
    assert_eq!(action(&push_events(&fake, &settings).await, "shard key"), PushAction::Keep);
    let other = doc! { "_id": "test.events", "key": { "tenant": 1 } };
    fake.replies.lock().unwrap().insert("find", doc! { "cursor": { "firstBatch": [other] } });
    assert_eq!(action(&push_events(&fake, &settings).await, "shard key"), PushAction::Conflict);
}

#[tokio::test]
async fn a_materialized_view_is_refreshed_by_its_pipeline() {
    static STORED: ModelDef = ModelDef {
        view: Some(ViewDef {
            refresh: Some(forge_core::model::Refresh::Merge),
            ..match BUSY.view {
                Some(view) => view,
                None => panic!(),
            }
        }),
        ..ModelDef::new("Stored", "stored", FIELDS, 0)
    };
    let fake = std::sync::Arc::new(Fake::new([]));
    let catalog = std::sync::Arc::new(Catalog::new([&EVENT, &STORED]).unwrap());
    let adapter = crate::MongoAdapter::new(fake.clone(), catalog);
    let exec = forge_core::adapter::Exec::default();
    adapter.refresh(&exec, forge_core::model::ModelRef(&STORED)).await.unwrap();
    let merge = doc! { "$merge": { "into": "stored", "whenMatched": "replace", "whenNotMatched": "insert" } };
    let wanted =
        doc! { "aggregate": "events", "pipeline": [{ "$match": { "tenant": "a" } }, merge], "cursor": {} };
    assert_eq!(fake.admin.lock().unwrap().last().unwrap().1, wanted);
    let error = adapter.refresh(&exec, forge_core::model::ModelRef(&BUSY)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest);
}
