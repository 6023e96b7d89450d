//! Artifacts, through the driver's own actions: they know retryable writes, sessions and batches.

use std::pin::Pin;
use std::task::{Context, Poll};

use bson::{Document, RawBsonRef, RawDocumentBuf};
use forge_core::adapter::Transaction;
use forge_core::ir::ReadOptions;
use forge_core::{Error, Result};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use mongodb::action::{FindOne, FindOneAndUpdate, InsertOne};
use mongodb::error::{Error as DriverError, ErrorKind, Result as DriverResult, TRANSIENT_TRANSACTION_ERROR};
use mongodb::options::{FindOneAndUpdateOptions, ReturnDocument, UpdateModifications};
use mongodb::raw_batch_cursor::RawBatch;
use mongodb::{ClientSession, Collection};

use super::errors::{self, Duplicate};
use super::options::{as_document, collation, comparing, spilling, with_options};
use super::session::Session;
use super::{OfficialDriver, indexes};
use crate::artifact::{Command, DUPLICATE_KEY, Modification, MongoArtifact, Reply, WriteFailure};

/// Results are always read to their end: large batches save round trips. Servers cut them at 16 MB.
const BATCH_SIZE: u32 = 10_000;

/// How many documents the server sends at once. An empty first batch, which is what servers take 0 for, is a round trip for
/// nothing.
fn batch(options: &ReadOptions) -> u32 {
    options.batch_size.filter(|size| *size > 0).unwrap_or(BATCH_SIZE)
}

/// The future of an action, with or without a session. An action alive across a wait would make every command's future
/// as large as the largest action: it becomes its future before anything waits.
macro_rules! sending {
    ($action:expr, $session:expr) => {{
        let action = $action;
        match $session {
            Some(session) => action.session(session).into_future(),
            None => action.into_future(),
        }
    }};
}

/// Runs an action with or without a session.
macro_rules! send {
    ($action:expr, $session:expr) => {{
        let sending = sending!($action, $session);
        sending.await
    }};
}

/// A future that reads the cursor of an action to its end, with or without a session. See [`sending`] for its size.
macro_rules! read_out {
    ($action:expr, $session:expr) => {{
        let action = $action;
        match $session {
            Some(session) => async move {
                let mut cursor = action.session(&mut *session).batch().await?;
                gather(cursor.stream(session)).await
            }
            .boxed(),
            None => {
                let opening = action.batch().into_future();
                async move {
                    // Some 3 KB: boxed, it is copied once.
                    let cursor = Box::new(opening.await?);
                    gather(cursor).await
                }
                .boxed()
            }
        }
    }};
}

/// Gives an action what was asked for of a find.
macro_rules! shape {
    ($action:expr, $projection:ident, $sort:ident, $skip:ident, $options:expr) => {{
        let mut action = with_options!($action, $options);
        if let Some(projection) = $projection {
            action = action.projection(projection);
        }
        if let Some(sort) = $sort {
            action = action.sort(sort);
        }
        if let Some(skip) = $skip {
            action = action.skip(skip);
        }
        action
    }};
}

/// Gives an action the conditions of `$[name]`, where there are any.
macro_rules! with_elements {
    ($action:expr, $elements:ident) => {{
        let action = $action;
        if $elements.is_empty() { action } else { action.array_filters($elements) }
    }};
}

pub(super) use shape;

type Documents = Collection<RawDocumentBuf>;

fn modification(update: Modification) -> (UpdateModifications, Vec<Document>) {
    match update {
        Modification::Operators(operators) => (operators.into(), Vec::new()),
        Modification::Elements { operators, array_filters } => (operators.into(), array_filters),
        Modification::Pipeline(stages) => (stages.into(), Vec::new()),
    }
}

/// The answer to a command. Versions of commits come with the change stream: answers to writes do not carry them.
pub(super) async fn run(
    driver: &OfficialDriver,
    database: &str,
    artifact: Box<MongoArtifact>,
    transaction: Option<&dyn Transaction>,
) -> Result<(Reply, Option<u64>)> {
    let collection = driver.collection(database, &artifact.collection);
    let mut guard = match transaction {
        Some(transaction) => Some(Session::of(transaction).await?),
        None => None,
    };
    let done = send(&collection, artifact, guard.as_deref_mut()).await;
    // What follows asks the server outside of the transaction, which has failed.
    drop(guard);
    match done {
        Ok(Reply::Inserted { failures }) if !failures.is_empty() => {
            name_indexes(&collection, failures).boxed().await.map(|reply| (reply, None))
        }
        Ok(reply) => Ok((reply, None)),
        Err(error) => Err(failed(&collection, error).boxed().await),
    }
}

