//! `$search` without a search index, as far as an index changes nothing: values are compared, words are not cut. Every
//! document is looked at.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, RawBsonRef, RawDocument};
use forge_core::order;
use forge_core::{Error, Result};

use crate::index::integer;
use crate::keys;
use crate::query::Query;
use crate::read::View;
use crate::store::doc_key;

/// As deep as conditions nest in each other.
const MAX_DEPTH: usize = 100;

/// The full keys of documents, the best first, after their scores.
type Found = Vec<(f64, Vec<u8>)>;

/// A condition, and what it counts.
struct Condition {
    operator: Operator,
    score: Score,
}

enum Operator {
    /// One of the values.
    In(String, Vec<Bson>),
    /// Between ends, which lie on this side of the values, the end itself included or not.
    Range(String, Vec<(Ordering, bool, Bson)>),
    /// Near to a number, or to a date in milliseconds; half the score at the pivot.
    Near {
        path: String,
        origin: Point,
        pivot: f64,
    },
    Exists(String),
    Compound(Compound),
}

#[derive(Clone, Copy)]
enum Point {
    Number(f64),
    Date(i64),
}

struct Compound {
    must: Vec<Condition>,
    must_not: Vec<Condition>,
    should: Vec<Condition>,
    filter: Vec<Condition>,
    least: usize,
}

enum Score {
    Times(f64),
    Constant(f64),
}

