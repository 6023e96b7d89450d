//! Searches that begin pipelines.

use super::{Documents, Pipeline, Whole};
use crate::error::{Error, Result};
use crate::fields::Field;
use crate::ir::{self, IndexSearch, Source, Stage, TextQuery};
use crate::query::search::{Ranked, Search, Vector, begin, fusion, index_of, vector_of, vector_search};
use crate::traits::Model;

/// Search. Each of these is the first stage: conditions before any other stage narrow what it finds, whether they stand
/// before it or after it.
///
/// [`score()`](crate::query::score) is the score in sorts and, by [`expr`](crate::query::Score::expr) and
/// [`named`](crate::query::Score::named), in expressions.
impl<M: Model, A> Pipeline<Documents<M>, Whole<A>> {
    /// Documents with the words of `query`: see [`Find::text`](crate::query::Find::text).
    ///
    /// ```ignore
    /// let topics: Vec<ByTopic> = db
    ///     .pipeline::<Post>()
    ///     .text("coffee -instant")
    ///     .set(|_| [score().named("score")])
    ///     .group(|p| [p.topic.named("topic")], |_| [count().named("posts"), path::<f64>("score").largest().named("best")])
    ///     .shaped::<ByTopic>()
    ///     .await?;
    /// ```
    ///
    /// # Errors
    /// When it runs: `bad_request` behind another stage, `unsupported` where the server has no text indexes.
    pub fn text(self, query: impl Into<TextQuery>) -> Self {
        let text = ir::Filter::Text(query.into());
        self.beginning("text", |pipeline| {
            if pipeline.search.is_some() || pipeline.source.filter.text().is_some() {
                return Err(Error::bad_request("a pipeline has one search; rank_fusion joins several"));
            }
            pipeline.source.filter.narrow(text);
            Ok(())
        })
    }

    /// The documents whose vectors are nearest to `vector`, nearest first: as many as the `limit` right behind it says, 10
    /// without one. See [`Find::nearest_vector`](crate::query::Find::nearest_vector).
    ///
    /// # Errors
    /// When it runs: `bad_request` behind another stage and for a vector of another length, `unsupported` where the
    /// server has no vector search.
    pub fn nearest_vector<V: Vector>(
        self,
        field: impl FnOnce(&'static M::Fields) -> Field<M, V>,
        vector: impl Into<Vec<f32>>,
    ) -> Self {
        let search = vector_search(field(M::FIELDS), vector.into()).map(ir::Search::Vector);
        self.searching("nearest_vector", search)
    }

    /// How many candidates an approximate vector search looks at: see
    /// [`Find::num_candidates`](crate::query::Find::num_candidates).
    pub fn num_candidates(self, n: u64) -> Self {
        self.changed(|pipeline| {
            vector_of(&mut pipeline.search, "num_candidates").map(|search| search.candidates = Some(n))
        })
    }

    /// Makes a vector search compare every vector, in place of looking through an index.
    pub fn exact(self) -> Self {
        self.changed(|pipeline| vector_of(&mut pipeline.search, "exact").map(|search| search.exact = true))
    }

    /// The documents that a search index finds, the best first: see [`Find::search`](crate::query::Find::search).
    ///
    /// # Errors
    /// When it runs: `bad_request` behind another stage, and as [`Find::search`](crate::query::Find::search).
    pub fn search(self, search: impl FnOnce(&'static M::Fields) -> Search<M>) -> Self {
        let operator = search(M::FIELDS).into_ir();
        let search = operator.map(|operator| ir::Search::Index(IndexSearch { index: None, operator }));
        self.searching("search", search)
    }

    /// The search index to use, where it is not the one that `push` makes.
    pub fn search_index(self, name: impl Into<String>) -> Self {
        self.changed(|pipeline| {
            index_of(&mut pipeline.search, "search_index").map(|search| search.index = Some(name.into()))
        })
    }

    /// The documents that stand high in several rankings: see
    /// [`Find::rank_fusion`](crate::query::Find::rank_fusion).
    ///
    /// # Errors
    /// When it runs: `bad_request` behind another stage, `unsupported` where the server has no `$rankFusion`.
    pub fn rank_fusion<R: IntoIterator<Item = Ranked<M>>>(
        self,
        rankings: impl FnOnce(&'static M::Fields) -> R,
    ) -> Self {
        let search = fusion(rankings(M::FIELDS));
        self.searching("rank_fusion", search)
    }

    fn searching(self, name: &str, search: Result<ir::Search>) -> Self {
        self.beginning(name, |pipeline| begin(&mut pipeline.search, search?))
    }

    /// Changes what has to be the first stage.
    fn beginning(self, name: &str, change: impl FnOnce(&mut Self) -> Result<()>) -> Self {
        self.changed(|pipeline| match pipeline.source.stages.is_empty() {
            true => change(pipeline),
            false => Err(Error::bad_request(format!(
                "{name} is the first stage of a pipeline: only conditions on documents may stand before it"
            ))),
        })
    }

    fn changed(mut self, change: impl FnOnce(&mut Self) -> Result<()>) -> Self {
        if let Err(error) = change(&mut self) {
            self.error.get_or_insert(error);
        }
        self
    }
}

/// How many documents a vector search has to find for the stages behind it.
pub(super) fn widen(search: &mut ir::Search, source: &Source) {
    let ir::Search::Vector(vector) = search else { return };
    let mut window = source.stages.iter().map(|stage| match stage {
        Stage::Plain(stage) => ["$skip", "$limit"].map(|name| stage.get_i64(name).ok()),
        _ => [None, None],
    });
    let first = window.next().unwrap_or_default();
    let (skip, limit) = match first {
        [Some(skip), _] => (skip, window.next().and_then(|[_, limit]| limit)),
        [_, limit] => (0, limit),
    };
    let wanted = limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(vector.limit);
    vector.limit = wanted.saturating_add(u64::try_from(skip).unwrap_or(0));
}
