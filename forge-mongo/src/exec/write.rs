//! Inserts and updates.

use bson::{Bson, RawDocumentBuf};
use forge_core::ir::{Filter, Insert, Outcome, Predicate, Returning, Select, Skipped, Update};
use forge_core::model::ModelDef;
use forge_core::{Error, Result};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::meant::PAGE;
use super::run::{Run, unexpected};
use crate::artifact::{Command, DUPLICATE_KEY, Reply, WriteFailure};
use crate::compile::{self, Joined};
use crate::faults;

/// The most documents in one command: the limit of MongoDB's `maxWriteBatchSize`.
const MAX_DOCUMENTS: usize = 100_000;
/// The most bytes in one command: MongoDB's `maxMessageSizeBytes`.
const MAX_BYTES: usize = 48_000_000;
/// The most bytes in one document: MongoDB's `maxBsonObjectSize`.
const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Whether an update is one command without relations that makes no document: the usual one.
pub(super) fn is_plain_update(op: &Update) -> bool {
    op.upsert.is_none() && !op.filter.has_relations()
}

/// Whether an insert is of one document: the usual one.
pub(super) fn is_plain_insert(op: &Insert) -> bool {
    op.documents.len() == 1
}

impl<'a> Run<'a> {
    /// As [`insert`](Run::insert), of one document.
    pub(super) fn plain_insert(self, op: Insert) -> BoxFuture<'a, Result<Outcome>> {
        let Insert { model, documents, skip_duplicates } = op;
        if let Err(error) = refuse_oversized(&model, &documents) {
            return ready(Err(error)).boxed();
        }
        let ordered = !skip_duplicates;
        let artifact = Box::new(compile::artifact(&model, Command::Insert { documents, ordered }));
        async move {
            let mut skipped = Vec::new();
            passed_over(&model, ordered, 0, self.send(artifact).await?, &mut skipped)?;
            Ok(Outcome::Inserted { skipped })
        }
        .boxed()
    }

    /// Inserts in order, in commands of bounded size.
    ///
    /// Without `skip_duplicates` the first failure ends it. Outside a transaction what stands before the failing document
    /// has then gone in.
    pub(super) async fn insert(&self, op: Insert) -> Result<Outcome> {
        let (model, ordered) = (op.model, !op.skip_duplicates);
        refuse_oversized(&model, &op.documents)?;
        let (mut skipped, mut before) = (Vec::new(), 0);
        for documents in batches(op.documents) {
            let size = documents.len();
            let artifact = compile::artifact(&model, Command::Insert { documents, ordered });
            passed_over(&model, ordered, before, self.send(artifact.into()).await?, &mut skipped)?;
            before += size;
        }
        Ok(Outcome::Inserted { skipped })
    }

    /// As [`update`](Run::update), of one that neither looks at relations nor makes a document. The command is compiled
    /// before there is a future, which is small then.
    pub(super) fn plain_update(self, op: &Update) -> BoxFuture<'a, Result<Outcome>> {
        if let Err(error) = self.check_text(&op.filter) {
            return ready(Err(error)).boxed();
        }
        match compile::update(op).map(Box::new) {
            Ok(artifact) => {
                let asked = artifact.command.name();
                async move {
                    match self.send(artifact).await? {
                        Reply::Document(document) => Ok(found(document)),
                        reply => written(asked, reply),
                    }
                }
                .boxed()
            }
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    pub(super) async fn update(&self, mut op: Update) -> Result<Outcome> {
        // From here on it is the run that knows.
        let collation = op.collation.take();
        self.comparing_by(collation.as_ref()).change(op).await
    }

    async fn change(&self, mut op: Update) -> Result<Outcome> {
        if op.many {
            let joined = self.resolve_joined(op.filter).await?;
            if !joined.lookups.is_empty() {
                op.filter = Filter::Nothing;
                return self.atomically(|run| run.update_joined(op.clone(), joined.clone()).boxed()).await;
            }
            op.filter = joined.filter.unwrap_or(Filter::All);
        } else if op.upsert.is_some() {
            let joined = self.resolve_joined(op.filter).await?;
            if !joined.lookups.is_empty() {
                op.filter = Filter::Nothing;
                return self.atomically(|run| run.upsert_joined(op.clone(), joined.clone()).boxed()).await;
            }
            op.filter = joined.filter.unwrap_or(Filter::All);
        } else {
            let (run, filter) = self.resolve_one(op.model, op.filter, &op.sort).await?;
            return run.update_one_or_all(Update { filter, ..op }).await;
        }
        self.update_one_or_all(op).await
    }

    /// An update whose relation filters are resolved.
    async fn update_one_or_all(&self, op: Update) -> Result<Outcome> {
        if op.upsert.is_some() && op.returning == Returning::After && compile::upsert_fixes_id(&op.filter) {
            return self.upsert_by_id(op).await;
        }
        let artifact = compile::update(&op)?;
        let asked = artifact.command.name();
        match self.send(artifact.into()).await? {
            Reply::Document(document) => Ok(returned(&op, document)),
            reply => written(asked, reply),
        }
    }

    /// Changes the first document that a condition with lookups finds, or makes one.
    async fn upsert_joined(self, op: Update, joined: Joined) -> Result<Outcome> {
        let Some(id) = self.first_meant(op.model, &joined, &op.sort).await? else {
            // It matches nothing, and what it says by equality goes into the new document.
            let filter = joined.own().and(Filter::Field("_id".into(), Predicate::Exists(false)));
            return self.update_one_or_all(Update { filter, ..op }).await;
        };
        let model = op.model.name;
        let (run, filter) = self.this(id, &joined);
        match run.update_one_or_all(Update { filter, upsert: None, ..op }).await? {
            Outcome::Written { matched: 0, .. } => Err(Error::conflict(format!(
                "the {model} that the upsert found was changed or deleted at the same time"
            ))),
            done => Ok(done),
        }
    }

    /// Changes what a condition with lookups finds, a page of ids at a time.
    async fn update_joined(self, op: Update, joined: Joined) -> Result<Outcome> {
        let (mut matched, mut changed, mut last) = (0, 0, None);
        loop {
            let ids = self.meant(op.model, &joined, last.as_ref(), PAGE).await?;
            let Some(end) = ids.last() else {
                return Ok(Outcome::Written { matched, changed, upserted: false, document: None });
            };
            let (run, filter) = self.these(&ids, &joined);
            let update = Update { filter, ..op.clone() };
            let artifact = compile::update(&update)?;
            let asked = artifact.command.name();
            let reply = run.send(artifact.into()).await?;
            if let Outcome::Written { matched: more, changed: more_changed, .. } = written(asked, reply)? {
                matched += more;
                changed += more_changed;
            }
            last = Some(end.clone());
        }
    }

    /// The state after an upsert by id. The document itself cannot tell whether it is new, so the write and the read are
    /// two commands.
    async fn upsert_by_id(&self, op: Update) -> Result<Outcome> {
        let counted = Update { returning: Returning::Nothing, ..op };
        let artifact = compile::update(&counted)?;
        let asked = artifact.command.name();
        let reply = self.send(artifact.into()).await?;
        let mut outcome = written(asked, reply)?;
        let select =
            Select { filter: id_condition(&counted.filter), limit: Some(1), ..Select::new(counted.model) };
        let found = self.documents(compile::select(&select)?.into()).await?;
        if let Outcome::Written { document, .. } = &mut outcome {
            *document = found.into_iter().next();
        }
        Ok(outcome)
    }
}