/// The error of a command; one about a unique index names its paths.
async fn failed(on: &Documents, error: DriverError) -> Error {
    let Some(Duplicate { paths, index }) = errors::duplicate(&error) else { return errors::map(error) };
    let paths = match index {
        Some(index) => indexes::paths_of(on, &index).await,
        None => paths,
    };
    Error::unique_violation(on.name(), paths).with_source(error)
}

type Sent<Action> = <Action as IntoFuture>::IntoFuture;

/// A command on its way. The usual ones do without a box around the one that the driver makes, and of the others each has
/// a future of its own: one of all of them would be as large as the largest, and copied for each.
enum Sending<'a> {
    Found(Sent<FindOne<'a, RawDocumentBuf>>),
    Changed(Sent<FindOneAndUpdate<'a, RawDocumentBuf>>),
    Inserted(Sent<InsertOne<'a>>),
    Other(BoxFuture<'a, DriverResult<Reply>>),
}

impl Future for Sending<'_> {
    type Output = DriverResult<Reply>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Found(sent) => {
                sent.poll_unpin(cx).map_ok(|document| Reply::Documents(document.into_iter().collect()))
            }
            Self::Changed(sent) => sent.poll_unpin(cx).map_ok(Reply::Document),
            Self::Inserted(sent) => sent.poll_unpin(cx).map(|done| inserted_one(done.map(|_| ()))),
            Self::Other(sent) => sent.poll_unpin(cx),
        }
    }
}

fn send<'a>(
    on: &'a Documents,
    artifact: Box<MongoArtifact>,
    session: Option<&'a mut ClientSession>,
) -> Sending<'a> {
    match artifact.command {
        // The action for one document asks for a single batch, after which the server keeps no cursor.
        Command::Find { filter, projection, sort, skip, limit: Some(1) } => {
            let action = shape!(on.find_one(filter), projection, sort, skip, &artifact.options);
            Sending::Found(sending!(action, session))
        }
        Command::FindOneAndUpdate { filter, update, upsert, return_after, sort } => {
            let (update, elements) = modification(update);
            let mut options = FindOneAndUpdateOptions::default();
            let state = if return_after { ReturnDocument::After } else { ReturnDocument::Before };
            options.return_document = Some(state);
            // What goes without saying is not said: each option is encoded.
            options.upsert = upsert.then_some(true);
            options.sort = sort;
            options.collation = artifact.options.collation.as_ref().map(collation);
            options.array_filters = (!elements.is_empty()).then_some(elements);
            let action = on.find_one_and_update(filter, update).with_options(options);
            Sending::Changed(sending!(action, session))
        }
        // The actions for one document cost the client a fifth less than those for many.
        Command::Insert { documents, .. } if documents.len() == 1 => {
            Sending::Inserted(sending!(on.insert_one(&documents[0]), session))
        }
        command => Sending::Other(other(on, command, artifact.options, session)),
    }
}

fn other<'a>(
    on: &'a Documents,
    command: Command,
    options: ReadOptions,
    session: Option<&'a mut ClientSession>,
) -> BoxFuture<'a, DriverResult<Reply>> {
    match command {
        Command::Find { filter, projection, sort, skip, limit } => {
            let action = shape!(on.find(filter), projection, sort, skip, &options);
            let action = action.batch_size(batch(&options));
            let action = spilling!(action, &options);
            let action = match limit {
                Some(limit) => action.limit(i64::try_from(limit).unwrap_or(i64::MAX)),
                None => action,
            };
            read_out!(action, session)
        }
        Command::Aggregate { pipeline } => aggregate(on, pipeline, &options, session),
        Command::Count { .. } | Command::Distinct { .. } => count(on, command, options, session).boxed(),
        Command::Insert { documents, ordered } => {
            async move { inserted(send!(on.insert_many(documents).ordered(ordered), session).map(|_| ())) }
                .boxed()
        }
        _ => write(on, command, options, session).boxed(),
    }
}

