//! Operators on fields at the top of a document, applied to its bytes: the rest is copied as it is.

use std::cmp::Ordering;

use bson::raw::CString;
use bson::{Bson, RawDocument, RawDocumentBuf};
use forge_core::{DateTime, Result};

use super::{Action, Arithmetic, Op, Present, Update, combine, current, number};
use crate::{collation, keys};

/// What becomes of a field.
pub(super) enum Next {
    /// It stays as it is, or stays missing.
    Same,
    Value(Bson),
    Gone,
}

/// An operator that does nothing but make of a field what becomes of it.
pub(super) enum Plain<'o> {
    Set(&'o Bson),
    SetOnInsert(&'o Bson),
    Unset,
    Arithmetic(Arithmetic, &'o Bson),
    /// The value, where it comes so before or after what is there.
    Bounded(&'o Bson, Ordering),
    CurrentDate {
        timestamp: bool,
    },
}

impl Op {
    /// The operator, where it is such a one.
    pub(super) fn plain(&self) -> Option<Plain<'_>> {
        Some(match &self.action {
            Action::Set(value) => Plain::Set(value),
            Action::SetOnInsert(value) => Plain::SetOnInsert(value),
            Action::Unset => Plain::Unset,
            Action::Arithmetic(kind, operand) => Plain::Arithmetic(*kind, operand),
            Action::Min(value) => Plain::Bounded(value, Ordering::Less),
            Action::Max(value) => Plain::Bounded(value, Ordering::Greater),
            Action::CurrentDate { timestamp } => Plain::CurrentDate { timestamp: *timestamp },
            Action::Rename(_) | Action::Array(_) | Action::Bit(_) => return None,
        })
    }
}

impl Plain<'_> {
    /// What becomes of the field at `path`, which is `old`.
    pub(super) fn next(self, path: &str, old: Option<&Bson>, present: Present<'_>) -> Result<Next> {
        Ok(match self {
            Self::Set(value) => Next::Value(value.clone()),
            Self::SetOnInsert(value) if present.inserting => Next::Value(value.clone()),
            Self::SetOnInsert(_) => Next::Same,
            Self::Unset => Next::Gone,
            Self::Arithmetic(kind, operand) => {
                let new = match old {
                    Some(old) => combine(kind, old, operand),
                    None => Ok(number::from_nothing(kind, operand)),
                };
                Next::Value(new.map_err(|error| error.context(format!("`{path}`")))?)
            }
            Self::Bounded(value, wanted) => {
                let better = old.is_none_or(|old| {
                    let encoded = |value| collation::encoded(value, present.strings);
                    encoded(value).cmp(&encoded(old)) == wanted
                });
                if better { Next::Value(value.clone()) } else { Next::Same }
            }
            Self::CurrentDate { timestamp } => Next::Value(current(timestamp, present.now)),
        })
    }

    /// Whether what becomes of the field depends on what it is.
    fn looks_at_old(&self) -> bool {
        matches!(self, Self::Arithmetic(..) | Self::Bounded(..))
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
        let Self::Operators { ops, collator, .. } = self else { return Ok(None) };
        let present = Present { inserting: false, now, strings: collator.as_ref() };
        let at_top = |op: &Op| op.path != "_id" && !op.path.contains(['.', '\0']);
        if !ops.iter().all(|op| at_top(op) && op.plain().is_some()) {
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
            let Some(plain) = ops[at].plain() else { return Ok(None) };
            let old = if plain.looks_at_old() { Some(Bson::try_from(value)?) } else { None };
            match plain.next(&ops[at].path, old.as_ref(), present) {
                Ok(Next::Value(new)) => out.append(key, keys::to_raw_value(new)?),
                Ok(Next::Same) => out.append(key, value),
                Ok(Next::Gone) => {}
                Err(_) => return Ok(None),
            }
        }
        for (op, _) in ops.iter().zip(found).filter(|(_, found)| !found) {
            match op.plain().map(|plain| plain.next(&op.path, None, present)) {
                Some(Ok(Next::Value(new))) => {
                    out.append(CString::try_from(op.path.as_str())?, keys::to_raw_value(new)?);
                }
                Some(Ok(Next::Same | Next::Gone)) => {}
                Some(Err(_)) | None => return Ok(None),
            }
        }
        Ok(Some(out))
    }
}
