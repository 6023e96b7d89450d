//! The change feed: every commit of a database, in order, in the `changes` table.
//!
//! A record is written in the transaction whose changes it holds, so that the feed and the data never disagree. Old
//! records go when there are a tenth more than [`MAX_COMMITS`] or [`MAX_BYTES`] of them.
//!
//! Form of a record (little-endian): `appended: u64` (bytes of all records so far, this one included), `count: u32`, then
//! for each change `kind: u8`, collection, touched paths (`u32` count, all ones for none, then names), before, after;
//! names and documents as `u32` length and bytes, all ones for none; at the end `at: i64` (milliseconds) and a byte 1.
//! Older records end without a time: their last byte is never 1.

use std::sync::Arc;

use bson::{Bson, RawDocument, RawDocumentBuf};
use forge_core::adapter::{ChangeEvent, ChangeKind};
use forge_core::{DateTime, Error, Result};

use crate::store::{ChangeTable, Found, Span};

/// How many commits are kept at least.
pub(crate) const MAX_COMMITS: u64 = 10_000;
/// How many bytes of commits are kept at least; the newest commit is kept whatever its size.
pub(crate) const MAX_BYTES: u64 = 64 * 1024 * 1024;

const NONE: u32 = u32::MAX;

/// One changed document, before it is a record.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The number of the database.
    pub(crate) database: u32,
    /// The name of the collection.
    pub(crate) collection: Arc<str>,
    /// What happened.
    pub(crate) kind: ChangeKind,
    /// The encoded `_id`; empty for whole collections.
    pub(crate) id_key: Vec<u8>,
    /// As it was.
    pub(crate) before: Option<RawDocumentBuf>,
    /// As it is.
    pub(crate) after: Option<RawDocumentBuf>,
    /// The paths that an update names.
    pub(crate) touched: Option<Arc<[String]>>,
}

/// Which commits a database keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Feed {
    /// The oldest version that is kept; 0 without any.
    first: u64,
    /// The newest version; 0 without any.
    pub(crate) last: u64,
    /// The bytes of all records ever.
    appended: u64,
    /// The bytes of the records that are kept.
    kept: u64,
}

fn key(database: u32, version: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&database.to_be_bytes());
    key[4..].copy_from_slice(&version.to_be_bytes());
    key
}

impl Feed {
    /// What the table holds of a database.
    pub(crate) fn load(table: &ChangeTable<'_>, database: u32) -> Result<Self> {
        let prefix = Span::of_id(database);
        let mut rows = table.range(&prefix)?;
        let Some(first) = rows.next() else { return Ok(Self::default()) };
        let (first_key, first_value) = first?;
        let mut feed = Self {
            first: version_of(first_key.value())?,
            last: version_of(first_key.value())?,
            appended: Reader(first_value.value()).u64()?,
            kept: first_value.value().len() as u64,
        };
        if let Some(last) = rows.next_back() {
            let (last_key, last_value) = last?;
            let appended = Reader(last_value.value()).u64()?;
            feed.kept += appended.saturating_sub(feed.appended);
            feed.appended = appended;
            feed.last = version_of(last_key.value())?;
        }
        Ok(feed)
    }

    /// Whether everything after `version` is kept.
    pub(crate) fn reaches_back_to(&self, version: u64) -> bool {
        version <= self.last && (version == self.last || version.saturating_add(1) >= self.first)
    }

    /// Appends a commit and drops what is too old. Answers with the version of the commit.
    pub(crate) fn append(
        &mut self,
        table: &mut ChangeTable<'_>,
        database: u32,
        changes: &[&Change],
        now: DateTime,
    ) -> Result<u64> {
        let record = encode(self.appended, changes, now)?;
        let version = self.last + 1;
        table.insert(&key(database, version), &record)?;
        if self.first == 0 {
            self.first = version;
        }
        self.last = version;
        self.appended += record.len() as u64;
        self.kept += record.len() as u64;
        // Old records go many at a time: that touches the old end of the table seldom.
        let many = self.last - self.first >= MAX_COMMITS + MAX_COMMITS / 10;
        if many || self.kept > MAX_BYTES + MAX_BYTES / 10 {
            self.prune(table, database)?;
        }
        Ok(version)
    }

    /// The version after which everything happened at `start` or later; none where older commits are gone that may have
    /// happened after it as well.
    pub(crate) fn before(
        &self,
        table: &ChangeTable<'_>,
        database: u32,
        start: DateTime,
    ) -> Result<Option<u64>> {
        if self.last == 0 {
            return Ok(Some(0));
        }
        // Commits are numbered without gaps, and their times grow.
        let (mut low, mut high) = (self.first, self.last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let record = table.get(&key(database, middle))?.ok_or_else(damaged)?;
            if time_of(record.value()).is_some_and(|at| at >= start) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok((low > self.first || self.first == 1).then(|| low - 1))
    }

    fn prune(&mut self, table: &mut ChangeTable<'_>, database: u32) -> Result<()> {
        while self.first < self.last && (self.last - self.first >= MAX_COMMITS || self.kept > MAX_BYTES) {
            let gone = table.remove(&key(database, self.first))?;
            self.kept = self.kept.saturating_sub(gone.map_or(0, |record| record.value().len() as u64));
            self.first += 1;
        }
        Ok(())
    }
}

fn version_of(key: &[u8]) -> Result<u64> {
    let bytes = key.get(4..12).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(damaged)
}

/// The record of the commit `version`.
pub(crate) fn record<'r>(
    table: &'r ChangeTable<'_>,
    database: u32,
    version: u64,
) -> Result<Option<Found<'r, &'static [u8]>>> {
    table.get(&key(database, version))
}

