//! Update operators on owned documents.

mod arrays;
mod bits;
mod elements;
mod number;
mod path;
mod plain;
#[cfg(test)]
mod tests;

use bson::{Bson, Document, RawDocument};
use forge_core::{DateTime, Env, Error, Result};
use forge_mongo::artifact::Modification;

use crate::collation::{Collator, Strings};
use crate::{aggregate, keys};
use bits::Bits;
use elements::Elements;
use path::Slot;
use plain::Next;

pub(crate) use number::{Arithmetic, combine, decimal, is_number};
pub(crate) use path::{set_path, unset};

/// The server's code for positions that nothing tells.
const BAD_VALUE: i32 = 2;

/// A checked update: operators, a whole new document, or stages.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    /// In the order of the update document.
    Operators { ops: Vec<Op>, elements: Elements, collator: Option<Collator> },
    /// Everything but the `_id`.
    Replacement(Document),
    /// Computed from what it was.
    Pipeline { stages: Vec<Document>, collator: Option<Collator> },
}

/// One operator on one path.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    path: String,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Set(Bson),
    SetOnInsert(Bson),
    Unset,
    Arithmetic(Arithmetic, Bson),
    Min(Bson),
    Max(Bson),
    CurrentDate { timestamp: bool },
    Rename(String),
    Array(arrays::ArrayOp),
    Bit(Vec<Bits>),
}

impl Update {
    /// Reads and checks an update document, whose strings compare as `strings` says.
    ///
    /// # Errors
    /// `unsupported` for operators that the engine lacks, `bad_request` for conflicting paths and wrong operands.
    pub(crate) fn parse(update: &Modification, strings: Strings<'_>) -> Result<Self> {
        match update {
            Modification::Operators(update) if !update.keys().any(|key| key.starts_with('$')) => {
                Ok(Self::Replacement(update.clone()))
            }
            Modification::Operators(update) => Self::operators(update, Elements::default(), strings),
            Modification::Elements { operators, array_filters } => {
                Self::operators(operators, Elements::parse(array_filters, strings)?, strings)
            }
            Modification::Pipeline(stages) => {
                Ok(Self::Pipeline { stages: stages.clone(), collator: strings.cloned() })
            }
        }
    }

    fn operators(update: &Document, elements: Elements, strings: Strings<'_>) -> Result<Self> {
        let mut ops = Vec::new();
        for (operator, operands) in update {
            let operands = operands.as_document().ok_or_else(|| {
                Error::bad_request(format!("`{operator}` takes a document of paths, not {operands}"))
            })?;
            for (path, operand) in operands {
                check_path(operator, path, &elements)?;
                ops.push(Op { path: path.clone(), action: Action::parse(operator, path, operand, strings)? });
            }
        }
        check_conflicts(paths(&ops))?;
        Ok(Self::Operators { ops, elements, collator: strings.cloned() })
    }

    /// Whether a path has a `$`, which stands for the element by which the filter found the document.
    pub(crate) fn follows_match(&self) -> bool {
        matches!(self, Self::Operators { ops, .. } if ops.iter().any(|op| path::around_match(&op.path).is_some()))
    }

    /// The same for one document, with positions in place of each `$`: those that `position` tells of a list.
    ///
    /// # Errors
    /// `bad_request` with MongoDB's code (2) where it tells none.
    pub(crate) fn at(&self, position: impl Fn(&str) -> Option<usize>) -> Result<Self> {
        let Self::Operators { ops, elements, collator } = self else { return Ok(self.clone()) };
        let mut ops = ops.clone();
        for op in &mut ops {
            let Some((list, rest)) = path::around_match(&op.path) else { continue };
            let Some(position) = position(list) else {
                let text = format!(
                    "`{}`: no condition of the filter was met by an element of a list, so that `$` stands for none",
                    op.path
                );
                return Err(Error::bad_request(text).with_server_code(BAD_VALUE));
            };
            let dot = if rest.is_empty() { "" } else { "." };
            op.path = format!("{list}.{position}{dot}{rest}");
        }
        check_conflicts(paths(&ops))?;
        Ok(Self::Operators { ops, elements: elements.clone(), collator: collator.clone() })
    }

