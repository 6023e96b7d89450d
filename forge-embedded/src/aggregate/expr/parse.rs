//! Reading expressions.

use bson::Bson;
use forge_core::{Error, Result};

use super::{
    Expr, Named, Operator, arithmetic, arrays, compare, convert, dates, forms, objects, sets, strings,
};
use crate::text;

/// How deep expressions may nest.
const MAX_DEPTH: usize = 100;

static TABLES: [&[Operator]; 9] = [
    &arithmetic::OPERATORS,
    &compare::OPERATORS,
    &arrays::OPERATORS,
    &strings::OPERATORS,
    &convert::OPERATORS,
    &objects::OPERATORS,
    &sets::OPERATORS,
    &dates::OPERATORS,
    &arithmetic::FUNCTIONS,
];

static NAMED: [&[Named]; 3] = [&strings::NAMED, &arrays::NAMED, &dates::NAMED];

pub(super) fn parse(value: &Bson, depth: usize) -> Result<Expr> {
    if depth > MAX_DEPTH {
        return Err(Error::bad_request(format!("an expression nests deeper than {MAX_DEPTH} levels")));
    }
    match value {
        Bson::String(text) => path_or_text(text),
        Bson::Array(items) => Ok(Expr::Array(list(items, depth)?)),
        Bson::Document(document) => match document.iter().next() {
            Some((operator, operand)) if operator.starts_with('$') => {
                if document.len() > 1 {
                    return Err(Error::bad_request(format!(
                        "`{operator}` stands alone in an expression: {value}"
                    )));
                }
                call(operator, operand, depth)
            }
            _ => {
                let fields = document.iter().map(|(name, value)| {
                    if name.starts_with('$') || name.contains('.') {
                        return Err(Error::bad_request(format!("`{name}` is no name of a field")));
                    }
                    Ok((name.clone(), parse(value, depth + 1)?))
                });
                Ok(Expr::Document(fields.collect::<Result<_>>()?))
            }
        },
        value => Ok(Expr::Value(value.clone())),
    }
}

fn list(items: &[Bson], depth: usize) -> Result<Vec<Expr>> {
    items.iter().map(|item| parse(item, depth + 1)).collect()
}

/// System variables that no engine in one process has.
const FOREIGN: [&str; 3] = ["CLUSTER_TIME", "USER_ROLES", "SEARCH_META"];

fn path_or_text(text: &str) -> Result<Expr> {
    let Some(path) = text.strip_prefix('$') else { return Ok(Expr::Value(Bson::String(text.to_owned()))) };
    let (variable, path) = match path.strip_prefix('$') {
        None => (None, path),
        Some(path) => {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            if FOREIGN.contains(&name) {
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

fn call(operator: &str, operand: &Bson, depth: usize) -> Result<Expr> {
    if operator == "$meta" && text::is_score(&bson::bson!({ "$meta": operand.clone() })) {
        return Ok(Expr::Path { variable: None, path: vec![text::SCORE.to_owned()] });
    }
    if matches!(operator, "$literal" | "$const") {
        return Ok(Expr::Value(operand.clone()));
    }
    if let Some(form) = forms::parse_form(operator, operand, depth)? {
        return Ok(Expr::Form(Box::new(form)));
    }
    if let Some(named) = NAMED.iter().copied().flatten().find(|named| named.name == operator) {
        return arguments_by_name(named, operand, depth);
    }
    if let Some(parts) = dates::part(operator) {
        return arguments_by_name(parts, &dates::part_operand(operand), depth);
    }
    let Some(found) = TABLES.iter().copied().flatten().find(|found| found.name == operator) else {
        return Err(Error::unsupported(format!(
            "the embedded engine has no expression operator `{operator}`"
        )));
    };
    let arguments = match operand {
        Bson::Array(items) => list(items, depth)?,
        single => vec![parse(single, depth + 1)?],
    };
    if arguments.len() < found.least || arguments.len() > found.most {
        return Err(Error::bad_request(format!("`{operator}` does not take {} arguments", arguments.len())));
    }
    Ok(Expr::Call(found, arguments))
}

fn arguments_by_name(named: &'static Named, operand: &Bson, depth: usize) -> Result<Expr> {
    let name = named.name;
    let form = operand
        .as_document()
        .ok_or_else(|| Error::bad_request(format!("`{name}` takes a document, not {operand}")))?;
    let plain = |parameter: &&'static str| parameter.trim_end_matches('?');
    if let Some(key) =
        form.keys().find(|key| !named.parameters.iter().any(|parameter| plain(parameter) == *key))
    {
        return Err(Error::bad_request(format!("`{name}` has no argument `{key}`")));
    }
    let argument = |parameter: &&'static str| match form.get(plain(parameter)) {
        Some(value) => parse(value, depth + 1).map(Some),
        None if parameter.ends_with('?') => Ok(None),
        None => Err(Error::bad_request(format!("`{name}` lacks `{parameter}`"))),
    };
    Ok(Expr::Named(named, named.parameters.iter().map(argument).collect::<Result<_>>()?))
}
