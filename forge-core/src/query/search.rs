//! Search: conditions of search indexes, and rankings. See [`Find::text`](super::Find::text),
//! [`Find::nearest_vector`](super::Find::nearest_vector), [`Find::search`](super::Find::search) and
//! [`Find::rank_fusion`](super::Find::rank_fusion).

use std::marker::PhantomData;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fields::{Field, Text};
use crate::ir::{self, Path, RankedBy, SearchOperator, TextQuery, VectorSearch};
use crate::value::{IntoValue, to_bson};

/// How many documents a vector search finds where no limit is given.
pub(super) const DEFAULT_NEAREST: u64 = 10;

/// How many documents of a ranking count where no limit is given.
const DEFAULT_RANKED: u64 = 100;

/// Types of fields that hold a vector.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a vector",
    label = "only Vec<f32> and Option<Vec<f32>> fields have this"
)]
pub trait Vector {}
impl Vector for Vec<f32> {}
impl Vector for Option<Vec<f32>> {}

impl TextQuery {
    /// Any of the words in `query`; `"…"` is a phrase that has to be there, `-word` must not be there.
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }

    /// The language of the words, where it is not that of the index: `"english"`, `"de"`, or `"none"` for words as
    /// they are.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// The case of letters matters.
    pub fn case_sensitive(mut self) -> Self {
        self.case_sensitive = true;
        self
    }

    /// Accents matter.
    pub fn diacritic_sensitive(mut self) -> Self {
        self.diacritic_sensitive = true;
        self
    }
}

impl From<&str> for TextQuery {
    fn from(query: &str) -> Self {
        Self::new(query)
    }
}
impl From<String> for TextQuery {
    fn from(query: String) -> Self {
        Self::new(query)
    }
}
impl From<&String> for TextQuery {
    fn from(query: &String) -> Self {
        Self::new(query)
    }
}

/// The vector search of a field.
///
/// # Errors
/// `bad_request` for an empty vector, and one that holds something else than numbers.
pub(super) fn vector_search<M, V: Vector>(field: Field<M, V>, vector: Vec<f32>) -> Result<VectorSearch> {
    if vector.is_empty() || vector.iter().any(|number| !number.is_finite()) {
        return Err(Error::bad_request(format!(
            "the vector to find near ones of in `{}` is empty or holds a number that is not finite",
            field.path()
        )));
    }
    Ok(VectorSearch {
        path: field.path().into(),
        vector,
        limit: DEFAULT_NEAREST,
        candidates: None,
        exact: false,
    })
}

/// One field with text, or a tuple of them.
pub trait IntoTextPaths<M> {
    #[doc(hidden)]
    fn into_paths(self) -> Vec<Path>;
}

impl<M, T: Text> IntoTextPaths<M> for Field<M, T> {
    fn into_paths(self) -> Vec<Path> {
        vec![self.path().into()]
    }
}

/// Every field of the index.
impl<M> IntoTextPaths<M> for () {
    fn into_paths(self) -> Vec<Path> {
        Vec::new()
    }
}

macro_rules! text_tuples {
    ($(($($name:ident),+))+) => {
        $(impl<M, $($name: Text),+> IntoTextPaths<M> for ($(Field<M, $name>,)+) {
            #[allow(non_snake_case, reason = "the type's name is the variable's")]
            fn into_paths(self) -> Vec<Path> {
                let ($($name,)+) = self;
                vec![$($name.path().into()),+]
            }
        })+
    };
}
text_tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

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

    /// Exactly `value`.
    pub fn equals<T: Serialize + 'static>(field: Field<M, T>, value: impl IntoValue<T>) -> Self {
        let (value, error) = match to_bson(&value.into_value()) {
            Ok(value) => (value, None),
            Err(error) => (bson::Bson::Null, Some(error)),
        };
        Self { error, ..Self::new(SearchOperator::Equals { path: field.path().into(), value }) }
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

    pub(super) fn into_ir(self) -> Result<SearchOperator> {
        self.error.map_or(Ok(self.operator), Err)
    }
}

/// One of the rankings that [`Find::rank_fusion`](super::Find::rank_fusion) joins.
#[derive(Debug)]
pub struct Ranked<M> {
    ranking: ir::Ranking,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M> Ranked<M> {
    fn new(name: &str, by: Result<RankedBy>) -> Self {
        let (by, error) = match by {
            Ok(by) => (by, None),
            Err(error) => (RankedBy::Text(TextQuery::default()), Some(error)),
        };
        let ranking = ir::Ranking { name: name.to_owned(), weight: 1.0, limit: DEFAULT_RANKED, by };
        Self { ranking, error, _model: PhantomData }
    }

    /// By the text index.
    pub fn text(query: impl Into<TextQuery>) -> Self {
        Self::new("text", Ok(RankedBy::Text(query.into())))
    }

    /// By the similarity of vectors.
    pub fn vector<V: Vector>(field: Field<M, V>, vector: impl Into<Vec<f32>>) -> Self {
        Self::new("vector", vector_search(field, vector.into()).map(RankedBy::Vector))
    }

    /// By a search index.
    pub fn search(operator: Search<M>) -> Self {
        let by =
            operator.into_ir().map(|operator| RankedBy::Index(ir::IndexSearch { index: None, operator }));
        Self::new("search", by)
    }

    /// How much a place in it counts, compared with the others: 1 where nothing is said.
    pub fn weight(mut self, weight: f64) -> Self {
        if !weight.is_finite() || weight < 0.0 {
            self.error
                .get_or_insert_with(|| Error::bad_request("the weight of a ranking is a number from 0"));
        }
        self.ranking.weight = weight;
        self
    }

    /// How many of its documents count: 100 where nothing is said.
    pub fn limit(mut self, n: u64) -> Self {
        self.ranking.limit = n.max(1);
        self
    }

    /// What it is called in explanations of scores.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.ranking.name = name.into();
        self
    }

    pub(super) fn into_ir(self) -> Result<ir::Ranking> {
        self.error.map_or(Ok(self.ranking), Err)
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
        let field: Field<M, Vec<f32>> = Field::new("v");
        assert!(Ranked::vector(field, vec![f32::NAN]).into_ir().is_err());
    }
}
