//! Time, ids and randomness, injected: the core never asks the machine itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bson::oid::ObjectId;

use crate::types::{DateTime, Uuid};

/// Where moments and random bytes come from.
pub trait Source: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> DateTime;

    /// Unpredictable bytes.
    fn random(&self) -> [u8; 16];

    /// A clock that only goes forward, from anywhere: for how long things take.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().millis()).unwrap_or(0))
    }
}

/// The present moment and fresh ids, from an injected [`Source`].
#[derive(Clone)]
pub struct Env(Arc<Inner>);

struct Inner {
    source: Box<dyn Source>,
    process: [u8; 5],
    counter: AtomicU32,
}

impl Env {
    /// An environment on top of `source`.
    pub fn new(source: impl Source) -> Self {
        let seed = source.random();
        let [a, b, c, d, e, f, g, h, ..] = seed;
        Self(Arc::new(Inner {
            source: Box::new(source),
            process: [a, b, c, d, e],
            counter: AtomicU32::new(u32::from_be_bytes([0, f, g, h])),
        }))
    }

    /// The present moment.
    pub fn now(&self) -> DateTime {
        self.0.source.now()
    }

    /// A clock that only goes forward: for how long things take.
    pub fn monotonic(&self) -> Duration {
        self.0.source.monotonic()
    }

    /// A fresh ObjectId: seconds, a random value of the process, a counter (BSON specification, "ObjectId").
    pub fn object_id(&self) -> ObjectId {
        let count = self.0.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let seconds = u32::try_from(self.now().millis() / 1000).unwrap_or(0);
        ObjectId::from_parts(seconds, self.0.process, [count[1], count[2], count[3]])
    }

    /// A fresh version 4 UUID.
    pub fn uuid(&self) -> Uuid {
        Uuid::v4_from_random(self.0.source.random())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}
