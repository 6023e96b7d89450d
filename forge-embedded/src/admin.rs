//! Administrative commands: collections, views, validators, stored results of pipelines.

use bson::{Bson, Document, doc};
use forge_core::{Env, Error, Result};

use crate::catalog::{Catalog, Collection};
use crate::clock::Clock;
use crate::target::Target;
use crate::write::Writing;

/// What a command asks for.
pub(crate) enum Admin {
    /// An answer from what is known.
    Read(Read),
    /// A change.
    Write(Box<Write>),
}

impl Admin {
    fn change(write: Write) -> Self {
        Self::Write(Box::new(write))
    }
}

/// Commands that change nothing.
pub(crate) enum Read {
    Hello,
    ListCollections { name: Option<String> },
}

/// Commands that change what exists.
pub(crate) enum Write {
    Create { name: String, options: Document },
    Modify { name: String, options: Document },
    ModifyIndex { name: String, index: Document },
    Drop { name: String },
    CreateSearchIndexes { name: String, indexes: Vec<Document> },
    UpdateSearchIndex { name: String, index: String, definition: Document },
    DropSearchIndex { name: String, index: String },
    Store { source: String, pipeline: Vec<Document>, target: Target },
}

/// Reads a command.
///
/// # Errors
/// `unsupported` naming the command or option that this engine lacks.
pub(crate) fn parse(command: &Document) -> Result<Admin> {
    let (verb, operand) = command.iter().next().ok_or_else(|| Error::bad_request("a command is empty"))?;
    let name = || {
        let name =
            operand.as_str().ok_or_else(|| Error::bad_request(format!("`{verb}` takes a collection")))?;
        Ok::<_, Error>(name.to_owned())
    };
    let options: Document = command.iter().skip(1).map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(match verb.as_str() {
        "hello" => Admin::Read(Read::Hello),
        "listCollections" => {
            let named = options.get_document("filter").ok().and_then(|filter| filter.get_str("name").ok());
            Admin::Read(Read::ListCollections { name: named.map(str::to_owned) })
        }
        "create" => {
            known(
                verb,
                &options,
                &["viewOn", "pipeline", "validator", "validationLevel", "validationAction"],
            )?;
            Admin::change(Write::Create { name: name()?, options })
        }
        "collMod" => match options.get_document("index") {
            Ok(index) => {
                known(verb, index, &["name", "hidden", "expireAfterSeconds"])?;
                Admin::change(Write::ModifyIndex { name: name()?, index: index.clone() })
            }
            Err(_) => {
                known(
                    verb,
                    &options,
                    &["viewOn", "pipeline", "validator", "validationLevel", "validationAction"],
                )?;
                Admin::change(Write::Modify { name: name()?, options })
            }
        },
        "drop" => Admin::change(Write::Drop { name: name()? }),
        "createSearchIndexes" => {
            let given =
                options.get_array("indexes").map_err(|_| Error::bad_request("`indexes` is an array"))?;
            let indexes = given.iter().filter_map(Bson::as_document).cloned().collect();
            Admin::change(Write::CreateSearchIndexes { name: name()?, indexes })
        }
        "updateSearchIndex" => {
            let definition = options.get_document("definition").cloned();
            let definition = definition.map_err(|_| Error::bad_request("`definition` is a document"))?;
            Admin::change(Write::UpdateSearchIndex {
                name: name()?,
                index: index_name(&options)?,
                definition,
            })
        }
        "dropSearchIndex" => {
            Admin::change(Write::DropSearchIndex { name: name()?, index: index_name(&options)? })
        }
        "aggregate" => store(name()?, &options)?,
        other => return Err(Error::unsupported(format!("the embedded engine has no command `{other}`"))),
    })
}

fn index_name(options: &Document) -> Result<String> {
    let name =
        options.get_str("name").map_err(|_| Error::bad_request("a search index is named by `name`"))?;
    Ok(name.to_owned())
}

