//! From MongoDB's filter documents to [`Filter`].

mod geo;
mod kind;
mod sharpen;
mod top;

use bson::{Bson, Document, doc};
use forge_core::ir::{Filter, Predicate};
use forge_core::{Error, Result, order};

use crate::index::integer;
use crate::keys;
pub(crate) use sharpen::sharpened;

/// How deep filters may nest, as on a server.
const MAX_DEPTH: usize = 100;
/// The server's code for operands of the wrong type.
const TYPE_MISMATCH: i32 = 14;
/// The server's code for conditions that stand where they mean nothing.
const BAD_VALUE: i32 = 2;

/// Reads a filter document.
///
/// # Errors
/// `unsupported` names an operator that the engine lacks, `bad_request` says what an operator wants.
pub(crate) fn parse(filter: &Document) -> Result<Filter> {
    document(filter, 0, Place::Whole)
}

/// Where a condition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is about the document, and must hold, or is one of several of which one must.
    Whole,
    /// It is inside of another one.
    Inside,
}

fn document(filter: &Document, depth: usize, place: Place) -> Result<Filter> {
    if depth > MAX_DEPTH {
        return Err(Error::bad_request(format!("a filter nests deeper than {MAX_DEPTH} levels")));
    }
    let mut all = Filter::All;
    for (key, value) in filter {
        let condition = match key.as_str() {
            "$and" => list(key, value, depth, place)?.into_iter().fold(Filter::All, Filter::and),
            "$or" => Filter::Or(list(key, value, depth, place)?),
            "$nor" => Filter::Or(list(key, value, depth, Place::Inside)?).negate(),
            "$text" if place == Place::Whole => top::text(value)?,
            "$text" => return Err(nested_text()),
            "$expr" => top::expression(value),
            "$jsonSchema" => Filter::Schema(schema(value)?.clone()),
            "$sampleRate" => sample(value)?,
            "$comment" => continue,
            operator if operator.starts_with('$') => return Err(unsupported(operator)),
            path => field(path, value, depth)?,
        };
        all = all.and(condition);
    }
    Ok(all)
}

/// The operand of `$jsonSchema`, which is read by whoever matches with it.
pub(crate) fn schema(value: &Bson) -> Result<&Document> {
    let wrong =
        || Error::bad_request(format!("`$jsonSchema` takes a schema, which is a document, not {value}"));
    value.as_document().ok_or_else(|| wrong().with_server_code(TYPE_MISMATCH))
}

/// About this part of the documents, chosen at random.
fn sample(rate: &Bson) -> Result<Filter> {
    match keys::with_raw(rate, order::as_f64) {
        Some(rate) if (0.0..=1.0).contains(&rate) => {
            Ok(Filter::Expr(doc! { "$lt": [{ "$rand": {} }, rate] }.into()))
        }
        _ => Err(Error::bad_request(format!("`$sampleRate` is a number from 0 to 1, not {rate}"))),
    }
}

fn unsupported(operator: &str) -> Error {
    Error::unsupported(format!("the embedded engine has no filter operator `{operator}`"))
}

fn nested_text() -> Error {
    let text = "`$text` stands at the top of a filter or in its `$and` and `$or`, and inside of nothing else";
    Error::bad_request(text).with_server_code(BAD_VALUE)
}

fn list(operator: &str, value: &Bson, depth: usize, place: Place) -> Result<Vec<Filter>> {
    let wrong = || Error::bad_request(format!("`{operator}` is a list of at least one filter document"));
    let entries = value.as_array().filter(|entries| !entries.is_empty()).ok_or_else(wrong)?;
    entries.iter().map(|entry| document(entry.as_document().ok_or_else(wrong)?, depth + 1, place)).collect()
}

/// Whether a document is operators, such as `{$gt: 5}`.
pub(crate) fn is_operators(document: &Document) -> bool {
    document.keys().next().is_some_and(|key| key.starts_with('$'))
}

