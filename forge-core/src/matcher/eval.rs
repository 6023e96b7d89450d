//! Evaluation of compiled conditions.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bson::{RawBson, RawBsonRef, RawDocument};

use super::computed::Computed;
use super::geo::{Shape, Zone};
use super::kind::Kind;
use super::pattern::Pattern;
use super::schema::DocumentSchema;
use crate::ir::Comparison;
use crate::order::{self, Folding, Found};

/// A compiled filter.
#[derive(Debug)]
pub(super) enum Node {
    Always(bool),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// A test of what is at a path; the empty path is the subject itself, inside an element condition.
    Field(Box<str>, Test),
    /// A comparison of what is at two paths.
    Compare(Box<str>, Comparison, Box<str>, Option<Folding>),
    /// An expression.
    Computed(Computed),
    /// A schema.
    Fits(DocumentSchema),
}

/// A compiled condition on what a path leads to.
#[derive(Debug)]
pub(super) enum Test {
    Equals(RawBson),
    /// The test of what stands for the value.
    Folded(Folding, Box<Test>),
    Range(Range, RawBson),
    OneOf(Choices),
    Exists,
    Matches(Pattern),
    Size(usize),
    Like(Kind),
    Element {
        node: Box<Node>,
        documents_only: bool,
    },
    Within(Zone),
    Meets(Shape),
}

/// The direction of a range comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What a condition is evaluated on: a document, or an element of an array.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Document(&'a RawDocument),
    Element(RawBsonRef<'a>),
}

impl<'a> Subject<'a> {
    /// The subject as a document: arrays are documents whose keys are numbers.
    pub(super) fn document(self) -> Option<&'a RawDocument> {
        match self {
            Subject::Document(document) | Subject::Element(RawBsonRef::Document(document)) => Some(document),
            Subject::Element(RawBsonRef::Array(array)) => RawDocument::from_bytes(array.as_bytes()).ok(),
            Subject::Element(_) => None,
        }
    }
}

impl Node {
    pub(super) fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Node::Always(holds) => *holds,
            Node::And(nodes) => nodes.iter().all(|node| node.holds(subject)),
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(subject)),
            Node::Not(node) => !node.holds(subject),
            Node::Field(path, test) => match subject {
                Subject::Element(element) if path.is_empty() => test.accepts(Found::Indexed(element)),
                _ => subject.document().is_some_and(|document| test.holds_at(document, path)),
            },
            Node::Computed(computed) => subject.document().is_some_and(|document| computed.holds(document)),
            Node::Fits(schema) => subject.document().is_some_and(|document| schema.accepts(document)),
            Node::Compare(left, comparison, right, folding) => subject.document().is_some_and(|document| {
                let [left, right] = [left, right].map(|path| order::expression_value(document, path));
                let (left, right) = (or_null(left.as_ref()), or_null(right.as_ref()));
                let folded = |value| folding.as_ref().and_then(|folding| folding.value(value));
                let (own_left, own_right) = (folded(left), folded(right));
                comparison.holds(order::compare(or_own(left, &own_left), or_own(right, &own_right)))
            }),
        }
    }
}

fn or_null<'v>(value: Option<&'v order::PathValue<'_>>) -> RawBsonRef<'v> {
    value.map_or(RawBsonRef::Null, order::PathValue::as_ref)
}

/// What stands for a value, or the value.
fn or_own<'v>(value: RawBsonRef<'v>, folded: &'v Option<RawBson>) -> RawBsonRef<'v> {
    folded.as_ref().map_or(value, RawBson::as_raw_bson_ref)
}

impl Test {
    pub(super) fn holds_at(&self, document: &RawDocument, path: &str) -> bool {
        let search =
            |found| if self.accepts(found) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        order::visit(document, path, search).is_break()
    }

