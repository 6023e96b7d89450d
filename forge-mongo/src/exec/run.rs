//! The surroundings of one operation, and the one place that sends commands.

use std::sync::{Mutex, PoisonError};

use bson::RawDocumentBuf;
use forge_core::adapter::{Exec, ExplainStep};
use forge_core::error::Details;
use forge_core::ir::{Collation, Filter, Projection, ReadOptions, SCORE, Select, SortKey};
use forge_core::matcher::Window;
use forge_core::model::{ModelDef, RelationDef};
use forge_core::{Catalog, Error, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{tenant, views};
use crate::artifact::{Command, MongoArtifact, Reply};
use crate::compile;
use crate::driver::Driver;
use crate::scans::ScanLog;

/// With more keys than this the server does the join itself, where it can: the keys would cost more on the wire, and in
/// the index, than they save.
pub(super) const FEW_KEYS: usize = 20_000;

/// One operation under way.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) driver: &'a dyn Driver,
    pub(super) catalog: &'a Catalog,
    pub(super) exec: &'a Exec,
    /// Where each command is explained before it runs.
    pub(super) steps: Option<&'a Mutex<Vec<ExplainStep>>>,
    /// Where the ways that were chosen are told.
    pub(super) choices: Option<&'a Mutex<Vec<String>>>,
    /// Where queries without an index are remembered.
    pub(super) scans: Option<&'a ScanLog>,
    /// What the present command is for, where it is not the operation itself.
    pub(super) purpose: Option<(&'static str, &'static str)>,
    /// How strings compare in commands that do not say so themselves.
    pub(super) collation: Option<&'a Collation>,
    /// How many relations lead to it.
    pub(super) depth: u32,
    /// Up to how many keys of related documents are sent where the server could join.
    pub(super) few_keys: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(driver: &'a dyn Driver, catalog: &'a Catalog, exec: &'a Exec) -> Self {
        Self {
            driver,
            catalog,
            exec,
            steps: None,
            choices: None,
            scans: None,
            purpose: None,
            collation: None,
            depth: 0,
            few_keys: FEW_KEYS,
        }
    }

    /// The same, with another number of keys up to which they are sent.
    pub(super) fn joining_above(self, few_keys: usize) -> Self {
        Self { few_keys, ..self }
    }

    /// The same, with a log of queries that no index serves.
    pub(super) fn watched_by(self, scans: &'a ScanLog) -> Self {
        Self { scans: Some(scans).filter(|scans| scans.is_on()), ..self }
    }

    /// The same for the commands that find what a read with these options is about.
    pub(super) fn under<'b>(self, options: &'b ReadOptions) -> Run<'b>
    where
        'a: 'b,
    {
        self.comparing_by(options.collation.as_ref())
    }

    /// The same with strings that compare so.
    pub(super) fn comparing_by<'b>(self, collation: Option<&'b Collation>) -> Run<'b>
    where
        'a: 'b,
    {
        Run { collation, ..self }
    }

    /// The same with strings that compare by their bytes.
    pub(super) fn by_bytes(self) -> Self {
        Self { collation: None, ..self }
    }

    /// The same for the commands of an include or of a count of related documents.
    pub(super) fn within(self, relation: &'static RelationDef, count: bool) -> Self {
        let verb = if count { "count" } else { "include" };
        Self { purpose: Some((verb, relation.name)), depth: self.depth + 1, ..self }
    }

    /// The same for the commands that resolve a filter on a relation.
    pub(super) fn resolving(self, relation: &'static RelationDef) -> Self {
        Self { purpose: Some(("filter", relation.name)), depth: self.depth + 1, ..self }
    }

    /// Whether a command cannot find anything.
    pub(super) fn nothing_to_ask(&self, artifact: &MongoArtifact) -> bool {
        answer_without_asking(&artifact.command).is_some()
    }

    pub(super) fn database(&self) -> &'a str {
        self.exec.database.as_deref().unwrap_or_else(|| self.driver.default_database())
    }

    /// Tells which way was chosen, where somebody wants to know.
    pub(super) fn chose(&self, way: impl FnOnce() -> String) {
        if let Some(choices) = self.choices {
            choices.lock().unwrap_or_else(PoisonError::into_inner).push(way());
        }
    }

    /// Records that what this command reads makes a difference. The number of the record, where there is one that can
    /// be narrowed.
    pub(super) fn record(&self, model: &ModelDef, filter: &Filter) -> Option<usize> {
        // Policies and tenants are asked where somebody wants to know, not twice for each command.
        self.exec.reads.as_ref()?;
        // Without a tenant there is nothing to read, and the command says so.
        let tenant = self.exec.tenant.condition(model).ok()?;
        let readable = self.recordable(model)?;
        if let Some(sources) = views::sources(model) {
            for source in &sources {
                self.exec.record_read(self.database(), source, || Filter::All);
            }
            return None;
        }
        // Under a collation more may match than a change feed can tell.
        let filter = if self.collation.is_some() { &Filter::All } else { filter };
        self.exec.record_read(self.database(), model.collection, || tenant.and(readable).and(filter.clone()))
    }

    /// As [`record`](Run::record), of a command with these options.
    pub(super) fn record_under(
        &self,
        options: &ReadOptions,
        model: &ModelDef,
        filter: &Filter,
    ) -> Option<usize> {
        self.under(options).record(model, filter)
    }

    /// Whether somebody wants to know where the read ended.
    pub(super) fn wants_window(&self, select: &Select) -> bool {
        self.exec.reads.is_some() && select.limit.is_some() && !select.sort.is_empty()
    }

    /// Notes where a read ended, now that `documents` answered it.
    pub(super) fn narrow(&self, number: usize, select: &Select, documents: &[RawDocumentBuf]) {
        if let (Some(reads), Some(window)) = (&self.exec.reads, window(select, documents)) {
            reads.narrow(number, window);
        }
    }

    /// Runs a command; one that cannot find anything is answered without.
    pub(super) async fn send(&self, mut artifact: Box<MongoArtifact>) -> Result<Reply> {
        if let Some(collation) = self.collation {
            artifact.options.collation.get_or_insert_with(|| collation.clone());
        }
        if self.catalog.has_tenants() || self.asks_policies() {
            return self.send_scoped(artifact).boxed().await;
        }
        if self.is_looked_at() {
            return self.dispatch(artifact).boxed().await;
        }
        match answer_without_asking(&artifact.command) {
            Some(reply) => Ok(reply),
            None => self.answered(self.ask(artifact).await),
        }
    }

    async fn send_scoped(&self, artifact: Box<MongoArtifact>) -> Result<Reply> {
        let artifact = Box::new(tenant::scoped(self.catalog, &self.exec.tenant, *artifact)?);
        if self.asks_policies() { self.guarded(artifact).await } else { self.dispatch(artifact).await }
    }

    /// Whether somebody wants to know of commands.
    fn is_looked_at(&self) -> bool {
        self.steps.is_some() || self.scans.is_some() || self.exec.observers.is_some()
    }

    /// Runs a command as it is.
    pub(super) async fn dispatch(&self, artifact: Box<MongoArtifact>) -> Result<Reply> {
        if let Some(reply) = answer_without_asking(&artifact.command) {
            return Ok(reply);
        }
        if let Some(steps) = self.steps {
            let mut step = self.driver.explain(self.database(), &artifact).await?;
            step.purpose = self.purpose.map(|(verb, relation)| format!("{verb} {relation}"));
            step.depth = self.depth;
            steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        }
        if let Some(scans) = self.scans {
            let shape = super::shape::shape(&artifact);
            scans.look(self.driver, self.database(), self.catalog, &artifact, shape).boxed().await;
        }
        self.answered(match &self.exec.observers {
            Some(observers) => self.observed(observers, artifact).boxed().await,
            None => self.ask(artifact).await,
        })
    }

    #[inline]
    fn ask(&self, artifact: Box<MongoArtifact>) -> BoxFuture<'a, Result<(Reply, Option<u64>)>> {
        self.driver.run(self.database(), artifact, self.exec.transaction.as_deref())
    }

    #[inline]
    fn answered(&self, answer: Result<(Reply, Option<u64>)>) -> Result<Reply> {
        match answer {
            Ok((reply, version)) => {
                if let Some(version) = version {
                    self.written(version);
                }
                Ok(reply)
            }
            Err(error) => Err(self.name_model(error)),
        }
    }

    pub(super) fn written(&self, version: u64) {
        if let Some(written) = &self.exec.written {
            written.record(self.database(), version);
        }
    }

    /// Drivers know collections; people know models.
    #[cold]
    fn name_model(&self, error: Error) -> Error {
        let Details::Unique { model: collection, fields } = error.details() else { return error };
        let Some(model) = self.catalog.by_collection(collection) else { return error };
        Error::unique_violation(model.name, tenant::without_key(model, fields.clone()))
            .with_retry(error.retry())
            .with_source(error)
    }

    pub(super) async fn documents(&self, artifact: Box<MongoArtifact>) -> Result<Vec<RawDocumentBuf>> {
        let asked = artifact.command.name();
        match self.send(artifact).await? {
            Reply::Documents(documents) => Ok(documents),
            other => Err(unexpected(asked, &other)),
        }
    }

    pub(super) async fn count(&self, artifact: Box<MongoArtifact>) -> Result<u64> {
        let asked = artifact.command.name();
        match self.send(artifact).await? {
            Reply::Count(count) => Ok(count),
            other => Err(unexpected(asked, &other)),
        }
    }
}