fn field(path: &str, value: &Bson, depth: usize) -> Result<Filter> {
    match value {
        Bson::Document(operators) if is_operators(operators) => predicates(path, operators, depth),
        Bson::RegularExpression(_) => Ok(on(path, regex(path, value, None)?)),
        value => Ok(on(path, Predicate::Eq(value.clone()))),
    }
}

fn on(path: &str, predicate: Predicate) -> Filter {
    Filter::Field(path.to_owned().into(), predicate)
}

fn predicates(path: &str, operators: &Document, depth: usize) -> Result<Filter> {
    let mut all = Filter::All;
    for (operator, value) in operators {
        all = all.and(predicate(path, operator, value, operators, depth)?);
    }
    Ok(all)
}

fn predicate(path: &str, operator: &str, value: &Bson, siblings: &Document, depth: usize) -> Result<Filter> {
    let wrong =
        |wants: &str| Error::bad_request(format!("`{operator}` on `{path}` takes {wants}, not {value}"));
    let single = match operator {
        "$eq" => Predicate::Eq(value.clone()),
        "$ne" => Predicate::Ne(value.clone()),
        "$gt" => Predicate::Gt(value.clone()),
        "$gte" => Predicate::Gte(value.clone()),
        "$lt" => Predicate::Lt(value.clone()),
        "$lte" => Predicate::Lte(value.clone()),
        "$exists" => Predicate::Exists(
            !matches!(value, Bson::Boolean(false) | Bson::Null) && integer(value) != Some(0),
        ),
        "$size" => {
            let size = integer(value).filter(|size| *size >= 0);
            Predicate::Size(size.ok_or_else(|| wrong("a whole number from 0"))?)
        }
        "$regex" => regex(path, value, siblings.get("$options"))?,
        "$options" if siblings.contains_key("$regex") => return Ok(Filter::All),
        "$in" => return any_of(path, value.as_array().ok_or_else(|| wrong("a list"))?),
        "$nin" => return none_of(path, value.as_array().ok_or_else(|| wrong("a list"))?),
        "$all" => return every(path, value.as_array().ok_or_else(|| wrong("a list"))?, depth),
        "$elemMatch" => element(value.as_document().ok_or_else(|| wrong("a filter document"))?, depth)?,
        "$not" => return not(path, value, depth),
        "$near" | "$nearSphere" => geo::near(path, operator, value, siblings)?,
        "$maxDistance" | "$minDistance" if siblings.keys().any(|key| key.starts_with("$near")) => {
            return Ok(Filter::All);
        }
        "$type" => kind::of_type(path, value)?,
        "$mod" => kind::remainder(path, value)?,
        "$bitsAllSet" | "$bitsAllClear" | "$bitsAnySet" | "$bitsAnyClear" => {
            kind::bits(path, operator, value)?
        }
        "$geoWithin" | "$within" => return geo::within(path, value),
        "$geoIntersects" => return geo::intersects(path, value),
        operator => return Err(unsupported(operator)),
    };
    Ok(on(path, single))
}

fn any_of(path: &str, values: &[Bson]) -> Result<Filter> {
    let (patterns, plain): (Vec<_>, Vec<_>) =
        values.iter().partition(|value| matches!(value, Bson::RegularExpression(_)));
    let plain: Vec<Bson> = plain.into_iter().cloned().collect();
    if patterns.is_empty() {
        return Ok(on(path, Predicate::In(plain)));
    }
    let mut any = if plain.is_empty() { Filter::Nothing } else { on(path, Predicate::In(plain)) };
    for pattern in patterns {
        any = any.or(on(path, regex(path, pattern, None)?));
    }
    Ok(any)
}

fn none_of(path: &str, values: &[Bson]) -> Result<Filter> {
    match any_of(path, values)? {
        Filter::Field(path, Predicate::In(values)) => Ok(Filter::Field(path, Predicate::NotIn(values))),
        any => Ok(any.negate()),
    }
}