async fn write(
    on: &Documents,
    command: Command,
    options: ReadOptions,
    session: Option<&mut ClientSession>,
) -> DriverResult<Reply> {
    match command {
        Command::Update { filter, update, many, upsert } => {
            let (update, elements) = modification(update);
            let action = if many { on.update_many(filter, update) } else { on.update_one(filter, update) };
            let action = if upsert { action.upsert(true) } else { action };
            let action = comparing!(with_elements!(action, elements), &options);
            let result = send!(action, session)?;
            let (matched, modified) = (result.matched_count, result.modified_count);
            Ok(Reply::Updated { matched, modified, upserted: result.upserted_id })
        }
        Command::Replace { filter, replacement } => {
            let result = send!(comparing!(on.replace_one(filter, replacement), &options), session)?;
            let (matched, modified) = (result.matched_count, result.modified_count);
            Ok(Reply::Updated { matched, modified, upserted: None })
        }
        Command::Delete { filter, many } => {
            let result = if many {
                send!(comparing!(on.delete_many(filter), &options), session)?
            } else {
                send!(comparing!(on.delete_one(filter), &options), session)?
            };
            Ok(Reply::Deleted(result.deleted_count))
        }
        Command::FindOneAndDelete { filter } => {
            send!(comparing!(on.find_one_and_delete(filter), &options), session).map(Reply::Document)
        }
        other => {
            Err(DriverError::custom(format!("{} is no write to documents that are there", other.name())))
        }
    }
}

async fn count(
    on: &Documents,
    command: Command,
    options: ReadOptions,
    session: Option<&mut ClientSession>,
) -> DriverResult<Reply> {
    match command {
        // Not in a session: what the database keeps of the collection does not see the session's own writes.
        Command::Count { filter, limit: None, estimated: true } if filter.is_empty() && session.is_none() => {
            let mut action = on.estimated_document_count();
            if let Some(time) = options.max_time {
                action = action.max_time(time);
            }
            action.await.map(Reply::Count)
        }
        Command::Count { filter, limit, .. } => {
            let mut action = with_options!(on.count_documents(filter), &options);
            if let Some(limit) = limit {
                action = action.limit(limit);
            }
            send!(action, session).map(Reply::Count)
        }
        Command::Distinct { key, filter } => {
            let action = with_options!(on.distinct(key, filter), &options);
            send!(action, session).map(Reply::Values)
        }
        other => Err(DriverError::custom(format!("{} is neither count nor distinct", other.name()))),
    }
}

fn aggregate<'a>(
    on: &'a Documents,
    pipeline: Vec<Document>,
    options: &ReadOptions,
    session: Option<&'a mut ClientSession>,
) -> BoxFuture<'a, DriverResult<Reply>> {
    let action = on.aggregate(pipeline).batch_size(batch(options));
    read_out!(spilling!(with_options!(action, options), options), session)
}

/// Copies each document once, from the reply to its own buffer.
async fn gather(mut batches: impl Stream<Item = DriverResult<RawBatch>> + Unpin) -> DriverResult<Reply> {
    let mut documents = Vec::new();
    while let Some(batch) = batches.next().await {
        copy_into(&mut documents, &batch?)?;
    }
    Ok(Reply::Documents(documents))
}

/// Copies each document of a batch to its own buffer.
pub(super) fn copy_into(documents: &mut Vec<RawDocumentBuf>, batch: &RawBatch) -> DriverResult<()> {
    for document in batch.doc_slices()? {
        if let RawBsonRef::Document(document) = document? {
            documents.push(document.to_owned());
        }
    }
    Ok(())
}

/// As [`inserted`], of the action for one document.
fn inserted_one(result: DriverResult<()>) -> DriverResult<Reply> {
    let Err(error) = result else { return Ok(Reply::Inserted { failures: Vec::new() }) };
    match &*error.kind {
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(write))
            if !error.contains_label(TRANSIENT_TRANSACTION_ERROR) =>
        {
            let (code, message) = (write.code, write.message.clone());
            Ok(Reply::Inserted { failures: vec![(0, WriteFailure { code, message, key_paths: Vec::new() })] })
        }
        _ => Err(error),
    }
}

/// Failures of single documents are part of the answer; a failure of the whole command is not.
fn inserted(result: DriverResult<()>) -> DriverResult<Reply> {
    let Err(error) = result else { return Ok(Reply::Inserted { failures: Vec::new() }) };
    match &*error.kind {
        ErrorKind::InsertMany(insert)
            if insert.write_concern_error.is_none() && !error.contains_label(TRANSIENT_TRANSACTION_ERROR) =>
        {
            let failures = insert.write_errors.iter().flatten().map(|write| {
                let failure =
                    WriteFailure { code: write.code, message: write.message.clone(), key_paths: Vec::new() };
                (write.index, failure)
            });
            let mut failures: Vec<_> = failures.collect();
            failures.sort_by_key(|(position, _)| *position);
            Ok(Reply::Inserted { failures })
        }
        _ => Err(error),
    }
}