    pub(super) fn accepts(&self, found: Found<'_>) -> bool {
        match self {
            Test::Equals(wanted) => {
                let wanted = wanted.as_raw_bson_ref();
                any(found, wanted == RawBsonRef::Null, |value| order::equal(value, wanted))
            }
            Test::Folded(folding, test) => match found {
                Found::Value(value) => test.accepts(Found::Value(or_own(value, &folding.value(value)))),
                Found::Indexed(value) => test.accepts(Found::Indexed(or_own(value, &folding.value(value)))),
                Found::Missing | Found::Barren => test.accepts(found),
            },
            Test::Range(range, bound) => {
                let bound = bound.as_raw_bson_ref();
                any(found, range.includes_missing(bound), |value| range.includes(value, bound))
            }
            Test::OneOf(choices) => any(found, choices.has_null(), |value| choices.contain(value)),
            Test::Exists => matches!(found, Found::Value(_) | Found::Indexed(_)),
            Test::Matches(pattern) => any(found, false, |value| pattern.finds(value)),
            Test::Size(size) => array(found).is_some_and(|array| array.into_iter().count() == *size),
            Test::Like(kind) => any(found, false, |value| kind.accepts(value)),
            Test::Element { node, documents_only } => array(found).is_some_and(|array| {
                array.into_iter().flatten().any(|element| {
                    let subject = Subject::Element(element);
                    (!documents_only || subject.document().is_some()) && node.holds(subject)
                })
            }),
            Test::Within(zone) => match found {
                Found::Value(value) | Found::Indexed(value) => zone.distance(value).is_some(),
                Found::Missing | Found::Barren => false,
            },
            Test::Meets(shape) => match found {
                Found::Value(value) | Found::Indexed(value) => shape.accepts(value),
                Found::Missing | Found::Barren => false,
            },
        }
    }
}

/// Whether a value satisfies `accept`: the elements of an array at the end of a path, or the array as a whole.
fn any<'a>(found: Found<'a>, missing: bool, accept: impl Fn(RawBsonRef<'a>) -> bool) -> bool {
    match found {
        Found::Missing => missing,
        Found::Barren => false,
        Found::Value(value @ RawBsonRef::Array(array)) => {
            array.into_iter().flatten().any(&accept) || accept(value)
        }
        Found::Value(value) | Found::Indexed(value) => accept(value),
    }
}

fn array(found: Found<'_>) -> Option<&bson::RawArray> {
    match found {
        Found::Value(RawBsonRef::Array(array)) | Found::Indexed(RawBsonRef::Array(array)) => Some(array),
        _ => None,
    }
}

impl Range {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Range::Greater => order == Ordering::Greater,
            Range::GreaterOrEqual => order != Ordering::Less,
            Range::Less => order == Ordering::Less,
            Range::LessOrEqual => order != Ordering::Greater,
        }
    }

    fn is_inclusive(self) -> bool {
        matches!(self, Range::GreaterOrEqual | Range::LessOrEqual)
    }

    /// Every value of another type is above `MinKey` and below `MaxKey`, the only bounds that reach across brackets.
    fn spans_types(self, bound: RawBsonRef<'_>) -> bool {
        match bound {
            RawBsonRef::MinKey => matches!(self, Range::Greater | Range::GreaterOrEqual),
            RawBsonRef::MaxKey => matches!(self, Range::Less | Range::LessOrEqual),
            _ => false,
        }
    }

    /// A missing field counts as null for an inclusive bound.
    fn includes_missing(self, bound: RawBsonRef<'_>) -> bool {
        (bound == RawBsonRef::Null && self.is_inclusive()) || self.spans_types(bound)
    }

    /// Whether it bounds from below.
    pub(super) fn is_lower(self) -> bool {
        matches!(self, Range::Greater | Range::GreaterOrEqual)
    }

    pub(super) fn includes(self, value: RawBsonRef<'_>, bound: RawBsonRef<'_>) -> bool {
        if order::type_bracket(value) != order::type_bracket(bound) {
            return self.spans_types(bound);
        }
        // NaN has a place in the order of values, but no range includes it beyond itself.
        match (is_nan(value), is_nan(bound)) {
            (false, false) => self.holds(order::compare(value, bound)),
            (a, b) => a && b && self.is_inclusive(),
        }
    }
}

fn is_nan(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Double(number) => number.is_nan(),
        RawBsonRef::Decimal128(_) => order::as_f64(value).is_some_and(f64::is_nan),
        _ => false,
    }
}

/// The values of an `In` list, sorted, and its patterns.
#[derive(Debug)]
pub(super) struct Choices {
    values: Vec<RawBson>,
    patterns: Vec<Pattern>,
}

impl Choices {
    pub(super) fn new(mut values: Vec<RawBson>, patterns: Vec<Pattern>) -> Self {
        values.sort_by(|a, b| order::compare(a.as_raw_bson_ref(), b.as_raw_bson_ref()));
        values.dedup_by(|a, b| order::equal(a.as_raw_bson_ref(), b.as_raw_bson_ref()));
        Self { values, patterns }
    }

    fn has_null(&self) -> bool {
        self.has(RawBsonRef::Null)
    }

    fn has(&self, value: RawBsonRef<'_>) -> bool {
        self.values.binary_search_by(|candidate| order::compare(candidate.as_raw_bson_ref(), value)).is_ok()
    }

    fn contain(&self, value: RawBsonRef<'_>) -> bool {
        self.has(value) || self.patterns.iter().any(|pattern| pattern.finds(value))
    }
}
