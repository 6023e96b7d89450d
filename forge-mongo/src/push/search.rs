//! Vector indexes, where the deployment has search indexes.

use bson::{Bson, Document, doc};
use forge_core::adapter::{PushAction, PushKind, PushSettings, PushStep};
use forge_core::model::{ModelDef, VectorDef};
use forge_core::{Error, Result};

use super::whole;
use crate::artifact::{Command, MongoArtifact, Reply};
use crate::compile::{filter_paths, vector_index_name};
use crate::driver::Driver;

/// Compares the vector indexes of `model` with those that are there, and does what `settings` say.
pub(super) async fn push(
    driver: &dyn Driver,
    database: &str,
    model: &ModelDef,
    settings: &PushSettings,
) -> Result<Vec<PushStep>> {
    if model.vectors.is_empty() {
        return Ok(Vec::new());
    }
    if !driver.capabilities().search {
        let note = "this database has no search indexes; vector search is not available on it (MongoDB Atlas has them)";
        let skip = |vector| step(model, vector, PushAction::Skip, Some(note.to_owned()));
        return Ok(model.vectors.iter().map(skip).collect());
    }
    let present = list(driver, database, model.collection).await?;
    let mut steps = Vec::with_capacity(model.vectors.len());
    for vector in model.vectors {
        let (name, wanted) = (vector_index_name(vector.path), definition(model, vector));
        let found = present.iter().find(|index| index.get_str("name").is_ok_and(|own| own == name));
        let step = match found {
            None => step(model, vector, PushAction::Create, None),
            Some(found) if same(found, &wanted) => step(model, vector, PushAction::Keep, None),
            Some(_) => {
                let note = "its definition differs; the server builds the new one beside it".to_owned();
                step(model, vector, PushAction::Modify, Some(note))
            }
        };
        if settings.apply && step.action != PushAction::Keep {
            if let Some(progress) = &settings.progress {
                progress(&step);
            }
            carry_out(driver, database, model, found.is_some(), &name, wanted).await?;
        }
        steps.push(step);
    }
    Ok(steps)
}

async fn carry_out(
    driver: &dyn Driver,
    database: &str,
    model: &ModelDef,
    there: bool,
    name: &str,
    definition: Document,
) -> Result<()> {
    let on = model.collection;
    if there {
        let command = doc! { "updateSearchIndex": on, "name": name, "definition": definition };
        return driver.admin(database, &command).await.map(|_| ());
    }
    if driver.list_indexes(database, on).await?.is_empty() {
        // Search indexes are on collections that exist.
        driver.admin(database, &doc! { "create": on }).await?;
    }
    let index = doc! { "name": name, "type": "vectorSearch", "definition": definition };
    driver.admin(database, &doc! { "createSearchIndexes": on, "indexes": [index] }).await.map(|_| ())
}

async fn list(driver: &dyn Driver, database: &str, collection: &str) -> Result<Vec<Document>> {
    let pipeline = vec![doc! { "$listSearchIndexes": {} }];
    let artifact = MongoArtifact::new(collection, Command::Aggregate { pipeline });
    match driver.run(database, &artifact, None).await?.0 {
        Reply::Documents(found) => found.iter().map(|index| Ok(Document::try_from(index)?)).collect(),
        _ => {
            Err(Error::internal("the driver answered $listSearchIndexes with something else than documents"))
        }
    }
}

/// `{fields: [{type: "vector", …}, {type: "filter", …}]}`
pub(super) fn definition(model: &ModelDef, vector: &VectorDef) -> Document {
    let own = doc! {
        "type": "vector",
        "path": vector.path,
        "numDimensions": i64::from(vector.dims),
        "similarity": vector.similarity.name(),
    };
    let filters = filter_paths(model, vector).into_iter().map(|path| doc! { "type": "filter", "path": path });
    doc! { "fields": std::iter::once(own).chain(filters).collect::<Vec<_>>() }
}

/// Whether a listed index is as it is wanted. Servers add fields of their own.
fn same(found: &Document, wanted: &Document) -> bool {
    let fields = |definition: &Document| {
        let fields = definition.get_array("fields").map(Vec::as_slice).unwrap_or_default();
        let mut known: Vec<String> = fields.iter().filter_map(Bson::as_document).map(facts).collect();
        known.sort_unstable();
        known
    };
    found.get_document("latestDefinition").is_ok_and(|found| fields(found) == fields(wanted))
}

fn facts(field: &Document) -> String {
    let text = |name: &str| field.get_str(name).unwrap_or_default();
    let dims = field.get("numDimensions").and_then(whole);
    format!("{} {} {dims:?} {}", text("type"), text("path"), text("similarity"))
}

fn step(model: &ModelDef, vector: &VectorDef, action: PushAction, note: Option<String>) -> PushStep {
    let (collection, index) = (model.collection.to_owned(), vector_index_name(vector.path));
    PushStep { collection, kind: PushKind::Index, index, action, note }
}
