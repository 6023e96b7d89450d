//! Results batch by batch, all from the snapshot that was newest when the stream was opened.
//!
//! A read in the order of the documents goes on from the last key of a batch. Every other order is found out first: the
//! keys of the result are held then, not its documents.

use std::sync::Arc;

use bson::{Document, RawDocument, RawDocumentBuf};
use forge_core::{DateTime, Env, Error, Result};
use forge_mongo::{Command, MongoArtifact};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};

use crate::aggregate::{self, Steps};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::collation::Collator;
use crate::engine::Engine;
use crate::plan::Access;
use crate::project::Projection;
use crate::query::Query;
use crate::read::View;
use crate::shown;
use crate::store::{Snapshot, Span, Tables, doc_key};
use crate::text::SCORE;

/// What becomes of a document and its score.
type Make<'m, T> = &'m dyn Fn(&RawDocument, Option<f64>) -> Result<T>;

/// Opens a stream of a find, or of a pipeline that [has batches](aggregate::has_batches), `batch` documents at a time.
pub(crate) fn open(
    engine: &Engine,
    database: &str,
    artifact: &MongoArtifact,
    batch: u32,
) -> Result<BoxStream<'static, Result<Vec<RawDocumentBuf>>>> {
    let (snapshot, catalog) = engine.snapshot()?;
    let reading = Reading {
        snapshot,
        catalog,
        database: database.to_owned(),
        artifact: artifact.clone(),
        env: engine.env.clone(),
        now: engine.env.now(),
        batch: batch.max(1) as usize,
    };
    let (rest, steps) = reading.start()?;
    let batches = stream::try_unfold((reading, rest, steps), |(reading, mut rest, mut steps)| async move {
        let documents = match &mut steps {
            None => reading.next(&mut rest)?,
            Some(steps) => reading.next_through(&mut rest, steps)?,
        };
        Ok((!documents.is_empty()).then_some((documents, (reading, rest, steps))))
    });
    Ok(batches.boxed())
}

/// Hands out what was found, `batch` documents at a time.
pub(crate) fn in_batches(
    documents: Vec<RawDocumentBuf>,
    batch: u32,
) -> BoxStream<'static, Result<Vec<RawDocumentBuf>>> {
    let mut documents = documents.into_iter();
    let batches = std::iter::from_fn(move || {
        let next: Vec<_> = documents.by_ref().take(batch.max(1) as usize).collect();
        (!next.is_empty()).then_some(Ok(next))
    });
    stream::iter(batches).boxed()
}

struct Reading {
    snapshot: Snapshot,
    catalog: Arc<Catalog>,
    database: String,
    artifact: MongoArtifact,
    env: Env,
    /// When the stream was opened: all of its batches are of this moment.
    now: DateTime,
    batch: usize,
}

/// What has not been read yet.
enum Rest {
    /// The documents of a span that match, from a side of it.
    Span { span: Span, skip: usize, left: usize },
    /// These documents, by their full keys, each with its score in a search.
    Ids(std::vec::IntoIter<(Vec<u8>, Option<f64>)>),
}

impl Reading {
    /// What is asked of the collection, and how many stages of a pipeline say so.
    fn query(&self, view: &View<'_, '_>) -> Result<(Query, usize)> {
        match &self.artifact.command {
            Command::Find { filter, sort, skip, limit, .. } => {
                let query = Query::new(filter)?.sorted(sort.as_ref())?.window(*skip, *limit);
                Ok((query.with(&self.artifact.options)?, 0))
            }
            Command::Aggregate { pipeline } => {
                let (collator, hint) = (self.collator()?, self.artifact.options.hint.as_deref());
                aggregate::source(view, pipeline, collator.as_ref(), hint, self.now)
            }
            other => Err(Error::internal(format!("{} cannot be streamed", other.name()))),
        }
    }

    fn collator(&self) -> Result<Option<Collator>> {
        Collator::of_options(&self.artifact.options)
    }

    fn with_view<R>(&self, read: impl FnOnce(&View<'_, '_>) -> Result<R>) -> Result<R> {
        let tables = Tables::read(&self.snapshot)?;
        let clock = Clock::new(&self.env, &self.artifact);
        read(&View { tables: &tables, catalog: &self.catalog, database: &self.database, clock: &clock })
    }

    fn start(&self) -> Result<(Rest, Option<Steps>)> {
        self.with_view(|view| {
            let Command::Aggregate { pipeline } = &self.artifact.command else {
                let (query, _) = self.query(view)?;
                return Ok((self.rest(view, &query)?, None));
            };
            let first = pipeline.first().map(|first| view.found(&self.artifact.collection, first));
            if let Some(found) = first.transpose()?.flatten() {
                let found: Vec<_> = found.into_iter().map(|(score, key)| (key, Some(score))).collect();
                return Ok((Rest::Ids(found.into_iter()), Some(self.steps(view, &pipeline[1..])?)));
            }
            let (query, stages) = self.query(view)?;
            Ok((self.rest(view, &query)?, Some(self.steps(view, &pipeline[stages..])?)))
        })
    }

