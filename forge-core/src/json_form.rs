//! Models as clients see them, as values: for whoever works with models that are chosen at run time, such as REST
//! services. What clients send becomes plain operations through the model's own `New…` and `…Patch`.

use bson::{Bson, RawDocument, RawDocumentBuf};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::ir::Change;
use crate::model::{Access, ModelRef};
use crate::query::decode;
use crate::record::{Record, deserialize, fault, shape_schema};
use crate::traits::{Changes, Model, PatchRecord, encode_new, encode_state};
use crate::validate;
use crate::value::to_bson;

/// What clients may send and receive of one model.
///
/// ```ignore
/// let form = JsonForm::of::<Flight>();
/// let document = form.new_document(json!({ "delay": 5 }), db.env())?;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct JsonForm {
    model: ModelRef,
    id: fn(Value) -> Result<Bson>,
    new: fn(Value, &Env) -> Result<RawDocumentBuf>,
    state: fn(Value, &Env) -> Result<RawDocumentBuf>,
    changes: fn(Value) -> Result<Vec<Change>>,
    show: fn(&RawDocument) -> Result<Value>,
    write: fn(&RawDocument, &mut Vec<u8>) -> Result<()>,
    schemas: [fn(&mut SchemaGenerator) -> Schema; 3],
}

impl JsonForm {
    /// The form of `M`.
    pub fn of<M: Model>() -> Self {
        Self {
            model: ModelRef(M::def()),
            id: |value| to_bson(&read::<M::Id>(value)?),
            new: |value, env| encode_new(record::<M::New>(value)?, env),
            state: |value, env| encode_state(record::<M::New>(value)?, env),
            changes: changes::<M>,
            show: |document| Ok(serde_json::to_value(decode::<M>(document)?)?),
            write: |document, out| Ok(serde_json::to_writer(out, &decode::<M>(document)?)?),
            schemas: [schema::<M>, schema::<M::New>, schema::<M::Patch>],
        }
    }

    /// The model.
    pub fn model(&self) -> ModelRef {
        self.model
    }

    /// The id that `value` is.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) where it is none.
    pub fn id(&self, value: Value) -> Result<Bson> {
        (self.id)(value)
    }

    /// A new document, complete and checked as the model's `New…`.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`](crate::ErrorCode::BadRequest) for fields that clients cannot send;
    /// [`ErrorCode::Validation`](crate::ErrorCode::Validation) by the model's rules.
    pub fn new_document(&self, value: Value, env: &Env) -> Result<RawDocumentBuf> {
        (self.new)(value, env)
    }

    /// A new state of `before`, checked as the model's `New…`: what clients cannot send stays as it was.
    ///
    /// # Errors
    /// As [`new_document`](JsonForm::new_document).
    pub fn new_state(&self, value: Value, before: &RawDocument, env: &Env) -> Result<RawDocumentBuf> {
        let given = (self.state)(value, env)?;
        let own = |name: &str| {
            self.model.stored_field(name).is_some_and(|field| field.access != Access::Public)
                || self.model.tenant == Some(name)
        };
        let mut document = RawDocumentBuf::new();
        for element in &given {
            let (name, value) = element?;
            if !own(name.as_str()) {
                document.append(name, value);
            }
        }
        for element in before {
            let (name, value) = element?;
            if own(name.as_str()) {
                document.append(name, value);
            }
        }
        Ok(document)
    }

    /// The changes of a patch, checked as the model's `…Patch`.
    ///
    /// # Errors
    /// As [`new_document`](JsonForm::new_document).
    pub fn changes(&self, value: Value) -> Result<Vec<Change>> {
        (self.changes)(value)
    }

    /// What clients see of a document.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where the document is not one of the model.
    pub fn show(&self, document: &RawDocument) -> Result<Value> {
        (self.show)(document)
    }

    /// Adds what clients see of a document to `out`, as JSON text.
    ///
    /// # Errors
    /// As [`show`](JsonForm::show); part of the text may be there then.
    pub fn write(&self, document: &RawDocument, out: &mut Vec<u8>) -> Result<()> {
        (self.write)(document, out)
    }

    /// The JSON Schema of what clients receive.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.schemas[0](generator)
    }

    /// The JSON Schema of what creates a document.
    pub fn new_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.schemas[1](generator)
    }

    /// The JSON Schema of a partial change.
    pub fn patch_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.schemas[2](generator)
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| misfit(&error))
}

fn record<R: Record>(value: Value) -> Result<R> {
    deserialize::<R, Value>(value).map_err(|error| misfit(&error))
}

/// What a client sent that cannot be read, and the field that it is about where it is about one.
#[doc(hidden)]
pub fn misfit(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let details = fault(&text).unwrap_or_default();
    Error::bad_request(text).with_details(details)
}

fn schema<R: Record>(generator: &mut SchemaGenerator) -> Schema {
    shape_schema(R::shape(), generator)
}

fn changes<M: Model>(value: Value) -> Result<Vec<Change>> {
    let patch: M::Patch = record(value)?;
    validate::check(&patch, <M::Patch as Record>::shape(), || format!("{}.patch", M::def().name))?;
    let mut changes = Changes::default();
    patch.changes(&mut changes)?;
    Ok(changes.0)
}
