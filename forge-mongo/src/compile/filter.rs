//! Conditions, flat: one document, `$and` only where two conditions want the same key.

use std::fmt::Display;

use bson::{Bson, Document, doc};
use forge_core::ir::{Comparison, Filter, Path, Predicate, TextQuery};
use forge_core::{Error, Result};

use super::{checked_path, element, geo};

/// Where a condition stands: `$nearSphere` is legal in one place only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The condition of a `find`, outside of `$or`, `$nor` and `$elemMatch`.
    Find,
    /// The condition of any other command: counts, pipelines, updates, deletes.
    Elsewhere,
    /// Inside of `$or` and `$nor`.
    Nested,
    /// Inside of `$elemMatch`.
    Element,
}

/// The operator that also orders by distance.
const NEAR: &str = "$nearSphere";

/// The condition as a query document. [`Filter::All`] is `{}`, [`Filter::Nothing`] is [`super::nothing`].
///
/// # Errors
/// `internal` for a relation filter, which the executor must have resolved; `unsupported` for [`Predicate::Near`]
/// without a largest distance where the server does not allow `$nearSphere`; `bad_request` for a path that would be
/// read as an operator.
pub fn filter(filter: &Filter, place: Place) -> Result<Document> {
    // One value at one path, the usual condition of all, has nothing to be merged with.
    if let Filter::Field(path, Predicate::Eq(value)) = filter
        && place != Place::Element
    {
        return Ok(doc! { checked_path(path)?: equal_to(value) });
    }
    Ok(match compile(filter, place)? {
        Compiled::All => Document::new(),
        Compiled::Nothing => super::nothing(),
        Compiled::Some(document) => document,
    })
}

enum Compiled {
    All,
    Nothing,
    Some(Document),
}

fn compile(filter: &Filter, place: Place) -> Result<Compiled> {
    let mut conjunction = Conjunction::new(place);
    conjunction.add(filter)?;
    conjunction.finish()
}

/// What one predicate makes of its path.
pub(super) enum Condition {
    Always,
    Never,
    /// Plain equality, or a document of operators.
    Value(Bson),
}

/// Conditions that must all hold, gathered into one document.
struct Conjunction {
    place: Place,
    merged: Document,
    /// What could not be merged: the elements of `$and`.
    colliding: Vec<Document>,
    impossible: bool,
    has_near: bool,
}

impl Conjunction {
    fn new(place: Place) -> Self {
        Self { place, merged: Document::new(), colliding: Vec::new(), impossible: false, has_near: false }
    }

    fn finish(mut self) -> Result<Compiled> {
        if self.impossible {
            return Ok(Compiled::Nothing);
        }
        if self.place == Place::Element
            && let Some(value) = self.merged.remove("")
        {
            // Operators without a path are conditions on the element itself.
            let more = self.colliding.iter_mut().filter_map(|apart| apart.remove("")).map(operators_of);
            let operators = element::joined(operators_of(value), more.collect())?;
            self.merged.extend(operators);
            self.colliding.retain(|apart| !apart.is_empty());
        }
        if !self.colliding.is_empty() {
            self.merged.insert("$and", self.colliding);
        }
        Ok(if self.merged.is_empty() { Compiled::All } else { Compiled::Some(self.merged) })
    }

    /// Where the parts of a condition stand.
    fn inside(&self) -> Place {
        if self.place == Place::Element { Place::Element } else { Place::Nested }
    }

