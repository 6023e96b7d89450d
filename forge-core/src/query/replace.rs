use std::future::IntoFuture;
use std::marker::PhantomData;

use bson::{Bson, RawDocumentBuf};
use futures_util::future::BoxFuture;

use super::loaded::{self, Expected};
use super::{decode, narrow, wrong_outcome};
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::fields::Filter;
use crate::ir::{self, Operation, Outcome};
use crate::model::{Default as DefaultDef, ModelRef};
use crate::traits::Model;

/// A whole new state of one document; awaiting it gives the document as it is then.
///
/// Everything that the new state does not say is gone, but for the id, the time of creation and the version.
///
/// # Errors
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) where there is no such document;
/// [`ErrorCode::Validation`](crate::ErrorCode::Validation) by the rules of the model;
/// [`ErrorCode::Conflict`](crate::ErrorCode::Conflict) where the document is not as it was expected.
#[must_use = "a replacement runs when it is awaited"]
pub struct Replace<M> {
    handle: Handle,
    filter: ir::Filter,
    document: Result<RawDocumentBuf>,
    with_deleted: bool,
    expected: Option<Expected>,
    error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Replace<M> {
    pub(crate) fn new(handle: Handle, id: Result<Bson>, document: Result<RawDocumentBuf>) -> Self {
        let (id, error) = match id {
            Ok(id) => (id, None),
            Err(error) => (Bson::Null, Some(error)),
        };
        let document = document.and_then(|document| same_id::<M>(&id, document));
        let filter = ir::Filter::eq("_id", id);
        Self { handle, filter, document, with_deleted: false, expected: None, error, _model: PhantomData }
    }

    /// The state of a loaded document, which must be as it was read where its model has a version.
    pub(crate) fn save(handle: Handle, model: &M) -> Self {
        let document = loaded::stored(model);
        let id = document.as_ref().ok().and_then(|document| document.get("_id").ok().flatten());
        let id = id.and_then(|id| Bson::try_from(id).ok()).unwrap_or(Bson::Null);
        let document = document.and_then(|document| {
            loaded::check::<M>(&document, "save")?;
            Ok(document)
        });
        let mut replace = Self::new(handle, Ok(id), document);
        if M::def().version.is_some() {
            replace = replace.if_unchanged(model);
        }
        replace
    }

    /// Replaces the document only if it also matches `filter`.
    pub fn filter(mut self, filter: impl FnOnce(&'static M::Fields) -> Filter<M>) -> Self {
        narrow(&mut self.filter, &mut self.error, filter(M::FIELDS));
        self
    }

    /// A soft-deleted document as well, which stays deleted.
    pub fn with_deleted(mut self) -> Self {
        self.with_deleted = true;
        self
    }

    /// Replaces the document only if nobody has changed it since it was read as `loaded`: its `#[model(version)]` must be
    /// the same.
    pub fn if_unchanged(mut self, loaded: &M) -> Self {
        match Expected::of(loaded, &mut self.filter) {
            Ok(expected) => self.expected = Some(expected),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }
}

impl<M: Model> IntoFuture for Replace<M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if let Some(error) = self.error {
                return Err(error);
            }
            let (model, document, with_deleted) = (ModelRef(M::def()), self.document?, self.with_deleted);
            let replace = ir::Replace { model, filter: self.filter, document, with_deleted };
            match self.handle.execute(Operation::Replace(replace)).await? {
                Outcome::Written { document: Some(document), .. } => decode(&document),
                Outcome::Written { .. } => Err(match self.expected {
                    Some(expected) => expected.failure(&self.handle, M::def(), with_deleted).await,
                    None => Error::not_found(format!("no {} has this id", M::def().name)),
                }),
                _ => Err(wrong_outcome("replace")),
            }
        })
    }
}

/// Refuses a state with another id. Ids that are generated where none is given do not count.
fn same_id<M: Model>(id: &Bson, document: RawDocumentBuf) -> Result<RawDocumentBuf> {
    let given = document.get("_id")?.map(Bson::try_from).transpose()?;
    let generated = M::def().id_field().default == DefaultDef::Generated;
    match given {
        Some(given) if given != *id && !generated => {
            let name = M::def().name;
            Err(Error::bad_request(format!(
                "the id of a {name} never changes, and the new state has another"
            )))
        }
        _ => Ok(document),
    }
}
