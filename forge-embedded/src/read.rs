//! Reading commands: find, count, distinct, and the scan below all of them.

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};
use forge_core::matcher::{Centre, distance_at};
use forge_core::{Error, Result};
use forge_mongo::{Command, MongoArtifact, Reply};

use crate::aggregate::{Fields, MEMORY_LIMIT};
use crate::catalog::{Catalog, Collection};
use crate::clock::Clock;
use crate::collation::{self, Collator, Strings};
use crate::keys::{self, PathValues};
use crate::matching::Matching;
use crate::plan::{Access, Plan};
use crate::query::Query;
use crate::shown::Shown;
use crate::store::{Span, Tables};
use crate::text;

/// What a reading command sees.
pub(crate) struct View<'v, 't> {
    /// A snapshot, or the state of a transaction.
    pub(crate) tables: &'v Tables<'t>,
    /// What exists in it.
    pub(crate) catalog: &'v Catalog,
    /// The database of the command.
    pub(crate) database: &'v str,
    /// How long the command may take.
    pub(crate) clock: &'v Clock,
}

/// The server's code for a collation of a view that is not its own.
const OPTION_NOT_SUPPORTED_ON_VIEW: i32 = 167;

/// A collection, how it is read, and what is left to check.
type Candidates<'c> = (&'c Collection, &'c Plan, &'c Matching);

impl View<'_, '_> {
    /// The collection of that name, where it exists.
    pub(crate) fn collection(&self, name: &str) -> Option<&Collection> {
        self.catalog.collection(self.database, name).map(|collection| &**collection)
    }

    /// The documents of a query, each turned into a `T`.
    pub(crate) fn select<T>(
        &self,
        collection: &str,
        query: &Query,
        make: &dyn Fn(&[u8], &RawDocument) -> Result<T>,
    ) -> Result<Vec<T>> {
        if let Some(rows) = self.view_rows(collection, query.strings())? {
            return of_view(&rows, query, self.clock, make);
        }
        let Some(collection) = self.collection(collection) else {
            // A condition that means nothing is an error everywhere.
            return query.matching(&query.filter, self.clock).map(|_| Vec::new());
        };
        if query.has_words() {
            return self.by_words(collection, query, make);
        }
        let plan = query.plan(collection)?;
        let matching = query.residual(&plan, self.clock)?;
        if let Some((path, centre)) = &query.near {
            return self.nearest((collection, &plan, &matching), query, path, *centre, make);
        }
        if plan.order.settled < query.sort.len() {
            return self.sort((collection, &plan, &matching), query, make);
        }
        let mut out = Vec::new();
        let mut skip = query.skip;
        let unread = if plan.exact { std::mem::take(&mut skip) } else { 0 };
        self.scan_from(collection, &plan, unread, &mut |id_key, document| {
            if !matching.matches(document) {
                return Ok(true);
            }
            if skip > 0 {
                skip -= 1;
                return Ok(true);
            }
            out.push(make(id_key, document)?);
            Ok(query.limit.is_none_or(|limit| out.len() < limit))
        })?;
        matching.outcome()?;
        Ok(out)
    }

    /// What a view shows, where `name` is one.
    fn view_rows(&self, name: &str, strings: Strings<'_>) -> Result<Option<Vec<RawDocumentBuf>>> {
        let Some(view) = self.collection(name).and_then(|found| found.view.clone()) else { return Ok(None) };
        if strings.is_some() {
            let text =
                format!("{name} is a view, which has the collation that it was made with and no other");
            return Err(Error::bad_request(text).with_server_code(OPTION_NOT_SUPPORTED_ON_VIEW));
        }
        crate::aggregate::run(self, &view.on, &view.pipeline, None, None).map(Some)
    }

