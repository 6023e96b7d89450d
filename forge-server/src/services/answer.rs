//! What methods answer: documents as they are stored, until it is known who reads them.

use bson::{RawDocument, RawDocumentBuf};
use serde_json::{Map, Value, json};

use super::error::ServiceResult;
use super::options::Options;

/// The answer of a method.
#[derive(Debug)]
pub(super) struct Answer {
    found: Found,
    /// Which fields of the documents are shown, by the names that clients use; none for all.
    select: Option<Vec<(String, String)>>,
    /// The documents that were written, where the items are not they.
    written: Vec<RawDocumentBuf>,
}

/// What an answer consists of.
#[derive(Debug)]
pub(super) enum Found {
    /// One document.
    One(Item),
    /// Some.
    List(Vec<Item>),
    /// A part of some, and how many there are.
    Page { total: u64, limit: Option<u64>, skip: u64, data: Vec<Item> },
}

/// One document of an answer.
#[derive(Debug)]
pub(super) enum Item {
    /// As it is stored.
    Stored(RawDocumentBuf),
    /// As clients see it.
    Shown(Value),
}

impl From<RawDocumentBuf> for Item {
    fn from(document: RawDocumentBuf) -> Self {
        Self::Stored(document)
    }
}

impl From<Value> for Item {
    fn from(shown: Value) -> Self {
        Self::Shown(shown)
    }
}

impl Found {
    /// The answer of a query that selects these fields.
    pub(super) fn showing(self, select: Option<Vec<(String, String)>>) -> Answer {
        Answer { found: self, select, written: Vec::new() }
    }
}

impl Answer {
    /// The same answer to a call that wrote these documents.
    pub(super) fn about(self, written: Vec<RawDocumentBuf>) -> Self {
        Self { written, ..self }
    }

    /// The documents of a call that writes, as they are stored; removed ones as they were.
    pub(super) fn written(&self) -> Vec<RawDocumentBuf> {
        let items = match &self.found {
            _ if !self.written.is_empty() => return self.written.clone(),
            Found::One(item) => std::slice::from_ref(item),
            Found::List(items) | Found::Page { data: items, .. } => items,
        };
        let stored = |item: &Item| match item {
            Item::Stored(document) => Some(document.clone()),
            Item::Shown(_) => None,
        };
        items.iter().filter_map(stored).collect()
    }

    /// As a value, for the program to look at.
    ///
    /// # Errors
    /// `GeneralError` where a document is none of the service's model.
    pub(super) fn into_value(self, of: &Options) -> ServiceResult<Value> {
        let Self { found, select, .. } = self;
        let value = |item| match item {
            Item::Stored(document) => show(of, &document, select.as_deref()),
            Item::Shown(shown) => Ok(shown),
        };
        let values = |items: Vec<_>| items.into_iter().map(value).collect::<ServiceResult<Vec<_>>>();
        match found {
            Found::One(item) => value(item),
            Found::List(items) => values(items).map(Value::Array),
            Found::Page { total, limit, skip, data } => {
                let data = values(data)?;
                let mut page = Map::new();
                page.insert("total".to_owned(), total.into());
                page.insert("limit".to_owned(), limit.into());
                page.insert("skip".to_owned(), skip.into());
                page.insert("data".to_owned(), data.into());
                Ok(page.into())
            }
        }
    }

    /// As JSON text, for a client alone: nothing is made that only the text is made of.
    ///
    /// # Errors
    /// As [`into_value`](Answer::into_value).
    pub(super) fn into_text(self, of: &Options) -> ServiceResult<Vec<u8>> {
        let Self { found, select, .. } = self;
        let select = select.as_deref();
        let mut out = Vec::with_capacity(ROOM);
        match found {
            Found::One(item) => write(&mut out, of, item, select)?,
            Found::List(items) => write_list(&mut out, of, items, select)?,
            Found::Page { total, limit, skip, data } => {
                let head = json!({ "limit": limit, "skip": skip, "total": total }).to_string();
                out.extend_from_slice(br#"{"data":"#);
                write_list(&mut out, of, data, select)?;
                out.push(b',');
                out.extend_from_slice(&head.as_bytes()[1..]);
            }
        }
        Ok(out)
    }
}

/// What most documents fit into, in bytes.
const ROOM: usize = 256;

fn write_list(
    out: &mut Vec<u8>,
    of: &Options,
    items: Vec<Item>,
    select: Option<&[(String, String)]>,
) -> ServiceResult<()> {
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, of, item, select)?;
    }
    out.push(b']');
    Ok(())
}

fn write(
    out: &mut Vec<u8>,
    of: &Options,
    item: Item,
    select: Option<&[(String, String)]>,
) -> ServiceResult<()> {
    let shown = match (item, select) {
        (Item::Stored(document), None) => return of.documents.write(&document, out),
        (Item::Stored(document), select) => show(of, &document, select)?,
        (Item::Shown(shown), _) => shown,
    };
    Ok(serde_json::to_writer(out, &shown).map_err(forge_core::Error::from)?)
}

/// What a client sees of a document, or of the selected part of it.
pub(super) fn show(
    of: &Options,
    document: &RawDocument,
    select: Option<&[(String, String)]>,
) -> ServiceResult<Value> {
    let shown = of.documents.show(document)?;
    Ok(match select {
        Some(names) => pick(&shown, names.iter().map(|(client, _)| client.as_str()), &of.key.client),
        None => shown,
    })
}

/// The named parts of what a client would see, and its ids.
pub(super) fn pick<'a>(shown: &Value, names: impl Iterator<Item = &'a str>, key: &'a str) -> Value {
    let mut out = json!({});
    for name in names.chain([key, "_id"]) {
        copy(shown, &mut out, name);
    }
    out
}

/// Copies what is at a dotted path, in every element of lists.
fn copy(from: &Value, to: &mut Value, path: &str) {
    let Some((first, rest)) = path.split_once('.').filter(|_| from.get(path).is_none()) else {
        if let (Some(value), Some(out)) = (from.get(path), to.as_object_mut()) {
            out.insert(path.to_owned(), value.clone());
        }
        return;
    };
    let (Some(inner), Some(out)) = (from.get(first), to.as_object_mut()) else { return };
    match inner {
        Value::Array(items) => {
            let list = out.entry(first).or_insert_with(|| vec![json!({}); items.len()].into());
            for (item, slot) in items.iter().zip(list.as_array_mut().into_iter().flatten()) {
                copy(item, slot, rest);
            }
        }
        inner => copy(inner, out.entry(first).or_insert_with(|| json!({})), rest),
    }
}
