//! Live queries: a state machine without IO, and the tasks around it.

mod affects;
mod delta;
mod entry;
pub(crate) mod event;
mod feeds;
mod follow;
pub(crate) mod hub;
mod index;
pub(crate) mod machine;
pub(crate) mod outbox;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;
pub(crate) mod snapshot;
mod socket;
mod view;
