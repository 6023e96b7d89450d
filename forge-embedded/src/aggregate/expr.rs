//! Aggregation expressions.

use std::cmp::Ordering;

use bson::{Bson, Document};
use forge_core::{Error, Result};

use crate::index::integer;
use crate::keys;
use crate::update::{Arithmetic, combine};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 100;

/// An expression, read once and evaluated for many documents.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    Value(Bson),
    /// A path into a variable; the document itself is `ROOT`.
    Path {
        variable: Option<String>,
        path: Vec<String>,
    },
    Document(Vec<(String, Expr)>),
    Array(Vec<Expr>),
    Call(Function, Vec<Expr>),
    Filter {
        input: Box<Expr>,
        name: String,
        condition: Box<Expr>,
        limit: Option<Box<Expr>>,
    },
    Map {
        input: Box<Expr>,
        name: String,
        each: Box<Expr>,
    },
}

/// A function of evaluated arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Mod,
    Abs,
    Floor,
    Ceil,
    Cond,
    IfNull,
    Compare(Test),
    Cmp,
    And,
    Or,
    Not,
    In,
    Size,
    ElementAt,
    First,
    Last,
    Slice,
    Concat,
    ConcatArrays,
    ToLower,
    ToUpper,
    ToString,
    IsArray,
    Type,
    MergeObjects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

/// The document and the variables that an expression sees.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    root: &'s Document,
    variable: Option<(&'s str, &'s Bson, &'s Scope<'s>)>,
}

impl<'s> Scope<'s> {
    /// A document, without variables.
    pub(super) fn of(root: &'s Document) -> Self {
        Self { root, variable: None }
    }

    fn lookup(&self, name: &str) -> Option<&'s Bson> {
        let (own, value, outer) = self.variable?;
        if own == name { Some(value) } else { outer.lookup(name) }
    }
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// `unsupported` names an operator that the engine lacks, `bad_request` says what an operator wants.
    pub(super) fn parse(value: &Bson) -> Result<Self> {
        parse(value, 0)
    }

    /// The value for a document; none where it is missing.
    pub(super) fn eval(&self, scope: &Scope<'_>) -> Result<Option<Bson>> {
        match self {
            Expr::Value(value) => Ok(Some(value.clone())),
            Expr::Path { variable: None, path } => Ok(in_document(scope.root, path)),
            Expr::Path { variable: Some(name), path } => match (name.as_str(), path.as_slice()) {
                ("ROOT" | "CURRENT", []) => Ok(Some(Bson::Document(scope.root.clone()))),
                ("ROOT" | "CURRENT", path) => Ok(in_document(scope.root, path)),
                (name, path) => {
                    let value = scope.lookup(name);
                    let value = value.ok_or_else(|| {
                        Error::bad_request(format!("the variable `$${name}` is not defined"))
                    })?;
                    Ok(in_value(value, path))
                }
            },
            Expr::Document(fields) => {
                let mut out = Document::new();
                for (name, expr) in fields {
                    if let Some(value) = expr.eval(scope)? {
                        out.insert(name.clone(), value);
                    }
                }
                Ok(Some(Bson::Document(out)))
            }
            Expr::Array(items) => {
                let values = items.iter().map(|item| Ok(item.eval(scope)?.unwrap_or(Bson::Null)));
                Ok(Some(Bson::Array(values.collect::<Result<_>>()?)))
            }
            Expr::Call(function, arguments) => function.call(arguments, scope),
            Expr::Filter { input, name, condition, limit } => {
                let Some(items) = items(input, scope, "$filter")? else { return Ok(Some(Bson::Null)) };
                let limit = limit.as_ref().map(|limit| limit.eval(scope)).transpose()?.flatten();
                let limit =
                    limit.as_ref().and_then(integer).map_or(usize::MAX, |limit| limit.max(0) as usize);
                let mut kept = Vec::new();
                for item in items {
                    if kept.len() >= limit {
                        break;
                    }
                    let inner = Scope { root: scope.root, variable: Some((name, &item, scope)) };
                    if truthy(condition.eval(&inner)?.as_ref()) {
                        kept.push(item);
                    }
                }
                Ok(Some(Bson::Array(kept)))
            }
            Expr::Map { input, name, each } => {
                let Some(items) = items(input, scope, "$map")? else { return Ok(Some(Bson::Null)) };
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    let inner = Scope { root: scope.root, variable: Some((name, &item, scope)) };
                    out.push(each.eval(&inner)?.unwrap_or(Bson::Null));
                }
                Ok(Some(Bson::Array(out)))
            }
        }
    }

    /// The value, where a missing one is null.
    pub(super) fn value(&self, root: &Document) -> Result<Bson> {
        Ok(self.eval(&Scope::of(root))?.unwrap_or(Bson::Null))
    }
}