    /// The paths that change between two states; none where the document is replaced.
    ///
    /// # Errors
    /// Where one of them is no BSON.
    pub(crate) fn touched(&self, before: &RawDocument, after: &RawDocument) -> Result<Option<Vec<String>>> {
        Ok(match self {
            // A path into the elements of an array changes the array.
            Self::Operators { ops, .. } => {
                let whole = |path: &str| path.split(".$").next().unwrap_or(path).to_owned();
                Some(paths(ops).into_iter().map(whole).collect())
            }
            Self::Replacement(_) => None,
            Self::Pipeline { .. } => {
                Some(differing(&Document::try_from(before)?, &Document::try_from(after)?))
            }
        })
    }

    /// Changes `document`. `inserting`: it is new, by an upsert.
    ///
    /// # Errors
    /// `bad_request` names the path that does not fit the operator. The document may be half changed then.
    pub(crate) fn apply(&self, document: &mut Document, inserting: bool, env: &Env) -> Result<()> {
        let id = document.get("_id").cloned();
        match self {
            Self::Operators { ops, elements, collator } => {
                let now = Present { inserting, now: env.now(), strings: collator.as_ref() };
                operate(ops, elements, document, now)?;
            }
            Self::Pipeline { stages, collator } => {
                let computed = aggregate::reshaped(std::mem::take(document), stages, collator.as_ref(), env)?;
                // Stages that leave the `_id` out do not change it.
                *document = with_id(id.as_ref(), computed);
            }
            Self::Replacement(new) => *document = with_id(id.as_ref(), new.clone()),
        }
        if let Some(id) = id {
            let kept = document.get("_id").is_some_and(|now| keys::encoded(now) == keys::encoded(&id));
            if !kept {
                return Err(Error::bad_request("an update would change `_id`, which never changes"));
            }
        }
        Ok(())
    }
}

/// `document` behind the `_id`, unless it has one.
fn with_id(id: Option<&Bson>, document: Document) -> Document {
    match id {
        Some(id) if !document.contains_key("_id") => {
            std::iter::once(("_id".to_owned(), id.clone())).chain(document).collect()
        }
        _ => document,
    }
}

/// The fields at the top of two states that differ.
pub(crate) fn differing(before: &Document, after: &Document) -> Vec<String> {
    let differs = |name: &&String| before.get(name.as_str()) != after.get(name.as_str());
    let gone = before.keys().filter(|name| !after.contains_key(name));
    after.keys().filter(differs).chain(gone).cloned().collect()
}

/// What operators know beside the document.
#[derive(Clone, Copy)]
struct Present<'c> {
    /// The document is new, by an upsert.
    inserting: bool,
    now: DateTime,
    strings: Strings<'c>,
}

/// Every operator on every path that it stands for.
fn operate(ops: &[Op], elements: &Elements, document: &mut Document, present: Present<'_>) -> Result<()> {
    if !ops.iter().any(|op| path::is_positional(&op.path)) {
        return ops.iter().try_for_each(|op| op.apply_at(&op.path, document, present));
    }
    let mut places = Vec::new();
    for op in ops {
        places.extend(path::expand(&op.path, document, elements)?.into_iter().map(|path| (path, op)));
    }
    check_conflicts(places.iter().map(|(path, _)| path.as_str()).collect())?;
    places.iter().try_for_each(|(path, op)| op.apply_at(path, document, present))
}

/// Every path that the operators name.
fn paths(ops: &[Op]) -> Vec<&str> {
    let mut paths = Vec::with_capacity(ops.len());
    for op in ops {
        paths.push(op.path.as_str());
        if let Action::Rename(to) = &op.action {
            paths.push(to);
        }
    }
    paths
}

fn check_path(operator: &str, path: &str, elements: &Elements) -> Result<()> {
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return Err(Error::bad_request(format!("`{operator}`: {path:?} is no path: a component is empty")));
    }
    for component in path.split('.').filter(|component| component.starts_with('$')) {
        match component.strip_prefix("$[").and_then(|rest| rest.strip_suffix(']')) {
            Some("") => {}
            Some(name) if elements.knows(name) => {}
            Some(name) => {
                return Err(Error::bad_request(format!(
                    "`{operator}` on `{path}`: there is no array filter for `{name}`"
                )));
            }
            None if component == "$" => check_match(operator, path)?,
            None => {
                return Err(Error::bad_request(format!(
                    "`{operator}` on `{path}`: `{component}` is neither a field nor a position in a list"
                )));
            }
        }
    }
    Ok(())
}

/// `$` stands once in a path, and behind the list that it is about.
fn check_match(operator: &str, path: &str) -> Result<()> {
    let wrong = match path.split('.').filter(|component| *component == "$").count() {
        _ if path.starts_with('$') => "`$` stands behind the path of a list",
        1 => return Ok(()),
        _ => "`$` stands in a path once",
    };
    Err(Error::bad_request(format!("`{operator}` on `{path}`: {wrong}")).with_server_code(BAD_VALUE))
}