    fn add(&mut self, filter: &Filter) -> Result<()> {
        match filter {
            Filter::All => {}
            Filter::Nothing => self.impossible = true,
            Filter::And(list) => {
                for part in list {
                    self.add(part)?;
                }
            }
            Filter::Or(list) => self.add_any(list)?,
            Filter::Not(inner) => self.add_negated(inner)?,
            Filter::Field(path, predicate) => match spread(path, predicate)? {
                Some(any) => self.add(&any)?,
                None => {
                    let condition = self.predicate(predicate)?;
                    self.push_condition(self.path(path)?, condition);
                }
            },
            Filter::Relation(relation) => {
                return Err(unresolved(format_args!("{}.{}", relation.model.name, relation.relation)));
            }
            Filter::Compare(..) | Filter::Expr(_) if self.place == Place::Element => {
                return Err(comparison_in_element());
            }
            Filter::Compare(left, comparison, right) => {
                self.push("$expr", comparison_of(left, *comparison, right)?.into());
            }
            Filter::Expr(expression) => self.push("$expr", expression.clone()),
            Filter::Schema(_) if self.place == Place::Element => return Err(schema_in_element()),
            Filter::Schema(schema) => self.push("$jsonSchema", schema.clone().into()),
            Filter::Text(text) if self.takes_text() => self.push("$text", text_of(text).into()),
            Filter::Text(_) => return Err(misplaced_text()),
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    fn add_any(&mut self, list: &[Filter]) -> Result<()> {
        let mut branches = Vec::with_capacity(list.len());
        for branch in list {
            match compile(branch, self.inside())? {
                Compiled::All => return Ok(()),
                Compiled::Nothing => {}
                Compiled::Some(document) => branches.push(document),
            }
        }
        match branches.len() {
            0 => self.impossible = true,
            1 => self.merge(branches.remove(0)),
            _ => self.push("$or", branches.into()),
        }
        Ok(())
    }

    fn add_negated(&mut self, filter: &Filter) -> Result<()> {
        match filter {
            Filter::All => self.impossible = true,
            Filter::Nothing => {}
            Filter::Not(inner) => self.add(inner)?,
            // None of several holds: each of them fails.
            Filter::Or(list) => {
                for branch in list {
                    self.add_negated(branch)?;
                }
            }
            Filter::And(list) if list.len() == 1 => self.add_negated(&list[0])?,
            Filter::Field(path, predicate) if negates_in_place(predicate) => match spread(path, predicate)? {
                Some(any) => self.add_negated(&any)?,
                None => {
                    let condition = negated(self.predicate(predicate)?);
                    self.push_condition(self.path(path)?, condition);
                }
            },
            _ => match compile(filter, self.inside())? {
                Compiled::All => self.impossible = true,
                Compiled::Nothing => {}
                Compiled::Some(document) => self.push("$nor", vec![document].into()),
            },
        }
        Ok(())
    }

    /// The key of a condition: a path, or nothing for the element of an array itself.
    fn path<'p>(&self, path: &'p str) -> Result<&'p str> {
        if path.is_empty() && self.place == Place::Element { Ok(path) } else { checked_path(path) }
    }

    /// `$text` stands at the top, once.
    fn takes_text(&self) -> bool {
        matches!(self.place, Place::Find | Place::Elsewhere) && !self.merged.contains_key("$text")
    }

    fn push_condition(&mut self, path: &str, condition: Condition) {
        match condition {
            Condition::Always => {}
            Condition::Never => self.impossible = true,
            Condition::Value(value) => self.push(path, value),
        }
    }

    fn merge(&mut self, document: Document) {
        for (key, value) in document {
            match value {
                Bson::Array(parts) if key == "$and" => {
                    self.colliding.extend(parts.into_iter().filter_map(|part| match part {
                        Bson::Document(part) => Some(part),
                        _ => None,
                    }));
                }
                value => self.push(&key, value),
            }
        }
    }

    /// Adds `key: value`, joined with what `key` already has where both can hold side by side.
    fn push(&mut self, key: &str, value: Bson) {
        let Some(present) = self.merged.get_mut(key) else {
            self.merged.insert(key, value);
            return;
        };
        if *present == value {
            return;
        }
        match (key, present, value) {
            ("$nor", Bson::Array(present), Bson::Array(more)) => present.extend(more),
            (key, present, value) if !key.starts_with('$') => {
                if let Some(value) = join(present, value) {
                    self.colliding.push(doc! { key: value });
                }
            }
            (key, _, value) => self.colliding.push(doc! { key: value }),
        }
    }

