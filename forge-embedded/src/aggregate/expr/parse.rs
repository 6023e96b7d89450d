//! Reading expressions.

use bson::Bson;
use forge_core::{Error, Result};

use super::Expr;
use super::function::{Function, Test};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 100;

pub(super) fn parse(value: &Bson, depth: usize) -> Result<Expr> {
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
