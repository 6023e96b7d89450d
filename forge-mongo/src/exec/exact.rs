//! Conditions that compare texts by their bytes also in commands under a collation: what somebody may see is not more because
//! a query takes some texts for equal.

use bson::{Bson, Document, doc};
use forge_core::ir::{Filter, Path, Predicate, ReadOptions};
use forge_core::matcher::escape_pattern;
use forge_core::{Error, Result};

/// How many texts stand in one pattern.
const TEXTS: usize = 500;

/// Whether texts compare otherwise than by their bytes.
pub(super) fn is_collated(options: &ReadOptions) -> bool {
    options.collation.as_ref().is_some_and(|collation| collation.locale != "simple")
}

/// Whether a collation makes a difference to `value`.
pub(super) fn has_text(value: &Bson) -> bool {
    match value {
        Bson::String(_) | Bson::Symbol(_) => true,
        Bson::Document(document) => document.values().any(has_text),
        Bson::Array(list) => list.iter().any(has_text),
        _ => false,
    }
}

/// The condition that the value at `path` is `value`, by its bytes under any collation. Patterns look at texts as they are.
pub(super) fn equal(path: &str, value: &Bson) -> Document {
    match value {
        Bson::String(text) => doc! { path: text, "$and": [{ path: { "$regex": pattern([text.as_str()]) } }] },
        value => doc! { path: value },
    }
}

/// The condition that means under any collation what `filter` means without one.
///
/// # Errors
/// `unsupported` where it compares texts by more than equality.
pub(super) fn exactly(filter: Filter) -> Result<Filter> {
    Ok(match filter {
        Filter::And(list) => {
            list.into_iter().try_fold(Filter::All, |all, part| Ok::<_, Error>(all.and(exactly(part)?)))?
        }
        Filter::Or(list) => {
            list.into_iter().try_fold(Filter::Nothing, |any, part| Ok::<_, Error>(any.or(exactly(part)?)))?
        }
        Filter::Not(inner) => exactly(*inner)?.negate(),
        Filter::Field(path, predicate) => field(path, predicate)?,
        Filter::Compare(..) | Filter::Expr(_) | Filter::Schema(_) => return Err(refused()),
        other @ (Filter::All | Filter::Nothing | Filter::Text(_) | Filter::Relation(_)) => other,
        _ => return Err(refused()),
    })
}

fn field(path: Path, predicate: Predicate) -> Result<Filter> {
    Ok(match predicate {
        Predicate::Eq(value) if has_text(&value) => one_of(path, vec![value])?,
        Predicate::Ne(value) if has_text(&value) => one_of(path, vec![value])?.negate(),
        Predicate::In(values) if values.iter().any(has_text) => one_of(path, values)?,
        Predicate::NotIn(values) if values.iter().any(has_text) => one_of(path, values)?.negate(),
        Predicate::HasEvery(values) if values.iter().any(has_text) => {
            let each = values.into_iter().map(|value| field(path.clone(), Predicate::Eq(value)));
            each.collect::<Result<Vec<_>>>()?.into_iter().fold(Filter::All, Filter::and)
        }
        Predicate::Element(inner) => Filter::Field(path, Predicate::Element(Box::new(exactly(*inner)?))),
        Predicate::Gt(bound) | Predicate::Gte(bound) | Predicate::Lt(bound) | Predicate::Lte(bound)
            if has_text(&bound) =>
        {
            return Err(refused());
        }
        other => Filter::Field(path, other),
    })
}

/// The condition on one of some values, by the bytes of those that are texts. An index finds the candidates.
fn one_of(path: Path, values: Vec<Bson>) -> Result<Filter> {
    let mut texts = Vec::new();
    let mut rest = Vec::new();
    for value in &values {
        match value {
            Bson::String(text) => texts.push(text.as_str()),
            other if has_text(other) => return Err(refused()),
            other => rest.push(other.clone()),
        }
    }
    let patterns = texts.chunks(TEXTS).map(|texts| {
        let (pattern, options) = (pattern(texts.iter().copied()), String::new());
        Filter::Field(path.clone(), Predicate::Regex { pattern, options })
    });
    let mut any = patterns.fold(Filter::Nothing, Filter::or);
    if !rest.is_empty() {
        any = any.or(Filter::Field(path.clone(), Predicate::In(rest)));
    }
    let candidates = match <[Bson; 1]>::try_from(values) {
        Ok([value]) => Predicate::Eq(value),
        Err(values) => Predicate::In(values),
    };
    Ok(Filter::Field(path, candidates).and(any))
}

/// The pattern of whole texts.
fn pattern<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: Vec<_> = texts.into_iter().map(escape_pattern).collect();
    format!("^(?:{})$", texts.join("|"))
}

fn refused() -> Error {
    Error::unsupported(
        "a policy that compares texts by more than equality cannot be kept to under a collation, which would compare them \
         otherwise: leave the collation out, or use db.without_policies()",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use forge_core::ErrorCode;

    fn regex(text: &str) -> Filter {
        Filter::Field("a".into(), Predicate::Regex { pattern: text.into(), options: String::new() })
    }

    #[test]
    fn texts_are_held_to_their_letters() {
        let eq = Filter::eq("a", "x.y");
        assert_eq!(exactly(eq.clone()).unwrap(), eq.clone().and(regex(r"^(?:x\.y)$")));
        let ne = Filter::Field("a".into(), Predicate::Ne("x.y".into()));
        assert_eq!(exactly(ne).unwrap(), exactly(eq).unwrap().negate());
        let values = vec![Bson::from("x"), Bson::from(1), Bson::from("y")];
        let within = Filter::Field("a".into(), Predicate::In(values));
        let rest = Filter::Field("a".into(), Predicate::In(vec![1.into()]));
        assert_eq!(exactly(within.clone()).unwrap(), within.and(regex("^(?:x|y)$").or(rest)));
        let number = Filter::eq("a", 1).or(Filter::Field("b".into(), Predicate::Gt(5.into())));
        assert_eq!(exactly(number.clone()).unwrap(), number);
    }

    #[test]
    fn what_cannot_be_held_to_its_letters_is_refused() {
        let refused = [
            Filter::Field("a".into(), Predicate::Gt("x".into())),
            Filter::eq("a", doc! { "b": "x" }),
            Filter::Not(Box::new(Filter::Expr(doc! { "$eq": ["$a", "x"] }.into()))),
        ];
        for filter in refused {
            assert_eq!(exactly(filter.clone()).unwrap_err().code(), ErrorCode::Unsupported, "{filter:?}");
        }
    }
}
