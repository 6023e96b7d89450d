//! One change stream for a whole database, resumed over broken connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Bson, Document, RawDocument, Timestamp, doc};
use forge_core::adapter::{Commit, ResumeToken, WatchOptions, history_lost};
use forge_core::{DateTime, Error, Result};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use mongodb::Database;
use mongodb::error::{
    Error as DriverError, ErrorKind, RESUMABLE_CHANGE_STREAM_ERROR, Result as DriverResult,
};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::errors;
use super::events::{self, Event, Grouping};

/// Events in one batch.
const BATCH_SIZE: i32 = 1_000;
/// A batch over this many bytes was cut by the server's limit of 16 MB, and more is waiting.
const CUT_BATCH_BYTES: usize = 12_000_000;
/// How often a quiet feed tells where it is, where that is wanted.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// How often in a row a broken stream is opened again. Each attempt also waits for a server to be found.
const MAX_ATTEMPTS: u32 = 6;

/// Opens the feed; a change that commits after this returns is in it.
///
/// The stream is read by batches rather than through the driver's own type: a batch shows where it ends, so that the
/// last commit of it is passed on at once, and its token is kept while nothing happens.
pub(super) async fn watch(
    database: Database,
    options: WatchOptions,
    pre_images: bool,
) -> Result<BoxStream<'static, Result<Commit>>> {
    let time = options.start_at.filter(|_| options.resume.is_none()).map(first_moment_of);
    let from = Position { token: options.resume.map(|token| token.0), time };
    let shape = Shape { pre_images, only: only(&options.collections) };
    let cursor = open(&database, &from, &shape).await.map_err(|error| give_up(error, &from))?;
    let feed = Feed {
        database,
        cursor,
        from,
        shape,
        progress: options.progress.then(Progress::new),
        grouping: Grouping::default(),
        ready: VecDeque::new(),
        failures: 0,
        end: End::NotYet,
    };
    Ok(stream::unfold(feed, |mut feed| async move { feed.next().await.map(|commit| (commit, feed)) }).boxed())
}

/// Where a stream goes on.
struct Position {
    token: Option<Bson>,
    /// The time of the first reply, until there is a token.
    time: Option<Timestamp>,
}

/// What a stream carries.
struct Shape {
    pre_images: bool,
    /// The condition on its events.
    only: Option<Document>,
}

/// Events of these collections, and those that are about none.
fn only(collections: &[Arc<str>]) -> Option<Document> {
    let names: Vec<&str> = collections.iter().map(|name| &**name).collect();
    let any = doc! { "$in": &names };
    let conditions =
        [doc! { "ns.coll": any.clone() }, doc! { "to.coll": any }, doc! { "ns.coll": { "$exists": false } }];
    (!names.is_empty()).then(|| doc! { "$match": { "$or": conditions } })
}

/// The cluster's clock counts whole seconds.
fn first_moment_of(start: DateTime) -> Timestamp {
    let seconds = u32::try_from(start.millis().div_euclid(1_000).max(0)).unwrap_or(u32::MAX);
    Timestamp { time: seconds, increment: 1 }
}

async fn open(database: &Database, from: &Position, shape: &Shape) -> DriverResult<RawBatchCursor> {
    let mut stage = doc! { "fullDocument": "updateLookup" };
    if shape.pre_images {
        stage.insert("fullDocumentBeforeChange", "whenAvailable");
    }
    match (&from.token, from.time) {
        (Some(token), _) => _ = stage.insert("resumeAfter", token.clone()),
        (None, Some(time)) => _ = stage.insert("startAtOperationTime", time),
        (None, None) => {}
    }
    let mut pipeline = vec![doc! { "$changeStream": stage }];
    pipeline.extend(shape.only.clone());
    let command = doc! { "aggregate": 1, "pipeline": pipeline, "cursor": { "batchSize": BATCH_SIZE } };
    database.run_cursor_command(command).batch_size(BATCH_SIZE as u32).batch().await
}

/// How far the end of a feed is. What was complete before it is passed on first.
enum End {
    NotYet,
    With(Error),
    Told,
}

struct Feed {
    database: Database,
    cursor: RawBatchCursor,
    from: Position,
    shape: Shape,
    progress: Option<Progress>,
    grouping: Grouping,
    ready: VecDeque<Commit>,
    /// Failures since the last batch.
    failures: u32,
    end: End,
}

/// When a quiet feed last told where it is.
struct Progress {
    told: Option<Instant>,
    version: u64,
}

impl Progress {
    fn new() -> Self {
        Self { told: None, version: 0 }
    }