fn parse(value: &Bson, depth: usize) -> Result<Expr> {
    if depth > MAX_DEPTH {
        return Err(Error::bad_request(format!("an expression nests deeper than {MAX_DEPTH} levels")));
    }
    match value {
        Bson::String(text) => path_or_text(text),
        Bson::Array(items) => Ok(Expr::Array(list(items, depth)?)),
        Bson::Document(document) => {
            let first = document.iter().next();
            match first {
                Some((operator, operand)) if operator.starts_with('$') => {
                    if document.len() > 1 {
                        return Err(Error::bad_request(format!(
                            "`{operator}` stands alone in an expression: {value}"
                        )));
                    }
                    call(operator, operand, depth)
                }
                _ => {
                    let fields =
                        document.iter().map(|(name, value)| Ok((name.clone(), parse(value, depth + 1)?)));
                    Ok(Expr::Document(fields.collect::<Result<_>>()?))
                }
            }
        }
        value => Ok(Expr::Value(value.clone())),
    }
}

fn list(items: &[Bson], depth: usize) -> Result<Vec<Expr>> {
    items.iter().map(|item| parse(item, depth + 1)).collect()
}

fn path_or_text(text: &str) -> Result<Expr> {
    let Some(path) = text.strip_prefix('$') else { return Ok(Expr::Value(Bson::String(text.to_owned()))) };
    let (variable, path) = match path.strip_prefix('$') {
        None => (None, path),
        Some(path) => {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            if matches!(name, "NOW" | "REMOVE" | "CLUSTER_TIME" | "DESCEND" | "PRUNE" | "KEEP" | "USER_ROLES")
            {
                return Err(Error::unsupported(format!("the embedded engine has no variable `$${name}`")));
            }
            (Some(name.to_owned()), rest)
        }
    };
    let parts: Vec<String> =
        if path.is_empty() { Vec::new() } else { path.split('.').map(str::to_owned).collect() };
    if (parts.is_empty() && variable.is_none()) || parts.iter().any(String::is_empty) {
        return Err(Error::bad_request(format!("{text:?} is no path")));
    }
    Ok(Expr::Path { variable, path: parts })
}

fn in_document(document: &Document, path: &[String]) -> Option<Bson> {
    let (head, rest) = path.split_first()?;
    in_value(document.get(head)?, rest)
}

/// Paths lead through arrays into each of their documents.
fn in_value(value: &Bson, path: &[String]) -> Option<Bson> {
    if path.is_empty() {
        return Some(value.clone());
    }
    match value {
        Bson::Document(document) => in_document(document, path),
        Bson::Array(items) => {
            Some(Bson::Array(items.iter().filter_map(|item| in_element(item, path)).collect()))
        }
        _ => None,
    }
}

fn in_element(item: &Bson, path: &[String]) -> Option<Bson> {
    matches!(item, Bson::Document(_) | Bson::Array(_)).then(|| in_value(item, path)).flatten()
}

fn items(input: &Expr, scope: &Scope<'_>, operator: &str) -> Result<Option<Vec<Bson>>> {
    match input.eval(scope)? {
        Some(Bson::Array(items)) => Ok(Some(items)),
        None | Some(Bson::Null | Bson::Undefined) => Ok(None),
        Some(other) => Err(Error::bad_request(format!("`{operator}` takes an array, not {other}"))),
    }
}

