use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a read is run, beside what it reads. The default leaves everything to the database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadOptions {
    /// The longest that the server may work on one command (`maxTimeMS`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time: Option<Duration>,
    /// How strings compare, in conditions and sorts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<Collation>,
    /// The name of the index to use, whatever the planner thinks. An unknown name is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Which state of a replica set is read. The embedded engine reads the last commit whatever it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_concern: Option<ReadConcern>,
    /// Let the server use its disk for sorts and groups that do not fit its memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_disk_use: bool,
    /// A text for logs and profiles of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// How many documents the server sends at once. The embedded engine has them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
}

impl ReadOptions {
    /// Whether everything is left to the database.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The same for the related documents of a read: all but the hint, which names an index of one collection.
    pub fn for_related(&self) -> Self {
        Self { hint: None, ..self.clone() }
    }
}

/// How strings compare: the rules of a language, and how fine the differences are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collation {
    /// An ICU locale (`"en"`, `"de@collation=phonebook"`), or `"simple"` for bytes.
    pub locale: String,
    /// 1 compares letters, 2 accents as well, 3 case as well; 4 tells Japanese scripts apart, 5 whatever else differs.
    pub strength: u8,
}

impl Collation {
    /// Letters alone count: `resume`, `Résumé` and `RESUME` are equal.
    pub fn letters(locale: impl Into<String>) -> Self {
        Self { locale: locale.into(), strength: 1 }
    }

    /// Case does not count: `resume` and `RESUME` are equal, `résumé` is not.
    pub fn ignore_case(locale: impl Into<String>) -> Self {
        Self { locale: locale.into(), strength: 2 }
    }

    /// Checks the strength.
    pub(crate) fn check(&self) -> Result<()> {
        if (1..=5).contains(&self.strength) {
            return Ok(());
        }
        Err(Error::bad_request(format!("the strength of a collation is 1 to 5, not {}", self.strength)))
    }
}

/// Which state of a replica set is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReadConcern {
    /// The newest that the asked server has, be it rolled back later.
    Local,
    /// As local; on a sharded cluster with orphaned documents.
    Available,
    /// What a majority of the servers has acknowledged.
    Majority,
    /// As majority, after every write that was acknowledged before the read.
    Linearizable,
    /// One moment of a cluster, acknowledged by a majority.
    Snapshot,
}

impl ReadConcern {
    /// The name in commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReadConcern::Local => "local",
            ReadConcern::Available => "available",
            ReadConcern::Majority => "majority",
            ReadConcern::Linearizable => "linearizable",
            ReadConcern::Snapshot => "snapshot",
        }
    }
}
