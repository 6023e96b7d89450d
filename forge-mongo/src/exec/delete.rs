//! Deletes: documents that nothing hangs on go by one command, others take their relations along.

use bson::oid::ObjectId;
use bson::{DateTime, RawDocumentBuf};
use forge_core::ir::{Delete, Filter, Outcome};
use forge_core::model::ModelDef;
use forge_core::{Error, Result};
use futures_util::FutureExt;

use super::meant::PAGE;
use super::run::{Run, unexpected};
use crate::artifact::Reply;
use crate::compile::{self, Joined};

impl Run<'_> {
    /// Deletes documents and treats those that refer to them as their `on_delete` says, soft delete or not.
    pub(super) async fn delete(&self, op: Delete) -> Result<Outcome> {
        if op.many && op.returning {
            return Err(Error::bad_request("a delete of many documents cannot return one of them"));
        }
        if op.dry_run {
            return self.foretell(op).await.map(Outcome::Forecast);
        }
        if self.acting(&op.model).next().is_some() {
            return self.atomically(|run| run.cascade_of(op.clone()).boxed()).await;
        }
        let asking = self.comparing_by(op.collation.as_ref());
        let (run, filter) = match op.many {
            true => {
                let joined = asking.resolve_joined(op.filter.clone()).await?;
                if !joined.lookups.is_empty() {
                    return asking
                        .atomically(|run| run.delete_joined(op.clone(), joined.clone()).boxed())
                        .await;
                }
                (asking, joined.filter.unwrap_or(Filter::All))
            }
            false => asking.resolve_one(op.model, op.filter.clone(), &[]).await?,
        };
        let end = End { soft: op.model.soft_delete && !op.purge, now: op.now, mark: None };
        let (count, document) = run.end(op.model.0, &filter, end, op.many, op.returning).await?;
        Ok(ended(count, document))
    }

    /// Ends what a condition with lookups finds, a page of ids at a time.
    async fn delete_joined(self, op: Delete, joined: Joined) -> Result<Outcome> {
        let end = End { soft: op.model.soft_delete && !op.purge, now: op.now, mark: None };
        let (mut count, mut last) = (0, None);
        loop {
            let ids = self.meant(op.model, &joined, last.as_ref(), PAGE).await?;
            let Some(final_id) = ids.last() else { return Ok(ended(count, None)) };
            let (run, filter) = self.these(&ids, &joined);
            count += run.end(op.model.0, &filter, end, true, false).await?.0;
            last = Some(final_id.clone());
        }
    }

    /// Removes documents, or marks them as deleted.
    pub(super) async fn end(
        &self,
        model: &'static ModelDef,
        filter: &Filter,
        end: End,
        many: bool,
        returning: bool,
    ) -> Result<(u64, Option<RawDocumentBuf>)> {
        let artifact = if end.soft {
            compile::soft_delete(model, filter, (end.now, end.mark), many, returning)?
        } else {
            compile::delete(model, filter, many, returning)?
        };
        let asked = artifact.command.name();
        match self.send(artifact.into()).await? {
            Reply::Deleted(count) => Ok((count, None)),
            Reply::Updated { modified, .. } => Ok((modified, None)),
            Reply::Document(document) => Ok((document.is_some().into(), document)),
            other => Err(unexpected(asked, &other)),
        }
    }
}

/// How documents end.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// They are marked, and stay.
    pub(super) soft: bool,
    /// The moment that the mark carries.
    pub(super) now: DateTime,
    /// What tells the documents of one delete from others, where a restore has to find them.
    pub(super) mark: Option<ObjectId>,
}

pub(super) fn ended(count: u64, document: Option<RawDocumentBuf>) -> Outcome {
    Outcome::Written { matched: count, changed: count, upserted: false, document }
}
