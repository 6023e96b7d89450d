use bson::doc;
use forge_core::ErrorCode;
use forge_core::adapter::{Adapter, PushAction};
use forge_core::ir::{Filter, Operation, Predicate, Select};
use forge_core::model::ModelRef;
use forge_mongo::{Command, MongoArtifact};

use crate::models::{AIRPORT, FLIGHT, catalog};
use crate::{Database, by};

#[tokio::test]
async fn pushing_twice_changes_nothing_the_second_time() {
    let Some(database) = Database::open("push").await else { return };
    let push = async |apply| database.adapter.push(&database.name, &catalog(), apply).await.unwrap();
    let planned = push(false).await;
    assert!(planned.steps.iter().all(|step| matches!(step.action, PushAction::Create | PushAction::Skip)));
    push(true).await;
    let again = push(true).await;
    for step in &again.steps {
        let text = step.index.ends_with("_fts") && !database.adapter.capabilities().text;
        let expected = if text { PushAction::Skip } else { PushAction::Keep };
        assert_eq!(step.action, expected, "{step:?}");
    }
    assert_eq!(planned.steps.len(), again.steps.len());
    database.close().await;
}

#[tokio::test]
async fn a_unique_index_over_doubles_is_left_to_a_person() {
    let Some(database) = Database::open("doubles").await else { return };
    database.insert(&AIRPORT, [doc! { "_id": "A", "code": "x" }, doc! { "_id": "B", "code": "x" }]).await;
    let plan = database.adapter.push(&database.name, &catalog(), true).await.unwrap();
    let step = plan.steps.iter().find(|step| step.index == "code_1").unwrap();
    assert_eq!(step.action, PushAction::Conflict, "{step:?}");
    database.close().await;
}

#[tokio::test]
async fn explanations_name_the_index_and_warn_without_one() {
    let Some(database) = Database::open("explain").await else { return };
    database.adapter.push(&database.name, &catalog(), true).await.unwrap();
    database.insert(&FLIGHT, (0..20).map(|n| doc! { "_id": n, "origin_id": "A", "delay": n })).await;
    let explain = async |filter: Filter, sorted: bool| {
        let mut select = Select { filter, ..Select::new(ModelRef(&FLIGHT)) };
        select.sort.extend(sorted.then(|| by("delay", true)));
        database.adapter.explain(&database.exec, Operation::Select(select)).await.unwrap()
    };
    let by_key = explain(Filter::eq("origin_id", "A"), true).await;
    assert_eq!(by_key.steps[0].index.as_deref(), Some("origin_id_1"));
    assert!(by_key.steps[0].sorts_in_memory);
    assert_eq!(by_key.warnings.len(), 1);
    let by_id = explain(Filter::eq("_id", 1), false).await;
    assert_eq!((by_id.steps[0].index.as_deref(), by_id.warnings.len()), (Some("_id_"), 0));
    let scan = explain(Filter::Field("delay".into(), Predicate::Gt(5.into())), false).await;
    assert_eq!((scan.steps[0].index.as_deref(), scan.warnings.len()), (None, 1));
    database.close().await;
}

#[tokio::test]
async fn operators_that_the_server_lacks_are_unsupported_by_name() {
    let Some(database) = Database::open("unsupported").await else { return };
    let pipeline = vec![doc! { "$forgeDoesNotExist": 1 }];
    let command = Command::Aggregate { pipeline };
    let artifact = MongoArtifact::new("airports", command);
    let error = database.adapter.driver().run(&database.name, artifact.into(), None).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert!(error.message().contains("$forgeDoesNotExist"), "{error}");
    database.close().await;
}

#[tokio::test]
async fn a_closed_adapter_is_unavailable() {
    let Some(database) = Database::open("closed").await else { return };
    database.adapter.ping().await.unwrap();
    assert!(database.adapter.describe().await.unwrap().iter().any(|(name, _)| name == "topology"));
    database.adapter.close().await;
    let error = database.adapter.ping().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error:?}");
}
