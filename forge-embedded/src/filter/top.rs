//! Conditions that name no path: `$text` and `$expr`.

use bson::{Bson, Document};
use forge_core::ir::{Comparison, Filter, Path, TextQuery};
use forge_core::{Error, Result};

/// Reads the operand of `$text`.
pub(super) fn text(value: &Bson) -> Result<Filter> {
    let wrong = || Error::bad_request(format!("`$text` takes {{$search: \"words\", …}}, not {value}"));
    let form = value.as_document().ok_or_else(wrong)?;
    let mut text =
        TextQuery { query: form.get_str("$search").map_err(|_| wrong())?.to_owned(), ..Default::default() };
    for (option, value) in form {
        match (option.as_str(), value) {
            ("$search", _) => {}
            ("$language", Bson::String(language)) => text.language = Some(language.clone()),
            ("$caseSensitive", Bson::Boolean(on)) => text.case_sensitive = *on,
            ("$diacriticSensitive", Bson::Boolean(on)) => text.diacritic_sensitive = *on,
            _ => return Err(wrong()),
        }
    }
    Ok(Filter::Text(text))
}

/// Reads the operand of `$expr`: a comparison of two fields where absent counts as null has a form of its own.
pub(super) fn expression(value: &Bson) -> Filter {
    comparison(value).unwrap_or_else(|| Filter::Expr(value.clone()))
}

fn comparison(value: &Bson) -> Option<Filter> {
    let form = single(value.as_document()?)?;
    let comparison = match form.0 {
        "$eq" => Comparison::Eq,
        "$ne" => Comparison::Ne,
        "$gt" => Comparison::Gt,
        "$gte" => Comparison::Gte,
        "$lt" => Comparison::Lt,
        "$lte" => Comparison::Lte,
        _ => return None,
    };
    let [left, right] = form.1.as_array()?.as_slice() else { return None };
    Some(Filter::Compare(operand(left)?, comparison, operand(right)?))
}

fn operand(value: &Bson) -> Option<Path> {
    let (name, arguments) = single(value.as_document()?)?;
    let [Bson::String(path), Bson::Null] = arguments.as_array()?.as_slice() else { return None };
    let path = path.strip_prefix('$').filter(|path| !path.is_empty() && !path.starts_with('$'))?;
    (name == "$ifNull").then(|| path.to_owned().into())
}

fn single(document: &Document) -> Option<(&str, &Bson)> {
    let (name, value) = document.iter().next()?;
    (document.len() == 1).then_some((name.as_str(), value))
}
