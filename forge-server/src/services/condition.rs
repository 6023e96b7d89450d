//! Conditions of queries: `{age: {$lt: 30}, $or: [...]}` as a [`Filter`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bson::Bson;
use forge_core::ir::{Filter, Predicate};
use forge_core::matcher::pattern;
use serde_json::{Map, Value, json};

use super::error::{ServiceError, ServiceResult};
use super::faults::{field_at, mismatch, violation};
use super::fields::{Inside, QueryFields, Rule};
use super::geo;
use super::kind::Kind;
use super::operators::{self, DISTANCES, EVERYWHERE, UNORDERED};
use super::paths::wrong_in_query;

/// What resolvers make of an ObjectId: a value, no operator.
pub(super) const OBJECT_ID: &str = "$oid";
/// What every query may have at the top.
pub(super) const PARAMETERS: [&str; 6] = ["$limit", "$skip", "$sort", "$select", "$or", "$and"];
/// How deep conditions may be nested.
const MAX_DEPTH: usize = 16;

/// Makes a condition of the value of a top-level parameter of a service's own.
pub(super) type OwnFilter = Arc<dyn Fn(&Value) -> ServiceResult<Filter> + Send + Sync>;

/// What queries of one service may say.
#[derive(Clone, Default)]
pub(super) struct Grammar {
    /// The fields, where they are known. Otherwise any field may be named, and text stays text.
    pub(super) fields: Option<QueryFields>,
    /// Operators that are allowed on every field.
    pub(super) operators: BTreeSet<String>,
    /// Top-level parameters of the service's own. Those without a function are for hooks to take out.
    pub(super) filters: BTreeMap<String, Option<OwnFilter>>,
    /// Whether `_id`s of 24 hexadecimal digits are ObjectIds, where the fields are not known.
    pub(super) objectify: bool,
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammar").field("fields", &self.fields).field("operators", &self.operators).finish()
    }
}

/// Where in a query an object stands: decides which of `$or` and `$and` it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    And,
    Or,
}

impl Grammar {
    /// The condition that the parameters of a query are, without those that are no condition (`$limit`, …).
    pub(super) fn condition(&self, query: &Map<String, Value>) -> ServiceResult<Filter> {
        let condition = self.object(query, Level::Top, "", 0)?;
        let mut orders = Vec::new();
        places_of_order(query, "", &mut orders);
        match orders.get(1) {
            Some(at) => Err(mismatch(
                at,
                "type",
                "orders documents, which another $near or $nearSphere does already: $geoWithin stands beside it",
            )),
            None => Ok(condition),
        }
    }

    fn object(
        &self,
        object: &Map<String, Value>,
        level: Level,
        at: &str,
        depth: usize,
    ) -> ServiceResult<Filter> {
        within_depth(depth)?;
        let mut all = Filter::All;
        for (name, value) in object {
            let at = format!("{at}/{name}");
            let filter = match name.as_str() {
                "$or" if self.allows_or(level) => self.list(value, Level::Or, &at, depth, Filter::Or)?,
                "$and" if level == Level::Top => self.list(value, Level::And, &at, depth, Filter::And)?,
                "$nor" if self.allows_nor(level) => {
                    self.list(value, Level::Or, &at, depth, Filter::Or)?.negate()
                }
                name if name.starts_with('$') => self.own(name, value, object, level, &at)?,
                path => self.property(path, value, &at, depth)?,
            };
            all.narrow(filter);
        }
        Ok(all)
    }

    /// Feathers lets `$or` stand below another `$or` only where it does not know the fields.
    fn allows_or(&self, level: Level) -> bool {
        level != Level::Or || self.fields.is_none()
    }

    /// As a filter it stands at the top, as an operator wherever conditions do.
    fn allows_nor(&self, level: Level) -> bool {
        self.operators.contains("$nor") || (level == Level::Top && self.filters.contains_key("$nor"))
    }

    fn list(
        &self,
        value: &Value,
        level: Level,
        at: &str,
        depth: usize,
        join: fn(Vec<Filter>) -> Filter,
    ) -> ServiceResult<Filter> {
        let items = value.as_array().filter(|list| !list.is_empty());
        let items = items.ok_or_else(|| mismatch(at, "type", "must be array of conditions"))?;
        let conditions = items.iter().enumerate().map(|(index, item)| {
            let at = format!("{at}/{index}");
            match item.as_object() {
                Some(object) => self.object(object, level, &at, depth + 1),
                None => Err(mismatch(&at, "type", "must be object")),
            }
        });
        conditions.collect::<ServiceResult<Vec<_>>>().map(join)
    }

