//! Results batch by batch, from a cursor that closes when it is dropped.

use bson::RawDocumentBuf;
use forge_core::{Error, Result};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use mongodb::Collection;
use mongodb::error::Result as DriverResult;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::options::{spilling, with_options};
use super::run::{copy_into, shape};
use super::{OfficialDriver, errors};
use crate::artifact::{Command, MongoArtifact};

/// Opens a cursor that asks for `batch` documents at a time.
pub(super) async fn open(
    driver: &OfficialDriver,
    database: &str,
    artifact: &MongoArtifact,
    batch: u32,
) -> Result<BoxStream<'static, Result<Vec<RawDocumentBuf>>>> {
    let on: Collection<RawDocumentBuf> = driver.client().database(database).collection(&artifact.collection);
    let cursor = cursor(&on, artifact, batch).await?.map_err(errors::map)?;
    Ok(cursor.map(|batch| documents(batch).map_err(errors::map)).boxed())
}

async fn cursor(
    on: &Collection<RawDocumentBuf>,
    artifact: &MongoArtifact,
    batch: u32,
) -> Result<DriverResult<RawBatchCursor>> {
    let options = &artifact.options;
    Ok(match artifact.command.clone() {
        Command::Find { filter, projection, sort, skip, limit } => {
            let action = on.find(filter).batch_size(batch);
            let mut action = spilling!(shape!(action, projection, sort, skip, options), options);
            if let Some(limit) = limit {
                action = action.limit(i64::try_from(limit).unwrap_or(i64::MAX));
            }
            action.batch().await
        }
        Command::Aggregate { pipeline } => {
            let action = on.aggregate(pipeline).batch_size(batch);
            spilling!(with_options!(action, options), options).batch().await
        }
        other => return Err(Error::internal(format!("{} cannot be streamed", other.name()))),
    })
}

fn documents(batch: DriverResult<RawBatch>) -> DriverResult<Vec<RawDocumentBuf>> {
    let mut documents = Vec::new();
    copy_into(&mut documents, &batch?)?;
    Ok(documents)
}
