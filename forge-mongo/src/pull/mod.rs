//! Pull: describes what is in a database as models, in Rust files that compile.
//!
//! Types come from a sample of the documents: what none of them has is not known. Whatever is guessed says so in a comment.

mod enums;
mod indexes;
mod infer;
mod names;
mod observe;
mod relations;
mod render;

use bson::{Bson, Document, doc};
use forge_core::adapter::{PullSettings, PulledFile};
use forge_core::{Error, ErrorCode, Result};

use crate::artifact::{Command, MongoArtifact, Reply};
use crate::driver::Driver;
use crate::push::collections::Collections;
use observe::Shape;
use relations::Reference;

/// A collection or view, as it was found.
struct Source {
    /// Its name.
    name: String,
    /// The name of its struct.
    model: String,
    /// The name of its file, without `.rs`.
    module: String,
    /// What is in it.
    shape: Shape,
    /// Its indexes, as they are listed.
    indexes: Vec<Document>,
    /// What it was created with.
    options: Document,
}

impl Source {
    /// Whether it is a view.
    fn is_view(&self) -> bool {
        self.options.contains_key("viewOn")
    }
}

/// Describes a database.
///
/// # Errors
/// `not_found` for a named collection that is not there; what the database answers.
pub(crate) async fn pull(
    driver: &dyn Driver,
    database: &str,
    settings: &PullSettings,
) -> Result<Vec<PulledFile>> {
    let sources = sources(driver, database, settings).await?;
    if sources.is_empty() {
        return Err(Error::not_found(format!("the database {database:?} has no collections to describe")));
    }
    let mut references: Vec<Vec<Reference>> = Vec::with_capacity(sources.len());
    for at in 0..sources.len() {
        references.push(relations::find(driver, database, &sources, at).await?);
    }
    Ok(render::files(database, &sources, &references))
}

async fn sources(driver: &dyn Driver, database: &str, settings: &PullSettings) -> Result<Vec<Source>> {
    let collections = Collections::list(driver, database).await?;
    let all: Vec<&str> = collections.names().filter(|name| !is_internal(name)).collect();
    if let Some(missing) = settings.collections.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(Error::not_found(format!(
            "there is no collection {missing:?} in {database:?}; there are {}",
            all.join(", ")
        )));
    }
    let wanted = all
        .into_iter()
        .filter(|name| settings.collections.is_empty() || settings.collections.iter().any(|w| w == name));
    let (mut models, mut modules) = (names::Taken::default(), names::Taken::default());
    modules.take("mod");
    let mut sources = Vec::new();
    for name in wanted {
        let options = collections.options(name).cloned().unwrap_or_default();
        let indexes =
            if collections.is_view(name) { Vec::new() } else { driver.list_indexes(database, name).await? };
        let shape = sample(driver, database, name, settings.sample.max(1)).await?;
        let model = models.take_struct(&names::pascal(&names::singular(&names::snake(name))));
        let module = modules.take(&names::snake(&model));
        sources.push(Source { name: name.to_owned(), model, module, shape, indexes, options });
    }
    Ok(sources)
}

/// Collections of the server, and those that Forge keeps for itself.
fn is_internal(name: &str) -> bool {
    name.starts_with("system.") || name.starts_with("forge_") || name.starts_with("forge.")
}

async fn sample(driver: &dyn Driver, database: &str, name: &str, size: u32) -> Result<Shape> {
    let random = Command::Aggregate { pipeline: vec![doc! { "$sample": { "size": size } }] };
    let first = Command::Find {
        filter: Document::new(),
        projection: None,
        sort: None,
        skip: None,
        limit: Some(size.into()),
    };
    let run = async |command| driver.run(database, MongoArtifact::new(name, command).into(), None).await;
    let (reply, _) = match run(random).await {
        Err(error) if matches!(error.code(), ErrorCode::Unsupported | ErrorCode::BadRequest) => {
            run(first).await?
        }
        reply => reply?,
    };
    let mut shape = Shape::default();
    if let Reply::Documents(documents) = reply {
        for document in &documents {
            shape.add(&Document::try_from(document)?, 0);
        }
    }
    Ok(shape)
}

/// `value` as extended JSON, as attributes and pipelines hold it.
fn json_of(value: &Bson) -> serde_json::Value {
    use serde_json::{Value, json};
    match value {
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::Boolean(value) => (*value).into(),
        Bson::Int32(n) => (*n).into(),
        Bson::Int64(n) => (*n).into(),
        Bson::Double(n) if n.is_finite() => (*n).into(),
        Bson::Double(n) => json!({ "$numberDouble": n.to_string() }),
        Bson::Decimal128(n) => json!({ "$numberDecimal": n.to_string() }),
        Bson::String(text) => text.clone().into(),
        Bson::ObjectId(id) => json!({ "$oid": id.to_hex() }),
        Bson::DateTime(date) => json!({ "$date": date.timestamp_millis() }),
        Bson::Array(items) => items.iter().map(json_of).collect(),
        Bson::Document(fields) => fields.iter().map(|(name, value)| (name.clone(), json_of(value))).collect(),
        other => Value::String(other.to_string()),
    }
}