    /// Sorts in memory; what the plan has settled of the order already lets a limit end the scan early.
    fn sort<T>(
        &self,
        (collection, plan, matching): Candidates<'_>,
        query: &Query,
        make: &dyn Fn(&[u8], &RawDocument) -> Result<T>,
    ) -> Result<Vec<T>> {
        let wanted = query.limit.map(|limit| limit.saturating_add(query.skip));
        let (settled, unsettled) = query.sort.split_at(plan.order.settled);
        let (mut last_group, mut held) = (Vec::new(), 0);
        let mut rows: Vec<(Vec<u8>, T)> = Vec::new();
        self.scan(collection, plan, &mut |id_key, document| {
            if !matching.matches(document) {
                return Ok(true);
            }
            let mut key = Vec::with_capacity(keys::SORT_KEY * query.sort.len());
            keys::extend_sort_key(document, settled, query.strings(), &mut key);
            if let Some(wanted) = wanted {
                if !settled.is_empty() {
                    if key != last_group && rows.len() >= wanted {
                        return Ok(false);
                    }
                    last_group.clone_from(&key);
                } else if rows.len() >= wanted.saturating_mul(2).saturating_add(1_000) {
                    rows.sort_by(|a, b| a.0.cmp(&b.0));
                    rows.truncate(wanted);
                }
            }
            keys::extend_sort_key(document, unsettled, query.strings(), &mut key);
            rows.push((key, make(id_key, document)?));
            if wanted.is_none() {
                held += document.as_bytes().len();
                check_sort(held, query)?;
            }
            Ok(true)
        })?;
        matching.outcome()?;
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let limit = query.limit.unwrap_or(usize::MAX);
        Ok(rows.into_iter().skip(query.skip).take(limit).map(|(_, row)| row).collect())
    }

    fn nearest<T>(
        &self,
        (collection, plan, matching): Candidates<'_>,
        query: &Query,
        path: &str,
        centre: Centre,
        make: &dyn Fn(&[u8], &RawDocument) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows: Vec<(f64, T)> = Vec::new();
        self.scan(collection, plan, &mut |id_key, document| {
            if matching.matches(document) {
                let distance = distance_at(document, path, centre).unwrap_or(f64::INFINITY);
                rows.push((distance, make(id_key, document)?));
            }
            Ok(true)
        })?;
        matching.outcome()?;
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let limit = query.limit.unwrap_or(usize::MAX);
        Ok(rows.into_iter().skip(query.skip).take(limit).map(|(_, row)| row).collect())
    }

    /// Runs a reading command.
    pub(crate) fn run(&self, artifact: &MongoArtifact) -> Result<Reply> {
        let collection = &artifact.collection;
        match &artifact.command {
            Command::Find { filter, projection, sort, skip, limit } => {
                let query = Query::new(filter)?
                    .sorted(sort.as_ref())?
                    .window(*skip, *limit)
                    .with(&artifact.options)?;
                self.projected(collection, query, projection.as_ref()).map(Reply::Documents)
            }
            Command::Count { filter, limit, .. } => self
                .count(collection, &Query::new(filter)?.with(&artifact.options)?, *limit)
                .map(Reply::Count),
            Command::Distinct { key, filter } => self
                .distinct(collection, key, &Query::new(filter)?.with(&artifact.options)?)
                .map(Reply::Values),
            Command::Aggregate { pipeline } => {
                let collator = Collator::of_options(&artifact.options)?;
                let hint = artifact.options.hint.as_deref();
                crate::aggregate::run(self, collection, pipeline, collator.as_ref(), hint)
                    .map(Reply::Documents)
            }
            other => Err(Error::internal(format!("`{}` is no reading command", other.name()))),
        }
    }

    fn projected(
        &self,
        collection: &str,
        query: Query,
        form: Option<&Document>,
    ) -> Result<Vec<RawDocumentBuf>> {
        let none = Document::new();
        let (plain, scores) = text::without_scores(form.unwrap_or(&none));
        let shown = Shown::parse(&plain)?;
        let fields = Fields::new(self, &shown.computed, query.strings())?;
        let matching = match shown.follows_match() {
            true => Some(query.matching(&query.filter, self.clock)?),
            false => None,
        };
        let show = |document: &RawDocument| shown.apply(document, matching.as_ref(), &fields);
        let query = if scores.is_empty() { query } else { query.scored() };
        if !query.scored {
            return self.select(collection, &query, &|_, document| show(document));
        }
        if !query.carries_scores() {
            return Err(Error::bad_request("there is no score without a text condition"));
        }
        self.select(collection, &query, &|_, document| text::with_scores(&show(document)?, document, &scores))
    }

