//! Validators and views: what a collection is created with.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use forge_core::adapter::{PushAction, PushKind, PushSettings, PushStep};
use forge_core::model::{ModelDef, ViewDef};
use forge_core::{ErrorCode, Result, schema};

use super::fingerprint::number;
use crate::compile;
use crate::driver::Driver;

/// What `listCollections` says, by name.
pub(crate) struct Collections(BTreeMap<String, Document>);

impl Collections {
    /// Those of `database`; as if there were none, where the user may not list them.
    pub(crate) async fn list(driver: &dyn Driver, database: &str) -> Result<Self> {
        let command = doc! { "listCollections": 1, "cursor": { "batchSize": 100_000 } };
        let reply = match driver.admin(database, &command).await {
            Err(error) if matches!(error.code(), ErrorCode::Forbidden | ErrorCode::Unsupported) => {
                Document::new()
            }
            reply => reply?,
        };
        let all =
            first_batch(&reply).filter_map(|one| Some((one.get_str("name").ok()?.to_owned(), one.clone())));
        Ok(Self(all.collect()))
    }

    /// Every name, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is something of that name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether it is a view.
    pub(crate) fn is_view(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|one| one.get_str("type").is_ok_and(|kind| kind == "view"))
    }

    /// What it was created with.
    pub(crate) fn options(&self, name: &str) -> Option<&Document> {
        self.0.get(name)?.get_document("options").ok()
    }
}

/// The documents in the first batch of a cursor.
pub(crate) fn first_batch(reply: &Document) -> impl Iterator<Item = &Document> {
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    batch.into_iter().flatten().filter_map(Bson::as_document)
}

/// A step and the command that carries it out.
pub(super) struct Decision {
    step: PushStep,
    command: Option<Document>,
}

impl Decision {
    fn new(model: &ModelDef, kind: PushKind, action: PushAction, note: Option<String>) -> Self {
        let index = match kind {
            PushKind::View => "view",
            PushKind::PreImages => "before-images",
            _ => "validator",
        };
        let index = index.to_owned();
        let collection = model.collection.to_owned();
        Self { step: PushStep { collection, kind, index, action, note }, command: None }
    }

    fn by(self, command: Document) -> Self {
        Self { command: Some(command), ..self }
    }

    /// Runs the command, where there is one and the settings say so.
    pub(super) async fn carry_out(
        self,
        driver: &dyn Driver,
        database: &str,
        settings: &PushSettings,
    ) -> Result<PushStep> {
        let Self { mut step, command } = self;
        let Some(command) = command.filter(|_| settings.apply) else { return Ok(step) };
        if let Some(progress) = &settings.progress {
            progress(&step);
        }
        match driver.admin(database, &command).await {
            Ok(_) => Ok(step),
            Err(error) if error.code() == ErrorCode::Unsupported => {
                step.action = PushAction::Skip;
                step.note = Some(format!("the database has no such thing: {error}"));
                Ok(step)
            }
            Err(error) => Err(error.context(format_args!("the {} of {}", step.index, step.collection))),
        }
    }
}

/// The view of a model whose documents are stored nowhere, or that a collection is where one is stored.
pub(super) fn view(model: &ModelDef, view: &ViewDef, present: &Collections) -> Result<Option<Decision>> {
    let decided = |action, note| Decision::new(model, PushKind::View, action, note);
    let (name, is_view) = (model.collection, present.is_view(model.collection));
    if view.refresh.is_some() {
        let note =
            format!("a view is there, and {} stores its documents: drop it, and push again", model.name);
        return Ok(is_view.then(|| decided(PushAction::Conflict, Some(note))));
    }
    let (source, pipeline) = ((view.source)().collection, compile::view(view)?);
    let wanted = doc! { "viewOn": source, "pipeline": pipeline };
    if !present.contains(name) {
        let mut create = doc! { "create": name };
        create.extend(wanted);
        return Ok(Some(decided(PushAction::Create, Some(format!("over {source}"))).by(create)));
    }
    if !is_view {
        let note =
            format!("a collection is there, and {} is a view: rename or drop it, and push again", model.name);
        return Ok(Some(decided(PushAction::Conflict, Some(note))));
    }
    let options = present.options(name).cloned().unwrap_or_default();
    let same = |key: &str| options.get(key).map(number) == wanted.get(key).map(number);
    if same("viewOn") && same("pipeline") {
        return Ok(Some(decided(PushAction::Keep, None)));
    }
    let mut change = doc! { "collMod": name };
    change.extend(wanted);
    Ok(Some(decided(PushAction::Modify, Some("its source or pipeline differs".into())).by(change)))
}

/// That the server keeps the documents of a collection as they were, for change events.
pub(super) fn pre_images(model: &ModelDef, present: &Collections, capable: bool) -> Decision {
    let decided = |action, note| Decision::new(model, PushKind::PreImages, action, note);
    if !capable {
        let note = "the server cannot keep them: MongoDB 6.0 or newer, as a replica set, can";
        return decided(PushAction::Skip, Some(note.into()));
    }
    const OPTION: &str = "changeStreamPreAndPostImages";
    let options = present.options(model.collection);
    let kept = options.and_then(|options| options.get_document(OPTION).ok()?.get_bool("enabled").ok());
    if kept == Some(true) {
        return decided(PushAction::Keep, None);
    }
    let exists = present.contains(model.collection);
    let mut command = if exists {
        doc! { "collMod": model.collection }
    } else {
        doc! { "create": model.collection }
    };
    command.insert(OPTION, doc! { "enabled": true });
    let action = if exists { PushAction::Modify } else { PushAction::Create };
    decided(action, None).by(command)
}

/// The validator of a collection, where the model or the collection has one.
pub(super) fn validator(model: &ModelDef, present: &Collections) -> Option<Decision> {
    let decided = |action, note| Decision::new(model, PushKind::Validator, action, note);
    let options = present.options(model.collection).cloned().unwrap_or_default();
    let there = options.get_document("validator").ok().filter(|validator| !validator.is_empty());
    let Some(declared) = &model.json_schema else {
        let note = "no model declares it; left alone";
        return there.map(|_| decided(PushAction::Extra, Some(note.into())));
    };
    let wanted = doc! {
        "validator": { "$jsonSchema": schema::json_schema(model) },
        "validationLevel": declared.level(),
        "validationAction": declared.action(),
    };
    if there.is_some_and(|there| there.len() != 1 || !there.contains_key("$jsonSchema")) {
        let note = format!(
            "the collection has a validator of its own, which would be lost: remove it with \
             db.runCommand({{ collMod: {:?}, validator: {{}} }}), and push again",
            model.collection
        );
        return Some(decided(PushAction::Conflict, Some(note)));
    }
    // These are a server's own defaults, which it does not list.
    let present_or = |key: &str, default: &str| options.get_str(key).unwrap_or(default).to_owned();
    let same = there.map(|there| number(&there.clone().into())) == wanted.get("validator").map(number)
        && present_or("validationLevel", "strict") == declared.level()
        && present_or("validationAction", "error") == declared.action();
    if same {
        return Some(decided(PushAction::Keep, None));
    }
    let note = Some(format!("{}, {}", declared.level(), declared.action()));
    let exists = present.contains(model.collection);
    let mut command = if exists {
        doc! { "collMod": model.collection }
    } else {
        doc! { "create": model.collection }
    };
    command.extend(wanted);
    let action = if there.is_some() { PushAction::Modify } else { PushAction::Create };
    Some(decided(action, note).by(command))
}
