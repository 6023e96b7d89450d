//! Typed pipelines: relation filters are resolved first, and everything that is read is recorded.

use forge_core::Result;
use forge_core::ir::pipeline::SourceRead;
use forge_core::ir::{Filter, Outcome, Pipeline, ReadOptions, Rows, Source, Stage};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::run::Run;
use crate::compile;

impl Run<'_> {
    pub(super) async fn pipeline(&self, mut op: Pipeline) -> Result<Outcome> {
        self.resolve_source(&mut op.source).await?;
        self.record_source(&op.options, &op.source);
        let documents = self.documents(&compile::pipeline(&op)?).await?;
        Ok(Outcome::Rows(Rows { documents, included: Vec::new() }))
    }

    /// Replaces relation filters by conditions on keys, at any depth.
    fn resolve_source<'f>(&'f self, source: &'f mut Source) -> BoxFuture<'f, Result<()>> {
        async move {
            self.resolve_in_place(&mut source.filter).await?;
            self.resolve_stages(&mut source.stages).await
        }
        .boxed()
    }

    fn resolve_stages<'f>(&'f self, stages: &'f mut [Stage]) -> BoxFuture<'f, Result<()>> {
        async move {
            for stage in stages {
                match stage {
                    Stage::Match(filter) => self.resolve_in_place(filter).await?,
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