/// The part of `filter` about the id: the change may have ended the rest of it.
fn id_condition(filter: &Filter) -> Filter {
    match filter {
        Filter::And(list) => list.iter().map(id_condition).fold(Filter::All, Filter::and),
        // That it does not exist was asked before it did.
        Filter::Field(path, predicate) if path == "_id" && *predicate != Predicate::Exists(false) => {
            filter.clone()
        }
        _ => Filter::All,
    }
}

fn written(asked: &str, reply: Reply) -> Result<Outcome> {
    let nothing_changed =
        |matched, document| Outcome::Written { matched, changed: 0, upserted: false, document };
    Ok(match reply {
        Reply::Updated { matched, modified, upserted } => {
            Outcome::Written { matched, changed: modified, upserted: upserted.is_some(), document: None }
        }
        Reply::Count(count) => nothing_changed(count, None),
        Reply::Documents(mut documents) => nothing_changed(documents.len() as u64, documents.pop()),
        other => return Err(unexpected(asked, &other)),
    })
}

/// What a `findAndModify` did, told by the document it returned.
fn returned(op: &Update, document: Option<RawDocumentBuf>) -> Outcome {
    let upserted = match (&op.upsert, &document) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(upsert), Some(document)) => {
            op.returning == Returning::After && id_of(upsert) == id_of(document)
        }
    };
    if upserted {
        return Outcome::Written { matched: 0, changed: 0, upserted, document };
    }
    found(document)
}

