use super::{Columns, Part, Pipeline, checked_name};
use crate::error::{Error, Result};
use crate::ir::{Source, Stage};

/// The pipelines of a [`facet`](Pipeline::facet), each with a name.
pub struct Facets<R> {
    source: Source,
    facets: Vec<(String, Vec<Stage>)>,
    error: Option<Error>,
    _row: std::marker::PhantomData<fn() -> R>,
}

impl<R: Columns> Facets<R> {
    /// One more pipeline over the same documents; its documents are a list in a field of that name.
    pub fn branch<S>(
        mut self,
        name: impl Into<String>,
        pipeline: impl FnOnce(Pipeline<R>) -> Pipeline<S>,
    ) -> Self {
        let name = name.into();
        match self.stages(&name, pipeline) {
            Ok(stages) => self.facets.push((name, stages)),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    fn stages<S>(&self, name: &str, pipeline: impl FnOnce(Pipeline<R>) -> Pipeline<S>) -> Result<Vec<Stage>> {
        checked_name(name, false)?;
        let Source { filter, mut stages, .. } =
            pipeline(Pipeline::over(Source::new(self.source.model), None::<Part>)).into_source()?;
        // The first condition is that of the branch, not of where the documents come from.
        if filter != crate::ir::Filter::All {
            stages.insert(0, Stage::Match(filter));
        }
        Ok(stages)
    }
}

impl<R: Columns, H> Pipeline<R, H> {
    /// Several pipelines over the same documents, in one go: one document with a list for each.
    ///
    /// ```ignore
    /// let dashboard = db
    ///     .pipeline::<Order>()
    ///     .match_(|o| o.org_id.eq(org))
    ///     .facet(|f| {
    ///         f.branch("by_day", |p| p.group(|o| [o.created_at.trunc(TimeUnit::Day).named("day")], |o| [o.amount.sum().named("total")]))
    ///             .branch("recent", |p| p.sort(|o| o.created_at.desc()).limit(5))
    ///     })
    ///     .fetch_one::<Dashboard>()
    ///     .await?;
    /// ```
    pub fn facet(self, facets: impl FnOnce(Facets<R>) -> Facets<R>) -> Self {
        let empty = Facets {
            source: Source::new(self.source.model),
            facets: Vec::new(),
            error: None,
            _row: std::marker::PhantomData,
        };
        let Facets { facets, error, .. } = facets(empty);
        let stage = match error {
            Some(error) => Err(error),
            None if facets.is_empty() => Err(Error::bad_request("a facet has at least one branch")),
            None => Ok(Stage::Facet(facets)),
        };
        self.attempt(stage)
    }
}
