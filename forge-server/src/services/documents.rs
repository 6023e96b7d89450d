//! Documents between clients and the database: through a model, or as they are.

use bson::{Bson, RawDocument, RawDocumentBuf};
use forge_core::Env;
use forge_core::ir::Change;
use forge_core::json_form::JsonForm;
use forge_core::model::ModelRef;
use serde_json::{Map, Value, json};

use super::changes::{any, changes, on_insert};
use super::condition::{Grammar, OBJECT_ID};
use super::error::{ServiceError, ServiceResult};
use super::faults::misfit;
use super::kind::Kind;
use super::order::Order;
use super::rows::plain_document;

/// What the documents of a service are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Documents {
    /// Those of a model: checked as its `New…` and `…Patch`, and shown by its allowlist.
    Typed(JsonForm),
    /// Any.
    Raw(ModelRef),
}

impl Documents {
    pub(super) fn model(&self) -> ModelRef {
        match self {
            Documents::Typed(form) => form.model(),
            Documents::Raw(model) => *model,
        }
    }

    /// Whether documents keep the order in which clients write their fields. Those of a model have the model's.
    pub(super) fn keep_order(&self) -> bool {
        matches!(self, Documents::Raw(_))
    }

    /// A new document of what a client sent.
    pub(super) fn new_document(
        &self,
        data: Map<String, Value>,
        order: &Order,
        key: &Key,
        env: &Env,
    ) -> ServiceResult<RawDocumentBuf> {
        match self {
            Documents::Typed(form) => Ok(form.new_document(data.into(), env)?),
            Documents::Raw(_) => {
                let mut data = data;
                let id = match data.remove("_id") {
                    None | Some(Value::Null) => env.object_id().into(),
                    Some(Value::Array(_)) => {
                        return Err(misfit("_id", "type", "must be one value, not a list"));
                    }
                    Some(id) if key.objectify => {
                        Kind::Key.coerce(&id).map_err(|expected| misfit("_id", "type", expected))?
                    }
                    Some(id) => any(&id).map_err(|failure| failure.of_field("_id"))?,
                };
                if key.stored != "_id" {
                    let own = data.remove(&key.stored).filter(|own| !own.is_null());
                    let own = own.map_or_else(|| key.made(env), Ok)?;
                    data.insert(key.stored.clone(), key.untyped(&own));
                }
                stored(Some(id), &data, order)
            }
        }
    }

    /// The state that replaces `before`.
    pub(super) fn new_state(
        &self,
        mut data: Map<String, Value>,
        order: &Order,
        key: (&Key, &Value),
        before: &RawDocument,
        env: &Env,
    ) -> ServiceResult<RawDocumentBuf> {
        let (key, id) = key;
        match self {
            Documents::Typed(form) => {
                data.insert(key.client.clone(), key.sent(id));
                Ok(form.new_state(data.into(), before, env)?)
            }
            Documents::Raw(_) => {
                data.remove("_id");
                if key.stored != "_id" {
                    data.insert(key.stored.clone(), key.untyped(id));
                }
                stored(None, &data, order)
            }
        }
    }

    /// The changes of a patch. The id in it does not count.
    pub(super) fn changes(
        &self,
        mut data: Map<String, Value>,
        order: &Order,
        key: &Key,
        grammar: &Grammar,
    ) -> ServiceResult<Vec<Change>> {
        data.remove(&key.client);
        match self {
            Documents::Typed(form) => Ok(form.changes(data.into())?),
            Documents::Raw(_) => {
                data.remove("_id");
                if let Some(Value::Object(set)) = data.get_mut("$set") {
                    set.retain(|path, _| !key.is(path));
                }
                changes(&data, order, grammar)
            }
        }
    }

    /// What a patch adds to a document that it makes: its `$setOnInsert`. None for models, whose new documents are checked
    /// as a whole.
    pub(super) fn on_insert(
        &self,
        patch: &Map<String, Value>,
        order: &Order,
        key: &Key,
        env: &Env,
    ) -> ServiceResult<Option<RawDocumentBuf>> {
        if let Documents::Typed(_) = self {
            return Ok(None);
        }
        let mut added = on_insert(patch, order)?;
        added.retain(|(path, _)| !key.is(path));
        if key.stored != "_id" {
            added.push(("_id".to_owned(), env.object_id().into()));
        }
        let added = bson::Document::from_iter(added);
        Ok(Some(RawDocumentBuf::try_from(&added).map_err(|error| unstorable(&error))?))
    }

