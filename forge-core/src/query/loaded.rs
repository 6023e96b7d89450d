//! Documents that were read: what optimistic locking compares, and how they are checked before they are written back.

use std::mem;

use bson::raw::RawBsonRef;
use bson::{Bson, RawDocument, RawDocumentBuf};
use serde::{Deserialize, Deserializer};
use validator::Validate;

use super::{decode::shown, wrong_outcome};
use crate::db::Handle;
use crate::error::{Error, Result};
use crate::ir::{self, Change, Operation, Outcome, Predicate, Projection, Select};
use crate::model::{ModelDef, ModelRef};
use crate::record::{self, Record};
use crate::traits::{Model, PatchRecord};

/// The state that a document must still have.
#[derive(Debug)]
pub(crate) struct Expected {
    id: Bson,
    version: i64,
}

impl Expected {
    /// The state of a loaded document, to which `filter` is narrowed.
    ///
    /// # Errors
    /// `bad_request` where the model has no version, and where `filter` is about another document.
    pub(crate) fn of<M: Model>(loaded: &M, filter: &mut ir::Filter) -> Result<Self> {
        let expected = Self::in_document(M::def(), &stored(loaded)?)?;
        expected.narrow(M::def(), filter)?;
        Ok(expected)
    }

    fn in_document(def: &ModelDef, document: &RawDocument) -> Result<Self> {
        let path = def.version.ok_or_else(|| {
            Error::bad_request(format!(
                "{} has no version to compare; mark a whole number with #[model(version)]",
                def.name
            ))
        })?;
        let id = document.get("_id")?.map(Bson::try_from).transpose()?.unwrap_or(Bson::Null);
        Ok(Self { id, version: version_of(document, path)? })
    }

    /// Narrows the condition on one id to the document as it was.
    ///
    /// # Errors
    /// `bad_request` where the condition is on another id.
    fn narrow(&self, def: &ModelDef, filter: &mut ir::Filter) -> Result<()> {
        let id = ir::Filter::eq("_id", self.id.clone());
        let same = match &*filter {
            ir::Filter::And(list) => list.contains(&id),
            filter => *filter == id,
        };
        if !same {
            return Err(Error::bad_request(format!(
                "if_unchanged takes the {} that is changed, not another",
                def.name
            )));
        }
        let path = ir::Path::Borrowed(def.version.unwrap_or_default());
        filter.narrow(match self.version {
            // Documents from before the model had a version have none.
            0 => ir::Filter::Field(path, Predicate::In(vec![Bson::Int64(0), Bson::Null])),
            version => ir::Filter::eq(path, version),
        });
        Ok(())
    }

    /// Why no document was as expected: another version, or none at all.
    pub(crate) async fn failure(&self, handle: &Handle, def: &'static ModelDef, with_deleted: bool) -> Error {
        match self.found(handle, def, with_deleted).await {
            Ok(None) => Error::not_found(format!("no {} has this id", def.name)),
            Ok(Some(found)) if found == self.version => {
                Error::not_found(format!("the {} no longer meets the condition of the change", def.name))
            }
            Ok(Some(found)) => Error::version_conflict(def.name, shown(&self.id), self.version, found),
            Err(error) => error,
        }
    }

    async fn found(
        &self,
        handle: &Handle,
        def: &'static ModelDef,
        with_deleted: bool,
    ) -> Result<Option<i64>> {
        let Some(path) = def.version else { return Ok(None) };
        let select = Select {
            filter: ir::Filter::eq("_id", self.id.clone()),
            limit: Some(1),
            projection: Projection::Only(vec![path.into()]),
            with_deleted,
            ..Select::new(ModelRef(def))
        };
        match handle.execute(Operation::Select(select)).await? {
            Outcome::Rows(rows) => rows.documents.first().map(|found| version_of(found, path)).transpose(),
            _ => Err(wrong_outcome("find")),
        }
    }
}

/// The version in a document; 0 where there is none yet.
fn version_of(document: &RawDocument, path: &str) -> Result<i64> {
    Ok(match document.get(path)? {
        Some(RawBsonRef::Int32(version)) => version.into(),
        Some(RawBsonRef::Int64(version)) => version,
        Some(RawBsonRef::Double(version)) => version as i64,
        _ => 0,
    })
}

/// A model as it is stored.
pub(crate) fn stored<M: Model>(model: &M) -> Result<RawDocumentBuf> {
    crate::codec::encode(model).map_err(|error| {
        Error::bad_request(format!("this {} cannot be stored: {error}", M::def().name)).with_source(error)
    })
}

/// Checks a whole document by the rules of its model.
///
/// # Errors
/// `validation` by the rules; `bad_request` where a field has another type than the model says.
pub(crate) fn check<M: Model>(document: &RawDocument, operation: &str) -> Result<()> {
    check_as::<M, M::New>(document, operation)
}

/// Checks those fields of a model that `R` has.
fn check_as<M: Model, R: Record + Validate>(document: &RawDocument, operation: &str) -> Result<()> {
    crate::schema::not_a_view(M::def(), operation)?;
    let Partial(record) = crate::codec::decode::<Partial<R>>(document)
        .map_err(|error| Error::bad_request(format!("{}.{operation}: {error}", M::def().name)))?;
    crate::validate::check(&record, R::shape(), || format!("{}.{operation}", M::def().name))
}

/// Checks what is set as a whole, and that nothing else than Forge changes the version.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_changes<M: Model>(changes: &mut [Change], operation: &str) -> Result<()> {
    changes.iter_mut().for_each(leave_out::<M>);
    if let Some(version) = M::def().version
        && changes.iter().any(|change| touches(change, version))
    {
        let name = M::def().name;
        return Err(Error::bad_request(format!(
            "{name}.{operation}: the version {version} is kept by Forge"
        )));
    }
    // Without rules, what is left to find wrong is inside of a value.
    if !<M::Patch as PatchRecord>::RULED && changes.iter().all(is_simple) {
        return Ok(());
    }
    let mut document = RawDocumentBuf::new();
    for change in changes {
        if let Change::Set(path, value) = change
            && !path.contains('.')
        {
            document.append(bson::raw::CString::try_from(&**path)?, bson::RawBson::try_from(value.clone())?);
        }
    }
    if document.is_empty() { Ok(()) } else { check_as::<M, M::Patch>(&document, operation) }
}

/// An `Option` that is none is not stored: setting one to none takes it away. Elements of lists stay where they are.
fn leave_out<M: Model>(change: &mut Change) {
    let Change::Set(path, Bson::Null) = change else { return };
    let is_position = |part: &&str| part.starts_with('$') || part.bytes().all(|byte| byte.is_ascii_digit());
    if path.rsplit('.').next().is_some_and(|last| is_position(&last)) {
        return;
    }
    let declared: Vec<_> = path.split('.').filter(|part| !is_position(part)).collect();
    if M::def().is_optional_at(&declared.join(".")) {
        *change = Change::Unset(mem::take(path));
    }
}

fn touches(change: &Change, path: &str) -> bool {
    change.path() == path || change.other_path().is_some_and(|other| other == path)
}

/// Whether a change holds no value with parts.
fn is_simple(change: &Change) -> bool {
    !matches!(change, Change::Set(_, Bson::Document(_) | Bson::Array(_)))
}

struct Partial<R>(R);

impl<'de, R: Record> Deserialize<'de> for Partial<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        record::deserialize(deserializer).map(Partial)
    }
}
