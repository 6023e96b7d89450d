//! Where SecantusDB, the server that stands in for MongoDB in tests, is known to differ from MongoDB. In each case the
//! embedded engine does what MongoDB's documentation says. On MongoDB itself nothing is allowed to differ.

use forge::ir::Aggregate;

use super::strategy::Step;

/// Whether the answers to `step` may differ.
pub(super) fn differs(step: &Step) -> bool {
    match step {
        // An expression over `a.b` where `a` is an array gives the array of its members' values, empty for an empty
        // one; SecantusDB gives null.
        Step::Group { keys, aggregates, .. } => {
            keys.iter().any(|path| path.contains('.'))
                || aggregates.iter().filter_map(path).any(|path| path.contains('.'))
        }
        _ => false,
    }
}

/// Whether the server may fail where the embedded engine does not.
pub(super) fn fails(_step: &Step) -> bool {
    false
}

fn path(aggregate: &Aggregate) -> Option<&str> {
    match aggregate {
        Aggregate::Sum(path) | Aggregate::Avg(path) | Aggregate::Min(path) | Aggregate::Max(path) => {
            Some(path)
        }
        _ => None,
    }
}
