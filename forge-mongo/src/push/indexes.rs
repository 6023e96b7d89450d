//! Indexes: what is declared against what is there.

use bson::{Bson, Document, doc};
use forge_core::adapter::{PushAction, PushKind, PushSettings, PushStep};
use forge_core::model::ModelDef;
use forge_core::{ErrorCode, Result};

use super::fingerprint::Fingerprint;
use super::{drift, spec};
use crate::driver::Driver;

/// What to do about one index.
pub(super) struct Decision {
    pub(super) step: PushStep,
    work: Work,
}

enum Work {
    Nothing,
    Create(Document),
    /// The name of the present one, and what changes of it.
    Modify(String, Document),
    /// The present one, which has to go first.
    Rebuild(Document, Document),
    Drop(String),
}

/// What to do about every index that is declared, and then about every other one.
pub(super) fn decide(
    model: &ModelDef,
    present: &[Document],
    text: bool,
    settings: &PushSettings,
) -> Result<Vec<Decision>> {
    let mut left: Vec<Present<'_>> =
        present.iter().map(Present::new).filter(|present| present.name != "_id_").collect();
    let wanted = spec::wanted(model)?;
    let mut decisions: Vec<Option<Decision>> = Vec::with_capacity(wanted.len());
    // Equal indexes first, whatever their name: what is left may stand in the way of the others.
    for spec in &wanted {
        let fingerprint = Fingerprint::of(spec);
        let same = |present: &Present<'_>| present.fingerprint == fingerprint;
        let named = left.iter().position(|present| same(present) && present.name == name_of(spec));
        let equal = named.or_else(|| left.iter().position(same));
        decisions.push(equal.map(|at| keep(model, spec, left.remove(at).name)));
    }
    let mut out = Vec::with_capacity(wanted.len());
    for (spec, decision) in wanted.into_iter().zip(decisions) {
        out.push(match decision {
            Some(decision) => decision,
            None if spec.contains_key("weights") && !text => skip(model, &spec),
            None => match in_the_way(&spec, &left) {
                Some(at) => replace(model, spec, &left.remove(at), settings),
                None => decided(model, name_of(&spec), PushAction::Create, None, Work::Create(spec.clone())),
            },
        });
    }
    out.extend(left.iter().map(|present| undeclared(model, present, settings)));
    Ok(out)
}

struct Present<'a> {
    name: &'a str,
    spec: &'a Document,
    fingerprint: Fingerprint,
}

impl<'a> Present<'a> {
    fn new(spec: &'a Document) -> Self {
        Self { name: name_of(spec), spec, fingerprint: Fingerprint::of(spec) }
    }
}