/// Adds the paths of the unique indexes that were hit. The driver drops them from its answers to inserts, so the
/// message's index is looked up.
async fn name_indexes(on: &Documents, mut failures: Vec<(usize, WriteFailure)>) -> Result<Reply> {
    let mut known: Vec<(String, Vec<String>)> = Vec::new();
    for (_, failure) in failures.iter_mut().filter(|(_, failure)| failure.code == DUPLICATE_KEY) {
        let Some(index) = errors::index_name(&failure.message) else { continue };
        if !known.iter().any(|(name, _)| *name == index) {
            let paths = indexes::paths_of(on, &index).await;
            known.push((index.clone(), paths));
        }
        if let Some((_, paths)) = known.iter().find(|(name, _)| *name == index) {
            failure.key_paths.clone_from(paths);
        }
    }
    Ok(Reply::Inserted { failures })
}

/// The artifact as a server command, for `explain`.
pub(super) fn as_server_command(artifact: &MongoArtifact) -> Result<Document> {
    use bson::doc;
    let on = artifact.collection.as_str();
    let mut command = match &artifact.command {
        Command::Find { filter, projection, sort, skip, limit } => {
            let mut command = doc! { "find": on, "filter": filter.clone() };
            command.extend(projection.clone().map(|fields| ("projection".to_owned(), fields.into())));
            command.extend(sort.clone().map(|keys| ("sort".to_owned(), keys.into())));
            command.extend(skip.map(|n| ("skip".to_owned(), (n as i64).into())));
            command.extend(limit.map(|n| ("limit".to_owned(), (n as i64).into())));
            command
        }
        Command::Aggregate { pipeline } => {
            doc! { "aggregate": on, "pipeline": pipeline.clone(), "cursor": {} }
        }
        Command::Count { filter, limit, .. } => {
            let mut command = doc! { "count": on, "query": filter.clone() };
            command.extend(limit.map(|n| ("limit".to_owned(), (n as i64).into())));
            command
        }
        Command::Distinct { key, filter } => doc! { "distinct": on, "key": key, "query": filter.clone() },
        other => return Err(Error::bad_request(format!("only reads are explained, not {}", other.name()))),
    };
    // The plan is another without them.
    let ReadOptions { collation, hint, .. } = &artifact.options;
    command
        .extend(collation.as_ref().map(|collation| ("collation".to_owned(), as_document(collation).into())));
    command.extend(hint.as_ref().map(|hint| ("hint".to_owned(), hint.as_str().into())));
    if artifact.options.allow_disk_use
        && matches!(artifact.command, Command::Find { .. } | Command::Aggregate { .. })
    {
        command.insert("allowDiskUse", true);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};
    use forge_core::adapter::Capabilities;

    use super::super::{Collections, Deployment};
    use super::*;

    /// What glibc's and most other allocators keep ready for each thread; larger blocks cost several times as much.
    const QUICKLY_ALLOCATED: usize = 1_024;

    #[test]
    fn the_size_of_batches_is_what_the_read_says_and_never_nothing() {
        let of = |batch_size| batch(&ReadOptions { batch_size, ..ReadOptions::default() });
        assert_eq!((of(Some(7)), of(Some(0)), of(None)), (7, BATCH_SIZE, BATCH_SIZE));
    }

    fn driver() -> OfficialDriver {
        let client = mongodb::Client::with_uri_str("mongodb://127.0.0.1:1");
        let client = client.now_or_never().unwrap().unwrap();
        let deployment = Deployment {
            hosts: Vec::new(),
            topology: "",
            version: String::new(),
            wire_version: 0,
            capabilities: Capabilities::default(),
        };
        let default_database = "d".to_owned();
        OfficialDriver { client, default_database, deployment, collections: Collections::default() }
    }

    #[tokio::test]
    async fn the_futures_of_commands_are_quickly_allocated() {
        let driver = driver();
        let artifact = MongoArtifact::new("c", Command::FindOneAndDelete { filter: doc! { "_id": 1 } });
        let size = size_of_val(&run(&driver, "d", artifact.into(), None));
        assert!(size <= QUICKLY_ALLOCATED, "{size} bytes");
    }

    #[tokio::test]
    async fn the_usual_commands_have_no_box_of_their_own() {
        let on: Documents = driver().client.database("d").collection("c");
        let filter = doc! { "_id": 1 };
        let find = Command::Find {
            filter: filter.clone(),
            projection: None,
            sort: None,
            skip: None,
            limit: Some(1),
        };
        let insert = Command::Insert { documents: vec![rawdoc! { "_id": 1 }], ordered: true };
        let update = Command::FindOneAndUpdate {
            filter,
            update: doc! { "$inc": { "n": 1 } }.into(),
            upsert: false,
            return_after: true,
            sort: None,
        };
        for usual in [find, insert, update] {
            let name = usual.name();
            let sent = send(&on, MongoArtifact::new("c", usual).into(), None);
            assert!(!matches!(sent, Sending::Other(_)), "{name}");
        }
    }
}