fn call(operator: &str, operand: &Bson, depth: usize) -> Result<Expr> {
    use Function as F;
    // The smallest and the largest number of arguments.
    let (function, least, most) = match operator {
        "$literal" => return Ok(Expr::Value(operand.clone())),
        "$filter" | "$map" => return comprehension(operator, operand, depth),
        "$cond" => return condition(operand, depth),
        "$add" => (F::Add, 0, usize::MAX),
        "$subtract" => (F::Subtract, 2, 2),
        "$multiply" => (F::Multiply, 0, usize::MAX),
        "$divide" => (F::Divide, 2, 2),
        "$mod" => (F::Mod, 2, 2),
        "$abs" => (F::Abs, 1, 1),
        "$floor" => (F::Floor, 1, 1),
        "$ceil" => (F::Ceil, 1, 1),
        "$ifNull" => (F::IfNull, 2, usize::MAX),
        "$eq" => (F::Compare(Test::Eq), 2, 2),
        "$ne" => (F::Compare(Test::Ne), 2, 2),
        "$gt" => (F::Compare(Test::Gt), 2, 2),
        "$gte" => (F::Compare(Test::Gte), 2, 2),
        "$lt" => (F::Compare(Test::Lt), 2, 2),
        "$lte" => (F::Compare(Test::Lte), 2, 2),
        "$cmp" => (F::Cmp, 2, 2),
        "$and" => (F::And, 0, usize::MAX),
        "$or" => (F::Or, 0, usize::MAX),
        "$not" => (F::Not, 1, 1),
        "$in" => (F::In, 2, 2),
        "$size" => (F::Size, 1, 1),
        "$arrayElemAt" => (F::ElementAt, 2, 2),
        "$first" => (F::First, 1, 1),
        "$last" => (F::Last, 1, 1),
        "$slice" => (F::Slice, 2, 3),
        "$concat" => (F::Concat, 0, usize::MAX),
        "$concatArrays" => (F::ConcatArrays, 0, usize::MAX),
        "$toLower" => (F::ToLower, 1, 1),
        "$toUpper" => (F::ToUpper, 1, 1),
        "$toString" => (F::ToString, 1, 1),
        "$isArray" => (F::IsArray, 1, 1),
        "$type" => (F::Type, 1, 1),
        "$mergeObjects" => (F::MergeObjects, 0, usize::MAX),
        operator => {
            return Err(Error::unsupported(format!(
                "the embedded engine has no expression operator `{operator}`"
            )));
        }
    };
    let arguments = match operand {
        Bson::Array(items) => list(items, depth)?,
        single => vec![parse(single, depth + 1)?],
    };
    if arguments.len() < least || arguments.len() > most {
        return Err(Error::bad_request(format!("`{operator}` does not take {} arguments", arguments.len())));
    }
    Ok(Expr::Call(function, arguments))
}

fn condition(operand: &Bson, depth: usize) -> Result<Expr> {
    let arguments = match operand {
        Bson::Array(items) if items.len() == 3 => list(items, depth)?,
        Bson::Document(form) => ["if", "then", "else"]
            .into_iter()
            .map(|name| {
                let part = form.get(name);
                parse(part.ok_or_else(|| Error::bad_request(format!("`$cond` lacks `{name}`")))?, depth + 1)
            })
            .collect::<Result<_>>()?,
        other => return Err(Error::bad_request(format!("`$cond` takes three arguments, not {other}"))),
    };
    Ok(Expr::Call(Function::Cond, arguments))
}

fn comprehension(operator: &str, operand: &Bson, depth: usize) -> Result<Expr> {
    let form =
        operand.as_document().ok_or_else(|| Error::bad_request(format!("`{operator}` takes a document")))?;
    let part = |name: &str| {
        let part =
            form.get(name).ok_or_else(|| Error::bad_request(format!("`{operator}` lacks `{name}`")))?;
        parse(part, depth + 1).map(Box::new)
    };
    let name = form.get_str("as").unwrap_or("this").to_owned();
    let input = part("input")?;
    if operator == "$map" {
        return Ok(Expr::Map { input, name, each: part("in")? });
    }
    let limit = if form.contains_key("limit") { Some(part("limit")?) } else { None };
    Ok(Expr::Filter { input, name, condition: part("cond")?, limit })
}

