//! Aggregation expressions.
//!
//! [`parse`] turns the data form into an [`Expr`] once; [`Expr::eval`] computes it for each document. Operators that
//! evaluate all of their arguments are rows of tables ([`Operator`], [`Named`]); those that choose, loop or bind
//! variables are forms ([`forms`]).

mod arithmetic;
mod arrays;
mod compare;
mod convert;
mod dates;
mod forms;
mod objects;
mod parse;
mod root;
mod sets;
mod strings;
mod zones;

use std::cmp::Ordering;

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::dice::Dice;
use crate::collation::{self, Strings};
use crate::keys;
pub(crate) use arithmetic::widening;
use forms::Form;

pub(super) use arrays::{percentile_of, percentiles};
pub(super) use forms::checked_name;
pub(super) use root::Root;
pub(super) use zones::{TimeUnit, shift_utc};

/// What an expression evaluates to: none where the value is missing.
pub(super) type Value = Option<Bson>;

/// An expression, read once and evaluated for many documents.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    /// A constant.
    Value(Bson),
    /// A path into a variable; without one, into the document.
    Path {
        /// The variable.
        variable: Option<String>,
        /// The names that lead to the value.
        path: Vec<String>,
    },
    /// A document of expressions.
    Document(Vec<(String, Expr)>),
    /// A list of expressions.
    Array(Vec<Expr>),
    /// An operator on a list of arguments.
    Call(&'static Operator, Vec<Expr>),
    /// An operator on arguments that have names.
    Named(&'static Named, Vec<Option<Expr>>),
    /// An operator with rules of its own.
    Form(Box<Form>),
}

/// What an operator makes of null and missing arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// Null, without being asked.
    Null,
    /// It is asked.
    Asked,
}

/// An operator on a list of arguments, all of which are evaluated.
#[derive(Debug)]
pub(crate) struct Operator {
    name: &'static str,
    least: usize,
    most: usize,
    nulls: Nulls,
    apply: Apply,
}

/// An operator that does not compare values.
const fn operator(
    name: &'static str,
    (least, most): (usize, usize),
    nulls: Nulls,
    apply: fn(&[Value]) -> Result<Value>,
) -> Operator {
    Operator { name, least, most, nulls, apply: Apply::Alone(apply) }
}

/// An operator that compares values.
const fn comparing(
    name: &'static str,
    (least, most): (usize, usize),
    nulls: Nulls,
    apply: fn(&[Value], Strings<'_>) -> Result<Value>,
) -> Operator {
    Operator { name, least, most, nulls, apply: Apply::Comparing(apply) }
}

/// What an operator makes of its arguments.
#[derive(Debug, Clone, Copy)]
enum Apply {
    /// However strings compare.
    Alone(fn(&[Value]) -> Result<Value>),
    /// It compares values.
    Comparing(fn(&[Value], Strings<'_>) -> Result<Value>),
}

impl Apply {
    fn to(self, values: &[Value], strings: Strings<'_>) -> Result<Value> {
        match self {
            Self::Alone(apply) => apply(values),
            Self::Comparing(apply) => apply(values, strings),
        }
    }
}

/// An operator on arguments with names; those that end in `?` need not be given.
#[derive(Debug)]
pub(crate) struct Named {
    name: &'static str,
    parameters: &'static [&'static str],
    /// An argument that was not given is none; one that was given and is missing is null.
    apply: Apply,
}

/// Variables by their names.
pub(super) type Variables = [(String, Bson)];

/// The document and the variables that an expression sees.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    root: Root<'s>,
    variables: &'s Variables,
    outer: Option<&'s Scope<'s>>,
    dice: &'s Dice,
    /// How strings compare.
    strings: Strings<'s>,
}

impl<'s> Scope<'s> {
    /// A document beside variables.
    pub(super) fn new(
        root: Root<'s>,
        variables: &'s Variables,
        dice: &'s Dice,
        strings: Strings<'s>,
    ) -> Self {
        Self { root, variables, outer: None, dice, strings }
    }

    /// The document.
    pub(super) fn root(&self) -> Root<'s> {
        self.root
    }

    /// How strings compare.
    pub(super) fn strings(&self) -> Strings<'s> {
        self.strings
    }

    /// The same with more variables in front.
    fn with<'i>(&'i self, variables: &'i Variables) -> Scope<'i>
    where
        's: 'i,
    {
        Scope { root: self.root, variables, outer: Some(self), dice: self.dice, strings: self.strings }
    }

    fn lookup(&self, name: &str) -> Option<&'s Bson> {
        let own = self.variables.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        own.or_else(|| self.outer.and_then(|outer| outer.lookup(name)))
    }
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// `unsupported` names an operator that the engine lacks, `bad_request` says what an operator wants.
    pub(crate) fn parse(value: &Bson) -> Result<Self> {
        parse::parse(value, 0)
    }

    /// The value for a document; none where it is missing.
    pub(super) fn eval(&self, scope: &Scope<'_>) -> Result<Value> {
        match self {
            Expr::Value(value) => Ok(Some(value.clone())),
            Expr::Path { variable: None, path } => scope.root.at(path),
            Expr::Path { variable: Some(name), path } => variable(scope, name, path),
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
                let values = items.iter().map(|item| item.value(scope));
                Ok(Some(Bson::Array(values.collect::<Result<_>>()?)))
            }
            Expr::Call(operator, arguments) => {
                let values =
                    arguments.iter().map(|argument| argument.eval(scope)).collect::<Result<Vec<_>>>()?;
                if operator.nulls == Nulls::Null && values.iter().any(is_nothing) {
                    return Ok(Some(Bson::Null));
                }
                let outcome = operator.apply.to(&values, scope.strings);
                outcome.map_err(|error| error.context(format_args!("`{}`", operator.name)))
            }
            Expr::Named(operator, arguments) => {
                let value = |argument: &Option<Expr>| match argument {
                    Some(argument) => argument.value(scope).map(Some),
                    None => Ok(None),
                };
                let values = arguments.iter().map(value).collect::<Result<Vec<_>>>()?;
                let outcome = operator.apply.to(&values, scope.strings);
                outcome.map_err(|error| error.context(format_args!("`{}`", operator.name)))
            }
            Expr::Form(form) => form.eval(scope),
        }
    }

    /// The value, where a missing one is null.
    pub(super) fn value(&self, scope: &Scope<'_>) -> Result<Bson> {
        Ok(self.eval(scope)?.unwrap_or(Bson::Null))
    }

    /// The value of an expression that no document takes part in.
    pub(super) fn constant(&self) -> Option<Bson> {
        match self {
            Expr::Value(value) => Some(value.clone()),
            Expr::Array(items) => Some(Bson::Array(items.iter().map(Expr::constant).collect::<Option<_>>()?)),
            _ => None,
        }
    }
}

