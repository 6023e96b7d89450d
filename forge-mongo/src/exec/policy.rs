//! The last door before the driver, after the one of tenants: what the policies of models let a caller read and write.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use forge_core::adapter::Exec;
use forge_core::ir::{Delete, Filter, Outcome, Path, Predicate, Select};
use forge_core::model::ModelDef;
use forge_core::policy::PolicyScope;
use forge_core::{Error, Result};
use futures_util::FutureExt;

use super::exact::{exactly, has_text, is_collated};
use super::keys::{Key, owned};
use super::narrow::{Condition, Narrowing, can_join, narrow};
use super::run::{Run, unexpected};
use crate::artifact::{Command, Modification, MongoArtifact, Reply};
use crate::compile::{self, Place};

/// The most documents that one write shows to a policy.
const AT_MOST: usize = 10_000;

/// How a command takes a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Related documents may be joined by stages.
    Joined,
    /// By itself.
    Alone,
    /// By itself, and strings compare otherwise than in the condition.
    Collated,
}

impl Manner {
    fn of(artifact: &MongoArtifact) -> Self {
        match () {
            () if is_collated(&artifact.options) => Self::Collated,
            () if can_join(&artifact.command) => Self::Joined,
            () => Self::Alone,
        }
    }
}

impl<'a> Run<'a> {
    /// Whether commands have to be looked at.
    pub(super) fn asks_policies(&self) -> bool {
        self.catalog.has_policies() && !self.exec.policy.is_lifted()
    }

    /// What the caller may read of `model`, as a change feed can tell it: more, where relations decide; their reads are
    /// recorded by themselves. None where the caller may not read at all, which the command says.
    pub(super) fn recordable(&self, model: &ModelDef) -> Option<Filter> {
        match self.exec.policy.readable(model) {
            Ok(Some(filter)) if !filter.has_relations() => Some(filter.widened()),
            Ok(_) => Some(Filter::All),
            Err(_) => None,
        }
    }

    /// Runs a command as far as the policies allow.
    pub(super) async fn guarded(&self, artifact: Box<MongoArtifact>) -> Result<Reply> {
        let guarded = self.catalog.by_collection(&artifact.collection).filter(|model| model.policy.is_some());
        match (&artifact.command, guarded) {
            (Command::Insert { documents, .. }, Some(model)) => {
                for document in documents {
                    self.exec.policy.check(model, None, Some(document))?;
                }
                self.dispatch(artifact).await
            }
            (Command::Insert { .. }, None) => self.dispatch(artifact).await,
            (command, model) if writes(command) => {
                let Some(model) = model else { return self.dispatch(artifact).await };
                self.atomically(|run| {
                    let artifact = artifact.clone();
                    async move { run.checked(model, *artifact).await }.boxed()
                })
                .await
            }
            _ => {
                let asked = artifact.command.name();
                let reply = self.dispatch(self.readable(*artifact).await?.into()).await?;
                joined_reply(asked, reply)
            }
        }
    }

    /// A reading command narrowed to what may be read: a pipeline in its place where related documents are too many to
    /// send their keys along, whose answer [`joined_reply`] reads.
    pub(super) async fn readable(&self, mut artifact: MongoArtifact) -> Result<MongoArtifact> {
        let conditions = self.conditions(&artifact).await?;
        if conditions.is_empty() {
            return Ok(artifact);
        }
        let own = conditions.get(&artifact.collection);
        match &mut artifact.command {
            Command::Aggregate { pipeline } => {
                let narrowing =
                    Narrowing { condition: &|name| Ok(conditions.get(name).cloned()), refusal: target };
                *pipeline = narrowing.pipeline(&artifact.collection, pipeline)?;
            }
            Command::Find { filter, .. }
            | Command::Count { filter, .. }
            | Command::Distinct { filter, .. } => {
                if let Some(condition) = own {
                    narrow(filter, &condition.filter);
                }
            }
            other => {
                let name = other.name();
                return Err(Error::unsupported(format!("{name} cannot be narrowed by a policy")));
            }
        }
        match own.filter(|own| !own.related.is_empty()) {
            Some(own) => joining(artifact, &own.related),
            None => Ok(artifact),
        }
    }

    /// The conditions on every collection with a policy that a command touches.
    async fn conditions(&self, artifact: &MongoArtifact) -> Result<BTreeMap<String, Condition>> {
        let (mut conditions, manner) = (BTreeMap::new(), Manner::of(artifact));
        for collection in touched(artifact)? {
            let model = self.catalog.by_collection(&collection);
            if let Some(condition) = self.condition(model, manner).await? {
                conditions.insert(collection, condition);
            }
        }
        Ok(conditions)
    }

