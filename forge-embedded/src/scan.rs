//! Reading what a plan says: the scan below every command.

use std::cell::Cell;
use std::collections::HashSet;

use bson::RawDocument;
use forge_core::{Error, Result};

use crate::catalog::Collection;
use crate::clock::Clock;
use crate::plan::{Access, Order, Plan};
use crate::read::View;
use crate::store::{Span, until};

/// What a scan does with a document: true goes on.
pub(crate) type Visit<'f> = &'f mut dyn FnMut(&[u8], &RawDocument) -> Result<bool>;

/// How a scan reads.
struct Reading<'c> {
    collection: &'c Collection,
    order: Order,
    /// How many documents are passed over before the first that is read.
    skip: Cell<usize>,
}

impl Reading<'_> {
    /// Whether the next document is passed over, where there is time left.
    fn skips(&self, clock: &Clock) -> Result<bool> {
        let Some(left) = self.skip.get().checked_sub(1) else { return Ok(false) };
        self.skip.set(left);
        clock.pass(left)?;
        Ok(true)
    }
}

impl View<'_, '_> {
    /// Calls `visit` with the documents that a plan reads, whether they match or not, each once.
    pub(crate) fn scan(&self, collection: &Collection, plan: &Plan, visit: Visit<'_>) -> Result<()> {
        self.scan_from(collection, plan, 0, visit)
    }

    /// As [`scan`](View::scan), without the first `skip` documents of an exact plan, which are not even read.
    pub(crate) fn scan_from(
        &self,
        collection: &Collection,
        plan: &Plan,
        skip: usize,
        visit: Visit<'_>,
    ) -> Result<()> {
        let reading = Reading { collection, order: plan.order, skip: Cell::new(skip) };
        self.scan_access(&reading, &plan.access, visit).map(|_| ())
    }

    /// As [`scan_from`](View::scan_from); false where `visit` ended it.
    fn scan_access(&self, reading: &Reading<'_>, access: &Access, visit: Visit<'_>) -> Result<bool> {
        let Reading { collection, order: Order { reverse, flipped, .. }, .. } = *reading;
        match access {
            Access::Any(branches) => {
                let mut seen = HashSet::new();
                let mut step = |branch: &Access| {
                    self.scan_access(reading, branch, &mut |id_key, document| {
                        if seen.insert(id_key.to_vec()) { visit(id_key, document) } else { Ok(true) }
                    })
                };
                each(branches, reverse, &mut step)
            }
            Access::Ids(ids) => {
                collection.id_uses.count();
                let mut step = |key: &Vec<u8>| match self.tables.doc(key)? {
                    Some(_) if reading.skips(self.clock)? => Ok(true),
                    Some(bytes) => self.visit(&key[4..], bytes.value(), visit),
                    None => Ok(true),
                };
                each(ids, reverse, &mut step)
            }
            Access::Documents { span, bounded } => {
                if *bounded {
                    collection.id_uses.count();
                }
                self.tables.docs(span)?.visit(reverse, &mut |key, value| {
                    if reading.skips(self.clock)? { Ok(true) } else { self.visit(&key[4..], value, visit) }
                })
            }
            Access::Index { index, spans } => {
                index.uses.count();
                let repeats = index.keys.iter().any(|key| key.multikey);
                let mut seen = HashSet::new();
                let mut full_key = collection.id.to_be_bytes().to_vec();
                let mut entry = |key: &[u8], id_at: u32| {
                    let id_key = &key[id_at as usize..];
                    if repeats && !seen.insert(id_key.to_vec()) || reading.skips(self.clock)? {
                        return Ok(true);
                    }
                    full_key.truncate(4);
                    full_key.extend_from_slice(id_key);
                    match self.tables.doc(&full_key)? {
                        Some(bytes) => self.visit(id_key, bytes.value(), visit),
                        None => {
                            Err(Error::internal(format!("index {} names a missing document", index.name)))
                        }
                    }
                };
                let mut step = |span: &Span| {
                    if flipped {
                        return self.groups(span, reverse, &mut entry);
                    }
                    self.tables.entries(span)?.visit(reverse, &mut entry)
                };
                each(spans, reverse, &mut step)
            }
        }
    }

    /// The entries of a span: groups with the same values in one direction, the entries of each in the other. No more than
    /// one entry is held. False where `step` ended it.
    fn groups(
        &self,
        span: &Span,
        reverse: bool,
        step: &mut dyn FnMut(&[u8], u32) -> Result<bool>,
    ) -> Result<bool> {
        let mut rest = span.clone();
        loop {
            let group = {
                let mut entries = self.tables.entries(&rest)?;
                let next = if reverse { entries.next_back() } else { entries.next() };
                let Some((key, id_at)) = next.transpose()? else { return Ok(true) };
                Span::prefix(&key.value()[..id_at.value() as usize])
            };
            if !self.tables.entries(&group)?.visit(!reverse, step)? {
                return Ok(false);
            }
            match (reverse, group.end) {
                (true, _) => rest.end = Some(group.start),
                (false, Some(end)) => rest.start = end,
                (false, None) => return Ok(true),
            }
        }
    }

    fn visit(&self, id_key: &[u8], bytes: &[u8], visit: Visit<'_>) -> Result<bool> {
        self.clock.tick()?;
        visit(id_key, RawDocument::from_bytes(bytes)?)
    }
}

fn each<'i, T>(items: &'i [T], reverse: bool, step: &mut dyn FnMut(&'i T) -> Result<bool>) -> Result<bool> {
    if reverse { until(items.iter().rev(), step) } else { until(items.iter(), step) }
}
