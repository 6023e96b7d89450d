//! Aggregation expressions.

mod function;
mod parse;

use std::cmp::Ordering;

use bson::{Bson, Document};
use forge_core::{Error, Result};

use crate::index::integer;
use crate::keys;
use function::Function;
pub(crate) use function::widening;

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
        parse::parse(value, 0)
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
