//! From the document of a `$jsonSchema` to rules.

use bson::{Bson, Document, RawBson};
use regex::Regex;

use super::check::{decimal, is_same};
use super::rules::{Bound, FieldRule, ItemRule, NumberRule, Rule, Rules, TextRule};
use crate::error::{Error, Result};
use crate::matcher::eval::Range;
use crate::matcher::kind::type_codes;
use crate::matcher::pattern::pattern;
use crate::order;
use crate::types::Decimal;

/// How deep a schema may be nested. Checking recurses as deep.
const MAX_DEPTH: usize = 64;

/// The server's codes.
const BAD_VALUE: i32 = 2;
const FAILED_TO_PARSE: i32 = 9;
const TYPE_MISMATCH: i32 = 14;

/// The types of JSON, and what they are in BSON.
const JSON_TYPES: [(&str, &[i32]); 6] = [
    ("object", &[3]),
    ("array", &[4]),
    ("number", &[1, 16, 18, 19]),
    ("boolean", &[8]),
    ("string", &[2]),
    ("null", &[10]),
];

pub(super) fn schema(schema: &Document, depth: usize) -> Result<Rules> {
    if depth > MAX_DEPTH {
        let text = format!("a $jsonSchema is at most {MAX_DEPTH} levels deep");
        return Err(Error::bad_request(text).with_server_code(FAILED_TO_PARSE));
    }
    if schema.contains_key("type") && schema.contains_key("bsonType") {
        let text = "a $jsonSchema has one of `type` and `bsonType`, not both";
        return Err(Error::bad_request(text).with_server_code(FAILED_TO_PARSE));
    }
    let mut rules = Vec::with_capacity(schema.len());
    for (name, operand) in schema {
        let keyword = Keyword { name, operand, siblings: schema, depth };
        match keyword.rules() {
            Some(more) => rules.extend(more?),
            None => {
                let text = format!("there is no $jsonSchema keyword `{name}`");
                return Err(Error::unsupported(text).with_server_code(FAILED_TO_PARSE));
            }
        }
    }
    Ok(rules)
}

/// A keyword, and what stands beside it.
struct Keyword<'s> {
    name: &'s str,
    operand: &'s Bson,
    siblings: &'s Document,
    depth: usize,
}

