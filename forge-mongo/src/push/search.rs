//! Search indexes, over words and over vectors, where the deployment has them.

use bson::{Bson, Document, doc};
use forge_core::adapter::{PushAction, PushKind, PushSettings, PushStep};
use forge_core::model::{ModelDef, SearchDef, SearchKind, VectorDef};
use forge_core::{Error, Result};

use super::whole;
use crate::artifact::{Command, MongoArtifact, Reply};
use crate::compile::{filter_paths, search_index_name, vector_index_name};
use crate::driver::Driver;

/// How servers cut text into words where an index says nothing else.
const ANALYZER: &str = "lucene.standard";

/// An index that a model declares.
struct Wanted {
    name: String,
    /// The server's name of its kind: `vectorSearch` or `search`.
    kind: &'static str,
    definition: Document,
}

/// Compares the search indexes of `model` with those that are there, and does what `settings` say.
pub(super) async fn push(
    driver: &dyn Driver,
    database: &str,
    model: &ModelDef,
    settings: &PushSettings,
) -> Result<Vec<PushStep>> {
    let (mut wanted, mut steps) = (Vec::new(), Vec::new());
    for index in declared(model) {
        match lacking(driver, index.kind) {
            Some(note) => {
                steps.push(step(model, &index.name, PushAction::Skip, Some(note.to_owned())));
            }
            None => wanted.push(index),
        }
    }
    if wanted.is_empty() {
        return Ok(steps);
    }
    let present = list(driver, database, model.collection).await?;
    for wanted in &wanted {
        let found = present.iter().find(|index| name_of(index) == wanted.name);
        let (action, note) = found.map_or((PushAction::Create, None), |found| compare(model, found, wanted));
        let step = step(model, &wanted.name, action, note);
        if settings.apply && step.action.changes() {
            if let Some(progress) = &settings.progress {
                progress(&step);
            }
            carry_out(driver, database, model, found.is_some(), wanted).await?;
        }
        steps.push(step);
    }
    let others = present.iter().map(name_of).filter(|name| wanted.iter().all(|wanted| wanted.name != *name));
    let note = "no model declares it; left alone";
    steps.extend(others.map(|name| step(model, name, PushAction::Extra, Some(note.to_owned()))));
    Ok(steps)
}

/// Everything that a model declares.
fn declared(model: &ModelDef) -> impl Iterator<Item = Wanted> {
    let vectors = model.vectors.iter().map(|vector| Wanted {
        name: vector_index_name(vector.path),
        kind: "vectorSearch",
        definition: vector_definition(model, vector),
    });
    let search = model.search.as_ref().map(|search| Wanted {
        name: search_index_name(model),
        kind: "search",
        definition: search_definition(search),
    });
    vectors.chain(search)
}

/// Why there can be no index of this kind.
fn lacking(driver: &dyn Driver, kind: &str) -> Option<&'static str> {
    let capabilities = driver.capabilities();
    match kind {
        "search" if !capabilities.index_search => Some(
            "this database has no search indexes; `search` finds no words on it (MongoDB Atlas has them)",
        ),
        _ if !capabilities.search => Some(
            "this database has no search indexes; vector search is not available on it (MongoDB Atlas has them)",
        ),
        _ => None,
    }
}

/// What to do about an index that is there under its name.
fn compare(model: &ModelDef, found: &Document, wanted: &Wanted) -> (PushAction, Option<String>) {
    // Servers that do not tell have one kind alone.
    let kind = found.get_str("type").unwrap_or(wanted.kind);
    let by_hand = format!("db.{}.dropSearchIndex({:?})", model.collection, wanted.name);
    if kind != wanted.kind {
        let note = format!("it is of the type {kind}: drop it with {by_hand}, and push again");
        return (PushAction::Conflict, Some(note));
    }
    let same = found.get_document("latestDefinition").is_ok_and(|definition| match wanted.kind {
        "search" => mappings(definition) == mappings(&wanted.definition),
        _ => vector_fields(definition) == vector_fields(&wanted.definition),
    });
    if !same {
        let note = "its definition differs; the server builds the new one beside it";
        return (PushAction::Modify, Some(note.to_owned()));
    }
    match found.get_str("status") {
        Ok("FAILED") => {
            let note = format!("the server failed to build it: drop it with {by_hand}, and push again");
            (PushAction::Conflict, Some(note))
        }
        Ok("PENDING" | "BUILDING") => {
            (PushAction::Keep, Some("the server is building it; searches see it when it is done".to_owned()))
        }
        _ => (PushAction::Keep, None),
    }
}