/// Where the answer to a sorted read with a limit ended; none where more documents could still enter it, or where their
/// order is not that of their values alone.
fn window(select: &Select, documents: &[RawDocumentBuf]) -> Option<Window> {
    let full = select.limit.is_some_and(|limit| limit > 0 && documents.len() as u64 >= limit);
    let by_values = select.options.collation.is_none()
        && select.search.is_none()
        && !compile::has_near(&select.filter)
        && !select.sort.iter().any(|key| key.path == SCORE);
    if !full || !by_values || select.sort.is_empty() || !matches!(select.projection, Projection::All) {
        return None;
    }
    let mut sort = select.sort.clone();
    sort.push(SortKey { path: "_id".into(), descending: false });
    Some(Window::new(sort, documents.last()?))
}

/// The answer of a driver that does not fit the command `asked`.
pub(super) fn unexpected(asked: &str, reply: &Reply) -> Error {
    let kind = match reply {
        Reply::Documents(_) => "documents",
        Reply::Count(_) => "a count",
        Reply::Values(_) => "values",
        Reply::Inserted { .. } => "an insert",
        Reply::Updated { .. } => "an update",
        Reply::Deleted(_) => "a delete",
        Reply::Document(_) => "one document",
    };
    Error::internal(format!("the driver answered {asked} with {kind}"))
}

