//! Parts of a select that are no fields: the whole document, and the score of a search.

use bson::RawDocument;

use super::selection::{Asked, Row, Selection};
use crate::error::{Error, Result};
use crate::fields::Score;
use crate::ir::{self, SCORE};
use crate::traits::Model;

/// The whole document: see [`whole`].
#[derive(Debug, Clone, Copy)]
pub struct WholeDocument(());

/// Inside of a `.select`: the document as its model, without relations. What is selected beside it may be parts of
/// relations, counts and scores.
///
/// ```ignore
/// let airports: Vec<(Airport, Vec<i32>, u64)> = db
///     .find::<Airport>()
///     .select(|a| (whole(), a.departures.limit(3).select(|d| d.delay), a.departures.count()))
///     .await?;
/// ```
pub const fn whole() -> WholeDocument {
    WholeDocument(())
}

impl<M: Model> Selection<M> for WholeDocument {
    type Output = M;
    fn ask(&self, asked: &mut Asked) {
        asked.whole();
    }
    fn read(&self, row: &mut Row<'_>) -> Result<M> {
        row.whole()
    }
}

impl<M: Model> Selection<M> for Score {
    type Output = f64;
    fn ask(&self, asked: &mut Asked) {
        asked.score();
    }
    fn read(&self, row: &mut Row<'_>) -> Result<f64> {
        score_of(row.document()?)
    }
}

/// The score that an adapter gave a row.
pub(super) fn score_of(document: &RawDocument) -> Result<f64> {
    let score = document.get(SCORE).ok().flatten().and_then(crate::order::as_f64);
    score.ok_or_else(|| Error::internal("an adapter gave a row without its score"))
}

impl ir::Select {
    /// Asks for the score of each document.
    ///
    /// # Errors
    /// `bad_request` where nothing is searched.
    pub(super) fn want_score(&mut self) -> Result<()> {
        if self.search.is_none() && self.filter.text().is_none() {
            return Err(Error::bad_request(
                "there are scores only in a search: text, nearest_vector, search or rank_fusion, which come before `.select`",
            ));
        }
        self.score = true;
        Ok(())
    }
}
