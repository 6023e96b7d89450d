//! Conditions of search indexes.

use std::marker::PhantomData;

use serde::Serialize;

use super::IntoTextPaths;
use crate::error::{Error, Result};
use crate::fields::{Field, Text};
use crate::ir::{self, SearchOperator};
use crate::value::{IntoValue, to_bson};

/// A condition of a search index, on documents of `M`.
#[derive(Debug)]
pub struct Search<M> {
    operator: SearchOperator,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M> Search<M> {
    fn new(operator: SearchOperator) -> Self {
        Self { operator, error: None, _model: PhantomData }
    }

    /// The operator, or an error for when it runs.
    pub(super) fn attempt(operator: Result<SearchOperator>) -> Self {
        match operator {
            Ok(operator) => Self::new(operator),
            Err(error) => Self { error: Some(error), ..Self::compound() },
        }
    }

    /// Any of the words in `query`, in any of `fields`; `()` is every field of the index.
    pub fn text(query: impl Into<String>, fields: impl IntoTextPaths<M>) -> Self {
        Self::new(SearchOperator::Text { query: query.into(), paths: fields.into_paths(), fuzzy: 0 })
    }

    /// The words of `query` in this order, in one of `fields`; `()` is every field of the index.
    pub fn phrase(query: impl Into<String>, fields: impl IntoTextPaths<M>) -> Self {
        Self::new(SearchOperator::Phrase { query: query.into(), paths: fields.into_paths(), slop: 0 })
    }

    /// Words that begin like `query`, as somebody types it. The index holds the field for autocompletion.
    pub fn autocomplete<T: Text>(query: impl Into<String>, field: Field<M, T>) -> Self {
        Self::new(SearchOperator::Autocomplete { query: query.into(), path: field.path().into(), fuzzy: 0 })
    }

    /// Words by a pattern, in any of `fields`, as the index cuts them: most indexes keep them in small letters. `?` is any
    /// letter, `*` any letters.
    pub fn wildcard(pattern: impl Into<String>, fields: impl IntoTextPaths<M>) -> Self {
        Self::pattern(pattern.into(), fields, false)
    }

    /// Words that a regular expression matches from end to end, in any of `fields`, as the index cuts them. Expressions
    /// are those of Lucene; they must not come from a client.
    pub fn regex(pattern: impl Into<String>, fields: impl IntoTextPaths<M>) -> Self {
        Self::pattern(pattern.into(), fields, true)
    }

    fn pattern(query: String, fields: impl IntoTextPaths<M>, regex: bool) -> Self {
        Self::new(SearchOperator::Pattern { query, paths: fields.into_paths(), regex })
    }

    /// Exactly `value`.
    pub fn equals<T: Serialize + 'static>(field: Field<M, T>, value: impl IntoValue<T>) -> Self {
        let value = to_bson(&value.into_value());
        Self::attempt(value.map(|value| SearchOperator::Equals { path: field.path().into(), value }))
    }

    /// The field is there.
    pub fn exists<T>(field: Field<M, T>) -> Self {
        Self::new(SearchOperator::Exists { path: field.path().into() })
    }

    /// Several conditions: start with this, and add `must`, `should`, `must_not` and `only`.
    pub fn compound() -> Self {
        Self::new(SearchOperator::Compound(Box::default()))
    }

    /// How many letters of each word may differ: 0, 1 or 2. Of `text` and `autocomplete`.
    pub fn fuzzy(mut self, letters: u8) -> Self {
        match &mut self.operator {
            SearchOperator::Text { fuzzy, .. } | SearchOperator::Autocomplete { fuzzy, .. } => {
                *fuzzy = letters.min(2);
            }
            _ => self.misused("fuzzy is for text and autocomplete"),
        }
        self
    }

    /// How many other words may stand between those of a `phrase`.
    pub fn slop(mut self, words: u32) -> Self {
        match &mut self.operator {
            SearchOperator::Phrase { slop, .. } => *slop = words,
            _ => self.misused("slop is for phrases"),
        }
        self
    }

    /// Counts `factor` times as much.
    pub fn boost(mut self, factor: f64) -> Self {
        if !factor.is_finite() || factor <= 0.0 {
            self.misused("a boost is a number above 0");
        }
        self.operator = SearchOperator::Boost { operator: Box::new(self.operator), factor };
        self
    }

