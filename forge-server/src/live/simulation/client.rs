//! The clients of the simulation.

use std::collections::HashMap;

use super::queries::Look;
use crate::live::event::SubId;
use crate::live::queue::Queue;

/// A client, and what it made of what came.
pub(super) struct Client {
    pub(super) language: &'static str,
    /// How often it connected.
    pub(super) connection: u64,
    pub(super) queue: Queue,
    /// Whether it is about to read.
    pub(super) reads: bool,
    /// Subscriptions that it ended, without having read so.
    pub(super) ended: HashMap<SubId, u32>,
    pub(super) version: u64,
    pub(super) awaits: u64,
    pub(super) subs: HashMap<SubId, ClientSub>,
}

/// One of its subscriptions.
pub(super) struct ClientSub {
    pub(super) query: String,
    pub(super) arg: i32,
    pub(super) more: u64,
    pub(super) since: u64,
    /// What it received, and as whom.
    pub(super) result: Option<(Result<String, String>, Look)>,
    /// What it received over an earlier connection.
    pub(super) held: Option<String>,
}

impl Client {
    pub(super) fn new(language: &'static str, connection: u64) -> Self {
        let (queue, subs, ended) = (Queue::new(usize::MAX), HashMap::new(), HashMap::new());
        Self { language, connection, queue, reads: false, ended, version: 0, awaits: 0, subs }
    }

    pub(super) fn look(&self, sub: &ClientSub) -> Look {
        Look { language: self.language, more: sub.more }
    }

    /// Takes note of what came for a subscription, unless it was meant for an earlier one of the same number.
    pub(super) fn take(&mut self, id: SubId, result: impl FnOnce(Option<&str>) -> Result<String, String>) {
        if self.ended.get(&id).is_some_and(|ended| *ended > 0) {
            return;
        }
        let look = self.look(self.subs.get(&id).expect("what comes belongs to a subscription"));
        let Some(sub) = self.subs.get_mut(&id) else { return };
        let held = sub.held.take();
        let held = match &sub.result {
            Some((Ok(json), _)) => Some(json.as_str()),
            Some((Err(_), _)) => None,
            None => held.as_deref(),
        };
        sub.result = Some((result(held), look));
    }
}
