//! Which databases, collections and indexes exist: kept in memory, stored in the `meta` table.
//!
//! | key | value |
//! |---|---|
//! | `format` | `{version, store}`: the format of the file and its random identity |
//! | `next` | `{id}`: the next free id |
//! | `d:ID` | `{name}`: a database |
//! | `c:ID` | `{database, name, indexes: [{id, spec, multikey}], view?, validator?}`: a collection or a view |

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, doc};
use forge_core::{DateTime, Error, Result};

use crate::index::{Index, Uses};
use crate::keys;
use crate::store::MetaTable;
use crate::validate::Validator;

/// The version of the file format that this code reads and writes.
pub(crate) const FORMAT: i32 = 1;

/// Everything that exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    next: u32,
    databases: BTreeMap<Arc<str>, Arc<Database>>,
    /// When the store was opened.
    pub(crate) opened: Option<DateTime>,
}

/// One database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// Its number in keys. Numbers are never used again.
    pub(crate) id: u32,
    /// Its collections by name.
    pub(crate) collections: BTreeMap<Arc<str>, Arc<Collection>>,
}

/// One collection.
#[derive(Debug, Clone)]
pub(crate) struct Collection {
    /// The number of its database.
    pub(crate) database: u32,
    /// Its number in keys.
    pub(crate) id: u32,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its secondary indexes; `_id` has none of its own, since documents are stored by it.
    pub(crate) indexes: Vec<Arc<Index>>,
    /// What it shows, if it is a view: it has no documents then.
    pub(crate) view: Option<Arc<ViewOf>>,
    /// What its documents must fulfil.
    pub(crate) validator: Option<Arc<Validator>>,
    /// How many reads found documents by `_id` since the store was opened.
    pub(crate) id_uses: Uses,
}

/// What a view shows.
#[derive(Debug, Clone)]
pub(crate) struct ViewOf {
    /// The collection or view that it reads.
    pub(crate) on: String,
    /// The stages.
    pub(crate) pipeline: Vec<Document>,
}

impl Catalog {
    /// The database of that name.
    pub(crate) fn database(&self, name: &str) -> Option<&Arc<Database>> {
        self.databases.get(name)
    }

    /// Every database with its name.
    pub(crate) fn databases(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Database>)> {
        self.databases.iter()
    }

    /// The name of a database by its number.
    pub(crate) fn name_of(&self, id: u32) -> Result<Arc<str>> {
        let found = self.databases.iter().find(|(_, entry)| entry.id == id);
        found
            .map(|(name, _)| name.clone())
            .ok_or_else(|| Error::internal(format!("there is no database with number {id}")))
    }

    /// The collections with an index that is [outdated](Index::is_outdated), with the names of their databases.
    pub(crate) fn outdated(&self) -> Vec<(Arc<str>, Arc<Collection>)> {
        let all = self.databases.iter().flat_map(|(name, database)| {
            database.collections.values().map(move |collection| (name.clone(), collection.clone()))
        });
        all.filter(|(_, collection)| collection.indexes.iter().any(|index| index.is_outdated())).collect()
    }

    /// The collection of that name.
    pub(crate) fn collection(&self, database: &str, name: &str) -> Option<&Arc<Collection>> {
        self.databases.get(database)?.collections.get(name)
    }

    /// Reads the whole catalog.
    pub(crate) fn load(meta: &MetaTable<'_>) -> Result<Self> {
        let mut catalog = Self { next: 1, databases: BTreeMap::new(), opened: None };
        let mut names = BTreeMap::new();
        let mut collections = Vec::new();
        for row in meta.rows()? {
            let (key, value) = row?;
            let row = Document::from_reader(value.value())?;
            match key.value().split_once(':') {
                Some(("d", id)) => {
                    names.insert(number(id)?, Arc::<str>::from(row.get_str("name").map_err(damaged)?));
                }
                Some(("c", id)) => collections.push(Collection::from_row(number(id)?, &row)?),
                _ if key.value() == "next" => catalog.next = unsigned(row.get_i64("id").map_err(damaged)?)?,
                _ => {}
            }
        }
        for (id, name) in &names {
            let database = Database { id: *id, collections: BTreeMap::new() };
            catalog.databases.insert(name.clone(), Arc::new(database));
        }
        for collection in collections {
            let name =
                names.get(&collection.database).ok_or_else(|| damaged("a collection without a database"))?;
            catalog.put(name, collection);
        }
        Ok(catalog)
    }

    fn put(&mut self, database: &str, collection: Collection) {
        if let Some(entry) = self.databases.get_mut(database) {
            Arc::make_mut(entry).collections.insert(collection.name.clone(), Arc::new(collection));
        }
    }

    /// A fresh id, for anything.
    pub(crate) fn take_id(&mut self, meta: &mut MetaTable<'_>) -> Result<u32> {
        let id = self.next.max(1);
        self.next = id.checked_add(1).ok_or_else(|| Error::too_large("the store has used up its ids"))?;
        store_row(meta, "next", &doc! { "id": i64::from(self.next) })?;
        Ok(id)
    }

    /// The database of that name, created where it is new.
    pub(crate) fn ensure_database(&mut self, meta: &mut MetaTable<'_>, name: &str) -> Result<u32> {
        if let Some(found) = self.databases.get(name) {
            return Ok(found.id);
        }
        check_database_name(name)?;
        let id = self.take_id(meta)?;
        store_row(meta, &format!("d:{id}"), &doc! { "name": name })?;
        self.databases.insert(name.into(), Arc::new(Database { id, collections: BTreeMap::new() }));
        Ok(id)
    }

