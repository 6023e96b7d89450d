//! Operators that choose, loop or bind variables: they evaluate no more of their arguments than they need.

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::parse::parse;
use super::{Expr, Scope, Value, convert, is_nothing, objects, truthy, whole};

/// An operator with rules of its own.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    Cond([Expr; 3]),
    IfNull(Vec<Expr>),
    /// All are true; `any`: one of them is.
    Truth {
        any: bool,
        list: Vec<Expr>,
    },
    Switch {
        branches: Vec<(Expr, Expr)>,
        default: Option<Expr>,
    },
    Let {
        variables: Vec<(String, Expr)>,
        inside: Expr,
    },
    Filter {
        input: Expr,
        name: String,
        condition: Expr,
        limit: Option<Expr>,
    },
    Map {
        input: Expr,
        name: String,
        each: Expr,
    },
    Reduce {
        input: Expr,
        start: Expr,
        each: Expr,
    },
    Zip {
        inputs: Vec<Expr>,
        longest: bool,
        defaults: Option<Expr>,
    },
    Convert {
        input: Expr,
        to: Expr,
        on_error: Option<Expr>,
        on_null: Option<Expr>,
    },
    GetField {
        field: Expr,
        input: Expr,
    },
    SetField {
        field: Expr,
        input: Expr,
        value: Option<Expr>,
    },
    Rand,
}

/// Reads a form; none where the operator is no form.
pub(super) fn parse_form(operator: &str, operand: &Bson, depth: usize) -> Result<Option<Form>> {
    let parts = Parts { operator, operand, depth };
    Ok(Some(match operator {
        "$cond" => match operand {
            Bson::Array(_) => {
                let wrong = |_| Error::bad_request("`$cond` takes three arguments");
                Form::Cond(parts.list()?.try_into().map_err(wrong)?)
            }
            _ => Form::Cond([parts.need("if")?, parts.need("then")?, parts.need("else")?]),
        },
        "$ifNull" => match parts.list()? {
            list if list.len() < 2 => {
                return Err(Error::bad_request("`$ifNull` takes at least two arguments"));
            }
            list => Form::IfNull(list),
        },
        "$and" => Form::Truth { any: false, list: parts.list()? },
        "$or" => Form::Truth { any: true, list: parts.list()? },
        "$switch" => {
            let branches =
                parts.document()?.get_array("branches").ok().filter(|branches| !branches.is_empty());
            let branches =
                branches.ok_or_else(|| Error::bad_request("`$switch` needs a list of `branches`"))?;
            let branch = |branch: &Bson| {
                let parts = Parts { operator, operand: branch, depth: depth + 1 };
                Ok((parts.need("case")?, parts.need("then")?))
            };
            Form::Switch {
                branches: branches.iter().map(branch).collect::<Result<_>>()?,
                default: parts.may("default")?,
            }
        }
        "$let" => {
            let wrong = || Error::bad_request("`$let` needs a document of `vars`");
            let variables = parts.document()?.get_document("vars").map_err(|_| wrong())?;
            let variable = |(name, value): (&String, &Bson)| {
                Ok((checked_name(name)?.to_owned(), parse(value, depth + 1)?))
            };
            let variables = variables.iter().map(variable).collect::<Result<_>>()?;
            Form::Let { variables, inside: parts.need("in")? }
        }
        "$filter" => Form::Filter {
            input: parts.need("input")?,
            name: parts.name()?,
            condition: parts.need("cond")?,
            limit: parts.may("limit")?,
        },
        "$map" => Form::Map { input: parts.need("input")?, name: parts.name()?, each: parts.need("in")? },
        "$reduce" => Form::Reduce {
            input: parts.need("input")?,
            start: parts.need("initialValue")?,
            each: parts.need("in")?,
        },
        "$zip" => match parts.need("inputs")? {
            Expr::Array(inputs) if !inputs.is_empty() => Form::Zip {
                inputs,
                longest: parts.document()?.get_bool("useLongestLength").unwrap_or(false),
                defaults: parts.may("defaults")?,
            },
            _ => return Err(Error::bad_request("`$zip` needs a list of `inputs`")),
        },
        "$convert" => Form::Convert {
            input: parts.need("input")?,
            to: parts.need("to")?,
            on_error: parts.may("onError")?,
            on_null: parts.may("onNull")?,
        },
        "$getField" => match operand {
            Bson::Document(form) if form.contains_key("field") => Form::GetField {
                field: parts.need("field")?,
                input: parts.may("input")?.unwrap_or_else(root),
            },
            _ => Form::GetField { field: parse(operand, depth + 1)?, input: root() },
        },
        "$setField" => Form::SetField {
            field: parts.need("field")?,
            input: parts.need("input")?,
            value: Some(parts.need("value")?),
        },
        "$unsetField" => {
            Form::SetField { field: parts.need("field")?, input: parts.need("input")?, value: None }
        }
        "$rand" => match operand {
            Bson::Document(none) if none.is_empty() => Form::Rand,
            Bson::Array(none) if none.is_empty() => Form::Rand,
            other => return Err(Error::bad_request(format!("`$rand` takes {{}}, not {other}"))),
        },
        _ => return Ok(None),
    }))
}