async fn carry_out(
    driver: &dyn Driver,
    database: &str,
    model: &ModelDef,
    there: bool,
    wanted: &Wanted,
) -> Result<()> {
    let (on, name, definition) = (model.collection, &wanted.name, &wanted.definition);
    if there {
        let command = doc! { "updateSearchIndex": on, "name": name, "definition": definition };
        return driver.admin(database, &command).await.map(|_| ());
    }
    if driver.list_indexes(database, on).await?.is_empty() {
        // Search indexes are on collections that exist.
        driver.admin(database, &doc! { "create": on }).await?;
    }
    let index = doc! { "name": name, "type": wanted.kind, "definition": definition };
    driver.admin(database, &doc! { "createSearchIndexes": on, "indexes": [index] }).await.map(|_| ())
}

async fn list(driver: &dyn Driver, database: &str, collection: &str) -> Result<Vec<Document>> {
    let pipeline = vec![doc! { "$listSearchIndexes": {} }];
    let artifact = MongoArtifact::new(collection, Command::Aggregate { pipeline });
    match driver.run(database, artifact.into(), None).await?.0 {
        Reply::Documents(found) => found.iter().map(|index| Ok(Document::try_from(index)?)).collect(),
        _ => {
            Err(Error::internal("the driver answered $listSearchIndexes with something else than documents"))
        }
    }
}

/// `{fields: [{type: "vector", …}, {type: "filter", …}]}`
fn vector_definition(model: &ModelDef, vector: &VectorDef) -> Document {
    let own = doc! {
        "type": "vector",
        "path": vector.path,
        "numDimensions": i64::from(vector.dims),
        "similarity": vector.similarity.name(),
    };
    let filters = filter_paths(model, vector).into_iter().map(|path| doc! { "type": "filter", "path": path });
    doc! { "fields": std::iter::once(own).chain(filters).collect::<Vec<_>>() }
}

/// `{analyzer: …, mappings: {dynamic: …, fields: {title: [{type: "string"}, …]}}}`
fn search_definition(search: &SearchDef) -> Document {
    let mut fields = Document::new();
    for (path, kind) in search.fields {
        let mut own = doc! { "type": kind.name() };
        if *kind == SearchKind::Documents {
            own.insert("dynamic", true);
        }
        match fields.get_mut(path) {
            Some(Bson::Array(kinds)) => kinds.push(own.into()),
            _ => _ = fields.insert(*path, vec![own]),
        }
    }
    let mut mappings = doc! { "dynamic": search.dynamic };
    if !fields.is_empty() {
        mappings.insert("fields", fields);
    }
    let mut definition = Document::new();
    if let Some(analyzer) = search.analyzer {
        definition.insert("analyzer", analyzer);
    }
    definition.insert("mappings", mappings);
    definition
}

/// The fields of a vector index, in a form that can be compared. Servers add options of their own.
fn vector_fields(definition: &Document) -> Vec<String> {
    let fields = definition.get_array("fields").map(Vec::as_slice).unwrap_or_default();
    let facts = |field: &Document| {
        let text = |name: &str| field.get_str(name).unwrap_or_default();
        let dims = field.get("numDimensions").and_then(whole);
        format!("{} {} {dims:?} {}", text("type"), text("path"), text("similarity"))
    };
    let mut known: Vec<String> = fields.iter().filter_map(Bson::as_document).map(facts).collect();
    known.sort_unstable();
    known
}

/// What a search index keeps, in a form that can be compared: its analyzer, whether it is dynamic, and the kinds of its
/// fields.
fn mappings(definition: &Document) -> (String, bool, Vec<String>) {
    let mappings = definition.get_document("mappings").cloned().unwrap_or_default();
    let analyzer = definition.get_str("analyzer").unwrap_or(ANALYZER).to_owned();
    let mut known = Vec::new();
    for (path, kinds) in mappings.get_document("fields").into_iter().flatten() {
        let kinds = match kinds {
            Bson::Array(kinds) => kinds.as_slice(),
            kind => std::slice::from_ref(kind),
        };
        let kinds = kinds.iter().filter_map(Bson::as_document);
        known.extend(kinds.map(|kind| format!("{path} {}", kind.get_str("type").unwrap_or_default())));
    }
    known.sort_unstable();
    (analyzer, mappings.get_bool("dynamic").unwrap_or(false), known)
}

fn name_of(index: &Document) -> &str {
    index.get_str("name").unwrap_or_default()
}

fn step(model: &ModelDef, index: &str, action: PushAction, note: Option<String>) -> PushStep {
    let (collection, index) = (model.collection.to_owned(), index.to_owned());
    PushStep { collection, kind: PushKind::SearchIndex, index, action, note }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