    /// The collection of that name, created where it is new.
    pub(crate) fn ensure_collection(
        &mut self,
        meta: &mut MetaTable<'_>,
        database: &str,
        name: &str,
    ) -> Result<Arc<Collection>> {
        if let Some(found) = self.collection(database, name) {
            return Ok(found.clone());
        }
        check_collection_name(name)?;
        let database_id = self.ensure_database(meta, database)?;
        let id = self.take_id(meta)?;
        let collection = Collection {
            database: database_id,
            id,
            name: name.into(),
            indexes: Vec::new(),
            view: None,
            validator: None,
            id_uses: Uses::default(),
        };
        self.replace_collection(meta, database, collection)
    }

    /// Stores a changed collection.
    pub(crate) fn replace_collection(
        &mut self,
        meta: &mut MetaTable<'_>,
        database: &str,
        collection: Collection,
    ) -> Result<Arc<Collection>> {
        store_row(meta, &format!("c:{}", collection.id), &collection.to_row())?;
        let name = collection.name.clone();
        self.put(database, collection);
        self.collection(database, &name)
            .cloned()
            .ok_or_else(|| Error::internal("a collection without a database"))
    }

    /// Forgets a collection.
    pub(crate) fn remove_collection(
        &mut self,
        meta: &mut MetaTable<'_>,
        database: &str,
        name: &str,
    ) -> Result<()> {
        let Some(entry) = self.databases.get_mut(database) else { return Ok(()) };
        if let Some(dropped) = Arc::make_mut(entry).collections.remove(name) {
            meta.remove(format!("c:{}", dropped.id).as_str())?;
        }
        Ok(())
    }

    /// Forgets the collections of a database; the database keeps its number and its feed.
    pub(crate) fn clear_database(
        &mut self,
        meta: &mut MetaTable<'_>,
        name: &str,
    ) -> Result<Vec<Arc<Collection>>> {
        let Some(entry) = self.databases.get_mut(name) else { return Ok(Vec::new()) };
        let dropped: Vec<_> = std::mem::take(&mut Arc::make_mut(entry).collections).into_values().collect();
        for collection in &dropped {
            meta.remove(format!("c:{}", collection.id).as_str())?;
        }
        Ok(dropped)
    }
}

impl Collection {
    fn to_row(&self) -> Document {
        let indexes: Vec<Bson> = self.indexes.iter().map(|index| Bson::Document(index.to_row())).collect();
        let mut row = doc! { "database": i64::from(self.database), "name": &*self.name, "indexes": indexes };
        if let Some(view) = &self.view {
            row.insert("view", doc! { "viewOn": &view.on, "pipeline": view.pipeline.clone() });
        }
        if let Some(validator) = &self.validator {
            row.insert("validator", validator.options.clone());
        }
        row
    }

    fn from_row(id: u32, row: &Document) -> Result<Self> {
        let mut indexes = Vec::new();
        for index in row.get_array("indexes").map_err(damaged)? {
            let index = index.as_document().ok_or_else(|| damaged("an index that is no document"))?;
            indexes.push(Arc::new(Index::from_row(index)?));
        }
        let view = match row.get_document("view") {
            Ok(view) => Some(Arc::new(ViewOf {
                on: view.get_str("viewOn").map_err(damaged)?.to_owned(),
                pipeline: crate::admin::stages(view)?,
            })),
            Err(_) => None,
        };
        let validator = match row.get_document("validator") {
            Ok(options) => Validator::from_options(options)?.map(Arc::new),
            Err(_) => None,
        };
        Ok(Self {
            database: unsigned(row.get_i64("database").map_err(damaged)?)?,
            id,
            name: row.get_str("name").map_err(damaged)?.into(),
            indexes,
            view,
            validator,
            id_uses: Uses::default(),
        })
    }

    /// The index of that name.
    pub(crate) fn index(&self, name: &str) -> Option<&Arc<Index>> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

fn store_row(meta: &mut MetaTable<'_>, key: &str, row: &Document) -> Result<()> {
    let raw = keys::to_raw(row)?;
    meta.insert(key, raw.as_bytes())?;
    Ok(())
}

/// The catalog cannot be what this code wrote.
pub(crate) fn damaged(what: impl std::fmt::Display) -> Error {
    Error::internal(format!("the catalog of the embedded engine is damaged: {what}"))
}

fn number(text: &str) -> Result<u32> {
    text.parse().map_err(damaged)
}

/// A stored number that must fit an id.
pub(crate) fn unsigned(value: i64) -> Result<u32> {
    u32::try_from(value).map_err(damaged)
}

fn check_database_name(name: &str) -> Result<()> {
    let bad = name.is_empty() || name.len() > 63 || name.contains(['/', '\\', '.', ' ', '"', '$', '\0']);
    if bad {
        return Err(Error::bad_request(format!(
            "{name:?} is no database name: 1 to 63 bytes without / \\ . \" $ and spaces"
        )));
    }
    Ok(())
}

fn check_collection_name(name: &str) -> Result<()> {
    let bad =
        name.is_empty() || name.len() > 255 || name.starts_with("system.") || name.contains(['$', '\0']);
    if bad {
        return Err(Error::bad_request(format!(
            "{name:?} is no collection name: 1 to 255 bytes without $, not starting with \"system.\""
        )));
    }
    Ok(())
}