fn root() -> Expr {
    Expr::Path { variable: Some("ROOT".to_owned()), path: Vec::new() }
}

/// Names of variables begin with a small letter; the others belong to the system.
pub(in crate::aggregate) fn checked_name(name: &str) -> Result<&str> {
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase() || !c.is_ascii())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
    if fits {
        return Ok(name);
    }
    Err(Error::bad_request(format!("the name of a variable begins with a small letter, unlike `{name}`")))
}

/// The arguments of a form.
struct Parts<'p> {
    operator: &'p str,
    operand: &'p Bson,
    depth: usize,
}

impl Parts<'_> {
    fn document(&self) -> Result<&Document> {
        let wrong =
            || Error::bad_request(format!("`{}` takes a document, not {}", self.operator, self.operand));
        self.operand.as_document().ok_or_else(wrong)
    }

    fn list(&self) -> Result<Vec<Expr>> {
        match self.operand {
            Bson::Array(items) => items.iter().map(|item| parse(item, self.depth + 1)).collect(),
            single => Ok(vec![parse(single, self.depth + 1)?]),
        }
    }

    fn may(&self, name: &str) -> Result<Option<Expr>> {
        self.document()?.get(name).map(|part| parse(part, self.depth + 1)).transpose()
    }

    fn need(&self, name: &str) -> Result<Expr> {
        self.may(name)?.ok_or_else(|| Error::bad_request(format!("`{}` lacks `{name}`", self.operator)))
    }

    fn name(&self) -> Result<String> {
        match self.document()?.get("as") {
            None => Ok("this".to_owned()),
            Some(Bson::String(name)) => Ok(checked_name(name)?.to_owned()),
            Some(other) => Err(Error::bad_request(format!("`as` is a name, not {other}"))),
        }
    }
}

impl Form {
    pub(super) fn eval(&self, scope: &Scope<'_>) -> Result<Value> {
        match self {
            Form::Rand => scope.dice.roll().map(|number| Some(Bson::Double(number))),
            Form::Cond([test, then, otherwise]) => {
                if truthy(test.eval(scope)?.as_ref()) {
                    then.eval(scope)
                } else {
                    otherwise.eval(scope)
                }
            }
            Form::IfNull(list) => {
                let mut value = None;
                for expr in list {
                    value = expr.eval(scope)?;
                    if !is_nothing(&value) {
                        break;
                    }
                }
                Ok(value)
            }
            Form::Truth { any, list } => {
                for expr in list {
                    if truthy(expr.eval(scope)?.as_ref()) == *any {
                        return Ok(Some((*any).into()));
                    }
                }
                Ok(Some((!any).into()))
            }
            Form::Switch { branches, default } => {
                for (case, then) in branches {
                    if truthy(case.eval(scope)?.as_ref()) {
                        return then.eval(scope);
                    }
                }
                let default = default.as_ref().ok_or_else(|| {
                    Error::bad_request(
                        "no branch of `$switch` is true for a document, and it has no `default`",
                    )
                })?;
                default.eval(scope)
            }
            Form::Let { variables, inside } => {
                let bind = |(name, expr): &(String, Expr)| {
                    Ok((name.clone(), expr.eval(scope)?.unwrap_or(Bson::Undefined)))
                };
                let variables = variables.iter().map(bind).collect::<Result<Vec<_>>>()?;
                inside.eval(&scope.with(&variables))
            }
            Form::Filter { input, name, condition, limit } => {
                filter(scope, input, name, condition, limit.as_ref())
            }
            Form::Map { input, name, each } => {
                let Some(items) = items(input, scope, "$map")? else { return Ok(Some(Bson::Null)) };
                let mut out = Vec::with_capacity(items.len());
                let mut bound = [(name.clone(), Bson::Null)];
                for item in items {
                    bound[0].1 = item;
                    out.push(each.value(&scope.with(&bound))?);
                }
                Ok(Some(Bson::Array(out)))
            }
            Form::Reduce { input, start, each } => {
                let Some(items) = items(input, scope, "$reduce")? else { return Ok(Some(Bson::Null)) };
                let mut bound = [("value".to_owned(), start.value(scope)?), ("this".to_owned(), Bson::Null)];
                for item in items {
                    bound[1].1 = item;
                    bound[0].1 = each.value(&scope.with(&bound))?;
                }
                let [(_, value), _] = bound;
                Ok(Some(value))
            }
            Form::Zip { inputs, longest, defaults } => zip(scope, inputs, *longest, defaults.as_ref()),
            Form::Convert { input, to, on_error, on_null } => {
                let value = input.eval(scope)?;
                let Some(value) = value.filter(|value| !matches!(value, Bson::Null | Bson::Undefined)) else {
                    return on_null.as_ref().map_or(Ok(Some(Bson::Null)), |expr| expr.eval(scope));
                };
                let to = to.value(scope)?;
                let target = match &to {
                    Bson::Document(form) => convert::target(form.get("type").unwrap_or(&Bson::Null))?,
                    to => convert::target(to)?,
                };
                match (convert::convert(&value, target), on_error) {
                    (Err(_), Some(expr)) => expr.eval(scope),
                    (outcome, _) => outcome.map(Some).map_err(|error| error.context("`$convert`")),
                }
            }
            Form::GetField { field, input } => {
                objects::field_of(&input.eval(scope)?, &field_name(field, scope)?)
            }
            Form::SetField { field, input, value } => {
                let value = value.as_ref().map_or(Ok(None), |value| value.eval(scope))?;
                objects::with_field(&input.eval(scope)?, &field_name(field, scope)?, value)
            }
        }
    }
}

