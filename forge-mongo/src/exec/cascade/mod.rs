//! Deletes that take others with them, leaves before parents, in one transaction where the deployment has them.
//!
//! What goes is gathered first ([`walk`]), so that a `restrict` refuses before anything is written. A delete that takes
//! more documents with it than should be held in memory goes by parts of bounded size instead ([`parts`]): inside a
//! transaction, where a refusal undoes them. Documents on which nothing else hangs are never gathered: they go by the keys
//! of their parents.

mod forecast;
mod parts;
mod walk;

use bson::oid::ObjectId;
use bson::{Bson, RawDocumentBuf};
use forge_core::catalog::Referrer;
use forge_core::error::Retry;
use forge_core::ir::{Change, Count, Delete, Filter, Outcome, Path, Predicate, Projection, Select, Update};
use forge_core::model::{ModelDef, ModelRef, OnDelete, RelationKind, UPDATED_AT};
use forge_core::{Error, Result};

use super::delete::{End, ended};
use super::relations::{distinct, visible};
use super::run::Run;
use crate::compile::{self, Joined};
use walk::Walk;

/// Ids in one command.
const BATCH: usize = 1_000;
/// How many ids are gathered before a delete goes by parts.
const GATHERED: usize = 10_000;
/// How many ids are gathered where there are no parts: without transactions, and to tell what would go.
const AT_MOST: usize = 1_000_000;

/// How a delete treats what it meets.
#[derive(Clone, Copy)]
struct Manner {
    /// Soft-deleted documents go, and are removed.
    purge: bool,
    now: bson::DateTime,
    mark: Option<ObjectId>,
}

impl Manner {
    fn of(op: &Delete) -> Self {
        Self { purge: op.purge, now: op.now, mark: op.mark }
    }

    fn end(self, model: &ModelDef) -> End {
        End { soft: model.soft_delete && !self.purge, now: self.now, mark: self.mark }
    }

    /// Those of the documents that a delete takes along.
    fn takes(self, model: &ModelDef, filter: Filter) -> Filter {
        if self.purge { filter } else { visible(model, filter) }
    }
}

impl<'a> Run<'a> {
    /// The relations to `model` that ask for something when one of its documents goes.
    pub(super) fn acting(&self, model: &ModelDef) -> impl Iterator<Item = &'a Referrer> + use<'a> {
        let referrers = self.catalog.referrers(model).iter();
        referrers.filter(|referrer| referrer.relation.on_delete != OnDelete::NoAction)
    }

    fn acting_as(&self, model: &ModelDef, wanted: OnDelete) -> impl Iterator<Item = &'a Referrer> + use<'a> {
        self.acting(model).filter(move |referrer| referrer.relation.on_delete == wanted)
    }

    /// Whether documents of `model` can go by the keys of their parents: nothing hangs on them, and nobody asks whether
    /// they stay.
    fn is_leaf(&self, model: &ModelDef) -> bool {
        let asks = |relation: &forge_core::model::RelationDef| relation.on_delete == OnDelete::Restrict;
        self.acting(model).next().is_none() && !model.relations.iter().any(asks)
    }

    /// Whether a delete of documents of `model` may soft-delete others along with them.
    fn takes_what_can_come_back(&self, model: &'static ModelDef) -> bool {
        let (mut seen, mut next) = (vec![model.name], vec![model]);
        while let Some(model) = next.pop() {
            for referrer in self.acting_as(model, OnDelete::Cascade) {
                if referrer.model.soft_delete {
                    return true;
                }
                if !seen.contains(&referrer.model.name) {
                    seen.push(referrer.model.name);
                    next.push(referrer.model);
                }
            }
        }
        false
    }

    pub(super) async fn cascade(self, op: Delete) -> Result<Outcome> {
        let (mut manner, model) = (Manner::of(&op), op.model);
        manner.mark = manner.mark.filter(|_| self.takes_what_can_come_back(model.0));
        // What hangs on the documents is found by keys, which are what they are.
        let asking = self.comparing_by(op.collation.as_ref());
        let roots = asking.roots(manner, &op).await?;
        let in_transaction = self.exec.transaction.is_some();
        let most = if in_transaction { GATHERED } else { AT_MOST };
        let ids = asking.first_of(model, &roots, if op.many { most + 1 } else { 1 }).await?;
        if ids.is_empty() {
            return Ok(ended(0, None));
        }
        match self.walk(Walk::new(manner, most), model, ids).await? {
            Some(walk) => self.carry_out(walk, op.returning).await,
            None if in_transaction => {
                self.by_parts(asking, manner, model, roots, op.many, op.returning).await.map_err(once)
            }
            None => Err(Error::too_large(format!(
                "deleting these {} documents takes more than {AT_MOST} others with them, and this deployment has no \
                 transactions to do that safely: delete those others first, in smaller parts",
                model.name
            ))),
        }
    }

    /// The condition on the documents that are to go.
    async fn roots(&self, manner: Manner, op: &Delete) -> Result<Joined> {
        let joined = self.resolve_joined(op.filter.clone()).await?;
        let filter = manner.takes(&op.model, joined.filter.unwrap_or(Filter::All));
        Ok(Joined { filter: Some(filter), ..joined })
    }