    fn predicate(&mut self, predicate: &Predicate) -> Result<Condition> {
        Ok(match predicate {
            Predicate::Eq(value) => Condition::Value(equal_to(value)),
            Predicate::Ne(value) => negated(Condition::Value(equal_to(value))),
            Predicate::Gt(value) => operator("$gt", value.clone()),
            Predicate::Gte(value) => operator("$gte", value.clone()),
            Predicate::Lt(value) => operator("$lt", value.clone()),
            Predicate::Lte(value) => operator("$lte", value.clone()),
            Predicate::In(values) => one_of(values),
            Predicate::NotIn(values) => negated(one_of(values)),
            Predicate::Exists(exists) => operator("$exists", *exists),
            Predicate::Regex { pattern, options } => Condition::Value(regex(pattern, options).into()),
            Predicate::Size(size) if *size < 0 => Condition::Never,
            Predicate::Size(size) => operator("$size", *size),
            Predicate::Type(codes) => {
                operator("$type", codes.iter().map(|code| Bson::Int32(*code)).collect::<Vec<_>>())
            }
            Predicate::Remainder { divisor, remainder } => {
                operator("$mod", vec![Bson::Int64(*divisor), Bson::Int64(*remainder)])
            }
            Predicate::Bits(bits) => {
                let name = match (bits.all, bits.set) {
                    (true, true) => "$bitsAllSet",
                    (true, false) => "$bitsAllClear",
                    (false, true) => "$bitsAnySet",
                    (false, false) => "$bitsAnyClear",
                };
                operator(name, bits.positions.iter().map(|at| Bson::Int64((*at).into())).collect::<Vec<_>>())
            }
            Predicate::HasEvery(values) => every_one_of(values),
            Predicate::Element(inner) => match compile(inner, Place::Element)? {
                Compiled::All => operator("$elemMatch", Document::new()),
                Compiled::Nothing => Condition::Never,
                Compiled::Some(document) => operator("$elemMatch", document),
            },
            Predicate::Within(area) => geo::within(area)?,
            Predicate::Intersects(geometry) => geo::intersects(geometry)?,
            Predicate::Near { point, max_metres, min_metres } => {
                Condition::Value(self.near(*point, *max_metres, *min_metres)?.into())
            }
            Predicate::NearOnPlane { point, max, min } => {
                Condition::Value(self.near_on_plane(*point, *max, *min)?.into())
            }
            Predicate::WithinCircle { centre, metres } => operator("$geoWithin", geo::cap(*centre, *metres)),
            other => return Err(unknown(other)),
        })
    }

    /// Whether an operator that orders by distance may stand here.
    fn takes_near(&mut self) -> bool {
        self.place == Place::Find && !std::mem::replace(&mut self.has_near, true)
    }

    fn near(&mut self, point: [f64; 2], max: Option<f64>, min: Option<f64>) -> Result<Document> {
        if !self.takes_near() {
            return geo::between(max, min, |metres| geo::cap(point, metres));
        }
        let mut near = doc! { "$geometry": { "type": "Point", "coordinates": [point[0], point[1]] } };
        near.extend(max.map(|metres| ("$maxDistance".to_owned(), metres.into())));
        near.extend(min.map(|metres| ("$minDistance".to_owned(), metres.into())));
        Ok(doc! { NEAR: near })
    }

    fn near_on_plane(&mut self, point: [f64; 2], max: Option<f64>, min: Option<f64>) -> Result<Document> {
        if !self.takes_near() {
            return geo::between(max, min, |radius| geo::circle(point, radius));
        }
        let mut near = doc! { "$near": [point[0], point[1]] };
        near.extend(max.map(|distance| ("$maxDistance".to_owned(), distance.into())));
        near.extend(min.map(|distance| ("$minDistance".to_owned(), distance.into())));
        Ok(near)
    }
}

/// A condition that MongoDB can only say as several, any of which holds.
fn spread(path: &Path, predicate: &Predicate) -> Result<Option<Filter>> {
    match predicate {
        Predicate::Element(inner) if element::is_on_value(inner) => element::spread(path, inner),
        Predicate::Within(area) => Ok(geo::halves(area).map(|halves| {
            let within = |area| Filter::Field(path.clone(), Predicate::Within(area));
            Filter::Or(halves.into_iter().map(within).collect())
        })),
        _ => Ok(None),
    }
}

/// `$expr` over two paths, where absent counts as null.
fn comparison_of(left: &Path, comparison: Comparison, right: &Path) -> Result<Document> {
    let value =
        |path: &Path| Ok::<_, Error>(doc! { "$ifNull": [format!("${}", checked_path(path)?), Bson::Null] });
    let name = match comparison {
        Comparison::Eq => "$eq",
        Comparison::Ne => "$ne",
        Comparison::Gt => "$gt",
        Comparison::Gte => "$gte",
        Comparison::Lt => "$lt",
        Comparison::Lte => "$lte",
    };
    Ok(doc! { name: [value(left)?, value(right)?] })
}

fn comparison_in_element() -> Error {
    Error::unsupported(
        "fields are compared with each other in whole documents, not inside of some, every and none: MongoDB has no \
         $expr in $elemMatch",
    )
}

fn schema_in_element() -> Error {
    Error::unsupported(
        "a schema is about whole documents, not about what is inside of some, every and none: MongoDB has no \
         $jsonSchema in $elemMatch",
    )
}

fn misplaced_text() -> Error {
    Error::unsupported(
        "a text condition stands once, beside conditions that all hold, and not inside of or, not, some, every and \
         none: MongoDB has no $text there",
    )
}