    /// A parameter that only this service has.
    fn own(
        &self,
        name: &str,
        value: &Value,
        object: &Map<String, Value>,
        level: Level,
        at: &str,
    ) -> ServiceResult<Filter> {
        match (level, self.filters.get(name)) {
            (Level::Top, Some(Some(filter))) => filter(value).map_err(|failure| failure.of_field(name)),
            (Level::Top, Some(None)) => {
                let message =
                    format!("the filter {name} is for a hook of this service, and none has taken it");
                Err(ServiceError::bad_request(message).of_field(name))
            }
            (Level::Top, None) if self.fields.is_none() => {
                let shown: String = name.chars().take(64).collect();
                Err(ServiceError::bad_request(format!("Invalid filter value {shown}")).of_field(&shown))
            }
            (Level::Top, None) => {
                let known = PARAMETERS.into_iter().chain(self.filters.keys().map(String::as_str));
                Err(self.unknown(name, object, at, &format!("queries have {}", listed(known))))
            }
            (Level::And, _) => Err(self.unknown(name, object, at, "inside of $and stand fields and $or")),
            (Level::Or, _) => Err(self.unknown(name, object, at, "only fields stand here")),
        }
    }

    fn property(&self, path: &str, value: &Value, at: &str, depth: usize) -> ServiceResult<Filter> {
        let rule = self.rule(path, at)?;
        let is_operator = |key: &String| key.starts_with('$') && key != OBJECT_ID;
        let operators = value.as_object().filter(|object| object.keys().any(is_operator));
        match operators {
            Some(object) => self.operators(&rule, object, at, depth),
            None => Ok(field(&rule, Predicate::Eq(self.value(&rule.kind, value, at)?))),
        }
    }

    /// What is known about a field.
    pub(super) fn rule(&self, path: &str, at: &str) -> ServiceResult<Rule> {
        if let Some(wrong) = wrong_in_query(path) {
            return Err(mismatch(at, "pattern", wrong));
        }
        let Some(fields) = &self.fields else {
            let kind = if path == "_id" && self.objectify { Kind::Key } else { Kind::Any };
            return Ok(Rule { stored: path.to_owned(), kind, operators: Vec::new() });
        };
        fields.find(path).ok_or_else(|| {
            let message =
                format!("must NOT have additional properties; known are {}", listed(fields.names()));
            violation(at, "additionalProperties", &message, &json!({ "additionalProperty": path }))
        })
    }

