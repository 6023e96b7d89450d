//! Dotted paths into owned documents, for writing.

use bson::{Bson, Document};
use forge_core::{Error, Result};

use super::elements::Elements;

/// How far behind the end of an array an index may point; the gap fills with nulls.
const MAX_GAP: usize = 10_000;

/// A place for a value: a field that may be missing, or an element.
pub(crate) enum Slot<'d> {
    /// A field of a document.
    Field(&'d mut Document, &'d str),
    /// A position in an array, at most [`MAX_GAP`] behind its end.
    Element(&'d mut Vec<Bson>, usize),
}

impl<'d> Slot<'d> {
    /// The place that `path` names; documents on the way are created.
    ///
    /// # Errors
    /// `bad_request` where a value on the way is neither a document nor an array.
    pub(crate) fn create(document: &'d mut Document, path: &'d str) -> Result<Self> {
        let mut components = path.split('.');
        let mut slot = Slot::Field(document, components.next().unwrap_or(path));
        for component in components {
            slot = Self::step(slot, component, path)?;
        }
        Ok(slot)
    }

    fn step(parent: Self, component: &'d str, path: &str) -> Result<Self> {
        let holder = match parent {
            Slot::Field(document, key) => {
                document.entry(key).or_insert_with(|| Bson::Document(Document::new()))
            }
            Slot::Element(array, position) => {
                pad(array, position, path)?;
                if position == array.len() {
                    array.push(Bson::Document(Document::new()));
                }
                &mut array[position]
            }
        };
        match holder {
            Bson::Document(document) => Ok(Slot::Field(document, component)),
            Bson::Array(array) => match component.parse() {
                Ok(position) => Ok(Slot::Element(array, position)),
                Err(_) => Err(Error::bad_request(format!(
                    "`{path}`: there is an array, in which `{component}` is no position"
                ))),
            },
            other => Err(Error::bad_request(format!(
                "`{path}`: cannot create `{component}` inside {other}, which is no document"
            ))),
        }
    }

    /// The value there.
    pub(crate) fn get(&self) -> Option<&Bson> {
        match self {
            Slot::Field(document, key) => document.get(*key),
            Slot::Element(array, position) => array.get(*position),
        }
    }

    /// Puts `value` there.
    pub(crate) fn set(&mut self, path: &str, value: Bson) -> Result<()> {
        match self {
            Slot::Field(document, key) => {
                document.insert(*key, value);
            }
            Slot::Element(array, position) => {
                pad(array, *position, path)?;
                match array.get_mut(*position) {
                    Some(element) => *element = value,
                    None => array.push(value),
                }
            }
        }
        Ok(())
    }
}

/// Fills up with nulls until `position` is the end or within the array.
fn pad(array: &mut Vec<Bson>, position: usize, path: &str) -> Result<()> {
    if position > array.len() + MAX_GAP {
        return Err(Error::bad_request(format!(
            "`{path}`: position {position} is too far behind the end of the array"
        )));
    }
    while array.len() < position {
        array.push(Bson::Null);
    }
    Ok(())
}

/// Sets the value at `path`, creating what is missing on the way.
pub(crate) fn set_path(document: &mut Document, path: &str, value: Bson) -> Result<()> {
    if !path.contains('.') {
        document.insert(path, value);
        return Ok(());
    }
    Slot::create(document, path)?.set(path, value)
}

/// Removes the field at `path`; elements of arrays become null. Answers with what was there.
pub(crate) fn unset(document: &mut Document, path: &str) -> Option<Bson> {
    let Some((head, rest)) = path.split_once('.') else { return document.remove(path) };
    unset_in(document.get_mut(head)?, rest)
}

fn unset_in(value: &mut Bson, path: &str) -> Option<Bson> {
    match value {
        Bson::Document(document) => unset(document, path),
        Bson::Array(array) => {
            let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
            let element = array.get_mut(head.parse::<usize>().ok()?)?;
            match rest {
                None => Some(std::mem::replace(element, Bson::Null)),
                Some(rest) => unset_in(element, rest),
            }
        }
        _ => None,
    }
}

/// Whether the documents that `path` leads through are there.
///
/// # Errors
/// `bad_request` where it leads through an array or into a value that has no fields: `$rename` cannot.
pub(super) fn is_outside_arrays(document: &Document, path: &str) -> Result<bool> {
    let mut components = path.split('.').peekable();
    let mut inside = document;
    while let Some(component) = components.next() {
        let Some(next) = components.peek() else { break };
        match inside.get(component) {
            Some(Bson::Document(inner)) => inside = inner,
            None => return Ok(false),
            Some(Bson::Array(array)) if next.parse::<usize>().is_ok_and(|at| at >= array.len()) => {
                return Ok(false);
            }
            Some(other) => {
                let kind = if matches!(other, Bson::Array(_)) { "an array" } else { "no document" };
                return Err(Error::bad_request(format!(
                    "`$rename` cannot reach `{path}`: there is {kind} at `{component}`"
                )));
            }
        }
    }
    Ok(true)
}

/// Whether a path reaches into elements by `$`, `$[]` or `$[name]`.
pub(super) fn is_positional(path: &str) -> bool {
    path.contains(".$")
}

/// The list in which the `$` of a path stands, and what comes behind it.
pub(super) fn around_match(path: &str) -> Option<(&str, &str)> {
    match path.split_once(".$.") {
        Some(parts) => Some(parts),
        None => path.strip_suffix(".$").map(|list| (list, "")),
    }
}

/// The paths that a path with `$[]` and `$[name]` stands for.
pub(super) fn expand(path: &str, document: &Document, elements: &Elements) -> Result<Vec<String>> {
    let mut paths = vec![String::new()];
    for component in path.split('.') {
        let mut next = Vec::new();
        let positional = component.strip_prefix("$[").and_then(|rest| rest.strip_suffix(']'));
        for base in paths {
            let Some(name) = positional else {
                next.push(if base.is_empty() { component.to_owned() } else { format!("{base}.{component}") });
                continue;
            };
            let Some(Bson::Array(array)) = value_at(document, &base) else {
                return Err(Error::bad_request(format!(
                    "`{path}`: `{component}` needs an array at `{base}`"
                )));
            };
            for (position, element) in array.iter().enumerate() {
                if elements.matches(name, element) {
                    next.push(format!("{base}.{position}"));
                }
            }
        }
        paths = next;
    }
    Ok(paths)
}

fn value_at<'d>(document: &'d Document, path: &str) -> Option<&'d Bson> {
    let mut components = path.split('.');
    let mut value = document.get(components.next()?)?;
    for component in components {
        value = match value {
            Bson::Document(document) => document.get(component)?,
            Bson::Array(array) => array.get(component.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}
