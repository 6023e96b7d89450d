//! Deletes of any size: each document goes as soon as everything that hangs on it has gone, a thousand at a time.

use std::collections::HashSet;

use bson::{Bson, RawDocumentBuf};
use forge_core::Result;
use forge_core::catalog::Referrer;
use forge_core::ir::{Filter, Outcome, Path, Predicate};
use forge_core::model::{ModelDef, ModelRef, OnDelete};

use super::super::delete::ended;
use super::super::keys::Key;
use super::super::relations::visible;
use super::{BATCH, Manner, referring, restricted};
use crate::compile::Joined;
use crate::exec::run::Run;

/// Documents that go next, once their children have.
struct Step<'c> {
    model: ModelRef,
    ids: Vec<Bson>,
    /// The cascades whose children are still to go.
    rest: Vec<&'c Referrer>,
    /// Children that wait for these documents themselves: members of a ring.
    waiting: Vec<Bson>,
}

/// What is known along the way.
struct Parts<'c> {
    manner: Manner,
    steps: Vec<Step<'c>>,
    /// The documents of all steps.
    under_way: HashSet<(&'static str, Key<'static>)>,
    /// The models that the delete may reach.
    reached: HashSet<&'static str>,
    /// References from documents that may still go, by documents that have gone.
    open: Vec<(ModelRef, &'c Referrer, Vec<Bson>)>,
}

impl<'a> Run<'a> {
    /// Deletes in a transaction, whatever the number of documents; `asking` finds those that are meant. At no time more than a thousand ids are held for each
    /// level of relations.
    ///
    /// # Errors
    /// `restricted`, after some documents are gone: the transaction must be undone.
    pub(super) async fn by_parts(
        &self,
        asking: Run<'_>,
        manner: Manner,
        model: ModelRef,
        roots: Joined,
        many: bool,
        returning: bool,
    ) -> Result<Outcome> {
        let reached = self.reached(model.0);
        // What joins find may change with what goes: those that are meant are found before.
        let meant = match roots.lookups.is_empty() {
            true => None,
            false => Some(asking.first_of(model, &roots, if many { usize::MAX } else { 1 }).await?),
        };
        let filter = roots.own();
        let matched = match &meant {
            Some(ids) => ids.len() as u64,
            None if many => asking.how_many(model, filter.clone()).await?,
            None => 1,
        };
        let mut parts =
            Parts { manner, steps: Vec::new(), under_way: HashSet::new(), reached, open: Vec::new() };
        let mut document = None;
        if meant.is_some() || self.changes_roots(&parts.reached, model.0) {
            // What is cleared along the way could match the filter.
            let ids = match meant {
                Some(ids) => ids,
                None => asking.values(model, filter, "_id", if many { None } else { Some(1) }).await?,
            };
            for chunk in ids.chunks(BATCH) {
                document = self.part(&mut parts, model, chunk.to_vec(), returning).await?;
            }
        } else {
            let page = if many { BATCH as u64 } else { 1 };
            loop {
                let ids = asking.ids(model, filter.clone(), page).await?;
                let last = !many || ids.len() < BATCH;
                document = self.part(&mut parts, model, ids, returning).await?;
                if last {
                    break;
                }
            }
        }
        for (model, referrer, keys) in std::mem::take(&mut parts.open) {
            let filter = visible(referrer.model, referring(referrer, &keys));
            let count = self.how_many(ModelRef(referrer.model), filter).await?;
            if count > 0 {
                return Err(restricted(&model, referrer, count));
            }
        }
        Ok(ended(matched, document))
    }

