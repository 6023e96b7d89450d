//! Update operators on arrays.

use bson::{Bson, Document, RawDocumentBuf};
use forge_core::ir::SortKey;
use forge_core::{Error, Result};

use super::path::Slot;
use crate::collation::{self, Strings};
use crate::filter;
use crate::index::integer;
use crate::keys;
use crate::matching::Matching;

/// An operator on the array at a path.
#[derive(Debug, Clone)]
pub(super) enum ArrayOp {
    Push {
        values: Vec<Bson>,
        position: Option<i64>,
        slice: Option<i64>,
        sort: Option<Order>,
    },
    AddToSet(Vec<Bson>),
    PullValues(Vec<Bson>),
    /// Elements that match; with `on_value` the condition is on the field `v` of `{v: element}`.
    PullMatching {
        matching: Matching,
        on_value: bool,
    },
    PopFirst,
    PopLast,
}

/// `$sort` of `$push`.
#[derive(Debug, Clone)]
pub(super) enum Order {
    Values { descending: bool },
    Paths(Vec<SortKey>),
}

impl ArrayOp {
    pub(super) fn parse(operator: &str, path: &str, operand: &Bson, strings: Strings<'_>) -> Result<Self> {
        let wrong = |wants: &str| {
            Error::bad_request(format!("`{operator}` on `{path}` takes {wants}, not {operand}"))
        };
        match operator {
            "$push" => push(path, operand),
            "$addToSet" => Ok(Self::AddToSet(match operand {
                Bson::Document(form) if form.contains_key("$each") => each(path, form)?,
                value => vec![value.clone()],
            })),
            "$pullAll" => Ok(Self::PullValues(operand.as_array().ok_or_else(|| wrong("a list"))?.clone())),
            "$pop" => match integer(operand) {
                Some(1) => Ok(Self::PopLast),
                Some(-1) => Ok(Self::PopFirst),
                _ => Err(wrong("1 or -1")),
            },
            _ => pull(operand, strings),
        }
    }

    pub(super) fn apply(&self, document: &mut Document, path: &str, strings: Strings<'_>) -> Result<()> {
        let adds = matches!(self, Self::Push { .. } | Self::AddToSet(_));
        if !adds && !exists(document, path) {
            return Ok(());
        }
        let mut slot = Slot::create(document, path)?;
        let mut array = match slot.get() {
            None => Vec::new(),
            Some(Bson::Array(array)) => array.clone(),
            Some(other) => {
                return Err(Error::bad_request(format!("`{path}` is {other}, not an array")));
            }
        };
        self.change(&mut array, strings)?;
        slot.set(path, Bson::Array(array))
    }

    fn change(&self, array: &mut Vec<Bson>, strings: Strings<'_>) -> Result<()> {
        let encoded = |value: &Bson| collation::encoded(value, strings);
        match self {
            Self::Push { values, position, slice, sort } => {
                let at = position.map_or(array.len(), |position| from_either_end(position, array.len()));
                array.splice(at..at, values.iter().cloned());
                if let Some(order) = sort {
                    order.sort(array, strings);
                }
                if let Some(slice) = slice {
                    cut(array, *slice);
                }
            }
            Self::AddToSet(values) => {
                let mut present: std::collections::HashSet<Vec<u8>> = array.iter().map(encoded).collect();
                for value in values {
                    if present.insert(encoded(value)) {
                        array.push(value.clone());
                    }
                }
            }
            Self::PullValues(values) => {
                let gone: Vec<Vec<u8>> = values.iter().map(encoded).collect();
                array.retain(|element| !gone.contains(&encoded(element)));
            }
            Self::PullMatching { matching, on_value } => {
                let mut kept = Vec::with_capacity(array.len());
                for element in array.drain(..) {
                    if !element_matches(matching, *on_value, &element)? {
                        kept.push(element);
                    }
                }
                *array = kept;
            }
            Self::PopFirst if !array.is_empty() => {
                array.remove(0);
            }
            Self::PopFirst => {}
            Self::PopLast => {
                array.pop();
            }
        }
        Ok(())
    }
}

fn exists(document: &Document, path: &str) -> bool {
    let mut components = path.split('.');
    let mut value = components.next().and_then(|component| document.get(component));
    for component in components {
        value = match value {
            Some(Bson::Document(inner)) => inner.get(component),
            Some(Bson::Array(array)) => {
                component.parse::<usize>().ok().and_then(|position| array.get(position))
            }
            _ => None,
        };
    }
    value.is_some()
}

