//! What `ctx.watch…` makes a query depend on, from conditions and pipelines that are not run. Pure.
//!
//! Nothing is looked up here: where a condition depends on other documents, everything of the models on the way counts.

use std::borrow::Cow;

use crate::adapter::Read;
use crate::db::Handle;
use crate::error::Result;
use crate::ir::pipeline::SourceRead;
use crate::ir::{Filter, Source};
use crate::model::ModelRef;
use crate::tenant::TenantScope;

/// Gathers reads.
pub(crate) struct Watched<'a> {
    database: &'a str,
    tenant: &'a TenantScope,
    reads: Vec<Read>,
}

impl<'a> Watched<'a> {
    /// Of the database and the tenant of `handle`.
    pub(crate) fn by(handle: &'a Handle) -> Self {
        Self { database: handle.database(), tenant: &handle.exec.tenant, reads: Vec::new() }
    }

    /// What was gathered.
    pub(crate) fn reads(self) -> Vec<Read> {
        self.reads
    }

    /// The documents of `model` that meet `filter`.
    ///
    /// # Errors
    /// Those of the tenant, and what the function of a view finds wrong.
    pub(crate) fn documents(&mut self, model: ModelRef, filter: Filter) -> Result<()> {
        self.related(&filter)?;
        if let Some(view) = model.view.as_ref().filter(|_| model.is_plain_view()) {
            // Changes of a view are told of what it is made of.
            return self.source(&view.contents()?);
        }
        let filter = if filter.has_relations() { Filter::All } else { filter.widened() };
        let filter = self.tenant.condition(&model)?.and(filter);
        self.push(model.collection, filter);
        Ok(())
    }

    /// The documents that go into a pipeline, and those that its stages join.
    ///
    /// # Errors
    /// As [`documents`](Watched::documents).
    pub(crate) fn source(&mut self, source: &Source) -> Result<()> {
        let mut gathered = Ok(());
        source.each_read(&mut |read| {
            let mut gather = || match read {
                SourceRead::Documents(model, filter) => self.documents(model, filter.clone()),
                SourceRead::Condition(filter) => self.related(filter),
                SourceRead::Collection(name) => {
                    self.push(name.to_owned(), Filter::All);
                    Ok(())
                }
            };
            if gathered.is_ok() {
                gathered = gather();
            }
        });
        gathered
    }

    /// Everything of the models that the relations in `filter` lead to.
    fn related(&mut self, filter: &Filter) -> Result<()> {
        match filter {
            Filter::And(list) | Filter::Or(list) => list.iter().try_for_each(|part| self.related(part)),
            Filter::Not(inner) => self.related(inner),
            Filter::Relation(related) => {
                if let Some((_, relation)) = related.model.relation(&related.relation) {
                    if let Some(through) = &relation.through {
                        self.documents(ModelRef((through.model)()), Filter::All)?;
                    }
                    self.documents(ModelRef((relation.target)()), Filter::All)?;
                }
                self.related(&related.filter)
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, collection: impl Into<Cow<'static, str>>, filter: Filter) {
        self.reads.push(Read::new(self.database, collection, filter));
    }
}
