//! Values held against the rules of a schema.

use std::cmp::Ordering;
use std::fmt;

use bson::{RawArray, RawBsonRef, RawDocument};

use super::rules::{Bound, FieldRule, ItemRule, NumberRule, Rule, TextRule};
use crate::matcher::kind::{code_of, type_name};
use crate::order;
use crate::types::Decimal;

/// How deep values are compared whatever the order of their fields. Deeper parts compare as they are written.
const MAX_DEPTH: usize = 100;

/// Where a value is, for messages.
pub(super) struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
    telling: bool,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    /// The document itself, where problems are told.
    pub(super) fn telling() -> Self {
        Self { above: None, step: Step::Root, telling: true }
    }

    /// The document itself, where it is enough that there is a problem.
    pub(super) fn silent() -> Self {
        Self { above: None, step: Step::Root, telling: false }
    }

    fn field(&'a self, name: &'a str) -> Self {
        Self { above: Some(self), step: Step::Field(name), telling: self.telling }
    }

    fn item(&'a self, position: usize) -> Self {
        Self { above: Some(self), step: Step::Item(position), telling: self.telling }
    }

    /// A problem with the value; nobody reads the text of a silent one.
    fn is(&self, what: impl FnOnce() -> String) -> Option<String> {
        Some(if self.telling { format!("`{self}` {}", what()) } else { String::new() })
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above.filter(|above| above.above.is_some()) {
            write!(f, "{above}.")?;
        }
        match self.step {
            Step::Root => f.write_str("(root)"),
            Step::Field(name) => f.write_str(name),
            Step::Item(position) => write!(f, "{position}"),
        }
    }
}

/// What of `value` breaks the rules; none where nothing does.
pub(super) fn broken(rules: &[Rule], value: RawBsonRef<'_>, at: &At<'_>) -> Option<String> {
    rules.iter().find_map(|rule| rule.broken(value, at))
}

/// How many of several lists of rules hold.
fn passing(all: &[Vec<Rule>], value: RawBsonRef<'_>) -> usize {
    all.iter().filter(|rules| broken(rules, value, &At::silent()).is_none()).count()
}

impl Rule {
    fn broken(&self, value: RawBsonRef<'_>, at: &At<'_>) -> Option<String> {
        match (self, value) {
            (Rule::Type { codes, named }, value) if !codes.contains(&code_of(value)) => {
                at.is(|| format!("is {}, not {named}", type_name(code_of(value)).unwrap_or("unknown")))
            }
            (Rule::Enum(all), value) if !all.iter().any(|one| is_same(one.as_raw_bson_ref(), value)) => {
                at.is(|| "is none of the allowed values".to_owned())
            }
            (Rule::All(all), value) => all.iter().find_map(|rules| broken(rules, value, at)),
            (Rule::Any(all), value) if passing(all, value) == 0 => at.is(|| "fits no alternative".to_owned()),
            (Rule::One(all), value) if passing(all, value) != 1 => {
                at.is(|| "does not fit exactly one alternative".to_owned())
            }
            (Rule::Not(rules), value) if broken(rules, value, &At::silent()).is_none() => {
                at.is(|| "is what it must not be".to_owned())
            }
            (Rule::Fields(rule), RawBsonRef::Document(document)) => rule.broken(document, at),
            (Rule::Items(rule), RawBsonRef::Array(array)) => rule.broken(array, at),
            (Rule::Text(rule), RawBsonRef::String(text)) => rule.broken(text, at),
            (Rule::Number(rule), value) if order::as_f64(value).is_some() => rule.broken(value, at),
            _ => None,
        }
    }
}

