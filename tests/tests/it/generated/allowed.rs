//! Where the test server's answers are known to differ from those of MongoDB, and ours follow MongoDB's documentation.

use super::strategy::Step;

/// Whether the answers to `step` may differ.
pub(super) fn differs(_step: &Step) -> bool {
    false
}

/// Whether one may fail where the other succeeds.
pub(super) fn fails(_step: &Step) -> bool {
    false
}
