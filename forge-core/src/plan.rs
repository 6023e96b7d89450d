//! What is added to every operation before an adapter sees it: soft delete and timestamps. Pure.

use bson::Bson;

use crate::ir::{Change, Filter, Operation};
use crate::model::{DELETED_AT, ModelRef, UPDATED_AT};
use crate::types::DateTime;

/// The operation as adapters run it.
///
/// - Reads and updates of models with soft delete leave deleted documents out, unless `with_deleted` says otherwise.
///   Includes and relation filters are completed by the executor, level by level, with [`live_only`].
/// - Updates of models with timestamps set `updatedAt`, where they change anything at all.
pub fn plan(mut operation: Operation, now: DateTime) -> Operation {
    let model = operation.model();
    let (filter, with_deleted) = match &mut operation {
        Operation::Select(op) => (&mut op.filter, op.with_deleted),
        Operation::Count(op) => (&mut op.filter, op.with_deleted),
        Operation::Distinct(op) => (&mut op.filter, op.with_deleted),
        Operation::Group(op) => (&mut op.filter, op.with_deleted),
        Operation::Update(op) => {
            if model.timestamps
                && !op.changes.is_empty()
                && !op.changes.iter().any(|c| c.path() == UPDATED_AT)
            {
                op.changes.push(Change::Set(UPDATED_AT.into(), now.into()));
            }
            (&mut op.filter, op.with_deleted)
        }
        Operation::Delete(op) => (&mut op.filter, op.purge),
        Operation::Insert(_) => return operation,
    };
    if !with_deleted {
        filter.narrow(live_only(model));
    }
    operation
}

/// The condition that leaves deleted documents out; everything, for models without soft delete.
pub fn live_only(model: ModelRef) -> Filter {
    if model.soft_delete { Filter::eq(DELETED_AT, Bson::Null) } else { Filter::All }
}
