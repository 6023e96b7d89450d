//! Live queries: a state machine without IO, and the tasks around it.

mod delta;
mod entry;
pub(crate) mod event;
#[cfg(test)]
mod feed_tests;
mod feeds;
mod health;
pub(crate) mod hub;
mod index;
pub(crate) mod machine;
pub(crate) mod outbox;
pub(crate) mod queue;
mod results;
mod run;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;
pub(crate) mod snapshot;
mod socket;
mod versions;
mod view;
mod writers;
