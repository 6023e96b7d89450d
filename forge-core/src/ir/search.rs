//! Search: by text, by vectors, by a search index, and by several of them at once.

use bson::Bson;
use serde::{Deserialize, Serialize};

use super::{Area, Path};

/// The field of a row that holds its score, where [`Select::score`](super::Select::score) asks for it. As the path of
/// a [`SortKey`](super::SortKey) it means the score itself, the best first.
///
/// In expressions of a [`Pipeline`](super::Pipeline) it is `{$meta: "__forge_score"}`: which score that is for the
/// database follows from how the pipeline begins.
pub const SCORE: &str = "__forge_score";

/// Whether an expression asks for the score of a search, at any depth.
pub fn asks_for_score(expression: &Bson) -> bool {
    match expression {
        Bson::Document(form) => form.iter().any(|(name, value)| match name.as_str() {
            "$meta" => value.as_str() == Some(SCORE),
            // What is quoted is data.
            "$literal" => false,
            _ => asks_for_score(value),
        }),
        Bson::Array(items) => items.iter().any(asks_for_score),
        _ => false,
    }
}

/// Words to look for in the text index of a collection: MongoDB's `$text`.
///
/// A document matches with any of the words, whatever their form (stemmed by the language); `"…"` is a phrase that has
/// to be in it, `-word` must not be in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TextQuery {
    /// The words.
    pub query: String,
    /// The language of the words: `"english"`, `"de"`, `"none"`; that of the index without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether the case of letters matters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub case_sensitive: bool,
    /// Whether accents matter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub diacritic_sensitive: bool,
}

/// What decides which documents are read, and ranks them: the best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Search {
    /// Those whose vectors are nearest.
    Vector(VectorSearch),
    /// Those that a search index finds.
    Index(IndexSearch),
    /// Those that stand high in several rankings.
    Fusion(Vec<Ranking>),
}

/// The nearest vectors: `$vectorSearch` on servers, an exact search on the embedded engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorSearch {
    /// The stored path of the vectors.
    pub path: Path,
    /// What to be near to.
    pub vector: Vec<f32>,
    /// How many to find; in a read of its own that is its limit.
    pub limit: u64,
    /// How many candidates an approximate search looks at; without a number 10 times the limit, at least 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<u64>,
    /// Compare every vector, in place of an approximate search.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// A search in a search index: `$search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexSearch {
    /// The name of the index; without one, the one that `push` makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// What to look for.
    pub operator: SearchOperator,
}

/// A condition of a search index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SearchOperator {
    /// Any of the words, in any of the fields.
    Text {
        /// The words.
        query: String,
        /// The stored paths; none: every field of the index.
        paths: Vec<Path>,
        /// How many letters of a word may differ: 0, 1 or 2.
        #[serde(default)]
        fuzzy: u8,
    },
    /// The words in this order.
    Phrase {
        /// The words.
        query: String,
        /// The stored paths; none: every field of the index.
        paths: Vec<Path>,
        /// How many other words may stand between them.
        #[serde(default)]
        slop: u32,
    },
    /// Words that begin like this, as somebody types them.
    Autocomplete {
        /// What was typed so far.
        query: String,
        /// The stored path, indexed for autocompletion.
        path: Path,
        /// How many letters may differ: 0, 1 or 2.
        #[serde(default)]
        fuzzy: u8,
    },
    /// A value, as it is.
    Equals {
        /// The stored path.
        path: Path,
        /// The value.
        value: Bson,
    },
    /// One of some values, as they are; without any nothing is found.
    In {
        /// The stored path.
        path: Path,
        /// The values.
        values: Vec<Bson>,
    },
    /// A value between two ends, of their type: a number, a date, a text, an object id.
    Range {
        /// The stored path.
        path: Path,
        /// The low end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<Box<RangeEnd>>,
        /// The high end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<Box<RangeEnd>>,
    },
    /// Any value; the nearer it is to a number, a date or a point, the more it counts.
    Near {
        /// The stored path.
        path: Path,
        /// What to be near to: a number, a date, a point as GeoJSON.
        origin: Bson,
        /// The distance at which a value counts half: a number, milliseconds, metres.
        pivot: f64,
    },
    /// Places within a circle on the Earth.
    WithinCircle {
        /// The stored path.
        path: Path,
        /// Degrees: longitude, latitude.
        centre: [f64; 2],
        /// The radius.
        metres: f64,
    },
    /// Places within an area.
    Within {
        /// The stored path.
        path: Path,
        /// The area: a polygon or a box.
        area: Area,
    },
    /// Words by a pattern, as the index cuts them.
    Pattern {
        /// `?` is any letter and `*` any letters; a regular expression where `regex` says so.
        query: String,
        /// The stored paths; none: every field of the index.
        paths: Vec<Path>,
        /// Whether it is a regular expression.
        #[serde(default)]
        regex: bool,
    },
    /// The field is there.
    Exists {
        /// The stored path.
        path: Path,
    },
    /// A condition that counts the same for every document.
    Constant {
        /// The condition.
        operator: Box<SearchOperator>,
        /// Its score.
        score: f64,
    },
    /// Several conditions.
    Compound(Box<Compound>),
    /// A condition that counts more, or less.
    Boost {
        /// The condition.
        operator: Box<SearchOperator>,
        /// What its score is multiplied by.
        factor: f64,
    },
}

/// An end of a [`SearchOperator::Range`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RangeEnd {
    /// Where it is.
    pub value: Bson,
    /// Whether it is part of the range.
    pub included: bool,
}

/// Several conditions of a search index.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Compound {
    /// All of these hold, and count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<SearchOperator>,
    /// None of these holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_not: Vec<SearchOperator>,
    /// These count where they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub should: Vec<SearchOperator>,
    /// All of these hold, and do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<SearchOperator>,
    /// How many of `should` have to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_should_match: Option<u32>,
}

/// One of the rankings of a [`Search::Fusion`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// What it is called in explanations of scores.
    pub name: String,
    /// How much a place in it counts; 1 where nothing is said.
    pub weight: f64,
    /// At most how many of its documents count.
    pub limit: u64,
    /// What ranks.
    pub by: RankedBy,
}

/// What makes a [`Ranking`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RankedBy {
    /// The score of a text index.
    Text(TextQuery),
    /// The similarity of vectors.
    Vector(VectorSearch),
    /// The score of a search index.
    Index(IndexSearch),
}