fn variable(scope: &Scope<'_>, name: &str, path: &[String]) -> Result<Value> {
    match (name, path) {
        ("REMOVE", _) => Ok(None),
        ("ROOT" | "CURRENT", []) => Ok(Some(Bson::Document(scope.root.whole()?))),
        ("ROOT" | "CURRENT", path) => scope.root.at(path),
        (name, path) => {
            let value = scope.lookup(name);
            let value =
                value.ok_or_else(|| Error::bad_request(format!("the variable `$${name}` is not defined")))?;
            // A variable that was bound to a missing value.
            Ok(if matches!(value, Bson::Undefined) { None } else { in_value(value, path) })
        }
    }
}

fn in_document(document: &Document, path: &[String]) -> Value {
    let (head, rest) = path.split_first()?;
    in_value(document.get(head)?, rest)
}

/// Paths lead through arrays into each of their documents.
fn in_value(value: &Bson, path: &[String]) -> Value {
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

fn in_element(item: &Bson, path: &[String]) -> Value {
    matches!(item, Bson::Document(_) | Bson::Array(_)).then(|| in_value(item, path)).flatten()
}

/// Whether a value counts as true: everything but false, 0, null and missing.
pub(super) fn truthy(value: Option<&Bson>) -> bool {
    match value {
        None | Some(Bson::Null | Bson::Undefined | Bson::Boolean(false)) => false,
        Some(value) => keys::with_raw(value, forge_core::order::as_f64) != Some(0.0),
    }
}

fn is_nothing(value: &Value) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

/// MongoDB's order of two values, where missing comes first.
pub(super) fn compare(a: Option<&Bson>, b: Option<&Bson>, strings: Strings<'_>) -> Ordering {
    let key = |value: Option<&Bson>| value.map(|value| collation::encoded(value, strings));
    key(a).cmp(&key(b))
}

/// The argument at a position; missing is null.
fn argument(values: &[Value], position: usize) -> &Bson {
    values.get(position).and_then(Option::as_ref).unwrap_or(&Bson::Null)
}

fn number(value: &Bson) -> Result<f64> {
    keys::with_raw(value, forge_core::order::as_f64)
        .ok_or_else(|| Error::bad_request(format!("a number is due, not {value}")))
}

fn whole(value: &Bson) -> Result<i64> {
    crate::index::integer(value)
        .ok_or_else(|| Error::bad_request(format!("a whole number is due, not {value}")))
}

fn array(value: &Bson) -> Result<&[Bson]> {
    match value {
        Bson::Array(items) => Ok(items),
        other => Err(Error::bad_request(format!("an array is due, not {other}"))),
    }
}

fn text(value: &Bson) -> Result<&str> {
    match value {
        Bson::String(text) | Bson::Symbol(text) => Ok(text),
        other => Err(Error::bad_request(format!("a string is due, not {other}"))),
    }
}

/// An Int32 where the number fits, else an Int64.
fn integer(value: i64) -> Bson {
    i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32)
}

fn length(value: usize) -> Bson {
    integer(i64::try_from(value).unwrap_or(i64::MAX))
}
