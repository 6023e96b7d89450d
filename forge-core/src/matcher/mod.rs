//! Filters, compiled once and matched against raw documents.
//!
//! A [`Matcher`] answers the question that a server answers for `$match`: does this document satisfy the filter?
//! The embedded engine scans with it, and live queries ask it whether a change can touch what was read
//! ([`Matcher::affected_by`]). Documents are read where they lie: matching does not allocate.
//!
//! The meaning of every operator is MongoDB's, of version 8: `Eq(Null)` also finds documents without the field (but
//! not `Undefined`), comparisons reach into arrays one level deep and stay within a
//! [type bracket](crate::order::type_bracket), NaN is only equal to NaN, a number in a path names a key or an index.
//!
//! Limits: patterns are those of a linear-time engine: what needs backtracking is refused as `unsupported`. A text
//! condition holds for every document here: only an index knows better, and what changes may be among what it finds.

mod compile;
mod computed;
mod eval;
mod geo;
mod geojson;
mod kind;
mod live;
mod locate;
mod pattern;
mod plane;
mod schema;
#[cfg(test)]
mod tests;
mod window;

use bson::{Bson, RawDocument};

use crate::error::{Error, Result};
use crate::ir::{Filter, Path};
use crate::order::Folding;
pub use computed::Computed;
use eval::{Node, Subject};
pub use geo::{Centre, distance_at};
pub use geojson::{geo_point, geometries};
pub use kind::{type_codes, type_name};
pub use pattern::{escape_pattern, pattern};
pub use schema::DocumentSchema;
pub use window::Window;

/// A compiled [`Filter`].
///
/// ```
/// use bson::rawdoc;
/// use forge_core::ir::{Filter, Predicate};
/// use forge_core::matcher::Matcher;
///
/// let filter = Filter::Field("delay".into(), Predicate::Gte(30.into()));
/// let matcher = Matcher::new(&filter)?;
/// assert!(matcher.matches(&rawdoc! { "delay": 42.5 }));
/// assert!(!matcher.matches(&rawdoc! { "delay": "42" }));
/// # Ok::<(), forge_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Matcher {
    /// The conjuncts that depend on nothing but `_id`, or on nothing at all. All of these and of `others` must hold.
    on_id: Vec<Node>,
    others: Vec<Node>,
    paths: Vec<Path>,
    /// Whether a condition is about the document as a whole, beside those on `paths`.
    whole: bool,
    equalities: Vec<(Path, Vec<Bson>)>,
}

impl Matcher {
    /// Compiles `filter`.
    ///
    /// # Errors
    /// - [`Unsupported`](crate::ErrorCode::Unsupported): a pattern uses what a linear-time engine lacks; it is named.
    /// - [`BadRequest`](crate::ErrorCode::BadRequest): a malformed pattern or schema, an unknown pattern option, a comparison
    ///   with `Undefined`, coordinates out of range.
    /// - [`TooLarge`](crate::ErrorCode::TooLarge): a pattern that compiles to more than 1 MiB, or conditions nested
    ///   more than 100 deep.
    /// - [`Internal`](crate::ErrorCode::Internal): a relation filter, which executors resolve before they match.
    pub fn new(filter: &Filter) -> Result<Matcher> {
        Self::with(filter, &|_| Err(Error::unsupported("an expression is evaluated by engines only")), None)
    }

    /// Compiles `filter`; `evaluator` makes conditions of its [expressions](Filter::Expr), and values compare as
    /// `folding` says, where one is given. Patterns look at strings as they are.
    ///
    /// # Errors
    /// As [`Matcher::new`], and what `evaluator` answers.
    pub fn with(
        filter: &Filter,
        evaluator: &dyn Fn(&Bson) -> Result<Computed>,
        folding: Option<&Folding>,
    ) -> Result<Matcher> {
        compile::compile(filter, evaluator, folding)
    }

    /// Whether `document` satisfies the filter.
    pub fn matches(&self, document: &RawDocument) -> bool {
        let subject = Subject::Document(document);
        self.on_id.iter().chain(&self.others).all(|node| node.holds(subject))
    }

    /// The stored paths that the filter depends on, sorted and distinct. Conditions on array elements count as their
    /// array's path.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Whether it also depends on the document as a whole, as a [schema](Filter::Schema) does.
    pub fn is_on_whole_document(&self) -> bool {
        self.whole
    }

    /// The conditions that an index of predicates can look up: for each path, a document can only match if one of
    /// [`values_at`](crate::order::values_at) the path [equals](crate::order::equal) one of the values.
    ///
    /// They are the `Eq` and `In` conditions that must hold by themselves, except those that such a look-up would get
    /// wrong: whole arrays, patterns, paths with a number in them, and anything where strings are folded.
    pub fn equalities(&self) -> Vec<(&Path, &[Bson])> {
        self.equalities.iter().map(|(path, values)| (path, values.as_slice())).collect()
    }
}