/// Whether a value counts as true: everything but false, 0, null and missing.
pub(super) fn truthy(value: Option<&Bson>) -> bool {
    match value {
        None | Some(Bson::Null | Bson::Undefined | Bson::Boolean(false)) => false,
        Some(value) => keys::with_raw(value, forge_core::order::as_f64) != Some(0.0),
    }
}

fn is_nothing(value: Option<&Bson>) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

/// MongoDB's order of two values, where missing comes first.
pub(super) fn compare(a: Option<&Bson>, b: Option<&Bson>) -> Ordering {
    let key = |value: Option<&Bson>| value.map(keys::encoded);
    key(a).cmp(&key(b))
}

impl Function {
    fn call(self, arguments: &[Expr], scope: &Scope<'_>) -> Result<Option<Bson>> {
        match self {
            // These look at no more arguments than they need.
            Function::Cond => {
                let chosen = if truthy(arguments[0].eval(scope)?.as_ref()) { 1 } else { 2 };
                return arguments[chosen].eval(scope);
            }
            Function::IfNull => {
                for (position, argument) in arguments.iter().enumerate() {
                    let value = argument.eval(scope)?;
                    if !is_nothing(value.as_ref()) || position + 1 == arguments.len() {
                        return Ok(value);
                    }
                }
                return Ok(None);
            }
            Function::And | Function::Or => {
                let stop = self == Function::Or;
                for argument in arguments {
                    if truthy(argument.eval(scope)?.as_ref()) == stop {
                        return Ok(Some(stop.into()));
                    }
                }
                return Ok(Some((!stop).into()));
            }
            _ => {}
        }
        let values = arguments.iter().map(|argument| argument.eval(scope)).collect::<Result<Vec<_>>>()?;
        self.apply(&values).map_err(|error| error.context(format!("{self:?}")))
    }

    fn apply(self, values: &[Option<Bson>]) -> Result<Option<Bson>> {
        let argument = |position: usize| values.get(position).and_then(Option::as_ref);
        let some = |value: Bson| Ok(Some(value));
        match self {
            Function::Compare(test) => some(test.holds(compare(argument(0), argument(1))).into()),
            Function::Cmp => some((compare(argument(0), argument(1)) as i32).into()),
            Function::Not => some((!truthy(argument(0))).into()),
            Function::IsArray => some(matches!(argument(0), Some(Bson::Array(_))).into()),
            Function::Type => some(type_name(argument(0)).into()),
            Function::ToLower | Function::ToUpper => {
                let text = text_of(argument(0))?;
                some(if self == Function::ToLower { text.to_lowercase() } else { text.to_uppercase() }.into())
            }
            Function::MergeObjects => merge(values),
            Function::In => match argument(1) {
                Some(Bson::Array(items)) => {
                    let wanted = argument(0).map(keys::encoded);
                    some(items.iter().any(|item| Some(keys::encoded(item)) == wanted).into())
                }
                other => Err(Error::bad_request(format!("the second argument is an array, not {other:?}"))),
            },
            Function::Size => match argument(0) {
                Some(Bson::Array(items)) => some(i32::try_from(items.len()).unwrap_or(i32::MAX).into()),
                other => Err(Error::bad_request(format!("the argument is an array, not {other:?}"))),
            },
            // Of the others, nothing comes of nothing.
            _ if values.iter().any(|value| is_nothing(value.as_ref())) => some(Bson::Null),
            _ => {
                let values: Vec<&Bson> = values.iter().flatten().collect();
                self.apply_to_values(&values)
            }
        }
    }