    /// Follows what is passed on; where nothing was for a while, adds a commit of nothing with the newest place.
    fn follow(&mut self, ready: &mut VecDeque<Commit>, token: Option<&Bson>) {
        if let Some(last) = ready.back() {
            (self.version, self.told) = (last.version, Some(Instant::now()));
            return;
        }
        // The first is told at once, so that it can be kept before anything happens.
        let due = self.told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY);
        let Some(token) = token.filter(|_| due) else { return };
        self.told = Some(Instant::now());
        let token = ResumeToken(token.clone());
        ready.push_back(Commit { version: self.version, token, changes: Vec::new() });
    }
}

impl Feed {
    async fn next(&mut self) -> Option<Result<Commit>> {
        loop {
            if let Some(commit) = self.ready.pop_front() {
                return Some(Ok(commit));
            }
            match std::mem::replace(&mut self.end, End::Told) {
                End::NotYet => self.end = End::NotYet,
                End::With(error) => return Some(Err(error)),
                End::Told => return None,
            }
            let went_on = match self.cursor.next().await {
                Some(Ok(batch)) => self.take(&batch),
                Some(Err(error)) => self.resume(Some(error)).await,
                // The server closed the cursor without a word.
                None => self.resume(None).await,
            };
            if let Err(error) = went_on {
                self.end = End::With(error);
            }
        }
    }

    fn take(&mut self, batch: &RawBatch) -> Result<()> {
        self.failures = 0;
        let mut count = 0;
        for event in batch.doc_slices().map_err(errors::map)? {
            count += 1;
            let event = event?;
            let Some(event) = event.as_document() else { continue };
            match events::parse(event)? {
                Event::Change(change) => self.ready.extend(self.grouping.push(change)),
                Event::Nothing => {}
                Event::Invalidated => return Err(history_lost()),
            }
        }
        let reply = batch.as_raw_document();
        self.keep_place(reply);
        // A transaction may go on in the next batch, but only where this one was cut.
        let cut = count >= BATCH_SIZE || reply.as_bytes().len() > CUT_BATCH_BYTES;
        if !(cut && self.grouping.is_in_transaction()) {
            self.ready.extend(self.grouping.finish());
            if let Some(progress) = &mut self.progress {
                progress.follow(&mut self.ready, self.from.token.as_ref());
            }
        }
        Ok(())
    }

    /// Keeps where the stream is, events or not: the token of a quiet stream would age out.
    fn keep_place(&mut self, reply: &RawDocument) {
        let token =
            reply.get_document("cursor").and_then(|cursor| cursor.get_document("postBatchResumeToken"));
        if let Ok(Ok(token)) = token.map(Document::try_from) {
            self.from.token = Some(token.into());
        } else if self.from.time.is_none() {
            self.from.time = reply.get_timestamp("operationTime").ok();
        }
    }

    async fn resume(&mut self, cause: Option<DriverError>) -> Result<()> {
        let mut cause = match cause {
            Some(error) if !is_resumable(&error) => return Err(give_up(error, &self.from)),
            cause => cause,
        };
        while self.failures < MAX_ATTEMPTS {
            tokio::time::sleep(Duration::from_millis(50 << self.failures)).await;
            self.failures += 1;
            match open(&self.database, &self.from, &self.shape).await {
                Ok(cursor) => {
                    self.cursor = cursor;
                    return Ok(());
                }
                Err(error) if is_resumable(&error) => cause = Some(error),
                Err(error) => return Err(give_up(error, &self.from)),
            }
        }
        Err(match cause {
            Some(error) => give_up(error, &self.from),
            None => Error::unavailable("the server keeps closing the change feed"),
        })
    }
}

/// Whether the stream may go on from its token.
fn is_resumable(error: &DriverError) -> bool {
    if is_lost(error) {
        return false;
    }
    let broken = matches!(
        &*error.kind,
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::ServerSelection { .. }
    );
    // CursorNotFound, and primaries that change.
    let codes = [43, 6, 7, 89, 91, 133, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13388, 13435, 13436];
    broken
        || error.contains_label(RESUMABLE_CHANGE_STREAM_ERROR)
        || errors::code_of(error).is_some_and(|code| codes.contains(&code))
}

/// ChangeStreamHistoryLost, ChangeStreamFatalError, InvalidResumeToken, and an event over 16 MB, which would fail again.
fn is_lost(error: &DriverError) -> bool {
    matches!(errors::code_of(error), Some(286 | 280 | 260 | 10334))
}

fn give_up(error: DriverError, from: &Position) -> Error {
    if is_lost(&error) || (from.token.is_some() && refuses_token(&error)) {
        tracing::warn!(%error, resumed = from.token.is_some(), "the history of the change feed is gone");
        return history_lost();
    }
    errors::map(error)
}

/// Whether the server may have refused the command for its token. Servers have many codes for tokens of other
/// deployments and versions; without the token, whatever else is wrong shows itself.
fn refuses_token(error: &DriverError) -> bool {
    let of_something_else = [13, 18, 50];
    matches!(&*error.kind, ErrorKind::Command(command) if !of_something_else.contains(&command.code))
}
