//! How a command would be run.

use std::borrow::Cow;

use bson::Document;
use forge_core::Result;
use forge_core::adapter::ExplainStep;
use forge_mongo::{Command, MongoArtifact, Reply};

use crate::query::Query;
use crate::read::View;
use crate::target::Target;
use crate::text;

impl View<'_, '_> {
    /// Says which index a command uses, whether the order asked for is made in memory, and how much it finds.
    pub(crate) fn explain(&self, artifact: &MongoArtifact, step: &mut ExplainStep) -> Result<()> {
        let none = Document::new();
        let (filter, sort) = match &artifact.command {
            Command::Find { filter, sort, .. } => (filter, sort.as_ref()),
            Command::Count { filter, .. }
            | Command::Distinct { filter, .. }
            | Command::Update { filter, .. }
            | Command::Replace { filter, .. }
            | Command::FindOneAndUpdate { filter, .. }
            | Command::Delete { filter, .. }
            | Command::FindOneAndDelete { filter } => (filter, None),
            Command::Aggregate { pipeline } => crate::aggregate::head(pipeline).unwrap_or((&none, None)),
            _ => return Ok(()),
        };
        let query = Query::new(filter)?.sorted(sort)?.with(&artifact.options)?;
        if let Some(view) = self.collection(&artifact.collection).and_then(|found| found.view.clone()) {
            // What it reads is told by its own pipeline.
            let command = Command::Aggregate { pipeline: view.pipeline.clone() };
            let of_source = MongoArtifact { collection: view.on.clone(), command, ..artifact.clone() };
            self.explain(&of_source, step)?;
            step.sorts_in_memory |= !query.sort.is_empty();
            return Ok(());
        }
        let Some(collection) = self.collection(&artifact.collection) else {
            // As servers say it: a collection that is not there is not scanned either.
            step.index = Some("(nothing to read)".to_owned());
            return Ok(());
        };
        if query.has_words() {
            let mut names = vec![text::text_index(collection)?.0.name.clone()];
            for other in text::others(&query.filter) {
                names.extend(query.about(other.clone()).plan(collection)?.access.index_name());
            }
            step.index = Some(names.join(" or "));
            step.sorts_in_memory = !query.sort.is_empty();
        } else {
            let plan = query.plan(collection)?;
            step.sorts_in_memory = plan.order.settled < query.sort.len();
            step.index = plan.access.index_name();
            if matches!(artifact.command, Command::Count { .. }) && self.kept(collection, &plan)?.is_some() {
                step.index = Some("(number that is kept)".to_owned());
            }
        }
        match &artifact.command {
            Command::Find { .. }
            | Command::Count { .. }
            | Command::Distinct { .. }
            | Command::Aggregate { .. } => {
                step.documents_returned = match self.run(without_target(artifact)?.as_ref())? {
                    Reply::Documents(documents) => Some(documents.len() as u64),
                    Reply::Values(values) => Some(values.len() as u64),
                    _ => None,
                };
            }
            // A write is not run to be explained; what it would change is read.
            Command::Update { many, .. } | Command::Delete { many, .. } => {
                let query = if *many { query } else { query.window(None, Some(1)) };
                self.select(&artifact.collection, &query, &|_, _| Ok(()))?;
            }
            _ => {
                self.select(&artifact.collection, &query.window(None, Some(1)), &|_, _| Ok(()))?;
            }
        }
        Ok(())
    }
}

/// A pipeline without the stage that writes its result.
fn without_target(artifact: &MongoArtifact) -> Result<Cow<'_, MongoArtifact>> {
    let Command::Aggregate { pipeline } = &artifact.command else { return Ok(Cow::Borrowed(artifact)) };
    let Some((stages, _)) = Target::split(pipeline)? else { return Ok(Cow::Borrowed(artifact)) };
    let command = Command::Aggregate { pipeline: stages.to_vec() };
    Ok(Cow::Owned(MongoArtifact { command, ..artifact.clone() }))
}
