//! Operators on fields at the top of a document, applied to its bytes: the rest is copied as it is.

use std::cmp::Ordering;

use bson::raw::CString;
use bson::{Bson, RawDocument, RawDocumentBuf};
use forge_core::{DateTime, Result};

use super::{Action, Op, Update, combine, current, number};
use crate::keys;

/// What becomes of a field.
pub(super) enum Next {
    /// It stays as it is, or stays missing.
    Same,
    Value(Bson),
    Gone,
}

impl Op {
    /// What becomes of the field at `path`, which is `old`; none for operators that do more than that.
    pub(super) fn next(
        &self,
        path: &str,
        old: Option<&Bson>,
        inserting: bool,
        now: DateTime,
    ) -> Option<Result<Next>> {
        let bounded = |value: &Bson, wanted: Ordering| {
            let better = old.is_none_or(|old| keys::encoded(value).cmp(&keys::encoded(old)) == wanted);
            if better { Next::Value(value.clone()) } else { Next::Same }
        };
        Some(Ok(match &self.action {
            Action::Set(value) => Next::Value(value.clone()),
            Action::SetOnInsert(value) if inserting => Next::Value(value.clone()),
            Action::SetOnInsert(_) => Next::Same,
            Action::Unset => Next::Gone,
            Action::Arithmetic(kind, operand) => {
                let new = match old {
                    Some(old) => combine(*kind, old, operand),
                    None => Ok(number::from_nothing(*kind, operand)),
                };
                return Some(new.map(Next::Value).map_err(|error| error.context(format!("`{path}`"))));
            }
            Action::Min(value) => bounded(value, Ordering::Less),
            Action::Max(value) => bounded(value, Ordering::Greater),
            Action::CurrentDate { timestamp } => Next::Value(current(*timestamp, now)),
            Action::Rename(_) | Action::Array(_) | Action::Bit(_) => return None,
        }))
    }

    /// Whether what becomes of the field depends on what it is.
    fn looks_at_old(&self) -> bool {
        matches!(self.action, Action::Arithmetic(..) | Action::Min(_) | Action::Max(_))
    }
}

impl Update {
    /// The document after this update, where all of it is about fields at the top other than `_id`; none where it is not,
    /// and where an operator fails: which of several failures is told is for [`apply`](Update::apply) to say.
    ///
    /// # Errors
    /// `internal` where the document is damaged.
    pub(crate) fn apply_plain(
        &self,
        document: &RawDocument,
        now: DateTime,
    ) -> Result<Option<RawDocumentBuf>> {
        let Self::Operators { ops, .. } = self else { return Ok(None) };
        let is_plain = |op: &Op| {
            let known = !matches!(op.action, Action::Rename(_) | Action::Array(_) | Action::Bit(_));
            known && op.path != "_id" && !op.path.contains(['.', '\0'])
        };
        if !ops.iter().all(is_plain) {
            return Ok(None);
        }
        let mut out = RawDocumentBuf::new();
        let mut found = vec![false; ops.len()];
        for field in document {
            let (key, value) = field?;
            // Two operators never name the same path.
            let Some(at) = ops.iter().position(|op| op.path == key.as_str()) else {
                out.append(key, value);
                continue;
            };
            found[at] = true;
            let old = if ops[at].looks_at_old() { Some(Bson::try_from(value)?) } else { None };
            match ops[at].next(&ops[at].path, old.as_ref(), false, now) {
                Some(Ok(Next::Value(new))) => out.append(key, keys::to_raw_value(new)?),
                Some(Ok(Next::Same)) => out.append(key, value),
                Some(Ok(Next::Gone)) => {}
                Some(Err(_)) | None => return Ok(None),
            }
        }
        for (op, _) in ops.iter().zip(found).filter(|(_, found)| !found) {
            match op.next(&op.path, None, false, now) {
                Some(Ok(Next::Value(new))) => {
                    out.append(CString::try_from(op.path.as_str())?, keys::to_raw_value(new)?);
                }
                Some(Err(_)) => return Ok(None),
                Some(Ok(Next::Same | Next::Gone)) | None => {}
            }
        }
        Ok(Some(out))
    }
}