    /// What a client sees of a document.
    pub(super) fn show(&self, document: &RawDocument) -> ServiceResult<Value> {
        match self {
            Documents::Typed(form) => Ok(form.show(document)?),
            Documents::Raw(_) => Ok(plain_document(document)?.into()),
        }
    }

    /// Writes what a client sees of a document, as JSON text.
    pub(super) fn write(&self, document: &RawDocument, out: &mut Vec<u8>) -> ServiceResult<()> {
        match self {
            Documents::Typed(form) => Ok(form.write(document, out)?),
            Documents::Raw(_) => {
                let shown = plain_document(document)?;
                Ok(serde_json::to_writer(out, &shown).map_err(forge_core::Error::from)?)
            }
        }
    }
}

/// The field that names a document in paths.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Its name for clients.
    pub(super) client: String,
    /// Its path in documents.
    pub(super) stored: String,
    /// What ids are.
    pub(super) kind: Kind,
    /// Whether `_id`s of 24 hexadecimal digits are ObjectIds.
    pub(super) objectify: bool,
}

impl Key {
    /// Whether a path is that of an id, which changes leave as it is.
    fn is(&self, path: &str) -> bool {
        path == self.stored || path == "_id"
    }

    /// An id as data says it: paths have only text, and fields hold numbers too.
    pub(super) fn sent(&self, id: &Value) -> Value {
        let value = match &self.kind {
            Kind::String | Kind::Number | Kind::Boolean => self.kind.coerce(id).ok(),
            _ => None,
        };
        match value {
            Some(Bson::String(text)) => text.into(),
            Some(Bson::Int32(n)) => n.into(),
            Some(Bson::Int64(n)) => n.into(),
            Some(Bson::Double(n)) => n.into(),
            Some(Bson::Boolean(value)) => value.into(),
            _ => id.clone(),
        }
    }

    /// The same, for documents without a model: nothing else says that an ObjectId is one.
    fn untyped(&self, id: &Value) -> Value {
        match self.kind.coerce(id) {
            Ok(Bson::ObjectId(id)) => json!({ OBJECT_ID: id.to_hex() }),
            _ => self.sent(id),
        }
    }

    /// The id of a document that comes without one.
    fn made(&self, env: &Env) -> ServiceResult<Value> {
        let id = Value::from(env.object_id().to_hex());
        match self.kind.coerce(&id) {
            Ok(_) => Ok(id),
            Err(expected) => Err(misfit(&self.client, "required", &format!("is missing: it {expected}"))),
        }
    }

    /// The stored form of an id that a call names.
    ///
    /// # Errors
    /// `BadRequest` for what is no id, `NotFound` for one that no document can have.
    pub(super) fn value(&self, id: &Value) -> ServiceResult<Bson> {
        let is_id = match id {
            Value::Object(object) => object.len() == 1 && object.contains_key(OBJECT_ID),
            Value::Array(_) => false,
            _ => true,
        };
        if !is_id {
            let shown: String = id.to_string().chars().take(64).collect();
            let message = format!("Invalid id '{shown}': an id is text or a number");
            return Err(ServiceError::bad_request(message).of_field(&self.client));
        }
        self.kind.coerce(id).map_err(|_| ServiceError::no_record(id))
    }
}

/// A document as it is stored: its id first, and then what the client sent in the order that it wrote.
fn stored(id: Option<Bson>, data: &Map<String, Value>, order: &Order) -> ServiceResult<RawDocumentBuf> {
    let mut document = bson::Document::new();
    if let Some(id) = id {
        document.insert("_id", id);
    }
    let mut fields: Vec<_> = data.iter().collect();
    fields.sort_by_key(|(name, _)| order.place(name));
    for (name, value) in fields {
        if name.starts_with('$') || name.contains(['.', '\0']) {
            let shown: String = name.chars().take(64).collect();
            let why = match name.contains('\0') {
                true => "it has a NUL",
                false => "names with `.` are paths, those that begin with `$` operators",
            };
            let message = format!("the field {shown:?} cannot be stored: {why}");
            return Err(ServiceError::bad_request(message).of_field(&shown));
        }
        let value = any(value).map_err(|failure| failure.of_field(name))?;
        document.insert(name.clone(), order.field(name).arrange(value));
    }
    RawDocumentBuf::try_from(&document).map_err(|error| unstorable(&error))
}

fn unstorable(error: &bson::error::Error) -> ServiceError {
    ServiceError::bad_request(format!("cannot be stored: {error}"))
}