pub(super) fn operator(name: &str, value: impl Into<Bson>) -> Condition {
    Condition::Value(doc! { name: value.into() }.into())
}

/// `value` where MongoDB reads it as plain equality, else `{$eq: value}`.
fn equal_to(value: &Bson) -> Bson {
    match value {
        Bson::RegularExpression(_) => doc! { "$eq": value.clone() }.into(),
        Bson::Document(document) if is_operators(document) => doc! { "$eq": value.clone() }.into(),
        value => value.clone(),
    }
}

fn one_of(values: &[Bson]) -> Condition {
    match values {
        [] => Condition::Never,
        [value] => Condition::Value(equal_to(value)),
        values => operator("$in", values.to_vec()),
    }
}

/// `$all` of one value is equality; of none, by MongoDB's rule, it finds nothing.
fn every_one_of(values: &[Bson]) -> Condition {
    match values {
        [] => Condition::Never,
        [value] => Condition::Value(equal_to(value)),
        values => operator("$all", values.to_vec()),
    }
}

fn regex(pattern: &str, options: &str) -> Document {
    let mut regex = doc! { "$regex": pattern };
    if !options.is_empty() {
        regex.insert("$options", options);
    }
    regex
}

/// `$text`.
fn text_of(text: &TextQuery) -> Document {
    let mut out = doc! { "$search": &text.query };
    out.extend(text.language.as_ref().map(|language| ("$language".to_owned(), language.into())));
    for (name, set) in
        [("$caseSensitive", text.case_sensitive), ("$diacriticSensitive", text.diacritic_sensitive)]
    {
        if set {
            out.insert(name, true);
        }
    }
    out
}

/// A distance outside of `find` can be two operators, and inside of it may not stand under `$not`.
fn negates_in_place(predicate: &Predicate) -> bool {
    !matches!(predicate, Predicate::Near { .. } | Predicate::NearOnPlane { .. })
}

fn negated(condition: Condition) -> Condition {
    let value = match condition {
        Condition::Always => return Condition::Never,
        Condition::Never => return Condition::Always,
        Condition::Value(value) => value,
    };
    let mut operators = match value {
        Bson::Document(operators) if is_operators(&operators) => operators,
        value => return operator("$ne", value),
    };
    if operators.len() == 1 {
        for (name, opposite) in [("$in", "$nin"), ("$ne", "$eq"), ("$nin", "$in"), ("$not", "")] {
            match operators.remove(name) {
                Some(value) if opposite.is_empty() => return Condition::Value(value),
                // `{$eq: value}` is spelt out only where plain equality would mean something else.
                Some(value) if opposite == "$eq" => return Condition::Value(equal_to(&value)),
                Some(value) => return operator(opposite, value),
                None => {}
            }
        }
        if let Some(Bson::Boolean(exists)) = operators.get("$exists") {
            return operator("$exists", !exists);
        }
    }
    operator("$not", operators)
}

fn is_operators(document: &Document) -> bool {
    document.keys().next().is_some_and(|key| key.starts_with('$'))
}

/// Adds `value` to the conditions in `present`; gives back what has to stand apart, where an operator is in both.
fn join(present: &mut Bson, value: Bson) -> Option<Bson> {
    let value = operators_of(value);
    let mut joined = operators_of(std::mem::replace(present, Bson::Null));
    let (near, near_before) = (value.contains_key(NEAR), joined.contains_key(NEAR));
    // Servers take a distance with nothing beside it, and only at the top.
    if !near && !near_before && !value.keys().any(|name| joined.contains_key(name)) {
        joined.extend(value);
        *present = joined.into();
        return None;
    }
    let (top, apart) = if near { (value, joined) } else { (joined, value) };
    *present = plain(top);
    Some(plain(apart))
}

fn operators_of(value: Bson) -> Document {
    match value {
        Bson::Document(operators) if is_operators(&operators) => operators,
        value => doc! { "$eq": value },
    }
}

/// The shortest form of a document of operators.
fn plain(mut operators: Document) -> Bson {
    if operators.len() == 1
        && let Some(value) = operators.remove("$eq")
    {
        return equal_to(&value);
    }
    operators.into()
}

fn unresolved(relation: impl Display) -> Error {
    Error::internal(format!("the filter on the relation {relation} reached compilation unresolved"))
}

pub(super) fn unknown(part: &impl std::fmt::Debug) -> Error {
    Error::internal(format!("this adapter does not know the condition {part:?}"))
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
