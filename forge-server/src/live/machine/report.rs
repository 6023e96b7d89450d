//! What single live queries cost, for people who look for the expensive ones.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Machine;
use crate::live::entry::Entry;

/// How many live queries each list names.
const MOST: usize = 20;
/// How much of the arguments is shown, in characters.
const SHOWN: usize = 200;

/// The live queries that cost the most, and those that are tested in vain.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct LiveReport {
    /// Distinct live queries in all.
    pub(crate) live_queries: usize,
    /// Those whose runs took the longest in all, the first the most expensive.
    pub(crate) expensive: Vec<LiveCost>,
    /// Those that commits were held against in vain the most often.
    pub(crate) unselective: Vec<LiveCost>,
}

/// One live query and what it has cost since somebody first wanted it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LiveCost {
    /// The handler.
    pub(crate) query: String,
    /// Its arguments, as far as they are shown.
    pub(crate) args: String,
    /// Its database.
    pub(crate) database: String,
    /// Subscriptions that share it.
    pub(crate) subscribers: usize,
    /// What it reads: collections, and the paths that decide whether a change matters.
    pub(crate) reads: BTreeSet<String>,
    /// Whether every commit of a collection has to be held against it, since no value narrows it down.
    pub(crate) broad: bool,
    /// Runs that ended.
    pub(crate) runs: u64,
    /// How long they took in all, in milliseconds.
    pub(crate) millis: u64,
    /// Commits that were held against what it read.
    pub(crate) tested: u64,
    /// Those of them that made its result stale.
    pub(crate) affected: u64,
}

impl LiveCost {
    fn of(entry: &Entry) -> Self {
        let wanted = &entry.key.wanted;
        let reads = entry.reads.iter().map(|(read, affects)| match affects.paths() {
            None => format!("{} by anything", read.collection),
            Some([]) => format!("{} as a whole", read.collection),
            Some(paths) => format!("{} by {}", read.collection, paths.join(", ")),
        });
        Self {
            query: wanted.query.to_string(),
            args: wanted.args.chars().take(SHOWN).collect(),
            database: wanted.database.to_string(),
            subscribers: entry.subs.len(),
            reads: reads.collect(),
            broad: entry.postings.iter().any(crate::live::index::Posting::is_broad),
            runs: entry.cost.runs,
            millis: entry.cost.millis,
            tested: entry.cost.tested,
            affected: entry.cost.affected,
        }
    }
}

impl Machine {
    /// The live queries that cost the most.
    pub(crate) fn report(&self) -> LiveReport {
        let most = |cost: fn(&Entry) -> u64| {
            let costs = self.entries.iter().map(|(id, entry)| (Reverse(cost(entry)), *id));
            let mut costs: Vec<_> = costs.filter(|(cost, _)| cost.0 > 0).collect();
            // There can be hundreds of thousands: only those that are shown are sorted.
            if costs.len() > MOST {
                costs.select_nth_unstable(MOST);
                costs.truncate(MOST);
            }
            costs.sort_unstable();
            costs.iter().filter_map(|(_, id)| self.entries.get(id)).map(LiveCost::of).collect()
        };
        LiveReport {
            live_queries: self.entries.len(),
            expensive: most(|entry| entry.cost.millis),
            unselective: most(|entry| entry.cost.tested - entry.cost.affected),
        }
    }
}
