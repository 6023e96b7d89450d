//! Replacements: a whole new state that keeps what Forge has written into the old one.

use bson::{Bson, RawDocument, RawDocumentBuf};
use forge_core::ir::{Filter, Outcome, Projection, Replace, Select};
use forge_core::model::{CREATED_AT, DELETED_AT, DELETED_WITH, ModelDef};
use forge_core::{Error, Result};

use super::keys::owned;
use super::retry::backoff;
use super::run::{Run, unexpected};
use crate::artifact::Reply;
use crate::compile;

/// How often a document may be changed by others between the read and the write.
const ATTEMPTS: u32 = 10;

impl Run<'_> {
    /// Replaces one document. The time of its creation and its version come from the document as it was, which is read
    /// before; a version that others have raised meanwhile makes it read again.
    pub(super) async fn replace(&self, mut op: Replace) -> Result<Outcome> {
        op.filter = self.resolve_one(op.model, op.filter, &[]).await?.1;
        for attempt in 1..=ATTEMPTS {
            let Some(before) = self.kept(&op).await? else { return Ok(replaced(None)) };
            let replacement = renewed(&op, &before)?;
            let filter = op.filter.clone().and(unchanged(op.model.0, &before)?);
            let write = Replace { filter, document: replacement.clone(), ..op.clone() };
            let artifact = compile::replace(&write)?;
            let asked = artifact.command.name();
            match self.send(artifact.into()).await? {
                Reply::Updated { matched: 0, .. } => backoff(attempt).await,
                Reply::Updated { .. } => return Ok(replaced(Some(with_id(&before, &replacement)?))),
                other => return Err(unexpected(asked, &other)),
            }
        }
        Err(Error::conflict(format!("others keep changing this {}; try again", op.model.name)))
    }

    /// The fields of the present document that stay.
    async fn kept(&self, op: &Replace) -> Result<Option<RawDocumentBuf>> {
        let paths = kept_paths(op.model.0).map(Into::into).collect();
        let select = Select {
            filter: op.filter.clone(),
            limit: Some(1),
            projection: Projection::Only(paths),
            ..Select::new(op.model)
        };
        Ok(self.documents(compile::select(&select)?.into()).await?.into_iter().next())
    }
}

fn kept_paths(model: &ModelDef) -> impl Iterator<Item = &'static str> {
    let of = |on: bool, path: &'static str| on.then_some(path);
    let soft = [DELETED_AT, DELETED_WITH].map(|path| of(model.soft_delete, path));
    [of(model.timestamps, CREATED_AT), model.version].into_iter().chain(soft).flatten()
}

/// The condition that nobody has written since.
fn unchanged(model: &ModelDef, before: &RawDocument) -> Result<Filter> {
    let at = |path: &str| Ok::<_, Error>(before.get(path)?.map(owned).transpose()?.unwrap_or(Bson::Null));
    let id = Filter::eq("_id", at("_id")?);
    match model.version {
        Some(path) => Ok(id.and(Filter::eq(path, at(path)?))),
        None => Ok(id),
    }
}

/// The new state with what stays of the old one.
fn renewed(op: &Replace, before: &RawDocument) -> Result<RawDocumentBuf> {
    let mut document = op.document.clone();
    for path in kept_paths(op.model.0) {
        let value = before.get(path)?.map(owned).transpose()?;
        let value = match value {
            version if op.model.version == Some(path) => Some(raised(version.as_ref())),
            value => value,
        };
        if let Some(value) = value {
            document.append(bson::raw::CString::try_from(path)?, bson::RawBson::try_from(value)?);
        }
    }
    Ok(document)
}

fn raised(version: Option<&Bson>) -> Bson {
    Bson::Int64(match version {
        Some(Bson::Int64(version)) => version.saturating_add(1),
        Some(Bson::Int32(version)) => i64::from(*version) + 1,
        _ => 1,
    })
}

/// The stored form of the new state: its id first.
fn with_id(before: &RawDocument, document: &RawDocument) -> Result<RawDocumentBuf> {
    let mut out = RawDocumentBuf::new();
    if let Some(id) = before.get("_id")? {
        out.append(bson::cstr!("_id"), id);
    }
    for element in document {
        let (name, value) = element?;
        out.append(name, value);
    }
    Ok(out)
}

fn replaced(document: Option<RawDocumentBuf>) -> Outcome {
    let count = u64::from(document.is_some());
    Outcome::Written { matched: count, changed: count, upserted: false, document }
}
