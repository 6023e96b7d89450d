//! Update operators on owned documents.

mod arrays;
mod number;
mod path;
#[cfg(test)]
mod tests;

use bson::{Bson, Document};
use forge_core::{DateTime, Error, Result};

use crate::keys;
use path::Slot;

pub(crate) use number::{Arithmetic, combine};
pub(crate) use path::{set_path, unset};

/// A checked update: operators, or a whole new document.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    /// In the order of the update document.
    Operators(Vec<Op>),
    /// Everything but the `_id`.
    Replacement(Document),
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
}

impl Update {
    /// Reads and checks an update document.
    ///
    /// # Errors
    /// `unsupported` for operators that the engine lacks, `bad_request` for conflicting paths and wrong operands.
    pub(crate) fn parse(update: &Document) -> Result<Self> {
        if !update.keys().any(|key| key.starts_with('$')) {
            return Ok(Self::Replacement(update.clone()));
        }
        let mut ops = Vec::new();
        for (operator, operands) in update {
            let operands = operands.as_document().ok_or_else(|| {
                Error::bad_request(format!("`{operator}` takes a document of paths, not {operands}"))
            })?;
            for (path, operand) in operands {
                check_path(operator, path)?;
                ops.push(Op { path: path.clone(), action: Action::parse(operator, path, operand)? });
            }
        }
        check_conflicts(&ops)?;
        Ok(Self::Operators(ops))
    }

    /// The paths that it names.
    pub(crate) fn touched(&self) -> Option<Vec<String>> {
        let Self::Operators(ops) = self else { return None };
        let mut paths = Vec::with_capacity(ops.len());
        for op in ops {
            paths.push(op.path.clone());
            if let Action::Rename(to) = &op.action {
                paths.push(to.clone());
            }
        }
        Some(paths)
    }

    /// Changes `document`. `inserting`: it is new, by an upsert.
    ///
    /// # Errors
    /// `bad_request` names the path that does not fit the operator. The document may be half changed then.
    pub(crate) fn apply(&self, document: &mut Document, inserting: bool, now: DateTime) -> Result<()> {
        let id = document.get("_id").cloned();
        match self {
            Self::Operators(ops) => {
                for op in ops {
                    op.apply(document, inserting, now)?;
                }
            }
            Self::Replacement(new) => {
                let mut replaced = Document::new();
                if let Some(id) = &id {
                    replaced.insert("_id", id.clone());
                }
                replaced.extend(new.clone());
                *document = replaced;
            }
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

fn check_path(operator: &str, path: &str) -> Result<()> {
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return Err(Error::bad_request(format!("`{operator}`: {path:?} is no path: a component is empty")));
    }
    for component in path.split('.').filter(|component| component.starts_with('$')) {
        if component != "$[]" {
            return Err(Error::unsupported(format!(
                "the embedded engine has no positional operator `{component}` (`{operator}` on `{path}`)"
            )));
        }
    }
    Ok(())
}

/// Two operators may not touch the same path, nor one path inside the other.
fn check_conflicts(ops: &[Op]) -> Result<()> {
    let mut paths: Vec<&str> = Vec::new();
    for op in ops {
        paths.push(&op.path);
        if let Action::Rename(to) = &op.action {
            paths.push(to);
        }
    }
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
    fn parse(operator: &str, path: &str, operand: &Bson) -> Result<Self> {
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
            "$push" | "$addToSet" | "$pull" | "$pullAll" | "$pop" => {
                Self::Array(arrays::ArrayOp::parse(operator, path, operand)?)
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
    check_path("$rename", target)?;
    if [path, target].iter().any(|path| path.contains("$[]")) {
        return Err(Error::bad_request(format!("`$rename` of `{path}` cannot reach into array elements")));
    }
    Ok(target.to_owned())
}

impl Op {
    fn apply(&self, document: &mut Document, inserting: bool, now: DateTime) -> Result<()> {
        if !self.path.contains("$[]") {
            return self.apply_at(&self.path, document, inserting, now);
        }
        for path in path::expand(&self.path, document)? {
            self.apply_at(&path, document, inserting, now)?;
        }
        Ok(())
    }

    fn apply_at(&self, path: &str, document: &mut Document, inserting: bool, now: DateTime) -> Result<()> {
        match &self.action {
            Action::Set(value) => set_path(document, path, value.clone()),
            Action::SetOnInsert(value) if inserting => set_path(document, path, value.clone()),
            Action::SetOnInsert(_) => Ok(()),
            Action::Unset => {
                path::unset(document, path);
                Ok(())
            }
            Action::Arithmetic(kind, operand) => {
                let mut slot = Slot::create(document, path)?;
                let new = match slot.get() {
                    Some(old) => {
                        combine(*kind, old, operand).map_err(|error| error.context(format!("`{path}`")))?
                    }
                    None => number::from_nothing(*kind, operand),
                };
                slot.set(path, new)
            }
            Action::Min(value) => self.bound(path, document, value, std::cmp::Ordering::Less),
            Action::Max(value) => self.bound(path, document, value, std::cmp::Ordering::Greater),
            Action::CurrentDate { timestamp } => set_path(document, path, current(*timestamp, now)),
            Action::Rename(to) => match path::unset(document, path) {
                Some(value) => {
                    path::unset(document, to);
                    set_path(document, to, value)
                }
                None => Ok(()),
            },
            Action::Array(op) => op.apply(document, path),
        }
    }

    /// Sets the value where it is `wanted` against the present one, or where there is none.
    fn bound(
        &self,
        path: &str,
        document: &mut Document,
        value: &Bson,
        wanted: std::cmp::Ordering,
    ) -> Result<()> {
        let mut slot = Slot::create(document, path)?;
        let better = slot.get().is_none_or(|old| keys::encoded(value).cmp(&keys::encoded(old)) == wanted);
        if better { slot.set(path, value.clone()) } else { Ok(()) }
    }
}

fn current(timestamp: bool, now: DateTime) -> Bson {
    if timestamp {
        let time = u32::try_from(now.millis() / 1000).unwrap_or(0);
        return Bson::Timestamp(bson::Timestamp { time, increment: 1 });
    }
    now.into()
}