    /// What may be read of a model.
    async fn condition(&self, model: Option<&ModelDef>, manner: Manner) -> Result<Option<Condition>> {
        let Some(model) = model else { return Ok(None) };
        let Some(filter) = self.exec.policy.readable(model)? else { return Ok(None) };
        let exec = self.lifted();
        let trusted = Run { exec: &exec, ..*self }.by_bytes();
        if manner != Manner::Joined {
            let filter = trusted.resolve(filter).boxed().await?;
            let filter = if manner == Manner::Collated { exactly(filter)? } else { filter };
            return compile::filter(&filter, Place::Elsewhere).map(Condition::from).map(Some);
        }
        let mut joined = trusted.resolve_joined(filter).boxed().await?;
        let stages = Command::Aggregate { pipeline: joined.related_stages()? };
        // The door of tenants is behind them already.
        let scoped = super::tenant::scoped(
            self.catalog,
            &self.exec.tenant,
            MongoArtifact::new(model.collection, stages),
        )?;
        let related = match scoped.command {
            Command::Aggregate { pipeline } if !joined.lookups.is_empty() => pipeline,
            _ => Vec::new(),
        };
        let filter = compile::filter(&joined.take_own(), Place::Elsewhere)?;
        Ok(Some(Condition { filter, related }))
    }

    /// The same surroundings, for trusted work.
    fn lifted(&self) -> Exec {
        Exec { policy: PolicyScope::Lifted, ..self.exec.clone() }
    }

    /// A write to documents that may be read, each shown to the policy.
    async fn checked(self, model: &ModelDef, artifact: MongoArtifact) -> Result<Reply> {
        let before = self.targets(model, &artifact).await?;
        if before.is_empty() {
            return match upserts(&artifact.command) {
                true => self.checked_upsert(model, artifact).await,
                false => self.dispatch(only(artifact, &compile::nothing()).into()).await,
            };
        }
        let ids = before.iter().map(|document| id_of(document)).collect::<Result<Vec<_>>>()?;
        let condition = match ids.as_slice() {
            [id] => doc! { "_id": id },
            _ => doc! { "_id": { "$in": &ids } },
        };
        let collection = artifact.collection.clone();
        let write = only_these(artifact, &ids, &condition);
        if matches!(write.command, Command::Delete { .. } | Command::FindOneAndDelete { .. }) {
            for document in &before {
                self.exec.policy.check(model, Some(document), None)?;
            }
            return self.dispatch(write.into()).await;
        }
        if self.exec.transaction.is_none() {
            return Err(Error::unsupported(format!(
                "{} has a policy, and a change can be shown to it in a transaction only, which this deployment has not: \
                 use a replica set, or db.without_policies()",
                model.name
            )));
        }
        let reply = self.dispatch(write.into()).await?;
        let after = self.found(collection, condition, None, 0).await?;
        self.compare(model, &before, &after).inspect_err(|error| self.undo(error))?;
        Ok(reply)
    }

    /// The documents that a write would reach.
    async fn targets(&self, model: &ModelDef, artifact: &MongoArtifact) -> Result<Vec<RawDocumentBuf>> {
        let (mut filter, sort, many) = match &artifact.command {
            Command::Update { filter, many, .. } | Command::Delete { filter, many } => {
                (filter.clone(), None, *many)
            }
            Command::FindOneAndUpdate { filter, sort, .. } => (filter.clone(), sort.clone(), false),
            Command::Replace { filter, .. } | Command::FindOneAndDelete { filter } => {
                (filter.clone(), None, false)
            }
            _ => return Ok(Vec::new()),
        };
        let condition = self.condition(Some(model), Manner::of(artifact)).await?.unwrap_or_default();
        narrow(&mut filter, &condition.filter);
        let limit = if many { AT_MOST + 1 } else { 1 };
        let limit = Some(limit as u64);
        let find = Command::Find { filter, projection: None, sort, skip: None, limit };
        let find = MongoArtifact {
            options: artifact.options.clone(),
            ..MongoArtifact::new(artifact.collection.clone(), find)
        };
        let find = joining(find, &condition.related)?;
        let found = self.documents_of(find).await?;
        if found.len() > AT_MOST {
            return Err(Error::too_large(format!(
                "a change of more than {AT_MOST} {0} cannot be shown to the policy of {0}: change fewer at once, or use \
                 db.without_policies()",
                model.name
            )));
        }
        Ok(found)
    }

    async fn found(
        &self,
        collection: String,
        filter: Document,
        sort: Option<Document>,
        limit: u64,
    ) -> Result<Vec<RawDocumentBuf>> {
        let limit = Some(limit).filter(|limit| *limit > 0);
        let find = Command::Find { filter, projection: None, sort, skip: None, limit };
        self.documents_of(MongoArtifact::new(collection, find)).await
    }

