//! Live queries: a state machine without IO, and the tasks around it.

mod affects;
mod entry;
pub(crate) mod event;
mod feeds;
mod index;
pub(crate) mod machine;
mod socket;
mod view;
#[cfg(test)]
mod simulation;
