//! Deletes, with what the relations ask for: refusals first, then leaves before parents, in one transaction.

use std::collections::{HashMap, HashSet};

use bson::{Bson, DateTime, RawDocumentBuf};
use forge_core::catalog::Referrer;
use forge_core::ir::{
    Change, Count, Delete, Filter, Outcome, Path, Predicate, Projection, Select, Update,
};
use forge_core::model::{ModelDef, ModelRef, OnDelete, UPDATED_AT};
use forge_core::{Error, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::keys::Key;
use super::relations::{distinct, visible};
use super::run::{Run, unexpected};
use crate::artifact::{MongoArtifact, Reply};
use crate::compile;

/// Ids in one command.
const BATCH: usize = 1_000;

impl Run<'_> {
    /// Deletes documents and treats those that refer to them as their `on_delete` says, soft delete or not.
    pub(super) async fn delete(&self, op: Delete) -> Result<Outcome> {
        if op.many && op.returning {
            return Err(Error::bad_request("a delete of many documents cannot return one of them"));
        }
        if self.acting_referrers(&op.model).next().is_some() {
            return self.atomically(|run| run.cascade(op.clone()).boxed()).await;
        }
        let filter = self.resolve(op.filter).await?;
        let end = End { model: op.model.0, soft: op.model.soft_delete && !op.purge, now: op.now };
        let (count, document) = self.end_documents(end, &filter, op.many, op.returning).await?;
        Ok(Outcome::Written { matched: count, changed: count, upserted: false, document })
    }

    fn acting_referrers(&self, model: &ModelDef) -> impl Iterator<Item = &Referrer> {
        self.catalog
            .referrers(model)
            .iter()
            .filter(|referrer| referrer.relation.on_delete != OnDelete::NoAction)
    }

    async fn cascade(self, op: Delete) -> Result<Outcome> {
        let soft = op.model.soft_delete && !op.purge;
        let mut filter = self.resolve(op.filter).await?;
        if soft {
            filter = visible(&op.model, filter);
        }
        let ids = self.ids(op.model, filter, (!op.many).then_some(1)).await?;
        if ids.is_empty() {
            return Ok(Outcome::Written { matched: 0, changed: 0, upserted: false, document: None });
        }
        let mut going = Going { seen: HashMap::new(), batches: Vec::new(), purge: op.purge, now: op.now };
        self.gather(&mut going, op.model, ids).await?;
        self.refuse_restricted(&going).await?;
        let (mut count, mut document) = (0, None);
        // The documents that were asked for are the last: everything else hangs on them.
        for (at, (model, ids)) in going.batches.iter().enumerate() {
            let last = at + 1 == going.batches.len();
            self.clear_references(*model, ids, going.now).await?;
            (count, document) = self.end_batch(&going, *model, ids, last && op.returning).await?;
        }
        Ok(Outcome::Written { matched: count, changed: count, upserted: false, document })
    }

    /// Adds the documents and, before them, everything that goes with them.
    fn gather<'f>(
        &'f self,
        going: &'f mut Going,
        model: ModelRef,
        ids: Vec<Bson>,
    ) -> BoxFuture<'f, Result<()>> {
        async move {
            let ids = going.unseen(&model, ids);
            if ids.is_empty() {
                return Ok(());
            }
            for referrer in
                self.acting_referrers(&model).filter(|r| r.relation.on_delete == OnDelete::Cascade)
            {
                let child = ModelRef(referrer.model);
                let mut children = Vec::new();
                for keys in self.referred_keys(model, &ids, referrer).await?.chunks(BATCH) {
                    let ours = referring(referrer, keys);
                    let filter = if going.purge { ours } else { visible(&child, ours) };
                    children.extend(self.ids(child, filter, None).await?);
                }
                self.gather(going, child, children).await?;
            }
            going.batches.push((model, ids));
            Ok(())
        }
        .boxed()
    }

    /// Refuses where a document that stays refers to one that goes.
    async fn refuse_restricted(&self, going: &Going) -> Result<()> {
        for (model, ids) in &going.batches {
            for referrer in
                self.acting_referrers(model).filter(|r| r.relation.on_delete == OnDelete::Restrict)
            {
                let mut count = 0;
                for keys in self.referred_keys(*model, ids, referrer).await?.chunks(BATCH) {
                    count += self.staying(going, referrer, keys).await?;
                }
                if count > 0 {
                    let relation = format!("{}.{}", referrer.model.name, referrer.relation.name);
                    return Err(Error::restricted(model.name, relation, count));
                }
            }
        }
        Ok(())
    }

    async fn staying(&self, going: &Going, referrer: &Referrer, keys: &[Bson]) -> Result<u64> {
        let child = ModelRef(referrer.model);
        let filter = visible(&child, referring(referrer, keys));
        let Some(leaving) = going.seen.get(child.name) else {
            let count = Count { with_deleted: true, ..Count::new(child, filter) };
            return self.count(&compile::count(&count)?).await;
        };
        let ids = self.ids(child, filter, None).await?;
        Ok(ids.iter().filter(|id| Key::of(id).is_none_or(|key| !leaving.contains(&key))).count() as u64)
    }

    /// Sets the keys of `set_null` relations to null.
    async fn clear_references(&self, model: ModelRef, ids: &[Bson], now: DateTime) -> Result<()> {
        for referrer in self.acting_referrers(&model).filter(|r| r.relation.on_delete == OnDelete::SetNull) {
            let mut changes = vec![Change::Set(referrer.relation.local().into(), Bson::Null)];
            if referrer.model.timestamps {
                changes.push(Change::Set(UPDATED_AT.into(), now.into()));
            }
            for keys in self.referred_keys(model, ids, referrer).await?.chunks(BATCH) {
                let update = Update {
                    changes: changes.clone(),
                    many: true,
                    with_deleted: true,
                    ..Update::new(ModelRef(referrer.model), referring(referrer, keys))
                };
                self.send(&compile::update(&update)?).await?;
            }
        }
        Ok(())
    }

    async fn end_batch(
        &self,
        going: &Going,
        model: ModelRef,
        ids: &[Bson],
        returning: bool,
    ) -> Result<(u64, Option<RawDocumentBuf>)> {
        let end = End { model: model.0, soft: model.soft_delete && !going.purge, now: going.now };
        let (mut count, mut document) = (0, None);
        for chunk in ids.chunks(BATCH) {
            let filter = Filter::Field(Path::Borrowed("_id"), Predicate::In(chunk.to_vec()));
            let (ended, state) = self.end_documents(end, &filter, !returning, returning).await?;
            count += ended;
            document = state;
        }
        Ok((count, document))
    }

    /// Removes documents, or marks them as deleted.
    async fn end_documents(
        &self,
        end: End,
        filter: &Filter,
        many: bool,
        returning: bool,
    ) -> Result<(u64, Option<RawDocumentBuf>)> {
        let artifact = if end.soft {
            compile::soft_delete(end.model, filter, end.now, many, returning)?
        } else {
            compile::delete(end.model, filter, many, returning)?
        };
        self.ended(&artifact).await
    }

    async fn ended(&self, artifact: &MongoArtifact) -> Result<(u64, Option<RawDocumentBuf>)> {
        match self.send(artifact).await? {
            Reply::Deleted(count) => Ok((count, None)),
            Reply::Updated { modified, .. } => Ok((modified, None)),
            Reply::Document(document) => Ok((document.is_some().into(), document)),
            other => Err(unexpected(artifact, &other)),
        }
    }

    async fn ids(&self, model: ModelRef, filter: Filter, limit: Option<u64>) -> Result<Vec<Bson>> {
        self.values(model, filter, "_id", limit).await
    }

    /// What the referrer's key holds for these documents: their ids, unless the relation says otherwise.
    async fn referred_keys(&self, model: ModelRef, ids: &[Bson], referrer: &Referrer) -> Result<Vec<Bson>> {
        let path = referrer.relation.foreign;
        if path == "_id" {
            return Ok(ids.to_vec());
        }
        let mut keys = Vec::new();
        for chunk in ids.chunks(BATCH) {
            let filter = Filter::Field(Path::Borrowed("_id"), Predicate::In(chunk.to_vec()));
            keys.extend(self.values(model, filter, path, None).await?);
        }
        Ok(keys)
    }

    async fn values(
        &self,
        model: ModelRef,
        filter: Filter,
        path: &'static str,
        limit: Option<u64>,
    ) -> Result<Vec<Bson>> {
        let select =
            Select { filter, limit, projection: Projection::Only(vec![path.into()]), ..Select::new(model) };
        distinct(&self.documents(&compile::select(&select)?).await?, path)
    }
}

/// How documents of a model end.
#[derive(Clone, Copy)]
struct End {
    model: &'static ModelDef,
    soft: bool,
    now: DateTime,
}

/// Everything that one delete takes with it. Only ids are held.
struct Going {
    /// Model → the ids that are gathered, which ends rings of cascades.
    seen: HashMap<&'static str, HashSet<Key<'static>>>,
    /// Children before their parents.
    batches: Vec<(ModelRef, Vec<Bson>)>,
    purge: bool,
    now: DateTime,
}

impl Going {
    /// Those of `ids` that are new.
    fn unseen(&mut self, model: &ModelRef, ids: Vec<Bson>) -> Vec<Bson> {
        let seen = self.seen.entry(model.0.name).or_default();
        ids.into_iter().filter(|id| Key::of(id).is_none_or(|key| seen.insert(key))).collect()
    }
}

fn referring(referrer: &Referrer, keys: &[Bson]) -> Filter {
    Filter::Field(referrer.relation.local().into(), Predicate::In(keys.to_vec()))
}