/// What a `findAndModify` that makes no document did.
fn found(document: Option<RawDocumentBuf>) -> Outcome {
    let matched = u64::from(document.is_some());
    Outcome::Written { matched, changed: matched, upserted: false, document }
}

/// Adds the documents of an insert that were left out, whose command began at the position `before`.
///
/// # Errors
/// The first failure that ends the insert.
fn passed_over(
    model: &ModelDef,
    ordered: bool,
    before: usize,
    reply: Reply,
    skipped: &mut Vec<Skipped>,
) -> Result<()> {
    let Reply::Inserted { failures } = reply else { return Err(unexpected("insert", &reply)) };
    for (position, failure) in failures {
        let position = before + position;
        if ordered || failure.code != DUPLICATE_KEY {
            return Err(refused(model, position, failure));
        }
        skipped.push(Skipped { position, fields: failure.key_paths });
    }
    Ok(())
}

fn id_of(document: &RawDocumentBuf) -> Option<Bson> {
    document.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok())
}

fn refused(model: &ModelDef, position: usize, failure: WriteFailure) -> Error {
    if failure.code == DUPLICATE_KEY {
        return Error::unique_violation(model.name, super::tenant::without_key(model, failure.key_paths));
    }
    let WriteFailure { code, message, .. } = failure;
    if let Some(fault) = faults::find(code, &message) {
        let at = format!("document {position} of an insert of {}", model.name);
        return fault.error(&message).with_server_code(code).context(at);
    }
    Error::bad_request(format!(
        "the database refused document {position} of an insert of {} (code {code}): {message}",
        model.name
    ))
}

/// Before anything is written, and the same on every engine.
fn refuse_oversized(model: &ModelDef, documents: &[RawDocumentBuf]) -> Result<()> {
    let size = |document: &RawDocumentBuf| document.as_bytes().len();
    let Some(position) = documents.iter().position(|document| size(document) > MAX_DOCUMENT_BYTES) else {
        return Ok(());
    };
    let (name, bytes) = (model.name, size(&documents[position]));
    Err(Error::too_large(format!(
        "document {position} of an insert of {name} has {bytes} bytes; the most is {MAX_DOCUMENT_BYTES}"
    )))
}

/// `documents` in lists that fit into one command each. A single list, the usual case, is not copied.
fn batches(documents: Vec<RawDocumentBuf>) -> Vec<Vec<RawDocumentBuf>> {
    let size = |document: &RawDocumentBuf| document.as_bytes().len();
    if documents.is_empty() {
        return Vec::new();
    }
    if documents.len() <= MAX_DOCUMENTS && documents.iter().map(size).sum::<usize>() <= MAX_BYTES {
        return vec![documents];
    }
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for document in documents {
        let more = size(&document);
        if !batch.is_empty() && (batch.len() == MAX_DOCUMENTS || bytes + more > MAX_BYTES) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += more;
        batch.push(document);
    }
    batches.push(batch);
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn big_inserts_are_cut_by_number_and_by_bytes() {
        let small = vec![rawdoc! {}; MAX_DOCUMENTS + 1];
        assert_eq!(batches(small).iter().map(Vec::len).collect::<Vec<_>>(), [MAX_DOCUMENTS, 1]);
        let large = vec![rawdoc! { "s": "x".repeat(10_000_000) }; 9];
        assert_eq!(batches(large).iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 1]);
        assert!(batches(Vec::new()).is_empty());
    }

    #[test]
    fn a_document_over_the_limit_is_refused_by_position() {
        let documents = [rawdoc! {}, rawdoc! { "s": "x".repeat(MAX_DOCUMENT_BYTES) }];
        let error = refuse_oversized(&crate::testing::AIRPORT, &documents).unwrap_err();
        assert_eq!(error.code(), forge_core::ErrorCode::TooLarge);
        assert!(error.message().contains("document 1 of an insert of Airport"), "{error}");
    }
}