fn every(path: &str, values: &[Bson], depth: usize) -> Result<Filter> {
    let mut plain = Vec::new();
    let mut all = Filter::All;
    for value in values {
        match value {
            Bson::Document(operators) if is_operators(operators) => {
                all = all.and(predicates(path, operators, depth)?);
            }
            Bson::RegularExpression(_) => all = all.and(on(path, regex(path, value, None)?)),
            value => plain.push(value.clone()),
        }
    }
    if values.is_empty() {
        return Ok(Filter::Nothing);
    }
    Ok(if plain.is_empty() { all } else { on(path, Predicate::HasEvery(plain)).and(all) })
}

/// `$elemMatch`: conditions on sub-documents, or (operators only) on the elements themselves, whose path is empty.
fn element(condition: &Document, depth: usize) -> Result<Predicate> {
    let first = condition.keys().next().map_or("", String::as_str);
    let on_value = first.starts_with('$') && !matches!(first, "$and" | "$or" | "$nor");
    let inner = if on_value {
        predicates("", condition, depth + 1)?
    } else {
        document(condition, depth + 1, Place::Inside)?
    };
    Ok(Predicate::Element(Box::new(inner)))
}

fn not(path: &str, value: &Bson, depth: usize) -> Result<Filter> {
    let inner = match value {
        Bson::RegularExpression(_) => on(path, regex(path, value, None)?),
        Bson::Document(operators) if is_operators(operators) => predicates(path, operators, depth + 1)?,
        value => {
            return Err(Error::bad_request(format!(
                "`$not` on `{path}` takes operators or a pattern, not {value}"
            )));
        }
    };
    Ok(inner.negate())
}

fn regex(path: &str, value: &Bson, options: Option<&Bson>) -> Result<Predicate> {
    let (pattern, own) = match value {
        Bson::String(pattern) => (pattern.clone(), String::new()),
        Bson::RegularExpression(regex) => {
            (regex.pattern.as_str().to_owned(), regex.options.as_str().to_owned())
        }
        other => {
            return Err(Error::bad_request(format!("`$regex` on `{path}` takes a pattern, not {other}")));
        }
    };
    let options = match options {
        None => own,
        Some(Bson::String(options)) => options.clone(),
        Some(other) => {
            return Err(Error::bad_request(format!("`$options` on `{path}` takes a string, not {other}")));
        }
    };
    Ok(Predicate::Regex { pattern, options })
}

/// The conditions that must all hold, where the filter is such a list.
pub(crate) fn conjuncts(filter: &Filter) -> &[Filter] {
    match filter {
        Filter::And(list) => list,
        single => std::slice::from_ref(single),
    }
}

