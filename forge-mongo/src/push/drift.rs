//! Why a server refused an index, and what to do.

use forge_core::adapter::{PushAction, PushStep};
use forge_core::{Error, ErrorCode, Result};

use crate::refusal::{
    CANNOT_CREATE_INDEX, INDEX_ALREADY_EXISTS, INDEX_KEY_SPECS_CONFLICT, INDEX_OPTIONS_CONFLICT, Refusal,
};

/// The step after the server has refused it: a conflict or a skip that says what to do.
///
/// # Errors
/// `error`, where it is no refusal of the index itself.
pub(super) fn explain(mut step: PushStep, error: Error) -> Result<PushStep> {
    let (collection, index) = (&step.collection, &step.index);
    let (action, note) = match (error.code(), Refusal::code_of(&error)) {
        (ErrorCode::Unsupported, _) => {
            (PushAction::Skip, format!("the database has no such indexes: {error}"))
        }
        (ErrorCode::UniqueViolation, _) => (
            PushAction::Conflict,
            "documents with equal values are there already: remove the doubles, and push again".to_owned(),
        ),
        (_, Some(INDEX_ALREADY_EXISTS)) => (
            PushAction::Conflict,
            format!(
                "an index is there already (68) since the plan was made: push again, and it is compared ({error})"
            ),
        ),
        (_, Some(INDEX_OPTIONS_CONFLICT)) => (
            PushAction::Conflict,
            format!(
                "an index over the same fields has other options or another name (85): give both the same options in one \
                 declaration, or drop the other one with db.{collection}.dropIndex(…), and push again ({error})"
            ),
        ),
        (_, Some(INDEX_KEY_SPECS_CONFLICT)) => (
            PushAction::Conflict,
            format!(
                "an index named {index:?} has other fields or options (86): drop it with \
                 db.{collection}.dropIndex({index:?}), or declare this one with another name, and push again ({error})"
            ),
        ),
        (_, Some(CANNOT_CREATE_INDEX)) if error.to_string().contains("shard key") => (
            PushAction::Conflict,
            format!(
                "a unique index of a sharded collection begins with the shard key (67): put its fields first in the \
                 declaration, or drop `unique` ({error})"
            ),
        ),
        (_, Some(CANNOT_CREATE_INDEX)) => (
            PushAction::Conflict,
            format!("the server does not take this definition (67): change its options as it says ({error})"),
        ),
        _ => return Err(error.context(format_args!("the index {index} of {collection}"))),
    };
    step.action = action;
    step.note = Some(note);
    Ok(step)
}