    /// Counts `score`, however well a document fits.
    pub fn constant(mut self, score: f64) -> Self {
        if !score.is_finite() || score < 0.0 {
            self.misused("a constant score is a number from 0");
        }
        self.operator = SearchOperator::Constant { operator: Box::new(self.operator), score };
        self
    }

    /// This has to hold, and counts. Of `compound`.
    pub fn must(self, other: Self) -> Self {
        self.with(other, |all, operator| all.must.push(operator))
    }

    /// This must not hold. Of `compound`.
    pub fn must_not(self, other: Self) -> Self {
        self.with(other, |all, operator| all.must_not.push(operator))
    }

    /// This counts, where it holds. Of `compound`.
    pub fn should(self, other: Self) -> Self {
        self.with(other, |all, operator| all.should.push(operator))
    }

    /// This has to hold, and does not count. Of `compound`.
    pub fn only(self, other: Self) -> Self {
        self.with(other, |all, operator| all.filter.push(operator))
    }

    /// How many of what `should` hold have to. Of `compound`.
    pub fn minimum_should_match(mut self, n: u32) -> Self {
        match &mut self.operator {
            SearchOperator::Compound(all) => all.minimum_should_match = Some(n),
            _ => self.misused("minimum_should_match is for compound"),
        }
        self
    }

    fn with(mut self, other: Self, add: impl FnOnce(&mut ir::Compound, SearchOperator)) -> Self {
        self.error = self.error.take().or(other.error);
        match &mut self.operator {
            SearchOperator::Compound(all) => add(all, other.operator),
            _ => self.misused("must, must_not, should and only are for compound"),
        }
        self
    }

    fn misused(&mut self, why: &str) {
        self.error = self.error.take().or_else(|| Some(Error::bad_request(why.to_owned())));
    }

    pub(in crate::query) fn into_ir(self) -> Result<SearchOperator> {
        self.error.map_or(Ok(self.operator), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct M;
    const TITLE: Field<M, String> = Field::new("title");

    #[test]
    fn conditions_gather_in_a_compound() {
        let all = Search::compound()
            .must(Search::text("a", TITLE).fuzzy(5))
            .should(Search::phrase("b c", ()).slop(2));
        let SearchOperator::Compound(all) = all.into_ir().unwrap() else { panic!() };
        assert!(matches!(&all.must[..], [SearchOperator::Text { fuzzy: 2, .. }]));
        assert!(
            matches!(&all.should[..], [SearchOperator::Phrase { slop: 2, paths, .. }] if paths.is_empty())
        );
    }

    #[test]
    fn every_operator_finds_its_place_in_a_compound() {
        const YEAR: Field<M, i32> = Field::new("year");
        let all = Search::compound()
            .should(Search::autocomplete("co", TITLE).fuzzy(1).boost(2.0))
            .should(Search::exists(YEAR))
            .minimum_should_match(1)
            .must_not(Search::text("b", TITLE))
            .only(Search::equals(YEAR, 2000));
        let SearchOperator::Compound(all) = all.into_ir().unwrap() else { panic!() };
        let [SearchOperator::Boost { operator, factor: 2.0 }, SearchOperator::Exists { path }] =
            &all.should[..]
        else {
            panic!("{:?}", all.should);
        };
        assert_eq!((&**path, all.minimum_should_match), ("year", Some(1)));
        assert!(matches!(&**operator, SearchOperator::Autocomplete { fuzzy: 1, .. }));
        assert!(matches!(&all.must_not[..], [SearchOperator::Text { .. }]));
        assert!(matches!(&all.filter[..], [SearchOperator::Equals { value: bson::Bson::Int32(2000), .. }]));
        assert!(Search::text("a", TITLE).minimum_should_match(1).into_ir().is_err());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(Search::text("a", TITLE).must(Search::exists(TITLE)).into_ir().is_err());
        assert!(Search::phrase("a", TITLE).fuzzy(1).into_ir().is_err());
        assert!(Search::text("a", TITLE).boost(-1.0).into_ir().is_err());
    }
}
