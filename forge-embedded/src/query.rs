//! What a find asks for, read from the documents of its command.

use bson::{Bson, Document};
use forge_core::ir::{Filter, Predicate, ReadOptions, SortKey};
use forge_core::matcher::Centre;
use forge_core::{Error, GeoPoint, Result};

use crate::catalog::Collection;
use crate::clock::Clock;
use crate::collation::{Collator, Strings};
use crate::filter::{self, conjuncts};
use crate::index::integer;
use crate::matching::Matching;
use crate::plan::{self, Plan};
use crate::text::{self, SCORE};

/// Which documents, in which order.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The condition.
    pub(crate) filter: Filter,
    /// The order.
    pub(crate) sort: Vec<SortKey>,
    /// How many of the first ones are left out.
    pub(crate) skip: usize,
    /// How many there are at most.
    pub(crate) limit: Option<usize>,
    /// A path and the place by whose distance from it the documents come.
    pub(crate) near: Option<(String, Centre)>,
    /// Whether documents that are found by words carry their score.
    pub(crate) scored: bool,
    /// What the expressions of the filter see.
    variables: Vec<(String, Bson)>,
    /// The name of the index to follow.
    hint: Option<String>,
    /// How strings compare, where not by their bytes.
    pub(crate) collator: Option<Collator>,
}

impl Query {
    /// Every document that `filter` finds, in no particular order.
    pub(crate) fn new(filter: &Document) -> Result<Self> {
        Self::within(filter, &[])
    }

    /// As [`Query::new`]; the expressions of `filter` see `variables`.
    pub(crate) fn within(filter: &Document, variables: &[(String, Bson)]) -> Result<Self> {
        let filter = filter::sharpened(filter::parse(filter)?, variables);
        let near = conjuncts(&filter).iter().find_map(|condition| match condition {
            Filter::Field(path, Predicate::Near { point: [longitude, latitude], .. }) => {
                let centre = GeoPoint::new(*longitude, *latitude).map(Centre::Sphere);
                Some(centre.map(|centre| (path.to_string(), centre)))
            }
            Filter::Field(path, Predicate::NearOnPlane { point, .. }) => {
                Some(Ok((path.to_string(), Centre::Plane(*point))))
            }
            _ => None,
        });
        Ok(Self {
            filter,
            sort: Vec::new(),
            skip: 0,
            limit: None,
            near: near.transpose()?,
            scored: false,
            variables: variables.to_vec(),
            hint: None,
            collator: None,
        })
    }

    /// The same in an order; an order asked for replaces that of `$near`.
    pub(crate) fn sorted(mut self, sort: Option<&Document>) -> Result<Self> {
        self.sort = sort_keys(sort)?;
        if !self.sort.is_empty() {
            self.near = None;
        }
        self.scored |= self.sort.iter().any(|key| key.path == SCORE);
        Ok(self)
    }

    /// The same, run as `options` say.
    ///
    /// # Errors
    /// As [`Collator::of_options`].
    pub(crate) fn with(mut self, options: &ReadOptions) -> Result<Self> {
        self.hint.clone_from(&options.hint);
        self.collator = Collator::of_options(options)?;
        Ok(self)
    }

    /// The same, which reads by the index of this name.
    pub(crate) fn hinted(self, index: Option<&str>) -> Self {
        Self { hint: index.map(str::to_owned), ..self }
    }

    /// The same, with strings that compare as `strings` says.
    pub(crate) fn collated(mut self, strings: Strings<'_>) -> Self {
        self.collator = strings.cloned();
        self
    }

    /// How strings compare.
    pub(crate) fn strings(&self) -> Strings<'_> {
        self.collator.as_ref()
    }

    /// How the documents of `collection` are read.
    pub(crate) fn plan(&self, collection: &Collection) -> Result<Plan> {
        match (&self.hint, self.strings()) {
            (Some(name), strings) => plan::hinted(collection, &self.filter, &self.sort, strings, name),
            (None, Some(collator)) => Ok(plan::plan_collated(collection, &self.filter, &self.sort, collator)),
            (None, None) => Ok(plan::plan(collection, &self.filter, &self.sort)),
        }
    }

    /// The same with scores, where documents are found by words.
    pub(crate) fn scored(mut self) -> Self {
        self.scored = true;
        self
    }

    /// Whether the documents carry their score.
    pub(crate) fn carries_scores(&self) -> bool {
        self.scored && self.has_words()
    }

    /// Whether a text condition takes part.
    pub(crate) fn has_words(&self) -> bool {
        text::condition(&self.filter).is_some()
    }

    /// Every document that another filter finds, by the same rules.
    pub(crate) fn about(&self, filter: Filter) -> Self {
        let plain = Self { filter, sort: Vec::new(), skip: 0, limit: None, near: None, ..self.clone() };
        Self { scored: false, hint: None, ..plain }
    }

    /// Whether the documents may come as they are found.
    pub(crate) fn is_unordered(&self) -> bool {
        self.sort.is_empty() && self.near.is_none() && !self.has_words()
    }

    /// A part of the same.
    pub(crate) fn window(mut self, skip: Option<u64>, limit: Option<u64>) -> Self {
        let bound = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        self.skip = skip.map_or(0, bound);
        self.limit = limit.filter(|limit| *limit > 0).map(bound);
        self
    }

    /// What is to be checked on the documents that a plan reads.
    pub(crate) fn residual(&self, plan: &Plan, clock: &Clock) -> Result<Matching> {
        if plan.exact {
            return self.matching(&Filter::All, clock);
        }
        self.matching(&self.filter, clock)
    }

    /// A condition, with what its expressions see.
    pub(crate) fn matching(&self, filter: &Filter, clock: &Clock) -> Result<Matching> {
        if !filter.has_expressions() {
            return Matching::within(filter, &[], None, self.strings());
        }
        let now = ("NOW".to_owned(), clock.now().into());
        let variables: Vec<_> = self.variables.iter().cloned().chain([now]).collect();
        Matching::within(filter, &variables, clock.env(), self.strings())
    }
}

/// Reads `{path: 1 | -1}`.
pub(crate) fn sort_keys(sort: Option<&Document>) -> Result<Vec<SortKey>> {
    let Some(sort) = sort else { return Ok(Vec::new()) };
    let mut keys = Vec::with_capacity(sort.len());
    for (path, direction) in sort {
        let descending = match integer(direction) {
            Some(1) => false,
            Some(-1) => true,
            _ if text::is_score(direction) => {
                keys.push(SortKey { path: SCORE.into(), descending: true });
                continue;
            }
            _ if matches!(direction, Bson::Document(_)) => {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no sort of `{path}` by {direction}"
                )));
            }
            _ => return Err(Error::bad_request(format!("the sort of `{path}` is 1 or -1, not {direction}"))),
        };
        keys.push(SortKey { path: path.clone().into(), descending });
    }
    Ok(keys)
}