impl View<'_, '_> {
    /// What a first stage searches; none where the stage is no search.
    pub(crate) fn found(&self, name: &str, first: &Document) -> Result<Option<Found>> {
        match first.iter().next() {
            Some((stage, Bson::Document(form))) if stage == "$vectorSearch" => {
                self.nearest_keys(name, form).map(Some)
            }
            Some((stage, Bson::Document(form))) if stage == "$search" => {
                self.searched_keys(name, form).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn searched_keys(&self, name: &str, stage: &Document) -> Result<Found> {
        let condition = of_stage(stage)?;
        let Some(collection) = self.collection(name) else { return Ok(Vec::new()) };
        if collection.view.is_some() {
            return Err(Error::unsupported("the embedded engine has no `$search` of views"));
        }
        let scored = self.select(name, &Query::new(&Document::new())?, &|id_key, document| {
            Ok(condition.score(document).map(|score| (score, doc_key(collection.id, id_key))))
        })?;
        let mut found: Found = scored.into_iter().flatten().collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        Ok(found)
    }
}

fn of_stage(stage: &Document) -> Result<Condition> {
    let mut conditions = stage.iter().filter(|(name, _)| *name != "index");
    match (conditions.next(), conditions.next()) {
        (Some((name, body)), None) => parse(name, body, 0),
        (Some(_), Some((option, _))) => Err(lacks(option)),
        (None, _) => Err(wrong("has an operator")),
    }
}

fn lacks(name: &str) -> Error {
    Error::unsupported(format!(
        "the embedded engine has no `{name}` in `$search`: it keeps no search indexes, and compares values alone \
         (equals, in, range, near, exists, compound)"
    ))
}

fn wrong(what: &str) -> Error {
    Error::bad_request(format!("`$search` {what}"))
}

fn parse(name: &str, body: &Bson, depth: usize) -> Result<Condition> {
    let body = body.as_document().ok_or_else(|| wrong("takes operators with documents"))?;
    if depth > MAX_DEPTH {
        return Err(Error::too_large(format!("a search nests deeper than {MAX_DEPTH} levels")));
    }
    let known: &[&str] = match name {
        "equals" | "in" => &["path", "value"],
        "range" => &["path", "gt", "gte", "lt", "lte"],
        "near" => &["path", "origin", "pivot"],
        "exists" => &["path"],
        "compound" => &["must", "mustNot", "should", "filter", "minimumShouldMatch"],
        name => return Err(lacks(name)),
    };
    if let Some(option) = body.keys().find(|option| *option != "score" && !known.contains(&option.as_str())) {
        return Err(lacks(&format!("{name}.{option}")));
    }
    let path = || body.get_str("path").map(str::to_owned).map_err(|_| wrong("takes one path"));
    let operator = match name {
        "equals" => Operator::In(path()?, vec![value(body.get("value"))?]),
        "in" => Operator::In(path()?, values(body.get("value"))?),
        "range" => Operator::Range(path()?, ends(body)?),
        "near" => Operator::Near { path: path()?, origin: origin(body)?, pivot: pivot(body)? },
        "exists" => Operator::Exists(path()?),
        _ => Operator::Compound(compound(body, depth)?),
    };
    Ok(Condition { operator, score: score(body)? })
}

fn score(body: &Document) -> Result<Score> {
    let Some(way) = body.get("score") else { return Ok(Score::Times(1.0)) };
    let way = way.as_document().filter(|way| way.len() == 1).ok_or_else(|| wrong("scores in one way"))?;
    let given = |name: &str| way.get_document(name).ok().and_then(|form| number(form.get("value")?));
    match (given("boost"), given("constant")) {
        (Some(factor), _) => Ok(Score::Times(factor)),
        (_, Some(score)) => Ok(Score::Constant(score)),
        _ => Err(lacks(&format!("score.{}", way.keys().next().map_or("", String::as_str)))),
    }
}

fn number(value: &Bson) -> Option<f64> {
    keys::with_raw(value, order::as_f64).filter(|number| number.is_finite())
}

/// A value that search indexes keep.
fn value(value: Option<&Bson>) -> Result<Bson> {
    match value {
        Some(
            value @ (Bson::Int32(_)
            | Bson::Int64(_)
            | Bson::Double(_)
            | Bson::String(_)
            | Bson::DateTime(_)
            | Bson::ObjectId(_)
            | Bson::Boolean(_)
            | Bson::Null),
        ) => Ok(value.clone()),
        Some(Bson::Binary(binary)) if binary.subtype == BinarySubtype::Uuid => {
            Ok(Bson::Binary(binary.clone()))
        }
        Some(other) => Err(wrong(&format!("compares no values such as {other}"))),
        None => Err(wrong("takes a value to compare")),
    }
}

fn values(list: Option<&Bson>) -> Result<Vec<Bson>> {
    match list {
        Some(Bson::Array(list)) => list.iter().map(|item| value(Some(item))).collect(),
        one => Ok(vec![value(one)?]),
    }
}

fn ends(body: &Document) -> Result<Vec<(Ordering, bool, Bson)>> {
    let mut ends = Vec::new();
    for (name, side, included) in [
        ("gt", Ordering::Greater, false),
        ("gte", Ordering::Greater, true),
        ("lt", Ordering::Less, false),
        ("lte", Ordering::Less, true),
    ] {
        match body.get(name) {
            Some(Bson::Boolean(_) | Bson::Null | Bson::Binary(_)) => {
                return Err(wrong("has ranges of numbers, dates, texts and object ids"));
            }
            Some(end) => ends.push((side, included, value(Some(end))?)),
            None => {}
        }
    }
    if ends.is_empty() { Err(wrong("has ranges with an end")) } else { Ok(ends) }
}

fn origin(body: &Document) -> Result<Point> {
    match body.get("origin") {
        Some(Bson::DateTime(date)) => Ok(Point::Date(date.timestamp_millis())),
        Some(Bson::Document(_)) => {
            Err(Error::unsupported("the embedded engine has no `near` of places in `$search`"))
        }
        other => {
            other.and_then(number).map(Point::Number).ok_or_else(|| wrong("is near to a number or a date"))
        }
    }
}

fn pivot(body: &Document) -> Result<f64> {
    let pivot = body.get("pivot").and_then(number).filter(|pivot| *pivot > 0.0);
    pivot.ok_or_else(|| wrong("takes a pivot above 0"))
}

fn compound(body: &Document, depth: usize) -> Result<Compound> {
    let conditions = |name: &str| match body.get(name) {
        None => Ok(Vec::new()),
        Some(Bson::Array(list)) => list.iter().map(|one| part(one, depth)).collect(),
        Some(one) => Ok(vec![part(one, depth)?]),
    };
    let (must, must_not) = (conditions("must")?, conditions("mustNot")?);
    let (should, filter) = (conditions("should")?, conditions("filter")?);
    if must.is_empty() && should.is_empty() && filter.is_empty() {
        // What such a search counts is nowhere said.
        return Err(Error::unsupported(
            "the embedded engine has no `compound` of `mustNot` alone in `$search`",
        ));
    }
    let unsaid = usize::from(must.is_empty() && filter.is_empty());
    let least = match body.get("minimumShouldMatch") {
        None => unsaid,
        Some(least) => integer(least)
            .and_then(|least| usize::try_from(least).ok())
            .ok_or_else(|| wrong("takes a whole number for `minimumShouldMatch`"))?
            .max(unsaid),
    };
    Ok(Compound { must, must_not, should, filter, least })
}

fn part(part: &Bson, depth: usize) -> Result<Condition> {
    let form = part.as_document().filter(|form| form.len() == 1);
    let (name, body) =
        form.and_then(|form| form.iter().next()).ok_or_else(|| wrong("has parts of one operator"))?;
    parse(name, body, depth + 1)
}

impl Condition {
    /// What a document counts; none where it is not found.
    fn score(&self, document: &RawDocument) -> Option<f64> {
        let score = self.operator.score(document)?;
        Some(match self.score {
            Score::Times(factor) => score * factor,
            Score::Constant(score) => score,
        })
    }
}

impl Operator {
    fn score(&self, document: &RawDocument) -> Option<f64> {
        let holds = |holds: bool| holds.then_some(1.0);
        match self {
            Operator::In(path, wanted) => holds(any(document, path, |value| {
                wanted.iter().any(|wanted| compared(value, wanted) == Some(Ordering::Equal))
            })),
            Operator::Range(path, ends) => holds(any(document, path, |value| {
                ends.iter().all(|(side, included, end)| match compared(value, end) {
                    Some(Ordering::Equal) => *included,
                    found => found == Some(*side),
                })
            })),
            Operator::Exists(path) => holds(any(document, path, |_| true)),
            Operator::Near { path, origin, pivot } => {
                let mut nearest: Option<f64> = None;
                any(document, path, |value| {
                    if let Some(distance) = origin.distance(value) {
                        nearest = Some(nearest.map_or(distance, |nearest| nearest.min(distance)));
                    }
                    false
                });
                nearest.map(|distance| pivot / (pivot + distance))
            }
            Operator::Compound(all) => all.score(document),
        }
    }
}

impl Compound {
    fn score(&self, document: &RawDocument) -> Option<f64> {
        let found = |condition: &Condition| condition.score(document).is_some();
        if !self.filter.iter().all(found) || self.must_not.iter().any(found) {
            return None;
        }
        let mut sum = 0.0;
        for condition in &self.must {
            sum += condition.score(document)?;
        }
        let liked: Vec<f64> = self.should.iter().filter_map(|condition| condition.score(document)).collect();
        (liked.len() >= self.least).then(|| sum + liked.iter().sum::<f64>())
    }
}

impl Point {
    fn distance(self, value: RawBsonRef<'_>) -> Option<f64> {
        match (self, value) {
            (Point::Date(origin), RawBsonRef::DateTime(date)) => {
                Some(date.timestamp_millis().abs_diff(origin) as f64)
            }
            (Point::Number(origin), value) => plain_number(value).map(|number| (number - origin).abs()),
            _ => None,
        }
    }
}

/// A number as search indexes keep it: no decimal, and a number.
fn plain_number(value: RawBsonRef<'_>) -> Option<f64> {
    match value {
        RawBsonRef::Decimal128(_) => None,
        value => order::as_f64(value).filter(|number| !number.is_nan()),
    }
}

/// How a stored value lies to another one; none where they do not compare.
fn compared(stored: RawBsonRef<'_>, with: &Bson) -> Option<Ordering> {
    let comparable = match (stored, with) {
        (stored, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_)) => plain_number(stored).is_some(),
        (stored, with) => stored.element_type() == with.element_type(),
    };
    comparable.then(|| keys::with_raw(with, |with| order::compare(stored, with)))
}

/// Whether any of the values at a path, those of lists one by one, passes a test.
fn any(document: &RawDocument, path: &str, mut test: impl FnMut(RawBsonRef<'_>) -> bool) -> bool {
    let broken = order::visit(document, path, |found| {
        let holds = match found {
            order::Found::Value(RawBsonRef::Array(list)) => list.into_iter().flatten().any(&mut test),
            order::Found::Value(value) => test(value),
            _ => false,
        };
        if holds { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    broken.is_break()
}
