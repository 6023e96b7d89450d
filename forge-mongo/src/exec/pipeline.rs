//! Typed pipelines: relation filters are resolved first, and everything that is read is recorded.

use forge_core::Result;
use forge_core::ir::pipeline::SourceRead;
use forge_core::ir::{Filter, Outcome, Pipeline, ReadOptions, Rows, Source, Stage};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::run::Run;
use crate::artifact::MongoArtifact;
use crate::compile;

impl Run<'_> {
    pub(super) async fn pipeline(&self, mut op: Pipeline) -> Result<Outcome> {
        let artifact = self.prepared_pipeline(&mut op).await?;
        let documents = self.documents(artifact.into()).await?;
        Ok(Outcome::Rows(Rows { documents, included: Vec::new() }))
    }

    /// The command of a pipeline; what it reads is recorded.
    pub(super) async fn prepared_pipeline(&self, op: &mut Pipeline) -> Result<MongoArtifact> {
        if op.search.is_some() {
            self.check_search()?;
        }
        self.check_text(&op.source.filter)?;
        let asking = self.under(&op.options);
        match &op.search {
            None => asking.resolve_source(&mut op.source).await?,
            Some(search) if compile::can_join(search) => asking.resolve_source(&mut op.source).await?,
            // What the others find, they find by a condition that they know themselves.
            Some(_) => {
                asking.resolve_in_place(&mut op.source.filter).await?;
                asking.resolve_stages(&mut op.source.stages).await?;
            }
        }
        self.record_source(&op.options, &op.source);
        compile::pipeline(op)
    }

    /// Replaces relation filters by conditions on keys or, where these are many, by `$lookup`s, at any depth.
    fn resolve_source<'f>(&'f self, source: &'f mut Source) -> BoxFuture<'f, Result<()>> {
        async move {
            let related = self.resolve_or_join(&mut source.filter).await?;
            self.resolve_stages(&mut source.stages).await?;
            // Some stages have to stay the first one.
            let at = usize::from(source.stages.first().is_some_and(compile::begins_pipeline));
            source.stages.splice(at..at, related);
            Ok(())
        }
        .boxed()
    }

    fn resolve_stages<'f>(&'f self, stages: &'f mut Vec<Stage>) -> BoxFuture<'f, Result<()>> {
        async move {
            let mut at = 0;
            while let Some(stage) = stages.get_mut(at) {
                at += 1;
                match stage {
                    Stage::Match(filter) => {
                        let related = self.resolve_or_join(filter).await?;
                        let end = at + related.len();
                        stages.splice(at..at, related);
                        at = end;
                    }
                    Stage::Lookup(lookup) => self.resolve_source(&mut lookup.from).await?,
                    Stage::Union(source) => self.resolve_source(source).await?,
                    Stage::Graph(graph) => self.resolve_in_place(&mut graph.filter).await?,
                    Stage::Facet(facets) => {
                        for (_, stages) in facets {
                            self.resolve_stages(stages).await?;
                        }
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// Leaves in `filter` what needs no related documents; the stages of the rest.
    async fn resolve_or_join(&self, filter: &mut Filter) -> Result<Vec<Stage>> {
        let mut joined = self.resolve_joined(std::mem::replace(filter, Filter::All)).await?;
        let related = joined.related_stages()?;
        *filter = joined.take_own();
        // What they read is recorded by now.
        Ok(related.into_iter().map(Stage::Plain).collect())
    }

    async fn resolve_in_place(&self, filter: &mut Filter) -> Result<()> {
        *filter = self.resolve(std::mem::replace(filter, Filter::All)).await?;
        Ok(())
    }

    /// Records the documents that can make a difference: those that meet the conditions before any other stage.
    fn record_source(&self, options: &ReadOptions, source: &Source) {
        source.each_read(&mut |read| match read {
            // Conditions by expressions or by distance may match more than a change feed can tell.
            SourceRead::Documents(model, filter) => {
                self.record_under(options, &model, &filter.clone().widened());
            }
            SourceRead::Collection(name) => {
                self.exec.record_read(self.database(), name, || Filter::All);
            }
            // Its relations are resolved, and recorded by that.
            SourceRead::Condition(_) => {}
        });
    }
}
