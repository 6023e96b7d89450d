use std::borrow::Cow;
use std::future::IntoFuture;

use bson::RawDocumentBuf;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::cursor::{self, Place};
use super::decode::{Dirt, Dirty};
use super::reading::{Decoder, Reading, reverse, total_order};
use super::wrong_outcome;
use crate::adapter::Explanation;
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::ir::{self, Operation, Outcome, Projection, Rows, SortKey};

/// Which part of a sorted result is wanted. Works as an argument of handlers: `{"size": 20, "after": "…"}`.
///
/// ```
/// use forge_core::query::Page;
///
/// let first = Page::first(20).with_total();
/// let next = Page::first(20).after("AbC");
/// let previous = Page::first(20).before("AbC");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// How many items at most; 0 is none.
    pub size: u64,
    /// The `next` of the page before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The `previous` of the page after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Whether to count all items as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub total: bool,
}

impl Page {
    /// The first `size` items.
    pub fn first(size: u64) -> Self {
        Self { size, after: None, before: None, total: false }
    }

    /// The items after a page: its `next`.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.after = Some(cursor.into());
        self
    }

    /// The items before a page: its `previous`.
    #[must_use]
    pub fn before(mut self, cursor: impl Into<String>) -> Self {
        self.before = Some(cursor.into());
        self
    }

    /// Counts all items as well: another command.
    #[must_use]
    pub fn with_total(mut self) -> Self {
        self.total = true;
        self
    }

    /// The same with `most` items at most: for sizes that come from clients.
    #[must_use]
    pub fn at_most(mut self, most: u64) -> Self {
        self.size = self.size.min(most);
        self
    }
}

/// A part of a sorted result, with the cursors that lead on. Works as the result of handlers.
///
/// A cursor holds the sort values and the id of a document, not encrypted: that is why it is refused to sort pages by
/// private fields. It stays good while documents come and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paged<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Leads to the items after these, with [`Page::after`]; none where these are the last.
    pub next: Option<String>,
    /// Leads to the items before these, with [`Page::before`]; none where these are the first.
    pub previous: Option<String>,
    /// How many items there are in all, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl<T: JsonSchema> JsonSchema for Paged<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Paged{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        schemars::json_schema!({
            "type": "object",
            "title": Self::schema_name(),
            "properties": {
                "items": { "type": "array", "items": items },
                "next": { "type": ["string", "null"], "description": "Leads to the items after these." },
                "previous": { "type": ["string", "null"], "description": "Leads to the items before these." },
                "total": { "type": ["integer", "null"], "minimum": 0, "description": "How many items there are in all." },
            },
            "required": ["items", "next", "previous"],
        })
    }
}

/// What a lenient read of a page found.
///
/// It is no result of handlers: what is wrong with documents is for the program, not for its clients.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LenientPage<T> {
    /// The page, without dirty documents, those of relations too.
    pub page: Paged<T>,
    /// The documents that were set aside, those of relations too, each once.
    pub dirty: Vec<Dirty>,
}

/// A read of one page; awaiting it gives a [`Paged<T>`].
#[must_use = "a query runs when it is awaited"]
pub struct Pages<T> {
    reading: Reading<T>,
    page: Page,
}

impl<T: Send + 'static> Pages<T> {
    pub(crate) fn new(reading: Reading<T>, page: Page) -> Self {
        Self { reading, page }
    }

    /// The page without the documents that are not what their models say, and a list of those. The cursors lead on as if
    /// they were there: a page may have fewer items than its size.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn lenient(self) -> Result<LenientPage<T>> {
        let found = self.read().await?;
        let dirt = Dirt::default();
        let page = found.decoded(Some(&dirt))?;
        Ok(LenientPage { page, dirty: dirt.take() })
    }

    /// How the database would run this: its commands, indexes and warnings.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn explain(self) -> Result<Explanation> {
        let Self { reading, page } = self.checked()?;
        let (handle, select) = (reading.handle, reading.select);
        let mut explanation = Explanation::default();
        if page.total {
            explanation.add(handle.explain(Operation::Count(counting(&select))).await?);
        }
        let window = Window::new(select, &page)?;
        explanation.add(window.explain(&handle).await?);
        Ok(explanation)
    }

    fn checked(mut self) -> Result<Self> {
        let Reading { select, error, .. } = &mut self.reading;
        if let Some(error) = error.take() {
            return Err(error);
        }
        if select.skip.is_some() || select.limit.is_some() {
            return Err(Error::bad_request(
                "a page has a size of its own: leave out `skip` and `limit`, or page with them alone",
            ));
        }
        if select.search.is_some() {
            return Err(Error::unsupported("a search has no pages by cursor; page with skip and limit"));
        }
        Ok(self)
    }

    async fn read(self) -> Result<Found<T>> {
        let Self { reading: Reading { handle, select, decode, .. }, page } = self.checked()?;
        let total = if page.total { Some(count(&handle, &select).await?) } else { None };
        let window = Window::new(select, &page)?;
        let (rows, more) = window.read(&handle).await?;
        let (next, previous) = window.cursors(&rows, more, &page)?;
        Ok(Found { decode, rows, turned: window.turned, next, previous, total })
    }
}

