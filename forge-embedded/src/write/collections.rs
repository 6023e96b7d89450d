//! Collections: creating them with a validator or as a view, changing and dropping them.

use std::sync::Arc;

use bson::Document;
use forge_core::adapter::ChangeKind;
use forge_core::{Error, Result};
use forge_mongo::Refusal;

use super::Writing;
use crate::admin::stages;
use crate::catalog::{Collection, ViewOf};
use crate::index::Index;
use crate::store::Span;
use crate::validate::Validator;

/// The server's code for a collection that is there already.
const NAMESPACE_EXISTS: i32 = 48;
/// The server's code for a collection that is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// How many views may stand on each other, as on a server.
const MAX_VIEW_DEPTH: usize = 20;

impl Writing<'_, '_> {
    /// Creates a collection or a view.
    ///
    /// # Errors
    /// `conflict` where something of that name is there.
    pub(crate) fn create_collection(&mut self, database: &str, name: &str, options: &Document) -> Result<()> {
        if self.pending.catalog.collection(database, name).is_some() {
            let error = Error::conflict(format!("{name} is there already"));
            return Err(error.with_source(Refusal::new(NAMESPACE_EXISTS)));
        }
        let collection = self.ensure_collection(database, name)?;
        self.configure(database, Collection::clone(&collection), options)
    }

    /// Changes what a view reads, or the validator of a collection.
    ///
    /// # Errors
    /// `not_found` where there is none of the name.
    pub(crate) fn modify_collection(&mut self, database: &str, name: &str, options: &Document) -> Result<()> {
        let collection = self.existing(database, name)?;
        if collection.view.is_some() != options.contains_key("viewOn") && !options.is_empty() {
            let what = if collection.view.is_some() { "a view" } else { "no view" };
            return Err(Error::bad_request(format!("{name} is {what}; drop it, and create it anew")));
        }
        let mut merged =
            collection.validator.as_ref().map(|validator| validator.options.clone()).unwrap_or_default();
        merged.extend(options.clone());
        self.configure(database, Collection::clone(&collection), &merged)
    }

    fn configure(&mut self, database: &str, mut collection: Collection, options: &Document) -> Result<()> {
        collection.view = match options.get_str("viewOn") {
            Ok(on) => Some(Arc::new(ViewOf { on: on.to_owned(), pipeline: stages(options)? })),
            Err(_) => None,
        };
        collection.validator = Validator::from_options(options)?.map(Arc::new);
        let (name, is_view) = (collection.name.clone(), collection.view.is_some());
        self.replace_collection(database, collection)?;
        if is_view { self.check_view(database, &name) } else { Ok(()) }
    }

    /// Reports a view that reads itself, or stands on too many others.
    fn check_view(&self, database: &str, name: &str) -> Result<()> {
        let mut at = name.to_owned();
        for _ in 0..MAX_VIEW_DEPTH {
            let found = self.pending.catalog.collection(database, &at);
            let Some(view) = found.and_then(|found| found.view.clone()) else { return Ok(()) };
            at.clone_from(&view.on);
        }
        Err(Error::bad_request(format!(
            "the view {name} reads itself, or stands on more than {MAX_VIEW_DEPTH} views"
        )))
    }

    /// Hides an index, shows it again, or changes when its documents expire.
    pub(crate) fn modify_index(&mut self, database: &str, name: &str, changes: &Document) -> Result<()> {
        let collection = self.existing(database, name)?;
        let index = changes.get_str("name").map_err(|_| Error::bad_request("`index` needs a `name`"))?;
        let present = collection
            .index(index)
            .ok_or_else(|| Error::not_found(format!("collection {name} has no index {index}")))?;
        let mut spec = present.spec.clone();
        if changes.contains_key("expireAfterSeconds") && present.expire_after.is_none() {
            return Err(Error::unsupported(format!(
                "the embedded engine does not make documents expire by the index {index}, which has no expireAfterSeconds"
            )));
        }
        spec.extend(changes.clone());
        let changed = Index::from_spec(present.id, &spec)?;
        let changed = Index { keys: present.keys.clone(), ..changed };
        let mut collection = Collection::clone(&collection);
        for index in collection.indexes.iter_mut().filter(|index| index.id == changed.id) {
            *index = Arc::new(changed.clone());
        }
        self.replace_collection(database, collection)?;
        Ok(())
    }

    /// Drops a collection or a view with everything in it; the feed says so.
    pub(crate) fn drop_collection(&mut self, database: &str, name: &str) -> Result<()> {
        let collection = self.existing(database, name)?;
        self.tables.clear_docs(collection.id)?;
        for index in &collection.indexes {
            self.tables.clear_entries(&Span::of_id(index.id))?;
        }
        self.pending.catalog_changed = true;
        Arc::make_mut(&mut self.pending.catalog).remove_collection(&mut self.meta, database, name)?;
        self.record(&collection, ChangeKind::Drop, Vec::new(), None, None, None);
        Ok(())
    }

    fn existing(&self, database: &str, name: &str) -> Result<Arc<Collection>> {
        self.pending.catalog.collection(database, name).cloned().ok_or_else(|| {
            Error::not_found(format!("there is no collection {name}"))
                .with_source(Refusal::new(NAMESPACE_NOT_FOUND))
        })
    }
}
