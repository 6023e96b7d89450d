//! Read options in the driver's own types.

use bson::{Document, doc};
use forge_core::ir;
use mongodb::options::{Collation, CollationStrength, ReadConcern};

/// Gives a reading action its options. Evaluates to the action.
macro_rules! with_options {
    ($action:expr, $options:expr) => {{
        let (mut action, options): (_, &forge_core::ir::ReadOptions) = ($action, $options);
        if let Some(max_time) = options.max_time {
            action = action.max_time(max_time);
        }
        if let Some(collation) = &options.collation {
            action = action.collation($crate::official::options::collation(collation));
        }
        if let Some(hint) = &options.hint {
            action = action.hint(mongodb::options::Hint::Name(hint.clone()));
        }
        if let Some(level) = options.read_concern {
            action = action.read_concern($crate::official::options::read_concern(level));
        }
        if let Some(comment) = &options.comment {
            action = action.comment(bson::Bson::String(comment.clone()));
        }
        action
    }};
}
pub(super) use with_options;

/// Gives a writing action its collation.
macro_rules! comparing {
    ($action:expr, $options:expr) => {{
        let (action, options): (_, &forge_core::ir::ReadOptions) = ($action, $options);
        match &options.collation {
            Some(collation) => action.collation($crate::official::options::collation(collation)),
            None => action,
        }
    }};
}
pub(super) use comparing;

/// Lets an action that sorts or groups use the server's disk, where that was asked for.
macro_rules! spilling {
    ($action:expr, $options:expr) => {{
        let (action, options): (_, &forge_core::ir::ReadOptions) = ($action, $options);
        if options.allow_disk_use { action.allow_disk_use(true) } else { action }
    }};
}
pub(super) use spilling;

/// The collation. Builders have checked its strength.
pub(super) fn collation(collation: &ir::Collation) -> Collation {
    let strength = match collation.strength {
        1 => CollationStrength::Primary,
        2 => CollationStrength::Secondary,
        3 => CollationStrength::Tertiary,
        4 => CollationStrength::Quaternary,
        _ => CollationStrength::Identical,
    };
    let mut made = Collation::builder().locale(collation.locale.clone()).build();
    // The simple collation, bytes, takes no strength.
    made.strength = (collation.locale != "simple").then_some(strength);
    made
}

/// The collation in a command that the driver does not know.
pub(super) fn as_document(collation: &ir::Collation) -> Document {
    match collation.locale.as_str() {
        "simple" => doc! { "locale": "simple" },
        locale => doc! { "locale": locale, "strength": i32::from(collation.strength) },
    }
}

/// The read concern.
pub(super) fn read_concern(level: ir::ReadConcern) -> ReadConcern {
    ReadConcern::custom(level.as_str())
}