#[inline]
fn answer_without_asking(command: &Command) -> Option<Reply> {
    let empty = compile::is_nothing;
    match command {
        Command::Find { filter, .. } if empty(filter) => Some(Reply::Documents(Vec::new())),
        Command::Count { filter, .. } if empty(filter) => Some(Reply::Count(0)),
        Command::Distinct { filter, .. } if empty(filter) => Some(Reply::Values(Vec::new())),
        Command::Delete { filter, .. } if empty(filter) => Some(Reply::Deleted(0)),
        Command::FindOneAndDelete { filter } if empty(filter) => Some(Reply::Document(None)),
        Command::Update { filter, upsert: false, .. } if empty(filter) => {
            Some(Reply::Updated { matched: 0, modified: 0, upserted: None })
        }
        Command::Replace { filter, .. } if empty(filter) => {
            Some(Reply::Updated { matched: 0, modified: 0, upserted: None })
        }
        Command::FindOneAndUpdate { filter, upsert: false, .. } if empty(filter) => {
            Some(Reply::Document(None))
        }
        Command::Aggregate { pipeline } => {
            // These answer, read or write something even where nothing comes to them.
            let goes_on = |stage: &bson::Document| {
                ["$facet", "$unionWith", "$out", "$merge"].iter().any(|name| stage.contains_key(name))
            };
            let first = pipeline.first()?.get_document("$match").ok()?;
            let nothing = empty(first) && !pipeline.iter().any(goes_on);
            nothing.then(|| Reply::Documents(Vec::new()))
        }
        _ => None,
    }
}