/// The changes that a record holds.
pub(crate) fn decode(record: &[u8]) -> Result<Vec<ChangeEvent>> {
    let mut reader = Reader(record);
    reader.u64()?;
    let count = reader.u32()?;
    let mut changes = Vec::with_capacity(count.min(100_000) as usize);
    for _ in 0..count {
        changes.push(reader.change()?);
    }
    Ok(changes)
}

/// When the commit was made; none in older records.
fn time_of(record: &[u8]) -> Option<DateTime> {
    let [rest @ .., 1] = record else { return None };
    Some(DateTime::from_millis(i64::from_le_bytes(*rest.last_chunk()?)))
}

fn encode(appended: u64, changes: &[&Change], now: DateTime) -> Result<Vec<u8>> {
    let size: usize = changes.iter().map(|change| size(change)).sum();
    let mut out = Vec::with_capacity(size + 21);
    out.extend_from_slice(&0_u64.to_le_bytes());
    out.extend_from_slice(&length(changes.len())?.to_le_bytes());
    for change in changes {
        out.push(kind_byte(change.kind));
        bytes(&mut out, Some(change.collection.as_bytes()))?;
        match &change.touched {
            None => out.extend_from_slice(&NONE.to_le_bytes()),
            Some(paths) => {
                out.extend_from_slice(&length(paths.len())?.to_le_bytes());
                for path in paths.iter() {
                    bytes(&mut out, Some(path.as_bytes()))?;
                }
            }
        }
        bytes(&mut out, change.before.as_ref().map(|document| document.as_bytes()))?;
        bytes(&mut out, change.after.as_ref().map(|document| document.as_bytes()))?;
    }
    out.extend_from_slice(&now.millis().to_le_bytes());
    out.push(1);
    let appended = appended + out.len() as u64;
    out[..8].copy_from_slice(&appended.to_le_bytes());
    Ok(out)
}

fn size(change: &Change) -> usize {
    let document =
        |document: &Option<RawDocumentBuf>| document.as_ref().map_or(0, |raw| raw.as_bytes().len());
    64 + document(&change.before) + document(&change.after)
}

fn length(length: usize) -> Result<u32> {
    u32::try_from(length)
        .ok()
        .filter(|length| *length != NONE)
        .ok_or_else(|| Error::too_large("a commit is too large"))
}

fn bytes(out: &mut Vec<u8>, value: Option<&[u8]>) -> Result<()> {
    let Some(value) = value else {
        out.extend_from_slice(&NONE.to_le_bytes());
        return Ok(());
    };
    out.extend_from_slice(&length(value.len())?.to_le_bytes());
    out.extend_from_slice(value);
    Ok(())
}

fn kind_byte(kind: ChangeKind) -> u8 {
    match kind {
        ChangeKind::Insert => 0,
        ChangeKind::Update => 1,
        ChangeKind::Replace => 2,
        ChangeKind::Delete => 3,
        _ => 4,
    }
}

fn damaged() -> Error {
    Error::internal("a record of the change feed is damaged")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32> {
        self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| damaged())
    }

    fn u64(&mut self) -> Result<u64> {
        self.take(8)?.try_into().map(u64::from_le_bytes).map_err(|_| damaged())
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>> {
        match self.u32()? {
            NONE => Ok(None),
            length => self.take(length as usize).map(Some),
        }
    }

    fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?.ok_or_else(damaged)?;
        std::str::from_utf8(bytes).map_err(|_| damaged())
    }

    fn document(&mut self) -> Result<Option<RawDocumentBuf>> {
        match self.bytes()? {
            None => Ok(None),
            Some(bytes) => Ok(Some(RawDocument::from_bytes(bytes)?.to_owned())),
        }
    }

    fn change(&mut self) -> Result<ChangeEvent> {
        let kind = match self.take(1)? {
            [0] => ChangeKind::Insert,
            [1] => ChangeKind::Update,
            [2] => ChangeKind::Replace,
            [3] => ChangeKind::Delete,
            _ => ChangeKind::Drop,
        };
        let collection = Arc::from(self.text()?);
        let touched = match self.u32()? {
            NONE => None,
            count => Some((0..count).map(|_| self.text().map(str::to_owned)).collect::<Result<Vec<_>>>()?),
        };
        let (before, after) = (self.document()?, self.document()?);
        let id = match after.as_ref().or(before.as_ref()).map(|document| document.get("_id")) {
            Some(Ok(Some(id))) => Bson::try_from(id)?,
            _ => Bson::Null,
        };
        Ok(ChangeEvent { collection, kind, id, before, after, touched, updated: None })
    }
}
