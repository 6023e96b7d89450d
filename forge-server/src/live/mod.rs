//! Live queries: a state machine without IO, and the tasks around it.

mod affects;
mod entry;
pub(crate) mod event;
mod feeds;
mod follow;
pub(crate) mod hub;
mod index;
mod machine;
pub(crate) mod outbox;
mod socket;
mod view;
#[cfg(test)]
mod simulation;
