//! What the stages of a pipeline share: the collections, the variables, and how much may be held in memory.

use std::cell::Cell;
use std::rc::Rc;

use bson::{Bson, Document, RawDocument};
use forge_core::{DateTime, Error, Result};

use super::expr::{Root, Scope, Variables};
use crate::read::View;

/// The most that one command may hold in memory, in bytes as they are estimated. Nothing is spilled to disk.
pub(crate) const MEMORY_LIMIT: usize = 512 << 20;

/// The surroundings of a pipeline.
pub(super) struct Context<'v, 't> {
    view: Option<&'v View<'v, 't>>,
    /// `$$NOW`, and what the `let` of an outer `$lookup` binds.
    variables: Vec<(String, Bson)>,
    held: Rc<Cell<usize>>,
}

impl<'v, 't> Context<'v, 't> {
    /// A pipeline over a collection.
    pub(super) fn new(view: &'v View<'v, 't>) -> Self {
        Self { view: Some(view), ..Self::alone(view.clock.now()) }
    }

    /// Stages that see no collection: those of an update.
    pub(super) fn alone(now: DateTime) -> Self {
        Self { view: None, variables: vec![("NOW".to_owned(), now.into())], held: Rc::default() }
    }

    /// A pipeline inside of this one, with more variables.
    pub(super) fn inner(&self, mut variables: Vec<(String, Bson)>) -> Self {
        variables.extend(self.variables.iter().cloned());
        Self { view: self.view, variables, held: self.held.clone() }
    }

    /// The collections.
    pub(super) fn view(&self) -> Result<&'v View<'v, 't>> {
        self.view.ok_or_else(|| Error::bad_request("a pipeline of an update reads no collection"))
    }

    /// The variables.
    pub(super) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// What an expression sees of a row.
    pub(super) fn scope<'s>(&'s self, row: &'s Document) -> Scope<'s> {
        Scope::new(Root::Row(row), &self.variables)
    }

    /// What an expression sees of a document of the store.
    pub(super) fn scope_of<'s>(&'s self, stored: &'s RawDocument) -> Scope<'s> {
        Scope::new(Root::Stored(stored), &self.variables)
    }

    /// One more document is worked on.
    pub(super) fn tick(&self) -> Result<()> {
        self.view.map_or(Ok(()), |view| view.clock.tick())
    }

    /// More bytes are held, until the end of the command.
    ///
    /// # Errors
    /// `too_large` beyond [`MEMORY_LIMIT`].
    pub(super) fn charge(&self, bytes: usize) -> Result<()> {
        let held = self.held.get().saturating_add(bytes);
        self.held.set(held);
        if held <= MEMORY_LIMIT {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "the pipeline would hold more than {} MiB in memory, the limit of the embedded engine; \
             narrow it with a `$match` or `$limit` before its groups, joins and sorts",
            MEMORY_LIMIT >> 20
        )))
    }
}