fn element_matches(matching: &Matching, on_value: bool, element: &Bson) -> Result<bool> {
    if on_value {
        let mut wrapped = RawDocumentBuf::new();
        keys::with_raw(element, |raw| wrapped.append(bson::raw::cstr!("v"), raw));
        return Ok(matching.matches(&wrapped));
    }
    match element {
        Bson::Document(document) => Ok(matching.matches(&keys::to_raw(document)?)),
        _ => Ok(false),
    }
}

fn from_either_end(position: i64, length: usize) -> usize {
    let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
    if position < 0 { length.saturating_sub(distance) } else { distance.min(length) }
}

/// Keeps the first `slice` elements, or the last ones where it is negative.
fn cut(array: &mut Vec<Bson>, slice: i64) {
    let keep = usize::try_from(slice.unsigned_abs()).unwrap_or(usize::MAX);
    if slice < 0 {
        array.drain(..array.len().saturating_sub(keep));
    } else {
        array.truncate(keep);
    }
}

impl Order {
    fn parse(path: &str, form: &Bson) -> Result<Self> {
        let direction = |value: &Bson| match integer(value) {
            Some(1) => Ok(false),
            Some(-1) => Ok(true),
            _ => Err(Error::bad_request(format!("`$sort` on `{path}` takes 1 or -1, not {value}"))),
        };
        match form {
            Bson::Document(paths) => {
                let keys = paths.iter().map(|(path, value)| {
                    Ok(SortKey { path: path.clone().into(), descending: direction(value)? })
                });
                Ok(Self::Paths(keys.collect::<Result<_>>()?))
            }
            value => Ok(Self::Values { descending: direction(value)? }),
        }
    }

    fn sort(&self, array: &mut [Bson], strings: Strings<'_>) {
        match self {
            Self::Values { descending } => array.sort_by_cached_key(|value| {
                let mut key = collation::encoded(value, strings);
                if *descending {
                    keys::invert(&mut key);
                }
                key
            }),
            Self::Paths(paths) => array.sort_by_cached_key(|value| match value {
                Bson::Document(document) => {
                    keys::to_raw(document).map(|raw| keys::sort_key(&raw, paths, strings)).ok()
                }
                _ => Some(keys::sort_key(&RawDocumentBuf::new(), paths, strings)),
            }),
        }
    }
}

fn each(path: &str, form: &Document) -> Result<Vec<Bson>> {
    let values = form.get_array("$each");
    values.cloned().map_err(|_| Error::bad_request(format!("`$each` on `{path}` takes a list")))
}

fn push(path: &str, operand: &Bson) -> Result<ArrayOp> {
    let Bson::Document(form) = operand else {
        return Ok(ArrayOp::Push { values: vec![operand.clone()], position: None, slice: None, sort: None });
    };
    if !form.contains_key("$each") {
        return Ok(ArrayOp::Push { values: vec![operand.clone()], position: None, slice: None, sort: None });
    }
    let (mut position, mut slice, mut sort) = (None, None, None);
    for (option, value) in form {
        let whole = || {
            integer(value).ok_or_else(|| {
                Error::bad_request(format!("`{option}` on `{path}` takes a whole number, not {value}"))
            })
        };
        match option.as_str() {
            "$each" => {}
            "$position" => position = Some(whole()?),
            "$slice" => slice = Some(whole()?),
            "$sort" => sort = Some(Order::parse(path, value)?),
            option => {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no `{option}` in `$push` (`{path}`)"
                )));
            }
        }
    }
    Ok(ArrayOp::Push { values: each(path, form)?, position, slice, sort })
}

fn pull(operand: &Bson, strings: Strings<'_>) -> Result<ArrayOp> {
    let matching = |condition: &Document| Matching::within(&filter::parse(condition)?, &[], None, strings);
    match operand {
        Bson::Document(condition) if filter::is_operators(condition) => {
            let wrapped = bson::doc! { "v": condition.clone() };
            Ok(ArrayOp::PullMatching { matching: matching(&wrapped)?, on_value: true })
        }
        Bson::Document(condition) => {
            Ok(ArrayOp::PullMatching { matching: matching(condition)?, on_value: false })
        }
        Bson::RegularExpression(_) => {
            let condition = bson::doc! { "v": operand.clone() };
            Ok(ArrayOp::PullMatching { matching: matching(&condition)?, on_value: true })
        }
        value => Ok(ArrayOp::PullValues(vec![value.clone()])),
    }
}
