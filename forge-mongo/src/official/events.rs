//! Change events in MongoDB's form, as commits. Pure: batches of events in, commits out.

use std::sync::Arc;

use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp};
use forge_core::adapter::{ChangeEvent, ChangeKind, Commit, ResumeToken};
use forge_core::{Error, Result};

use super::images;

/// Versions count seconds from here: 2020-09-13T12:26:40Z.
const VERSION_EPOCH: u32 = 1_600_000_000;
/// The bits of a version that count within a second.
const INCREMENT_BITS: u32 = 20;

/// The version of a commit at `time`: 33 bits of seconds and 20 of increments, below 2⁵³.
pub(super) fn version(time: Timestamp) -> u64 {
    let seconds = u64::from(time.time.saturating_sub(VERSION_EPOCH));
    (seconds << INCREMENT_BITS) | u64::from(time.increment.min((1 << INCREMENT_BITS) - 1))
}

/// One event of a change stream.
pub(super) enum Event {
    /// Something changed.
    Change(Change),
    /// Nothing that a reader of documents could notice.
    Nothing,
    /// The stream ends here, and cannot be resumed.
    Invalidated,
}

/// The changes of one event: one document, or whole collections.
pub(super) struct Change {
    token: Bson,
    time: Timestamp,
    transaction: Option<(RawDocumentBuf, i64)>,
    changes: Vec<ChangeEvent>,
}

impl Change {
    fn belongs_to(&self, other: &Change) -> bool {
        // Every entry of the operation log has its own time, unless it was written as one with others.
        self.time == other.time || (self.transaction.is_some() && self.transaction == other.transaction)
    }
}

/// Gathers the events of one transaction into one commit.
#[derive(Default)]
pub(super) struct Grouping(Option<Change>);

impl Grouping {
    /// Takes the next event; gives back the commit before it, where the event starts another.
    pub(super) fn push(&mut self, change: Change) -> Option<Commit> {
        match &mut self.0 {
            Some(open) if change.belongs_to(open) => {
                open.changes.extend(change.changes);
                (open.token, open.time) = (change.token, change.time);
                None
            }
            _ => self.0.replace(change).map(commit),
        }
    }

    /// The commit that is open.
    pub(super) fn finish(&mut self) -> Option<Commit> {
        self.0.take().map(commit)
    }

    /// Whether more events of the open commit may be on their way.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.transaction.is_some())
    }
}

fn commit(change: Change) -> Commit {
    Commit { version: version(change.time), token: ResumeToken(change.token), changes: change.changes }
}

/// Reads one event.
///
/// # Errors
/// Where it has not the form that MongoDB documents.
pub(super) fn parse(event: &RawDocument) -> Result<Event> {
    let kind = match event.get_str("operationType").map_err(malformed)? {
        "insert" => ChangeKind::Insert,
        "update" => ChangeKind::Update,
        "replace" => ChangeKind::Replace,
        "delete" => ChangeKind::Delete,
        "drop" | "rename" => ChangeKind::Drop,
        "invalidate" => return Ok(Event::Invalidated),
        // create, createIndexes, modify, …; a dropped database drops its collections first.
        _ => return Ok(Event::Nothing),
    };
    let time = event.get_timestamp("clusterTime").map_err(malformed)?;
    let token = Bson::try_from(event.get("_id")?.ok_or_else(|| malformed("no _id"))?)?;
    let changes = if kind == ChangeKind::Drop { dropped(event)? } else { vec![change_of(event, kind)?] };
    Ok(Event::Change(Change { token, time, transaction: transaction(event), changes }))
}

fn change_of(event: &RawDocument, kind: ChangeKind) -> Result<ChangeEvent> {
    let key = event.get_document("documentKey").map_err(malformed)?;
    let id = key.get("_id")?.map_or(Ok(Bson::Null), Bson::try_from)?;
    let before = document(event, "fullDocumentBeforeChange");
    let description = event.get_document("updateDescription").ok().filter(|_| kind == ChangeKind::Update);
    // Of an update the server looks up what the document is by now, unless it is gone.
    let exact = before.as_ref().zip(description).and_then(|(before, update)| images::after(before, update));
    Ok(ChangeEvent {
        collection: collection(event, "ns")?,
        kind,
        id,
        before,
        after: exact.or_else(|| document(event, "fullDocument")),
        touched: touched(event),
        updated: description.and_then(|description| document(description, "updatedFields")),
    })
}

fn dropped(event: &RawDocument) -> Result<Vec<ChangeEvent>> {
    let gone = |collection| ChangeEvent {
        collection,
        kind: ChangeKind::Drop,
        id: Bson::Null,
        before: None,
        after: None,
        touched: None,
        updated: None,
    };
    let mut changes = vec![gone(collection(event, "ns")?)];
    // A renamed collection also replaces what had its new name.
    if event.get("to")?.is_some() {
        changes.push(gone(collection(event, "to")?));
    }
    Ok(changes)
}

