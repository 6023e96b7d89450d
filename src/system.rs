use std::sync::LazyLock;
use std::time::{Duration, Instant};

use forge_core::env::Source;
use forge_core::{DateTime, Env};

struct System;

impl Source for System {
    fn now(&self) -> DateTime {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        DateTime::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        // Without an entropy source ids would repeat between processes; stopping is the only safe answer.
        #[allow(clippy::expect_used, reason = "see above")]
        getrandom::fill(&mut bytes).expect("the operating system has a source of randomness");
        bytes
    }
}

/// The clock and the randomness of this machine.
pub fn system_env() -> Env {
    Env::new(System)
}
