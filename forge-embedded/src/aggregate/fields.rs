//! Computed fields outside of pipelines: those of the projection of a find.

use bson::{Document, RawDocument};
use forge_core::Result;

use super::context::Context;
use super::expr::Expr;
use super::stages::flatten;
use crate::collation::Strings;
use crate::read::View;
use crate::update::set_path;

/// Expressions by their paths, and what they see beside the document.
pub(crate) struct Fields<'v, 't> {
    cx: Context<'v, 't>,
    list: Vec<(String, Expr)>,
}

impl<'v, 't> Fields<'v, 't> {
    /// Reads expressions.
    ///
    /// # Errors
    /// As [`Expr::parse`].
    pub(crate) fn new(view: &'v View<'v, 't>, form: &Document, strings: Strings<'_>) -> Result<Self> {
        let mut fields = Vec::new();
        flatten("", form, &mut fields);
        let list = fields.into_iter().map(|(path, value)| Ok((path, Expr::parse(value)?)));
        Ok(Self { cx: Context::new(view, strings), list: list.collect::<Result<_>>()? })
    }

    /// Adds what the expressions make of a document of the store. Those that make nothing add nothing.
    pub(crate) fn add(&self, stored: &RawDocument, shown: &mut Document) -> Result<()> {
        for (path, expr) in &self.list {
            if let Some(value) = expr.eval(&self.cx.scope_of(stored))? {
                set_path(shown, path, value)?;
            }
        }
        Ok(())
    }
}
