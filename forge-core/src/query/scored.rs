use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;

use super::decode::decode_one;
use super::parts::score_of;
use super::search::{Ranked, Search, Vector, begin, fusion, index_of, vector_of, vector_search};
use super::{Find, wrong_outcome};
use crate::error::Result;
use crate::fields::Field;
use crate::ir::{self, IndexSearch, Operation, Outcome, TextQuery};
use crate::traits::Model;

/// A document with its score in a search: larger is better. Scores of different searches cannot be compared.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Scored<M> {
    /// The score.
    pub score: f64,
    /// The document.
    pub document: M,
}

/// Search. Each of these decides which documents are found; filters narrow it further.
impl<M: Model> Find<M> {
    /// Documents with the words of `query` in the fields that the model marks with `#[model(text)]`.
    ///
    /// A document has at least one of the words, in any of its forms; `"…"` is a phrase that has to be there, `-word`
    /// must not be there. Add `.sort(|_| score())` for the best first, and `.scored()` for the scores.
    ///
    /// ```ignore
    /// let posts = db.find::<Post>().text("coffee -instant \"cold brew\"").sort(|_| score()).limit(20).await?;
    /// ```
    ///
    /// # Errors
    /// When it runs: `unsupported` where the server has no text indexes.
    pub fn text(self, query: impl Into<TextQuery>) -> Self {
        let text = ir::Filter::Text(query.into());
        self.reshaped(|select| {
            select.filter.narrow(text);
            Ok(())
        })
    }

    /// The documents whose vectors are nearest to `vector`, nearest first: as many as the limit says, 10 without one.
    ///
    /// The field is marked with `#[model(vector(dims = 384, similarity = cosine))]`. On the embedded engine every vector
    /// is compared; a server looks through its vector index ([`num_candidates`](Self::num_candidates)). A filter applies
    /// before: what is found is the nearest of what it leaves.
    ///
    /// # Errors
    /// When it runs: `bad_request` for a vector of another length, `unsupported` where the server has no vector search.
    pub fn nearest_vector<V: Vector>(
        self,
        field: impl FnOnce(&'static M::Fields) -> Field<M, V>,
        vector: impl Into<Vec<f32>>,
    ) -> Self {
        let search = vector_search(field(M::FIELDS), vector.into());
        self.reshaped(|select| begin(&mut select.search, ir::Search::Vector(search?)))
    }

    /// How many candidates an approximate vector search looks at: 10 times the limit without it, at least 100. More
    /// find better, and take longer.
    pub fn num_candidates(self, n: u64) -> Self {
        self.reshaped(|select| {
            vector_of(&mut select.search, "num_candidates").map(|search| search.candidates = Some(n))
        })
    }

    /// Makes a vector search compare every vector, in place of looking through an index.
    pub fn exact(self) -> Self {
        self.reshaped(|select| vector_of(&mut select.search, "exact").map(|search| search.exact = true))
    }

    /// The documents that a search index finds, the best first: `$search` of MongoDB Atlas.
    ///
    /// # Errors
    /// When it runs: `unsupported` where the server has no search indexes, and on the embedded engine for what needs one
    /// (words and places); `bad_request` for a field that the index which the model declares does not keep, or not for this.
    pub fn search(self, search: impl FnOnce(&'static M::Fields) -> Search<M>) -> Self {
        let operator = search(M::FIELDS).into_ir();
        self.reshaped(|select| {
            begin(&mut select.search, ir::Search::Index(IndexSearch { index: None, operator: operator? }))
        })
    }

    /// The search index to use, where it is not the one that `push` makes.
    pub fn search_index(self, name: impl Into<String>) -> Self {
        self.reshaped(|select| {
            index_of(&mut select.search, "search_index").map(|search| search.index = Some(name.into()))
        })
    }

    /// The documents that stand high in several rankings: each counts with its weight / (60 + its place) in each of
    /// them. A filter applies to every ranking.
    ///
    /// ```ignore
    /// db.find::<Post>().rank_fusion(|p| [Ranked::text("coffee").weight(0.4), Ranked::vector(p.embedding, v).weight(0.6)])
    /// ```
    ///
    /// # Errors
    /// When it runs: `unsupported` where the server has no `$rankFusion` (MongoDB Atlas from 8.0).
    pub fn rank_fusion<R: IntoIterator<Item = Ranked<M>>>(
        self,
        rankings: impl FnOnce(&'static M::Fields) -> R,
    ) -> Self {
        let search = fusion(rankings(M::FIELDS));
        self.reshaped(|select| begin(&mut select.search, search?))
    }

    /// Answers with the score of each document, too: `Vec<Scored<M>>`.
    pub fn scored(self) -> ScoredFind<M> {
        ScoredFind { find: self }
    }
}

/// A search whose scores are wanted; awaiting it gives a `Vec<Scored<M>>`.
#[must_use = "a query runs when it is awaited"]
pub struct ScoredFind<M> {
    find: Find<M>,
}

impl<M: Model> ScoredFind<M> {
    async fn run(self) -> Result<Vec<Scored<M>>> {
        let (handle, mut select) = self.find.into_parts()?;
        select.want_score()?;
        let Outcome::Rows(rows) = handle.execute(Operation::Select(select)).await? else {
            return Err(wrong_outcome("find"));
        };
        let one = |(position, document): (usize, &bson::RawDocumentBuf)| {
            Ok(Scored { score: score_of(document)?, document: decode_one(&rows, position)? })
        };
        rows.documents.iter().enumerate().map(one).collect()
    }
}

impl<M: Model> IntoFuture for ScoredFind<M> {
    type Output = Result<Vec<Scored<M>>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
