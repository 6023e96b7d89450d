//! Operators on strings.

use bson::{Bson, Document};
use forge_core::matcher::pattern;
use forge_core::{Error, Result};

use super::convert::text_of;
use super::{Apply, Named, Nulls, Operator, Value, argument, is_nothing, length, operator, text, whole};

fn string(text: impl Into<String>) -> Result<Value> {
    Ok(Some(Bson::String(text.into())))
}

// Servers change the case of ASCII letters alone.
pub(super) static OPERATORS: [Operator; 12] = [
    operator("$concat", (0, usize::MAX), Nulls::Null, |values| {
        string(values.iter().flatten().map(text).collect::<Result<String>>()?)
    }),
    operator("$toLower", (1, 1), Nulls::Asked, |values| {
        string(text_of(values[0].as_ref())?.to_ascii_lowercase())
    }),
    operator("$toUpper", (1, 1), Nulls::Asked, |values| {
        string(text_of(values[0].as_ref())?.to_ascii_uppercase())
    }),
    operator("$strcasecmp", (2, 2), Nulls::Asked, |values| {
        let [a, b] = [&values[0], &values[1]].map(|value| text_of(value.as_ref()));
        Ok(Some(Bson::Int32(a?.to_ascii_uppercase().cmp(&b?.to_ascii_uppercase()) as i32)))
    }),
    operator("$strLenBytes", (1, 1), Nulls::Asked, |values| {
        Ok(Some(length(text(argument(values, 0))?.len())))
    }),
    operator("$strLenCP", (1, 1), Nulls::Asked, |values| {
        Ok(Some(length(text(argument(values, 0))?.chars().count())))
    }),
    operator("$substr", (3, 3), Nulls::Asked, substring_of_bytes),
    operator("$substrBytes", (3, 3), Nulls::Asked, substring_of_bytes),
    operator("$substrCP", (3, 3), Nulls::Asked, |values| {
        let (start, count) = (from_zero(argument(values, 1))?, from_zero(argument(values, 2))?);
        string(text_of(values[0].as_ref())?.chars().skip(start).take(count).collect::<String>())
    }),
    operator("$split", (2, 2), Nulls::Null, |values| {
        let (whole, separator) = (text(argument(values, 0))?, text(argument(values, 1))?);
        if separator.is_empty() {
            return Err(Error::bad_request("the separator is not empty"));
        }
        Ok(Some(Bson::Array(whole.split(separator).map(Bson::from).collect())))
    }),
    operator("$indexOfBytes", (2, 4), Nulls::Asked, |values| position(values, false)),
    operator("$indexOfCP", (2, 4), Nulls::Asked, |values| position(values, true)),
];

pub(super) static NAMED: [Named; 8] = [
    Named {
        name: "$trim",
        parameters: &["input", "chars?"],
        apply: Apply::Alone(|values| trim(values, true, true)),
    },
    Named {
        name: "$ltrim",
        parameters: &["input", "chars?"],
        apply: Apply::Alone(|values| trim(values, true, false)),
    },
    Named {
        name: "$rtrim",
        parameters: &["input", "chars?"],
        apply: Apply::Alone(|values| trim(values, false, true)),
    },
    Named {
        name: "$replaceOne",
        parameters: &["input", "find", "replacement"],
        apply: Apply::Alone(|values| replace(values, 1)),
    },
    Named {
        name: "$replaceAll",
        parameters: &["input", "find", "replacement"],
        apply: Apply::Alone(|values| replace(values, usize::MAX)),
    },
    Named {
        name: "$regexMatch",
        parameters: &["input", "regex", "options?"],
        apply: Apply::Alone(|values| Ok(Some(Bson::Boolean(!matches(values, 1)?.is_empty())))),
    },
    Named {
        name: "$regexFind",
        parameters: &["input", "regex", "options?"],
        apply: Apply::Alone(|values| Ok(Some(matches(values, 1)?.into_iter().next().unwrap_or(Bson::Null)))),
    },
    Named {
        name: "$regexFindAll",
        parameters: &["input", "regex", "options?"],
        apply: Apply::Alone(|values| Ok(Some(Bson::Array(matches(values, usize::MAX)?)))),
    },
];