    /// The ids of some of the documents that are to go.
    async fn first_of(&self, model: ModelRef, roots: &Joined, limit: usize) -> Result<Vec<Bson>> {
        if roots.lookups.is_empty() {
            return self.ids(model, roots.own(), limit as u64).await;
        }
        self.meant(model, roots, None, limit).await
    }

    /// Deletes what was gathered, after asking whether it may go.
    async fn carry_out(&self, walk: Walk, returning: bool) -> Result<Outcome> {
        self.refuse_restricted(&walk).await?;
        let (mut count, mut document) = (0, None);
        // The documents that were asked for are the last: everything else hangs on them.
        for (at, (model, ids)) in walk.batches.iter().enumerate() {
            let last = at + 1 == walk.batches.len();
            self.let_go(walk.manner, *model, ids).await?;
            (count, document) = self.end_all(walk.manner, *model, ids, last && returning).await?;
        }
        Ok(ended(count, document))
    }

    /// Ends documents by their ids.
    async fn end_all(
        &self,
        manner: Manner,
        model: ModelRef,
        ids: &[Bson],
        returning: bool,
    ) -> Result<(u64, Option<RawDocumentBuf>)> {
        let (mut count, mut document) = (0, None);
        for chunk in ids.chunks(BATCH) {
            let end = manner.end(&model);
            let (ended, state) = self.end(model.0, &with_ids(chunk), end, !returning, returning).await?;
            count += ended;
            document = state;
        }
        Ok((count, document))
    }

    /// Clears the keys of `set_null` relations, and ends the leaves that hang on these documents.
    async fn let_go(&self, manner: Manner, model: ModelRef, ids: &[Bson]) -> Result<()> {
        for referrer in self.acting(&model) {
            let clears = referrer.relation.on_delete == OnDelete::SetNull;
            let leaves = referrer.relation.on_delete == OnDelete::Cascade && self.is_leaf(referrer.model);
            if !clears && !leaves {
                continue;
            }
            for keys in self.keys(model, ids, referrer).await?.chunks(BATCH) {
                if clears {
                    self.clear(referrer, keys, manner.now).await?;
                } else {
                    let filter = manner.takes(referrer.model, referring(referrer, keys));
                    self.end(referrer.model, &filter, manner.end(referrer.model), true, false).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes keys away from those that hold them.
    async fn clear(&self, referrer: &Referrer, keys: &[Bson], now: bson::DateTime) -> Result<()> {
        let (model, path) = (ModelRef(referrer.model), Path::Borrowed(referrer.relation.local()));
        let mut changes = vec![match referrer.relation.kind {
            RelationKind::ReferencesMany => Change::Pull(path, keys.to_vec()),
            _ => Change::Unset(path),
        }];
        if model.timestamps {
            changes.push(Change::Set(UPDATED_AT.into(), now.into()));
        }
        changes.extend(model.version.map(|version| Change::Inc(version.into(), Bson::Int64(1))));
        let filter = referring(referrer, keys);
        let update = Update { changes, many: true, with_deleted: true, ..Update::new(model, filter) };
        self.send(compile::update(&update)?.into()).await.map(|_| ())
    }

    async fn ids(&self, model: ModelRef, filter: Filter, limit: u64) -> Result<Vec<Bson>> {
        self.values(model, filter, "_id", Some(limit)).await
    }

    /// What the referrer's key holds for these documents: their ids, unless the relation says otherwise.
    async fn keys(&self, model: ModelRef, ids: &[Bson], referrer: &Referrer) -> Result<Vec<Bson>> {
        let path = referrer.relation.foreign;
        if path == "_id" {
            return Ok(ids.to_vec());
        }
        let mut keys = Vec::new();
        for chunk in ids.chunks(BATCH) {
            keys.extend(self.values(model, with_ids(chunk), path, None).await?);
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
        let projection = Projection::Only(vec![path.into()]);
        let select = Select { filter, limit, projection, ..Select::new(model) };
        distinct(&self.documents(compile::select(&select)?.into()).await?, path)
    }

    async fn how_many(&self, model: ModelRef, filter: Filter) -> Result<u64> {
        let count = Count { with_deleted: true, ..Count::new(model, filter) };
        self.count(compile::count(&count)?.into()).await
    }
}

/// A delete that takes minutes is not run again and again: a transaction that is over its limits never ends well.
fn once(error: Error) -> Error {
    if error.retry() != Retry::Transaction {
        return error;
    }
    error.with_retry(Retry::Never).context(format!(
        "a delete that takes more than {GATHERED} documents with it is tried once, and nothing was deleted; delete the \
         documents that it would take in smaller parts before"
    ))
}

fn with_ids(ids: &[Bson]) -> Filter {
    Filter::Field(Path::Borrowed("_id"), Predicate::In(ids.to_vec()))
}

fn referring(referrer: &Referrer, keys: &[Bson]) -> Filter {
    Filter::Field(referrer.relation.local().into(), Predicate::In(keys.to_vec()))
}

fn restricted(model: &ModelDef, referrer: &Referrer, count: u64) -> Error {
    let relation = format!("{}.{}", referrer.model.name, referrer.relation.name);
    Error::restricted(model.name, relation, count)
}
