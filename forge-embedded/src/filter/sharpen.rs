//! Conditions that indexes can serve, made of expressions that they cannot.

use bson::{Bson, Document};
use forge_core::ir::{Filter, Predicate};

/// `filter`, with plain conditions beside the expressions that imply them: where `$expr` compares a field with a
/// variable for equality, the field is equal to the variable's value, or one of its elements is.
pub(crate) fn sharpened(filter: Filter, variables: &[(String, Bson)]) -> Filter {
    let mut implied = Filter::All;
    for condition in super::conjuncts(&filter) {
        if let Filter::Expr(Bson::Document(expression)) = condition {
            imply(expression, variables, &mut implied);
        }
    }
    filter.and(implied)
}

fn imply(expression: &Document, variables: &[(String, Bson)], implied: &mut Filter) {
    let Some((operator, Bson::Array(operands))) = expression.iter().next() else { return };
    match (operator.as_str(), operands.as_slice()) {
        ("$and", operands) => {
            operands
                .iter()
                .filter_map(Bson::as_document)
                .for_each(|operand| imply(operand, variables, implied));
        }
        ("$eq", [a, b]) => {
            let condition = equality(a, b, variables).or_else(|| equality(b, a, variables));
            implied.narrow(condition.unwrap_or(Filter::All));
        }
        ("$in", [field, list]) => {
            if let (Some(path), Some(Bson::Array(list))) = (path(field), value(list, variables))
                && list.iter().all(is_plain)
            {
                implied.narrow(Filter::Field(path.to_owned().into(), Predicate::In(list.clone())));
            }
        }
        _ => {}
    }
}

fn equality(field: &Bson, operand: &Bson, variables: &[(String, Bson)]) -> Option<Filter> {
    let value = value(operand, variables).filter(|value| is_plain(value))?;
    Some(Filter::eq(path(field)?.to_owned(), value.clone()))
}

fn path(value: &Bson) -> Option<&str> {
    let path = value.as_str()?.strip_prefix('$')?;
    (!path.is_empty() && !path.starts_with('$')).then_some(path)
}

fn value<'v>(operand: &'v Bson, variables: &'v [(String, Bson)]) -> Option<&'v Bson> {
    match operand {
        Bson::String(text) => match text.strip_prefix("$$") {
            Some(name) => variables.iter().find(|(own, _)| own == name).map(|(_, value)| value),
            None if text.starts_with('$') => None,
            None => Some(operand),
        },
        Bson::Document(_) => None,
        constant => Some(constant),
    }
}

/// Whether equality of the value in filters covers its equality in expressions.
fn is_plain(value: &Bson) -> bool {
    !matches!(value, Bson::Null | Bson::Undefined | Bson::Array(_) | Bson::RegularExpression(_))
}