    fn apply_to_values(self, values: &[&Bson]) -> Result<Option<Bson>> {
        match self {
            Function::Add => fold(Arithmetic::Add, Bson::Int32(0), values),
            Function::Multiply => fold(Arithmetic::Multiply, Bson::Int32(1), values),
            Function::Subtract => subtract(values[0], values[1]).map(Some),
            Function::Divide | Function::Mod => divide(self, values[0], values[1]).map(Some),
            Function::Abs | Function::Floor | Function::Ceil => round(self, values[0]).map(Some),
            Function::Concat => {
                let parts = values.iter().map(|value| match value {
                    Bson::String(text) => Ok(text.as_str()),
                    other => Err(Error::bad_request(format!("only strings are put together, not {other}"))),
                });
                Ok(Some(parts.collect::<Result<String>>()?.into()))
            }
            Function::ConcatArrays => {
                let parts = values.iter().map(|value| array(value).map(<[Bson]>::to_vec));
                Ok(Some(Bson::Array(parts.collect::<Result<Vec<_>>>()?.concat())))
            }
            Function::ToString => Ok(Some(text_of(values.first().copied())?.into())),
            Function::First => Ok(array(values[0])?.first().cloned()),
            Function::Last => Ok(array(values[0])?.last().cloned()),
            Function::ElementAt => {
                let items = array(values[0])?;
                let position = whole(values[1])?;
                let position = if position < 0 { position + items.len() as i64 } else { position };
                Ok(usize::try_from(position).ok().and_then(|position| items.get(position)).cloned())
            }
            Function::Slice => slice(values).map(Some),
            _ => Err(Error::internal("an expression function without a rule")),
        }
    }
}

impl Test {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Test::Eq => order.is_eq(),
            Test::Ne => order.is_ne(),
            Test::Gt => order.is_gt(),
            Test::Gte => order.is_ge(),
            Test::Lt => order.is_lt(),
            Test::Lte => order.is_le(),
        }
    }
}

fn fold(kind: Arithmetic, start: Bson, values: &[&Bson]) -> Result<Option<Bson>> {
    let mut total = start;
    for value in values {
        total = match (&total, *value) {
            // A date and milliseconds make a date.
            (Bson::DateTime(at), number) | (number, Bson::DateTime(at)) if kind == Arithmetic::Add => {
                Bson::DateTime(bson::DateTime::from_millis(
                    at.timestamp_millis().saturating_add(whole(number)?),
                ))
            }
            (total, value) => widening(kind, total, value)?,
        };
    }
    Ok(Some(total))
}

/// As [`combine`], but what overflows an i64 becomes a double, as in expressions on a server.
pub(super) fn widening(kind: Arithmetic, a: &Bson, b: &Bson) -> Result<Bson> {
    combine(kind, a, b).or_else(|error| match (a, b) {
        (Bson::Int64(_) | Bson::Int32(_), Bson::Int64(_) | Bson::Int32(_)) => {
            combine(kind, &Bson::Double(number(a)?), b)
        }
        _ => Err(error),
    })
}

fn subtract(a: &Bson, b: &Bson) -> Result<Bson> {
    match (a, b) {
        (Bson::DateTime(a), Bson::DateTime(b)) => {
            Ok(Bson::Int64(a.timestamp_millis().saturating_sub(b.timestamp_millis())))
        }
        (Bson::DateTime(a), b) => {
            Ok(Bson::DateTime(bson::DateTime::from_millis(a.timestamp_millis().saturating_sub(whole(b)?))))
        }
        (a, b) => widening(Arithmetic::Subtract, a, b),
    }
}

fn number(value: &Bson) -> Result<f64> {
    keys::with_raw(value, forge_core::order::as_f64)
        .ok_or_else(|| Error::bad_request(format!("{value} is no number")))
}

fn whole(value: &Bson) -> Result<i64> {
    integer(value).ok_or_else(|| Error::bad_request(format!("{value} is no whole number")))
}

fn divide(function: Function, a: &Bson, b: &Bson) -> Result<Bson> {
    let (x, y) = (number(a)?, number(b)?);
    if y == 0.0 {
        return Err(Error::bad_request("cannot divide by zero"));
    }
    if function == Function::Divide {
        return Ok(Bson::Double(x / y));
    }
    match (a, b) {
        (Bson::Int32(a), Bson::Int32(b)) => Ok(Bson::Int32(a.wrapping_rem(*b))),
        (Bson::Double(_), _) | (_, Bson::Double(_)) => Ok(Bson::Double(x % y)),
        (a, b) => Ok(Bson::Int64(whole(a)?.wrapping_rem(whole(b)?))),
    }
}

