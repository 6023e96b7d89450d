//! What a delete would do, without doing it.

use bson::Bson;
use forge_core::Result;
use forge_core::catalog::Referrer;
use forge_core::ir::{Affected, Delete, Fate, Forecast};
use forge_core::model::{ModelRef, OnDelete};

use super::walk::Walk;
use super::{AT_MOST, BATCH, Manner};
use crate::exec::run::Run;

/// How many ids of each kind are told.
pub(super) const SAMPLE: usize = 5;

impl Run<'_> {
    /// Tells what a delete would do.
    pub(in crate::exec) async fn foretell(&self, op: Delete) -> Result<Forecast> {
        let manner = Manner::of(&op);
        let asking = self.comparing_by(op.collation.as_ref());
        let roots = asking.roots(manner, &op).await?;
        let ids = asking.first_of(op.model, &roots, if op.many { AT_MOST + 1 } else { 1 }).await?;
        let mut forecast = Forecast::default();
        if ids.is_empty() {
            forecast.complete = true;
            return Ok(forecast);
        }
        let (count, sample) = (ids.len() as u64, ids[..ids.len().min(SAMPLE)].to_vec());
        let fate = fate(manner, op.model);
        let walk = Walk::new(manner, AT_MOST).with_leaves();
        let Some(walk) = self.walk(walk, op.model, ids).await? else {
            forecast.models.push(Affected { model: op.model, relation: None, fate, count, sample });
            return Ok(forecast);
        };
        forecast.complete = true;
        for (model, ids) in &walk.batches {
            self.add_references(&mut forecast, &walk, *model, ids).await?;
            let affected = Affected {
                model: *model,
                relation: None,
                fate: self::fate(manner, *model),
                count: ids.len() as u64,
                sample: ids[..ids.len().min(SAMPLE)].to_vec(),
            };
            add(&mut forecast.models, affected);
        }
        Ok(forecast)
    }

    /// Adds what would become of documents that refer to these and do not go.
    async fn add_references(
        &self,
        forecast: &mut Forecast,
        walk: &Walk,
        model: ModelRef,
        ids: &[Bson],
    ) -> Result<()> {
        for referrer in self.acting(&model) {
            let (fate, list) = match referrer.relation.on_delete {
                OnDelete::SetNull => (Fate::Cleared, &mut forecast.models),
                OnDelete::Restrict => (Fate::Restricts, &mut forecast.restricted),
                _ => continue,
            };
            let (count, sample) = self.staying_of(walk, model, ids, referrer).await?;
            if count > 0 {
                let relation = Some(referrer.relation.name);
                add(list, Affected { model: ModelRef(referrer.model), relation, fate, count, sample });
            }
        }
        Ok(())
    }

    async fn staying_of(
        &self,
        walk: &Walk,
        model: ModelRef,
        ids: &[Bson],
        referrer: &Referrer,
    ) -> Result<(u64, Vec<Bson>)> {
        let (mut count, mut sample) = (0, Vec::new());
        for keys in self.keys(model, ids, referrer).await?.chunks(BATCH) {
            count += self.staying(walk, referrer, keys, &mut sample).await?;
        }
        sample.truncate(SAMPLE);
        Ok((count, sample))
    }
}

fn fate(manner: Manner, model: ModelRef) -> Fate {
    if manner.end(&model).soft { Fate::SoftDeleted } else { Fate::Removed }
}

/// Adds to the entry of the same kind, where there is one.
fn add(list: &mut Vec<Affected>, new: Affected) {
    let same =
        |old: &&mut Affected| old.model == new.model && old.relation == new.relation && old.fate == new.fate;
    match list.iter_mut().find(same) {
        None => list.push(new),
        Some(old) => {
            old.count += new.count;
            old.sample.extend(new.sample);
            old.sample.truncate(SAMPLE);
        }
    }
}
