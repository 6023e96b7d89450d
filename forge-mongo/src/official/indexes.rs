//! Indexes, by their commands: what the driver's own types would drop stays in.

use bson::{Document, RawDocumentBuf, doc};
use forge_core::Result;
use futures_util::TryStreamExt;
use mongodb::error::Result as DriverResult;
use mongodb::{Collection, Database};

use super::errors;
use crate::refusal::NAMESPACE_NOT_FOUND;

pub(super) async fn list(database: &Database, collection: &str) -> Result<Vec<Document>> {
    listed(database, collection).await.map_err(errors::map)
}

async fn listed(database: &Database, collection: &str) -> DriverResult<Vec<Document>> {
    match database.run_cursor_command(doc! { "listIndexes": collection }).await {
        Ok(cursor) => cursor.try_collect().await,
        Err(error) if errors::code_of(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) async fn create(database: &Database, collection: &str, spec: &Document) -> Result<()> {
    let command = doc! { "createIndexes": collection, "indexes": [spec.clone()] };
    match database.run_command(command).await {
        Ok(_) => Ok(()),
        Err(error) if errors::duplicate(&error).is_some() => {
            let paths = spec.get_document("key").map(|key| key.keys().cloned().collect()).unwrap_or_default();
            Err(forge_core::Error::unique_violation(collection, paths).with_source(error))
        }
        Err(error) => Err(errors::refused(error)),
    }
}

pub(super) async fn drop(database: &Database, collection: &str, name: &str) -> Result<()> {
    let command = doc! { "dropIndexes": collection, "index": name };
    database.run_command(command).await.map(|_| ()).map_err(errors::refused)
}

/// Runs an administrative command as it is.
pub(super) async fn admin(database: &Database, command: &Document) -> Result<Document> {
    database.run_command(command.clone()).await.map_err(errors::refused)
}

/// The paths of the index with this name; its name where the server cannot tell.
pub(super) async fn paths_of(collection: &Collection<RawDocumentBuf>, name: &str) -> Vec<String> {
    if name == "_id_" {
        return vec!["_id".to_owned()];
    }
    let database = collection.client().database(&collection.namespace().db);
    let indexes = listed(&database, collection.name()).await.unwrap_or_default();
    let index = indexes.iter().find(|index| index.get_str("name").is_ok_and(|other| other == name));
    match index.and_then(|index| index.get_document("key").ok()) {
        Some(key) => key.keys().cloned().collect(),
        None => vec![name.to_owned()],
    }
}
