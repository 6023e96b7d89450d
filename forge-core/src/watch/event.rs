//! What a change stream tells.

use std::fmt;
use std::marker::PhantomData;

use bson::raw::RawBsonRef;
use bson::{Bson, RawDocument, RawDocumentBuf};
use serde::de::DeserializeOwned;

use crate::adapter::{ChangeEvent, ChangeKind, ResumeToken};
use crate::error::{Error, Result};
use crate::fields::Field;
use crate::query::decode;
use crate::traits::Model;
use crate::value;

/// One change of a document, or of the whole collection.
#[non_exhaustive]
pub struct Change<M: Model> {
    /// What happened.
    pub event: Event<M>,
    /// The version of the commit; changes of one transaction have the same.
    pub version: u64,
    /// Where to go on after this change. Only the last of a commit has one: a transaction's changes come together, and
    /// whoever goes on in its middle would miss the rest.
    pub token: Option<ResumeToken>,
    /// Whether the document matched the stream's filter before the change; none where that is not known.
    pub matched_before: Option<bool>,
    /// Whether the document matches the stream's filter now; none where that is not known.
    pub matches_now: Option<bool>,
}

/// What happened.
// Changes are not kept in numbers, so that the size of the largest is no loss.
#[allow(clippy::large_enum_variant, reason = "see above")]
#[non_exhaustive]
pub enum Event<M: Model> {
    /// A new document.
    Insert(M),
    /// Some fields of a document changed.
    Update(Updated<M>),
    /// A document was replaced.
    Replace {
        /// As it is now.
        document: M,
        /// As it was, where the feed knows.
        before: Option<M>,
    },
    /// A document is gone.
    Delete {
        /// Its id.
        id: M::Id,
        /// As it was, where the feed knows: on servers with `#[model(pre_images)]`.
        before: Option<M>,
    },
    /// The whole collection was dropped or renamed.
    Dropped,
}

/// A document of which some fields changed.
#[non_exhaustive]
pub struct Updated<M: Model> {
    /// Its id.
    pub id: M::Id,
    /// As it is after the change. With before-images that is exact; without them, servers look it up when they tell
    /// of the change, so that it may be newer, or gone: none. `changed` is exact in any case.
    pub document: Option<M>,
    /// As it was, where the feed knows: on servers with `#[model(pre_images)]`.
    pub before: Option<M>,
    /// What changed.
    pub changed: Changed<M>,
}

/// The fields that an update changed.
pub struct Changed<M> {
    paths: Vec<String>,
    /// Values by path, where the feed tells them.
    updated: Option<RawDocumentBuf>,
    after: Option<RawDocumentBuf>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Changed<M> {
    /// The stored paths that were set, removed or shortened. Inside of lists and embedded documents they can be longer
    /// than any field: `legs.0.distance`.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The stored paths that are gone with the change.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.paths
            .iter()
            .map(String::as_str)
            .filter(|path| self.raw(path).is_none_or(|value| value.is_none()))
    }

    /// Whether the field, or something inside of it, changed.
    pub fn has<T>(&self, field: impl FnOnce(&'static M::Fields) -> Field<M, T>) -> bool {
        let field = field(M::FIELDS).path();
        self.paths.iter().any(|path| is_within(path, field) || is_within(field, path))
    }

    /// The value that the change gave to the field; none where it left the field alone, removed it, changed only a part
    /// of it whose whole is not known, or where the value is not known.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where the stored value is not a `T`.
    pub fn get<T: DeserializeOwned>(
        &self,
        field: impl FnOnce(&'static M::Fields) -> Field<M, T>,
    ) -> Result<Option<T>> {
        let field = field(M::FIELDS).path();
        if !self.paths.iter().any(|path| is_within(path, field) || is_within(field, path)) {
            return Ok(None);
        }
        self.raw(field).flatten().map(value::from_raw).transpose()
    }

    /// The value at a path after the change: known to be absent, or not known at all.
    fn raw(&self, path: &str) -> Option<Option<RawBsonRef<'_>>> {
        let Some(updated) = &self.updated else {
            return self.after.as_deref().map(|after| at(after, path));
        };
        if let Ok(Some(value)) = updated.get(path) {
            return Some(Some(value));
        }
        // A part of something that was set as a whole, or the whole of something of which a part was set.
        let outer =
            updated.iter().flatten().find(|(set, _)| is_within(path, set.as_str()) && set.as_str() != path);
        if let Some((set, value)) = outer {
            let rest = &path[set.as_str().len() + 1..];
            return Some(value.as_document().and_then(|document| at(document, rest)));
        }
        if updated.iter().flatten().any(|(set, _)| is_within(set.as_str(), path)) {
            return self.after.as_deref().map(|after| at(after, path));
        }
        self.paths.iter().any(|changed| changed == path).then_some(None)
    }
}

/// Whether `path` is `outer` or leads into it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn at<'d>(document: &'d RawDocument, path: &str) -> Option<RawBsonRef<'d>> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (document.get(first).ok()??, rest) {
        (value, None) => Some(value),
        (RawBsonRef::Document(inner), Some(rest)) => at(inner, rest),
        _ => None,
    }
}

impl<M: Model> fmt::Debug for Changed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changed").field(&self.paths).finish()
    }
}

impl<M: Model> Change<M> {
    /// Whether the document came to match the stream's filter by this change.
    pub fn entered(&self) -> bool {
        self.matched_before == Some(false) && self.matches_now == Some(true)
    }

    /// Whether the document no longer matches the stream's filter since this change.
    pub fn left(&self) -> bool {
        self.matched_before == Some(true) && self.matches_now == Some(false)
    }
}

impl<M: Model + fmt::Debug> fmt::Debug for Change<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Change");
        match &self.event {
            Event::Insert(document) => out.field("insert", document),
            Event::Update(update) => out.field("update", &update.document).field("changed", &update.changed),
            Event::Replace { document, .. } => out.field("replace", document),
            Event::Delete { before, .. } => out.field("delete", before),
            Event::Dropped => out.field("dropped", &true),
        };
        out.field("version", &self.version).finish_non_exhaustive()
    }
}

/// The typed form of what the feed says.
///
/// # Errors
/// [`ErrorCode::Internal`](crate::ErrorCode::Internal) naming the document and field where it is no `M`.
pub(super) fn typed<M: Model>(event: ChangeEvent) -> Result<Event<M>> {
    let before = event.before.as_deref().map(decode).transpose()?;
    Ok(match event.kind {
        ChangeKind::Insert => Event::Insert(decode(known(&event)?)?),
        ChangeKind::Replace => Event::Replace { document: decode(known(&event)?)?, before },
        ChangeKind::Delete => Event::Delete { id: id(&event.id)?, before },
        ChangeKind::Update => Event::Update(Updated {
            id: id(&event.id)?,
            document: event.after.as_deref().map(decode).transpose()?,
            before,
            changed: Changed {
                paths: event.touched.unwrap_or_default(),
                updated: event.updated,
                after: event.after,
                _model: PhantomData,
            },
        }),
        ChangeKind::Drop => Event::Dropped,
    })
}

fn known(event: &ChangeEvent) -> Result<&RawDocument> {
    event.after.as_deref().ok_or_else(|| {
        Error::internal(format!(
            "the change of the document {} in {} came without it",
            event.id, event.collection
        ))
    })
}

fn id<T: DeserializeOwned>(id: &Bson) -> Result<T> {
    value::from_bson(id.clone())
}