fn known(verb: &str, options: &Document, known: &[&str]) -> Result<()> {
    match options.keys().find(|option| !known.contains(&option.as_str())) {
        None => Ok(()),
        Some(option) => {
            Err(Error::unsupported(format!("the embedded engine has no option `{option}` of `{verb}`")))
        }
    }
}

/// An aggregate that ends in `$out` or `$merge`.
fn store(source: String, options: &Document) -> Result<Admin> {
    let pipeline = stages(options)?;
    let (stages, target) = Target::split(&pipeline)?
        .ok_or_else(|| Error::bad_request("an administrative aggregate ends in $out or $merge"))?;
    Ok(Admin::change(Write::Store { source, pipeline: stages.to_vec(), target }))
}

/// The `pipeline` of a command.
pub(crate) fn stages(options: &Document) -> Result<Vec<Document>> {
    let stages = options.get_array("pipeline").map_err(|_| Error::bad_request("`pipeline` is an array"))?;
    let stage = |stage: &Bson| stage.as_document().cloned();
    stages
        .iter()
        .map(|one| stage(one).ok_or_else(|| Error::bad_request("a stage of a pipeline is a document")))
        .collect()
}

/// Answers a command that changes nothing.
pub(crate) fn read(read: &Read, database: &str, catalog: &Catalog, env: &Env) -> Document {
    match read {
        Read::Hello => {
            let now = bson::DateTime::from_millis(env.now().millis());
            doc! { "isWritablePrimary": true, "localTime": now, "ok": 1 }
        }
        Read::ListCollections { name } => {
            let wanted = |found: &&Collection| name.as_ref().is_none_or(|name| **name == *found.name);
            let all = catalog.database(database).into_iter().flat_map(|entry| entry.collections.values());
            let listed: Vec<Bson> =
                all.map(|one| &**one).filter(wanted).map(|one| describe(one).into()).collect();
            let namespace = format!("{database}.$cmd.listCollections");
            doc! { "cursor": { "id": 0_i64, "ns": namespace, "firstBatch": listed }, "ok": 1 }
        }
    }
}

fn describe(collection: &Collection) -> Document {
    let (kind, options) = match &collection.view {
        Some(view) => ("view", doc! { "viewOn": &view.on, "pipeline": view.pipeline.clone() }),
        None => {
            let validator = collection.validator.as_ref();
            ("collection", validator.map(|validator| validator.options.clone()).unwrap_or_default())
        }
    };
    doc! { "name": &*collection.name, "type": kind, "options": options }
}

impl Writing<'_, '_> {
    fn create_search_index(&mut self, database: &str, name: &str, spec: &Document) -> Result<()> {
        let mut spec = spec.clone();
        if !spec.contains_key("definition") {
            return Err(Error::bad_request("a search index has a `definition`"));
        }
        // Its own definition says which field it is on.
        spec.insert("key", Document::new());
        self.create_index(database, name, &spec)
    }

    /// Carries out a command that changes something.
    pub(crate) fn admin(&mut self, database: &str, write: Write) -> Result<Document> {
        match write {
            Write::Create { name, options } => self.create_collection(database, &name, &options)?,
            Write::Modify { name, options } => self.modify_collection(database, &name, &options)?,
            Write::ModifyIndex { name, index } => self.modify_index(database, &name, &index)?,
            Write::Drop { name } => self.drop_collection(database, &name)?,
            Write::CreateSearchIndexes { name, indexes } => {
                indexes.iter().try_for_each(|index| self.create_search_index(database, &name, index))?;
            }
            Write::UpdateSearchIndex { name, index, definition } => {
                self.drop_index(database, &name, &index)?;
                let spec = doc! { "name": index, "type": "vectorSearch", "definition": definition };
                self.create_search_index(database, &name, &spec)?;
            }
            Write::DropSearchIndex { name, index } => self.drop_index(database, &name, &index)?,
            Write::Store { source, pipeline, target } => {
                let clock = Clock::without_end(self.env());
                self.store_result(database, &source, &pipeline, &target, &clock, None)?;
            }
        }
        Ok(doc! { "ok": 1 })
    }
}
