//! The document that an expression is about: as it is stored, or decoded by an earlier stage.

use std::borrow::Cow;

use bson::{Bson, Document, RawBsonRef, RawDocument};
use forge_core::{Result, order};

use super::forms::Form;
use super::{Expr, Scope, Value, in_document, in_value};
use crate::collation;
use crate::keys;
use crate::text::SCORE;

/// A document. A stored one is read where it lies: an expression decodes the values that it names and nothing else.
#[derive(Clone, Copy)]
pub(in crate::aggregate) enum Root<'r> {
    /// A row between two stages.
    Row(&'r Document),
    /// A document of the store.
    Stored(&'r RawDocument),
}

/// What is at a path of a stored document.
enum There<'r, 'p> {
    /// A value, or none.
    Value(Option<RawBsonRef<'r>>),
    /// An array on the way, which each of its documents takes part in.
    Through(RawBsonRef<'r>, &'p [String]),
}

impl<'r> Root<'r> {
    /// The value at a path; none where it is missing.
    pub(super) fn at(self, path: &[String]) -> Result<Value> {
        match self {
            Self::Row(document) => Ok(in_document(document, path)),
            Self::Stored(document) => match walk(document, path) {
                There::Value(value) => Ok(value.map(Bson::try_from).transpose()?),
                There::Through(array, rest) => Ok(in_value(&Bson::try_from(array)?, rest)),
            },
        }
    }

    /// The whole document, without what it carries of a search.
    pub(super) fn whole(self) -> Result<Document> {
        let mut whole = match self {
            Self::Row(document) => document.clone(),
            Self::Stored(document) => Document::try_from(document)?,
        };
        whole.remove(SCORE);
        Ok(whole)
    }

    /// The document as bytes.
    pub(in crate::aggregate) fn raw(self) -> Result<Cow<'r, RawDocument>> {
        match self {
            Self::Row(document) => Ok(Cow::Owned(keys::to_raw(document)?)),
            Self::Stored(document) => Ok(Cow::Borrowed(document)),
        }
    }
}

fn walk<'r, 'p>(mut document: &'r RawDocument, mut path: &'p [String]) -> There<'r, 'p> {
    while let Some((head, rest)) = path.split_first() {
        match (order::field(document, head), rest) {
            (value, []) => return There::Value(value),
            (Some(RawBsonRef::Document(inner)), rest) => (document, path) = (inner, rest),
            (Some(array @ RawBsonRef::Array(_)), rest) => return There::Through(array, rest),
            _ => return There::Value(None),
        }
    }
    There::Value(None)
}

impl Expr {
    /// Lends the value to `with`: a value of a stored document without decoding it.
    pub(in crate::aggregate) fn lend<R>(
        &self,
        scope: &Scope<'_>,
        with: impl FnOnce(Option<RawBsonRef<'_>>) -> Result<R>,
    ) -> Result<R> {
        if let Some(value) = self.lying(scope) {
            return with(value);
        }
        match self.eval(scope)? {
            Some(value) => keys::with_raw(&value, |value| with(Some(value))),
            None => with(None),
        }
    }

    /// The value where it lies; none where it is computed, or not lying anywhere as a whole.
    fn lying<'r>(&'r self, scope: &Scope<'r>) -> Option<Option<RawBsonRef<'r>>> {
        match (self, scope.root) {
            (Self::Path { variable: None, path }, Root::Stored(document)) => match walk(document, path) {
                There::Value(value) => Some(value),
                There::Through(..) => None,
            },
            (Self::Value(value), _) => scalar(value).map(Some),
            (Self::Form(form), _) => match &**form {
                Form::IfNull(list) => {
                    let mut value = None;
                    for expr in list {
                        value = expr.lying(scope)?;
                        if !matches!(value, None | Some(RawBsonRef::Null | RawBsonRef::Undefined)) {
                            break;
                        }
                    }
                    Some(value)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Appends the byte form of the value; a missing one is null. As [`keys::encode`] of what the expression evaluates to.
    pub(in crate::aggregate) fn encode(&self, scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<()> {
        let Self::Document(fields) = self else {
            return self.lend(scope, |value| {
                collation::encode(value.unwrap_or(RawBsonRef::Null), scope.strings(), out);
                Ok(())
            });
        };
        keys::begin_document(out);
        for (name, expr) in fields {
            expr.lend(scope, |value| {
                if let Some(value) = value {
                    collation::encode_field(name, value, scope.strings(), out);
                }
                Ok(())
            })?;
        }
        keys::end_document(out);
        Ok(())
    }
}

/// A constant in its raw form, where that needs no memory of its own.
fn scalar(value: &Bson) -> Option<RawBsonRef<'_>> {
    Some(match value {
        Bson::Null => RawBsonRef::Null,
        Bson::Int32(value) => RawBsonRef::Int32(*value),
        Bson::Int64(value) => RawBsonRef::Int64(*value),
        Bson::Double(value) => RawBsonRef::Double(*value),
        Bson::Boolean(value) => RawBsonRef::Boolean(*value),
        Bson::String(value) => RawBsonRef::String(value),
        _ => return None,
    })
}
