use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use bson::{Document, RawDocument};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::de::DeserializeOwned;

use super::search::widen;
use super::{Columns, Documents, Pipeline, Whole};
use crate::adapter::Explanation;
use crate::codec;
use crate::db::{CanWrite, Handle};
use crate::error::{Error, Result};
use crate::ir::{self, Operation, Outcome, Rows, Stage};
use crate::model::ModelRef;
use crate::query::decode::Dirt;
use crate::query::options::read_options;
use crate::query::reading::BATCH;
use crate::query::stream::Results;
use crate::query::wrong_outcome;
use crate::schema;
use crate::traits::Model;

/// The stages in extended JSON, canonical or relaxed: an array of objects, each a stage.
///
/// # Errors
/// `bad_request` for what is no list of stages; `forbidden` for stages that write or run code on the server.
///
/// ```
/// use forge_core::query::pipeline::from_json;
///
/// let stages = from_json(r#"[{ "$match": { "at": { "$gt": { "$date": "2001-01-01T00:00:00Z" } } } }]"#)?;
/// assert_eq!(stages.len(), 1);
/// assert!(from_json(r#"[{ "$out": "elsewhere" }]"#).is_err());
/// # Ok::<(), forge_core::Error>(())
/// ```
pub fn from_json(stages: &str) -> Result<Vec<Document>> {
    let stages = schema::from_json(stages)?;
    stages.iter().try_for_each(ir::pipeline::check_raw)?;
    Ok(stages)
}

impl<M: Model, A> Pipeline<Documents<M>, Whole<A>> {
    pub(crate) fn new(handle: Handle) -> Self {
        let host = Whole { handle, _access: PhantomData };
        Self::over(ir::Source::new(ModelRef(M::def())), Some(host))
    }
}

read_options!(
    [R: Columns, A] Pipeline<R, Whole<A>>,
    "How strings compare, in conditions, sorts, groups, joins and expressions."
);

impl<R: Columns, A> Pipeline<R, Whole<A>> {
    fn options(&mut self) -> &mut ir::ReadOptions {
        &mut self.options
    }

    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// The operation that awaiting this would run.
    ///
    /// # Errors
    /// What a stage found wrong with what it was given.
    pub fn to_ir(self) -> Result<ir::Pipeline> {
        self.into_operation().map(|(_, operation)| operation)
    }

    fn into_operation(self) -> Result<(Handle, ir::Pipeline)> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let host = self.host.ok_or_else(|| Error::internal("a part of a pipeline cannot be run"))?;
        let (source, mut search, options) = (self.source, self.search, self.options);
        if let Some(search) = search.as_deref_mut() {
            widen(search, &source);
        }
        Ok((host.handle, ir::Pipeline { search, options, ..ir::Pipeline::new(source) }))
    }

    /// The documents, as values of any type.
    ///
    /// # Errors
    /// What the database answers; [`ErrorCode::Internal`](crate::ErrorCode::Internal) where a document is not a `T`.
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<Vec<T>> {
        let (handle, operation) = self.into_operation()?;
        let model = operation.source.model;
        match handle.execute(Operation::Pipeline(operation)).await? {
            Outcome::Rows(rows) => rows.documents.iter().map(|row| decoded(model, row)).collect(),
            _ => Err(wrong_outcome("pipeline")),
        }
    }

    /// The documents one by one, with no more than a batch of them in memory; nothing comes after an error.
    ///
    /// Inside of a transaction all of them are read at once.
    pub fn stream(self) -> Results<R::Owner>
    where
        R::Owner: DeserializeOwned + Send + 'static,
    {
        self.stream_as()
    }

    /// As [`stream`](Self::stream), as values of any type. What is no `T` ends a lenient stream too: it need not be a
    /// document that anybody stored.
    pub fn stream_as<T: DeserializeOwned + Send + 'static>(self) -> Results<T> {
        let model = self.source.model;
        let parts = self.into_operation();
        let open = async move {
            let (handle, operation) = parts?;
            handle.stream_pipeline(operation, BATCH).await
        };
        let row = move |rows: &Rows, position: usize, _: Option<&Dirt>| {
            decoded(model, &rows.documents[position]).map(Some)
        };
        Results::new(stream::once(open).try_flatten().boxed(), Arc::new(row))
    }

    /// The first document, where there is one.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn fetch_one<T: DeserializeOwned>(self) -> Result<Option<T>> {
        Ok(self.limit(1).fetch().await?.into_iter().next())
    }

    /// How the database would run this: its commands, indexes and warnings.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn explain(self) -> Result<Explanation> {
        let (handle, operation) = self.into_operation()?;
        handle.explain(Operation::Pipeline(operation)).await
    }

    /// Ends the pipeline with a stage that writes, in MongoDB's own form: `$merge` or `$out`. It goes past models, their
    /// rules and their relations.
    ///
    /// # Errors
    /// What the database answers, also inside of a transaction, where no engine stores results.
    pub async fn write(self, stage: Document) -> Result<()>
    where
        A: CanWrite,
    {
        let writes = stage.len() == 1 && (stage.contains_key("$merge") || stage.contains_key("$out"));
        if !writes {
            return Err(Error::bad_request(format!("a pipeline writes by `$merge` or `$out`, not {stage}")));
        }
        let (handle, mut operation) = self.into_operation()?;
        operation.source.stages.push(Stage::Raw(stage));
        operation.writes = true;
        match handle.execute(Operation::Pipeline(operation)).await? {
            Outcome::Rows(_) => Ok(()),
            _ => Err(wrong_outcome("pipeline")),
        }
    }
}

fn decoded<T: DeserializeOwned>(model: ModelRef, row: &RawDocument) -> Result<T> {
    codec::decode(row).map_err(|error| {
        Error::internal(format!(
            "a pipeline over {} gives what is not a {}: {error}",
            model.name,
            std::any::type_name::<T>()
        ))
        .with_source(error)
    })
}

impl<R: Columns + 'static, A: 'static> IntoFuture for Pipeline<R, Whole<A>>
where
    R::Owner: DeserializeOwned + Send,
{
    type Output = Result<Vec<R::Owner>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.fetch())
    }
}
