//! How long a command has taken, and how many documents it has looked at.

use forge_core::{DateTime, Env, Error, Result};
use forge_mongo::MongoArtifact;

/// After how many documents it is looked whether the time is over.
const EVERY: u64 = 256;

/// Counts the documents that a command looks at, and stops it when its time is over.
pub(crate) struct Clock {
    env: Option<Env>,
    deadline: Option<(Env, DateTime)>,
    examined: std::cell::Cell<u64>,
}

impl Clock {
    /// A clock for a command.
    pub(crate) fn new(env: &Env, artifact: &MongoArtifact) -> Self {
        let deadline = artifact.options.max_time.map(|limit| (env.clone(), env.now().saturating_add(limit)));
        Self { env: Some(env.clone()), deadline, examined: std::cell::Cell::new(0) }
    }

    /// A clock that never runs out, and knows no present moment.
    pub(crate) fn unlimited() -> Self {
        Self { env: None, deadline: None, examined: std::cell::Cell::new(0) }
    }

    /// A clock that never runs out.
    pub(crate) fn without_end(env: &Env) -> Self {
        Self { env: Some(env.clone()), ..Self::unlimited() }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> DateTime {
        self.env.as_ref().map_or(DateTime::UNIX_EPOCH, Env::now)
    }

    /// An unpredictable number.
    pub(crate) fn random(&self) -> u64 {
        self.env.as_ref().map_or(0, crate::aggregate::seed)
    }

    /// Where time and randomness come from; none for clocks that know neither.
    pub(crate) fn env(&self) -> Option<&Env> {
        self.env.as_ref()
    }

    /// One more document is looked at.
    pub(crate) fn tick(&self) -> Result<()> {
        let examined = self.examined.get() + 1;
        self.examined.set(examined);
        if examined.is_multiple_of(EVERY) { self.check() } else { Ok(()) }
    }

    /// One more document is passed over without a look; `left` of them are to come.
    pub(crate) fn pass(&self, left: usize) -> Result<()> {
        if (left as u64).is_multiple_of(EVERY) { self.check() } else { Ok(()) }
    }

    fn check(&self) -> Result<()> {
        match &self.deadline {
            Some((env, deadline)) if env.now() > *deadline => Err(Error::timeout(format!(
                "the command ran out of its time after {} documents",
                self.examined.get()
            ))),
            _ => Ok(()),
        }
    }

    /// How many documents were looked at.
    pub(crate) fn examined(&self) -> u64 {
        self.examined.get()
    }
}
