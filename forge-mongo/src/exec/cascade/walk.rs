//! Gathering what goes with some documents, without changing anything.

use std::collections::{HashMap, HashSet};

use bson::Bson;
use forge_core::Result;
use forge_core::catalog::Referrer;
use forge_core::model::{ModelDef, ModelRef, OnDelete};

use super::super::keys::Key;
use super::super::relations::visible;
use super::{BATCH, Manner, referring, restricted};
use crate::exec::run::Run;

/// Everything that one delete takes with it, but for leaves. Only ids are held.
pub(super) struct Walk {
    pub(super) manner: Manner,
    /// Children before their parents.
    pub(super) batches: Vec<(ModelRef, Vec<Bson>)>,
    /// Model → the ids that are gathered, which ends rings of cascades.
    seen: HashMap<&'static str, HashSet<Key<'static>>>,
    /// How many more ids may be gathered.
    room: usize,
    /// Whether leaves are gathered as well.
    leaves: bool,
}

impl Walk {
    /// A walk that gathers at most so many ids.
    pub(super) fn new(manner: Manner, most: usize) -> Self {
        Self { manner, batches: Vec::new(), seen: HashMap::new(), room: most, leaves: false }
    }

    /// A walk that gathers leaves as well.
    pub(super) fn with_leaves(self) -> Self {
        Self { leaves: true, ..self }
    }

    /// Whether there is room for the ids; those that are new are left of them.
    fn takes(&mut self, model: &ModelDef, ids: &mut Vec<Bson>) -> bool {
        let seen = self.seen.entry(model.name).or_default();
        ids.retain(|id| Key::of(id).is_none_or(|key| seen.insert(key)));
        let fits = ids.len() <= self.room;
        self.room -= ids.len().min(self.room);
        fits
    }

    pub(super) fn leaving(&self, model: &ModelDef) -> Option<&HashSet<Key<'static>>> {
        self.seen.get(model.name)
    }
}

/// Documents whose children are being gathered. A list of these stands for the recursion, since chains may be long.
struct Step<'c> {
    model: ModelRef,
    ids: Vec<Bson>,
    /// The cascades that are still to be followed.
    rest: Vec<&'c Referrer>,
}

impl Run<'_> {
    /// Gathers the documents and, before them, everything that goes with them; none where there is no room for it.
    pub(super) async fn walk(
        &self,
        mut walk: Walk,
        model: ModelRef,
        mut ids: Vec<Bson>,
    ) -> Result<Option<Walk>> {
        if !walk.takes(&model, &mut ids) {
            return Ok(None);
        }
        let mut steps = vec![self.step(&walk, model, ids)];
        while let Some(step) = steps.last_mut() {
            let Some(referrer) = step.rest.pop() else {
                let done = steps.pop();
                walk.batches.extend(done.map(|step| (step.model, step.ids)));
                continue;
            };
            let Some(children) = self.gathered(&mut walk, step, referrer).await? else { return Ok(None) };
            if !children.is_empty() {
                let step = self.step(&walk, ModelRef(referrer.model), children);
                steps.push(step);
            }
        }
        Ok(Some(walk))
    }

    fn step(&self, walk: &Walk, model: ModelRef, ids: Vec<Bson>) -> Step<'_> {
        let cascades = self.acting_as(&model, OnDelete::Cascade);
        let mut rest: Vec<_> =
            cascades.filter(|referrer| walk.leaves || !self.is_leaf(referrer.model)).collect();
        rest.reverse();
        Step { model, ids, rest }
    }

    /// The ids of new children; none where there is no room for them.
    async fn gathered(
        &self,
        walk: &mut Walk,
        step: &Step<'_>,
        referrer: &Referrer,
    ) -> Result<Option<Vec<Bson>>> {
        let child = ModelRef(referrer.model);
        let mut children = Vec::new();
        for keys in self.keys(step.model, &step.ids, referrer).await?.chunks(BATCH) {
            let filter = walk.manner.takes(&child, referring(referrer, keys));
            let most = walk.room + walk.leaving(&child).map_or(0, HashSet::len) + 1;
            let mut found = self.ids(child, filter, most as u64).await?;
            if !walk.takes(&child, &mut found) {
                return Ok(None);
            }
            children.append(&mut found);
        }
        Ok(Some(children))
    }

    /// Refuses where a document that stays refers to one that goes.
    pub(super) async fn refuse_restricted(&self, walk: &Walk) -> Result<()> {
        for (model, ids) in &walk.batches {
            for referrer in self.acting_as(model, OnDelete::Restrict) {
                let mut count = 0;
                for keys in self.keys(*model, ids, referrer).await?.chunks(BATCH) {
                    count += self.staying(walk, referrer, keys, &mut Vec::new()).await?;
                }
                if count > 0 {
                    return Err(restricted(model, referrer, count));
                }
            }
        }
        Ok(())
    }

    /// How many documents refer to the keys and stay; some of their ids go into `sample`.
    pub(super) async fn staying(
        &self,
        walk: &Walk,
        referrer: &Referrer,
        keys: &[Bson],
        sample: &mut Vec<Bson>,
    ) -> Result<u64> {
        let child = ModelRef(referrer.model);
        let filter = visible(&child, referring(referrer, keys));
        let Some(leaving) = walk.leaving(&child).filter(|leaving| !leaving.is_empty()) else {
            if walk.leaves && sample.len() < super::forecast::SAMPLE {
                sample.extend(self.ids(child, filter.clone(), super::forecast::SAMPLE as u64).await?);
            }
            return self.how_many(child, filter).await;
        };
        let ids = self.values(child, filter, "_id", None).await?;
        let stays = |id: &&Bson| Key::of(id).is_none_or(|key| !leaving.contains(&key));
        sample.extend(ids.iter().filter(stays).take(super::forecast::SAMPLE).cloned());
        Ok(ids.iter().filter(stays).count() as u64)
    }
}