/// A page as it was read.
struct Found<T> {
    decode: Decoder<T>,
    rows: Rows,
    /// Whether the rows are in the opposite order.
    turned: bool,
    next: Option<String>,
    previous: Option<String>,
    total: Option<u64>,
}

impl<T: Send + 'static> Found<T> {
    fn decoded(self, dirt: Option<&Dirt>) -> Result<Paged<T>> {
        let mut items = Reading::decode(&self.decode, &self.rows, dirt)?;
        if self.turned {
            items.reverse();
        }
        Ok(Paged { items, next: self.next, previous: self.previous, total: self.total })
    }
}

impl<T: Send + 'static> IntoFuture for Pages<T> {
    type Output = Result<Paged<T>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.read().await?.decoded(None) })
    }
}

/// The count of all documents of a result.
fn counting(select: &ir::Select) -> ir::Count {
    ir::Count {
        with_deleted: select.with_deleted,
        options: select.options.clone(),
        ..ir::Count::new(select.model, select.filter.clone())
    }
}

async fn count(handle: &Handle, select: &ir::Select) -> Result<u64> {
    match handle.execute(Operation::Count(counting(select))).await? {
        Outcome::Count(total) => Ok(total),
        _ => Err(wrong_outcome("count")),
    }
}

/// The documents of one page, read in the direction of the page.
struct Window {
    select: ir::Select,
    /// The order of the result.
    sort: Vec<SortKey>,
    start: Option<Place>,
    backwards: bool,
    /// Whether the rows are read in the opposite order.
    turned: bool,
    size: u64,
}