fn round(function: Function, value: &Bson) -> Result<Bson> {
    Ok(match (function, value) {
        (Function::Abs, Bson::Int32(value)) if *value != i32::MIN => Bson::Int32(value.abs()),
        (Function::Abs, Bson::Int32(value)) => Bson::Int64(i64::from(*value).abs()),
        (Function::Abs, Bson::Int64(value)) => Bson::Int64(value.saturating_abs()),
        (_, Bson::Int32(_) | Bson::Int64(_)) => value.clone(),
        (Function::Abs, value) => Bson::Double(number(value)?.abs()),
        (Function::Floor, value) => Bson::Double(number(value)?.floor()),
        (_, value) => Bson::Double(number(value)?.ceil()),
    })
}

fn array(value: &Bson) -> Result<&[Bson]> {
    match value {
        Bson::Array(items) => Ok(items),
        other => Err(Error::bad_request(format!("an array is due, not {other}"))),
    }
}

fn slice(values: &[&Bson]) -> Result<Bson> {
    let items = array(values[0])?;
    let first = whole(values[1])?;
    let from_start = |position: i64| {
        let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        if position < 0 { items.len().saturating_sub(distance) } else { distance.min(items.len()) }
    };
    let (start, end) = match values.get(2) {
        None if first < 0 => (from_start(first), items.len()),
        None => (0, from_start(first)),
        Some(amount) => {
            let amount = whole(amount)?;
            if amount <= 0 {
                return Err(Error::bad_request("the third argument is a number from 1"));
            }
            let start = from_start(first);
            (start, start.saturating_add(usize::try_from(amount).unwrap_or(usize::MAX)).min(items.len()))
        }
    };
    Ok(Bson::Array(items[start..end].to_vec()))
}

fn text_of(value: Option<&Bson>) -> Result<String> {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(String::new()),
        Some(Bson::String(text) | Bson::Symbol(text)) => Ok(text.clone()),
        Some(Bson::ObjectId(id)) => Ok(id.to_hex()),
        Some(Bson::DateTime(at)) => Ok(forge_core::DateTime::from(*at).to_string()),
        Some(Bson::Boolean(value)) => Ok(value.to_string()),
        Some(Bson::Int32(value)) => Ok(value.to_string()),
        Some(Bson::Int64(value)) => Ok(value.to_string()),
        Some(Bson::Double(value)) => Ok(value.to_string()),
        Some(Bson::Decimal128(value)) => Ok(value.to_string()),
        Some(other) => Err(Error::bad_request(format!("{other} has no text form"))),
    }
}

fn merge(values: &[Option<Bson>]) -> Result<Option<Bson>> {
    let mut out = Document::new();
    for value in values.iter().flatten() {
        match value {
            Bson::Document(document) => out.extend(document.clone()),
            Bson::Null | Bson::Undefined => {}
            other => return Err(Error::bad_request(format!("only documents are merged, not {other}"))),
        }
    }
    Ok(Some(Bson::Document(out)))
}

fn type_name(value: Option<&Bson>) -> &'static str {
    match value {
        None => "missing",
        Some(value) => match value {
            Bson::Double(_) => "double",
            Bson::String(_) => "string",
            Bson::Array(_) => "array",
            Bson::Document(_) => "object",
            Bson::Boolean(_) => "bool",
            Bson::Null => "null",
            Bson::RegularExpression(_) => "regex",
            Bson::Int32(_) => "int",
            Bson::Int64(_) => "long",
            Bson::Timestamp(_) => "timestamp",
            Bson::Binary(_) => "binData",
            Bson::ObjectId(_) => "objectId",
            Bson::DateTime(_) => "date",
            Bson::Symbol(_) => "symbol",
            Bson::Decimal128(_) => "decimal",
            Bson::Undefined => "undefined",
            Bson::MaxKey => "maxKey",
            Bson::MinKey => "minKey",
            Bson::JavaScriptCode(_) => "javascript",
            Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
            Bson::DbPointer(_) => "dbPointer",
        },
    }
}
