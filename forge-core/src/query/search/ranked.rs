//! Rankings, and what joins them.

use std::marker::PhantomData;

use super::{Search, Vector, vector_search};
use crate::error::{Error, Result};
use crate::fields::Field;
use crate::ir::{self, IndexSearch, RankedBy, TextQuery};

/// How many documents of a ranking count where no limit is given.
const DEFAULT_RANKED: u64 = 100;

/// One of the rankings that [`Find::rank_fusion`](crate::query::Find::rank_fusion) joins.
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
        let by = operator.into_ir().map(|operator| RankedBy::Index(IndexSearch { index: None, operator }));
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

    fn into_ir(self) -> Result<ir::Ranking> {
        self.error.map_or(Ok(self.ranking), Err)
    }
}

/// The search that joins these rankings.
///
/// # Errors
/// `bad_request` where there are none, and what one of them was given wrong.
pub(in crate::query) fn fusion<M>(rankings: impl IntoIterator<Item = Ranked<M>>) -> Result<ir::Search> {
    let mut rankings = rankings.into_iter().map(Ranked::into_ir).collect::<Result<Vec<_>>>()?;
    if rankings.is_empty() {
        return Err(Error::bad_request("rank_fusion joins at least one ranking"));
    }
    name_apart(&mut rankings);
    Ok(ir::Search::Fusion(rankings))
}

/// Two rankings of one name: the later one gets a number.
fn name_apart(rankings: &mut [ir::Ranking]) {
    for at in 1..rankings.len() {
        let (before, rest) = rankings.split_at_mut(at);
        let taken = |name: &str| before.iter().any(|other| other.name == name);
        let own = &mut rest[0].name;
        if taken(own) {
            let free = (2..).map(|n| format!("{own}{n}")).find(|name| !taken(name));
            own.clone_from(&free.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct M;

    #[test]
    fn vectors_that_are_none_are_an_error() {
        let field: Field<M, Vec<f32>> = Field::new("v");
        assert!(Ranked::vector(field, vec![f32::NAN]).into_ir().is_err());
    }

    #[test]
    fn rankings_of_one_name_are_told_apart() {
        let text = || Ranked::<M>::text("a");
        let ir::Search::Fusion(rankings) = fusion([text(), text(), text().named("text2")]).unwrap() else {
            panic!()
        };
        let names: Vec<&str> = rankings.iter().map(|ranking| ranking.name.as_str()).collect();
        assert_eq!(names, ["text", "text2", "text22"]);
        assert!(fusion::<M>([]).is_err());
    }
}
