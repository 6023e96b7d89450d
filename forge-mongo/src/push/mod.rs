//! Index push: compares what the models declare with what is there, and creates what is missing.

mod spec;
#[cfg(test)]
mod tests;

use bson::Document;
use forge_core::adapter::{PushAction, PushPlan, PushStep};
use forge_core::model::ModelDef;
use forge_core::{Catalog, ErrorCode, Result};

use crate::driver::Driver;
use spec::Fingerprint;

/// What to do about one declared index.
struct Decision {
    step: PushStep,
    /// What to create; none where it stays as it is.
    create: Option<Document>,
    /// The index that has to go first.
    drop: Option<String>,
}

/// Compares the indexes of every model with those of `database`; with `apply` creates and rebuilds. Running it again
/// changes nothing more.
///
/// An index that differs is dropped and created again, unless one of the two is unique: its rule would be unchecked in
/// between, so a person decides. Indexes that no model declares are left alone.
pub(crate) async fn push(
    driver: &dyn Driver,
    database: &str,
    catalog: &Catalog,
    apply: bool,
) -> Result<PushPlan> {
    let mut plan = PushPlan::default();
    for model in catalog.models() {
        let present = driver.list_indexes(database, model.collection).await?;
        let (decisions, extra) = decide(model, &present, driver.capabilities().text)?;
        for decision in decisions {
            let step = if apply { carry_out(driver, database, decision).await? } else { decision.step };
            plan.steps.push(step);
        }
        plan.steps.extend(extra);
    }
    Ok(plan)
}

fn decide(model: &ModelDef, present: &[Document], text: bool) -> Result<(Vec<Decision>, Vec<PushStep>)> {
    let mut left: Vec<(&str, Fingerprint)> = present
        .iter()
        .filter_map(|index| Some((index.get_str("name").ok()?, Fingerprint::of(index))))
        .filter(|(name, _)| *name != "_id_")
        .collect();
    let wanted = spec::wanted(model)?;
    let mut decisions: Vec<Option<Decision>> = Vec::with_capacity(wanted.len());
    // Equal indexes first, whatever their name: what is left may stand in the way of the others.
    for spec in &wanted {
        let fingerprint = Fingerprint::of(spec);
        let equal = left.iter().position(|(_, other)| *other == fingerprint);
        decisions.push(equal.map(|at| keep(model, spec, left.remove(at).0)));
    }
    let mut out = Vec::with_capacity(wanted.len());
    for (spec, decision) in wanted.into_iter().zip(decisions) {
        let decision = match decision {
            Some(decision) => decision,
            None if is_text(&spec) && !text => skip(model, &spec),
            None => match in_the_way(&spec, &left) {
                Some(at) => replace(model, spec, &left.remove(at)),
                None => create(model, spec),
            },
        };
        out.push(decision);
    }
    let note = "no model declares it; left alone";
    let extra =
        left.into_iter().map(|(name, _)| step(model, name, PushAction::Extra, Some(note.into()))).collect();
    Ok((out, extra))
}

/// The index that keeps the server from creating `spec`.
fn in_the_way(spec: &Document, left: &[(&str, Fingerprint)]) -> Option<usize> {
    let (name, fingerprint) = (name_of(spec), Fingerprint::of(spec));
    let named = left.iter().position(|(other, _)| *other == name);
    named.or_else(|| left.iter().position(|(_, other)| other.same_place(&fingerprint)))
}

fn keep(model: &ModelDef, spec: &Document, present: &str) -> Decision {
    let wanted = name_of(spec);
    let note = (wanted != present).then(|| format!("it is there as {present}"));
    Decision { step: step(model, wanted, PushAction::Keep, note), create: None, drop: None }
}

fn skip(model: &ModelDef, spec: &Document) -> Decision {
    let note = "this database has no text indexes; text search is not available on it";
    Decision {
        step: step(model, name_of(spec), PushAction::Skip, Some(note.into())),
        create: None,
        drop: None,
    }
}

fn create(model: &ModelDef, spec: Document) -> Decision {
    Decision { step: step(model, name_of(&spec), PushAction::Create, None), create: Some(spec), drop: None }
}

fn replace(model: &ModelDef, spec: Document, present: &(&str, Fingerprint)) -> Decision {
    let (name, (old, fingerprint)) = (name_of(&spec), present);
    if fingerprint.is_unique() || Fingerprint::of(&spec).is_unique() {
        let note = format!(
            "{old} differs, and one of the two is unique: while it is rebuilt nothing would check the rule; stop the \
             writers, drop it with db.{}.dropIndex({old:?}), and push again",
            model.collection
        );
        return Decision {
            step: step(model, name, PushAction::Conflict, Some(note)),
            create: None,
            drop: None,
        };
    }
    let note = format!("{old} differs and is dropped first");
    Decision {
        step: step(model, name, PushAction::Rebuild, Some(note)),
        drop: Some((*old).to_owned()),
        create: Some(spec),
    }
}

async fn carry_out(driver: &dyn Driver, database: &str, decision: Decision) -> Result<PushStep> {
    let Decision { mut step, create, drop } = decision;
    if let Some(name) = &drop {
        driver.drop_index(database, &step.collection, name).await.map_err(|e| e.context(place(&step)))?;
    }
    let Some(spec) = create else { return Ok(step) };
    let Err(error) = driver.create_index(database, &step.collection, &spec).await else { return Ok(step) };
    match error.code() {
        ErrorCode::Unsupported => {
            step.action = PushAction::Skip;
            step.note = Some(format!("the database has no such indexes: {error}"));
            Ok(step)
        }
        ErrorCode::UniqueViolation => {
            step.action = PushAction::Conflict;
            step.note = Some(
                "documents with equal values are there already: remove the doubles, and push again".into(),
            );
            Ok(step)
        }
        _ => Err(error.context(place(&step))),
    }
}

fn place(step: &PushStep) -> String {
    format!("the index {} of {}", step.index, step.collection)
}

fn step(model: &ModelDef, index: &str, action: PushAction, note: Option<String>) -> PushStep {
    PushStep { collection: model.collection.to_owned(), index: index.to_owned(), action, note }
}

fn name_of(spec: &Document) -> &str {
    spec.get_str("name").unwrap_or_default()
}

fn is_text(spec: &Document) -> bool {
    spec.contains_key("weights")
}
