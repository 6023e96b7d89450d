//! From raw documents to models, with their relations; and what is said about documents that are no models.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use serde::Serialize;

use crate::codec::{self, CodecError};
use crate::error::{Error, Result};
use crate::ir::Rows;
use crate::model::ModelDef;
use crate::relation::Related;
use crate::traits::Model;

/// A stored document that is not what its model says: which one, where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dirty {
    /// The Rust name of the model.
    pub model: &'static str,
    /// The collection that holds the document.
    pub collection: &'static str,
    /// Its `_id`.
    pub id: Bson,
    /// The stored path of the value that does not fit; empty where it is the document as a whole.
    pub path: String,
    /// What the model wants there.
    pub expected: String,
    /// The BSON type of what is there, or `nothing`.
    pub found: String,
}

impl Dirty {
    /// Looks up what `error` is about.
    fn of(document: &RawDocument, model: &ModelDef, error: &CodecError) -> Self {
        Self::at(document, model, "", &error.to_string())
    }

    /// Looks up what is wrong with the value at `above`, which `text` says in terms of that value.
    pub(crate) fn at(document: &RawDocument, model: &ModelDef, above: &str, text: &str) -> Self {
        let (below, reason) = located(text);
        let path = [above, &below].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
        Self {
            model: model.name,
            collection: model.collection,
            id: id_of(document),
            found: found(document, &path),
            expected: expected(reason),
            path,
        }
    }

    /// The error of a read that is not lenient. It carries this, for [`Dirt`] to find.
    pub(crate) fn into_error(self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        let Self { model, collection, id, path, expected, found } = &self;
        let (id, place) =
            (shown(id), if path.is_empty() { "itself".to_owned() } else { format!("`{path}`") });
        Error::internal(format!(
            "the document {id} of {collection} is not a {model}: {place} is {found}, expected {expected}; \
             `.lenient()` sets such documents aside"
        ))
        .with_source(Unreadable { dirty: self.clone(), source: Box::new(source) })
    }
}

/// The source of the error about a dirty document.
#[derive(Debug)]
struct Unreadable {
    dirty: Dirty,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}
impl std::error::Error for Unreadable {}

fn id_of(document: &RawDocument) -> Bson {
    document.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok()).unwrap_or(Bson::Null)
}

/// The path in an error of [`record`](crate::record), and what follows it.
fn located(text: &str) -> (String, &str) {
    let start = text.find("at `");
    let (mut path, rest) = match start.and_then(|at| text[at + 4..].split_once("`: ")) {
        Some((path, rest)) => (path.to_owned(), rest),
        None => (String::new(), text),
    };
    if let Some((_, name)) = rest.split_once("missing field `")
        && let Some((name, _)) = name.split_once('`')
    {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    }
    (path, rest)
}

fn expected(reason: &str) -> String {
    if reason.contains("missing field `") {
        return "a value".to_owned();
    }
    match reason.rsplit_once(", expected ") {
        Some((_, expected)) => expected.trim_end_matches('.').to_owned(),
        None => format!("a valid value ({reason})"),
    }
}

/// The types of what is at `path`: more than one where it leads through lists.
fn found(document: &RawDocument, path: &str) -> String {
    if path.is_empty() {
        return "a document".to_owned();
    }
    let mut types = Vec::new();
    types_at(RawBsonRef::Document(document), Some(path), &mut types);
    if types.is_empty() { "nothing".to_owned() } else { types.join(" or ") }
}

fn types_at(value: RawBsonRef<'_>, path: Option<&str>, types: &mut Vec<&'static str>) {
    let Some(path) = path else {
        let name = type_name(value);
        if !types.contains(&name) {
            types.push(name);
        }
        return;
    };
    match value {
        RawBsonRef::Document(document) => {
            let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
            match document.get(head) {
                Ok(Some(value)) => types_at(value, rest, types),
                _ if !types.contains(&"nothing") => types.push("nothing"),
                _ => {}
            }
        }
        RawBsonRef::Array(array) => {
            array.into_iter().flatten().for_each(|element| types_at(element, Some(path), types));
        }
        other => types_at(other, None, types),
    }
}