impl Keyword<'_> {
    /// The rules that it makes; none where there is no such keyword.
    fn rules(&self) -> Option<Result<Rules>> {
        let one = |rule: Result<Rule>| rule.map(|rule| vec![rule]);
        let fields = |rule: Result<FieldRule>| one(rule.map(Rule::Fields));
        let items = |rule: Result<ItemRule>| one(rule.map(Rule::Items));
        Some(match self.name {
            "title" | "description" => match self.operand {
                Bson::String(_) => Ok(Vec::new()),
                _ => Err(self.mistyped("a string")),
            },
            "type" | "bsonType" => one(self.kinds()),
            "enum" => one(self.values()),
            "allOf" => one(self.schemas().map(Rule::All)),
            "anyOf" => one(self.schemas().map(Rule::Any)),
            "oneOf" => one(self.schemas().map(Rule::One)),
            "not" => one(self.schema(self.operand).map(Rule::Not)),
            "required" => fields(self.names(self.operand).map(FieldRule::Required)),
            "properties" => fields(self.named().map(FieldRule::Named)),
            "patternProperties" => fields(self.like().map(FieldRule::Like)),
            "additionalProperties" => self.others(),
            "minProperties" | "maxProperties" => fields(self.bound().map(FieldRule::Count)),
            "dependencies" => self.dependencies(),
            "items" => items(self.items()),
            "additionalItems" => self.rest(),
            "minItems" | "maxItems" => items(self.bound().map(ItemRule::Count)),
            "uniqueItems" => {
                self.flag().map(|on| on.then_some(Rule::Items(ItemRule::Unique)).into_iter().collect())
            }
            "minLength" | "maxLength" => one(self.bound().map(|bound| Rule::Text(TextRule::Length(bound)))),
            "pattern" => one(self.pattern().map(Rule::Text)),
            "minimum" | "maximum" => one(self.limit().map(Rule::Number)),
            "exclusiveMinimum" => self.exclusive("minimum"),
            "exclusiveMaximum" => self.exclusive("maximum"),
            "multipleOf" => one(self.multiple().map(Rule::Number)),
            _ => return None,
        })
    }

    fn wrong(&self, code: i32, wants: &str) -> Error {
        let text = format!("the $jsonSchema keyword `{}` takes {wants}, not {}", self.name, self.operand);
        Error::bad_request(text).with_server_code(code)
    }

    fn mistyped(&self, wants: &str) -> Error {
        self.wrong(TYPE_MISMATCH, wants)
    }

    fn meaningless(&self, wants: &str) -> Error {
        self.wrong(FAILED_TO_PARSE, wants)
    }

    fn schema(&self, value: &Bson) -> Result<Rules> {
        match value {
            Bson::Document(inner) => schema(inner, self.depth + 1),
            _ => Err(self.mistyped("a schema, which is a document")),
        }
    }

    fn schemas(&self) -> Result<Vec<Rules>> {
        let all = self.operand.as_array().ok_or_else(|| self.mistyped("a list of schemas"))?;
        if all.is_empty() {
            return Err(self.wrong(BAD_VALUE, "at least one schema"));
        }
        all.iter().map(|one| self.schema(one)).collect()
    }

    /// Different strings, at least one.
    fn names(&self, value: &Bson) -> Result<Vec<Box<str>>> {
        let wants = "a list of different strings";
        let all = value.as_array().ok_or_else(|| self.mistyped(wants))?;
        let mut names: Vec<Box<str>> = Vec::with_capacity(all.len());
        for name in all {
            let name = name.as_str().ok_or_else(|| self.mistyped(wants))?;
            if names.iter().any(|known| **known == *name) {
                return Err(self.meaningless(wants));
            }
            names.push(name.into());
        }
        if names.is_empty() {
            return Err(self.meaningless("a list of at least one string"));
        }
        Ok(names)
    }

    fn kinds(&self) -> Result<Rule> {
        let names = match self.operand {
            Bson::String(name) => vec![name.as_str().into()],
            several => self.names(several)?,
        };
        let mut codes = Vec::with_capacity(names.len());
        for name in &names {
            let known = match self.name {
                "bsonType" => type_codes(name),
                _ => JSON_TYPES.iter().find(|(json, _)| *json == &**name).map(|(_, codes)| *codes),
            };
            let unknown = || {
                let code = if &**name == "integer" { FAILED_TO_PARSE } else { BAD_VALUE };
                let text = format!("the $jsonSchema keyword `{}` knows no type `{name}`", self.name);
                Error::unsupported(text).with_server_code(code)
            };
            codes.extend(known.ok_or_else(unknown)?);
        }
        Ok(Rule::Type { codes, named: names.join(" or ").into() })
    }

    fn values(&self) -> Result<Rule> {
        let all = self.operand.as_array().ok_or_else(|| self.mistyped("a list of values"))?;
        let mut values: Vec<RawBson> = Vec::with_capacity(all.len());
        for value in all {
            let value = self.raw(value)?;
            if values.iter().any(|known| is_same(known.as_raw_bson_ref(), value.as_raw_bson_ref())) {
                return Err(self.meaningless("different values"));
            }
            values.push(value);
        }
        if values.is_empty() {
            return Err(self.meaningless("at least one value"));
        }
        Ok(Rule::Enum(values))
    }

    fn raw(&self, value: &Bson) -> Result<RawBson> {
        RawBson::try_from(value.clone()).map_err(|_| self.meaningless("values that BSON can hold"))
    }

    fn document(&self) -> Result<&Document> {
        self.operand.as_document().ok_or_else(|| self.mistyped("a document"))
    }

    fn named(&self) -> Result<Vec<(Box<str>, Rules)>> {
        let named = self.document()?.iter();
        named.map(|(name, schema)| Ok((name.as_str().into(), self.schema(schema)?))).collect()
    }

    fn like(&self) -> Result<Vec<(Regex, Rules)>> {
        let named = self.document()?.iter();
        named.map(|(name, schema)| Ok((pattern(self.name, name, "")?, self.schema(schema)?))).collect()
    }

    /// What a schema, true (anything) or false (nothing) allows; none where it is anything.
    fn allowance(&self) -> Result<Option<Option<Rules>>> {
        match self.operand {
            Bson::Boolean(true) => Ok(None),
            Bson::Boolean(false) => Ok(Some(None)),
            Bson::Document(inner) => Ok(Some(Some(schema(inner, self.depth + 1)?))),
            _ => Err(self.mistyped("true, false or a schema")),
        }
    }

    fn others(&self) -> Result<Rules> {
        let Some(rules) = self.allowance()? else { return Ok(Vec::new()) };
        let keys = |name: &str| self.siblings.get_document(name).into_iter().flat_map(Document::keys);
        let named = keys("properties").map(|name| name.as_str().into()).collect();
        let like = keys("patternProperties").map(|name| pattern("patternProperties", name, ""));
        let others = FieldRule::Others { named, like: like.collect::<Result<_>>()?, rules };
        Ok(vec![Rule::Fields(others)])
    }

    fn dependencies(&self) -> Result<Rules> {
        let rules = self.document()?.iter().map(|(name, wanted)| {
            let name = name.as_str().into();
            Ok(Rule::Fields(match wanted {
                Bson::Array(_) => FieldRule::Together(name, self.names(wanted)?),
                Bson::Document(inner) => FieldRule::Implies(name, schema(inner, self.depth + 1)?),
                _ => return Err(self.mistyped("lists of fields, or schemas")),
            }))
        });
        rules.collect()
    }

    fn items(&self) -> Result<ItemRule> {
        match self.operand {
            Bson::Array(placed) => {
                Ok(ItemRule::Placed(placed.iter().map(|one| self.schema(one)).collect::<Result<_>>()?))
            }
            each => self.schema(each).map(ItemRule::Each),
        }
    }

    fn rest(&self) -> Result<Rules> {
        let allowance = self.allowance()?;
        // Where one schema is for every item, nothing is left.
        let Ok(placed) = self.siblings.get_array("items") else { return Ok(Vec::new()) };
        let rest = allowance.map(|rules| Rule::Items(ItemRule::Rest(placed.len(), rules)));
        Ok(rest.into_iter().collect())
    }

    fn bound(&self) -> Result<Bound> {
        let number = self.raw(self.operand).ok().and_then(|raw| decimal(raw.as_raw_bson_ref()));
        let number = number.ok_or_else(|| self.mistyped("a whole number from 0"))?;
        let whole = number.to_i64().filter(|whole| Decimal::from(*whole) == number);
        let count = whole.and_then(|whole| usize::try_from(whole).ok());
        let count = count.ok_or_else(|| self.meaningless("a whole number from 0"))?;
        Ok(if self.name.starts_with("min") { Bound::AtLeast(count) } else { Bound::AtMost(count) })
    }

    fn flag(&self) -> Result<bool> {
        self.operand.as_bool().ok_or_else(|| self.mistyped("true or false"))
    }

    fn pattern(&self) -> Result<TextRule> {
        let source = self.operand.as_str().ok_or_else(|| self.mistyped("a pattern, which is a string"))?;
        Ok(TextRule::Like(pattern(self.name, source, "")?, source.into()))
    }

    fn number(&self) -> Result<RawBson> {
        let number = self.raw(self.operand)?;
        match order::as_f64(number.as_raw_bson_ref()) {
            Some(_) => Ok(number),
            None => Err(self.mistyped("a number")),
        }
    }

    fn limit(&self) -> Result<NumberRule> {
        let exclusive = |flag: &str| self.siblings.get_bool(flag).unwrap_or(false);
        let range = match self.name {
            "minimum" if exclusive("exclusiveMinimum") => Range::Greater,
            "minimum" => Range::GreaterOrEqual,
            _ if exclusive("exclusiveMaximum") => Range::Less,
            _ => Range::LessOrEqual,
        };
        Ok(NumberRule::Within(range, self.number()?))
    }

    /// The flag is read with its bound.
    fn exclusive(&self, bound: &str) -> Result<Rules> {
        self.flag()?;
        if self.siblings.contains_key(bound) {
            return Ok(Vec::new());
        }
        Err(self.meaningless(&format!("a `{bound}` beside it")))
    }

    fn multiple(&self) -> Result<NumberRule> {
        let given = self.number()?;
        let divisor = decimal(given.as_raw_bson_ref()).unwrap_or_default();
        if divisor.is_finite() && divisor > Decimal::ZERO {
            return Ok(NumberRule::MultipleOf(divisor, given));
        }
        Err(self.meaningless("a number above 0"))
    }
}