fn field_name(field: &Expr, scope: &Scope<'_>) -> Result<String> {
    match field.value(scope)? {
        Bson::String(name) => Ok(name),
        other => Err(Error::bad_request(format!("the name of a field is a string, not {other}"))),
    }
}

fn items(input: &Expr, scope: &Scope<'_>, operator: &str) -> Result<Option<Vec<Bson>>> {
    match input.eval(scope)? {
        Some(Bson::Array(items)) => Ok(Some(items)),
        None | Some(Bson::Null | Bson::Undefined) => Ok(None),
        Some(other) => Err(Error::bad_request(format!("`{operator}` takes an array, not {other}"))),
    }
}

fn filter(
    scope: &Scope<'_>,
    input: &Expr,
    name: &str,
    condition: &Expr,
    limit: Option<&Expr>,
) -> Result<Value> {
    let Some(items) = items(input, scope, "$filter")? else { return Ok(Some(Bson::Null)) };
    let limit = match limit.map(|limit| limit.value(scope)).transpose()? {
        None | Some(Bson::Null) => usize::MAX,
        Some(limit) => usize::try_from(whole(&limit)?)
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| Error::bad_request("the `limit` of `$filter` is a number from 1"))?,
    };
    let mut kept = Vec::new();
    let mut bound = [(name.to_owned(), Bson::Null)];
    for item in items {
        if kept.len() >= limit {
            break;
        }
        bound[0].1 = item;
        if truthy(condition.eval(&scope.with(&bound))?.as_ref()) {
            kept.push(std::mem::replace(&mut bound[0].1, Bson::Null));
        }
    }
    Ok(Some(Bson::Array(kept)))
}

fn zip(scope: &Scope<'_>, inputs: &[Expr], longest: bool, defaults: Option<&Expr>) -> Result<Value> {
    let mut lists = Vec::with_capacity(inputs.len());
    for input in inputs {
        match items(input, scope, "$zip")? {
            Some(list) => lists.push(list),
            None => return Ok(Some(Bson::Null)),
        }
    }
    let defaults = match defaults.map(|defaults| defaults.value(scope)).transpose()? {
        None => Vec::new(),
        Some(Bson::Array(defaults)) if longest && defaults.len() == lists.len() => defaults,
        Some(_) => {
            return Err(Error::bad_request(
                "the `defaults` of `$zip` are one value for each input, beside `useLongestLength: true`",
            ));
        }
    };
    let lengths = lists.iter().map(Vec::len);
    let length = if longest { lengths.max() } else { lengths.min() }.unwrap_or(0);
    let row = |at: usize| {
        let value = |(position, list): (usize, &Vec<Bson>)| {
            list.get(at).or_else(|| defaults.get(position)).cloned().unwrap_or(Bson::Null)
        };
        Bson::Array(lists.iter().enumerate().map(value).collect())
    };
    Ok(Some(Bson::Array((0..length).map(row).collect())))
}
