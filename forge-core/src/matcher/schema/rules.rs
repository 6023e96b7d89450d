//! Compiled keywords.

use bson::RawBson;
use regex::Regex;

use crate::matcher::eval::Range;
use crate::types::Decimal;

/// Conditions that must all hold of a value.
pub(super) type Rules = Vec<Rule>;

/// One keyword, with what it needs of its siblings.
#[derive(Debug)]
pub(super) enum Rule {
    /// A value of one of these types, by their codes; and how they were named.
    Type { codes: Vec<i32>, named: Box<str> },
    /// One of these values.
    Enum(Vec<RawBson>),
    /// All of these hold.
    All(Vec<Rules>),
    /// At least one of these holds.
    Any(Vec<Rules>),
    /// Exactly one of these holds.
    One(Vec<Rules>),
    /// These do not all hold.
    Not(Rules),
    /// Of documents alone.
    Fields(FieldRule),
    /// Of arrays alone.
    Items(ItemRule),
    /// Of strings alone.
    Text(TextRule),
    /// Of numbers alone.
    Number(NumberRule),
}

#[derive(Debug)]
pub(super) enum FieldRule {
    Required(Vec<Box<str>>),
    Named(Vec<(Box<str>, Rules)>),
    Like(Vec<(Regex, Rules)>),
    /// The fields that are neither named nor like a pattern; none of them where there are no rules.
    Others {
        named: Vec<Box<str>>,
        like: Vec<Regex>,
        rules: Option<Rules>,
    },
    Count(Bound),
    /// Where the field is there, so are the others.
    Together(Box<str>, Vec<Box<str>>),
    /// Where the field is there, the document fulfils these.
    Implies(Box<str>, Rules),
}

#[derive(Debug)]
pub(super) enum ItemRule {
    Each(Rules),
    Placed(Vec<Rules>),
    /// The items from this place on; none where there are no rules.
    Rest(usize, Option<Rules>),
    Count(Bound),
    Unique,
}

#[derive(Debug)]
pub(super) enum TextRule {
    /// In characters.
    Length(Bound),
    Like(Regex, Box<str>),
}

#[derive(Debug)]
pub(super) enum NumberRule {
    Within(Range, RawBson),
    MultipleOf(Decimal, RawBson),
}

/// A bound of a count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    AtLeast(usize),
    AtMost(usize),
}