fn from_zero(value: &Bson) -> Result<usize> {
    usize::try_from(whole(value)?).map_err(|_| Error::bad_request(format!("{value} is below 0")))
}

fn substring_of_bytes(values: &[Value]) -> Result<Value> {
    let whole_text = text_of(values[0].as_ref())?;
    let start = whole(argument(values, 1))?;
    let Ok(start) = usize::try_from(start) else { return string("") };
    let count = usize::try_from(whole(argument(values, 2))?).unwrap_or(usize::MAX);
    let end = start.saturating_add(count).min(whole_text.len());
    if start >= end {
        return string("");
    }
    let part = whole_text.get(start..end);
    string(part.ok_or_else(|| Error::bad_request("the bytes begin or end inside of a character"))?)
}

fn position(values: &[Value], characters: bool) -> Result<Value> {
    if is_nothing(&values[0]) {
        return Ok(Some(Bson::Null));
    }
    let (whole_text, wanted) = (text(argument(values, 0))?, text(argument(values, 1))?);
    let bytes_at = |place: usize| {
        if characters {
            whole_text.char_indices().nth(place).map_or(whole_text.len(), |(at, _)| at)
        } else {
            place
        }
    };
    let bound = |at: usize, otherwise: usize| match values.get(at) {
        None => Ok(otherwise),
        Some(value) => from_zero(value.as_ref().unwrap_or(&Bson::Null)).map(bytes_at),
    };
    let (start, end) = (bound(2, 0)?, bound(3, whole_text.len())?.min(whole_text.len()));
    let found = whole_text.get(start..end).and_then(|part| part.find(wanted)).map(|at| start + at);
    let found = found.map(|at| if characters { whole_text[..at].chars().count() } else { at });
    Ok(Some(found.map_or(Bson::Int32(-1), length)))
}

fn trim(values: &[Value], left: bool, right: bool) -> Result<Value> {
    if values.iter().any(|value| matches!(value, Some(Bson::Null | Bson::Undefined))) {
        return Ok(Some(Bson::Null));
    }
    let whole_text = text(argument(values, 0))?;
    let chars: Option<Vec<char>> =
        values[1].as_ref().map(text).transpose()?.map(|chars| chars.chars().collect());
    let trims = |c: char| match &chars {
        Some(chars) => chars.contains(&c),
        None => c.is_whitespace() || c == '\0',
    };
    let whole_text = if left { whole_text.trim_start_matches(trims) } else { whole_text };
    string(if right { whole_text.trim_end_matches(trims) } else { whole_text })
}

fn replace(values: &[Value], count: usize) -> Result<Value> {
    if values.iter().any(is_nothing) {
        return Ok(Some(Bson::Null));
    }
    let [input, find, replacement] = [0, 1, 2].map(|position| text(argument(values, position)));
    string(input?.replacen(find?, replacement?, count))
}

/// The matches as documents of text, position in characters, and groups.
fn matches(values: &[Value], most: usize) -> Result<Vec<Bson>> {
    if is_nothing(&values[0]) || is_nothing(&values[1]) {
        return Ok(Vec::new());
    }
    let input = text(argument(values, 0))?;
    let (source, own) = match argument(values, 1) {
        Bson::RegularExpression(regex) => (regex.pattern.as_str(), regex.options.as_str()),
        other => (text(other)?, ""),
    };
    let options = match &values[2] {
        None | Some(Bson::Null) => own,
        Some(options) => text(options)?,
    };
    let regex = pattern("regex", source, options)?;
    let found = regex.captures_iter(input).take(most).map(|captures| {
        let whole_match = captures.get_match();
        let groups =
            captures.iter().skip(1).map(|group| group.map_or(Bson::Null, |group| group.as_str().into()));
        let mut out = Document::new();
        out.insert("match", whole_match.as_str());
        out.insert("idx", length(input[..whole_match.start()].chars().count()));
        out.insert("captures", groups.collect::<Vec<_>>());
        Bson::Document(out)
    });
    Ok(found.collect())
}