    fn operators(
        &self,
        rule: &Rule,
        object: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> ServiceResult<Filter> {
        within_depth(depth)?;
        let mut all = Filter::All;
        for (name, value) in object {
            let name = name.as_str();
            let beside_place =
                DISTANCES.contains(&name) && object.keys().any(|name| name.starts_with("$near"));
            let known = EVERYWHERE.contains(&name) || beside_place;
            if !known && !self.operators.contains(name) && !rule.operators.iter().any(|own| own == name) {
                let own = self.operators.iter().chain(&rule.operators).map(String::as_str);
                let known = listed(EVERYWHERE.into_iter().chain(own.filter(|own| *own != "$nor")));
                return Err(self.unknown(name, object, at, &format!("the field takes {known}")));
            }
            let at = format!("{at}/{name}");
            if beside_place {
                continue;
            }
            if name == "$options" {
                if !object.contains_key("$regex") {
                    return Err(mismatch(&at, "dependencies", "must stand beside $regex"));
                }
                continue;
            }
            all.narrow(self.operator(rule, name, value, object, &at, depth)?);
        }
        Ok(all)
    }

    fn operator(
        &self,
        rule: &Rule,
        name: &str,
        value: &Value,
        object: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> ServiceResult<Filter> {
        let one = || self.value(&rule.kind, value, at);
        let predicate = match name {
            "$ne" => Predicate::Ne(one()?),
            "$lt" => Predicate::Lt(one()?),
            "$lte" => Predicate::Lte(one()?),
            "$gt" => Predicate::Gt(one()?),
            "$gte" => Predicate::Gte(one()?),
            "$in" => Predicate::In(self.values(&rule.kind, value, at)?),
            "$nin" => Predicate::NotIn(self.values(&rule.kind, value, at)?),
            "$all" => Predicate::HasEvery(self.values(rule.kind.element(), value, at)?),
            "$exists" => match self.value(&Kind::Boolean, value, at)? {
                Bson::Boolean(exists) => Predicate::Exists(exists),
                _ => return Err(mismatch(at, "type", "must be boolean")),
            },
            "$size" => match self.value(&Kind::Number, value, at)? {
                Bson::Int32(size) if size >= 0 => Predicate::Size(size.into()),
                _ => return Err(mismatch(at, "type", "must be a whole number >= 0")),
            },
            "$regex" => self.regex(value, object.get("$options"), at)?,
            "$type" => operators::types(value).map_err(|expected| mismatch(at, "type", expected))?,
            "$mod" => {
                operators::remainder(&rule.kind, value).map_err(|expected| mismatch(at, "type", expected))?
            }
            "$bitsAllSet" | "$bitsAllClear" | "$bitsAnySet" | "$bitsAnyClear" => {
                operators::bits(&rule.kind, name, value).map_err(|expected| mismatch(at, "type", expected))?
            }
            "$near" | "$nearSphere" | "$geoWithin" | "$geoIntersects" => {
                return place(rule, name, value, object, at);
            }
            "$elemMatch" => Predicate::Element(Box::new(self.element(rule, value, at, depth)?)),
            "$not" => {
                let inner = value.as_object().filter(|inner| inner.keys().all(|key| key.starts_with('$')));
                let inner = inner.ok_or_else(|| mismatch(at, "type", "must be operators"))?;
                return Ok(self.operators(rule, inner, at, depth + 1)?.negate());
            }
            _ => return Err(self.unknown(name, object, at, "it is no operator of fields")),
        };
        Ok(field(rule, predicate))
    }

    /// The condition on elements of a list of which nothing is known, as a change names them.
    pub(super) fn of_element(&self, object: &Map<String, Value>, at: &str) -> ServiceResult<Filter> {
        let of_any = Self { fields: None, objectify: false, ..self.clone() };
        let rule = Rule { stored: String::new(), kind: Kind::Any, operators: Vec::new() };
        of_any.element(&rule, &Value::Object(object.clone()), at, 0)
    }

    /// The condition on one element: operators on plain values, or fields of sub-documents.
    fn element(&self, rule: &Rule, value: &Value, at: &str, depth: usize) -> ServiceResult<Filter> {
        let object = value.as_object().filter(|object| !object.is_empty());
        let object =
            object.ok_or_else(|| mismatch(at, "type", "must be operators or conditions on fields"))?;
        if object.keys().all(|key| key.starts_with('$')) {
            let kind = rule.kind.element().clone();
            let rule = Rule { stored: String::new(), kind, operators: rule.operators.clone() };
            return self.operators(&rule, object, at, depth + 1);
        }
        // Of sub-documents only the fields that clients read: what they ask for tells what is there.
        let fields = match self.fields.as_ref().map(|fields| fields.inside(rule)) {
            None | Some(Inside::Anything) => None,
            Some(Inside::Fields(fields)) => Some(fields),
            Some(Inside::Nothing) => return Err(mismatch(at, "type", "must be operators")),
        };
        let inner = Grammar { fields, objectify: false, ..self.clone() };
        inner.object(object, Level::Or, at, depth + 1)
    }

    fn regex(&self, pattern: &Value, options: Option<&Value>, at: &str) -> ServiceResult<Predicate> {
        let (Some(pattern), Some(options)) =
            (pattern.as_str(), options.map_or(Some(""), |options| options.as_str()))
        else {
            return Err(mismatch(at, "type", "must be string"));
        };
        let options = read_options(options);
        if !options.chars().all(|option| "imsx".contains(option)) {
            return Err(mismatch(at, "pattern", "takes the options i, m, s and x"));
        }
        Ok(Predicate::Regex { pattern: pattern.to_owned(), options })
    }

    fn values(&self, kind: &Kind, value: &Value, at: &str) -> ServiceResult<Vec<Bson>> {
        let list = value.as_array().ok_or_else(|| mismatch(at, "type", "must be array"))?;
        let items = list.iter().enumerate();
        items.map(|(index, item)| self.value(kind, item, &format!("{at}/{index}"))).collect()
    }

    fn value(&self, kind: &Kind, value: &Value, at: &str) -> ServiceResult<Bson> {
        kind.coerce(value).map_err(|expected| mismatch(at, "type", expected))
    }

    /// An operator that is not allowed where it stands, and what is.
    pub(super) fn unknown(
        &self,
        name: &str,
        object: &Map<String, Value>,
        at: &str,
        allowed: &str,
    ) -> ServiceError {
        let shown: String = name.chars().take(64).collect();
        if self.fields.is_none() {
            let error = ServiceError::bad_request(format!("Invalid query parameter {shown}"));
            return error.with_data(object.clone().into()).of_field(&field_at(at));
        }
        let params = json!({ "additionalProperty": shown });
        let message = format!("must NOT have additional properties like {shown}; {allowed}");
        violation(at, "additionalProperties", &message, &params)
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The places of `$near` and `$nearSphere`, where they order documents.
fn places_of_order(object: &Map<String, Value>, at: &str, found: &mut Vec<String>) {
    for (name, value) in object {
        match value {
            Value::Array(items) if name == "$and" => {
                for (index, item) in items.iter().enumerate() {
                    let item = item.as_object().into_iter();
                    item.for_each(|item| places_of_order(item, &format!("{at}/$and/{index}"), found));
                }
            }
            Value::Object(operators) if !name.starts_with('$') => {
                let orders = operators.keys().filter(|operator| operator.starts_with("$near"));
                found.extend(orders.map(|operator| format!("{at}/{name}/{operator}")));
            }
            _ => {}
        }
    }
}

/// The first field of a query with a pattern that is malformed, or more than an engine does in linear time.
pub(super) fn refused_pattern(query: &Map<String, Value>) -> Option<String> {
    fn find(value: &Value, at: &str) -> Option<String> {
        match value {
            Value::Object(object) => {
                let own = object.get("$regex").and_then(Value::as_str).filter(|own| {
                    let options = object.get("$options").and_then(Value::as_str).unwrap_or("");
                    pattern(at, own, &read_options(options)).is_err()
                });
                let inside = || object.iter().find_map(|(name, value)| find(value, &format!("{at}/{name}")));
                own.map(|_| at.to_owned()).or_else(inside)
            }
            Value::Array(items) => {
                items.iter().enumerate().find_map(|(index, item)| find(item, &format!("{at}/{index}")))
            }
            _ => None,
        }
    }
    query.iter().find_map(|(name, value)| find(value, &format!("/{name}"))).map(|at| field_at(&at))
}

/// The options of a pattern without those of JavaScript, which mean nothing where one match is enough.
fn read_options(options: &str) -> String {
    options.chars().filter(|option| !"gu".contains(*option)).collect()
}

/// Refuses what is nested deeper than a query may be.
fn within_depth(depth: usize) -> ServiceResult<()> {
    if depth > MAX_DEPTH {
        return Err(ServiceError::bad_request(format!("a query nests at most {MAX_DEPTH} levels")));
    }
    Ok(())
}

/// A condition on places.
fn place(
    rule: &Rule,
    name: &str,
    value: &Value,
    object: &Map<String, Value>,
    at: &str,
) -> ServiceResult<Filter> {
    let wrong = |expected: &str| mismatch(at, "type", expected);
    if !rule.kind.may_be_place() {
        return Err(wrong("is for places, which this field has none of"));
    }
    match name {
        "$geoWithin" => Ok(field(rule, geo::within(value).map_err(wrong)?)),
        "$geoIntersects" => {
            let parts = geo::intersects(value).map_err(wrong)?.into_iter().map(|part| field(rule, part));
            Ok(parts.reduce(Filter::or).unwrap_or(Filter::Nothing))
        }
        _ if at.split('/').any(|part| UNORDERED.contains(&part)) => Err(wrong(
            "orders documents, and stands at the top of a query or inside of $and: $geoWithin stands anywhere",
        )),
        name => {
            let pairs = *rule.kind.element() == Kind::Any;
            Ok(field(rule, geo::near(name, value, object, pairs).map_err(wrong)?))
        }
    }
}

fn field(rule: &Rule, predicate: Predicate) -> Filter {
    Filter::Field(rule.stored.clone().into(), predicate)
}