/// The index that keeps the server from creating `spec`.
fn in_the_way(spec: &Document, left: &[Present<'_>]) -> Option<usize> {
    let (name, fingerprint) = (name_of(spec), Fingerprint::of(spec));
    let named = left.iter().position(|present| present.name == name);
    named.or_else(|| left.iter().position(|present| present.fingerprint.same_place(&fingerprint)))
}

fn keep(model: &ModelDef, spec: &Document, present: &str) -> Decision {
    let wanted = name_of(spec);
    if wanted == present {
        return decided(model, wanted, PushAction::Keep, None, Work::Nothing);
    }
    let note = format!("it is there as {present}, which serves as it is");
    decided(model, wanted, PushAction::Adopt, Some(note), Work::Nothing)
}

fn skip(model: &ModelDef, spec: &Document) -> Decision {
    let note = "this database has no text indexes; text search is not available on it";
    decided(model, name_of(spec), PushAction::Skip, Some(note.into()), Work::Nothing)
}

fn replace(model: &ModelDef, spec: Document, present: &Present<'_>, settings: &PushSettings) -> Decision {
    let (name, old, fingerprint) = (name_of(&spec).to_owned(), present.name, Fingerprint::of(&spec));
    if let Some(changes) = fingerprint.changes_of(&present.fingerprint) {
        let note = format!("{old} gets {}", listed(&changes));
        let work = Work::Modify(old.to_owned(), changes);
        return decided(model, &name, PushAction::Modify, Some(note), work);
    }
    let rule = present.fingerprint.is_unique() || fingerprint.is_unique();
    if rule && !settings.may_rebuild(model.collection, &name) {
        let note = format!(
            "{old} differs, and one of the two is unique: while it is rebuilt nothing checks the rule; stop the writers \
             and push with --rebuild {}.{name}, or drop it with db.{}.dropIndex({old:?}) and push again",
            model.collection, model.collection
        );
        return decided(model, &name, PushAction::Conflict, Some(note), Work::Nothing);
    }
    let note = format!("{old} differs and is dropped first");
    let work = Work::Rebuild(present.spec.clone(), spec);
    decided(model, &name, PushAction::Rebuild, Some(note), work)
}

fn undeclared(model: &ModelDef, present: &Present<'_>, settings: &PushSettings) -> Decision {
    let name = present.name;
    let (action, note, work) = if carries_shard_key(model, &present.fingerprint) {
        (PushAction::Extra, "no model declares it; it carries the shard key, and stays", Work::Nothing)
    } else if !settings.prune {
        (PushAction::Extra, "no model declares it; left alone (push --prune hides it)", Work::Nothing)
    } else if present.fingerprint.is_hidden() {
        (PushAction::Drop, "no model declares it, and it is hidden", Work::Drop(name.to_owned()))
    } else {
        let hide = Work::Modify(name.to_owned(), doc! { "hidden": true });
        (
            PushAction::Hide,
            "no model declares it; see whether a query misses it: the next push --prune drops it",
            hide,
        )
    };
    decided(model, name, action, Some(note.to_owned()), work)
}

fn carries_shard_key(model: &ModelDef, present: &Fingerprint) -> bool {
    let Some(shard_key) = &model.shard_key else { return false };
    let mut paths = present.key().keys();
    shard_key.keys.iter().all(|(path, _)| paths.next().is_some_and(|present| present == path))
}

/// Does what was decided; a refusal of the server becomes a part of the answer.
pub(super) async fn carry_out(
    driver: &dyn Driver,
    database: &str,
    decision: Decision,
    settings: &PushSettings,
) -> Result<PushStep> {
    let Decision { step, work } = decision;
    if let (Some(progress), false) = (&settings.progress, matches!(work, Work::Nothing)) {
        progress(&step);
    }
    let collection = step.collection.clone();
    let done = match work {
        Work::Nothing => Ok(()),
        Work::Create(spec) => driver.create_index(database, &collection, &spec).await,
        Work::Modify(name, changes) => modify(driver, database, &collection, &name, &changes).await,
        Work::Drop(name) => driver.drop_index(database, &collection, &name).await,
        Work::Rebuild(old, spec) => rebuild(driver, database, &collection, &old, &spec).await,
    };
    match done {
        Ok(()) => Ok(step),
        Err(error) if error.code() == ErrorCode::Unsupported && step.action == PushAction::Hide => {
            Ok(PushStep {
                action: PushAction::Extra,
                note: Some(format!(
                    "this database cannot hide indexes; drop it by hand if nothing uses it ({error})"
                )),
                ..step
            })
        }
        Err(error) => drift::explain(step, error),
    }
}

async fn modify(
    driver: &dyn Driver,
    database: &str,
    collection: &str,
    name: &str,
    changes: &Document,
) -> Result<()> {
    let mut index = doc! { "name": name };
    index.extend(changes.clone());
    driver.admin(database, &doc! { "collMod": collection, "index": index }).await.map(|_| ())
}

/// Drops the one and creates the other; where that fails, the first is there again.
async fn rebuild(
    driver: &dyn Driver,
    database: &str,
    collection: &str,
    old: &Document,
    new: &Document,
) -> Result<()> {
    driver.drop_index(database, collection, name_of(old)).await?;
    let Err(error) = driver.create_index(database, collection, new).await else { return Ok(()) };
    let restored = driver.create_index(database, collection, &recreatable(old)).await;
    Err(match restored {
        Ok(()) => error,
        Err(failure) => {
            error.context(format_args!("{} could not be restored either: {failure}", name_of(old)))
        }
    })
}

/// A listed index in its `createIndexes` form.
fn recreatable(listed: &Document) -> Document {
    let mut spec = listed.clone();
    for added in ["v", "ns", "background", "textIndexVersion", "2dsphereIndexVersion"] {
        spec.remove(added);
    }
    if let (Ok(key), Ok(weights)) = (listed.get_document("key"), listed.get_document("weights"))
        && key.contains_key("_fts")
    {
        let text = weights.keys().map(|path| (path.clone(), Bson::from("text")));
        let plain = |path: &&String| !["_fts", "_ftsx"].contains(&path.as_str());
        let before = key.iter().take_while(|(path, _)| *path != "_fts").map(|(k, v)| (k.clone(), v.clone()));
        let after = key.iter().skip_while(|(path, _)| *path != "_fts").filter(|(path, _)| plain(path));
        let keys = before.chain(text).chain(after.map(|(k, v)| (k.clone(), v.clone())));
        spec.insert("key", keys.collect::<Document>());
    }
    spec
}

fn listed(changes: &Document) -> String {
    changes.iter().map(|(option, value)| format!("{option}: {value}")).collect::<Vec<_>>().join(", ")
}

fn decided(model: &ModelDef, index: &str, action: PushAction, note: Option<String>, work: Work) -> Decision {
    let (collection, index) = (model.collection.to_owned(), index.to_owned());
    Decision { step: PushStep { collection, kind: PushKind::Index, index, action, note }, work }
}

fn name_of(spec: &Document) -> &str {
    spec.get_str("name").unwrap_or_default()
}