impl FieldRule {
    fn broken(&self, document: &RawDocument, at: &At<'_>) -> Option<String> {
        let has = |name: &str| order::field(document, name).is_some();
        let missing = |name: &str| at.field(name).is(|| "is missing".to_owned());
        let mut fields = document
            .iter()
            .flatten()
            .map(|(name, value)| -> (&str, RawBsonRef<'_>) { (name.as_str(), value) });
        match self {
            Self::Required(names) => missing(names.iter().find(|name| !has(name))?),
            Self::Named(named) => named
                .iter()
                .find_map(|(name, rules)| broken(rules, order::field(document, name)?, &at.field(name))),
            Self::Like(patterns) => fields.find_map(|(name, value)| {
                let mut like = patterns.iter().filter(|(pattern, _)| pattern.is_match(name));
                like.find_map(|(_, rules)| broken(rules, value, &at.field(name)))
            }),
            Self::Others { named, like, rules } => {
                let is_other = |name: &str| {
                    !named.iter().any(|known| **known == *name)
                        && !like.iter().any(|pattern| pattern.is_match(name))
                };
                fields.filter(|(name, _)| is_other(name)).find_map(|(name, value)| match rules {
                    Some(rules) => broken(rules, value, &at.field(name)),
                    None => at.field(name).is(|| "is not known".to_owned()),
                })
            }
            Self::Count(bound) => bound.broken(fields.count(), "fields", at),
            Self::Together(name, others) => {
                missing(others.iter().filter(|_| has(name)).find(|other| !has(other))?)
            }
            Self::Implies(name, rules) => {
                has(name).then(|| broken(rules, RawBsonRef::Document(document), at))?
            }
        }
    }
}

impl ItemRule {
    fn broken(&self, array: &RawArray, at: &At<'_>) -> Option<String> {
        let mut items = array.into_iter().flatten().enumerate();
        match self {
            Self::Each(rules) => items.find_map(|(i, item)| broken(rules, item, &at.item(i))),
            Self::Placed(placed) => {
                items.zip(placed).find_map(|((i, item), rules)| broken(rules, item, &at.item(i)))
            }
            Self::Rest(from, Some(rules)) => {
                items.skip(*from).find_map(|(i, item)| broken(rules, item, &at.item(i)))
            }
            Self::Rest(most, None) => {
                items.nth(*most).and_then(|_| at.is(|| format!("has more than {most} items")))
            }
            Self::Count(bound) => bound.broken(items.count(), "items", at),
            Self::Unique => {
                let mut items: Vec<_> = items.map(|(_, item)| item).collect();
                items.sort_by(|a, b| unordered(*a, *b, 0));
                let twice = items.windows(2).any(|pair| is_same(pair[0], pair[1]));
                twice.then(|| at.is(|| "has an item twice".to_owned()))?
            }
        }
    }
}

impl TextRule {
    fn broken(&self, text: &str, at: &At<'_>) -> Option<String> {
        match self {
            Self::Length(bound) => bound.broken(text.chars().count(), "characters", at),
            Self::Like(pattern, source) if !pattern.is_match(text) => {
                at.is(|| format!("does not match {source}"))
            }
            Self::Like(..) => None,
        }
    }
}

impl NumberRule {
    fn broken(&self, value: RawBsonRef<'_>, at: &At<'_>) -> Option<String> {
        match self {
            Self::Within(range, bound) if !range.includes(value, bound.as_raw_bson_ref()) => {
                let side = if range.is_lower() { "small" } else { "large" };
                at.is(|| format!("is too {side}: {}", shown(value)))
            }
            Self::MultipleOf(divisor, given) if !is_multiple(value, *divisor) => {
                at.is(|| format!("is no multiple of {}", shown(given.as_raw_bson_ref())))
            }
            _ => None,
        }
    }
}

impl Bound {
    fn broken(self, count: usize, of: &str, at: &At<'_>) -> Option<String> {
        match self {
            Self::AtLeast(bound) if count < bound => {
                at.is(|| format!("has {count}, not at least {bound} {of}"))
            }
            Self::AtMost(bound) if count > bound => {
                at.is(|| format!("has {count}, not at most {bound} {of}"))
            }
            _ => None,
        }
    }
}

/// A number as databases divide it: doubles by their 15 digits, so that 0.3 is a multiple of 0.1.
pub(super) fn decimal(value: RawBsonRef<'_>) -> Option<Decimal> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number.into()),
        RawBsonRef::Double(number) => Some(Decimal::from_f64(number)),
        RawBsonRef::Decimal128(number) => Some(number.into()),
        _ => None,
    }
}

fn is_multiple(value: RawBsonRef<'_>, divisor: Decimal) -> bool {
    decimal(value).is_some_and(|number| number.is_finite() && number % divisor == Decimal::ZERO)
}

fn shown(value: RawBsonRef<'_>) -> String {
    bson::Bson::try_from(value).map_or_else(|_| "a malformed value".to_owned(), |value| value.to_string())
}

pub(super) fn is_same(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> bool {
    unordered(a, b, 0).is_eq()
}

/// The order of values in which the order of fields does not count.
fn unordered(a: RawBsonRef<'_>, b: RawBsonRef<'_>, depth: usize) -> Ordering {
    match (a, b) {
        _ if depth >= MAX_DEPTH => order::compare(a, b),
        (RawBsonRef::Document(a), RawBsonRef::Document(b)) => {
            let (a, b) = (by_name(a), by_name(b));
            let pairs = a.iter().zip(&b);
            let mut orders = pairs.map(|(a, b)| a.0.cmp(b.0).then_with(|| unordered(a.1, b.1, depth + 1)));
            orders.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (RawBsonRef::Array(a), RawBsonRef::Array(b)) => {
            let (mut a, mut b) = (a.into_iter().flatten(), b.into_iter().flatten());
            loop {
                match (a.next(), b.next()) {
                    (Some(a), Some(b)) => match unordered(a, b, depth + 1) {
                        Ordering::Equal => {}
                        order => return order,
                    },
                    (a, b) => return a.is_some().cmp(&b.is_some()),
                }
            }
        }
        (a, b) => order::compare(a, b),
    }
}

fn by_name(document: &RawDocument) -> Vec<(&str, RawBsonRef<'_>)> {
    let mut fields: Vec<_> = document.iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
    fields.sort_by_key(|(name, _)| *name);
    fields
}