    async fn documents_of(&self, artifact: MongoArtifact) -> Result<Vec<RawDocumentBuf>> {
        match self.dispatch(artifact.into()).await? {
            Reply::Documents(documents) => Ok(documents),
            other => Err(unexpected("find", &other)),
        }
    }

    fn compare(&self, model: &ModelDef, before: &[RawDocumentBuf], after: &[RawDocumentBuf]) -> Result<()> {
        let mut states = HashMap::with_capacity(after.len());
        for document in after {
            if let Some(id) = document.get("_id")?.and_then(Key::of_raw) {
                states.insert(id, document);
            }
        }
        before.iter().try_for_each(|old| {
            let new = old.get("_id")?.and_then(Key::of_raw).and_then(|id| states.get(&id));
            self.exec.policy.check(model, Some(old), new.map(|new| &***new))
        })
    }

    /// A write that finds nothing to change and would insert.
    async fn checked_upsert(&self, model: &ModelDef, artifact: MongoArtifact) -> Result<Reply> {
        let (Command::Update { filter, update, .. } | Command::FindOneAndUpdate { filter, update, .. }) =
            &artifact.command
        else {
            return Err(Error::internal("only updates insert what they do not find"));
        };
        let find = filter.clone();
        let there = Command::Find { filter: find, projection: None, sort: None, skip: None, limit: Some(1) };
        if !self.documents_of(MongoArtifact { command: there, ..artifact.clone() }).await?.is_empty() {
            return Err(Error::forbidden(format!("this {} is not the caller's to change", model.name)));
        }
        let reply = self.dispatch(artifact.clone().into()).await?;
        let id = match &reply {
            Reply::Updated { upserted: Some(id), .. } => Some(id.clone()),
            Reply::Document(Some(document)) => Some(id_of(document)?),
            _ => fixed_id(filter, update),
        };
        let new = match id {
            Some(id) => self.found(artifact.collection.clone(), doc! { "_id": id }, None, 1).await?.pop(),
            None => None,
        };
        let verdict = match new {
            Some(new) => self.exec.policy.check(model, None, Some(&new)),
            None => Err(Error::internal(format!("the new {} cannot be shown to its policy", model.name))),
        };
        verdict.inspect_err(|error| self.undo(error))?;
        Ok(reply)
    }

    /// What was written goes with the transaction, also where its owner goes on.
    fn undo(&self, error: &Error) {
        if let Some(unit) = &self.exec.unit {
            unit.doom(error);
        }
    }

    /// A delete that takes others along: the policies are asked about the documents that were named. What hangs on them
    /// goes whoever may see it, so that nothing is left that refers to a missing document.
    pub(super) async fn cascade_of(self, mut op: Delete) -> Result<Outcome> {
        if !self.asks_policies() {
            return self.cascade(op).await;
        }
        let model = op.model;
        op.filter = self.comparing_by(op.collation.as_ref()).resolve(op.filter).await?;
        if model.policy.is_some() {
            let select = Select { filter: op.filter.clone(), with_deleted: true, ..Select::new(model) };
            let found = compile::select(&select)?;
            let Command::Find { filter, .. } = found.command else {
                return Err(Error::unsupported("this delete cannot be shown to a policy"));
            };
            let delete = MongoArtifact::new(found.collection, Command::Delete { filter, many: op.many });
            let mut delete = delete;
            delete.options.collation.clone_from(&op.collation);
            let scoped = super::tenant::scoped(self.catalog, &self.exec.tenant, delete)?;
            let before = self.targets(&model, &scoped).await?;
            let mut ids = Vec::with_capacity(before.len());
            for document in &before {
                self.exec.policy.check(&model, Some(document), None)?;
                ids.push(id_of(document)?);
            }
            let exact = op.collation.is_some() && ids.iter().any(has_text);
            let found = Filter::Field(Path::Borrowed("_id"), Predicate::In(ids));
            if exact {
                // Other ids may be equal to these under the collation.
                (op.filter, op.collation) = (found, None);
            } else {
                op.filter = op.filter.and(found);
            }
        }
        let exec = self.lifted();
        Run { exec: &exec, ..self }.cascade(op).await
    }
}

