//! Shard keys: `enableSharding` and `shardCollection`, where the server is a mongos.

use bson::{Document, doc};
use forge_core::adapter::{PushAction, PushKind, PushSettings, PushStep};
use forge_core::model::{ModelDef, ShardKeyDef};
use forge_core::{Catalog, Result};

use super::collections::first_batch;
use super::fingerprint::number;
use super::spec;
use crate::driver::Driver;

/// What to do about every shard key; nothing where no model has one.
pub(super) async fn push(
    driver: &dyn Driver,
    database: &str,
    catalog: &Catalog,
    settings: &PushSettings,
) -> Result<Vec<PushStep>> {
    let declared: Vec<_> =
        catalog.models().iter().filter_map(|model| Some((*model, model.shard_key.as_ref()?))).collect();
    if declared.is_empty() || (settings.apply && !settings.shard) {
        return Ok(Vec::new());
    }
    let mongos = is_mongos(driver).await?;
    let mut enabled = false;
    let mut steps = Vec::with_capacity(declared.len());
    for (model, key) in declared {
        let mut step = step(model, PushAction::Skip, "push --shard shards it");
        if !mongos {
            step.note =
                Some("this server is not a mongos: a collection is sharded through one of a cluster".into());
        } else if settings.shard {
            step = decide(driver, database, model, key).await?;
        }
        if settings.apply && step.action == PushAction::Create {
            if let Some(progress) = &settings.progress {
                progress(&step);
            }
            if !std::mem::replace(&mut enabled, true) {
                driver.admin("admin", &doc! { "enableSharding": database }).await?;
            }
            driver.admin("admin", &command(database, model, key)?).await.map_err(|error| {
                error.context(format_args!("sharding {} by {}", model.collection, shown(key)))
            })?;
        }
        steps.push(step);
    }
    Ok(steps)
}

/// Whether the server is the door of a sharded cluster.
pub(crate) async fn is_mongos(driver: &dyn Driver) -> Result<bool> {
    let hello = match driver.admin("admin", &doc! { "hello": 1 }).await {
        Err(error) if error.code() == forge_core::ErrorCode::Unsupported => return Ok(false),
        hello => hello?,
    };
    Ok(hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"))
}

async fn decide(
    driver: &dyn Driver,
    database: &str,
    model: &ModelDef,
    key: &ShardKeyDef,
) -> Result<PushStep> {
    let namespace = format!("{database}.{}", model.collection);
    let find = doc! { "find": "collections", "filter": { "_id": &namespace }, "limit": 1 };
    let reply = driver.admin("config", &find).await?;
    let there = first_batch(&reply).find_map(|entry| entry.get_document("key").ok());
    let wanted = number(&spec::keys(key.keys)?.into());
    Ok(match there {
        None => step(model, PushAction::Create, &format!("by {}", shown(key))),
        Some(there) if number(&there.clone().into()) == wanted => step(model, PushAction::Keep, &shown(key)),
        Some(there) => step(
            model,
            PushAction::Conflict,
            &format!(
                "it is sharded by {there}: move it with sh.reshardCollection({namespace:?}, …), or declare that key"
            ),
        ),
    })
}

fn command(database: &str, model: &ModelDef, key: &ShardKeyDef) -> Result<Document> {
    let mut command =
        doc! { "shardCollection": format!("{database}.{}", model.collection), "key": spec::keys(key.keys)? };
    if key.unique {
        command.insert("unique", true);
    }
    Ok(command)
}

fn shown(key: &ShardKeyDef) -> String {
    spec::keys(key.keys).unwrap_or_default().to_string()
}

fn step(model: &ModelDef, action: PushAction, note: &str) -> PushStep {
    PushStep {
        collection: model.collection.to_owned(),
        kind: PushKind::ShardKey,
        index: "shard key".to_owned(),
        action,
        note: Some(note.to_owned()),
    }
}