/// The name of a value's type, as in MongoDB's `$type`.
pub(crate) fn type_name(value: RawBsonRef<'_>) -> &'static str {
    match value {
        RawBsonRef::Double(_) => "double",
        RawBsonRef::String(_) => "string",
        RawBsonRef::Document(_) => "object",
        RawBsonRef::Array(_) => "array",
        RawBsonRef::Binary(_) => "binData",
        RawBsonRef::Undefined => "undefined",
        RawBsonRef::ObjectId(_) => "objectId",
        RawBsonRef::Boolean(_) => "bool",
        RawBsonRef::DateTime(_) => "date",
        RawBsonRef::Null => "null",
        RawBsonRef::RegularExpression(_) => "regex",
        RawBsonRef::DbPointer(_) => "dbPointer",
        RawBsonRef::JavaScriptCode(_) | RawBsonRef::JavaScriptCodeWithScope(_) => "javascript",
        RawBsonRef::Symbol(_) => "symbol",
        RawBsonRef::Int32(_) => "int",
        RawBsonRef::Timestamp(_) => "timestamp",
        RawBsonRef::Int64(_) => "long",
        RawBsonRef::Decimal128(_) => "decimal",
        RawBsonRef::MinKey => "minKey",
        RawBsonRef::MaxKey => "maxKey",
    }
}

pub(crate) fn shown(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        Bson::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Where documents that are no models are set aside, each once.
#[derive(Debug, Default)]
pub struct Dirt(RefCell<SetAside>);

#[derive(Debug, Default)]
struct SetAside {
    documents: Vec<Dirty>,
    /// All that were ever here, by their collections and ids.
    known: HashSet<(&'static str, Vec<u8>)>,
}

impl Dirt {
    fn add(&self, dirty: Dirty) {
        let mut aside = self.0.borrow_mut();
        let id = RawDocumentBuf::try_from(&doc! { "": &dirty.id }).map(RawDocumentBuf::into_bytes);
        if aside.known.insert((dirty.collection, id.unwrap_or_default())) {
            aside.documents.push(dirty);
        }
    }

    /// Sets aside the document that `error` is about.
    ///
    /// # Errors
    /// `error`, where it is about something else.
    pub(crate) fn set_aside(&self, error: Error) -> Result<()> {
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Unreadable>());
        match source.map(|unreadable| unreadable.dirty.clone()) {
            Some(dirty) => {
                self.add(dirty);
                Ok(())
            }
            None => Err(error),
        }
    }

    /// What was set aside since this was asked the last time.
    pub(crate) fn take(&self) -> Vec<Dirty> {
        std::mem::take(&mut self.0.borrow_mut().documents)
    }
}

/// One document as an `M`, without relations.
///
/// # Errors
/// [`ErrorCode::Internal`](crate::ErrorCode::Internal) naming the model, the document's id, the path, and what was
/// expected and found there.
pub(crate) fn decode<M: Model>(document: &RawDocument) -> Result<M> {
    codec::decode(document).map_err(|error| unreadable(document, M::def(), error))
}

#[cold]
#[inline(never)]
fn unreadable(document: &RawDocument, model: &ModelDef, error: CodecError) -> Error {
    Dirty::of(document, model, &error).into_error(error)
}

/// As [`decode`]; with `dirt`, documents that are no `M` are set aside there: none.
pub(crate) fn decode_or_set_aside<M: Model>(
    document: &RawDocument,
    dirt: Option<&Dirt>,
) -> Result<Option<M>> {
    match (codec::decode(document), dirt) {
        (Ok(model), _) => Ok(Some(model)),
        (Err(error), Some(dirt)) => {
            dirt.add(Dirty::of(document, M::def(), &error));
            Ok(None)
        }
        (Err(error), None) => Err(unreadable(document, M::def(), error)),
    }
}

/// The document at `position` with its relations; none where it was set aside.
pub(crate) fn decode_at<M: Model>(rows: &Rows, position: usize, dirt: Option<&Dirt>) -> Result<Option<M>> {
    let document = rows
        .documents
        .get(position)
        .ok_or_else(|| Error::internal("an adapter gave fewer rows than groups"))?;
    let Some(mut model) = decode_or_set_aside::<M>(document, dirt)? else { return Ok(None) };
    for included in &rows.included {
        model.attach(included.relation, &Related::of(included, position, dirt))?;
    }
    Ok(Some(model))
}

/// The document at `position` with its relations.
pub(crate) fn decode_one<M: Model>(rows: &Rows, position: usize) -> Result<M> {
    decode_at(rows, position, None)?
        .ok_or_else(|| Error::internal("a document was set aside where none may be"))
}

/// All documents with their relations.
pub(crate) fn decode_all<M: Model>(rows: &Rows, dirt: Option<&Dirt>) -> Result<Vec<M>> {
    let mut models = Vec::with_capacity(rows.documents.len());
    for position in 0..rows.documents.len() {
        models.extend(decode_at(rows, position, dirt)?);
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn errors_are_taken_apart() {
        let cases = [
            ("at `a.b`: invalid type: string \"x, expected y\", expected i32", "a.b", "i32"),
            ("at `address`: missing field `city`", "address.city", "a value"),
            ("missing field `delay`", "delay", "a value"),
            ("nonsense", "", "a valid value (nonsense)"),
        ];
        for (text, path, wanted) in cases {
            let (found, reason) = located(text);
            assert_eq!((found.as_str(), expected(reason).as_str()), (path, wanted), "{text}");
        }
    }

    #[test]
    fn the_types_at_a_path_are_named() {
        let document = rawdoc! { "a": { "b": "x" }, "l": [{ "b": 1 }, { "b": null }, {}], "n": 1.5 };
        let cases =
            [("a.b", "string"), ("l.b", "int or null or nothing"), ("n", "double"), ("x.y", "nothing")];
        for (path, wanted) in cases {
            assert_eq!(found(&document, path), wanted, "{path}");
        }
    }
}
