//! Results batch by batch, all from the snapshot that was newest when the stream was opened.
//!
//! A read in the order of the documents goes on from the last key of a batch. Every other order is found out first: the
//! keys of the result are held then, not its documents.

use std::sync::Arc;

use bson::{Document, RawDocument, RawDocumentBuf};
use forge_core::{Env, Error, Result};
use forge_mongo::{Command, MongoArtifact};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::plan::Access;
use crate::project::Projection;
use crate::query::Query;
use crate::read::View;
use crate::shown;
use crate::store::{Snapshot, Span, Tables, doc_key};

/// Opens a stream of a find, `batch` documents at a time.
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
        batch: batch.max(1) as usize,
    };
    let rest = reading.start()?;
    let batches = stream::try_unfold((reading, rest), |(reading, mut rest)| async move {
        let documents = reading.next(&mut rest)?;
        Ok((!documents.is_empty()).then_some((documents, (reading, rest))))
    });
    Ok(batches.boxed())
}

struct Reading {
    snapshot: Snapshot,
    catalog: Arc<Catalog>,
    database: String,
    artifact: MongoArtifact,
    env: Env,
    batch: usize,
}

/// What has not been read yet.
enum Rest {
    /// The documents of a span that match, from a side of it.
    Span { span: Span, skip: usize, left: usize },
    /// These documents, by their full keys.
    Ids(std::vec::IntoIter<Vec<u8>>),
}

impl Reading {
    fn query(&self) -> Result<Query> {
        let Command::Find { filter, sort, skip, limit, .. } = &self.artifact.command else {
            return Err(Error::internal(format!("{} cannot be streamed", self.artifact.command.name())));
        };
        Query::new(filter)?.sorted(sort.as_ref())?.window(*skip, *limit).with(&self.artifact.options)
    }

    fn with_view<R>(&self, read: impl FnOnce(&View<'_, '_>) -> Result<R>) -> Result<R> {
        let tables = Tables::read(&self.snapshot)?;
        let clock = Clock::new(&self.env, &self.artifact);
        read(&View { tables: &tables, catalog: &self.catalog, database: &self.database, clock: &clock })
    }

    fn start(&self) -> Result<Rest> {
        let query = self.query()?;
        self.with_view(|view| {
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
            let ids =
                view.select(name, &query, &|id_key, _: &RawDocument| Ok(doc_key(collection.id, id_key)))?;
            Ok(Rest::Ids(ids.into_iter()))
        })
    }

    fn next(&self, rest: &mut Rest) -> Result<Vec<RawDocumentBuf>> {
        let Command::Find { projection, .. } = &self.artifact.command else { return Ok(Vec::new()) };
        let projection = projection.as_ref().map_or(Ok(Projection::Whole), Projection::parse)?;
        self.with_view(|view| match rest {
            Rest::Ids(ids) => {
                let mut documents = Vec::new();
                for key in ids.by_ref().take(self.batch) {
                    if let Some(bytes) = view.tables.doc(&key)? {
                        documents.push(projection.apply(RawDocument::from_bytes(bytes.value())?)?);
                    }
                }
                Ok(documents)
            }
            Rest::Span { span, skip, left } => self.scan(view, &projection, (span, skip, left)),
        })
    }

    /// Reads on in a span, and leaves what comes after.
    fn scan(
        &self,
        view: &View<'_, '_>,
        projection: &Projection,
        (span, skip, left): (&mut Span, &mut usize, &mut usize),
    ) -> Result<Vec<RawDocumentBuf>> {
        let query = self.query()?;
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
                documents.push(projection.apply(document)?);
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

/// Whether a find can be streamed as documents lie there: not the rows of a view, and without computed fields.
pub(crate) fn is_plain(artifact: &MongoArtifact) -> bool {
    let plain = |form: &Document| shown::is_plain(form);
    matches!(&artifact.command, Command::Find { projection, .. } if projection.as_ref().is_none_or(plain))
}