impl Window {
    fn new(mut select: ir::Select, page: &Page) -> Result<Self> {
        let sort = total_order(&select.sort);
        cursor::check(&select.model, &sort)?;
        let (text, backwards) = match (&page.after, &page.before) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_request("a page is after a cursor or before one, not both"));
            }
            (None, Some(before)) => (Some(before), true),
            (after, None) => (after.as_ref(), false),
        };
        let collation = select.options.collation.as_ref();
        let start = text.map(|text| Place::decode(text, &select.model, &sort, collation)).transpose()?;
        select.sort.clone_from(&sort);
        // Upwards a list stands where its smallest element does, downwards where its largest does: the opposite order is
        // not the same order from the other side.
        let turned = backwards && !sort.iter().any(|key| cursor::may_be_list(&select.model, &key.path));
        if turned {
            reverse(&mut select.sort);
        }
        if let Projection::Only(paths) = &mut select.projection {
            paths.extend(sort.iter().map(|key| key.path.clone()));
        }
        if let Projection::Except(paths) = &mut select.projection {
            let is_in = |key: &SortKey, path: &ir::Path| {
                key.path.strip_prefix(&**path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            paths.retain(|path| !sort.iter().any(|key| is_in(key, path)));
        }
        Ok(Self { select, sort, start, backwards, turned, size: page.size })
    }

    /// The rows, and whether there are more in this direction.
    async fn read(&self, handle: &Handle) -> Result<(Rows, bool)> {
        if self.size == 0 {
            return Ok((Rows::default(), false));
        }
        if let Some(start) = self.end() {
            return self.read_before(handle, start).await;
        }
        let mut wanted = self.size.saturating_add(1);
        let mut rows = Rows::default();
        for condition in self.conditions() {
            let found = Reading::<()>::rows(handle, self.part(condition, wanted)).await?;
            wanted -= wanted.min(found.documents.len() as u64);
            append(&mut rows, found);
            if wanted == 0 {
                break;
            }
        }
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = rows.documents.len() > size;
        rows.documents.truncate(size);
        Ok((rows, more))
    }

    /// As [`read`](Window::read), of what comes before a place, where the order cannot be turned around.
    async fn read_before(&self, handle: &Handle, start: &Place) -> Result<(Rows, bool)> {
        let all = self.before(start);
        let before = count(handle, &all).await?;
        let select = self.last_of(all, before);
        Ok((Reading::<()>::rows(handle, select).await?, before > self.size))
    }

    /// The commands of [`read`](Window::read), which run as well: what one finds decides about the next.
    async fn explain(&self, handle: &Handle) -> Result<Explanation> {
        let mut explanation = Explanation::default();
        if self.size == 0 {
            return Ok(explanation);
        }
        if let Some(start) = self.end() {
            let all = self.before(start);
            explanation.add(handle.explain(Operation::Count(counting(&all))).await?);
            let before = count(handle, &all).await?;
            explanation.add(handle.explain(Operation::Select(self.last_of(all, before))).await?);
            return Ok(explanation);
        }
        let mut wanted = self.size.saturating_add(1);
        for condition in self.conditions() {
            let select = self.part(condition, wanted);
            explanation.add(handle.explain(Operation::Select(select.clone())).await?);
            wanted -= wanted.min(Reading::<()>::rows(handle, select).await?.documents.len() as u64);
            if wanted == 0 {
                break;
            }
        }
        Ok(explanation)
    }

    /// The place that the page ends before, where the order cannot be turned around.
    fn end(&self) -> Option<&Place> {
        self.start.as_ref().filter(|_| self.backwards && !self.turned)
    }

    /// The conditions on what comes in this direction, to be read one after the other.
    fn conditions(&self) -> Vec<ir::Filter> {
        match &self.start {
            None => vec![ir::Filter::All],
            Some(start) => start.after(&self.select.model, &self.select.sort).into(),
        }
    }

    fn part(&self, condition: ir::Filter, wanted: u64) -> ir::Select {
        let mut select = self.select.clone();
        select.filter.narrow(condition);
        select.limit = Some(wanted);
        select
    }

    /// All that comes before a place.
    fn before(&self, start: &Place) -> ir::Select {
        let mut select = self.select.clone();
        select.filter.narrow(cursor::before(start, &self.sort));
        select
    }

    /// The page at the end of `number` documents.
    fn last_of(&self, all: ir::Select, number: u64) -> ir::Select {
        let wanted = number.min(self.size);
        ir::Select { skip: Some(number - wanted), limit: Some(wanted), ..all }
    }

    /// The cursors of the last and the first item of the result.
    fn cursors(&self, rows: &Rows, more: bool, page: &Page) -> Result<(Option<String>, Option<String>)> {
        let at = |document: Option<&RawDocumentBuf>| {
            let place = document.map(|document| Place::of(&self.sort, document)).transpose()?;
            let collation = self.select.options.collation.as_ref();
            place.map(|place| place.encode(&self.select.model, &self.sort, collation)).transpose()
        };
        let (mut first, mut last) = (rows.documents.first(), rows.documents.last());
        let (mut has_previous, mut has_next) = (self.start.is_some(), more);
        if self.turned {
            (first, last) = (last, first);
        }
        if self.backwards {
            (has_previous, has_next) = (has_next, has_previous);
        }
        if rows.documents.is_empty() && self.size > 0 {
            // What was here is gone: the way back is where it came from.
            return Ok((page.before.clone(), page.after.clone()));
        }
        let next = if has_next { at(last)? } else { None };
        let previous = if has_previous { at(first)? } else { None };
        Ok((next, previous))
    }
}

/// Adds the rows of another part of the same result.
fn append(rows: &mut Rows, more: Rows) {
    if rows.documents.is_empty() {
        *rows = more;
        return;
    }
    rows.documents.extend(more.documents);
    for (included, more) in rows.included.iter_mut().zip(more.included) {
        let offset = u32::try_from(included.rows.documents.len()).unwrap_or(u32::MAX);
        let shifted = more.groups.into_iter().map(|group| group.into_iter().map(|at| at + offset).collect());
        included.groups.extend(shifted);
        match (&mut included.counts, more.counts) {
            (Some(counts), Some(more)) => counts.extend(more),
            (counts, more) => *counts = more,
        }
        append(&mut included.rows, more.rows);
    }
}