    /// The models that a delete of `model` may take documents of.
    fn reached(&self, model: &'static ModelDef) -> HashSet<&'static str> {
        let (mut reached, mut next) = (HashSet::from([model.name]), vec![model]);
        while let Some(model) = next.pop() {
            for referrer in self.acting_as(model, OnDelete::Cascade) {
                if reached.insert(referrer.model.name) {
                    next.push(referrer.model);
                }
            }
        }
        reached
    }

    /// Whether a delete that reaches these models may clear keys of documents of `root`.
    fn changes_roots(&self, reached: &HashSet<&'static str>, root: &ModelDef) -> bool {
        root.relations.iter().any(|relation| {
            relation.on_delete == OnDelete::SetNull && reached.contains((relation.target)().name)
        })
    }

    /// Deletes some documents with everything that hangs on them.
    async fn part(
        &self,
        parts: &mut Parts<'a>,
        model: ModelRef,
        ids: Vec<Bson>,
        returning: bool,
    ) -> Result<Option<RawDocumentBuf>> {
        let mut document = None;
        self.enter(parts, model, ids);
        while let Some(step) = parts.steps.last() {
            let (parent, ids) = (step.model, step.ids.clone());
            if let Some(referrer) = step.rest.last().copied() {
                let children = self.next_children(parts, parent, &ids, referrer).await?;
                match children.is_empty() {
                    false => self.enter(parts, ModelRef(referrer.model), children),
                    true => _ = parts.steps.last_mut().and_then(|step| step.rest.pop()),
                }
                continue;
            }
            self.let_go(parts.manner, parent, &ids).await?;
            self.check_restricted(parts, parent, &ids).await?;
            let root = parts.steps.len() == 1;
            (_, document) = self.end_all(parts.manner, parent, &ids, root && returning).await?;
            leave(parts);
        }
        Ok(document)
    }

    fn enter(&self, parts: &mut Parts<'a>, model: ModelRef, ids: Vec<Bson>) {
        parts.under_way.extend(ids.iter().filter_map(|id| Some((model.0.name, Key::of(id)?))));
        let cascades = self.acting_as(&model, OnDelete::Cascade);
        let rest = cascades.filter(|referrer| !self.is_leaf(referrer.model)).collect();
        parts.steps.push(Step { model, ids, rest, waiting: Vec::new() });
    }

    /// Some children that are not under way already.
    async fn next_children(
        &self,
        parts: &mut Parts<'a>,
        parent: ModelRef,
        ids: &[Bson],
        referrer: &Referrer,
    ) -> Result<Vec<Bson>> {
        let child = ModelRef(referrer.model);
        let keys = self.keys(parent, ids, referrer).await?;
        for keys in keys.chunks(BATCH) {
            loop {
                let Some(step) = parts.steps.last_mut() else { return Ok(Vec::new()) };
                let mut filter = parts.manner.takes(&child, referring(referrer, keys));
                if !step.waiting.is_empty() {
                    filter
                        .narrow(Filter::Field(Path::Borrowed("_id"), Predicate::NotIn(step.waiting.clone())));
                }
                let found = self.ids(child, filter, BATCH as u64).await?;
                let busy =
                    |id: &Bson| Key::of(id).is_some_and(|key| parts.under_way.contains(&(child.0.name, key)));
                let (waiting, new): (Vec<_>, Vec<_>) = found.into_iter().partition(busy);
                let blocked = new.is_empty() && !waiting.is_empty();
                step.waiting.extend(waiting);
                if !new.is_empty() {
                    return Ok(new);
                }
                if !blocked {
                    break;
                }
            }
        }
        Ok(Vec::new())
    }

    /// Refuses where a document that can only stay refers to one that goes; remembers where that is still open.
    async fn check_restricted(&self, parts: &mut Parts<'a>, model: ModelRef, ids: &[Bson]) -> Result<()> {
        for referrer in self.acting_as(&model, OnDelete::Restrict) {
            for keys in self.keys(model, ids, referrer).await?.chunks(BATCH) {
                let filter = visible(referrer.model, referring(referrer, keys));
                let count = self.how_many(ModelRef(referrer.model), filter).await?;
                if count == 0 {
                    continue;
                }
                if !parts.reached.contains(referrer.model.name) {
                    return Err(restricted(&model, referrer, count));
                }
                parts.open.push((model, referrer, keys.to_vec()));
            }
        }
        Ok(())
    }
}

fn leave(parts: &mut Parts<'_>) {
    let Some(step) = parts.steps.pop() else { return };
    for id in &step.ids {
        if let Some(key) = Key::of(id) {
            parts.under_way.remove(&(step.model.0.name, key));
        }
    }
}