/// Two operators may not touch the same path, nor one path inside the other.
fn check_conflicts(mut paths: Vec<&str>) -> Result<()> {
    // `.` must sort before everything else, so that a path stands right before what is inside it.
    paths.sort_by(|a, b| a.split('.').cmp(b.split('.')));
    for pair in paths.windows(2) {
        let inside =
            pair[1].strip_prefix(pair[0]).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if inside {
            return Err(Error::bad_request(format!(
                "updating `{}` and `{}` in one update would conflict",
                pair[0], pair[1]
            )));
        }
    }
    Ok(())
}

impl Action {
    fn parse(operator: &str, path: &str, operand: &Bson, strings: Strings<'_>) -> Result<Self> {
        let value = operand.clone();
        Ok(match operator {
            "$set" => Self::Set(value),
            "$setOnInsert" => Self::SetOnInsert(value),
            "$unset" => Self::Unset,
            "$inc" | "$mul" => {
                if !number::is_number(operand) {
                    return Err(Error::bad_request(format!(
                        "`{operator}` on `{path}` takes a number, not {operand}"
                    )));
                }
                let kind = if operator == "$inc" { Arithmetic::Add } else { Arithmetic::Multiply };
                Self::Arithmetic(kind, value)
            }
            "$min" => Self::Min(value),
            "$max" => Self::Max(value),
            "$currentDate" => Self::CurrentDate { timestamp: wants_timestamp(path, operand)? },
            "$rename" => Self::Rename(rename_target(path, operand)?),
            "$bit" => Self::Bit(bits::parse(path, operand)?),
            "$push" | "$addToSet" | "$pull" | "$pullAll" | "$pop" => {
                Self::Array(arrays::ArrayOp::parse(operator, path, operand, strings)?)
            }
            operator => {
                return Err(Error::unsupported(format!(
                    "the embedded engine has no update operator `{operator}`"
                )));
            }
        })
    }
}

fn wants_timestamp(path: &str, operand: &Bson) -> Result<bool> {
    match operand {
        Bson::Boolean(_) => Ok(false),
        Bson::Document(form) if form.get_str("$type").is_ok_and(|kind| kind == "date") => Ok(false),
        Bson::Document(form) if form.get_str("$type").is_ok_and(|kind| kind == "timestamp") => Ok(true),
        other => Err(Error::bad_request(format!(
            "`$currentDate` on `{path}` takes true or {{$type: \"date\" | \"timestamp\"}}, not {other}"
        ))),
    }
}

fn rename_target(path: &str, operand: &Bson) -> Result<String> {
    let target = operand.as_str().ok_or_else(|| {
        Error::bad_request(format!("`$rename` of `{path}` takes the new path, not {operand}"))
    })?;
    check_path("$rename", target, &Elements::default())?;
    if [path, target].iter().any(|path| path::is_positional(path)) {
        return Err(Error::bad_request(format!("`$rename` of `{path}` cannot reach into array elements")));
    }
    Ok(target.to_owned())
}

impl Op {
    fn apply_at(&self, path: &str, document: &mut Document, present: Present<'_>) -> Result<()> {
        match &self.action {
            Action::Rename(to) => {
                if !path::is_outside_arrays(document, path)? {
                    return Ok(());
                }
                match path::unset(document, path) {
                    Some(value) => {
                        path::is_outside_arrays(document, to)?;
                        path::unset(document, to);
                        set_path(document, to, value)
                    }
                    None => Ok(()),
                }
            }
            Action::Array(op) => op.apply(document, path, present.strings),
            Action::Bit(operations) => {
                let mut slot = Slot::create(document, path)?;
                let new = bits::apply(path, slot.get(), operations)?;
                slot.set(path, new)
            }
            Action::Unset => {
                path::unset(document, path);
                Ok(())
            }
            Action::SetOnInsert(_) if !present.inserting => Ok(()),
            _ => {
                let mut slot = Slot::create(document, path)?;
                match self.plain().map(|plain| plain.next(path, slot.get(), present)).transpose()? {
                    Some(Next::Value(new)) => slot.set(path, new),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn current(timestamp: bool, now: DateTime) -> Bson {
    if timestamp {
        let time = u32::try_from(now.millis() / 1000).unwrap_or(0);
        return Bson::Timestamp(bson::Timestamp { time, increment: 1 });
    }
    now.into()
}