    fn count(&self, collection: &str, query: &Query, limit: Option<u64>) -> Result<u64> {
        if query.has_words() {
            let limited = query.clone().window(None, limit);
            return Ok(self.select(collection, &limited, &|_, _| Ok(()))?.len() as u64);
        }
        if self.collection(collection).is_some_and(|found| found.view.is_some()) {
            let query = query.clone().window(None, limit);
            return Ok(self.select(collection, &query, &|_, _| Ok(()))?.len() as u64);
        }
        let Some(collection) = self.collection(collection) else {
            return query.matching(&query.filter, self.clock).map(|_| 0);
        };
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        let plan = query.plan(collection)?;
        let matching = query.residual(&plan, self.clock)?;
        let mut count = 0;
        // Entries alone tell the number where they tell everything.
        match &plan.access {
            Access::Index { index, spans } if plan.exact && !index.keys.iter().any(|key| key.multikey) => {
                index.uses.count();
                for span in spans {
                    count += self.tables.entries(span)?.take(bounded(limit - count)).count() as u64;
                    if count >= limit {
                        break;
                    }
                }
            }
            Access::Documents { span, .. } if plan.exact => {
                count = match self.kept(collection, &plan)? {
                    Some(kept) => kept.min(limit),
                    None => self.tables.docs(span)?.take(bounded(limit)).count() as u64,
                };
            }
            _ => self.scan(collection, &plan, &mut |_, document| {
                if matching.matches(document) {
                    count += 1;
                }
                Ok(count < limit)
            })?,
        }
        matching.outcome()?;
        Ok(count)
    }

    /// How many documents a plan finds, where that is a number that is kept.
    pub(crate) fn kept(&self, collection: &Collection, plan: &Plan) -> Result<Option<u64>> {
        match &plan.access {
            Access::Documents { span, .. } if plan.exact && *span == Span::of_id(collection.id) => {
                self.tables.count(collection.id)
            }
            _ => Ok(None),
        }
    }

    fn distinct(&self, collection: &str, path: &str, query: &Query) -> Result<Vec<Bson>> {
        let found = std::cell::RefCell::new(std::collections::BTreeMap::new());
        self.select(collection, query, &|_, document| {
            let values = PathValues::of(document, path);
            for value in values.values.iter().filter(|_| values.exists) {
                if matches!(value, RawBsonRef::Undefined) {
                    continue;
                }
                let mut key = Vec::new();
                collation::encode(*value, query.strings(), &mut key);
                if let std::collections::btree_map::Entry::Vacant(entry) = found.borrow_mut().entry(key) {
                    entry.insert(Bson::try_from(*value)?);
                }
            }
            Ok(())
        })?;
        Ok(found.into_inner().into_values().collect())
    }

    /// The documents that a query finds, with the ids by which they are stored.
    pub(crate) fn hits(&self, collection: &str, query: &Query) -> Result<Vec<(Vec<u8>, RawDocumentBuf)>> {
        self.select(collection, query, &|id_key, document| Ok((id_key.to_vec(), document.to_owned())))
    }
}

/// The documents of a query among the rows of a view.
fn of_view<T>(
    rows: &[RawDocumentBuf],
    query: &Query,
    clock: &Clock,
    make: &dyn Fn(&[u8], &RawDocument) -> Result<T>,
) -> Result<Vec<T>> {
    if query.near.is_some() {
        return Err(Error::unsupported("the embedded engine has no `$near` over a view; ask its source"));
    }
    let matching = query.matching(&query.filter, clock)?;
    let mut found: Vec<_> = rows.iter().filter(|row| matching.matches(row)).collect();
    matching.outcome()?;
    if !query.sort.is_empty() {
        found.sort_by_cached_key(|row| keys::sort_key(row, &query.sort, query.strings()));
    }
    let part = found.into_iter().skip(query.skip).take(query.limit.unwrap_or(usize::MAX));
    part.map(|row| {
        let mut id = Vec::new();
        keys::encode(row.get("_id")?.unwrap_or(RawBsonRef::Null), &mut id);
        make(&id, row)
    })
    .collect()
}

/// Refuses to hold more than [`MEMORY_LIMIT`] bytes for a sort.
fn check_sort(held: usize, query: &Query) -> Result<()> {
    if held <= MEMORY_LIMIT {
        return Ok(());
    }
    let paths: Vec<&str> = query.sort.iter().map(|key| &*key.path).collect();
    Err(Error::too_large(format!(
        "the sort by {} would hold more than {} MiB in memory, the limit of the embedded engine; add a limit, or an index \
         with this order",
        paths.join(", "),
        MEMORY_LIMIT >> 20
    )))
}

fn bounded(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