    fn steps(&self, view: &View<'_, '_>, stages: &[Document]) -> Result<Steps> {
        let mut steps = Steps::new(stages)?;
        // What means nothing is an error also where there are no documents.
        steps.apply(view, Vec::new(), self.collator()?.as_ref(), self.now)?;
        Ok(steps)
    }

    fn rest(&self, view: &View<'_, '_>, query: &Query) -> Result<Rest> {
        let name = &self.artifact.collection;
        let Some(collection) = view.collection(name) else {
            return Ok(Rest::Ids(Vec::new().into_iter()));
        };
        let plan = query.plan(collection)?;
        if let Access::Documents { span, .. } = plan.access
            && plan.order.settled >= query.sort.len()
            && query.near.is_none()
            && !query.has_words()
        {
            let left = query.limit.unwrap_or(usize::MAX);
            return Ok(Rest::Span { span, skip: query.skip, left });
        }
        let ids = view.select(name, query, &|id_key, document| {
            let score = document.get(SCORE).ok().flatten().and_then(bson::RawBsonRef::as_f64);
            Ok((doc_key(collection.id, id_key), score))
        })?;
        Ok(Rest::Ids(ids.into_iter()))
    }

    /// The next documents of a find.
    fn next(&self, rest: &mut Rest) -> Result<Vec<RawDocumentBuf>> {
        let Command::Find { projection, .. } = &self.artifact.command else { return Ok(Vec::new()) };
        let projection = projection.as_ref().map_or(Ok(Projection::Whole), Projection::parse)?;
        self.with_view(|view| self.read(view, rest, &|document, _| projection.apply(document)))
    }

    /// The next documents of a pipeline: those of the next batch of which anything is left.
    fn next_through(&self, rest: &mut Rest, steps: &mut Steps) -> Result<Vec<RawDocumentBuf>> {
        let collator = self.collator()?;
        self.with_view(|view| {
            while !steps.is_over() {
                let rows = self.read(view, rest, &|document, score| {
                    let mut row = Document::try_from(document)?;
                    row.extend(score.map(|score| (SCORE.to_owned(), score.into())));
                    Ok(row)
                })?;
                if rows.is_empty() {
                    break;
                }
                let made = steps.apply(view, rows, collator.as_ref(), self.now)?;
                if !made.is_empty() {
                    return Ok(made);
                }
            }
            Ok(Vec::new())
        })
    }

    /// Reads the next documents, and leaves what comes after them.
    fn read<T>(&self, view: &View<'_, '_>, rest: &mut Rest, make: Make<'_, T>) -> Result<Vec<T>> {
        match rest {
            Rest::Ids(ids) => {
                let mut documents = Vec::new();
                for (key, score) in ids.by_ref().take(self.batch) {
                    if let Some(bytes) = view.tables.doc(&key)? {
                        documents.push(make(RawDocument::from_bytes(bytes.value())?, score)?);
                    }
                }
                Ok(documents)
            }
            Rest::Span { span, skip, left } => self.scan(view, make, (span, skip, left)),
        }
    }

    /// Reads on in a span, and leaves what comes after.
    fn scan<T>(
        &self,
        view: &View<'_, '_>,
        make: Make<'_, T>,
        (span, skip, left): (&mut Span, &mut usize, &mut usize),
    ) -> Result<Vec<T>> {
        let (query, _) = self.query(view)?;
        let Some(collection) = view.collection(&self.artifact.collection) else { return Ok(Vec::new()) };
        let mut plan = query.plan(collection)?;
        plan.access = Access::Documents { span: span.clone(), bounded: true };
        let matching = query.residual(&plan, view.clock)?;
        let wanted = self.batch.min(*left);
        let (mut documents, mut last) = (Vec::new(), None);
        if wanted > 0 {
            view.scan(collection, &plan, &mut |id_key, document| {
                if !matching.matches(document) {
                    return Ok(true);
                }
                if *skip > 0 {
                    *skip -= 1;
                    return Ok(true);
                }
                documents.push(make(document, None)?);
                last = Some(doc_key(collection.id, id_key));
                Ok(documents.len() < wanted)
            })?;
            matching.outcome()?;
        }
        *left -= documents.len();
        match last {
            Some(last) if plan.order.reverse => span.end = Some(last),
            // The next key after one is the same with a zero byte at its end.
            Some(mut last) => {
                last.push(0);
                span.start = last;
            }
            None => {}
        }
        Ok(documents)
    }
}

/// Whether a read can be streamed as documents lie there: not the rows of a view, without computed fields, and by stages
/// that look at one document at a time.
pub(crate) fn is_plain(artifact: &MongoArtifact) -> bool {
    let plain = |form: &Document| shown::is_plain(form);
    match &artifact.command {
        Command::Find { projection, .. } => projection.as_ref().is_none_or(plain),
        Command::Aggregate { pipeline } => aggregate::has_batches(pipeline),
        _ => false,
    }
}
