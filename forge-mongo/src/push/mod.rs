//! Push: compares what the models declare with what is there, and brings it about.

pub(crate) mod collections;
mod drift;
mod fingerprint;
mod indexes;
mod search;
pub(crate) mod shards;
mod spec;
#[cfg(test)]
mod tests;

use forge_core::adapter::{PushPlan, PushSettings};
use forge_core::model::ModelDef;
use forge_core::{Catalog, Result};

use crate::driver::Driver;
use collections::Collections;

/// Compares the schema of every model with `database`, and does what `settings` say. Running it again changes nothing
/// more.
///
/// An index that differs is changed in place where that is possible, else dropped and created again, unless one of the
/// two is unique: its rule would be unchecked in between, so a person decides. Indexes that no model declares are left
/// alone, or hidden first and dropped by a later push.
pub(crate) async fn push(
    driver: &dyn Driver,
    database: &str,
    catalog: &Catalog,
    settings: &PushSettings,
) -> Result<PushPlan> {
    let mut plan = PushPlan::default();
    let present = Collections::list(driver, database).await?;
    for model in in_order(catalog) {
        if let Some(view) = &model.view
            && let Some(decision) = collections::view(model, view, &present)?
        {
            plan.steps.push(decision.carry_out(driver, database, settings).await?);
        }
        if model.is_plain_view() {
            continue;
        }
        if let Some(decision) = collections::validator(model, &present) {
            plan.steps.push(decision.carry_out(driver, database, settings).await?);
        }
        let listed = driver.list_indexes(database, model.collection).await?;
        for decision in indexes::decide(model, &listed, driver.capabilities().text, settings)? {
            let step = if settings.apply {
                indexes::carry_out(driver, database, decision, settings).await?
            } else {
                decision.step
            };
            plan.steps.push(step);
        }
        plan.steps.extend(search::push(driver, database, model, settings).await?);
        if model.pre_images && !driver.capabilities().always_pre_images {
            // The steps before may have created the collection.
            let present = Collections::list(driver, database).await?;
            let decision = collections::pre_images(model, &present, driver.capabilities().pre_images);
            plan.steps.push(decision.carry_out(driver, database, settings).await?);
        }
    }
    plan.steps.extend(shards::push(driver, database, catalog, settings).await?);
    Ok(plan)
}

/// The models, views after what they read.
fn in_order(catalog: &Catalog) -> Vec<&'static ModelDef> {
    let depth = |model: &&ModelDef| {
        let mut source = model.view;
        let mut depth = 0;
        // The catalog has no rings.
        while let Some(view) = source {
            depth += 1;
            source = (view.source)().view;
        }
        depth
    };
    let mut models = catalog.models().to_vec();
    models.sort_by_key(depth);
    models
}

/// A whole number of any numeric type.
pub(crate) fn whole(value: &bson::Bson) -> Option<i64> {
    match fingerprint::number(value) {
        bson::Bson::Int64(n) => Some(n),
        _ => None,
    }
}