fn collection(event: &RawDocument, field: &str) -> Result<Arc<str>> {
    let name = event.get_document(field).and_then(|namespace| namespace.get_str("coll"));
    name.map(Arc::from).map_err(malformed)
}

fn document(event: &RawDocument, field: &str) -> Option<RawDocumentBuf> {
    match event.get(field) {
        Ok(Some(RawBsonRef::Document(document))) => Some(document.to_owned()),
        _ => None,
    }
}

fn transaction(event: &RawDocument) -> Option<(RawDocumentBuf, i64)> {
    let number = event.get("txnNumber").ok().flatten()?.as_i64()?;
    Some((document(event, "lsid")?, number))
}

/// The paths that an update set, removed or shortened.
fn touched(event: &RawDocument) -> Option<Vec<String>> {
    let description = event.get_document("updateDescription").ok()?;
    let mut paths = Vec::new();
    if let Ok(updated) = description.get_document("updatedFields") {
        paths.extend(updated.iter().flatten().map(|(path, _)| path.as_str().to_owned()));
    }
    if let Ok(removed) = description.get_array("removedFields") {
        paths.extend(removed.into_iter().flatten().filter_map(|path| path.as_str().map(str::to_owned)));
    }
    if let Ok(truncated) = description.get_array("truncatedArrays") {
        let fields =
            truncated.into_iter().flatten().filter_map(|array| array.as_document()?.get_str("field").ok());
        paths.extend(fields.map(str::to_owned));
    }
    Some(paths)
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::internal(format!("a change event has an unknown form: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, doc};

    fn at(seconds: u32, increment: u32) -> Timestamp {
        Timestamp { time: seconds, increment }
    }

    fn change(id: i32, time: Timestamp, transaction: Option<i64>) -> Change {
        let mut event = doc! {
            "_id": { "_data": format!("t{id}") }, "operationType": "update", "clusterTime": time,
            "ns": { "db": "d", "coll": "c" }, "documentKey": { "_id": id }, "fullDocument": { "_id": id },
            "updateDescription": { "updatedFields": { "a.b": 1 }, "removedFields": ["x"], "truncatedArrays": [{ "field": "l", "newSize": 1 }] },
        };
        if let Some(number) = transaction {
            event.extend(doc! { "lsid": { "id": 1 }, "txnNumber": number });
        }
        match parse(&RawDocumentBuf::try_from(&event).unwrap()).unwrap() {
            Event::Change(change) => change,
            _ => panic!("no change"),
        }
    }

    #[test]
    fn versions_grow_with_time_and_stay_below_two_to_the_53() {
        let times =
            [at(VERSION_EPOCH, 1), at(VERSION_EPOCH, 2), at(VERSION_EPOCH + 1, 0), at(u32::MAX, u32::MAX)];
        let versions = times.map(version);
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
        assert!(versions[3] < 1 << 53);
    }

    #[test]
    fn the_events_of_one_transaction_are_one_commit_and_others_are_not() {
        let mut grouping = Grouping::default();
        let now = VERSION_EPOCH + 10;
        assert!(grouping.push(change(1, at(now, 1), Some(7))).is_none());
        assert!(grouping.is_in_transaction());
        assert!(grouping.push(change(2, at(now, 1), Some(7))).is_none());
        let first = grouping.push(change(3, at(now, 2), None)).unwrap();
        assert_eq!(first.changes.len(), 2);
        assert_eq!(first.token, ResumeToken(doc! { "_data": "t2" }.into()));
        assert_eq!(first.version, version(at(now, 1)));
        let second = grouping.push(change(4, at(now, 3), Some(8))).unwrap();
        assert_eq!(second.changes[0].id, Bson::Int32(3));
        assert_eq!(grouping.finish().unwrap().changes.len(), 1);
        assert!(grouping.finish().is_none());
    }

    #[test]
    fn an_update_names_the_paths_it_touched() {
        let event = change(1, at(VERSION_EPOCH, 1), None).changes.remove(0);
        assert_eq!(event.touched.unwrap(), ["a.b", "x", "l"]);
        assert!(event.after.is_some() && event.before.is_none());
    }

    #[test]
    fn a_rename_ends_both_collections() {
        let event = doc! {
            "_id": {}, "operationType": "rename", "clusterTime": at(VERSION_EPOCH, 1),
            "ns": { "db": "d", "coll": "a" }, "to": { "db": "d", "coll": "b" },
        };
        let Event::Change(change) = parse(&RawDocumentBuf::try_from(&event).unwrap()).unwrap() else {
            panic!()
        };
        assert_eq!(change.changes.iter().map(|c| &*c.collection).collect::<Vec<_>>(), ["a", "b"]);
    }
}
