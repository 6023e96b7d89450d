//! What the stages of a pipeline share: the collections, the variables, and how much may be held in memory.

use std::cell::Cell;
use std::rc::Rc;

use bson::{Bson, Document, RawDocument};
use forge_core::{DateTime, Env, Error, Result};

use super::dice::Dice;
use super::expr::{Root, Scope, Variables};
use crate::collation::{Collator, Strings};
use crate::filter;
use crate::matching::Matching;
use crate::read::View;
use crate::text;

/// The most that one command may hold in memory, in bytes as they are estimated. Nothing is spilled to disk.
pub(crate) const MEMORY_LIMIT: usize = 512 << 20;

/// The server's code for `$text` behind another stage.
const TEXT_NOT_FIRST: i32 = 17313;

/// The surroundings of a pipeline.
pub(super) struct Context<'v, 't> {
    view: Option<&'v View<'v, 't>>,
    /// `$$NOW`, and what the `let` of an outer `$lookup` binds.
    variables: Vec<(String, Bson)>,
    /// How strings compare, where not by their bytes.
    collator: Option<Collator>,
    held: Rc<Cell<usize>>,
    dice: Rc<Dice>,
}

impl<'v, 't> Context<'v, 't> {
    /// A pipeline over a collection.
    pub(super) fn new(view: &'v View<'v, 't>, strings: Strings<'_>) -> Self {
        let clock = view.clock;
        Self { view: Some(view), collator: strings.cloned(), ..Self::at(clock.now(), clock.env()) }
    }

    /// The same at another moment.
    pub(super) fn at_time(mut self, now: DateTime) -> Self {
        self.variables = vec![("NOW".to_owned(), now.into())];
        self
    }

    /// Stages that see no collection: those of an update.
    pub(super) fn alone(env: &Env) -> Self {
        Self::at(env.now(), Some(env))
    }

    /// Expressions that see nothing but their document.
    pub(super) fn bare() -> Self {
        Self::at(DateTime::UNIX_EPOCH, None)
    }

    fn at(now: DateTime, env: Option<&Env>) -> Self {
        let variables = vec![("NOW".to_owned(), now.into())];
        Self { view: None, variables, collator: None, held: Rc::default(), dice: Rc::new(Dice::of(env)) }
    }

    /// The same, with strings that compare as `strings` says.
    pub(super) fn collated(self, strings: Strings<'_>) -> Self {
        Self { collator: strings.cloned(), ..self }
    }

    /// A pipeline inside of this one, with more variables.
    pub(super) fn inner(&self, mut variables: Vec<(String, Bson)>) -> Self {
        variables.extend(self.variables.iter().cloned());
        let (collator, held, dice) = (self.collator.clone(), self.held.clone(), self.dice.clone());
        Self { view: self.view, variables, collator, held, dice }
    }

    /// The collections.
    pub(super) fn view(&self) -> Result<&'v View<'v, 't>> {
        self.view.ok_or_else(|| Error::bad_request("a pipeline of an update reads no collection"))
    }

    /// A condition whose expressions see the variables.
    pub(super) fn matching(&self, condition: &Document) -> Result<Matching> {
        let env = self.view.and_then(|view| view.clock.env());
        let filter = filter::parse(condition)?;
        if text::condition(&filter).is_some() {
            let text = "a `$match` with `$text` is the first stage of its pipeline";
            return Err(Error::bad_request(text).with_server_code(TEXT_NOT_FIRST));
        }
        Matching::within(&filter, &self.variables, env, self.strings())
    }

    /// How strings compare.
    pub(super) fn strings(&self) -> Strings<'_> {
        self.collator.as_ref()
    }

    /// The variables.
    pub(super) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// What an expression sees of a row.
    pub(super) fn scope<'s>(&'s self, row: &'s Document) -> Scope<'s> {
        Scope::new(Root::Row(row), &self.variables, &self.dice, self.strings())
    }

    /// What an expression sees of a document of the store.
    pub(super) fn scope_of<'s>(&'s self, stored: &'s RawDocument) -> Scope<'s> {
        Scope::new(Root::Stored(stored), &self.variables, &self.dice, self.strings())
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