/// A reading command with stages behind its condition: a pipeline, where there are any.
fn joining(artifact: MongoArtifact, related: &[Document]) -> Result<MongoArtifact> {
    if related.is_empty() || matches!(artifact.command, Command::Aggregate { .. }) {
        return Ok(artifact);
    }
    let matched = |filter: Document| (!filter.is_empty()).then(|| doc! { "$match": filter });
    let amount = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut pipeline = Vec::new();
    match artifact.command {
        Command::Find { filter, projection, sort, skip, limit } => {
            pipeline.extend(matched(filter));
            // Joins keep the order.
            pipeline.extend(sort.map(|order| doc! { "$sort": order }));
            pipeline.extend_from_slice(related);
            pipeline.extend(skip.filter(|skip| *skip > 0).map(|skip| doc! { "$skip": amount(skip) }));
            pipeline.extend(limit.filter(|limit| *limit > 0).map(|limit| doc! { "$limit": amount(limit) }));
            pipeline.extend(projection.filter(|form| !form.is_empty()).map(|form| doc! { "$project": form }));
        }
        Command::Count { filter, limit, .. } => {
            pipeline.extend(matched(filter));
            pipeline.extend_from_slice(related);
            pipeline.extend(limit.map(|limit| doc! { "$limit": amount(limit.max(1)) }));
            pipeline.push(doc! { "$count": compile::COUNTED });
        }
        Command::Distinct { key, filter } => {
            pipeline.extend(matched(filter));
            pipeline.extend_from_slice(related);
            pipeline.extend(compile::distinct_stages(&key)?);
        }
        other => return Err(Error::internal(format!("{} cannot join", other.name()))),
    }
    Ok(MongoArtifact { command: Command::Aggregate { pipeline }, ..artifact })
}

/// The answer of a pipeline in the place of a command, as the command `asked` for would give it.
fn joined_reply(asked: &str, reply: Reply) -> Result<Reply> {
    Ok(match (asked, reply) {
        ("count", Reply::Documents(found)) => Reply::Count(super::number_in(&found)),
        ("distinct", Reply::Documents(found)) => Reply::Values(super::values_in(&found)?),
        (_, reply) => reply,
    })
}

fn writes(command: &Command) -> bool {
    matches!(
        command,
        Command::Update { .. }
            | Command::FindOneAndUpdate { .. }
            | Command::Replace { .. }
            | Command::Delete { .. }
            | Command::FindOneAndDelete { .. }
    )
}

fn upserts(command: &Command) -> bool {
    matches!(command, Command::Update { upsert: true, .. } | Command::FindOneAndUpdate { upsert: true, .. })
}

/// The same write, to documents that meet the condition as well.
fn only(mut artifact: MongoArtifact, condition: &Document) -> MongoArtifact {
    match &mut artifact.command {
        Command::Update { filter, .. }
        | Command::FindOneAndUpdate { filter, .. }
        | Command::Replace { filter, .. }
        | Command::Delete { filter, .. }
        | Command::FindOneAndDelete { filter } => narrow(filter, condition),
        _ => {}
    }
    artifact
}

/// The same write, to the documents with these ids, which `condition` says. Under a collation other ids may be equal to
/// them: they are compared by their bytes, and what else was asked has been when they were found.
fn only_these(mut artifact: MongoArtifact, ids: &[Bson], condition: &Document) -> MongoArtifact {
    if !is_collated(&artifact.options) || !ids.iter().any(has_text) {
        return only(artifact, condition);
    }
    artifact.options.collation = None;
    match &mut artifact.command {
        Command::Update { filter, .. }
        | Command::FindOneAndUpdate { filter, .. }
        | Command::Replace { filter, .. }
        | Command::Delete { filter, .. }
        | Command::FindOneAndDelete { filter } => filter.clone_from(condition),
        _ => {}
    }
    artifact
}

/// The collections that a command reads, or that its pipeline writes to.
fn touched(artifact: &MongoArtifact) -> Result<BTreeSet<String>> {
    let Command::Aggregate { pipeline } = &artifact.command else {
        return Ok(BTreeSet::from([artifact.collection.clone()]));
    };
    let found = RefCell::new(BTreeSet::new());
    let condition = |collection: &str| {
        found.borrow_mut().insert(collection.to_owned());
        Ok(None)
    };
    Narrowing { condition: &condition, refusal: target }.pipeline(&artifact.collection, pipeline)?;
    Ok(found.into_inner())
}

fn target(collection: &str) -> Error {
    Error::forbidden(format!(
        "a pipeline cannot write into {collection}, whose model has a policy; use db.without_policies()"
    ))
}

fn id_of(document: &RawDocument) -> Result<Bson> {
    let id = document.get("_id")?.map(owned).transpose()?;
    id.ok_or_else(|| Error::internal("a stored document has no _id"))
}

/// The id that an upsert gives to what it inserts.
fn fixed_id(filter: &Document, update: &Modification) -> Option<Bson> {
    let given = match update {
        Modification::Operators(operators) | Modification::Elements { operators, .. } => {
            operators.get_document("$setOnInsert").ok().and_then(|fields| fields.get("_id"))
        }
        Modification::Pipeline(_) => None,
    };
    let plain = |id: &&Bson| !matches!(id, Bson::Document(_));
    given.or_else(|| filter.get("_id").filter(plain)).cloned()
}
