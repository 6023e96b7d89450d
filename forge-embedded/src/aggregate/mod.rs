//! Pipelines.
use crate::read::View;
use bson::{Document, RawDocumentBuf};
use forge_core::{Error, Result};

pub(crate) fn run(
    _view: &View<'_, '_>,
    _collection: &str,
    _pipeline: &[Document],
) -> Result<Vec<RawDocumentBuf>> {
    Err(Error::unsupported("aggregate"))
}
pub(crate) fn head(_pipeline: &[Document]) -> Option<(&Document, Option<&Document>)> {
    None
}
