//! What is added to every operation before an adapter sees it: soft delete, timestamps and versions. Pure.

use bson::{Bson, RawDocumentBuf, doc};

use crate::ir::{Change, Filter, Operation, Replace, Update};
use crate::model::{CREATED_AT, DELETED_AT, DELETED_WITH, ModelRef, UPDATED_AT};
use crate::types::DateTime;

/// The operation as adapters run it.
///
/// - Reads and updates of models with soft delete leave deleted documents out, unless `with_deleted` says otherwise.
///   Includes and relation filters are completed by the executor, level by level, with [`live_only`]. So do pipelines, at
///   their source and wherever they join another model; raw stages are left as they are.
/// - Updates of models with timestamps set `updatedAt`, and of models with a version raise it, where they change anything
///   at all. A replacement keeps what it was created with: see [`Replace`].
pub fn plan(mut operation: Operation, now: DateTime) -> Operation {
    complete(&mut operation, || now);
    operation
}

/// As [`plan`], where the operation is. The clock is asked where the time makes a difference.
pub(crate) fn complete(operation: &mut Operation, now: impl FnOnce() -> DateTime) {
    let model = operation.model();
    let is_kept = model.timestamps || model.soft_delete || model.version.is_some();
    if !is_kept && !matches!(operation, Operation::Pipeline(_) | Operation::Replace(_)) {
        return;
    }
    let (filter, with_deleted) = match operation {
        Operation::Select(op) => (&mut op.filter, op.with_deleted),
        Operation::Count(op) => (&mut op.filter, op.with_deleted),
        Operation::Distinct(op) => (&mut op.filter, op.with_deleted),
        Operation::Group(op) => (&mut op.filter, op.with_deleted),
        Operation::Pipeline(op) => {
            op.source.narrow(&live_only);
            return;
        }
        Operation::Update(op) => {
            if op.changes_anything() {
                keep(op, now);
            }
            (&mut op.filter, op.with_deleted)
        }
        Operation::Replace(op) => {
            renew(op, now);
            (&mut op.filter, op.with_deleted)
        }
        Operation::Delete(op) => (&mut op.filter, op.purge),
        Operation::Insert(_) => return,
    };
    if model.soft_delete && !with_deleted {
        filter.narrow(live_only(model));
    }
}

/// Adds the time and the version of a change.
fn keep(op: &mut Update, now: impl FnOnce() -> DateTime) {
    let model = op.model;
    if !op.pipeline.is_empty() {
        if model.timestamps {
            op.pipeline.push(doc! { "$set": { UPDATED_AT: bson::DateTime::from(now()) } });
        }
        if let Some(version) = model.version {
            let before = doc! { "$ifNull": [format!("${version}"), 0_i64] };
            op.pipeline.push(doc! { "$set": { version: { "$add": [before, 1_i64] } } });
        }
        return;
    }
    let changes = |op: &Update, path: &str| op.changes.iter().any(|change| change.path() == path);
    if model.timestamps && !changes(op, UPDATED_AT) {
        op.changes.push(Change::Set(UPDATED_AT.into(), now().into()));
    }
    if let Some(version) = model.version
        && !changes(op, version)
    {
        op.changes.push(Change::Inc(version.into(), Bson::Int64(1)));
    }
}

/// Leaves out of a new state what adapters take from the old one, and adds the time of the change.
fn renew(op: &mut Replace, now: impl FnOnce() -> DateTime) {
    let model = op.model;
    let kept = |name: &str| {
        name == "_id"
            || model.timestamps && [CREATED_AT, UPDATED_AT].contains(&name)
            || model.soft_delete && [DELETED_AT, DELETED_WITH].contains(&name)
            || model.version == Some(name)
    };
    let mut document = RawDocumentBuf::new();
    for (name, value) in op.document.iter().flatten() {
        if !kept(name.as_str()) {
            document.append(name, value);
        }
    }
    if model.timestamps {
        document.append(bson::cstr!("updatedAt"), bson::DateTime::from(now()));
    }
    op.document = document;
}

/// The condition that leaves deleted documents out; everything, for models without soft delete.
pub fn live_only(model: ModelRef) -> Filter {
    if model.soft_delete { Filter::eq(DELETED_AT, Bson::Null) } else { Filter::All }
}
