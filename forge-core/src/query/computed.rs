use std::marker::PhantomData;

use bson::{Bson, Document, doc};

use super::expr::IntoExpr;
use crate::error::{Error, Result};
use crate::fields::{Assign, Optional};
use crate::traits::Model;

/// Stages that compute the new state of a document; each sees what the ones before it made.
///
/// ```ignore
/// db.update::<Order>(id).update_with(|u| u.set(|o| o.total, |o| o.price * o.count).unset(|o| o.note)).await?;
/// ```
#[must_use]
pub struct Stages<M> {
    pub(super) stages: Vec<Document>,
    pub(super) error: Option<Error>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Stages<M> {
    pub(super) fn new() -> Self {
        Self { stages: Vec::new(), error: None, _model: PhantomData }
    }

    fn stage(mut self, operator: &str, operand: Result<Bson>) -> Self {
        match operand {
            Ok(operand) => self.stages.push(doc! { operator: operand }),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// Sets a field to what an expression over the document gives.
    pub fn set<F: Assign<M>, X: IntoExpr<F::Value>>(
        self,
        field: impl FnOnce(&'static M::Fields) -> F,
        value: impl FnOnce(&'static M::Fields) -> X,
    ) -> Self {
        let path = field(M::FIELDS).assigned();
        let value = value(M::FIELDS).into_expr().into_bson();
        self.stage("$set", value.map(|value| doc! { path: value }.into()))
    }

    /// Removes an optional field.
    pub fn unset<F: Optional<M>>(self, field: impl FnOnce(&'static M::Fields) -> F) -> Self {
        let path = field(M::FIELDS).removed();
        self.stage("$unset", Ok(path.into()))
    }

    /// Puts what an expression gives in place of the whole document, but for its id.
    pub fn replace_with<X: IntoExpr<M>>(self, value: impl FnOnce(&'static M::Fields) -> X) -> Self {
        let value = value(M::FIELDS).into_expr().into_bson();
        self.stage("$replaceWith", value)
    }

    /// A stage in MongoDB's own form: `$set`, `$unset`, `$project`, `$replaceWith` and their other names.
    pub fn raw(mut self, stage: Document) -> Self {
        self.stages.push(stage);
        self
    }
}