/// The fields that an upsert takes over from its filter: what must be equal.
pub(crate) fn equalities(filter: &Filter) -> Document {
    let mut seed = doc! {};
    for condition in conjuncts(filter) {
        match condition {
            Filter::Field(path, Predicate::Eq(value)) => {
                seed.insert(path.to_string(), value.clone());
            }
            Filter::Field(path, Predicate::In(values)) => {
                if let [value] = values.as_slice() {
                    seed.insert(path.to_string(), value.clone());
                }
            }
            _ => {}
        }
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;
    use forge_core::ErrorCode;

    #[test]
    fn conditions_become_flat() {
        let filter =
            parse(&doc! { "a": 1, "$and": [{ "b": { "$gt": 2, "$lte": 5 } }], "c": { "$in": [1] } }).unwrap();
        let expected = Filter::And(vec![
            Filter::eq("a", 1),
            on("b", Predicate::Gt(2.into())),
            on("b", Predicate::Lte(5.into())),
            on("c", Predicate::In(vec![1.into()])),
        ]);
        assert_eq!(filter, expected);
    }

    #[test]
    fn a_document_without_operators_is_compared_as_it_is() {
        assert_eq!(parse(&doc! { "a": { "b": 1 } }).unwrap(), Filter::eq("a", doc! { "b": 1 }));
        assert_eq!(parse(&doc! {}).unwrap(), Filter::All);
    }

    #[test]
    fn what_is_missing_is_named() {
        for filter in [
            doc! { "$where": "1" },
            doc! { "a": { "$jsonSchema": {} } },
            doc! { "a": { "$geoWithin": { "$triangle": [[0, 0], [1, 1]] } } },
            doc! { "a": { "$geoIntersects": { "$geometry": {
                "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 1], [0, 0]]],
                "crs": { "type": "name", "properties": { "name": "urn:x-mongodb:crs:strictwinding:EPSG:4326" } },
            } } } },
        ] {
            let error = parse(&filter).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unsupported, "{filter}");
            let (operator, _) = filter.iter().next().unwrap();
            let named = if operator == "a" { "$" } else { operator };
            assert!(error.message().contains(named), "{error}");
        }
    }

    #[test]
    fn malformed_operands_are_refused() {
        for filter in [
            doc! { "$or": [] },
            doc! { "$nor": [{ "$text": { "$search": "x" } }] },
            doc! { "a": { "$elemMatch": { "b": 1, "$text": { "$search": "x" } } } },
            doc! { "$and": [1] },
            doc! { "a": { "$in": 1 } },
            doc! { "a": { "$size": -1 } },
            doc! { "$sampleRate": 2 },
            doc! { "a": { "$mod": [0, 1] } },
            doc! { "a": { "$mod": [2] } },
            doc! { "a": { "$type": "text" } },
            doc! { "a": { "$type": [] } },
            doc! { "a": { "$bitsAllSet": -1 } },
            doc! { "a": { "$bitsAnySet": [-1] } },
            doc! { "a": { "$regex": 5 } },
            doc! { "a": { "$not": 5 } },
            doc! { "a": { "$nearSphere": { "$geometry": { "type": "Point", "coordinates": [200, 0] } } } },
            doc! { "a": { "$nearSphere": [200, 0] } },
            doc! { "a": { "$near": ["x", 0] } },
            doc! { "a": { "$near": [1, 0], "$maxDistance": -1 } },
            doc! { "a": { "$geoWithin": { "$polygon": [[0, 0], [1, 1]] } } },
            doc! { "a": { "$geoWithin": { "$geometry": { "type": "Point", "coordinates": [0, 0] } } } },
            doc! { "a": { "$geoIntersects": { "$geometry": { "type": "Line", "coordinates": [[0, 0], [1, 1]] } } } },
            doc! { "a": { "$geoIntersects": { "$geometry": { "type": "LineString", "coordinates": [[0, 0]] } } } },
            doc! { "a": { "$geoWithin": { "$box": [[0, 0]] } } },
            doc! { "a": { "$geoWithin": { "$center": [[0, 0], -1] } } },
        ] {
            assert_eq!(parse(&filter).unwrap_err().code(), ErrorCode::BadRequest, "{filter}");
        }
    }

    #[test]
    fn patterns_in_lists_are_patterns() {
        let pattern = Bson::RegularExpression(bson::Regex {
            pattern: bson::raw::cstr!("^x").into(),
            options: bson::raw::cstr!("i").into(),
        });
        let filter = parse(&doc! { "a": { "$in": [1, pattern] } }).unwrap();
        let regex = Predicate::Regex { pattern: "^x".into(), options: "i".into() };
        assert_eq!(filter, Filter::Or(vec![on("a", Predicate::In(vec![1.into()])), on("a", regex)]));
    }

    #[test]
    fn hostile_nesting_is_refused() {
        let mut filter = doc! { "a": 1 };
        for _ in 0..150 {
            filter = doc! { "$and": [filter] };
        }
        assert_eq!(parse(&filter).unwrap_err().code(), ErrorCode::BadRequest);
    }
}
